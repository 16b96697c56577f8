"""Panels of a picture: one for each run, all of the same size, and what stands around them."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nnlab.errors import visible
from nnlab.records.picture import BLACK, DOTS_PER_INCH, GREY, SIZE_INCHES, style_axes
from nnlab.records.run_summaries import brief_names
from nnlab.records.text_columns import elide_middle

MOST_PANELS, MOST_COLUMNS = 12, 4
# Inches around all panels together, and between them.
LEFT, RIGHT, BOTTOM, LEGEND = 0.62, 0.15, 0.5, 0.36
GAP, TICKS_INCHES, TITLE_INCHES = 0.5, 0.25, 0.17  # a line of a title
MOST_HEIGHT = 3.6  # of a panel
CHARACTERS_PER_INCH = 13.5  # of a title
LEGEND_CHARACTERS = 84  # of one line, beside its marks


def shown(runs: list) -> tuple[list, str]:
    """The runs that have panels, and a note where others have none."""
    left_out = len(runs) - MOST_PANELS
    return runs[:MOST_PANELS], f"the first {MOST_PANELS} of {len(runs)} runs" if left_out > 0 else ""


def titled_panels(
    titles: list[tuple[str, str]], aspect: float, share_axes: bool = True, right: float = RIGHT
):
    """`panels`, one for each title: a name and a result, in one line if all of them fit."""
    columns = column_count(len(titles))
    longest = _title_length(columns, right)
    names = brief_names([name for name, _ in titles], longest)
    parts = [
        [visible(part) for part in (name, result) if part]
        for name, (_, result) in zip(names, titles, strict=True)
    ]
    fit = all(len("   ".join(part)) <= longest for part in parts)
    figure, axes = panels(len(titles), aspect, share_axes, right=right, title_lines=1 if fit else 2)
    for panel, part in zip(axes, parts, strict=True):
        text = "   ".join(part) if fit else "\n".join(elide_middle(line, longest) for line in part)
        panel.set_title(text, fontsize=9, color=BLACK, parse_math=False, pad=4)
    return figure, axes


def panels(
    count: int,
    aspect: float = 0.75,
    share_axes: bool = True,
    most_columns: int = MOST_COLUMNS,
    right: float = RIGHT,
    title_lines: int = 1,
) -> tuple[Figure, list]:
    """A figure, 1200 pixels wide, of `count` panels, at most `MOST_PANELS`; `aspect` is height / width.

    At its right, so many inches stay free.
    """
    columns = column_count(count, most_columns)
    lines = -(-count // columns)
    title_inches = 0.06 + TITLE_INCHES * title_lines
    width, gap, top = _width(columns, right), title_inches + TICKS_INCHES, LEGEND + title_inches
    height = min(width * aspect, MOST_HEIGHT)
    total = lines * height + (lines - 1) * gap + BOTTOM + top
    figure = Figure(figsize=(SIZE_INCHES[0], total), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=share_axes, sharey=share_axes)
    margins = {"left": LEFT / SIZE_INCHES[0], "right": 1 - right / SIZE_INCHES[0]}
    margins |= {"bottom": BOTTOM / total, "top": 1 - top / total}
    figure.subplots_adjust(**margins, wspace=GAP / width, hspace=gap / height)
    for axes in grid.flat[count:]:
        axes.remove()
    return figure, [*grid.flat[:count]]


def column_count(count: int, most: int = MOST_COLUMNS) -> int:
    """In how many columns so many panels stand: few of them leave no place empty."""
    return min(count, 3 if count in (5, 6, 9) else most)


def _width(columns: int, right: float) -> float:
    """Inches of a panel."""
    return (SIZE_INCHES[0] - LEFT - right - (columns - 1) * GAP) / columns


def _title_length(columns: int, right: float) -> int:
    """How many characters of a title fit over a panel."""
    return int(CHARACTERS_PER_INCH * (_width(columns, right) + 0.6 * GAP))


def title(axes, text: str, columns: int) -> None:
    """The title of a panel, as long as its share of the width allows."""
    longest = _title_length(columns, RIGHT)
    axes.set_title(elide_middle(visible(text), longest), fontsize=9, color=BLACK, parse_math=False, pad=4)


def label_outside(all_axes: list, x: str, y: str) -> None:
    """Label the axes of panels where no other panel stands below, or to the left of them."""
    below = {axes.get_subplotspec().colspan.start: axes for axes in all_axes}
    for axes in all_axes:
        style_axes(axes)
        if len(axes.get_shared_x_axes().get_siblings(axes)) > 1:
            axes.tick_params(labelbottom=axes in below.values())
        if axes in below.values():
            axes.set_xlabel(visible(x), fontsize=9, color=BLACK, parse_math=False)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(visible(y), fontsize=9, color=BLACK, parse_math=False)


def legend(figure, handles: list, note: str = "") -> None:
    """One line above all panels: what is what, and at its right a note."""
    height = figure.get_size_inches()[1]
    length = sum(len(handle.get_label()) + 4 for handle in handles)
    spacing = 1.6 if length <= LEGEND_CHARACTERS else 0.9
    drawn = figure.legend(
        handles=handles, ncols=len(handles), loc="upper left", bbox_to_anchor=(0.005, 1 - 0.02 / height),
        frameon=False, fontsize=8 if length < 1.2 * LEGEND_CHARACTERS else 7.5, labelcolor=BLACK,
        columnspacing=spacing, handlelength=spacing + 0.3, handletextpad=0.6,
    )  # fmt: skip
    for text in drawn.get_texts():
        text.set_parse_math(False)
    style = {"fontsize": 7.5, "color": GREY, "va": "bottom", "ha": "right", "parse_math": False}
    figure.text(0.985, 0.06 / height, note, **style)


def note_above(figure, note: str) -> None:
    """A note above all panels, at the right: beside a legend that leaves room there."""
    height = figure.get_size_inches()[1]
    style = {"fontsize": 8, "color": GREY, "va": "top", "ha": "right", "parse_math": False}
    figure.text(0.985, 1 - 0.1 / height, note, **style)
