"""The plotly figures of a sweep's report: Optuna's plots, learning curves, parameter importances."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import optuna
from optuna import visualization
from optuna.importance import get_param_importances
from plotly.graph_objects import Bar, Figure, Scatter

from nnlab.records.text import metric_label
from nnlab.report.learning_curves import scale_of
from nnlab.report.sweep_data import ReportData
from nnlab.search.optuna_conversion import directions, to_frozen_trial
from nnlab.search.trial import COMPLETE, FAILED, rank_trials

CURVES_DRAWN = 10  # the best trials
IMPORTANCE_TRIALS = 10  # the fewest complete trials for meaningful importances
TICKS_AT_MOST = 4  # on a logarithmic axis
SLICE_WIDTH, COORDINATE_WIDTH = 230, 150  # pixels that a slice and an axis of parallel coordinates need


def figures(data: ReportData, importances: dict[str, float]) -> dict[str, Figure]:
    """Heading -> figure, for all figures that have something to show.

    All but the Pareto front show the first objective only.
    """
    names = [metric_label(objective, data.task) for objective in data.objectives]
    first = _study(first_objective_only(data))
    drawn = {}
    if any(t.state != FAILED for t in data.trials):
        if 1 < len(names) < 4:
            drawn["Pareto front"] = visualization.plot_pareto_front(_study(data), target_names=names)
        drawn["Optimisation history"] = visualization.plot_optimization_history(first, target_name=names[0])
        drawn["Learning curves of the best trials"] = _learning_curves(data)
        drawn["Parallel coordinates"] = visualization.plot_parallel_coordinate(first, target_name=names[0])
        drawn["Slices"] = visualization.plot_slice(first, target_name=names[0])
    if importances:
        drawn["Importance of the parameters"] = _importance_bars(importances, names[0])
    scale = _scale([t.values[0] for t in first_objective_only(data).trials if t.state == COMPLETE])
    # On a linear axis all good trials may lie on one line, below the bad ones.
    for heading in ("Optimisation history", "Slices"):
        if heading in drawn:
            drawn[heading].update_yaxes(scale)
    for figure in drawn.values():
        _format_ticks(figure)
    return drawn


def _scale(values: list[float]) -> dict:
    """The y axis of these values: logarithmic, with few ticks, if they are positive and span much;
    whole, since bad trials are to be seen."""
    return {key: value for key, value in scale_of(np.array(values, float)).items() if key != "range"}


def width_of(figure: Figure) -> int:
    """The pixels that a figure needs; 0 where the width of a phone is enough."""
    slices = len({trace.xaxis for trace in figure.select_traces("scatter")})
    if slices > 1:
        return SLICE_WIDTH * slices
    is_log = figure.layout.xaxis.type == "log"  # else ticks are the axes of parallel coordinates
    axes = () if is_log else figure.layout.xaxis.tickvals or ()
    dimensions = [len(trace.dimensions) for trace in figure.select_traces("parcoords")]
    return COORDINATE_WIDTH * max([*dimensions, len(axes)])


def importances(data: ReportData) -> dict[str, float]:
    """Each parameter's share in the variance of the first objective (PED-ANOVA, Watanabe et al. 2023).

    Only parameters that every complete trial has. Empty if there are too few trials, or all values are equal.
    """
    first = first_objective_only(data)
    values = [t.values[0] for t in first.trials if t.state == COMPLETE]
    if len(values) < IMPORTANCE_TRIALS or min(values) == max(values):
        return {}
    try:
        shares = get_param_importances(_study(first))
    except (ValueError, RuntimeError, ZeroDivisionError):
        return {}
    return {key: float(share) for key, share in shares.items() if not math.isnan(share)}


def first_objective_only(data: ReportData) -> ReportData:
    """The sweep reduced to its first objective and that objective's direction.

    (Optuna's plots take any `target` function for an objective to minimise.) Trials whose first objective is
    not finite are left out.
    """
    trials = [
        replace(t, values=t.values[:1], spread=t.spread[:1])
        for t in data.trials
        if t.state == FAILED or math.isfinite(t.values[0])
    ]
    return replace(data, trials=trials, directions=data.directions[:1], objectives=data.objectives[:1])


def _study(data: ReportData) -> optuna.Study:
    """The trials as an Optuna study."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=directions(data.directions))
    study.add_trials([to_frozen_trial(trial, data.distributions) for trial in data.trials])
    return study


def _learning_curves(data: ReportData) -> Figure:
    figure = Figure()
    ranked = rank_trials(data.trials, data.directions)[:CURVES_DRAWN]
    curves = {t.number: data.curves.get(t.number, {}) for t in ranked}
    # Without a validation set all validation losses are NaN, which is not equal to itself.
    has_validation = any(v == v for curve in curves.values() for v in curve.get("val_loss", []))
    name = "val_loss" if has_validation else "train_loss"
    for number, curve in curves.items():
        values = curve.get(name, [])
        epochs = list(range(1, len(values) + 1))
        figure.add_trace(Scatter(x=epochs, y=values, mode="lines", name=f"trial {number}"))
    title = metric_label(name, data.task)
    scale = _scale([value for curve in curves.values() for value in curve.get(name, [])])
    figure.update_layout(xaxis_title="epoch", yaxis_title=title)
    return figure.update_yaxes({"type": "log", "dtick": "D2"} | scale)


def _importance_bars(importances: dict[str, float], name: str) -> Figure:
    keys = list(importances)[::-1]  # plotly draws from the bottom up
    figure = Figure(Bar(x=[importances[key] for key in keys], y=keys, orientation="h"))
    return figure.update_layout(xaxis_title=f"importance for {name}")


def _format_ticks(figure: Figure) -> None:
    """Few ticks with whole numbers on logarithmic axes (not the 5 of 0.0005); choices without quotes."""
    figure.update_yaxes(tickformat="~g", selector={"type": "log"})
    for trace in figure.select_traces("scatter"):
        axis = figure.layout[f"xaxis{(trace.xaxis or 'x')[1:]}"]
        if axis.type == "log":
            ticks = _decades([x for x in trace.x if isinstance(x, int | float) and x > 0])
            axis.update(tickvals=ticks, ticktext=[f"{tick:.2g}" for tick in ticks])
        elif axis.categoryarray:
            axis.categoryarray = [_unquoted(name) for name in axis.categoryarray]
            trace.x = [_unquoted(x) for x in trace.x]


def _decades(values: list[float]) -> list[float]:
    """Up to four powers of ten among the values; if there is one at most, the smallest and the largest."""
    if not values:
        return []
    low, high = math.ceil(math.log10(min(values))), math.floor(math.log10(max(values)))
    powers = [10.0**n for n in range(low, high + 1, 1 + max(0, high - low) // TICKS_AT_MOST)]
    return powers if len(powers) > 1 else sorted({min(values), max(values)})


def _unquoted(name):
    return name.strip("'") if isinstance(name, str) else name
