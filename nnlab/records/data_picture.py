"""The picture of the rung data: a part of the table, as it is read and as the network gets it."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps

from nnlab.errors import visible
from nnlab.records.picture import BLACK, GREY, blank_figure, render_png, with_default_style

COLOURS = "cividis"  # of numbers that are not 0; a 0 is white
FAR_OUT = 98  # percentile of the sizes beyond which numbers have the last colour


@with_default_style
def data(details: dict, title: str) -> bytes:
    figure = blank_figure()
    figure.text(0.0125, 0.945, title, fontsize=9.5, color=BLACK, va="center", parse_math=False)
    inputs = details["inputs"]
    examples, columns = inputs["shape"]
    if not examples * columns:
        figure.text(0.5, 0.5, "no inputs are numbers", fontsize=9, color=GREY, ha="center")
        return render_png(figure)
    panels = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.06, right=0.94, bottom=0.14, top=0.8, wspace=0.22)
    names = "as it is read", f"after data.normalization={visible(inputs['normalization'])}"
    for axes, name, table, zeros in zip(
        panels, names, (inputs["before"], inputs["after"]), inputs["zeros"], strict=True
    ):
        _draw_table(figure, axes, np.array(table, float), columns)
        axes.set_title(f"{name}: {zeros:.0%} of the inputs are 0", fontsize=9, color=BLACK, parse_math=False)
    panels[0].set_ylabel("example", fontsize=9, color=BLACK)
    return render_png(figure)


def _draw_table(figure, axes, table: np.ndarray, columns: int) -> None:
    """The table as an image, an example a line; zeros and missing numbers are white."""
    shown = np.ma.masked_where(~np.isfinite(table) | (table == 0), table)
    sizes = np.abs(shown.compressed())
    limit = float(np.percentile(sizes, FAR_OUT)) if len(sizes) else 1.0
    lowest = -limit if (shown < 0).any() else 0.0
    image = axes.imshow(
        shown, cmap=colormaps[COLOURS], vmin=lowest, vmax=limit, aspect="auto", interpolation="nearest"
    )
    axes.set_facecolor("white")
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02)
    bar.ax.tick_params(labelsize=7.5, color=GREY, labelcolor=BLACK)
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=8, color=GREY, labelcolor=BLACK)
    for spine in axes.spines.values():
        spine.set(color=GREY, linewidth=0.7)
    some = f"{table.shape[1]} of {columns:,} inputs" if table.shape[1] < columns else "input"
    axes.set_xlabel(f"{some} (a 0 is white)", fontsize=9, color=BLACK)
