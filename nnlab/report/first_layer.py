"""The weights of the first layer: pictures of what each unit looks for, or how strongly columns are read."""

from __future__ import annotations

import numpy as np

from nnlab.errors import UserError
from nnlab.prediction.first_layer import FirstLayer, first_layer, input_norms
from nnlab.report.page import Section
from nnlab.report.parts import Image, PlotlyFigure, Text
from nnlab.report.pixels import diverging, png_of, tiled
from nnlab.report.trained_run import TrainedRun

HEADING = "Weights of the first layer"
UNITS_SHOWN, INPUTS_SHOWN = 64, 40
TILE_PIXELS = 52  # on the screen, about
LARGEST_TILE = 64  # pixels along a side of a unit's image; weights of larger images are merged
LINE_PIXELS = 900  # of a line of tiles, at most
LONGEST_SIGNAL = 450  # pixels; likewise
SIGNAL_PIXELS = 8  # along a side of a weight on a signal, at most
SHOWN_SHARE = 0.998  # of weights that the scale of colours reaches; larger ones have its end


def first_layer_section(run: TrainedRun) -> Section:
    """Pictures where inputs are images or signals, else bars of the norms by input."""
    row, graph, spec = run.first_row, run.model.graph, run.model.spec
    of_row = run.describe_row(row)
    note = f"Of {of_row}." if of_row else ""
    try:
        layer = first_layer(graph, row.weights, spec)
        if len(layer.shape) > 1 and layer.shape[-1] > 1:
            return Section(HEADING, pictures(layer), note)
    except UserError:
        pass  # the norms may still be known
    return Section(HEADING, [norms_figure(input_norms(graph, row.weights, spec))], note)


def pictures(layer: FirstLayer) -> list:
    """Every unit as an image of its weights, or of the 64 with the largest norm; signals as a line each."""
    count, of_what = len(layer.weights), "kernels" if layer.kernels else "units"
    norms = np.linalg.norm(layer.weights.reshape(count, -1), axis=1)
    shown = np.sort(np.argsort(-norms, kind="stable")[:UNITS_SHOWN])
    chosen = f"all {count} {of_what}"
    if len(shown) < count:
        chosen = f"the {len(shown)} of {count:,} {of_what} with the largest norm"
    weights, drawn = layer.weights[shown], tiles_image
    if len(layer.shape) == 2 or layer.shape[1] == 1:
        weights, drawn = weights.reshape(len(shown), layer.shape[0], 1, -1), signals_image
    weights, merged = merged_weights(weights, LARGEST_TILE if drawn is tiles_image else LONGEST_SIGNAL)
    limit = float(np.quantile(abs(weights), SHOWN_SHARE)) or float(abs(weights).max())
    words = f"{layer.name}, {chosen}. Orange: above 0, blue: below 0, the same scale for all, "
    words += f"from -{limit:.2g} to {limit:.2g}."
    if layer.shape[0] > 1:
        words += f" The {layer.shape[0]} channels of a unit stand side by side."
    if merged > 1:
        words += f" A pixel is the mean of {merged} neighbours along each side."
    label = f"the weights of {len(shown)} {of_what} of {layer.name} as images"
    return [Text(words), drawn(weights, limit, label)]


def merged_weights(weights: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Weights (units, C, h, w) of large images as the means of squares, so that no side has more than `most`,
    and the side of these squares."""
    side = -(-max(weights.shape[2:]) // most)
    for axis in (2, 3):
        size = weights.shape[axis]
        groups = np.arange(0, size, min(side, size))
        counts = np.diff([*groups, size])
        sums = np.add.reduceat(weights, groups, axis=axis)
        weights = sums / counts.reshape(-1, *(1,) * (3 - axis))
    return weights, side


def tiles_image(weights: np.ndarray, limit: float, label: str) -> Image:
    """Weights (units, C, h, w) as a picture for each unit, its channels side by side."""
    tiles = diverging(np.concatenate([*np.moveaxis(weights, 1, 0)], axis=2), limit)
    scale = max(1, round(TILE_PIXELS / tiles.shape[1]))
    columns = max(1, min(16, LINE_PIXELS // (scale * (tiles.shape[2] + 1))))
    pixels = tiled(tiles, columns)
    return Image(png_of(pixels), label, pixelated=True, width=scale * pixels.shape[1])


def signals_image(weights: np.ndarray, limit: float, label: str) -> Image:
    """Weights (units, C, 1, length) as a line of pixels for each unit, its channels side by side."""
    pixels = diverging(weights.reshape(len(weights), -1), limit)
    scale = max(1, min(SIGNAL_PIXELS, LINE_PIXELS // pixels.shape[1]))
    caption = "A unit each line, from the first position of the signal to the last."
    return Image(png_of(pixels), label, caption, pixelated=True, width=scale * pixels.shape[1])


def norms_figure(norms: dict[str, float]) -> PlotlyFigure:
    """Bars, the largest above."""
    largest = sorted(norms.items(), key=lambda item: -item[1])[:INPUTS_SHOWN]
    names, values = zip(*reversed(largest), strict=True)  # plotly draws from the bottom up
    bars = {"type": "bar", "orientation": "h", "x": values, "y": names, "marker": {"color": "--series0"}}
    layout = {
        "xaxis": {"title": "norm of the weights on an input", "rangemode": "tozero"},
        "yaxis": {"type": "category", "dtick": 1}, "showlegend": False, "bargap": 0.35,
    }  # fmt: skip
    caption = "Inputs were normalised, so norms compare: how strongly the first layer reads each."
    if len(norms) > INPUTS_SHOWN:
        caption += f" The {INPUTS_SHOWN} largest of {len(norms):,}."
    label = "the norm of the first layer's weights on each input"
    return PlotlyFigure([bars], layout, label=label, caption=caption, height=90 + 18 * len(names))
