"""Draws search.png: the trials of several samplers in the plane of two numbers, and their best so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from nnlab.arguments import is_number
from nnlab.errors import UserError, visible
from nnlab.records.picture import (
    BLACK,
    DOTS_PER_INCH,
    GREY,
    LOG_FROM_RATIO,
    RUN_COLOURS,
    SIZE_INCHES,
    render_png,
    scale_y_axis,
    style_axes,
    with_default_style,
)
from nnlab.search.domains import Domain, Interval
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, Trial, rank_trials

HEIGHT_INCHES = 5.6
MOST_SEARCHES = 5  # panels in a row; the others have a line only
SHOWN_QUANTILE = 0.75  # of the results: what is worse has the last colour
WORST_SHOWN = 0.9  # quantile of the bests, above which the lines are cut off on a linear axis
MOST_DECADES_RATIO = 1e4  # of the worst first best to the least that a logarithmic axis shows
LINE_WIDTHS = (4.0, 1.6)  # points, of the first line and the last: where they are equal, all are seen
LINE_DASHES = (
    "-",
    (0, (7, 4)),
    (0, (3, 5)),
    (0, (1, 2)),
)  # in turn: gaps show what is below
AXIS_MARGIN = 0.06  # as a share of the axis
MARGIN_TICK = 0.035  # length of the ticks in the margins, as a share of the panel


@dataclass(frozen=True)
class Searched:
    """What one sampler tried."""

    sampler: str
    trials: Sequence[Trial]

    def best_so_far(self, sign: int) -> np.ndarray:
        """The best first objective after each trial, NaN before one is complete."""
        values = [sign * t.values[0] if t.state == COMPLETE else np.inf for t in self.in_order]
        best = np.minimum.accumulate(values)
        return np.where(np.isfinite(best), sign * best, np.nan)

    @property
    def in_order(self) -> list[Trial]:
        return sorted(self.trials, key=lambda trial: trial.number)


@with_default_style
def draw(searches: list[Searched], space: Space, objective: str, sign: int) -> bytes:
    """A PNG of 1200 x 840 pixels, without the panels 1200 x 500. `objective` is its label; `sign`: 1 if the
    least is the best, else -1. Raises `UserError` where there are
    neither panels nor a trial that was completed."""
    keys = [key for key in space.always if _scale(space.domains[key])][:2]
    panels = searches[:MOST_SEARCHES] if len(keys) == 2 else []
    if not panels and not any(trial.state == COMPLETE for search in searches for trial in search.trials):
        raise UserError("no trial was completed, so there is nothing to draw")
    figure = Figure(
        figsize=(SIZE_INCHES[0], HEIGHT_INCHES if panels else SIZE_INCHES[1]),
        dpi=DOTS_PER_INCH,
        facecolor="white",
    )
    FigureCanvasAgg(figure)
    if panels:
        _panels(figure, panels, keys, space, objective, sign)
    lines = figure.add_axes([0.075, 0.09 if panels else 0.15, 0.7, 0.29 if panels else 0.75])
    _lines(lines, searches, objective, sign)
    return render_png(figure)


def _panels(
    figure, searches: list[Searched], keys: list[str], space: Space, objective: str, sign: int
) -> None:
    """A panel for each sampler: its trials as dots, whose colour is their result."""
    left, right, gap = 0.075, 0.89, 0.04
    width = (right - left - gap * (len(searches) - 1)) / len(searches)
    values = [t.values[0] for search in searches for t in search.trials if t.state == COMPLETE]
    colours = {"norm": _colour_scale(np.array(values), sign), "cmap": "viridis" if sign > 0 else "viridis_r"}
    dots = None
    for number, search in enumerate(searches):
        axes = figure.add_axes([left + number * (width + gap), 0.53, width, 0.36])
        dots = _panel(axes, search, keys, space, colours, sign) or dots
        axes.set_ylabel(visible(keys[1]) if number == 0 else "", fontsize=9, color=BLACK, parse_math=False)
        axes.tick_params(labelleft=number == 0)
    if dots is not None:
        bar = figure.colorbar(dots, cax=figure.add_axes([0.925, 0.53, 0.012, 0.36]), extend="both")
        bar.ax.tick_params(labelsize=8, which="both")
        if isinstance(colours["norm"], LogNorm):
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            bar.ax.yaxis.set_major_formatter(lambda x, _: f"{x:g}")
            bar.ax.yaxis.set_minor_locator(NullLocator())
        text = {"fontsize": 8, "color": BLACK, "parse_math": False}
        figure.text(0.985, 0.945, visible(objective), ha="right", va="bottom", **text)


def _panel(axes, search: Searched, keys: list[str], space: Space, colours: dict, sign: int):
    """Plot the trials of one sampler, and their numbers of distinct values in the margins."""
    complete = [t for t in search.in_order if t.state == COMPLETE]
    failed = [t for t in search.in_order if t.state != COMPLETE]
    x, y = _coordinates(complete, keys)
    dots = (
        axes.scatter(x, y, c=[t.values[0] for t in complete], s=17, zorder=3, **colours) if complete else None
    )
    axes.scatter(*_coordinates(failed, keys), marker="x", s=14, linewidths=0.8, color=GREY, zorder=3)
    for best in rank_trials(search.trials, (sign,))[:1]:
        style = {"facecolors": "none", "edgecolors": RUN_COLOURS[1], "linewidths": 1.5}
        axes.scatter(*_coordinates([best], keys), s=85, zorder=4, **style)
    for axis, key in (("x", keys[0]), ("y", keys[1])):
        low, high, is_log = _scale(space.domains[key])
        getattr(axes, f"set_{axis}scale")("log" if is_log else "linear")
        getattr(axes, f"set_{axis}lim")(low, high)
    _margin_ticks(axes, *_coordinates(search.in_order, keys))
    style_axes(axes)
    axes.set_xlabel(visible(keys[0]), fontsize=9, color=BLACK, parse_math=False)
    title = f"{visible(search.sampler)}: {len(search.trials)} trials"
    axes.set_title(title, fontsize=9.5, color=BLACK, pad=20, parse_math=False)
    return dots


def _coordinates(trials: list[Trial], keys: list[str]) -> list[list]:
    return [[t.params[key] for t in trials] for key in keys]


def _scale(domain: Domain) -> tuple[float, float, bool] | None:
    """Where an axis begins and ends, and whether it is logarithmic; None of what is no number."""
    if isinstance(domain, Interval):
        low, high, is_log = domain.low, domain.high, domain.log
    else:
        labels = domain.points(None)
        if not all(is_number(label) for label in labels) or len(set(labels)) < 2:
            return None
        low, high = min(labels), max(labels)
        is_log = 0 < LOG_FROM_RATIO * low < high
    margin = (high / low) ** AXIS_MARGIN if is_log else AXIS_MARGIN * (high - low)
    return (low / margin, high * margin, True) if is_log else (low - margin, high + margin, False)


def _margin_ticks(axes, x: list[float], y: list[float]) -> None:
    """A tick in the margin for each value that was tried, and how many there are."""
    style = {"color": BLACK, "linewidth": 0.7, "clip_on": False}
    axes.vlines(sorted(set(x)), 1.01, 1.01 + MARGIN_TICK, transform=axes.get_xaxis_transform(), **style)
    axes.hlines(sorted(set(y)), 1.01, 1.01 + MARGIN_TICK, transform=axes.get_yaxis_transform(), **style)
    text = {"fontsize": 7.5, "color": GREY, "transform": axes.transAxes}
    axes.text(0.5, 1.02 + MARGIN_TICK, f"{len(set(x))} values", ha="center", va="bottom", **text)


def _colour_scale(values: np.ndarray, sign: int) -> Normalize:
    """From the best result to one that a quarter is worse than; logarithmic if that is far."""
    ends = (
        np.sort([np.min(sign * values), np.quantile(sign * values, SHOWN_QUANTILE)])
        if len(values)
        else [0, 1]
    )
    low, high = np.sort(sign * np.array(ends))
    return (LogNorm if 0 < 3 * low < high else Normalize)(low, high if high > low else low + 1)


def _lines(axes, searches: list[Searched], objective: str, sign: int) -> None:
    """The best result of each sampler after each trial."""
    shown = []
    widths = np.linspace(*LINE_WIDTHS, len(searches))
    for search, colour, width, dash in zip(searches, RUN_COLOURS, widths, cycle(LINE_DASHES)):
        best = search.best_so_far(sign)
        name = f"{visible(search.sampler)}: {best[-1]:.4g}" if len(best) else visible(search.sampler)
        style = {"color": colour, "linewidth": width, "linestyle": dash}
        axes.step(np.arange(1, len(best) + 1), best, where="post", label=name, **style)
        shown.append(best)
    known = np.concatenate(shown)[np.isfinite(np.concatenate(shown))]
    if len(known):
        scale_y_axis(axes, np.where(_is_shown(known, sign), known, np.nan)[None])
    style_axes(axes)
    axes.set_xlabel("trials", fontsize=9, color=BLACK)
    axes.set_ylabel(f"best {visible(objective)}", fontsize=9, color=BLACK, parse_math=False)
    axes.legend(
        title="best after all trials", frameon=False, fontsize=8, title_fontsize=8, labelcolor=BLACK,
        loc="upper left", bbox_to_anchor=(1.02, 1.0), alignment="left",
    )  # fmt: skip


def _is_shown(known: np.ndarray, sign: int) -> np.ndarray:
    """Which bests the y axis reaches: all, if a logarithmic one can, or else all but the worst."""
    low, high = known.min(), known.max()
    if 0 < LOG_FROM_RATIO * low < high < MOST_DECADES_RATIO * low:
        return np.ones(len(known), bool)
    return sign * known <= np.quantile(sign * known, WORST_SHOWN)
