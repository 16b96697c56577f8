"""Draws the validation loss, the error and the learning rate of several runs, epoch by epoch; of a single run
its curves.png, training set included."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nnlab.errors import visible
from nnlab.pictures.base import Picture, ShownRun
from nnlab.records import picture
from nnlab.records.curves import Curves, bands, stored_curves
from nnlab.records.dashes import alternating_dashes
from nnlab.records.picture import BLACK, GREY, RUN_COLOURS
from nnlab.records.run_summaries import ranking_set, task_name
from nnlab.records.text import metric_label
from nnlab.records.text_columns import elide_middle

COLOURS = tuple(colour for colour in RUN_COLOURS if colour != "#000000")
MOST_RUNS = len(COLOURS)
NAME_CHARACTERS = 30
LINE_CHARACTERS, HANDLE_CHARACTERS = 125, 7  # of the legend, at its size; a line and its gaps, in characters
LINE_SHARE = 0.052  # the height of a line of the legend, as a share of the picture's
END_LINE = {"marker": "|", "markersize": 9, "markeredgewidth": 1.4}  # where a run ended early


class LearningCurves(Picture):
    name = "curves"
    summary = "loss, error and learning rate by epoch, where it was lowered, and the best epochs"

    def draw(self, runs: list[ShownRun]) -> bytes:
        if len(runs) == 1:
            return _draw_alone(runs[0])
        return _draw(runs)


def _draw_alone(run: ShownRun) -> bytes:
    summary = run.stored.summary
    _, _, target = str(summary.get("loss_is", "")).partition(" of the ")
    title = str(summary.get("title", ""))
    return picture.draw(stored_curves(run.stored), visible(title), task_name(summary), target)


@picture.with_default_style
def _draw(runs: list[ShownRun]) -> bytes:
    left_out, runs = len(runs) - MOST_RUNS, runs[:MOST_RUNS]
    summaries = {run.name: run.stored.summary for run in runs}
    kind, task = ranking_set(summaries), task_name(runs[0].stored.summary)
    curves = [stored_curves(run.stored) for run in runs]
    panels = {f"{kind}_loss": 1.0}
    if task == "classification":  # in a regression the error is the loss again, in another unit
        panels[f"{kind}_error"] = 100.0
    if any(_varies(of_run.learning_rates) for of_run in curves):
        panels["lr"] = 1.0
    figure = picture.blank_figure()
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.17, wspace=0.32)
    for axes, (name, factor) in zip(all_axes, panels.items(), strict=True):
        _panel(axes, curves, name, factor)
        label = "learning rate" if name == "lr" else metric_label(name, task)
        axes.set_ylabel(f"{label} (%)" if factor == 100 else label, fontsize=9, color=BLACK)
    _legend(figure, runs, curves, left_out)
    return picture.render_png(figure)


def _short_names(runs: list[ShownRun]) -> tuple[str, list[str]]:
    """The key that all names have, if it is the same, and the names without it."""
    keys = {run.name.partition("=")[0] for run in runs}
    if len(keys) > 1 or any(run.name.count("=") != 1 for run in runs):
        return "", [run.name for run in runs]
    return keys.pop(), [run.name.partition("=")[2] for run in runs]


def _varies(rates: np.ndarray) -> bool:
    finite = rates[np.isfinite(rates)]
    return len(finite) > 0 and finite.max() > finite.min()


def _panel(axes, curves: list[Curves], name: str, factor: float) -> None:
    """The mean of each run's rows; of a single row also what its schedule did, and its best epoch."""
    epochs = max(of_run.epochs for of_run in curves)
    shown = []
    values_of_run = [factor * of_run.values(name) for of_run in curves]
    means = [bands(values).mean for values in values_of_run]
    runs = zip(curves, values_of_run, means, alternating_dashes(means), COLOURS, strict=False)
    for of_run, values, mean, dash, colour in runs:
        shown.append(np.pad(mean, (0, epochs - len(mean)), constant_values=np.nan))
        dot = {"marker": "o", "markersize": 4} if len(mean) == 1 else {}  # a line of one point is not seen
        axes.plot(np.arange(1, len(mean) + 1), mean, color=colour, linestyle=dash, linewidth=1.5, **dot)
        if of_run.epochs < epochs:
            axes.plot(of_run.epochs, mean[-1], color=colour, **END_LINE)
        if of_run.rows == 1:
            picture.mark_events(axes, of_run, values)
            best = of_run.best_epoch[0]
            if best and name != "lr":
                axes.plot(best, values[0, best - 1], **picture.BEST_DOT | {"markerfacecolor": colour})
    picture.scale_y_axis(axes, np.array(shown))
    picture.style_axes(axes)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("epoch", fontsize=9, color=BLACK)


def _legend(figure, runs: list[ShownRun], curves: list[Curves], left_out: int) -> None:
    """The runs' names, after the key that they share, and what the marks mean."""
    key, names = _short_names(runs)
    key_label = elide_middle(visible(f"{key}:"), NAME_CHARACTERS)
    words = [Line2D([], [], linestyle="", label=key_label)] * bool(key)
    handles = [
        Line2D([], [], color=colour, linewidth=1.5, label=elide_middle(visible(name), NAME_CHARACTERS))
        for name, colour in zip(names, COLOURS, strict=False)
    ]
    handles = [*words, *handles]
    single = [of_run for of_run in curves if of_run.rows == 1]
    if any(of_run.best_epoch[0] for of_run in single):
        dot = picture.BEST_DOT | {"linestyle": "", "markerfacecolor": GREY}
        handles.append(Line2D([], [], label="best epoch", **dot))
    for name in dict.fromkeys(name for of_run in single for name in picture.events(of_run)):
        label, mark = picture.EVENT_MARKS[name]
        handles.append(Line2D([], [], label=label, markersize=picture.MARK_SIZE, **mark))
    if len({of_run.epochs for of_run in curves}) > 1:
        handles.append(Line2D([], [], label="ended early", color=GREY, linestyle="", **END_LINE))
    characters = sum(len(handle.get_label()) + HANDLE_CHARACTERS for handle in handles)
    lines = -(-characters // LINE_CHARACTERS)
    figure.subplots_adjust(top=0.955 - LINE_SHARE * lines)
    legend = figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.005, 0.995), ncols=-(-len(handles) // lines),
        frameon=False, fontsize=8, labelcolor=BLACK, handlelength=1.6, columnspacing=1.4, borderpad=0.2,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    notes = ["means of the rows"] if max(of_run.rows for of_run in curves) > 1 else []
    notes += [f"{left_out} further runs left out"] if left_out > 0 else []
    figure.text(0.985, 0.008, ", ".join(notes), fontsize=7.5, color=GREY, va="bottom", ha="right")
