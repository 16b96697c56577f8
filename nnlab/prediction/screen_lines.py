"""What `nnlab predict` and `nnlab evaluate` print: the model, a summary of predictions, or a report."""

from __future__ import annotations

import math
from pathlib import Path

from nnlab.prediction.evaluation import Evaluation
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.predictions_file import Tally
from nnlab.records.summary_text import interval_lines, label_width, metric_lines, shown_metrics
from nnlab.records.text import format_alike, format_number, format_percent
from nnlab.records.text_columns import elide_middle, labelled_lines, table
from nnlab.records.titles import experiment_title
from nnlab.training.thresholds import positive_class

MAX_SHOWN = 10  # classes or targets in a summary
MAX_CLASS_LINES = 20  # of the table of classes
CLASS_COLUMNS = {"examples": "support", "precision": "precision", "recall": "recall", "F1": "f1_each"}
UNDEFINED_REASONS = {"test_r2": ": all targets are equal"}


def model_line(model: TrainedModel, row: int | None) -> str:
    """`iris (150 x 4, 3 classes), mlp 4-64-3, adam: mean of 5 rows`."""
    rows = model.rows_for(row)
    rows_text = f"mean of {len(rows)} rows" if len(rows) > 1 else f"row {rows[0].number}"
    if len(model.rows) == 1:
        rows_text = "1 row"
    return f"{experiment_title(model.experiment, model.spec)}: {rows_text}"


def tally_lines(tally: Tally, path: Path) -> list[str]:
    """How many examples there were, what was predicted in sum, and where it is."""
    lines = ["", *labelled_lines("examples", f"{tally.examples:,}")]
    if tally.spec.classes:
        lines += labelled_lines("predicted", _counts(tally))
        if tally.threshold is not None:
            name = tally.spec.classes[positive_class(tally.spec)]
            lines += labelled_lines("threshold", threshold_text(name, tally.threshold))
    else:
        lines += [
            line for target in range(tally.spec.outputs)[:MAX_SHOWN] for line in _range_lines(tally, target)
        ]
    return [*lines, "", *labelled_lines("predictions", path)]


def evaluation_lines(evaluation: Evaluation, model: TrainedModel, path: Path) -> list[str]:
    """The report of the average, beside that of a row alone where there are several, and where it is."""
    task, threshold_by = model.spec.task, model.experiment.threshold
    first = {"examples": f"{evaluation.examples:,}"}
    if evaluation.threshold is not None:
        first["threshold"] = threshold_text(evaluation.test["positive_class"], evaluation.threshold)
    lines = ["", *_report_lines(evaluation.test, task, first, threshold_by)]
    if evaluation.rows:
        summary = evaluation.summary() | {"threshold_by": threshold_by}
        lines += ["", f"  each of the {len(evaluation.rows)} rows alone:"]
        lines += [*metric_lines(shown_metrics(summary), task), *interval_lines(summary)]
    if evaluation.vote:
        lines += ["", f"  {_vote_words(evaluation)}:"]
        vote = {f"test_{name}": {"mean": evaluation.vote[name], "n": 1} for name in ("accuracy", "error")}
        lines += metric_lines(vote, task)
    lines += _class_lines(evaluation.test)
    return [*lines, "", *labelled_lines("report", path)]


def _vote_words(evaluation: Evaluation) -> str:
    """`the majority vote of the 5 rows (3 ties, by the mean probability)`."""
    ties, words = evaluation.vote["ties"], f"the majority vote of the {len(evaluation.rows)} rows"
    return f"{words} ({ties:,} tie{'s' * (ties != 1)}, by the mean probability)" if ties else words


def _report_lines(test: dict, task: str, first: dict[str, str], threshold_by: str | float) -> list[str]:
    """The numbers of a report, as training has them, below the lines `first`."""
    numbers = {f"test_{name}": value for name, value in test.items() if isinstance(value, float)}
    numbers = shown_metrics({"metrics": numbers, "classification": test, "threshold_by": threshold_by})
    undefined = {
        name: f"undefined{UNDEFINED_REASONS.get(name, '')}" for name, v in numbers.items() if math.isnan(v)
    }
    metrics = {name: {"mean": v, "n": 1} for name, v in numbers.items() if not math.isnan(v)}
    width = label_width([*metrics, *undefined], task)
    lines = [f"  {label:<{width}}{text}" for label, text in first.items()]
    return lines + metric_lines(metrics, task, undefined, width)


def _class_lines(test: dict) -> list[str]:
    """A table of a few classes: how many examples each has, its precision, recall and F1."""
    names = test.get("classes", [])
    if not 0 < len(names) <= MAX_CLASS_LINES:
        return []
    columns = [[_class_cell(value) for value in test[key]] for key in CLASS_COLUMNS.values()]
    rows = [[elide_middle(name), *cells] for name, *cells in zip(names, *columns, strict=True)]
    return ["", *table(["class", *CLASS_COLUMNS], rows, left=1)]


def _class_cell(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "undefined" if math.isnan(value) else format_percent(value)


def threshold_text(name: str, threshold: float) -> str:
    """Where the positive class is predicted, if that is not where it is the likelier one."""
    return f"'{elide_middle(name)}' above a probability of {format_number(threshold)}"


def _counts(tally: Tally) -> str:
    ranked = tally.classes.most_common()
    shown = ", ".join(f"{tally.spec.classes[c]} {count:,}" for c, count in ranked[:MAX_SHOWN])
    more = len(ranked) - MAX_SHOWN
    return shown + (f" and {more:,} other classes" if more > 0 else "")


def _range_lines(tally: Tally, target: int) -> list[str]:
    name = "predicted" if tally.spec.outputs == 1 else (tally.spec.targets or range(MAX_SHOWN))[target]
    mean = float(tally.sums[target] / tally.examples)
    low, high = float(tally.lows[target]), float(tally.highs[target])
    halves = [] if tally.coverage is None else [float(tally.widths[target] / tally.examples / 2)]
    if low == high:  # the one example's, or that of all
        return labelled_lines(str(name), " ± ".join(format_alike(low, *halves)))
    mean_text, low_text, high_text, *half_texts = format_alike(mean, low, high, *halves)
    width = "".join(f"; intervals ± {text}" for text in half_texts)
    return labelled_lines(str(name), f"mean {mean_text}, from {low_text} to {high_text}{width}")
