"""The table of metrics: what `metric=`, `metrics=` and `objective=` may name, and what a test report has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nnlab.metrics import classes, numbers
from nnlab.metrics.classes import MAX_MATRIX_CLASSES, TOP

MANY = 2**63


@dataclass(frozen=True)
class Metric:
    """A number that says how good a row's answers are.

    task     classification or regression
    formula  of `ClassAnswers` or `NumberAnswers`
    each     the formula that gives a value for each class or output, if the report has that list
    equation the same for people; of several classes or outputs, the mean over them where nothing else is said
    larger_is_better  then 1 is the best there is, and what is minimised is 1 - the metric
    scores   whether it needs probabilities of classes, and not only predicted ones
    classes  the fewest and the most classes for which it is defined
    undefined  what targets leave it undefined, whatever the network answers; empty where none do
    """

    task: str
    formula: Callable
    equation: str
    larger_is_better: bool = False
    scores: bool = False
    classes: tuple[int, int] = (2, MANY)
    undefined: str = ""
    each: Callable | None = None

    def cost(self, value):
        """What is minimised: the metric, or how far it is from its best value 1."""
        return 1 - value if self.larger_is_better else value

    def fits(self, class_count: int) -> bool:
        """Whether it is defined for so many classes; 0 in a regression."""
        is_classification = self.task == "classification"
        few, many = self.classes
        return few <= class_count <= many if is_classification else not class_count


METRICS = {
    "accuracy": Metric(
        "classification", classes.accuracy, "correct predictions / N", larger_is_better=True
    ),
    "balanced_accuracy": Metric(
        "classification", classes.balanced_accuracy,
        "mean over the classes of recall = TP / (TP + FN)", larger_is_better=True,
    ),
    "f1": Metric(
        "classification", classes.f1, "2 TP / (2 TP + FP + FN) of the rarer of two classes",
        larger_is_better=True, classes=(2, 2), undefined="no example is of the class '{positive}'",
    ),
    "f1_macro": Metric(
        "classification", classes.f1_macro, "mean over the classes of 2 TP / (2 TP + FP + FN)",
        larger_is_better=True, each=classes.f1_each,
    ),
    "mcc": Metric(
        "classification", classes.mcc,
        "correlation of predicted and true classes, from -1 to 1", larger_is_better=True,
    ),
    "roc_auc": Metric(
        "classification", classes.roc_auc,
        "P(an example of the class is given a higher probability of it than another): of two classes, or the "
        "mean over each class against the rest",
        larger_is_better=True, scores=True, classes=(2, MAX_MATRIX_CLASSES),
        undefined="all examples are of one class",
    ),
    "average_precision": Metric(
        "classification", classes.average_precision,
        "sum over thresholds of precision times the gain in recall: of the rarer of two classes, or the mean "
        "over all",
        larger_is_better=True, scores=True, classes=(2, MAX_MATRIX_CLASSES),
        undefined="no example is of the class '{positive}'",
    ),
    "log_loss": Metric(
        "classification", classes.log_loss, "mean of -log p(true class), in nats", scores=True
    ),
    "brier_score": Metric(
        "classification", classes.brier_score,
        "mean of sum_i (p_i - t_i)^2; of two classes half of it", scores=True,
    ),
    "calibration_error": Metric(
        "classification", classes.calibration_error,
        f"sum over {classes.BINS} bins of confidence: n_b / N |accuracy_b - mean confidence_b|", scores=True,
    ),
    "top5_accuracy": Metric(
        "classification", classes.top5_accuracy,
        "examples whose class is among the five likeliest / N", larger_is_better=True, scores=True,
        classes=(TOP + 1, MANY),
    ),
    "rmse": Metric(
        "regression", numbers.rmse, "sqrt(mean (z - t)^2), in the target's unit",
        each=numbers.rmse_each,
    ),
    "mae": Metric(
        "regression", numbers.mae, "mean |z - t|, in the target's unit", each=numbers.mae_each
    ),
    "r2": Metric(
        "regression", numbers.r2, "1 - sum (z - t)^2 / sum (t - mean t)^2", larger_is_better=True,
        undefined="all targets are equal", each=numbers.r2_each,
    ),
    "mape": Metric(
        "regression", numbers.mape, "mean |z - t| / |t|", undefined="a target is 0",
        each=numbers.mape_each,
    ),
    "median_absolute_error": Metric(
        "regression", numbers.median_absolute_error,
        "median |z - t|, in the target's unit", each=numbers.median_absolute_error_each,
    ),
}  # fmt: skip


def recorded_name(name: str) -> str:
    """Under what name records have a metric of the table: `val_roc_auc`; other names are those of records."""
    return f"val_{name}" if name in METRICS else name


def larger_is_better(recorded: str) -> bool:
    """Whether more of it is better, of the name of a metric in records; less is of losses and errors."""
    metric = METRICS.get(recorded.removeprefix("val_"))
    return metric is not None and metric.larger_is_better


def cost(name: str, values: dict):
    """What is minimised where `name` is watched, from the metrics of a record: a loss or an error itself."""
    value = values[recorded_name(name)]
    return METRICS[name].cost(value) if name in METRICS else value
