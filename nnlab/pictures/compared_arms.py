"""compare.png: each arm's seeds, mean and interval, and beside them its paired difference to the best arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nnlab.errors import visible
from nnlab.pictures.panels import legend
from nnlab.records.arms_table import letter_ranges, shown_names
from nnlab.records.best_differences import BestDifference, best_differences, difference_range, far_number
from nnlab.records.compared_quantity import LARGEST_DRAWN, ComparedQuantity, is_known
from nnlab.records.comparison_words import scope_note
from nnlab.records.pair_sentences import p_words
from nnlab.records.picture import (
    BLACK,
    DOTS_PER_INCH,
    GREY,
    SIZE_INCHES,
    render_png,
    scale_x_axis,
    style_axes,
    with_default_style,
)
from nnlab.records.text_columns import elide_middle

if TYPE_CHECKING:
    from nnlab.statistics.comparison import Arm, Comparison

SEEDS_COLOUR, SHOWN_COLOUR = "#0072B2", "#D55E00"  # of Okabe and Ito
MOST_ARMS, MOST_DATA = 40, 6  # of a panel, and panels below each other
ROW_INCHES, FEW_ROWS_INCHES = 0.27, 0.38  # of an arm; where there are few
FEW_ARMS = 8
TOP, TITLE_INCHES, AXIS_INCHES, NOTE_INCHES, MARGIN, GAP = 0.36, 0.22, 0.5, 0.18, 0.2, 0.25
P_INCHES, LETTER_INCHES = 0.8, 0.062  # at the right: p, and a letter
ARMS_SHARE = 0.56  # of the width, the rest is for the differences
NAME_CHARACTERS, LABEL_CHARACTERS = 34, 42  # of a name, and with how many of its rows diverged
INCHES_PER_CHARACTER = 0.068
SPREAD = (
    0.3  # of a row's height, over which its seeds are spread, in their order: a seed has one place in all
)


@dataclass(frozen=True)
class ComparedArms:
    """A panel: the comparison of a quantity, and each arm's values, (units,), NaN where one diverged; arms
    without any have no dots."""

    comparison: Comparison
    quantity: ComparedQuantity
    values: Mapping[str, np.ndarray]
    data: str = ""


@with_default_style
def draw(panels: Sequence[ComparedArms]) -> bytes:
    """A PNG, 1200 pixels wide, with a panel for each data set: the best arm is at the top of each.

    Left: every seed as a dot, the mean, its interval. Right: the mean paired difference to the best arm and
    its interval, filled where it is shown to differ; positive: the best is better.
    """
    return render_png(figure_of(panels))


def figure_of(panels: Sequence[ComparedArms]) -> Figure:
    """The figure, of two axes a panel."""
    panels, left_out = panels[:MOST_DATA], len(panels) - MOST_DATA
    labels = [_labels(panel) for panel in panels]
    title = TITLE_INCHES if any(panel.data for panel in panels) else 0.0
    heights = [_row_inches(len(of_panel)) * len(of_panel) for of_panel in labels]
    note = _note(panels, left_out)
    width, height = SIZE_INCHES[0], TOP + sum(heights) + len(panels) * (title + AXIS_INCHES)
    height += NOTE_INCHES * bool(note)
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    left = MARGIN + INCHES_PER_CHARACTER * max(len(label) for of_panel in labels for label in of_panel)
    letters = max(LETTER_INCHES * _letter_count(panel.comparison) for panel in panels)
    room = width - left - GAP - letters - P_INCHES
    top = height - TOP
    for panel, names, rows_height in zip(panels, labels, heights, strict=True):
        bottom = top - title - rows_height
        places = ((left, ARMS_SHARE * room), (left + ARMS_SHARE * room + GAP, (1 - ARMS_SHARE) * room))
        arms, differences = (
            figure.add_axes((x / width, bottom / height, w / width, rows_height / height)) for x, w in places
        )
        _draw_arms(arms, panel, names)
        _draw_differences(differences, panel, letters)
        if panel.data:
            text = visible(f"{panel.data}: {panel.quantity.label}")
            arms.set_title(text, fontsize=9, color=BLACK, loc="left", parse_math=False, pad=5)
        top = bottom - AXIS_INCHES
    legend(figure, _handles(panels[0].comparison), note)
    return figure


def _note(panels: Sequence[ComparedArms], left_out: int) -> str:
    """What the verdicts cover, and what is not drawn."""
    scopes = {scope_note(panel.comparison): panel.data for panel in reversed(panels)}
    scopes = {note: visible(data) for note, data in reversed(scopes.items()) if note}
    covered = [f"{data}: {note}" if data and len(scopes) > 1 else note for note, data in scopes.items()]
    most_arms = max(len(panel.comparison.arms) for panel in panels)
    notes = [f"the first {MOST_DATA} of {MOST_DATA + left_out} data sets"] * (left_out > 0)
    notes += [f"the first {MOST_ARMS} of {most_arms} arms"] * (most_arms > MOST_ARMS)
    return "; ".join([*covered, *notes])


def _row_inches(count: int) -> float:
    return FEW_ROWS_INCHES if count <= FEW_ARMS else ROW_INCHES


def _shown_arms(comparison: Comparison) -> Sequence[Arm]:
    return comparison.arms[:MOST_ARMS]


def _labels(panel: ComparedArms) -> list[str]:
    """The names of the arms, and how many of their units diverged."""
    names = shown_names([arm.name for arm in panel.comparison.arms], NAME_CHARACTERS)
    labels, did = [], panel.quantity.failed
    for arm in _shown_arms(panel.comparison):
        failed = f" ({arm.diverged} of {arm.n + arm.diverged} {did})" if arm.diverged else ""
        longest = min(NAME_CHARACTERS, LABEL_CHARACTERS - len(failed))
        labels.append(elide_middle(names[arm.name], longest) + failed)
    return labels


def _draw_arms(axes, panel: ComparedArms, labels: list[str]) -> None:
    """Each arm's values as dots, its mean and interval above them."""
    factor, numbers = panel.quantity.factor, []
    for y, arm in enumerate(_shown_arms(panel.comparison)):
        values = factor * np.asarray(panel.values.get(arm.name, ()), float)
        places = y + (np.linspace(-SPREAD, SPREAD, len(values)) if len(values) > 1 else np.zeros(len(values)))
        kept = np.isfinite(values)
        axes.plot(values[kept], places[kept], "o", color=SEEDS_COLOUR, markersize=3.4, alpha=0.45, mec="none")
        if is_known(arm.mean):
            mean = factor * arm.mean
            numbers += [mean, *values[kept]]
            if is_known(arm.low) and is_known(arm.high):
                numbers += [factor * arm.low, factor * arm.high]
                axes.hlines(y, factor * arm.low, factor * arm.high, color=BLACK, linewidth=1.6, zorder=3)
            axes.plot(mean, y, "D", color=BLACK, markersize=4.6, mec="white", mew=0.7, zorder=4)
    _scale(axes, np.array(numbers))
    _rows(axes, len(labels), labels)
    axes.set_xlabel(panel.quantity.axis_label, fontsize=9, color=BLACK)


def _scale(axes, numbers: np.ndarray) -> None:
    numbers = numbers[np.abs(numbers) < LARGEST_DRAWN]
    if not len(numbers):
        axes.set_xticks([])
        return
    margin = 0.04 * np.ptp(numbers) or 0.05 * abs(numbers[0]) or 0.5
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlim(numbers.min() - margin, numbers.max() + margin)
    scale_x_axis(axes, numbers)
    if axes.get_xscale() == "log":
        axes.set_xlim(numbers.min() / 1.1, numbers.max() * 1.1)


def _draw_differences(axes, panel: ComparedArms, letters: float) -> None:
    """The forest plot: by how much each arm is worse than the best, with the interval and p."""
    best, *_ = panel.comparison.arms
    differences = best_differences(panel.comparison, panel.quantity)[: MOST_ARMS - 1]
    axes.set_xlim(difference_range(differences))
    axes.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    _beside(axes, 0, best, "best", letters)
    for y, difference in enumerate(differences, 1):
        pair = difference.pair
        _draw_difference(axes, y, difference)
        p = p_words(pair.p_holm) if is_known(pair.p_holm) else "the same" * (pair.verdict == "identical")
        _beside(axes, y, difference.arm, p, letters)
    _rows(axes, len(differences) + 1, None)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    unit = f" ({panel.quantity.unit})" if panel.quantity.unit else ""
    axes.set_xlabel(f"worse than the best by{unit}", fontsize=9, color=BLACK)


def _draw_difference(axes, y: int, difference: BestDifference) -> None:
    """A dot with its interval; an arrow with its number where it is off the axis."""
    mean, low, high = difference.mean, difference.low, difference.high
    if mean is None:
        return
    colour = SHOWN_COLOUR if difference.is_shown else GREY
    left, right = axes.get_xlim()
    if low is not None and high is not None and low < right and high > left:
        axes.hlines(y, max(low, left), min(high, right), color=colour, linewidth=1.6, zorder=3)
    if left <= mean <= right:
        fill = colour if difference.is_shown else "white"
        axes.plot(mean, y, "o", color=fill, mec=colour, mew=1.2, markersize=5, zorder=4)
        return
    edge, sign, side, inwards = (right, ">", "right", -3) if mean > right else (left, "<", "left", 3)
    axes.plot(edge, y, sign, color=colour, markersize=6, zorder=4, clip_on=False)
    style = {"fontsize": 7, "color": GREY, "ha": side, "va": "bottom", "textcoords": "offset points"}
    axes.annotate(far_number(mean), (edge, y), (inwards, 3), **style)


def _beside(axes, y: int, arm: Arm, p: str, letters: float) -> None:
    """At the right of a row: the arm's letters, in a column of so many inches, and p."""
    for text, inches in ((letter_ranges(arm.letters) * bool(letters), 0.0), (p, letters)):
        axes.annotate(
            text, (1, y), (6 + 72 * inches, 0), xycoords=("axes fraction", "data"), va="center",
            textcoords="offset points", fontsize=7.5, color=BLACK, annotation_clip=False,
        )  # fmt: skip


def _letter_count(comparison: Comparison) -> int:
    """Of the arm with the most, and a space; none where there is a single pair."""
    longest = max(len(letter_ranges(arm.letters)) for arm in _shown_arms(comparison))
    return longest + 2 if len(comparison.arms) > 2 else 0


def _rows(axes, count: int, labels: list[str] | None) -> None:
    """A row for each arm, from the top."""
    style_axes(axes)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(range(count), [] if labels is None else labels, parse_math=False)
    axes.tick_params(axis="y", length=0, labelleft=labels is not None)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    for y in range(0, count, 2):
        axes.axhspan(y - 0.5, y + 0.5, color="#F4F5F7", zorder=0, linewidth=0)


def _handles(comparison: Comparison) -> list[Line2D]:
    """The legend: what each mark means."""
    level, unit = f"{comparison.level:.0%} interval", comparison.unit
    dot = {"linestyle": "", "marker": "o"}
    return [
        Line2D([], [], label=f"one {unit}", color=SEEDS_COLOUR, alpha=0.5, markersize=4, mec="none", **dot),
        Line2D([], [], label=f"mean, {level}", color=BLACK, linewidth=1.6, marker="D", markersize=4.5),
        Line2D([], [], label="shown to differ from the best", color=SHOWN_COLOUR, markersize=5, **dot),
        Line2D([], [], label="not shown", color="white", mec=GREY, mew=1.2, markersize=5, **dot),
    ]
