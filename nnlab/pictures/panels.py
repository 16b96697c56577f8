"""Panels of a picture: one for each run, all of the same scale, and what stands around them."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nnlab.errors import visible
from nnlab.records.picture import BLACK, DOTS_PER_INCH, GREY, SIZE_INCHES, style_axes
from nnlab.records.text_columns import elide_middle

MOST_PANELS, MOST_COLUMNS = 12, 4
MARGINS = {"left": 0.62, "right": 0.15, "bottom": 0.5, "top": 0.62}  # inches, of all panels together
GAP_INCHES = 0.5  # between panels, for numbers and titles
TITLE_CHARACTERS = 110  # over the whole width at 9 points; a panel has its share


def panels(count: int, aspect: float = 0.75, share_axes: bool = True) -> tuple[Figure, list]:
    """A figure, 1200 pixels wide, of `count` panels, at most `MOST_PANELS`; `aspect` is height / width."""
    columns = min(count, MOST_COLUMNS if count != 6 else 3)
    lines = -(-count // columns)
    width = (SIZE_INCHES[0] - MARGINS["left"] - MARGINS["right"] - (columns - 1) * GAP_INCHES) / columns
    height = min(width * aspect, 3.6)
    total = lines * height + (lines - 1) * GAP_INCHES + MARGINS["bottom"] + MARGINS["top"]
    figure = Figure(figsize=(SIZE_INCHES[0], total), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=share_axes, sharey=share_axes)
    figure.subplots_adjust(
        left=MARGINS["left"] / SIZE_INCHES[0], right=1 - MARGINS["right"] / SIZE_INCHES[0],
        bottom=MARGINS["bottom"] / total, top=1 - MARGINS["top"] / total,
        wspace=GAP_INCHES / width, hspace=GAP_INCHES / height,
    )  # fmt: skip
    for axes in grid.flat[count:]:
        axes.remove()
    return figure, [*grid.flat[:count]]


def shown(runs: list) -> tuple[list, str]:
    """The runs that have panels, and a note where others have none."""
    left_out = len(runs) - MOST_PANELS
    return runs[:MOST_PANELS], f"the first {MOST_PANELS} of {len(runs)} runs" if left_out > 0 else ""


def title(axes, text: str, columns: int) -> None:
    """The title of a panel, as long as its share of the width allows."""
    longest = max(TITLE_CHARACTERS // columns - 2, 12)
    axes.set_title(elide_middle(visible(text), longest), fontsize=9, color=BLACK, parse_math=False, pad=4)


def label_outside(all_axes: list, x: str, y: str) -> None:
    """Label the axes of panels where no other panel stands below, or to the left of them."""
    below = {axes.get_subplotspec().colspan.start: axes for axes in all_axes}
    for axes in all_axes:
        style_axes(axes)
        axes.tick_params(labelbottom=axes in below.values())
        if axes in below.values():
            axes.set_xlabel(visible(x), fontsize=9, color=BLACK, parse_math=False)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(visible(y), fontsize=9, color=BLACK, parse_math=False)


def legend(figure, handles: list, note: str = "") -> None:
    """One line above all panels: what is what, and at its right a note."""
    height = figure.get_size_inches()[1]
    if handles:
        figure.legend(
            handles=handles, ncols=len(handles), loc="upper left", bbox_to_anchor=(0.005, 1 - 0.02 / height),
            frameon=False, fontsize=8, labelcolor=BLACK, columnspacing=1.6, handlelength=2.0,
        )  # fmt: skip
    figure.text(
        0.985, 0.06 / height, note, fontsize=7.5, color=GREY, va="bottom", ha="right", parse_math=False
    )
