"""Predicting what `nnlab predict` asks for: a run's rows on new examples, into predictions.csv.

Everything here may import torch: predict.py imports it once the words are known to be right.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nnlab import interruption
from nnlab.commands.command_settings import PREDICTIONS_ENDINGS, PredictSettings
from nnlab.commands.messages import advice_on_stderr
from nnlab.commands.new_file import naming_output, new_file
from nnlab.commands.process import freeze_imports
from nnlab.commands.run_request import RunRequest
from nnlab.prediction.blocks import NewExamples
from nnlab.prediction.loading import load
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.predictions_file import PREDICTIONS_FILE, Tally, predict_into
from nnlab.prediction.screen_lines import model_line, tally_lines
from nnlab.prediction.tables import open_examples
from nnlab.records.csv_text import CsvTable
from nnlab.records.files import atomic_write
from nnlab.records.terminal import Terminal


def run(request: RunRequest[PredictSettings]) -> int:
    """Predict, and say where the predictions are; 0."""
    settings = request.settings
    with advice_on_stderr("predict"), interruption.raise_on_signals():
        model = load(request.run, device=settings.device)
        model.rows_for(settings.row)  # which refuses a wrong one before any example is read
        if settings.coverage is not None:
            model.refuse_interval(settings.coverage, settings.row)
        freeze_imports()
        with (
            open_examples(settings.data, model.spec, model.experiment.data) as examples,
            _output_path(request) as path,
        ):
            tally = _write(path, model, examples, settings)
    screen = Terminal()
    screen.title(model_line(model, settings.row))
    for line in tally_lines(tally, path):
        screen.line(line)
    return 0


@contextmanager
def _output_path(request: RunRequest[PredictSettings]) -> Iterator[Path]:
    """Where the predictions go: output=FILE, or else a folder of their own."""
    if request.settings.output is not None:
        yield new_file("output", request.settings.output, PREDICTIONS_ENDINGS)
        return
    with request.results_folder() as folder:
        yield folder / PREDICTIONS_FILE


def _write(path: Path, model: TrainedModel, examples: NewExamples, settings: PredictSettings) -> Tally:
    with ExitStack() as stack:
        with naming_output(path):
            temporary = stack.enter_context(atomic_write(path))
            file = stack.enter_context(open(temporary, "w", newline="", encoding="utf-8"))
        table = _PredictionsTable(file, path)
        tally = predict_into(table, model, examples, settings.row, settings.coverage)
        with naming_output(path):
            stack.close()
    return tally


class _PredictionsTable(CsvTable):
    """A table whose write errors name it: a full disk must not be blamed on the file that is being read."""

    def __init__(self, file, path: Path):
        super().__init__(file)
        self.path = path

    def line(self, cells) -> None:
        with naming_output(self.path):
            super().line(cells)

    def lines(self, lines) -> None:
        with naming_output(self.path):
            super().lines(lines)
