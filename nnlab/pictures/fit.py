"""Draws fitted curves: what a network of one input predicts, through its examples and beside the truth."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nnlab.data.dataset import Data
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, shortened
from nnlab.experiment import Experiment
from nnlab.pictures import panels
from nnlab.pictures.base import Picture, ShownRun, are_numbers, describe_inputs, trained_runs
from nnlab.records.curves import HIGH_QUANTILE, LOW_QUANTILE
from nnlab.records.picture import CURVE_STYLES, GREY, render_png, with_default_style
from nnlab.records.text import format_number

CURVE_COLOUR, TRUTH_COLOUR = CURVE_STYLES["val"][1], CURVE_STYLES["train"][1]
CURVE_STYLE = {"color": CURVE_COLOUR, "linewidth": 2.4}
TRUTH_STYLE = {"color": TRUTH_COLOUR, "linestyle": (0, (4, 3)), "linewidth": 1.2}
DOT_STYLE = {"color": GREY, "alpha": 0.7, "linewidths": 0}
DOT_AREAS, TOTAL_AREA = (6.0, 24.0), 1500.0  # square points: of a dot, the fewer the larger; of all dots
CURVE_POINTS = 800
MOST_EXAMPLES = 400  # dots of a panel
MARGIN_SHARE = 0.05  # of the examples' range, around them
HEADROOM = 0.25  # of their targets' range, above and below: a curve that leaves it is cut off


class FittedCurve(Picture):
    name = "fit"
    summary = "one input: the predicted curve through the training examples, beside the true one if known"

    def refuse(self, experiment: Experiment, spec: DataSpec) -> None:
        data = experiment.data.name
        if not are_numbers(spec, 1):
            raise UserError(
                f"show = 'fit' needs examples of one number, and those of data '{data}' "
                f"{describe_inputs(spec)}; allowed: data=sine or data=line, say"
            )
        if spec.classes or spec.outputs > 1:
            what = "classes" if spec.classes else f"{spec.outputs} targets"
            raise UserError(f"show = 'fit' draws one predicted number, and data '{data}' has {what}")

    def draw(self, runs: list[ShownRun]) -> bytes:
        return _draw(runs)


@with_default_style
def _draw(runs: list[ShownRun]) -> bytes:
    runs, left_out = panels.shown(runs)
    runs, diverged = trained_runs(runs)
    note = "; ".join(filter(None, [left_out, diverged]))
    titles = [(run.name, _result(run)) for run in runs]
    figure, axes = panels.titled_panels(titles, aspect=0.8 if len(runs) > 1 else 0.42)
    for run, panel in zip(runs, axes, strict=True):
        _panel(panel, run)
    x, y = np.concatenate([run.dataset.x for run in runs]), np.concatenate([run.dataset.y for run in runs])
    for panel in axes:
        panel.set_xlim(*_widened(x, MARGIN_SHARE))
        panel.set_ylim(*_widened(y, HEADROOM))
    spec = runs[0].model.spec
    names = (*(spec.features or ("x",)), *(spec.targets or ("y",)))
    panels.label_outside(axes, *(shortened(name, 30) for name in names))
    panels.legend(figure, _handles(runs), note)
    return render_png(figure)


def _result(run: ShownRun) -> str:
    rmse = run.stored.summary["metrics"].get("test_rmse", {}).get("mean")
    return "" if rmse is None else f"test RMSE {format_number(rmse)}"


def _panel(axes, run: ShownRun) -> None:
    """The mean of the rows' curves and a band over them, upon it the training examples, and the true curve on
    top: a curve that is right hides neither."""
    dataset, model = run.dataset, run.model
    x = np.linspace(*_widened(dataset.x, MARGIN_SHARE), CURVE_POINTS)
    rows = model.rows_for(None)
    curves = np.stack([model.outputs(x[:, None], row.number)[:, 0] for row in rows])
    if len(rows) > 1:
        low, high = np.quantile(curves, [LOW_QUANTILE, HIGH_QUANTILE], axis=0)
        axes.fill_between(x, low, high, color=CURVE_COLOUR, alpha=0.25, linewidth=0, zorder=1)
    truth = true_function(run.stored.experiment.data)
    if truth is not None:
        axes.plot(x, truth(x), zorder=4, **TRUTH_STYLE)
    axes.plot(x, curves.mean(0), zorder=2, **CURVE_STYLE)
    train = run.fold(rows[0].number).train
    train = train[:: -(-len(train) // MOST_EXAMPLES)]
    axes.scatter(dataset.x[train, 0], dataset.y[train, 0], s=_dot_area(len(train)), zorder=3, **DOT_STYLE)


def _dot_area(count: int) -> float:
    smallest, largest = DOT_AREAS
    return min(max(TOTAL_AREA / max(count, 1), smallest), largest)


def true_function(data: Data):
    """y(x), if the data are drawn around a function."""
    return getattr(data, "function", None)


def _widened(values: np.ndarray, share: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = share * ((high - low) or 1.0)
    return low - margin, high + margin


def _handles(runs: list[ShownRun]) -> list:
    several = max(len(run.model.rows_for(None)) for run in runs) > 1
    dot = {"linestyle": "", "marker": "o", "markersize": 4.5, "color": GREY}
    handles = [Line2D([], [], label=f"training examples{' of the first row' * several}", **dot)]
    handles.append(Line2D([], [], label=f"predicted{' (mean of the rows)' * several}", **CURVE_STYLE))
    if several:
        band = f"{LOW_QUANTILE:.0%} to {HIGH_QUANTILE:.0%} of rows"
        handles.append(Patch(color=CURVE_COLOUR, alpha=0.25, linewidth=0, label=band))
    if any(true_function(run.stored.experiment.data) is not None for run in runs):
        handles.append(Line2D([], [], label="true function", **TRUTH_STYLE))
    return handles
