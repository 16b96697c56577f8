"""Draws the masks of dropout, and the two passes with them, of one example."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from nnlab.autodiff.dropout import RATES
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, shortened, visible
from nnlab.experiment import Experiment
from nnlab.pictures.base import Picture, ShownRun
from nnlab.pictures.dropout_passes import MaskedBox, ShownPasses, dropout_rates, shown_passes
from nnlab.records.picture import BLACK, GREY, blank_figure, render_png, with_default_style

MOST_RUNS = 3
LARGEST_SIDE = 64  # cells of a matrix of weights that are shown, along each side
MOST_CELLS = 4096  # of units
SIGNED, MASK, MISSING = "RdBu_r", "gray", "#F2F2F2"
GRADIENT = 3  # the place of dy among the arrays of a value
WIDE_QUANTILE = 0.995  # of |values|: where the colours end
LEFT, RIGHT, BOTTOM = 0.98, 0.18, 0.42  # inches
NAME, TITLES = 0.22, 0.5  # inches, of the line with a run's name, and of those above its images
GAP, GROUP_GAP, LINE_GAP = 0.08, 0.3, 0.22  # inches, between images, groups of them, and lines


class Masks(Picture):
    """The first training example of a run's first row, in the steps that had it.

    Forward, y = x m / (1 - p), where m is 0 for a unit that is dropped and 1 for one that is kept; backward
    dx = dy m / (1 - p) with the same mask, so a unit that was dropped gets no gradient. E[m / (1 - p)] = 1:
    the mean of the masks over the epochs comes near to 1, and a test takes 1 for all. (Behind a nonlinear
    layer the mean of the outputs is near to the test's, and not equal to it.)

    The masks of units are drawn for every example; those of weights (DropConnect) for every batch, and x is a
    weight there, dy its gradient. Srivastava et al. 2014; Wan et al. 2013.
    """

    name: ClassVar[str] = "masks"
    summary: ClassVar[str] = "dropout or dropconnect: its masks on an example, and the two passes with them"

    def refuse(self, experiment: Experiment, spec: DataSpec) -> None:
        if not dropout_rates(experiment, experiment.graph(spec).nodes):
            zero = ", ".join(f"{name} = {getattr(experiment.regularizer, name):g}" for name in RATES)
            raise UserError(
                f"show = 'masks' draws what dropout drops, and nothing in this network is dropped "
                f"(regularizer: {zero}); allowed with it: regularizer=dropout, say"
            )

    def draw(self, runs: list[ShownRun]) -> bytes:
        return _draw([(run.name, shown_passes(run)) for run in runs[:MOST_RUNS]], len(runs))


@with_default_style
def _draw(runs: list[tuple[str, ShownPasses]], run_count: int) -> bytes:
    """A block of lines for each run, 1200 pixels wide."""
    sides = [_side(passes) for _, passes in runs]
    heights = [_height(*run, side) for run, side in zip(runs, sides, strict=True)]
    figure = blank_figure()
    width, height = figure.get_figwidth(), sum(heights) + BOTTOM
    figure.set_size_inches(width, height)
    above = height
    for (name, passes), side, block in zip(runs, sides, heights, strict=True):
        _block(figure, name, passes, side, above)
        above -= block
    _note(figure, runs, run_count)
    return render_png(figure)


def _side(passes: ShownPasses) -> float:
    """The side of an image in inches, so that a line has the width of the figure."""
    boxes = _shown_boxes(passes)
    groups = [3] * len(boxes) + [3] * sum(_has_gradient(box) for box in boxes)
    space = GROUP_GAP * (len(groups) - 1) + GAP * sum(n - 1 for n in groups)
    return min(1.25, (8.0 - LEFT - RIGHT - space) / sum(groups))


def _height(name: str, passes: ShownPasses, side: float) -> float:
    """Of a run's block, in inches."""
    lines = len(passes.boxes[0].passes)
    return NAME * bool(name) + TITLES + lines * (side + LINE_GAP) + 0.1


def _shown_boxes(passes: ShownPasses) -> list[MaskedBox]:
    """The first box; and the next one, if the first has no pass backward that takes its place."""
    return passes.boxes[: 1 if _has_gradient(passes.boxes[0]) else 2]


def _has_gradient(box: MaskedBox) -> bool:
    return box.passes[0].dy is not None


def _block(figure, name: str, passes: ShownPasses, side: float, above: float) -> None:
    """The lines of one run, below `above` inches."""
    left, height = LEFT, figure.get_figheight()
    if name:
        words = {"fontsize": 9, "weight": "bold", "color": BLACK, "va": "center", "parse_math": False}
        figure.text(0.1 / 8, (above - NAME / 2) / height, visible(name), **words)
        above -= NAME
    boxes = _shown_boxes(passes)
    for box in boxes:
        forward = _symbols(box)
        left = _group(figure, box, (0, 1, 2), forward[:3], _title(box), side, left, above)
        if _has_gradient(box):
            left = _group(figure, box, (3, 1, 4), forward[3:], "backward", side, left, above)
    labels = [f"epoch {epoch}" for epoch in passes.drawn]
    labels += [f"mean of\n{passes.epochs} epochs", "test:\nno dropout"]
    for line, label in enumerate(labels):
        y = above - TITLES - line * (side + LINE_GAP) - side / 2
        figure.text(0.1 / 8, y / height, label, fontsize=8.5, color=BLACK, va="center")


def _title(box: MaskedBox) -> str:
    count = math.prod(box.shape)
    what = {"inputs": f"{count:,} inputs", "units": f"{count:,} units of {box.name}",
            "weights": f"{count:,} weights of {box.name}"}[box.kind]  # fmt: skip
    return f"{visible(shortened(what, 40))}, p = {box.p:g}" + ": forward" * _has_gradient(box)


def _symbols(box: MaskedBox) -> list[str]:
    x, y = ("W", "V = W · mask") if box.kind == "weights" else ("x", "y = x · mask")
    return [x, "mask", y, f"d{y[0]}", "mask", f"d{x} = d{y[0]} · mask"]


def _group(figure, box: MaskedBox, arrays, symbols, title: str, side: float, left: float, above: float):
    """Three columns of images: a value, the mask and their product; where the next group begins."""
    size = np.array([*figure.get_size_inches()] * 2)
    height = figure.get_figheight()
    span = 3 * side + 2 * GAP
    limits = _limits(box, arrays)
    figure.text((left + span / 2) / 8, (above - 0.15) / height, title, fontsize=8.5, color=BLACK, ha="center",
                va="center", parse_math=False)  # fmt: skip
    for column, (array, symbol) in enumerate(zip(arrays, symbols, strict=True)):
        x = left + column * (side + GAP)
        figure.text((x + side / 2) / 8, (above - TITLES + 0.11) / height, symbol, fontsize=8, color=BLACK,
                    ha="center", va="center", parse_math=False)  # fmt: skip
        for line, value in enumerate(box.passes):
            if value.dy is None and arrays[0] == GRADIENT:
                continue  # a test has no pass backward
            bottom = above - TITLES - line * (side + LINE_GAP) - side
            axes = figure.add_axes(np.array([x, bottom, side, side]) / size)
            _image(axes, value.arrays()[array], array == 1, box, limits[line])
            if array == GRADIENT:
                axes.set_xlabel(f"±{limits[line]:.0e}", fontsize=7.5, color=BLACK, labelpad=2)
    return left + span + GROUP_GAP


def _limits(box: MaskedBox, arrays) -> list[float]:
    """Where the colours of a group end, in each line: values of all passes have one scale, and each gradient
    has its own, written below it, since that of an example that is right by far is a millionth of others."""
    drawn = [[value.arrays()[i] for i in arrays if i != 1] for value in box.passes]
    sizes = [[np.abs(array).ravel() for array in line if array is not None] for line in drawn]
    limits = [float(np.quantile(np.concatenate(line), WIDE_QUANTILE)) if line else 0.0 for line in sizes]
    return [(limit if arrays[0] == GRADIENT else max(limits)) or 1.0 for limit in limits]


def _image(axes, numbers: np.ndarray | None, is_mask: bool, box: MaskedBox, limit: float) -> None:
    """One array of one pass; masks from black, dropped, to white, kept."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=GREY, linewidth=0.5)
    axes.set_facecolor(MISSING)
    scale = {"vmin": 0, "vmax": 1 / (1 - box.p)} if is_mask else {"vmin": -limit, "vmax": limit}
    axes.imshow(as_image(numbers, box), cmap=MASK if is_mask else SIGNED, interpolation="nearest",
                aspect="auto", **scale)  # fmt: skip
    if is_mask:
        axes.set_xlabel(_mask_words(numbers, box), fontsize=7.5, color=BLACK, labelpad=2)


def _mask_words(mask: np.ndarray, box: MaskedBox) -> str:
    if (mask == 1).all():
        return "1 for all"
    if np.isin(np.round(mask * (1 - box.p), 5), (0, 1)).all():
        return f"{(mask == 0).mean():.0%} dropped"
    return f"{mask.mean():.2f} ± {mask.std():.2f}"


def as_image(values: np.ndarray, box: MaskedBox) -> np.ndarray:
    """(height, width): an image as it is, channels beside each other; units in a square, line after line;
    NaN where the square has more places; of a matrix of weights its first corner."""
    if box.kind == "weights":
        return values.reshape(len(values), -1)[:LARGEST_SIDE, :LARGEST_SIDE]
    values = values.reshape(box.shape)
    if values.ndim == 1:
        return _in_square(values[:MOST_CELLS])
    if len(values) == 1 or values.ndim == 2:  # one channel; or a sequence, a line for each channel
        return values[0] if values.ndim == 3 else values
    if values.ndim == 3 and box.kind == "inputs":  # colours
        return values.mean(0)
    columns = math.ceil(math.sqrt(len(values)))
    blank = np.full_like(values[:1], np.nan)
    tiles = np.concatenate([values, *[blank] * (-len(values) % columns)])
    lines = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    return np.concatenate(lines, 0)


def _in_square(values: np.ndarray) -> np.ndarray:
    side = math.ceil(math.sqrt(len(values)))
    lines = math.ceil(len(values) / side)
    square = np.full(lines * side, np.nan)
    square[: len(values)] = values
    return square.reshape(lines, side)


def _note(figure, runs: list[tuple[str, ShownPasses]], run_count: int) -> None:
    """What is drawn, and what is not."""
    passes = runs[0][1]
    digit = f" (class {shortened(passes.label, 20)})" if passes.label else ""
    words = (
        f"blue: below 0, red: above; masks: black 0, dropped, white 1 / (1 - p), kept; "
        f"the first training example{digit} on the trained weights"
    )
    left_out = [f"masks as seed {passes.seed} drew them", "below dy: where the colours of its line end"]
    if (further := len(passes.boxes) - len(_shown_boxes(passes))) > 0:
        left_out.append(f"{further} more box{'es' * (further > 1)} of dropout")
    if run_count > len(runs):
        left_out.append(f"the first {len(runs)} of {run_count} runs")
    height = figure.get_figheight()
    for y, line in ((0.3, words), (0.13, "; ".join(left_out))):
        figure.text(
            0.1 / 8, y / height, visible(line), fontsize=7.5, color=GREY, va="center", parse_math=False
        )
