"""Draws effective steps: how far an optimiser goes for the gradient that it is given, epoch by epoch."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, visible
from nnlab.experiment import Experiment
from nnlab.pictures import panels
from nnlab.pictures.base import Picture, ShownRun
from nnlab.pictures.best_rates import at_best_rates
from nnlab.records.curves import HIGH_QUANTILE, LOW_QUANTILE, Bands, bands
from nnlab.records.picture import RUN_COLOURS, render_png, scale_y_axis, with_default_style
from nnlab.records.text_columns import elide_middle

CURVES = {"effective_step": "effective step", "train_loss": "training loss"}  # a panel each
MOST_RUNS = len(RUN_COLOURS)
FEW_EPOCHS = 40  # each of which is a dot
MANY_EPOCHS = 100  # which are on a logarithmic axis, since the first steps matter most
NAME_CHARACTERS = 34


class Steps(Picture):
    name = "steps"
    summary = "record=[effective_step]: length of the update over that of its gradient, and the training loss"

    def refuse(self, experiment: Experiment, spec: DataSpec) -> None:
        if "effective_step" not in experiment.recorded_curves:
            raise UserError(
                "show = 'steps' needs the effective steps; allowed with it: record=[effective_step]"
            )

    def draw(self, runs: list[ShownRun]) -> bytes:
        return _draw(runs)


@with_default_style
def _draw(runs: list[ShownRun]) -> bytes:
    runs, note = at_best_rates(runs)
    if len(runs) > MOST_RUNS:
        runs, note = runs[:MOST_RUNS], f"the first {MOST_RUNS} of {len(runs)} runs"
    figure, axes = panels.panels(len(CURVES), aspect=0.62, share_axes=False)
    for panel, name in zip(axes, CURVES, strict=True):
        panels.label_outside([panel], "epoch", "")
        shown = [bands(run.stored.curves(name)) for run in runs]
        for band, colour in zip(shown, RUN_COLOURS, strict=False):
            _curve(panel, band, colour)
        scale_y_axis(panel, np.concatenate([np.stack(band[:3]) for band in shown], axis=1))
        _scale_epochs(panel, max(len(band.mean) for band in shown))
    rows = max(len(run.stored.rows) for run in runs)
    shaded = f"mean, and {LOW_QUANTILE:.0%} to {HIGH_QUANTILE:.0%} of {rows} rows" if rows > 1 else ""
    for panel, label, remark in zip(axes, CURVES.values(), (shaded, note), strict=True):
        panels.title(panel, "   ".join(filter(None, [label, remark])), len(CURVES))
    panels.legend(figure, _handles(runs))
    return render_png(figure)


def _curve(axes, band: Bands, colour: str) -> None:
    epochs = np.arange(1, len(band.mean) + 1)
    axes.fill_between(epochs, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
    marker = {"marker": "o", "markersize": 2.5} if len(epochs) <= FEW_EPOCHS else {}
    axes.plot(epochs, band.mean, color=colour, linewidth=1.3, **marker)


def _scale_epochs(axes, epochs: int) -> None:
    if epochs > MANY_EPOCHS:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _short_names(runs: list[ShownRun]) -> list[str]:
    """The runs' names; without its key, if they differ in one alone."""
    names = [run.name or "the run" for run in runs]
    keys = {name.partition("=")[0] for name in names}
    is_short = len(names) > 1 and len(keys) == 1 and not any(" " in name for name in names)
    return [name.partition("=")[2] for name in names] if is_short else names


def _handles(runs: list[ShownRun]) -> list:
    names = [elide_middle(visible(name), NAME_CHARACTERS) for name in _short_names(runs)]
    return [
        Line2D([], [], color=colour, label=name, linewidth=1.6)
        for name, colour in zip(names, RUN_COLOURS, strict=False)
    ]
