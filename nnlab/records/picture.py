"""Draws curves.png, a run's learning curves: loss and error over the epochs, with a band over the rows.

Figures are created without pyplot, and so without global state or a screen. Importing matplotlib takes half a
second, so import this module only when there is something to draw.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from nnlab.records.curves import HIGH_QUANTILE, LOW_QUANTILE, Curves, bands
from nnlab.records.text import is_percentage, metric_words

SIZE_INCHES, DOTS_PER_INCH = (8.0, 10 / 3), 150  # 1200 x 500 pixels
FEW_ROWS, FEW_EPOCHS = 10, 12  # up to which each row has a line, and each epoch a dot
LOG_FROM_RATIO = 20  # the ratio max / min above which the y axis is logarithmic
# On a linear axis (some value is 0) the first tenth of the epochs is cut off if 4 times as high as the rest.
START_SHARE, CUT_RATIO = 0.1, 4
CURVE_STYLES = {"train": ("training", "#0072B2", (0, (4, 1.2))), "val": ("validation", "#D55E00", "-")}
RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
VISIBLE_CHANGE = 1.01  # the ratio from which on a learning rate has a panel
MAX_METRIC_PANELS = 1  # more would be too narrow; TensorBoard shows all
GREY, BLACK = "#707070", "#222222"  # with Okabe and Ito's colour-blind-safe palette
BEST_DOT = {
    "marker": "o", "markersize": 4.5, "markerfacecolor": CURVE_STYLES["val"][1], "markeredgecolor": "white",
    "markeredgewidth": 0.7,
}  # fmt: skip
# What a schedule did after an epoch: its name in records, words, and a mark.
MARK = {"linestyle": "", "markeredgewidth": 0.9, "zorder": 7}
EVENT_MARKS = {
    "lr_lowered": ("rate lowered", MARK | {"marker": "v", "color": "#009E73", "markeredgecolor": "white"}),
    "went_back": ("lowered, gone back", MARK | {"marker": "<", "color": "white", "markeredgecolor": BLACK}),
}
MARK_SIZE, SMALL_MARK_SIZE = 5, 3.5  # points, of one row and of several


def with_default_style(draw):
    """Decorator: draw in matplotlib's default style.

    A `matplotlibrc` in the current directory, which may be a stranger's, could make matplotlib run LaTeX.
    """

    @functools.wraps(draw)
    def drawn(*args) -> bytes:
        with style.context("default"):
            return draw(*args)

    return drawn


@with_default_style
def draw(curves: Curves, title: str, task: str, target: str = "") -> bytes:
    """The curves as a PNG of 1200 x 500 pixels; `task` and `target` determine the axis labels."""
    figure = blank_figure()
    learning_rates = curves.learning_rates[np.isfinite(curves.learning_rates)]
    further = curves.further_metrics[:MAX_METRIC_PANELS]
    widths, space = [1] * (2 + len(further)), 0.2 + 0.09 * len(further)
    note = ""
    if len(learning_rates) and learning_rates.max() > VISIBLE_CHANGE * learning_rates.min():
        # a last, narrower panel
        widths, space = [*widths, 0.55], space + 0.07
    elif len(learning_rates):
        note = f"learning rate {learning_rates[0]:.3g}"
    left, right, *others = figure.subplots(1, len(widths), width_ratios=widths)
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.145, top=0.785, wspace=space)
    _panel(left, curves, "loss", f"loss of the {target}" if target else "loss", 1)
    if task == "classification":
        _panel(right, curves, "error", "error (%)", 100)
    else:
        _panel(right, curves, "error", "RMSE (in the target's unit)", 1)
    for axes, name in zip(others, further, strict=False):
        _metric_panel(axes, curves, name, task)
    for axes in others[len(further) :]:
        _learning_rate_panel(axes, curves)
    if further and note:  # a note of its own would be over the last panel's label
        others[-1].set_xlabel(f"epoch ({note})", fontsize=9, color=BLACK)
        note = ""
    _annotate(figure, curves, title, note)
    return render_png(figure)


def blank_figure():
    """An empty figure that can be rendered without pyplot."""
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def render_png(figure) -> bytes:
    file = io.BytesIO()
    figure.canvas.print_png(file)
    return file.getvalue()


def _learning_rate_panel(axes, curves: Curves) -> None:
    """Plot the learning rate of each row, and where it was lowered."""
    axes.plot(np.arange(1, curves.epochs + 1), curves.learning_rates.T, color=BLACK, linewidth=1.0, alpha=0.7)
    best = curves.best_epoch[curves.best_epoch > 0]
    if len(best):
        axes.axvline(np.median(best), color=GREY, linewidth=0.9, linestyle=":")
    mark_events(axes, curves, curves.learning_rates)
    scale_y_axis(axes, curves.learning_rates)
    _format_epoch_axis(axes, curves, "")
    axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10], integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower left", frameon=False, fontsize=7.5, labelcolor=BLACK, handlelength=0.8, borderpad=0
        )
    axes.set_title("learning rate", fontsize=9, color=BLACK)


def _annotate(figure, curves: Curves, title: str, note: str) -> None:
    """Add title, legend, note and, where rows ended early, how many rows are in the mean."""
    size = min(9.5, 9.5 * 75 / max(len(title), 1))  # smaller for long titles
    figure.text(0.0125, 0.945, title, fontsize=size, color=BLACK, va="center", parse_math=False)
    handles = _legend_handles(curves)
    figure.legend(
        handles=handles, ncols=len(handles), loc="center left", bbox_to_anchor=(0.005, 0.865), frameon=False,
        fontsize=8, labelcolor=BLACK, columnspacing=1.6, handlelength=2.2,
    )  # fmt: skip
    figure.text(0.985, 0.02, note, fontsize=8, color=GREY, va="bottom", ha="right")
    row_counts = np.isfinite(curves.values(f"{curves.kinds[-1]}_loss")).sum(0)
    if row_counts[-1:].sum() < curves.rows:
        counts = f"rows in the mean: {row_counts[0]} at epoch 1, {row_counts[-1]} at epoch {len(row_counts)}"
        figure.text(0.985, 0.945, counts, fontsize=7.5, color=GREY, va="center", ha="right")


def _metric_panel(axes, curves: Curves, name: str, task: str) -> None:
    """Plot a metric that was measured on the validation set."""
    label, is_share = metric_words(name[4:]), is_percentage(name, task)
    _panel(axes, curves, name[4:], f"{label} (%)" if is_share else label, 100 if is_share else 1, ["val"])


def _panel(
    axes, curves: Curves, quantity: str, label: str, factor: float, kinds: list[str] | None = None
) -> None:
    """Plot one quantity: mean, band, thin lines if there are few rows, and the best epochs."""
    epochs = np.arange(1, curves.epochs + 1)
    shown = []
    dots = "o" if curves.epochs <= FEW_EPOCHS else None
    for zorder, kind in enumerate(kinds or curves.kinds, start=3):
        _, color, line_style = CURVE_STYLES[kind]
        values = factor * curves.values(f"{kind}_{quantity}")
        b = bands(values)
        shown += [b.mean, b.low, b.high]
        if curves.rows > 1:
            axes.fill_between(epochs, b.low, b.high, color=color, alpha=0.18, linewidth=0, zorder=1)
        if 1 < curves.rows <= FEW_ROWS:
            axes.plot(epochs, values.T, color=color, alpha=0.35, linewidth=0.5, zorder=2)
        axes.plot(epochs, b.mean, color=color, linestyle=line_style, linewidth=1.6, marker=dots,
                  markersize=3.5, zorder=zorder)  # fmt: skip
    _mark_best(axes, curves, values)
    if curves.rows == 1:
        mark_events(axes, curves, values)
    scale_y_axis(axes, np.array(shown))
    _format_epoch_axis(axes, curves, label)


def _format_epoch_axis(axes, curves: Curves, label: str) -> None:
    """Format the epoch axis and label the y axis."""
    margin = 0.02 * (curves.epochs - 1) or 0.5
    axes.set_xlim(1 - margin, curves.epochs + margin)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("epoch", fontsize=9, color=BLACK)
    axes.set_ylabel(label, fontsize=9, color=BLACK)
    style_axes(axes)


def _mark_best(axes, curves: Curves, validation: np.ndarray) -> None:
    """Mark the median best epoch by a line, and if there are few rows each row's by a dot."""
    rows = np.flatnonzero(curves.best_epoch)
    if not len(rows):
        return
    axes.axvline(np.median(curves.best_epoch[rows]), color=GREY, linewidth=0.9, linestyle=":", zorder=2.5)
    if len(rows) <= FEW_ROWS:
        best = curves.best_epoch[rows]
        axes.plot(best, validation[rows, best - 1], linestyle="", zorder=6, **BEST_DOT)


def mark_events(axes, curves: Curves, values: np.ndarray) -> None:
    """Mark on `values` (rows, epochs) after which epochs a schedule lowered the rate, and went back."""
    for name, happened in events(curves).items():
        rows, epochs = np.nonzero(happened)
        label, mark = EVENT_MARKS[name]
        size = MARK_SIZE if curves.rows == 1 else SMALL_MARK_SIZE
        axes.plot(epochs + 1, values[rows, epochs], label=label, markersize=size, **mark)


def events(curves: Curves) -> dict[str, np.ndarray]:
    """The kinds of events that happened, each (rows, epochs) bool; of an epoch with both, going back."""
    happened = {name: curves.happened(name) for name in EVENT_MARKS}
    happened["lr_lowered"] &= ~happened["went_back"]
    return {name: where for name, where in happened.items() if where.any()}


def scale_y_axis(axes, shown: np.ndarray) -> None:
    """Scale the y axis to the means and bands `shown`, so that a single exploding row is cut off."""
    later = shown[:, int(START_SHARE * shown.shape[1]) :]
    shown, later = (part[np.isfinite(part)] for part in (shown, later))
    if not len(shown):
        return
    low, high, highest_later = shown.min(), shown.max(), later.max(initial=0)
    if low > 0 and high > LOG_FROM_RATIO * low:
        _logarithmic(axes, low, high)
        return
    if 0 < CUT_RATIO * highest_later < high:
        note = f"cut off: first epochs, up to {high:.3g}"
        text_style = {"transform": axes.transAxes, "ha": "center", "va": "top", "backgroundcolor": "white"}
        axes.text(0.5, 0.985, note, fontsize=7.5, color=GREY, **text_style)
        high = 1.3 * highest_later
    margin = 0.04 * (high - low) or 0.5 * abs(high) or 0.5  # also where all values are equal
    axes.set_ylim(low - margin, high + margin)


def scale_x_axis(
    axes, numbers: np.ndarray, log_from: float = LOG_FROM_RATIO, dense_below: float = 100
) -> None:
    """A logarithmic axis if the numbers are positive and the largest is more than `log_from` times the least;
    with three ticks in each decade if that ratio is below `dense_below`."""
    low, high = numbers.min(), numbers.max()
    if low <= 0 or high <= log_from * low:
        return
    ticks = (1, 2, 5) if high < dense_below * low else (1,)  # in each decade
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("e-0", "e-")))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _logarithmic(axes, low: float, high: float) -> None:
    ticks = (1, 2, 5) if high < 1000 * low else (1,)  # in each decade
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("e+", "e")))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(low / 1.25, high * 1.25)


def style_axes(axes) -> None:
    """Thin axes and a pale grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=GREY, linewidth=0.7)
    axes.tick_params(labelsize=8, color=GREY, labelcolor=BLACK, width=0.7, length=3)
    axes.tick_params(which="minor", color=GREY, width=0.5, length=1.8)
    axes.grid(color="#E4E4E4", linewidth=0.6)
    axes.set_axisbelow(True)


def _legend_handles(curves: Curves) -> list:
    """The legend's entries."""
    several = curves.rows > 1
    of_several = " (mean)" if several else ""
    handles = []
    for kind in curves.kinds:
        name, color, line_style = CURVE_STYLES[kind]
        line = {"color": color, "linestyle": line_style, "linewidth": 1.6}
        handles.append(Line2D([], [], label=name + of_several, **line))
    if several:
        band = f"{LOW_QUANTILE:.0%} to {HIGH_QUANTILE:.0%} of rows"
        handles.append(Patch(color=GREY, alpha=0.3, linewidth=0, label=band))
    if 1 < curves.rows <= FEW_ROWS:
        handles.append(Line2D([], [], color=GREY, linewidth=0.5, label="single rows"))
    best = curves.best_epoch[curves.best_epoch > 0]
    if len(best):
        median = " (median)" if several else ""
        dot = BEST_DOT if len(best) <= FEW_ROWS else {}
        label = f"best epoch{median}: {np.median(best):g}"
        handles.append(Line2D([], [], color=GREY, linewidth=0.9, linestyle=":", label=label, **dot))
    return handles
