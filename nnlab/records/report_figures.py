"""The figures of a sweep's report: Optuna's own, learning curves, and how important each parameter is."""

from __future__ import annotations

import math
from dataclasses import replace

import optuna
from optuna import visualization
from optuna.importance import get_param_importances
from plotly.graph_objects import Bar, Figure, Scatter

from nnlab.records.report_story import Story
from nnlab.records.text import label
from nnlab.search.optuna_conversion import directions, to_frozen_trial
from nnlab.search.trial import COMPLETE, FAILED, rank_trials

CURVES_DRAWN = 10  # of the best trials
IMPORTANCE_TRIALS = 10  # complete ones, from which an importance says something
TICKS_AT_MOST = 4  # on a logarithmic axis


def figures(story: Story, importances: dict[str, float]) -> dict[str, Figure]:
    """Heading -> figure; those that have something to show. All but the Pareto front are of the first
    objective, and are the same whether there are others or not."""
    names = [label(objective, story.task) for objective in story.objectives]
    first = _study(of_first(story))
    drawn = {}
    if any(t.state != FAILED for t in story.trials):
        if 1 < len(names) < 4:
            drawn["Pareto front"] = visualization.plot_pareto_front(_study(story), target_names=names)
        drawn["Optimisation history"] = visualization.plot_optimization_history(first, target_name=names[0])
        drawn["Learning curves of the best trials"] = _learning_curves(story)
        drawn["Parallel coordinates"] = visualization.plot_parallel_coordinate(first, target_name=names[0])
        drawn["Slices"] = visualization.plot_slice(first, target_name=names[0])
    if importances:
        drawn["Importance of the parameters"] = _bars(importances, names[0])
    for figure in drawn.values():
        _plain_ticks(figure)
    return drawn


def importances(story: Story) -> dict[str, float]:
    """Share of each parameter in how the first objective varies (PED-ANOVA, Watanabe et al. 2023); those
    that every complete trial has. Nothing where there are too few trials to say, or all gave the same."""
    first = of_first(story)
    values = [t.values[0] for t in first.trials if t.state == COMPLETE]
    if len(values) < IMPORTANCE_TRIALS or min(values) == max(values):
        return {}
    try:
        shares = get_param_importances(_study(first))
    except (ValueError, RuntimeError, ZeroDivisionError):
        return {}
    return {key: float(share) for key, share in shares.items() if not math.isnan(share)}


def of_first(story: Story) -> Story:
    """The same sweep with its first objective alone, in its own direction: Optuna takes any `target` that it
    is asked about for one to minimise. A trial whose objective is not finite says nothing of it."""
    trials = [
        replace(t, values=t.values[:1], spread=t.spread[:1])
        for t in story.trials
        if t.state == FAILED or math.isfinite(t.values[0])
    ]
    return replace(story, trials=trials, signs=story.signs[:1], objectives=story.objectives[:1])


def _study(story: Story) -> optuna.Study:
    """The trials as a study, for Optuna to draw."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=directions(story.signs))
    study.add_trials([to_frozen_trial(trial, story.distributions) for trial in story.trials])
    return study


def _learning_curves(story: Story) -> Figure:
    figure = Figure()
    ranked = rank_trials(story.trials, story.signs)[:CURVES_DRAWN]
    curves = {t.number: story.curves.get(t.number, {}) for t in ranked}
    # NaN is not equal to itself: where nothing is held back, validation losses are NaN throughout.
    held_back = any(v == v for curve in curves.values() for v in curve.get("val_loss", []))
    name = "val_loss" if held_back else "train_loss"
    for number, curve in curves.items():
        values = curve.get(name, [])
        epochs = list(range(1, len(values) + 1))
        figure.add_trace(Scatter(x=epochs, y=values, mode="lines", name=f"trial {number}"))
    title = label(name, story.task)
    return figure.update_layout(xaxis_title="epoch", yaxis_title=title, yaxis_type="log")


def _bars(importances: dict[str, float], name: str) -> Figure:
    keys = list(importances)[::-1]  # plotly draws from below
    figure = Figure(Bar(x=[importances[key] for key in keys], y=keys, orientation="h"))
    return figure.update_layout(xaxis_title=f"importance for {name}")


def _plain_ticks(figure: Figure) -> None:
    """Ticks on logarithmic axes as numbers, not the 5 of 0.0005, and few; names of choices without quotes."""
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
