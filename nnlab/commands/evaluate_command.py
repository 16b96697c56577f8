"""Evaluating what `nnlab evaluate` asks for: a run's rows on labelled examples, into evaluation.json.

Everything here may import torch: evaluate.py imports it once the words are known to be right.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from nnlab import interruption
from nnlab.commands.command_settings import EvaluateSettings
from nnlab.commands.messages import advice_on_stderr, print_advice
from nnlab.commands.process import freeze_imports
from nnlab.commands.run_request import RunRequest
from nnlab.data.image_folders import Images, part_folders
from nnlab.data.sources import Data
from nnlab.prediction.evaluation import evaluate
from nnlab.prediction.loading import load
from nnlab.prediction.screen_lines import evaluation_lines, model_line
from nnlab.prediction.tables import open_examples
from nnlab.records.files import write_json
from nnlab.records.terminal import Terminal
from nnlab.training.unbalanced import unbalanced_advice

EVALUATION_FILE = "evaluation.json"


def run(request: RunRequest[EvaluateSettings]) -> int:
    """Evaluate, and print the report; 0."""
    settings = request.settings
    with advice_on_stderr("evaluate"), interruption.raise_on_signals():
        model = load(request.run, device=settings.device)
        model.rows_for(settings.row)  # which refuses a wrong one before any example is read
        freeze_imports()
        with open_examples(
            settings.data, model.spec, model.experiment.data, labelled=True, target=settings.target
        ) as examples:
            evaluation = evaluate(model, examples, settings.row)
        with request.results_folder() as folder:
            about = {"run": str(request.run), "data": settings.data}
            write_json(folder / EVALUATION_FILE, about | evaluation.as_json())
    screen = Terminal()
    screen.title(model_line(model, settings.row))
    for line in evaluation_lines(evaluation, model, folder / EVALUATION_FILE):
        screen.line(line)
    if sentence := unbalanced_advice([evaluation.test], model.experiment):
        print_advice("evaluate", [sentence])
    if _are_own_examples(settings.data, model.experiment.data):
        own_report = request.run / "summary.json"
        sentence = f"{settings.data} has the examples that the run was trained on too"
        print_advice("evaluate", [f"{sentence}; see '{own_report}' for its test set alone"])
    return 0


def _are_own_examples(data: str, training_data: Data) -> bool:
    """Whether the examples are those of the training: the same file, or the same data set of nnlab's own."""
    paths = getattr(training_data, "path", None)
    if paths is None:
        return data == training_data.name
    if isinstance(training_data, Images) and "test" in part_folders(Path(data)):
        return False  # of which those of the test set alone are evaluated
    with suppress(OSError):  # a glob, or a file that was elsewhere when the run began
        return any(os.path.samefile(data, path) for path in ([paths] if isinstance(paths, str) else paths))
    return False
