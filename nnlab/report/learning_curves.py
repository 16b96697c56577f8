"""The learning curves of a run: every recorded metric over the epochs, as mean and band over its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from nnlab.errors import UserError
from nnlab.records.curves import HIGH_QUANTILE, LOW_QUANTILE, bands
from nnlab.records.stored_run import StoredRun
from nnlab.records.text import error_name, is_percentage, metric_words
from nnlab.report.colours import series
from nnlab.report.page import Section
from nnlab.report.parts import PlotlyFigure
from nnlab.report.run_facts import or_none, task_of
from nnlab.report.thinning import MOST_EPOCHS

FEW_ROWS = 10  # up to which each row has a line
FEW_EPOCHS = 12  # up to which each epoch has a dot
LOG_FROM_RATIO = 20  # the ratio max / min above which the y axis is logarithmic
# Where values span more decades, some exploded: they are cut off.
MOST_DECADES, DECADES_ABOVE_MEDIAN = 8, 2
FEW_DECADES, TICKS_AT_MOST = 3, 7
CONSTANT_SPREAD = 1e-5  # of the largest value: what differs by less is one number on the page
CONSTANT_MARGIN = 0.1  # of a constant, above and below it
SET_COLOURS = {"train": 0, "val": 1}
SET_NAMES = {"train": "training", "val": "validation"}
LABELS = {"lr": "learning rate", "grad_norm": "norm of the gradient", "penalty": "penalty"}
FIRST_QUANTITIES = ("loss", "error")
THETA_PREFIX = "theta/"  # of the curves of single parameters: theta/hidden1.weight[0,2]
NAMED_CURVES = 12  # up to which a legend names the curves of a figure
MARKS = {  # recorded where a schedule did it, after the epoch -> its name and marker
    "lr_lowered": ("lowered", "triangle-down"), "went_back": ("lowered, gone back", "triangle-left"),
}  # fmt: skip


def curves_section(stored: StoredRun) -> Section:
    """A figure for each quantity; those of training and validation share one."""
    recorded = stored.thinned_curves(MOST_EPOCHS)
    if not recorded.names:
        raise UserError("no epoch has ended")
    task, epochs, best = task_of(stored), recorded.epochs(), _best_epoch(stored)
    curves = {
        quantity: {name: recorded.curve(name) for name in names}
        for quantity, names in _quantities(recorded.names).items()
    }
    constants = {
        quantity: value for quantity, of in curves.items() if (value := _constant(of.values())) is not None
    }
    marks = {name: recorded.curve(name) > 0 for name in MARKS if name in recorded.names}
    figures = [
        quantity_figure(quantity, of, epochs, task, best, marks if quantity == "lr" else {})
        for quantity, of in curves.items()
        if quantity not in constants
    ]
    rows = len(next(iter(curves["loss"].values()))) if "loss" in curves else 1
    remarks = _remarks(rows, epochs, best, {quantity_words(q, task): v for q, v in constants.items()})
    return Section("Learning curves", figures, " ".join(remarks))


def quantity_figure(
    quantity: str,
    curves: dict[str, np.ndarray],
    epochs: np.ndarray,
    task: str,
    best_epoch: float | None = None,
    marks: dict[str, np.ndarray] | None = None,
) -> PlotlyFigure:
    """Curves (rows, epochs) by their recorded names, all of one quantity, and the median best epoch; `marks`
    (rows, epochs) by their names, where there are few rows. Single parameters are means over the rows."""
    traces, shown = [], []
    is_share, is_theta = is_percentage(quantity, task), quantity.startswith(THETA_PREFIX)
    for number, (name, values) in enumerate(curves.items()):
        values = 100 * values if is_share else values
        shown.append(bands(values).mean)
        set_name = name.partition("_")[0]
        if name.startswith(THETA_PREFIX):
            element = {"name": name.removeprefix(quantity), "line": {"color": series(number), "width": 1.2}}
            traces.append({"x": epochs, "y": shown[-1], "mode": "lines", **element})
            continue
        label = SET_NAMES.get(set_name) or quantity_words(quantity, task)
        traces += curve_traces(epochs, values, label, SET_COLOURS.get(set_name, 2))
        if len(values) <= FEW_ROWS:
            traces += mark_traces(epochs, values, marks or {})
    words = quantity_words(quantity, task) + " (%)" * is_share
    layout = {
        "xaxis": epoch_axis(epochs),
        "yaxis": {"title": words, **(scale := scale_of(np.concatenate(shown), is_signed=is_theta))},
        "hovermode": "x",
        "showlegend": 1 < len(curves) <= NAMED_CURVES or bool(marks),
    }
    if best_epoch is not None:
        layout["shapes"] = [epoch_mark(best_epoch)]
    return PlotlyFigure(traces, layout, f"{words} over the epochs", cut_off_note(scale))


def curve_traces(epochs: np.ndarray, values: np.ndarray, name: str, colour: int) -> list[dict]:
    """The traces of one curve (rows, epochs): mean, band and, of few rows, each row as a thin line."""
    mean, low, high, _ = bands(values)
    group = {
        "x": epochs, "legendgroup": name, "hoverinfo": "skip", "showlegend": False, "mode": "lines",
    }  # fmt: skip
    traces = []
    if len(values) > 1:
        end = {**group, "line": {"width": 0, "color": series(colour)}}
        fill = {"fill": "tonexty", "fillcolor": series(colour, 0.2)}
        traces += [{"y": low, **end}, {"y": high, **end, **fill}]
    if 1 < len(values) <= FEW_ROWS:
        thin = {"width": 0.7, "color": series(colour, 0.55)}
        traces += [{"y": row, **group, "line": thin} for row in values]
    mode = "lines+markers" if len(epochs) <= FEW_EPOCHS else "lines"
    line = {"color": series(colour), "width": 2}
    return [*traces, {"x": epochs, "y": mean, "name": name, "legendgroup": name, "mode": mode, "line": line}]


def mark_traces(epochs: np.ndarray, values: np.ndarray, marks: dict[str, np.ndarray]) -> Iterator[dict]:
    """A marker on each row's curve (rows, epochs) where it is marked."""
    for name, is_marked in marks.items():
        if name == "lr_lowered" and "went_back" in marks:  # of which there is a mark already
            is_marked = is_marked & ~marks["went_back"]
        rows, columns = np.nonzero(is_marked & np.isfinite(values))
        if len(rows):
            label, symbol = MARKS[name]
            marker = {"symbol": symbol, "size": 9, "color": series(3 if name == "went_back" else 1)}
            points = {"x": epochs[columns], "y": values[rows, columns]}
            yield {**points, "mode": "markers", "name": label, "marker": marker}


def scale_of(shown: np.ndarray, is_signed: bool = False) -> dict:
    """The y axis: logarithmic where values that are drawn differ much, and cut off above what explodes.

    Around a constant it is linear, and for what may be negative (`is_signed`), such as a parameter.
    """
    finite = shown[np.isfinite(shown)]
    if is_constant(finite) and finite[0]:
        half = CONSTANT_MARGIN * abs(float(finite[0]))
        return {"range": [float(finite[0]) - half, float(finite[0]) + half]}  # plotly's is from -1 to 1
    if is_signed or not len(finite) or not 0 < finite.min() < finite.max() / LOG_FROM_RATIO:
        return {}
    low, high = np.log10(finite.min()), np.log10(finite.max())
    axis = {"type": "log", "tickformat": "~g"}
    if high - low > MOST_DECADES:
        high = min(high, np.log10(np.median(finite)) + DECADES_ABOVE_MEDIAN)
        axis["range"] = [float(low - 0.1), float(high)]
    decades = high - low
    # Few decades have ticks at 1, 2 and 5 of each.
    return axis | {"dtick": int(np.ceil(decades / TICKS_AT_MOST)) if decades > FEW_DECADES else "D2"}


def cut_off_note(axis: dict) -> str:
    """What a `scale_of` leaves out, if anything."""
    is_cut = axis.get("type") == "log" and "range" in axis
    return f"Cut off above {10 ** axis['range'][1]:.3g}." if is_cut else ""


def is_constant(values: np.ndarray) -> bool:
    """Whether these numbers are the same in the digits that are drawn; rounding may have changed others."""
    return len(values) > 0 and bool(np.ptp(values) <= CONSTANT_SPREAD * np.abs(values).max())


def epoch_axis(epochs: np.ndarray) -> dict:
    """The x axis, with whole numbers."""
    few = epochs.max(initial=0) <= FEW_EPOCHS
    return {"title": "epoch", "tickformat": ",d"} | ({"dtick": 1} if few else {})


def epoch_mark(epoch: float, style: str = "dot") -> dict:
    """A vertical line at an epoch."""
    line = {"color": "--muted", "width": 1, "dash": style}
    return {"type": "line", "x0": epoch, "x1": epoch, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def quantity_words(quantity: str, task: str) -> str:
    """The words of a recorded quantity, whatever set it is of."""
    if quantity == "error":
        return error_name(task)
    return LABELS.get(quantity) or metric_words(quantity.removeprefix(THETA_PREFIX))


def _quantities(recorded: list[str]) -> dict[str, list[str]]:
    """Quantity -> the names of its curves: of training and of validation, if they are of a set."""
    quantities: dict[str, list[str]] = {quantity: [] for quantity in FIRST_QUANTITIES}
    for name in recorded:
        set_name, _, metric = name.partition("_")
        quantity = metric if set_name in SET_COLOURS else name
        if name.startswith(THETA_PREFIX):
            quantity = name.partition("[")[0]  # a figure for each array of parameters
        quantities.setdefault(quantity, []).append(name)
    return {quantity: names for quantity, names in quantities.items() if names and quantity not in MARKS}


def _best_epoch(stored: StoredRun) -> float | None:
    return or_none(lambda: float(stored.summary["best_epoch"]["median"]))


def _constant(curves: Iterable[np.ndarray]) -> float | None:
    """The value of a quantity that is the same in every epoch and row; None of others."""
    values = np.concatenate([curve[np.isfinite(curve)] for curve in curves])
    return float(values[0]) if is_constant(values) else None


def _remarks(rows: int, epochs: np.ndarray, best: float | None, constants: dict[str, float]) -> Iterator[str]:
    """What is drawn, and what was left out."""
    if rows > 1:
        yield f"Line: mean of {rows:,} rows; shade: {LOW_QUANTILE:.0%} to {HIGH_QUANTILE:.0%} of them."
    if 1 < rows <= FEW_ROWS:
        yield "Thin lines: single rows."
    if best is not None:
        yield f"Dotted: the best epoch{', the median of the rows' * (rows > 1)}."
    if constants:
        values = ", ".join(f"{words} {value:.4g}" for words, value in constants.items())
        yield f"The same in all epochs: {values}."
    last = epochs.max(initial=0)
    if len(epochs) < last:
        yield f"Of {last:,} epochs {len(epochs):,} are drawn, evenly spread; metrics.jsonl has all."
