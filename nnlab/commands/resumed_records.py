"""What had been recorded of the runs of a fit before it was resumed, for its recorders and the screen."""

from __future__ import annotations

from nnlab.commands.recorders import Recorders
from nnlab.records.console import Console
from nnlab.records.replay import replay_records
from nnlab.records.run_folder import METRICS_FILE
from nnlab.records.stored_run import StoredRun
from nnlab.training.fit_state import FitState


def replay(recorders: Recorders, state: FitState, console: Console) -> None:
    """Replay all records before the `state` from which the fit continues. Raises `UserError`."""
    for index, (writer, course) in enumerate(zip(recorders.writers, recorders.courses, strict=True)):
        folder = writer.folder.path
        if writer.closed:  # it had ended before
            recorders.summaries[index] = StoredRun(folder).summary
        if not (folder / METRICS_FILE).exists():
            continue  # no epoch had ended
        for record in replay_records(folder, state, writer.first_row, len(writer.rows)):
            if not writer.closed:
                writer.replay(record)
            if not record.refit:
                course.record(record)
                console.replay(record.renumbered_from(writer.first_row))
    console.resumed(state.epoch)
