"""Draws comparison.png: loss curves of several runs, and their results by a numeric setting."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator

from nnlab.errors import visible
from nnlab.records.curves import HIGH_QUANTILE, LOW_QUANTILE, bands
from nnlab.records.dashes import alternating_dashes, solid_handle
from nnlab.records.picture import (
    BLACK,
    GREY,
    RUN_COLOURS,
    blank_figure,
    render_png,
    scale_x_axis,
    scale_y_axis,
    style_axes,
    with_default_style,
)
from nnlab.records.text_columns import elide_middle

BRIGHT_COLOURS = tuple(colour for colour in RUN_COLOURS if colour != "#000000")
NAMED_RUNS = 20  # most runs in the legend, which else has the first ones and the last
SHADED_RUNS = 8  # most runs that have a shaded band
NAME_CHARACTERS = 34


class ResultsByValue(NamedTuple):
    """Results by the value of a numeric setting, a line for each set of runs that agree in all others."""

    key: str
    label: str  # of the y axis
    lines: dict[str, np.ndarray]  # name -> (runs, 4): value of the setting; mean, low and high of the result


@with_default_style
def draw(runs: dict[str, np.ndarray], notes: list[str], label: str, results: ResultsByValue | None) -> bytes:
    """Draw a PNG of 1200 x 500 pixels.

    `runs` has a loss (rows, epochs) by name, the best run first; `notes` are appended to the names.
    """
    figure = blank_figure()
    axes, *result_panels = figure.subplots(1, 2 if results else 1, squeeze=False)[0]
    figure.subplots_adjust(left=0.075, right=0.7, bottom=0.145, top=0.95, wspace=0.32)
    _curves(axes, runs, notes)
    _label_axes(axes, "epoch", label)
    for panel in result_panels:
        _result_panel(panel, results)
    several_rows = max(values.shape[0] for values in runs.values()) > 1
    _legend(figure, axes, several_rows, len(runs))
    return render_png(figure)


def _curves(axes, runs: dict[str, np.ndarray], notes: list[str]) -> None:
    """Plot each run's mean over its rows, and if there are few runs also its band."""
    names = [
        elide_middle(name, NAME_CHARACTERS - len(note)) + note for name, note in zip(runs, notes, strict=True)
    ]
    bands_of_run = [bands(values) for values in runs.values()]
    dashes = alternating_dashes([b.mean for b in bands_of_run])
    shaded = len(runs) <= SHADED_RUNS
    shown = []
    for name, b, colour, dash in zip(names, bands_of_run, _colours(len(runs)), dashes, strict=True):
        epochs = np.arange(1, len(b.mean) + 1)
        line_style = {"color": colour, "linestyle": dash, "linewidth": 1.6 if shaded else 1.1}
        axes.plot(epochs, b.mean, label=visible(name).replace("$", r"\$"), **line_style)
        shown.append(b.mean)
        if shaded:
            axes.fill_between(epochs, b.low, b.high, color=colour, alpha=0.15, linewidth=0)
            shown += [b.low, b.high]
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    longest = max(map(len, shown))
    scale_y_axis(axes, np.array([np.pad(s, (0, longest - len(s)), constant_values=np.nan) for s in shown]))


def _colours(count: int) -> list:
    """Okabe and Ito's colours; for more runs, dark to light by rank."""
    if count <= len(BRIGHT_COLOURS):
        return list(BRIGHT_COLOURS[:count])
    return [colormaps["viridis"](0.92 * i / (count - 1)) for i in range(count)]


def _result_panel(axes, results: ResultsByValue) -> None:
    """Plot the results by the setting's value, with their intervals."""
    colours = _colours(len(results.lines))
    if len(results.lines) == 1:
        colours = [BLACK]
    shown = []
    for (name, points), colour in zip(results.lines.items(), colours, strict=True):
        x, mean, low, high = points[np.argsort(points[:, 0])].T
        label = elide_middle(visible(name), 24).replace("$", r"\$")
        axes.plot(x, mean, "o-", color=colour, markersize=3.5, linewidth=1.2, label=label)
        axes.vlines(x, low, high, color=colour, linewidth=0.8, alpha=0.6)
        shown += [mean, low, high]
    scale_y_axis(axes, np.concatenate(shown)[None])
    scale_x_axis(axes, np.concatenate([points[:, 0] for points in results.lines.values()]))
    _label_axes(axes, results.key, results.label)
    if 1 < len(results.lines) <= SHADED_RUNS:
        axes.legend(frameon=False, fontsize=7, labelcolor=BLACK)


def _label_axes(axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9, color=BLACK)
    axes.set_ylabel(y, fontsize=9, color=BLACK)
    style_axes(axes)


def _legend(figure, axes, several_rows: bool, count: int) -> None:
    """Add the legend (the first runs and the last, if there are many), and what the shade means."""
    lines, names = axes.get_legend_handles_labels()
    handles = [solid_handle(line) for line in lines]
    notes = []
    if count > NAMED_RUNS:
        first = NAMED_RUNS - 1
        notes.append(f"{count - NAMED_RUNS} more between these two, by rank")
        handles, names = [*handles[:first], handles[-1]], [*names[:first], names[-1]]
    if several_rows:
        notes.append("line: mean of the rows")
        if count <= SHADED_RUNS:
            notes.append(f"shade: {LOW_QUANTILE:.0%} to {HIGH_QUANTILE:.0%} of them")
    size, space = (8, 0.5) if count <= SHADED_RUNS else (6.2, 0.3)
    figure.legend(
        handles, names, loc="upper left", bbox_to_anchor=(0.705, 0.97), frameon=False, fontsize=size,
        labelcolor=BLACK, labelspacing=space,
    )  # fmt: skip
    figure.text(0.712, 0.03, "\n".join(notes), fontsize=6.5, color=GREY, va="bottom")
