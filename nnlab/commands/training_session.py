"""Trains a fit to its end. At a Ctrl-C or machine fault, saves what it has so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nnlab import interruption
from nnlab.commands.checkpointer import Checkpointer
from nnlab.commands.early_end import EndedEarly
from nnlab.commands.folders import remove_unstarted
from nnlab.errors import describe_machine_fault
from nnlab.training.fit import Fit
from nnlab.training.fit_state import FitState
from nnlab.training.rank_leader import leader


def save_and_describe_all(writers: list, folders: list[Path], is_resumed: bool = False) -> str:
    """Save the weights of unfinished runs, and say what is in the folders.

    Where not all runs have begun, none has trained: their folders, unless they are old ones, are removed.
    """
    if len(writers) < len(folders):
        if is_resumed:
            return "nothing was trained"
        for folder in folders:
            remove_unstarted(folder)
        return "nothing was begun"
    return _save_and_describe_runs(writers)


def train(fit: Fit, writers: list, handle: Callable, checkpointer: Checkpointer) -> None:
    """Train `fit` and pass each record to `handle`; `writers` are the runs that are written.

    At a first Ctrl-C or a machine fault, the step is finished, and a checkpoint written. Then the best
    weights so far of unfinished runs are saved, and `EndedEarly` is raised.
    """
    events, epoch = fit.events(checkpointer.timer.is_due), 0
    reason, code = "", 1
    # torchrun passes a Ctrl-C on, says so itself, and a second one does not come through.
    note = b"" if leader() else interruption.FINISHING_STEP
    with interruption.stop_at_epoch_end(note):
        try:
            for event in events:
                if isinstance(event, FitState):
                    checkpointer.write(event)
                    continue
                epoch = max(epoch, event.epoch)
                checkpointer.timer.epoch_done(event.epoch)
                handle(event)
            if interruption.stop_requested():
                reason, code = "interrupted", interruption.exit_code()
        except KeyboardInterrupt:
            # A second Ctrl-C: do not wait for the end of the step.
            saved = f"{_describe_without_waiting(writers)}; {checkpointer.how_to_resume()}"
            raise EndedEarly(f"stopped at once (epoch {epoch}): {saved}", interruption.exit_code()) from None
        except Exception as e:
            reason = describe_machine_fault(e) or ""
            if not reason:
                raise
            if leader():  # torchrun ends the ranks that are left, while they save: the reason stays the loss
                interruption.ignore_sigterm()
            _finish_step(events)
    if reason:
        saved = _save_and_describe_runs(writers)
        if not all(writer.closed for writer in writers):
            saved += f"; {checkpointer.how_to_resume()}"
        raise EndedEarly(f"{reason} (epoch {epoch}): {saved}", code)


def _describe_without_waiting(writers: list) -> str:
    """What is saved after a second Ctrl-C, which does not wait for the weights."""
    without_weights = ", ".join(f"'{run.folder.path}'" for run in writers if not run.folder.closed)
    return f"no weights in {without_weights}" if without_weights else _save_and_describe_runs(writers)


def _finish_step(events) -> None:
    """Let every row finish the current step, and drop what comes of it."""
    interruption.request_stop()
    try:
        for _ in events:
            pass
    except Exception as e:
        if not describe_machine_fault(e):
            raise


def _save_and_describe_runs(writers: list) -> str:
    """Save the weights of unfinished runs, and say what is in the folders."""
    unfinished = [_save_and_describe(run) for run in writers if not run.closed]
    if len(writers) == 1:
        return unfinished[0] if unfinished else f"'{writers[0].folder.path}' is complete"
    parent, complete = writers[0].folder.path.parent, len(writers) - len(unfinished)
    sentence = f"{complete} of {len(writers)} runs in '{parent}' are complete"
    if unfinished:
        sentence += f"; {unfinished[0]}"
    if len(unfinished) > 1:
        sentence += ", and so on"
    return sentence


def _save_and_describe(writer) -> str:
    """Save the best weights of an unfinished run, and say what its folder contains."""
    original_path = writer.folder.path
    if writer.folder.closed:
        return f"'{original_path}' has the curves, the weights and the summary"
    try:
        saved_rows, row_count = writer.save_partial(), len(writer.rows)
    except OSError as e:
        reason = describe_machine_fault(e)
        return f"'{original_path}' has the curves, and its weights cannot be written ({reason})"
    saved = "the curves; no epoch ended well"
    if saved_rows:
        saved = "the curves and the best weights so far"
        if row_count > 1:
            saved += f" of {saved_rows} of its {row_count} rows"
    moved = f"'{original_path}' was removed or replaced; " * writer.folder_lost
    return f"{moved}'{writer.folder.path}' has {saved}"
