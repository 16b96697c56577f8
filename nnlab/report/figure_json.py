"""Figures as JSON for plotly.js: short numbers, no NaN, and no text that is markup."""

from __future__ import annotations

import json
import math
import re

import numpy as np

from nnlab.errors import visible
from nnlab.report.colours import POINT_SCALE
from nnlab.report.parts import PlotlyFigure

SIGNIFICANT_DIGITS = 5  # more than a screen resolves
ABOVE_TEMPLATE = ("template", "title", "plot_bgcolor", "paper_bgcolor")  # of a layout: the page has its own
BLUE_PATTERN = re.compile(r"rgb\(([0-9.]+), ?[0-9.]+, ?[0-9.]+\)")  # in plotly's scale Blues, of which ...
PALEST_RED = 247.0  # ... the palest has this much red, the darkest hardly any
GREY_PATTERN = re.compile(r"[Gg]r[ae]y|#([0-9a-f])\1\1|#([0-9a-f]{2})\2\2")
MARKUP_PATTERN = re.compile(r"<(?!br>|/?extra>|/?b>)")  # all markup except for what Optuna writes


def from_plotly(figure, **settings) -> PlotlyFigure:
    """A figure of plotly's Python package, as those of Optuna, in the page's colours instead of its own."""
    tree = _in_page_colours(figure.to_plotly_json())
    for trace in tree["data"]:
        if trace["type"] == "parcoords":  # whose text heeds no template
            trace |= {font: {"color": "--ink"} for font in ("tickfont", "labelfont", "rangefont")}
    layout = {key: value for key, value in tree["layout"].items() if key not in ABOVE_TEMPLATE}
    return PlotlyFigure(tree["data"], layout, **settings)


def _in_page_colours(tree):
    """Scales of colours by that of the page, a light to dark blue by its place in the scale, greys by one."""
    if isinstance(tree, list | tuple):
        return [_in_page_colours(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    replacements = {"colorscale": lambda _: POINT_SCALE, "color": _page_colour}
    return {key: replacements.get(key, _in_page_colours)(item) for key, item in tree.items()}


def _page_colour(colour):
    """The name of a colour of Optuna's; what is none stays, such as the numbers of a scale."""
    if not isinstance(colour, str):
        return colour
    if blue := BLUE_PATTERN.fullmatch(colour):
        darkness = (PALEST_RED - float(blue[1])) / PALEST_RED  # 0 of the palest, 1 of the darkest
        return f"--scale{1 + round(3 * min(1.0, max(0.0, darkness)))}"
    return "--muted" if GREY_PATTERN.fullmatch(colour) else colour


def figure_tree(figure: PlotlyFigure) -> dict:
    """The figure as plain values of JSON. Nothing in it is a link or other markup: plotly turns <a href=...>
    in a label into a link."""
    return {"data": [_plain(trace) for trace in figure.data], "layout": _plain(figure.layout)}


def script_json(tree) -> str:
    """The JSON of a tree of plain values, which cannot end the script element that it stands in."""
    text = json.dumps(tree, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _plain(value, key: str = ""):
    if isinstance(value, str):
        text = MARKUP_PATTERN.sub("&lt;", visible(value))
        return {"text": text} if key == "title" else text  # plotly.js wants titles so
    if isinstance(value, dict):
        return {str(name): _plain(item, name) for name, item in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return _rounded(value)
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _rounded(values: np.ndarray) -> list:
    """The numbers with few digits, since a large run has many; None where they are not finite."""
    if values.dtype.kind in "iub":
        return values.tolist()
    values = values.astype(float)
    is_finite = np.isfinite(values)
    size = np.abs(np.where(is_finite & (values != 0), values, 1.0))
    decimals = SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(size))
    power = 10.0 ** np.clip(np.abs(decimals), 0, 300)  # a whole number, so that no digits are added
    with np.errstate(all="ignore"):
        rounded = np.where(decimals < 0, np.round(values / power) * power, np.round(values * power) / power)
    rounded = np.where(np.isfinite(rounded), rounded, values)  # of numbers near the ends of the range
    return np.where(is_finite, rounded.astype(object), None).tolist()
