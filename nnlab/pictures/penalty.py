"""Draws what L2 and dropout of the inputs do to the weights of logistic regression, input by input."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.experiment import LOGISTIC_MAPS, Experiment
from nnlab.pictures.base import Picture, ShownRun
from nnlab.pictures.effective_penalty import Penalized, best, penalized
from nnlab.records.picture import BLACK, GREY, blank_figure, render_png, style_axes, with_default_style
from nnlab.records.text import plus_minus

COLOURS = {"l2": "#0072B2", "dropout": "#D55E00", "both": "#999999", "none": "#222222"}
MARKERS = {"l2": "o", "dropout": "^", "both": "s", "none": "D"}
WORDS = {"l2": "L2", "dropout": "dropout of inputs", "both": "both", "none": "neither"}
HEIGHT = 4.0  # inches


class Penalty(Picture):
    """Weights against the mean square of their inputs, the penalty of each, and the test loss.

    Dropout of the inputs is, to second order, an L2 penalty with a strength of its own for each input: see
    `effective_penalty.dropout_penalty`. Of the runs with L2 alone and of those with dropout alone the one
    with the least validation loss is drawn in the first two panels; the last one has all runs.
    """

    name: ClassVar[str] = "penalty"
    summary: ClassVar[str] = "logistic regression: how l2 and dropout of the inputs penalise each weight"

    def refuse(self, experiment: Experiment, spec: DataSpec) -> None:
        graph, loss = experiment.graph(spec), experiment.loss_for(spec)
        if [*graph.layout().parameters] != ["output.weight", "output.bias"]:
            raise UserError(
                f"show = 'penalty' is of one layer of weights, and model = '{experiment.model.name}' has "
                f"others; allowed with it: model=logistic, without columns of categories"
            )
        if loss.map not in LOGISTIC_MAPS:
            raise UserError(
                f"show = 'penalty' is of logistic regression, and here loss = '{loss.name}'; allowed with "
                f"it: data with classes, and loss=cross_entropy or binary_cross_entropy"
            )

    def draw(self, runs: list[ShownRun]) -> bytes:
        return _draw([penalized(run) for run in runs])


def kind(run: Penalized) -> str:
    """Which of the two a run has: l2, dropout, both or none."""
    return {(True, False): "l2", (False, True): "dropout", (True, True): "both"}.get(
        (run.l2 > 0, run.p > 0), "none"
    )


@with_default_style
def _draw(runs: list[Penalized]) -> bytes:
    figure = blank_figure()
    figure.set_size_inches(figure.get_figwidth(), HEIGHT)
    left, middle, right = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.08, right=0.985, bottom=0.315, top=0.915, wspace=0.34)
    groups = {name: [run for run in runs if kind(run) == name] for name in WORDS}
    shown = {name: best(groups[name]) for name in ("l2", "dropout") if groups[name]}
    shown = shown or {kind(run): run for run in runs[:1]}
    for name, run in shown.items():
        seen = run.mean_square > 0
        style = _style(name) | {"linestyle": "", "markersize": 3.4, "alpha": 0.8}
        left.plot(run.mean_square[seen], run.size[seen], **style)
        middle.plot(run.mean_square[seen], (run.dropout + run.l2)[seen], **style)
    _label(left, "mean of x² (of 0 and 1: the frequency)", "size of the weight w")
    _label(middle, "mean of x² (of 0 and 1: the frequency)", "λ, where the penalty is λ w² / 2")
    if any((run.dropout + run.l2).any() for run in shown.values()):
        middle.set_yscale("log")
    _losses(right, groups, shown)
    for axes in (left, middle, right):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    _words(figure, groups, shown)
    return render_png(figure)


def _losses(axes, groups: dict[str, list[Penalized]], shown: dict[str, Penalized]) -> None:
    """The test loss of every run over the norm of its weights, by which runs of both kinds compare."""
    for name in ("both", "none", "l2", "dropout"):
        tested = [run for run in groups[name] if "test_loss" in run.metrics]
        points = sorted((run.norm, *_ends(run, "test_loss")) for run in tested)
        if not points:
            continue
        norm, mean, low, high = np.array(points).T
        line = "-" if name in ("l2", "dropout") else ""
        size = 2.6 if name == "both" else 4
        axes.plot(norm, mean, **_style(name), markersize=size, linestyle=line, linewidth=1.1)
        axes.vlines(norm, low, high, color=COLOURS[name], linewidth=0.9, alpha=0.7)
    for name, run in shown.items():
        if "test_loss" in run.metrics:
            ring = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "linestyle": ""}
            mean = run.metrics["test_loss"]["mean"]
            axes.plot(run.norm, mean, markeredgecolor=COLOURS[name], markeredgewidth=1.1, **ring)
    _label(axes, "norm of all weights", "test loss")


def _style(name: str) -> dict:
    return {"color": COLOURS[name], "marker": MARKERS[name]}


def _ends(run: Penalized, name: str) -> tuple[float, float, float]:
    """Mean, low and high; both ends are the mean where there is no interval."""
    metric = run.metrics[name]
    return metric["mean"], *(
        metric["mean"] if metric[end] is None else metric[end] for end in ("low", "high")
    )


def _label(axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=8.5, color=BLACK)
    axes.set_ylabel(y, fontsize=8.5, color=BLACK)
    style_axes(axes)


def _words(figure, groups: dict[str, list[Penalized]], shown: dict[str, Penalized]) -> None:
    """Below the panels: which runs these are, and their test losses; at the right what the marks are."""
    y = 0.15
    for name, run in shown.items():
        strength = {"l2": f"l2 = {run.l2:g}", "dropout": f"p = {run.p:g}"}.get(name, "no penalty")
        choice = f", best of {len(groups[name])}" * (len(groups[name]) > 1)
        words = f"{WORDS[name]}{choice}: {strength}"
        if "test_loss" in run.metrics:
            mean, low, high = _ends(run, "test_loss")
            words += f", test loss {plus_minus(mean, (high - low) / 2 if high > low else None)}"
        figure.text(0.065, y, words, fontsize=8.5, color=COLOURS[name], va="center")
        y -= 0.055
    figure.text(0.065, y, _comparison(shown), fontsize=7.5, color=GREY, va="center")
    handles = [
        Line2D([], [], **_style(name), linestyle="", markersize=4, label=WORDS[name])
        for name in WORDS
        if groups[name]
    ]
    figure.legend(handles=handles, ncols=2, loc="center right", bbox_to_anchor=(0.99, 0.11), frameon=False,
                  fontsize=8, labelcolor=BLACK, columnspacing=1.2, handlelength=1.0)  # fmt: skip


def _comparison(shown: dict[str, Penalized]) -> str:
    rows = [len(run.test_losses) for run in shown.values()]
    words = "circled at the right: the best by validation loss" if len(shown) > 1 else ""
    words += f"; means over {max(rows)} rows" * (max(rows) > 1)
    if len(shown) > 1 and max(rows) > 1:
        l2, dropout = (shown[name].test_losses for name in ("l2", "dropout"))
        both = l2.keys() & dropout.keys()
        lower = sum(dropout[row] < l2[row] for row in both)
        words += f", in {lower} of {len(both)} of which dropout's test loss is lower"
    return words.removeprefix("; ")
