"""Figures of a comparison: seeds, means and differences to the best arm; the matrix of all pairs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np

from nnlab.records.arms_table import letter_ranges, shown_names
from nnlab.records.best_differences import BestDifference, best_differences, difference_range, far_number
from nnlab.records.compared_quantity import ComparedQuantity, gain_of, is_known, round_alike
from nnlab.records.comparison_words import SHOWN
from nnlab.records.pair_sentences import PairSentences, p_words
from nnlab.records.text_columns import elide_middle
from nnlab.report.colours import DIVERGING
from nnlab.report.learning_curves import scale_of
from nnlab.report.parts import PlotlyFigure
from nnlab.statistics.comparison import Comparison, Pair

NAME_CHARACTERS, HOVER_CHARACTERS = 36, 60
MOST_ARMS, MOST_WRITTEN_ARMS = 40, 12  # of a figure; up to which each cell of the matrix has its number
SPREAD = 0.3  # of a row's height, over which its seeds are spread, in their order
ROW, FRAME, CELL, MATRIX_FRAME = 30, 92, 34, 170  # pixels of a row and of all around them
NARROWEST, WIDEST_CELL = 640, 90
PALENESS = 1.8  # of colours, on which numbers are to be read
BLUE_IS_BETTER = [[1 - place, colour] for place, colour in reversed(DIVERGING)]


def forest_figure(
    comparison: Comparison, quantity: ComparedQuantity, values: Mapping[str, np.ndarray], title: str
) -> PlotlyFigure:
    """At the left each arm's seeds, mean and interval; at the right its difference to the best arm.

    `values` has the values of arms, (units,), NaN where one diverged; arms without any have no dots.
    """
    arms = comparison.arms[:MOST_ARMS]
    names = shown_names([arm.name for arm in comparison.arms], NAME_CHARACTERS)
    labels = [elide_middle(names[arm.name], NAME_CHARACTERS) for arm in arms]
    differences = best_differences(comparison, quantity)[: MOST_ARMS - 1]
    low, high = difference_range(differences)
    traces = [_seeds_trace(comparison, quantity, values), _means_trace(comparison, quantity)]
    write = PairSentences(comparison, quantity)
    for shown in (True, False):
        of_kind = [(y, each) for y, each in enumerate(differences, 1) if each.is_shown == shown]
        traces.append(_differences_trace(of_kind, shown, write))
    unit = f" ({quantity.unit})" if quantity.unit else ""
    numbers = quantity.factor * np.array(
        [x for arm in arms for x in (arm.mean, arm.low, arm.high) if is_known(x)]
    )
    rows = {"range": [len(arms) - 0.5, -0.5], "tickvals": [*range(len(arms))], "showgrid": False, "ticks": ""}
    far = [
        each
        for each in enumerate(differences, 1)
        if each[1].mean is not None and not low <= each[1].mean <= high
    ]
    layout = {
        "xaxis": {"domain": [0, 0.54], "title": quantity.axis_label, **_value_axis(numbers)},
        "xaxis2": {
            "domain": [0.58, 0.9], "title": f"worse than the best by{unit}", "range": [low, high],
            "zeroline": True, "nticks": 5,
        },
        "yaxis": rows | {"ticktext": labels},
        "yaxis2": rows | {"showticklabels": False, "anchor": "x2"},
        "shapes": [_stripe(y) for y in range(0, len(arms), 2)],
        "annotations": [*_verdicts(comparison, differences), *(_arrow(y, each, high) for y, each in far)],
        "hovermode": "closest",
    }  # fmt: skip
    return PlotlyFigure(
        traces, layout, label=f"{title}: means with intervals, and differences to the best arm",
        height=FRAME + ROW * len(arms), min_width=NARROWEST, max_width=1000,
    )  # fmt: skip


def _value_axis(numbers: np.ndarray) -> dict:
    return {"nticks": 6} if not len(numbers) or numbers.min() <= 0 else {"nticks": 6, **_log_if_far(numbers)}


def _log_if_far(numbers: np.ndarray) -> dict:
    scale = scale_of(numbers)
    return {key: value for key, value in scale.items() if scale.get("type") == "log"}


def _seeds_trace(comparison: Comparison, quantity: ComparedQuantity, values: Mapping) -> dict:
    x, y, text = [], [], []
    for row, arm in enumerate(comparison.arms[:MOST_ARMS]):
        of_arm = quantity.factor * np.asarray(values.get(arm.name, ()), float)
        places = np.linspace(-SPREAD, SPREAD, len(of_arm)) if len(of_arm) > 1 else np.zeros(len(of_arm))
        x += [*of_arm]
        y += [*(row + places)]
        text += [f"{comparison.unit} {n}" for n in range(1, len(of_arm) + 1)]
    return {
        "x": np.array(x, float), "y": np.array(y, float), "text": text, "mode": "markers",
        "name": f"one {comparison.unit}", "marker": {"color": "--series0/0.5", "size": 6},
        "hovertemplate": "%{text}: %{x}<extra></extra>",
    }  # fmt: skip


def _means_trace(comparison: Comparison, quantity: ComparedQuantity) -> dict:
    arms = [(y, arm) for y, arm in enumerate(comparison.arms[:MOST_ARMS]) if is_known(arm.mean)]
    intervals = quantity.intervals([(arm.low, arm.high) for _, arm in arms])
    text = [f"{quantity.value(arm.mean)} ({each})" for (_, arm), each in zip(arms, intervals, strict=True)]
    lows, highs = ([getattr(arm, end) for _, arm in arms] for end in ("low", "high"))
    means = [arm.mean for _, arm in arms]
    return {
        "x": quantity.factor * np.array(means, float), "y": [y for y, _ in arms], "mode": "markers",
        "text": text, "error_x": _bars(quantity.factor, means, lows, highs, "--ink"),
        "name": f"mean, {comparison.level:.0%} interval",
        "marker": {"color": "--ink", "symbol": "diamond", "size": 9, "line": {"color": "--page", "width": 1}},
        "hovertemplate": "mean %{text}<extra></extra>",
    }  # fmt: skip


def _differences_trace(rows: list[tuple[int, BestDifference]], shown: bool, write: PairSentences) -> dict:
    rows = [(y, each) for y, each in rows if each.mean is not None]
    means, lows, highs = ([getattr(each, name) for _, each in rows] for name in ("mean", "low", "high"))
    colour = "--bad" if shown else "--muted"
    line = {"color": colour, "width": 1.5}
    return {
        "x": np.array(means, float), "y": [y for y, _ in rows], "mode": "markers",
        "xaxis": "x2", "yaxis": "y2", "error_x": _bars(1.0, means, lows, highs, colour),
        "name": "shown to differ from the best" if shown else "not shown",
        "marker": {"color": colour if shown else "--page", "size": 9, "line": line},
        "text": [hover_text(write.sentence(each.pair)) for _, each in rows],
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _bars(factor: float, means: list, lows: list, highs: list, colour: str) -> dict:
    """Error bars; none where an interval is undefined."""
    known = [is_known(low) and is_known(high) for low, high in zip(lows, highs, strict=True)]
    upper = [factor * (h - m) if k else 0.0 for m, h, k in zip(means, highs, known, strict=True)]
    lower = [factor * (m - low) if k else 0.0 for m, low, k in zip(means, lows, known, strict=True)]
    return {"type": "data", "symmetric": False, "array": np.array(upper), "arrayminus": np.array(lower),
            "thickness": 1.8, "width": 0, "color": colour}  # fmt: skip


def _stripe(y: int) -> dict:
    return {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": y - 0.5, "y1": y + 0.5,
            "fillcolor": "--panel", "line": {"width": 0}, "layer": "below"}  # fmt: skip


def _verdicts(comparison: Comparison, differences: list[BestDifference]) -> list[dict]:
    """At the right of each row its letters and p."""
    best, *_ = comparison.arms
    texts = [(best, "best"), *((each.arm, p_text(each.pair)) for each in differences)]
    lettered = len(comparison.arms) > 2
    return [
        {"xref": "paper", "x": 0.905, "xanchor": "left", "yref": "y", "y": y, "showarrow": False,
         "text": f"{letter_ranges(arm.letters)} {text}" if lettered else text, "font": {"size": 11}}
        for y, (arm, text) in enumerate(texts)
    ]  # fmt: skip


def _arrow(y: int, difference: BestDifference, high: float) -> dict:
    """The number of a difference that is off the axis, at its edge."""
    right = difference.mean > high
    text = f"{far_number(difference.mean)} →" if right else f"← {far_number(difference.mean)}"
    place = {"x": 0.9, "xanchor": "right"} if right else {"x": 0.58, "xanchor": "left"}
    return {"xref": "paper", **place, "yref": "y", "y": y, "showarrow": False, "text": text,
            "font": {"color": "--bad", "size": 11}}  # fmt: skip


def p_text(pair: Pair) -> str:
    """`p = 0.004`, by Holm; `the same`; empty where nothing was tested."""
    if is_known(pair.p_holm):
        return p_words(pair.p_holm)
    return "the same" if pair.verdict == "identical" else ""


def hover_text(sentence: str) -> str:
    return "<br>".join(textwrap.wrap(sentence, HOVER_CHARACTERS))


def matrix_figure(comparison: Comparison, quantity: ComparedQuantity, title: str) -> PlotlyFigure:
    """By how much the arm of a row is better than that of a column, coloured where it is shown to differ."""
    arms = comparison.arms[:MOST_ARMS]
    names = shown_names([arm.name for arm in comparison.arms], NAME_CHARACTERS)
    labels = [elide_middle(names[arm.name], NAME_CHARACTERS) for arm in arms]
    write, count = PairSentences(comparison, quantity), len(arms)
    pairs = {frozenset((pair.a, pair.b)): pair for pair in comparison.pairs}
    z, numbers, hover = np.full((count, count), np.nan), [], []
    for i, row in enumerate(arms):
        numbers.append([""] * count)
        hover.append([""] * count)
        for j, column in enumerate(arms):
            if i != j:
                pair = pairs[frozenset((row.name, column.name))]
                better_by = _better_by(pair, row.name, comparison, quantity)
                z[i, j] = better_by if pair.verdict in SHOWN and better_by is not None else 0.0
                numbers[i][j] = _signed(better_by, quantity) or p_text(pair)
                hover[i][j] = hover_text(write.sentence(pair))
    strongest = _strongest_colour(z)
    z, limit = np.clip(z, -strongest, strongest), PALENESS * strongest
    trace = {
        "type": "heatmap", "x": labels, "y": labels, "z": z, "text": numbers, "customdata": hover,
        "colorscale": BLUE_IS_BETTER, "zmin": -limit, "zmax": limit, "xgap": 1, "ygap": 1,
        "showscale": False, "hovertemplate": "%{customdata}<extra></extra>", "hoverongaps": False,
    }  # fmt: skip
    if count <= MOST_WRITTEN_ARMS:
        trace |= {"texttemplate": "%{text}", "textfont": {"size": 11, "color": "--ink"}}
    axis = {"type": "category", "showgrid": False, "ticks": "", "constrain": "domain"}
    layout = {"xaxis": {"tickangle": -40, **axis}, "yaxis": {"autorange": "reversed", **axis}}
    needed = (
        8 * max(map(len, labels))
        + 46 * min(count, MOST_WRITTEN_ARMS)
        + 14 * max(0, count - MOST_WRITTEN_ARMS)
    )
    return PlotlyFigure(
        [trace], layout, label=f"{title}: differences of all pairs", height=MATRIX_FRAME + CELL * count,
        min_width=needed if needed > 360 else 0, max_width=max(needed, 300 + WIDEST_CELL * count),
    )  # fmt: skip


def _better_by(pair: Pair, name: str, comparison: Comparison, quantity: ComparedQuantity) -> float | None:
    gain = gain_of(pair, comparison.larger_is_better)
    if gain.mean is None:
        return None
    return quantity.factor * (gain.mean if gain.first == name else -gain.mean)


def _signed(x: float | None, quantity: ComparedQuantity) -> str:
    if x is None:
        return ""
    (text,) = round_alike([x], 1 if quantity.is_share else 0)
    return text if text.startswith("-") or not x else f"+{text}"


def _strongest_colour(z: np.ndarray) -> float:
    """The difference that has the strongest colour: few are larger."""
    sizes = np.abs(z[np.isfinite(z) & (z != 0)])
    return float(np.quantile(sizes, 0.8)) if len(sizes) else 1.0
