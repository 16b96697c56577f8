"""The figures of a check's rungs, from the measurements in check.json."""

from __future__ import annotations

import numpy as np

from nnlab.report.colours import series
from nnlab.report.layers import LAYER_QUANTITIES, quantity_figure, stuck_figure
from nnlab.report.parts import PlotlyFigure

LOG_AXIS = {"type": "log", "exponentformat": "power", "dtick": 1}
MEMORIZED = 0.05  # of the loss by chance: the limit of the rung subset
MOST_GRADIENTS = 30  # lines of a figure; of more, those with the largest errors
SMALLEST_ERROR, LARGEST_ERROR = 1e-17, 10.0  # where an error of 0 is drawn, and one that is not finite
DOTTED, SOLID, DASHED = "dot", "solid", "dash"


def numbers(values) -> np.ndarray:
    """Numbers of JSON, with NaN where one was not finite."""
    return np.array([np.nan if value is None else float(value) for value in values])


def start(details: dict) -> list[PlotlyFigure]:
    """The loss of each seed before the first step, and the loss by chance."""
    losses = numbers(details["losses"])
    dots = {"x": np.arange(len(losses)), "y": losses, "mode": "markers", "name": "before the first step",
            "marker": {"color": series(0), "size": 8}}  # fmt: skip
    layout = {
        "xaxis": {"title": "seed", "dtick": 1, "tickformat": "d"},
        "yaxis": {"title": "loss", "rangemode": "tozero"},
    }
    ends = (-0.5, len(losses) - 0.5)
    chance = _line(ends, (details["chance"],) * 2, "by chance", 1, DOTTED)
    return [PlotlyFigure([dots, chance], layout, label="the loss before the first step, by seed", height=260)]


def gradients(details: dict) -> list[PlotlyFigure]:
    """The error of each gradient of each box, and that of differences by their epsilon."""
    limits = [float(limit) for limit in details["limits"]]
    errors = {name: (box["error"], box["autograd"]) for name, box in details["boxes"].items()}
    most = sorted(errors, key=lambda name: -_severity(errors[name], limits))[:MOST_GRADIENTS]
    names = [name for name in errors if name in most][::-1]  # plotly draws from the bottom up
    traces = []
    for k, words in enumerate(("central differences", "torch.autograd")):
        known = [name for name in names if k == 0 or errors[name][k] is not None]
        places = np.array([_on_log(errors[name][k]) for name in known])
        colours = ["--bad" if place > limits[k] else series(2 * k) for place in places]
        marker = {"color": colours, "size": 9, "symbol": ("circle", "square")[k]}
        traces.append({"x": places, "y": known, "mode": "markers", "name": words, "marker": marker})
        ends = [names[0], names[-1]] if names else []
        traces.append(_line([limits[k]] * len(ends), ends, f"limit {limits[k]:g}", 2 * k, DOTTED))
    layout = {
        "xaxis": {"title": "relative error of a gradient", "range": [-17.3, 1.3], **LOG_AXIS, "dtick": 3},
        "yaxis": {"type": "category", "dtick": 1},
    }
    caption = "Left end: 0." if len(names) == len(errors) else (
        f"Left end: 0. The {len(names)} largest errors of {len(errors)}."
    )  # fmt: skip
    boxes = PlotlyFigure(
        traces, layout, label="the error of each gradient", caption=caption, height=150 + 18 * len(names)
    )
    return [boxes, *_epsilons(details.get("epsilon") or {})]


def _epsilons(details: dict) -> list[PlotlyFigure]:
    """The error of differences against epsilon, in both precisions."""
    if not details:
        return []
    traces = [
        {"x": numbers(details["epsilons"]), "y": np.array([_on_log(e) for e in details[dtype]]),
         "name": dtype, "mode": "lines+markers", "line": {"color": series(k)}, "marker": {"size": 5}}
        for k, dtype in ((1, "float32"), (0, "float64"))
    ]  # fmt: skip
    chosen = float(details["chosen"])
    traces.append(_line([chosen] * 2, [1e-13, 10], f"chosen: {chosen:.0e}", 2, SOLID))
    layout = {
        "xaxis": {"title": "epsilon of the differences", **LOG_AXIS, "dtick": 2},
        "yaxis": {"title": "relative error", **LOG_AXIS, "dtick": 3},
    }
    caption = (
        "To the right the differences are cut off, as the square of epsilon; to the left they are rounded."
    )
    label = "the error of differences by epsilon"
    return [PlotlyFigure(traces, layout, label=label, caption=caption)]


def subset(details: dict) -> list[PlotlyFigure]:
    """The loss on the small subset, a curve for each multiple of the job's learning rate."""
    factors, traces = numbers(details["factors"]), []
    epochs = max(len(values) for values in details["loss"])
    for n, k in enumerate(np.argsort(factors)):
        values = numbers(details["loss"][k])
        own = factors[k] == 1
        line = {"color": "--ink" if own else series(n), "width": 3 if own else 1.5}
        line["dash"] = SOLID if own or n < 8 else DASHED
        name = "this job's rate" if own else f"{factors[k]:.2g} times"
        traces.append({"x": np.arange(1, len(values) + 1), "y": np.where(values > 0, values, np.nan),
                       "name": name, "mode": "lines+markers" if epochs < 12 else "lines",
                       "line": line})  # fmt: skip
    limit = MEMORIZED * float(details["chance"])
    traces.append(_line([1, max(2, epochs)], [limit] * 2, "memorised", None, DOTTED))
    layout = {
        "xaxis": {"title": "epoch", "tickformat": ",d"},
        "yaxis": {"title": f"loss on {int(details['examples'])} examples", **LOG_AXIS},
    }
    return [PlotlyFigure(traces, layout, label="the loss on a small subset by epoch")]


def saturation(details: dict) -> list[PlotlyFigure]:
    """Activations, gradients and outputs by layer, before and after some updates."""
    times = {"at the start": details["start"], f"after {int(details['steps'])} updates": details["after"]}
    activations = {time: measured["activations"] for time, measured in times.items()}
    layers = {time: measured["layers"] for time, measured in times.items()}
    is_stuck = any(a["stuck"] for measured in activations.values() for a in measured.values())
    figures = [quantity_figure(quantity, layers) for quantity in LAYER_QUANTITIES]
    return [*([stuck_figure(activations)] if is_stuck else []), *figures]


def rates(details: dict) -> list[PlotlyFigure]:
    """The training loss by learning rate: median and range over the seeds, which rates work, the edge."""
    lr, loss = numbers(details["lr"]), numbers(details["end"])
    low, high = numbers(details["low"]), numbers(details["high"])
    levels = [float(details["start"]), float(details["chance"])]
    finite = loss[np.isfinite(loss)]
    most = 1.5 * max([*levels, *([np.median(finite)] if len(finite) else [])])
    end = {"x": lr, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    fill = {"fill": "tonexty", "fillcolor": series(0, 0.2)}
    low, high = (np.where(np.isfinite(values), np.minimum(values, most), most) for values in (low, high))
    traces = [
        {**end, "y": low}, {**end, "y": high, **fill},
        {"x": lr, "y": np.where(loss < most, loss, np.nan), "name": f"after {int(details['steps'])} updates",
         "mode": "lines", "line": {"color": series(0), "width": 2.5}},
        _line(lr[[0, -1]], levels[:1] * 2, "at the start", 6, DOTTED),
        _line(lr[[0, -1]], levels[1:] * 2, "by chance", 3, DOTTED),
        _line([details["own"]] * 2, [0, most], f"this job: {details['own']:.2g}", None, SOLID),
    ]  # fmt: skip
    shapes = []
    if details["works"]:
        first, last = map(float, details["works"])
        suggestion = float(details["suggestion"])
        traces.append(_line([suggestion] * 2, [0, most], f"suggestion: {suggestion:.2g}", 2, DASHED))
        shapes = [{"type": "rect", "x0": first, "x1": last, "y0": 0, "y1": 1, "yref": "paper",
                   "fillcolor": "--good/0.15", "line": {"width": 0}, "layer": "below"}]  # fmt: skip
    if details["edge"] is not None:
        edge = float(details["edge"])
        traces.append(_line([edge] * 2, [0, most], f"edge: {edge:.2g}", 1, DOTTED))
    layout = {
        "xaxis": {"title": "learning rate", **LOG_AXIS},
        "yaxis": {"title": "training loss", "range": [0, most]}, "shapes": shapes,
    }  # fmt: skip
    caption = f"Median and range of {int(details['seeds'])} seeds. "
    caption += "Green: half of the best fall or more." if details["works"] else "No rate learns."
    return [PlotlyFigure(traces, layout, label="the training loss by learning rate", caption=caption)]


RUNG_FIGURES = {
    "start": start, "gradients": gradients, "subset": subset, "saturation": saturation, "rates": rates,
}  # fmt: skip


def _line(x, y, name: str, colour: int | None, dash: str) -> dict:
    """A line between two points, in the colour of a curve or that of text."""
    line = {"color": "--ink" if colour is None else series(colour), "width": 1.5, "dash": dash}
    return {"x": list(x), "y": list(y), "name": name, "mode": "lines", "line": line}


def _severity(errors: tuple, limits: list[float]) -> float:
    """How far the larger of a gradient's errors is above its limit."""
    known = zip(errors, limits, strict=True)
    return max(_on_log(e) / limit for n, (e, limit) in enumerate(known) if n == 0 or e is not None)


def _on_log(error: float | None) -> float:
    """A place on a logarithmic axis: 0 is at its lower end, what is not finite at its upper one."""
    if error is None:
        return LARGEST_ERROR
    return min(max(float(error), SMALLEST_ERROR), LARGEST_ERROR)
