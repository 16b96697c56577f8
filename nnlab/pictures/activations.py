"""Draws how the outputs of each hidden layer spread over training, from the histograms of a run."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from matplotlib import colormaps
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nnlab.autodiff.activity_penalty import hidden_activations
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, list_names
from nnlab.experiment import Experiment
from nnlab.pictures import panels
from nnlab.pictures.base import Picture, ShownRun
from nnlab.records.epoch_histograms import EpochHistograms
from nnlab.records.picture import BLACK, render_png, with_default_style

OUTER = (0.02, 0.98)  # the percentiles that Glorot and Bengio mark
MOST_LAYERS = 6  # with lines in a panel: the first and the last among them
LIGHTEST, DARKEST = 0.88, 0.05  # of the colour map, for the first layer and the last one
FEW_EPOCHS = 12  # fewer than these are marked


class Activations(Picture):
    """The mean, the 2nd and the 98th percentile of each activation's outputs by epoch, a panel for each run.

    So saturation is seen layer by layer: percentiles at both limits of a tanh, a mean at 0 of the last
    sigmoid (Glorot and Bengio 2010, figures 2 and 3). The outputs are those for all validation examples, as
    histograms=N counts them, of the first row of each run.
    """

    name: ClassVar[str] = "activations"
    summary: ClassVar[str] = "histograms=1: how the outputs of each hidden layer spread over training"

    def refuse(self, experiment: Experiment, spec: DataSpec) -> None:
        if not hidden_activations(experiment.graph(spec)):
            model = experiment.model.name
            raise UserError(
                f"show = 'activations' is of hidden layers, and model = '{model}' here has none; allowed "
                f"with it: model=mlp, say"
            )
        if not experiment.histograms:
            raise UserError(
                "show = 'activations' needs what the activations were; allowed with it: histograms=1, after "
                "every epoch"
            )

    def draw(self, runs: list[ShownRun]) -> bytes:
        return _draw(runs)


@with_default_style
def _draw(runs: list[ShownRun]) -> bytes:
    spreads = [(run, spread) for run in runs if (spread := spread_of_layers(run))]
    if not spreads:
        raise UserError("no run has histograms with a finite activation, so there is nothing to draw")
    missing = [run.name for run in runs if run not in [drawn for drawn, _ in spreads]]
    spreads, left_out = panels.shown(spreads)
    figure, axes = panels.titled_panels([(run.name, "") for run, _ in spreads], aspect=0.62)
    for (_, spread), panel in zip(spreads, axes, strict=True):
        for histograms, colour in zip(spread.values(), _colours(len(spread)), strict=True):
            marker = {"marker": "o", "markersize": 3} if len(histograms.epochs) < FEW_EPOCHS else {}
            panel.plot(histograms.epochs, histograms.means(), color=colour, linewidth=1.6, **marker)
            for ends in histograms.quantiles([*OUTER]):
                panel.plot(histograms.epochs, ends, color=colour, linewidth=1, linestyle=(0, (2, 1.4)))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels.label_outside(axes, "epoch", "output of a unit")
    panels.legend(figure, _handles([spread for _, spread in spreads]))
    note = f"no histograms: {list_names(missing)}" if missing else left_out
    rows = max(len(run.stored.rows) for run, _ in spreads)
    panels.note_above(figure, note or (f"the first of {rows} rows" if rows > 1 else ""))
    return render_png(figure)


def spread_of_layers(run: ShownRun) -> dict[str, EpochHistograms]:
    """The histograms of the first row by activation, in order, without those of no finite value; of many
    layers some, evenly."""
    e, stored = run.stored.experiment, run.stored.histograms(0)
    graph = e.graph(run.stored.spec)
    names = [graph.nodes[n].name for n in hidden_activations(graph)]
    found = {name: stored.get(f"activations/{name}") for name in names}
    found = {name: h for name, h in found.items() if h is not None and h.counts.any()}
    chosen = np.linspace(0, len(found) - 1, min(MOST_LAYERS, len(found))).round().astype(int)
    return {name: found[name] for name in (list(found)[i] for i in chosen)}


def _colours(count: int) -> list:
    """From light, the first layer, to dark, the last."""
    return [colormaps["viridis"](value) for value in np.linspace(LIGHTEST, DARKEST, max(2, count))[-count:]]


def _handles(spreads: list[dict[str, EpochHistograms]]) -> list:
    """What the colours are: layers by name, or by place where names differ, or the ends where counts do."""
    most = max(spreads, key=len)
    alike = all(len(spread) == len(most) for spread in spreads)
    same_names = all(list(spread) == list(most) for spread in spreads)
    if not alike:
        layers = [(_colours(2)[0], "first layer"), (_colours(2)[1], "last layer")]
    else:
        layers = [
            (colour, name if same_names else f"layer {place}")
            for place, (name, colour) in enumerate(zip(most, _colours(len(most)), strict=True), start=1)
        ]
    handles = [Line2D([], [], color=colour, linewidth=2, label=label) for colour, label in layers]
    dashed = Line2D([], [], color=BLACK, linewidth=1, linestyle=(0, (2, 1.4)), label="2% and 98%")
    return [*handles, Line2D([], [], color=BLACK, linewidth=1.6, label="mean"), dashed]
