"""The columns of the progress lines of a run: losses and errors, the learning rate, further curves."""

from __future__ import annotations

from dataclasses import dataclass

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
        error = format_percent if task == "classification" else format_number
        self.several, narrow = rows > 1, shows_rate and rows > 1
        width = 9 if narrow else 10  # of a share or an error
        self.columns = [
            Column("train loss", 12 if narrow else 14, "train_loss", format_number),
            Column(error_name(task), width, "train_error", error),
        ]
        if validates:
            shown = metric or "val_error"
            heading = short_label(metric) if metric else error_name(task)
            loss = Column("val. loss", 11, "val_loss", format_number)
            self.columns.append(loss if narrow else Column("validation loss", 18, "val_loss", format_number))
            self.columns.append(Column(heading, width, shown, metric_formatter(shown, task)))
        if shows_rate:
            self.columns.append(Column("rate", 10 if narrow else 11, "lr", format_rate))
        self.columns += self._further(task, metric, curves)

    def _further(self, task: str, metric: str, curves) -> list[Column]:
        """Columns of further curves, as many as fit."""
        columns, room = [], LINE_WIDTH - self._width()
        for name in curves:
            if name in USUAL_CURVES or name == metric:
                continue
            heading = short_label(name) if name.startswith("val_") else curve_heading(name, curves)
            column = Column(heading, max(len(heading) + GAP, 11), name, metric_formatter(name, task))
            if column.width > room:
                break
            room -= column.width
            columns.append(column)
        return columns

    def _width(self) -> int:
        first_and_last = 7 + 10 + 11 * self.several
        return first_and_last + sum(column.width for column in self.columns)

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
