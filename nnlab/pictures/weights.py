"""Draws the weights of each run as a histogram, and the density of the prior that its penalty stands for."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nnlab.errors import UserError
from nnlab.pictures.base import Picture, ShownRun
from nnlab.pictures.priors import RunWeights, limit, weights_of_run
from nnlab.records.picture import BLACK, GREY, blank_figure, render_png, style_axes, with_default_style
from nnlab.records.text import format_percent
from nnlab.records.text_columns import elide_middle

MOST_PANELS, PANELS_IN_A_LINE = 12, 4
BINS = 61  # odd, so that 0 is in the middle of one
HISTOGRAM, PRIOR, FITTED, ZEROS = "#56B4E9", "#D55E00", "#222222", "#0072B2"
INCHES_OF_A_LINE, INCHES_OF_LEGEND = 2.9, 0.5
NAME_CHARACTERS = 34
POINTS = 601  # of a density's line
MARGIN = 1.06  # of the axis, to each side
ROOM_ABOVE = 40.0  # times the highest density: for the words above it


class Weights(Picture):
    """Weights (never biases) of each run side by side, on equal axes, the density on a logarithmic one.

    A penalty is a prior. Training minimises the mean loss of N examples plus Omega(W), which is, times N,

        sum_i loss_i + N Omega(W) = -log( prod_i p(t_i | x_i, W) p(W) ) + constant,   p(W) ~ exp(-N Omega(W))

    where the loss is -log p(t | x, W), as cross-entropy is. So the weights that it ends with are the
    likeliest ones, the mode of the posterior, under a prior that is, for every weight alike,

        l2 / 2 W^2    a Gaussian of mean 0 and variance 1 / (N l2)
        l1 |W|        a Laplacian of mean 0 and scale 1 / (N l1)
        both          their product, normalised: that of the elastic net

    Squared error of m targets is -log p for Gaussian noise of variance m / 2, in units of the normalised
    target. N is the number of training examples of a row. The mode is no draw from the posterior: weights
    that the data do not ask for lie at the prior's own mode, 0, and those that they do ask for lie wherever
    they are needed. So the histogram is of another width than the prior; a density of the same family that
    is fitted to the weights (by maximum likelihood; a Laplacian to those that are not 0) stands beside it.

    L1 by its proximal step ends there with sgd alone: with momentum that step weighs 1 - gamma as much beside
    the gradient's, and with adam differently for each weight, so no prior is drawn. Weight decay that is no
    penalty, as that of adamw, has none either.

    Rows of a run (seeds, folds) are counted together; those that diverged are left out.
    MacKay 1992, "A practical Bayesian framework for backpropagation networks"; Tibshirani 1996;
    Zou and Hastie 2005.
    """

    name: ClassVar[str] = "weights"
    summary: ClassVar[str] = "histograms of the weights, with the prior's density that l2 or l1 stands for"

    def draw(self, runs: list[ShownRun]) -> bytes:
        panels = [weights_of_run(run) for run in runs[:MOST_PANELS]]
        if not any(len(panel.values) for panel in panels):
            raise UserError("all rows diverged, so there is nothing to draw")
        return _draw(panels, len(runs) - len(panels))


@with_default_style
def _draw(panels: list[RunWeights], left_out: int) -> bytes:
    """The panels as a PNG, 1200 pixels wide."""
    columns = min(len(panels), PANELS_IN_A_LINE)
    lines = math.ceil(len(panels) / columns)
    figure = blank_figure()
    height = lines * INCHES_OF_A_LINE + INCHES_OF_LEGEND
    figure.set_size_inches(figure.get_figwidth(), height)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    bottom = (INCHES_OF_LEGEND + 0.42) / height
    figure.subplots_adjust(
        left=0.075, right=0.985, bottom=bottom, top=1 - 0.3 / height, wspace=0.08, hspace=0.28
    )
    edges = np.linspace(-1, 1, BINS + 1) * MARGIN * limit(panels)
    heights = [_panel(axes, panel, edges) for axes, panel in zip(grid.flat, panels, strict=False)]
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    lowest = min(low for low, _ in heights)
    grid[0, 0].set_yscale("log")
    grid[0, 0].set_ylim(lowest / 2, ROOM_ABOVE * max(high for _, high in heights))
    grid[0, 0].set_xlim(edges[0], edges[-1])
    for axes in grid[:, 0]:
        axes.set_ylabel("density, logarithmic", fontsize=9, color=BLACK)
    for axes in grid[-1]:
        axes.set_xlabel("weight", fontsize=9, color=BLACK)
    _legend(figure, panels, left_out)
    return render_png(figure)


def _panel(axes, panel: RunWeights, edges: np.ndarray) -> tuple[float, float]:
    """Draw one run; the least and the largest density of its histogram."""
    style_axes(axes)
    axes.set_title(elide_middle(panel.name, NAME_CHARACTERS), fontsize=9, color=BLACK, parse_math=False)
    if not len(panel.values):
        axes.text(
            0.5, 0.5, "all rows diverged", transform=axes.transAxes, ha="center", fontsize=8, color=GREY
        )
        return 1.0, 1.0
    others, width = panel.values[panel.values != 0], edges[1] - edges[0]
    counts, _ = np.histogram(others, edges)
    densities = counts / (len(panel.values) * width)
    axes.stairs(densities, edges, fill=True, color=HISTOGRAM, alpha=0.6)
    w = np.linspace(edges[0], edges[-1], POINTS)
    for curve, colour, line in (
        (panel.prior(w), PRIOR, "-"),
        (panel.fitted(w), FITTED, (0, (4, 2))),
    ):
        if curve is not None:
            axes.plot(w, curve, color=colour, linestyle=line, linewidth=1.5)
    high = densities.max()
    if panel.share_of_zeros:
        arrow = {"arrowstyle": "-|>", "color": ZEROS, "linewidth": 2.2}
        axes.annotate("", (0, 4 * high), (0, 0.5 / (len(panel.values) * width)), arrowprops=arrow)
    axes.text(0.5, 0.975, _words(panel), transform=axes.transAxes, ha="center", va="top", fontsize=8,
              color=BLACK, linespacing=1.35)  # fmt: skip
    return 1 / (len(panel.values) * width), high


def _words(panel: RunWeights) -> str:
    """Its norm, its zeros and its prior, in up to four lines."""
    lines = [f"norm {panel.norm:.3g}, {format_percent(panel.share_of_zeros)} exactly 0"]
    N = panel.examples
    if panel.l2 and N:
        lines.append(f"prior: Gaussian, sd {1 / math.sqrt(N * panel.l2):.2g}")
    if panel.l1 and N:
        lines.append(f"{'x' if len(lines) > 1 else 'prior:'} Laplacian, scale {1 / (N * panel.l1):.2g}")
    if panel.other or len(lines) == 1:
        lines.append(panel.other or "prior: flat")
    return "\n".join(lines)


def _legend(figure, panels: list[RunWeights], left_out: int) -> None:
    counts = {len(panel.values) // panel.rows for panel in panels if panel.rows}
    rows = {panel.rows for panel in panels}
    count = f"{min(counts):,}" + (f" to {max(counts):,}" if len(counts) > 1 else "") if counts else "no"
    of_rows = f", {max(rows)} rows together" if max(rows) > 1 else ""
    if any(panel.rows < panel.all_rows for panel in panels):
        of_rows = f", the first {max(rows)} of {max(panel.all_rows for panel in panels)} rows"
    handles = [Patch(facecolor=HISTOGRAM, alpha=0.6, label=f"{count} weights{of_rows}, without biases")]
    if any(panel.share_of_zeros for panel in panels):
        handles.append(Line2D([], [], color=ZEROS, linewidth=2.2, label="those that are exactly 0"))
    if any(panel.l1 or panel.l2 for panel in panels):
        handles.append(Line2D([], [], color=PRIOR, linewidth=1.5, label="prior"))
        label = "its family, fitted to the weights"
        handles.append(Line2D([], [], color=FITTED, linestyle=(0, (4, 2)), linewidth=1.5, label=label))
    if left_out:
        handles.append(Line2D([], [], linestyle="", label=f"{left_out} more runs are left out"))
    figure.legend(handles=handles, ncols=len(handles), loc="lower center", frameon=False, fontsize=8,
                  labelcolor=BLACK, columnspacing=1.4, handlelength=1.8)  # fmt: skip
