"""Draws the paths of optimisers: where two parameters went, on the level lines of the training objective."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D

from nnlab.autodiff.activity_penalty import hidden_activations
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.pictures import panels
from nnlab.pictures.base import Picture, ShownRun
from nnlab.pictures.best_rates import at_best_rates
from nnlab.pictures.landscape import Path, objective, paths
from nnlab.records.picture import BLACK, CURVE_STYLES, GREY, render_png, with_default_style
from nnlab.records.text import format_number
from nnlab.training.further_curves import THETA_PREFIX, theta_names

PATH_COLOUR, END_COLOUR = CURVE_STYLES["train"][1], CURVE_STYLES["val"][1]
FEW_ROWS = 3  # whose paths are drawn
GRID_POINTS = 65  # along each axis
LEVELS = 10
LOWEST_LEVEL = 1e-3  # of the objective's range in the picture
FAR_RATIO = 3.0  # a point whose loss is so many times that of the start is not in the picture
MARGIN_SHARE = 0.08  # of the paths' range, around them


class Paths(Picture):
    name = "paths"
    summary = "two parameters, record=[theta]: where they went, on level lines of the training loss"

    def refuse(self, experiment: Experiment, spec: DataSpec) -> None:
        count = experiment.graph(spec).parameter_count
        if count != 2:
            raise UserError(
                f"show = 'paths' needs a model of two parameters, and model={experiment.model.name} has "
                f"{count:,} on data '{experiment.data.name}'; allowed: data=ravine model=linear, say"
            )
        if experiment.regularizer.penalizes_activity and hidden_activations(experiment.graph(spec)):
            raise UserError(
                "show = 'paths' draws the loss and the penalties of weights, not of activations; allowed "
                "with it: regularizer=l2, say"
            )
        if "theta" not in experiment.recorded_curves:
            raise UserError("show = 'paths' needs what the parameters were; allowed with it: record=[theta]")

    def draw(self, runs: list[ShownRun]) -> bytes:
        return _draw(runs)


@with_default_style
def _draw(runs: list[ShownRun]) -> bytes:
    runs, chosen = at_best_rates(runs)
    runs, left_out = panels.shown(runs)
    columns = 2 if len(runs) in (2, 4) else 3
    figure, axes = panels.panels(len(runs), aspect=0.5 if len(runs) == 1 else 0.66, most_columns=columns)
    paths_of_runs = [paths(run, FEW_ROWS) for run in runs]
    low, high, order = _limits(paths_of_runs)
    landscapes: dict[str, np.ndarray] = {}
    for run, run_paths, panel in zip(runs, paths_of_runs, axes, strict=True):
        key = _landscape_key(run.stored.experiment)
        if key not in landscapes:
            landscapes[key] = _landscape(run, low, high)
        _level_lines(panel, landscapes[key], low, high, order)
        for path in reversed(run_paths):
            _path(panel, path.theta[:, order], is_first=path is run_paths[0])
        panel.set_xlim(low[order[0]], high[order[0]])
        panel.set_ylim(low[order[1]], high[order[1]])
        panels.title(panel, run.name, min(columns, len(runs)))
        _say_loss(panel, run_paths[0], order)
    layout = runs[0].stored.experiment.graph(runs[0].stored.spec).layout()
    names = [name.removeprefix(THETA_PREFIX).removesuffix("[0,0]") for name in theta_names(layout)]
    panels.label_outside(axes, *(names[i] for i in order))
    for panel in axes:
        panel.grid(False)
        panel.ticklabel_format(scilimits=(-1, 4))  # longer numbers would leave the label of the axis no place
        panel.yaxis.get_offset_text().set(fontsize=7.5, x=-0.03)
        panel.xaxis.get_offset_text().set_fontsize(7.5)
    panels.legend(figure, _handles(max(map(len, paths_of_runs))))
    panels.note_above(figure, left_out or chosen)
    return render_png(figure)


def _limits(paths_of_runs: list[list[Path]]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The corners of the plane, and its axes: the parameter that goes further is horizontal.

    What a diverging path reaches is out of the picture.
    """
    points = np.concatenate([_near(path) for each in paths_of_runs for path in each])
    low, high = points.min(0), points.max(0)
    size = np.where(high > low, high - low, 1)
    order = [0, 1] if size[0] >= size[1] else [1, 0]
    return low - MARGIN_SHARE * size, high + MARGIN_SHARE * size, order


def _near(path: Path) -> np.ndarray:
    """The points of a path at which the loss was not much larger than at its start, and finite."""
    # An epoch's loss is that of its batches, before their steps: of the points up to the one before its end.
    loss = np.append(path.loss, path.loss[-1:])
    near = np.isfinite(path.theta).all(1) & (loss <= FAR_RATIO * loss[0])
    near[0] = True
    return path.theta[near]


def _landscape_key(e: Experiment) -> str:
    """What the objective depends on, beside the parameters."""
    return repr((e.data, e.split, e.model, e.regularizer, e.loss, e.class_weight))


def _landscape(run: ShownRun, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The objective (points, points), the first parameter along the first axis."""
    axes = (np.linspace(start, stop, GRID_POINTS) for start, stop in zip(low, high, strict=True))
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    return objective(run, points).reshape(GRID_POINTS, GRID_POINTS)


def _level_lines(axes, landscape: np.ndarray, low: np.ndarray, high: np.ndarray, order: list[int]) -> None:
    """Lines of equal objective, closer together in their values the lower they lie."""
    lowest, highest = np.nanmin(landscape), np.nanmax(landscape)
    if not highest > lowest:
        return
    levels = lowest + (highest - lowest) * np.geomspace(LOWEST_LEVEL, 1, LEVELS)
    x, y = (np.linspace(low[i], high[i], GRID_POINTS) for i in order)
    z = landscape.transpose(order).T  # rows go along y
    axes.contourf(x, y, z, [lowest, *levels], cmap="Greys", alpha=0.28, zorder=0)
    axes.contour(x, y, z, levels, colors="#9A9A9A", linewidths=0.6, zorder=1)


def _path(axes, theta: np.ndarray, is_first: bool) -> None:
    """A line from epoch to epoch, its start as a ring, its end as a larger dot."""
    theta = theta[np.isfinite(theta).all(1)]
    strength = {"alpha": 1.0 if is_first else 0.35}
    size = 3.0 if len(theta) < 150 else 1.6
    axes.plot(*theta.T, color=PATH_COLOUR, linewidth=1.0, marker="o", markersize=size, markeredgewidth=0,
              zorder=3, **strength)  # fmt: skip
    axes.plot(*theta[0], **_start_mark(), zorder=5)
    axes.plot(*theta[-1], **_end_mark(), zorder=6, **strength)


def _start_mark() -> dict:
    return {"marker": "o", "markersize": 7, "markerfacecolor": "white", "markeredgecolor": BLACK,
            "linestyle": "", "clip_on": False}  # fmt: skip


def _end_mark() -> dict:
    return {"marker": "X", "markersize": 8, "markerfacecolor": END_COLOUR, "markeredgecolor": "white",
            "markeredgewidth": 0.8, "linestyle": "", "clip_on": True}  # fmt: skip


def _say_loss(axes, path: Path, order: list[int]) -> None:
    """The loss of the last epoch, in a corner at the right: the lower one, unless the path ends there."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x, y = path.theta[np.isfinite(path.theta).all(1)][-1][order]
    ends_there = x > (left + right) / 2 and y < (bottom + top) / 2
    text, height = f"loss {format_number(_last(path.loss))}", 0.95 if ends_there else 0.05
    axes.text(
        0.97, height, text, fontsize=8, color=BLACK,
        transform=axes.transAxes, ha="right", va="top" if ends_there else "bottom", zorder=7,
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def _last(loss: np.ndarray) -> float:
    finite = loss[np.isfinite(loss)]
    return float(finite[-1]) if len(finite) else np.nan


def _handles(rows: int) -> list:
    label = (
        "after each epoch" if rows == 1 else f"after each epoch: the first {rows} rows, the first one strong"
    )
    return [
        Line2D([], [], label="start", **_start_mark()),
        Line2D([], [], label=label, color=PATH_COLOUR, marker="o", markersize=3),
        Line2D([], [], label="end", **_end_mark()),
        Line2D([], [], label="level lines of the training loss", color=GREY, linewidth=0.8),
    ]
