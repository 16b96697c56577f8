"""Runs beside each other in one picture: their curves, and their results against a number that varies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nnlab.errors import visible
from nnlab.records.picture import (
    BLACK,
    GREY,
    HIGH,
    LOG_FROM,
    LOW,
    RUNS,
    as_png,
    bands,
    blank_figure,
    in_default_style,
    quiet,
    scale,
)  # fmt: skip
from nnlab.records.text_columns import shortened

COLOURS = tuple(colour for colour in RUNS if colour != "#000000")
NAMED, SHADED, LETTERS = 20, 8, 34  # runs with a name, with a shade; letters of a name
DASH = 5.0  # points: where curves are equal, each is drawn in dashes between those of the others


class Against(NamedTuple):
    """Results against the number that varies: a line for each set of runs that agree in all else."""

    key: str
    label: str  # of the results
    lines: dict[str, np.ndarray]  # name -> (runs, 4): the number; mean, low and high of the result


@in_default_style
def draw(runs: dict[str, np.ndarray], notes: list[str], label: str, against: Against | None) -> bytes:
    """A PNG of 1200 x 500 pixels. `runs` has a loss (rows, epochs) by name, the best first; `notes` stand
    behind the names."""
    from matplotlib.ticker import MaxNLocator

    figure = blank_figure()
    axes, *others = figure.subplots(1, 2 if against else 1, squeeze=False)[0]
    figure.subplots_adjust(left=0.075, right=0.7, bottom=0.145, top=0.95, wspace=0.32)
    colours, each = _colours(len(runs)), [bands(values) for values in runs.values()]
    names = [shortened(name, LETTERS - len(note)) + note for name, note in zip(runs, notes, strict=True)]
    thick = 1.6 if len(runs) <= SHADED else 1.1
    for name, b, colour, dashes in zip(names, each, colours, _dashes([b.mean for b in each]), strict=True):
        epochs, look = (
            np.arange(1, len(b.mean) + 1),
            {"color": colour, "linestyle": dashes, "linewidth": thick},
        )
        if len(runs) <= SHADED:
            axes.fill_between(epochs, b.low, b.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(epochs, b.mean, label=visible(name).replace("$", r"\$"), **look)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    longest = max(len(b.mean) for b in each)
    shown = [s for b in each for s in ([b.mean, b.low, b.high] if len(runs) <= SHADED else [b.mean])]
    scale(axes, np.array([np.pad(s, (0, longest - len(s)), constant_values=np.nan) for s in shown]))
    _named(axes, "epoch", label)
    for panel in others:
        _result(panel, against)
    _legend(figure, axes, max(values.shape[0] for values in runs.values()) > 1, len(runs))
    return as_png(figure)


def _colours(count: int) -> list:
    """Those of Okabe and Ito; of more runs, from dark to light by rank."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps

    return [colormaps["viridis"](0.92 * i / (count - 1)) for i in range(count)]


def _dashes(curves: list[np.ndarray]) -> list:
    """A line style for each curve: solid, but for those that would hide each other."""
    finite = [np.nan_to_num(curve, nan=-1.0) for curve in curves]
    same = [[k for k, other in enumerate(finite) if _equal(one, other)] for one in finite]
    return [
        "-" if len(s) == 1 else (DASH * s.index(i), (DASH, DASH * (len(s) - 1))) for i, s in enumerate(same)
    ]


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return len(one) == len(other) and np.allclose(one, other, rtol=1e-3, atol=1e-9)


def _result(axes, against: Against) -> None:
    """The results against the number, with their intervals."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    shown, numbers = [], np.concatenate([points[:, 0] for points in against.lines.values()])
    for (name, points), colour in zip(against.lines.items(), _colours(len(against.lines)), strict=True):
        x, mean, low, high = points[np.argsort(points[:, 0])].T
        alone = len(against.lines) == 1
        axes.plot(x, mean, "o-", color=BLACK if alone else colour, markersize=3.5, linewidth=1.2,
                  label=shortened(visible(name), 24).replace("$", r"\$"))  # fmt: skip
        axes.vlines(x, low, high, color=BLACK if alone else colour, linewidth=0.8, alpha=0.6)
        shown += [mean, low, high]
    scale(axes, np.concatenate(shown)[None])
    if numbers.min() > 0 and numbers.max() > LOG_FROM * numbers.min():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(
            LogLocator(subs=(1, 2, 5) if numbers.max() < 100 * numbers.min() else (1,))
        )
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("e-0", "e-")))
        axes.xaxis.set_minor_formatter(NullFormatter())
    _named(axes, against.key, against.label)
    if 1 < len(against.lines) <= SHADED:
        axes.legend(frameon=False, fontsize=7, labelcolor=BLACK)


def _named(axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9, color=BLACK)
    axes.set_ylabel(y, fontsize=9, color=BLACK)
    quiet(axes)


def _legend(figure, axes, several_rows: bool, count: int) -> None:
    """All names, or of many runs the first and the last; what the shade is."""
    handles, names = axes.get_legend_handles_labels()
    said = []
    if count > NAMED:
        first = NAMED - 1
        said = [f"{count - NAMED} more between these two, by rank"]
        handles, names = [*handles[:first], handles[-1]], [*names[:first], names[-1]]
    if several_rows:
        shade = f"\nshade: {LOW:.0%} to {HIGH:.0%} of them" if count <= SHADED else ""
        said.append(f"line: mean of the rows{shade}")
    size, space = (8, 0.5) if count <= SHADED else (6.2, 0.3)
    figure.legend(
        handles, names, loc="upper left", bbox_to_anchor=(0.705, 0.97), frameon=False, fontsize=size,
        labelcolor=BLACK, labelspacing=space,
    )  # fmt: skip
    figure.text(0.712, 0.03, "\n".join(said), fontsize=6.5, color=GREY, va="bottom")
