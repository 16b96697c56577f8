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
MARKUP_PATTERN = re.compile(r"<(?!br>|/?extra>|/?b>)")  # all markup except for what Optuna writes


def from_plotly(figure, **settings) -> PlotlyFigure:
    """A figure of plotly's Python package, as those of Optuna."""
    tree = _with_scale(figure.to_plotly_json())
    layout = {key: value for key, value in tree["layout"].items() if key not in ("template", "title")}
    return PlotlyFigure(tree["data"], layout, **settings)


def _with_scale(tree):
    """The same with the page's scale of colours instead of one for light screens alone."""
    if isinstance(tree, dict):
        return {key: POINT_SCALE if key == "colorscale" else _with_scale(item) for key, item in tree.items()}
    return [_with_scale(item) for item in tree] if isinstance(tree, list | tuple) else tree


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
    decimals = np.clip(SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(size)), -300, 300)
    with np.errstate(all="ignore"):
        rounded = np.round(values * 10.0**decimals) / 10.0**decimals
    rounded = np.where(np.isfinite(rounded), rounded, values)  # of numbers near the ends of the range
    return np.where(is_finite, rounded.astype(object), None).tolist()
