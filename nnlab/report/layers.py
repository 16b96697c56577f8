"""Activations and gradients by layer: what flows through the trained networks of a run."""

from __future__ import annotations

import numpy as np

from nnlab.prediction.layer_flow import layer_flow
from nnlab.report.colours import series
from nnlab.report.learning_curves import scale_of
from nnlab.report.page import Section
from nnlab.report.parts import PlotlyFigure, Table, Text
from nnlab.report.trained_run import TrainedRun

HEADING = "Activations and gradients by layer"
FIGURE_HEIGHT = 260
LAYER_QUANTITIES = {  # what `layer_flow` measures of layers -> the words of an axis
    "gradient": "gradient (RMS)",
    "variance": "variance of outputs",
    "weights": "weights (RMS)",
}


def layers_section(run: TrainedRun) -> Section:
    """Figures of the trained rows on training examples of the first usable row's fold."""
    fold = run.data.fold(run.first_row)
    flow = layer_flow(run.model, run.data.dataset, fold)
    measured = flow["layers"]
    of_layers = layer_figures(measured) if len(measured) > 1 else [layer_table(measured)]
    figures = [*activation_figures(flow["activations"]), *of_layers]
    return Section(HEADING, [*map(Text, sentences(flow)), *figures], _note(run, flow))


def sentences(flow: dict) -> list[str]:
    """What there is to see, in words."""
    said, layers = [], list(flow["layers"].items())
    if flow["activations"]:
        said.append(stuck_sentence(flow["activations"]))
        said += zeros_sentences(flow["activations"])
    if len(layers) > 1 and layers[-1][1]["gradient"] > 0:
        (first, one), (last, other) = layers[0], layers[-1]
        ratio = one["gradient"] / other["gradient"]
        said.append(f"The gradient at {first} is {ratio:.2g} times that at {last}.")
    return said


def stuck_sentence(activations: dict[str, dict]) -> str:
    """Which activation has the most stuck units."""
    name, worst = max(activations.items(), key=lambda item: item[1]["stuck"])
    if not worst["stuck"]:
        return "No unit is saturated or dead."
    words = "saturated" if worst["bounded"] else "dead"
    most = ", the most of any layer" if len(activations) > 1 else ""
    return f"{worst['stuck']:.1%} of the units of {name} are {words}{most}."


def zeros_sentences(activations: dict[str, dict]) -> list[str]:
    """How sparse the hidden units are, layer by layer; none where no output is 0, as of a sigmoid."""
    shares = {name: a["zeros"] for name, a in activations.items() if a["zeros"]}
    if not shares:
        return []
    each = ", ".join(f"{share:.1%} of {name}" for name, share in shares.items())
    return [f"Outputs that are 0: {each}."]


def activation_figures(activations: dict[str, dict]) -> list[PlotlyFigure]:
    """The spread of the outputs of each activation, and the shares of stuck units."""
    if not activations:
        return []
    names, is_stuck = list(activations), any(a["stuck"] for a in activations.values())
    low, q1, middle, q3, high = zip(*(a["quantiles"] for a in activations.values()), strict=True)
    spread = {
        "type": "box", "x": names, "lowerfence": low, "q1": q1, "median": middle, "q3": q3,
        "upperfence": high, "line": {"color": "--series0"}, "fillcolor": "--series0/0.25",
    }  # fmt: skip
    return [
        PlotlyFigure(
            [spread],
            {"yaxis": {"title": "outputs of units"}, "xaxis": {"type": "category"}, "showlegend": False},
            label="the outputs of each activation",
            caption="Box: the middle half of the outputs; line: their median; ends: 5% and 95%.",
            height=FIGURE_HEIGHT,
        ),
        *([stuck_figure({"": activations})] if is_stuck else []),
    ]


def stuck_figure(measurements: dict[str, dict]) -> PlotlyFigure:
    """The shares of stuck units of each activation; `measurements`: by the time they were made."""
    traces = [
        {"type": "bar", "x": list(activations), "y": [100 * (a["stuck"] or 0) for a in activations.values()],
         "name": time, "marker": {"color": series(n)}}
        for n, (time, activations) in enumerate(measurements.items())
    ]  # fmt: skip
    layout = {
        "yaxis": {"title": "stuck units (%)", "range": [0, 100]}, "xaxis": {"type": "category"},
        "showlegend": len(traces) > 1, "bargap": 0.4,
    }  # fmt: skip
    caption = "Saturated: on an example where the derivative is near 0; dead: where it is for all examples."
    return PlotlyFigure(
        traces, layout, label="the share of stuck units", caption=caption, height=FIGURE_HEIGHT
    )


def layer_figures(layers: dict[str, dict]) -> list[PlotlyFigure]:
    """Sizes of gradients, outputs and weights over the layers."""
    return [quantity_figure(quantity, {"": layers}) for quantity in LAYER_QUANTITIES]


def layer_table(layers: dict[str, dict]) -> Table:
    """The same as numbers, of a single layer: a figure would have one point."""
    rows = [
        [name, *("" if layer[key] is None else f"{layer[key]:.3g}" for key in LAYER_QUANTITIES)]
        for name, layer in layers.items()
    ]
    return Table(["layer", *LAYER_QUANTITIES.values()], rows)


def quantity_figure(quantity: str, measurements: dict[str, dict]) -> PlotlyFigure:
    """A quantity over the layers, logarithmic; `measurements`: by the time they were made."""
    traces, values = [], []
    for n, (time, layers) in enumerate(measurements.items()):
        known = {name: layer[quantity] for name, layer in layers.items() if layer[quantity] is not None}
        values += known.values()
        traces.append({
            "x": list(known), "y": list(known.values()), "name": time, "mode": "lines+markers",
            "line": {"color": series(n)},
        })  # fmt: skip
    scale = scale_of(np.array(values, float)) or {"rangemode": "tozero"}
    layout = {
        "yaxis": {"title": LAYER_QUANTITIES[quantity], "exponentformat": "power", **scale},
        "xaxis": {"type": "category"},
        "showlegend": len(traces) > 1,
    }  # fmt: skip
    label = f"{LAYER_QUANTITIES[quantity]} by layer"
    return PlotlyFigure(traces, layout, label=label, height=FIGURE_HEIGHT)


def _note(run: TrainedRun, flow: dict) -> str:
    rows, of_row = flow["rows"], run.describe_row(run.first_row)
    which = f", of {of_row}" if of_row else ""
    if len(rows) > 1:
        which = f", the median of the rows {', '.join(map(str, rows))}"
    return (
        f"Of the trained network on {flow['examples']} training examples, without dropout{which}. Gradients "
        "are of an example's loss with respect to the outputs of a layer."
    )
