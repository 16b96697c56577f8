"""Draws decision boundaries: what a network of two inputs answers all over its plane."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, shortened, visible
from nnlab.experiment import Experiment
from nnlab.pictures import panels
from nnlab.pictures.base import Picture, ShownRun, are_numbers, describe_inputs, trained_runs
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.trained_rows import mean_threshold
from nnlab.records.picture import BLACK, GREY, SIZE_INCHES, render_png, with_default_style
from nnlab.records.text import format_number, format_percent

CLASS_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933", "#000000")
TINT = 0.55  # how much of the classes' colours the plane has, the rest is white
MARGIN_SHARE = 0.08  # of the examples' range, around them
GRID_POINTS, FEW_POINTS, FEW_PANELS = 240, 140, 3  # along each axis; of a panel among more than a few
MOST_EXAMPLES = 600  # dots of a panel
SMALLEST_PROBABILITY = 1e-30  # whose logarithm is still drawn
FEW_ROWS = 5  # whose boundaries are drawn by themselves
LEVELS = 14  # of numbers
COLOUR_BAR_INCHES = 0.75  # at the right, for the colour bar and its numbers


class Boundary(Picture):
    name = "boundary"
    summary = "two inputs: the class, or the number, that is predicted all over their plane"

    def refuse(self, experiment: Experiment, spec: DataSpec) -> None:
        if not are_numbers(spec, 2):
            raise UserError(
                f"show = 'boundary' needs examples of two numbers, and those of data "
                f"'{experiment.data.name}' {describe_inputs(spec)}; allowed: data=moons or data=spirals, say"
            )
        if not spec.classes and spec.outputs > 1:
            raise UserError(
                f"show = 'boundary' draws classes or one predicted number, and data "
                f"'{experiment.data.name}' has {spec.outputs}"
            )

    def draw(self, runs: list[ShownRun]) -> bytes:
        return _draw(runs)


@with_default_style
def _draw(runs: list[ShownRun]) -> bytes:
    runs, left_out = panels.shown(runs)
    runs, diverged = trained_runs(runs)
    note = "; ".join(filter(None, [left_out, diverged, _note_on_colours(runs)]))
    limits = [_limits(run) for run in runs]
    are_equal = all(np.array_equal(corners, limits[0]) for corners in limits)
    specs = [run.model.spec for run in runs]
    titles = [(run.name, _result(run)) for run in runs]
    right = panels.RIGHT if all(spec.classes for spec in specs) else COLOUR_BAR_INCHES
    figure, axes = panels.titled_panels(titles, 0.8 if len(runs) > 1 else 0.5, are_equal, right)
    numbers = _range_of_numbers([run for run in runs if not run.model.spec.classes])
    for run, panel, corners in zip(runs, axes, limits, strict=True):
        _panel(panel, run, corners, numbers)
    names = specs[0].features or ("x1", "x2")
    panels.label_outside(axes, *(shortened(name, 30) for name in names))
    for panel in axes:
        panel.grid(False)
    handles = _class_handles(specs)
    handles += _example_handles(bool(handles), max(len(run.model.rows_for(None)) for run in runs))
    if numbers:
        _colour_bar(figure, axes, next(spec for spec in specs if not spec.classes))
    panels.legend(figure, handles, note)
    return render_png(figure)


def _note_on_colours(runs: list[ShownRun]) -> str:
    count = max(len(run.model.spec.classes) for run in runs)
    return f"{count} classes: colours repeat after {len(CLASS_COLOURS)}" if count > len(CLASS_COLOURS) else ""


def _limits(run: ShownRun) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the plane: around the run's examples."""
    x = run.dataset.x
    low, high = x.min(0), x.max(0)
    margin = MARGIN_SHARE * np.where(high > low, high - low, 1)
    return low - margin, high + margin


def _range_of_numbers(runs: list[ShownRun]) -> list[float]:
    """The least and the largest target of these runs; empty where there are none."""
    if not runs:
        return []
    y = np.concatenate([run.dataset.y for run in runs])
    return [float(y.min()), float(y.max())]


def _panel(axes, run: ShownRun, limits: tuple, numbers: list[float]) -> None:
    """The plane in the colours of what is predicted, the boundaries on it, and the examples."""
    model, (low, high) = run.model, limits
    count = GRID_POINTS if len(axes.figure.axes) <= FEW_PANELS else FEW_POINTS
    x1, x2 = (np.linspace(start, stop, count) for start, stop in zip(low, high, strict=True))
    points = np.stack(np.meshgrid(x1, x2), -1).reshape(-1, 2)
    answers = model.answers(points)[1]
    square = (count, count)
    if not model.spec.classes:
        scale = {"vmin": numbers[0], "vmax": numbers[1], "cmap": "viridis"}
        z = answers[:, 0].reshape(square)
        levels = MaxNLocator(LEVELS).tick_values(*numbers)
        axes.contourf(x1, x2, z, levels, extend="both", cmap="viridis", alpha=0.75)
        style = {"colors": "white", "linewidths": 0.4, "linestyles": "solid"}
        axes.contour(x1, x2, z, levels, **style)
    else:
        scale = {}
        axes.imshow(
            _tinted(answers).reshape(*square, 3), extent=_edges(low, high, count), origin="lower",
            aspect="auto", interpolation="bilinear", zorder=1,
        )  # fmt: skip
        usable = model.rows_for(None)
        for row in usable[:FEW_ROWS] if len(usable) > 1 else []:
            _outline(axes, x1, x2, _margins(model, points, row.number), {"linewidths": 0.5, "alpha": 0.6})
        _outline(axes, x1, x2, _margins(model, points, None), {"linewidths": 1.3})
    _examples(axes, run, scale)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])


def _edges(low: np.ndarray, high: np.ndarray, count: int) -> tuple:
    """Left, right, lower and upper edge of an image whose outer pixels have their centres at the corners."""
    half = (high - low) / (count - 1) / 2
    return low[0] - half[0], high[0] + half[0], low[1] - half[1], high[1] + half[1]


def _tinted(probabilities: np.ndarray) -> np.ndarray:
    """(n, 3): the mean of the classes' colours by their probabilities, tinted."""
    colours = np.array([to_rgb(_colour(c)) for c in range(probabilities.shape[1])])
    return 1 - TINT * (1 - np.clip(probabilities, 0, 1) @ colours)


def _colour(number: int) -> str:
    return CLASS_COLOURS[number % len(CLASS_COLOURS)]


def _margins(model: TrainedModel, points: np.ndarray, row: int | None) -> np.ndarray:
    """(classes, n): by how much each class is ahead of the others, in log p; its region is where that is
    above 0. Logarithms, since those of a linear model are linear between the points.

    Of two classes one line is enough, which a threshold of the probability moves.
    """
    p = np.clip(model.predict_proba(points, row).T, SMALLEST_PROBABILITY, 1)
    threshold, positive = mean_threshold(model.rows_for(row)), model.spec.positive
    if len(p) == 2 and threshold is not None and positive is not None:
        return (np.log(p[positive] / p[1 - positive]) - np.log(threshold / (1 - threshold)))[None]
    if len(p) == 2:
        return np.log(p[:1] / p[1:])
    others = np.stack([np.delete(p, number, axis=0).max(0) for number in range(len(p))])
    return np.log(p / others)


def _outline(axes, x1: np.ndarray, x2: np.ndarray, margins: np.ndarray, style: dict) -> None:
    """Draw the lines between the regions of the predicted classes."""
    for margin in margins:
        if margin.min() < 0 < margin.max():
            axes.contour(x1, x2, margin.reshape(len(x2), len(x1)), [0], colors=BLACK, zorder=2, **style)


def _examples(axes, run: ShownRun, scale: dict) -> None:
    """Dots for the training examples of the first row, rings for its test examples."""
    dataset, row = run.dataset, run.model.rows_for(None)[0]
    fold = run.fold(row.number)
    size = 9 if len(axes.figure.axes) <= FEW_PANELS else 5
    for examples, is_ring in ((fold.test, True), (fold.train, False)):
        chosen = examples[:: -(-len(examples) // MOST_EXAMPLES) or 1]
        x, y = dataset.x[chosen], dataset.targets(noisy=not is_ring)[chosen]
        colours = np.array([_colour(c) for c in y]) if y.ndim == 1 else y[:, 0]
        if is_ring and y.ndim == 1:
            axes.scatter(*x.T, s=size, facecolors="none", edgecolors=colours, linewidths=0.7, zorder=3)
        else:
            edge = BLACK if is_ring else "white"
            axes.scatter(*x.T, s=size, c=colours, edgecolors=edge, linewidths=0.4, zorder=4, **scale)


def _class_handles(specs: list[DataSpec]) -> list:
    """A colour for each number of a class, with its names in all data."""
    count = min(max(len(spec.classes) for spec in specs), len(CLASS_COLOURS))
    style = {"linestyle": "", "marker": "s", "markersize": 6}
    handles = []
    for number in range(count):
        names = dict.fromkeys(spec.classes[number] for spec in specs if number < len(spec.classes))
        label = visible(shortened(", ".join(names), 24))
        handles.append(Line2D([], [], color=_colour(number), label=label, **style))
    return handles


def _example_handles(has_classes: bool, rows: int) -> list:
    dot = {"linestyle": "", "marker": "o", "markersize": 4.5, "color": GREY}
    ring = dot | ({"markerfacecolor": "none"} if has_classes else {"markeredgecolor": BLACK})
    labels = {"training examples": dot, "test examples": ring}
    handles = [Line2D([], [], label=label, **style) for label, style in labels.items()]
    if has_classes:
        label = "boundary (mean of rows)" if rows > 1 else "boundary"
        handles.append(Line2D([], [], color=BLACK, linewidth=1.3, label=label))
    if has_classes and rows > 1:
        label = "single rows" if rows <= FEW_ROWS else f"first {FEW_ROWS} rows"
        handles.append(Line2D([], [], color=BLACK, linewidth=0.5, alpha=0.6, label=label))
    return handles


def _colour_bar(figure, axes: list, spec: DataSpec) -> None:
    """What colours of numbers mean, at the right of the panels."""
    mappable = next(c for panel in axes for c in panel.collections if c.get_array() is not None)
    places = [panel.get_position() for panel in axes]
    low, high = min(place.y0 for place in places), max(place.y1 for place in places)
    right = 1 - (COLOUR_BAR_INCHES - 0.15) / SIZE_INCHES[0]
    bar = figure.colorbar(mappable, cax=figure.add_axes([right, low, 0.012, high - low]), format="%.3g")
    bar.ax.tick_params(labelsize=8)
    name = spec.targets[0] if spec.targets else "prediction"
    bar.ax.set_title(visible(shortened(name, 20)), fontsize=8, color=BLACK, parse_math=False)


def _result(run: ShownRun) -> str:
    """`test 93.2%`: what the run's summary says of its test set."""
    metrics = run.stored.summary["metrics"]
    accuracy, rmse = (metrics.get(name, {}).get("mean") for name in ("test_accuracy", "test_rmse"))
    if accuracy is not None:
        return f"test {format_percent(accuracy)}"
    return f"test RMSE {format_number(rmse)}" if rmse is not None else ""
