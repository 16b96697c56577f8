"""The columns of the progress lines of a run: losses and errors, the learning rate, further curves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from nnlab.records.rate_text import format_rate
from nnlab.records.text import (
    error_name,
    format_duration,
    format_number,
    format_percent,
    metric_formatter,
    short_label,
)
from nnlab.records.text_columns import LINE_WIDTH

CELL_CHARACTERS = 10  # at most: 999/10000
GAP = 2
THETA_PREFIX = "theta/"  # of the curves of single parameters
LINEAR_NAMES = {"output.weight": "W", "output.bias": "b"}  # as in y = W x + b, a model without hidden layers
# Recorded of every run, and no further curve.
USUAL_CURVES = {
    "train_loss", "train_error", "val_loss", "val_error", "lr", "lr_lowered", "went_back", "grad_norm",
    "penalty",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A heading, at least `width` characters; and the curve it shows, formatted."""

    heading: str
    width: int
    name: str
    format: object

    def head(self) -> str:
        return f"{self.heading:>{self.width}}"

    def cell(self, value: float) -> str:
        return f"{self.format(value):>{self.width}}"


class ProgressColumns:
    """The columns between the first, the share that is done, and the last, the time.

    `metric` takes the place of the validation error. `curves` are the names of all recorded curves: further
    ones are shown as far as they fit into a line.
    """

    def __init__(self, task: str, validates: bool, rows: int, metric: str, shows_rate: bool, curves):
        self.several = rows > 1
        layout = partial(_columns, task, validates, metric, shows_rate)
        further = _further_columns(task, metric, curves)
        columns = layout(narrow=False)
        if self._room([*columns, *further]) < 0:
            columns = layout(narrow=True)
        while further and self._room([*columns, *further]) < 0:
            further.pop()
        self.columns = [*columns, *further]

    def _room(self, columns: list[Column]) -> int:
        """Characters that these columns leave free in a line; negative where they are too wide."""
        first_and_last = 7 + 10 + 11 * self.several
        return LINE_WIDTH - first_and_last - sum(column.width for column in columns)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def header(self, first: str) -> str:
        line = f"{first:>7}" + "".join(column.head() for column in self.columns)
        line += f"{'training':>11}" * self.several
        return f"{line}{'time':>10}"

    def line(self, done: str, means: dict[str, float], rows: int, seconds: float) -> str:
        """A line of `means` over those of all `rows` that train."""
        line = f"{done:>7}" + "".join(column.cell(means[column.name]) for column in self.columns)
        if self.several:
            trained = f"{means['rows']}/{rows}"
            if len(trained) > CELL_CHARACTERS:  # the title has the total
                trained = f"{means['rows']}"
            line += f"{trained:>11}"
        return f"{line}{format_duration(seconds):>10}"


def _columns(task: str, validates: bool, metric: str, shows_rate: bool, narrow: bool) -> list[Column]:
    """Of losses, errors and the rate."""
    error = format_percent if task == "classification" else format_number
    error_width = 9 if narrow else 10
    columns = [
        Column("train loss", 12 if narrow else 14, "train_loss", format_number),
        Column(error_name(task), error_width, "train_error", error),
    ]
    if validates:
        shown = metric or "val_error"
        heading = short_label(metric) if metric else error_name(task)
        loss = ("val. loss", 11) if narrow else ("validation loss", 18)
        columns.append(Column(*loss, "val_loss", format_number))
        columns.append(Column(heading, max(error_width, len(heading)), shown, metric_formatter(shown, task)))
    if shows_rate:
        columns.append(Column("rate", 10 if narrow else 11, "lr", format_rate))
    return columns


def _further_columns(task: str, metric: str, curves) -> list[Column]:
    """Of what is recorded beside these."""
    columns = []
    for name in curves:
        if name not in USUAL_CURVES and name != metric:
            heading = short_label(name) if name.startswith("val_") else curve_heading(name, curves)
            width = max(len(heading) + GAP, 11)
            columns.append(Column(heading, width, name, metric_formatter(name, task)))
    return columns


def curve_heading(name: str, curves) -> str:
    """The heading of a recorded curve: of a parameter its own name, without the index if it is one number; W
    and b of a model that has no others.

    >>> line = ["train_loss", "theta/output.weight[0,0]", "theta/output.bias[0]"]
    >>> [curve_heading(name, line) for name in line[1:]]
    ['W', 'b']
    >>> curve_heading("theta/hidden1.weight[3,1]", ["theta/hidden1.weight[3,1]", "theta/hidden1.weight[3,2]"])
    'hidden1.weight[3,1]'
    """
    if not name.startswith(THETA_PREFIX):
        return name.replace("_", " ")
    parameters = [curve.partition("[")[0] for curve in curves if curve.startswith(THETA_PREFIX)]
    own, _, index = name.partition("[")
    heading = own.removeprefix(THETA_PREFIX)
    if {*parameters} <= {f"{THETA_PREFIX}{parameter}" for parameter in LINEAR_NAMES}:
        heading = LINEAR_NAMES[heading]
    return heading if parameters.count(own) == 1 else f"{heading}[{index}"
