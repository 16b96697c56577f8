"""The test examples that a run predicts worst, as images or as rows of the table."""

from __future__ import annotations

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.data.spec import DataSpec
from nnlab.prediction.example_cells import example_cells
from nnlab.prediction.mistakes import TestPredictions, places_in, test_predictions
from nnlab.records.stored_run import StoredRun
from nnlab.report.page import Section
from nnlab.report.parts import Image, Table, Text
from nnlab.report.pixels import image_pngs, is_image, is_signal, signal_png
from nnlab.report.run_facts import task_of
from nnlab.report.trained_run import TrainedRun

CLASSES_HEADING, NUMBERS_HEADING = "Misclassified examples", "Largest residuals"
IMAGES_SHOWN, LINES_SHOWN = 24, 12
COLUMNS_SHOWN = 40
TARGETS_NAMED = 4  # of more, only the one with the largest residual is named
IMAGE_WIDTH = 96  # pixels on the screen
PIXELATED_UP_TO = 48  # pixels along a side of an image that is shown with its pixels


def heading_of(stored: StoredRun) -> str:
    """The heading of the section, by the task."""
    return NUMBERS_HEADING if task_of(stored) == "regression" else CLASSES_HEADING


def mistakes_section(run: TrainedRun) -> Section:
    """The surest wrong classes, or the largest residuals, of the test set."""
    spec = run.model.spec
    heading = heading_of(run.stored)
    predictions = test_predictions(run.stored, spec)
    as_pictures = is_image(spec.shape) or is_signal(spec.shape)
    worst = predictions.worst(IMAGES_SHOWN if as_pictures else LINES_SHOWN)
    if not len(worst):
        total = len(predictions.examples)
        return Section(heading, note=f"None: all {total:,} test examples were predicted right.")
    dataset = run.data.dataset
    places = places_in(dataset, predictions)[worst]
    lines = [prediction_cells(predictions, spec, n) for n in worst]
    sentence = _sentence(predictions, spec, len(worst))
    if as_pictures:
        answers = None
        if run.model.experiment.data.reconstruct and is_image(spec.shape):
            answers, sentence = predictions.predictions[worst], f"{sentence} Below each, its reconstruction."
        return Section(heading, [Text(sentence), *example_images(dataset, places, lines, answers)])
    words = Text(sentence)
    return Section(heading, [words, example_table(dataset, places, lines)])


def prediction_cells(predictions: TestPredictions, spec: DataSpec, n: int) -> dict[str, str]:
    """Of a line of the predictions: the example's number, what is true, what was predicted and how surely."""
    cells = {"example": str(predictions.examples[n])}
    if spec.classes:
        true = predictions.targets[n]  # -1 is a text that is no class, in a damaged file
        cells["true"] = spec.classes[true] if true >= 0 else "unknown"
        cells["predicted"] = spec.classes[predictions.predictions[n]]
        return cells | {"probability": f"{predictions.confidence[n]:.1%}"}
    names = spec.targets or [str(i) for i in range(spec.outputs)]
    targets = {i: f" {name}" for i, name in enumerate(names)} if spec.outputs > 1 else {0: ""}
    if spec.outputs > TARGETS_NAMED:
        worst = predictions.worst_target(n)
        cells["target"], targets = names[worst], {worst: ""}
    for i, of in targets.items():
        cells[f"true{of}"] = f"{predictions.targets[n, i]:.5g}"
        cells[f"predicted{of}"] = f"{predictions.predictions[n, i]:.5g}"
        cells[f"residual{of}"] = f"{predictions.residuals[n, i]:+.3g}"
    return cells


def example_images(
    dataset: Dataset, places: np.ndarray, lines: list[dict[str, str]], answers: np.ndarray | None = None
) -> list[Image]:
    """An image of each example, with what is true and what was predicted below it; of a reconstruction the
    `answers` (n, d), which are images too."""
    shape = dataset.spec.shape
    x = np.asarray(dataset.x[places]).reshape(len(places), *shape)
    if answers is not None:
        x = np.concatenate([x, answers.reshape(x.shape)], axis=2)
    if is_image(shape):
        pngs, width, small = image_pngs(x), IMAGE_WIDTH, max(shape[1:]) <= PIXELATED_UP_TO
    else:
        pngs, width, small = [signal_png(signal.reshape(shape[0], -1)) for signal in x], 160, False
    return [
        Image(png, _image_label(cells), _image_caption(cells), small, width)
        for png, cells in zip(pngs, lines, strict=True)
    ]


def example_table(dataset: Dataset, places: np.ndarray, lines: list[dict[str, str]]) -> Table:
    """A line for each example: the predictions, then its cells in the data."""
    names, cells = example_cells(dataset, places)
    note = ""
    if len(names) > COLUMNS_SHOWN:
        note = f"The first {COLUMNS_SHOWN} of {len(names):,} columns of the data."
    rows = [[*line.values(), *of_data[:COLUMNS_SHOWN]] for line, of_data in zip(lines, cells, strict=True)]
    return Table([*lines[0], *names[:COLUMNS_SHOWN]], rows, note=note)


def _image_caption(cells: dict[str, str]) -> str:
    if "probability" in cells:
        return f"{cells['predicted']} ({cells['probability']}), true: {cells['true']}"
    return ", ".join(f"{name} {value}" for name, value in cells.items() if name != "example")


def _image_label(cells: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in cells.items())


def _sentence(predictions: TestPredictions, spec: DataSpec, shown: int) -> str:
    total = len(predictions.examples)
    if not spec.classes:
        by = " in units of each target's standard deviation" if spec.outputs > 1 else ""
        return f"The {shown} of {total:,} test examples with the largest residuals{by}, the largest first."
    wrong = int(predictions.is_wrong.sum())
    which = f"the {shown} surest of them" if shown < wrong else "all of them"
    return (
        f"{wrong:,} of {total:,} test examples were predicted wrong; {which}, by the probability of the "
        "predicted class."
    )
