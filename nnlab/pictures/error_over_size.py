"""Draws training, validation and test error of several runs against the number in which they differ."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.lines import Line2D

from nnlab.errors import visible
from nnlab.pictures.base import Picture, ShownRun
from nnlab.pictures.size import PARAMETERS, Size, interpolation_threshold, size_of
from nnlab.records.picture import (
    BLACK,
    CURVE_STYLES,
    GREY,
    RUN_COLOURS,
    blank_figure,
    render_png,
    scale_x_axis,
    scale_y_axis,
    style_axes,
    with_default_style,
)
from nnlab.records.run_summaries import task_name
from nnlab.records.text_columns import elide_middle

SET_STYLES = CURVE_STYLES | {"test": ("test", "#009E73", (0, (1, 1.1)))}
MOST_LINES = 6
NAME_CHARACTERS, LABEL_CHARACTERS = 102, 30  # of all lines' names together; of a line of an axis's label
RING = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.2, "linestyle": ""}
THRESHOLD = {"linewidth": 1.0, "linestyle": (0, (1, 2))}
TICK_GAP = 0.15  # least distance of two ticks, as a share of the axis
LOG_FROM, DENSE_BELOW = 10, 1000  # ratios of the largest size to the least: sizes are doubled, as a rule


class ErrorOverSize(Picture):
    """Error and loss, at each row's best epoch, of the sets that the runs have; means over rows and their 95%
    intervals."""

    name = "error_over_size"
    summary = "several runs: error and loss of each set against the number in which they differ"

    def draw(self, runs: list[ShownRun]) -> bytes:
        stored = [run.stored for run in runs]
        counts = [run.experiment.graph(run.spec).parameter_count for run in stored]
        return _draw(size_of(stored, counts), counts, [run.summary for run in stored])


@with_default_style
def _draw(size: Size, parameter_counts: list[int], summaries: list[dict]) -> bytes:
    """A PNG of 1200 x 500 pixels."""
    figure, task = blank_figure(), task_name(summaries[0])
    all_lines = list(dict.fromkeys(size.lines))
    lines = all_lines[:MOST_LINES]
    sets = [s for s in SET_STYLES if any(f"{s}_loss" in summary["metrics"] for summary in summaries)]
    left, right = figure.subplots(1, 2)
    top = 0.78 if len(lines) > 1 else 0.83
    figure.subplots_adjust(left=0.07, right=0.975, bottom=0.17, top=top, wspace=0.22)
    share = task == "classification"
    _panel(left, size, sets, lines, [_errors(s, task) for s in summaries], 100 if share else 1)
    _panel(right, size, sets, lines, [_losses(s) for s in summaries], 1)
    kinds = {str(summary.get("loss_is", "loss")) for summary in summaries}
    labels = ["error (%)" if share else "RMSE (in the target's unit)"]
    labels.append(kinds.pop() if len(kinds) == 1 else "loss, of different kinds")
    for axes, label in zip((left, right), labels, strict=True):
        _axes(axes, size, label)
        if size.key != PARAMETERS:
            _parameter_axis(axes, size, parameter_counts)
    if left.get_yscale() == "linear":
        left.set_ylim(bottom=0)
    thresholds = _mark_interpolation(left, size, lines, summaries) if share else []
    _legend(figure, sets, lines, thresholds)
    note = _note(summaries, len(all_lines) - len(lines))
    figure.text(0.985, 0.015, note, fontsize=7.5, color=GREY, va="bottom", ha="right")
    return render_png(figure)


def _axes(axes, size: Size, label: str) -> None:
    axes.set_xlabel(visible(size.label), fontsize=9, color=BLACK, parse_math=False)
    axes.set_ylabel(
        textwrap.fill(visible(label), LABEL_CHARACTERS), fontsize=9, color=BLACK, parse_math=False
    )
    style_axes(axes)
    scale_x_axis(axes, np.array(size.numbers), LOG_FROM, DENSE_BELOW)


def _errors(summary: dict, task: str) -> dict[str, dict]:
    """Set -> mean and interval of its error."""
    return _of_sets(summary, {s: f"{s}_error" for s in SET_STYLES} | _test_rmse(task))


def _test_rmse(task: str) -> dict[str, str]:
    return {"test": "test_rmse"} if task == "regression" else {}


def _losses(summary: dict) -> dict[str, dict]:
    return _of_sets(summary, {s: f"{s}_loss" for s in SET_STYLES})


def _of_sets(summary: dict, names: dict[str, str]) -> dict[str, dict]:
    """The metrics of these names that some row has."""
    metrics = {s: summary["metrics"].get(name, {}) for s, name in names.items()}
    return {s: metric for s, metric in metrics.items() if metric.get("mean") is not None}


def _panel(
    axes, size: Size, sets: list[str], lines: list[str], metrics: list[dict[str, dict]], factor: float
) -> None:
    """Plot a line for each set and setting: means, with bands of their intervals."""
    shown = []
    for line, line_colour in zip(lines, _line_colours(lines), strict=True):
        for set_name in sets:
            points = [
                (x, *(factor * end for end in _mean_and_ends(of_run[set_name])))
                for x, name, of_run in zip(size.numbers, size.lines, metrics, strict=True)
                if name == line and set_name in of_run
            ]
            if not points:
                continue
            x, mean, low, high = np.array(sorted(points)).T
            _, colour, dash = SET_STYLES[set_name]
            colour = line_colour or colour
            style = {"color": colour, "linestyle": dash, "linewidth": 1.5, "markersize": 3}
            axes.plot(x, mean, marker="o", **style)
            axes.fill_between(x, np.maximum(low, 0), high, color=colour, alpha=0.15, linewidth=0)
            if set_name == "val" and len(x) > 1:
                least = np.argmin(mean)
                axes.plot(x[least], mean[least], color=colour, **RING)
            shown.append(mean)
    scale_y_axis(axes, np.concatenate(shown)[None])


def _mean_and_ends(metric: dict) -> tuple[float, float, float]:
    """Mean, low and high; without an interval (a single row) all are the mean."""
    mean = metric["mean"]
    low, high = (mean if metric.get(end) is None else metric[end] for end in ("low", "high"))
    return mean, low, high


def _line_colours(lines: list[str]) -> list[str | None]:
    """A colour for each setting; None where there is one alone: its sets have colours of their own."""
    return [None] if len(lines) == 1 else list(RUN_COLOURS[: len(lines)])


def _parameter_axis(axes, size: Size, counts: list[int]) -> None:
    """How many parameters the sizes have, above the panel, if that goes with the size."""
    count_at = dict(zip(size.numbers, counts, strict=True))
    is_one_each = all(count_at[x] == count for x, count in zip(size.numbers, counts, strict=True))
    if not is_one_each or len(set(counts)) == 1:
        return
    to_axes = axes.transData + axes.transAxes.inverted()
    chosen: list[float] = []
    for x in sorted(count_at):
        if not chosen or to_axes.transform((x, 1))[0] - to_axes.transform((chosen[-1], 1))[0] > TICK_GAP:
            chosen.append(x)
    top = axes.secondary_xaxis("top")
    top.set_xticks(chosen, [f"{count_at[x]:,}" for x in chosen], minor=False)
    top.minorticks_off()
    top.tick_params(labelsize=7.5, color=GREY, labelcolor=GREY, width=0.5, length=2, pad=1)
    top.spines["top"].set_visible(False)
    top.set_xlabel("parameters", fontsize=7.5, color=GREY, labelpad=2)


def _mark_interpolation(axes, size: Size, lines: list[str], summaries: list[dict]) -> list[float]:
    """Mark the sizes from which on the training set is learnt by heart, and return them."""
    errors = [summary["metrics"].get("train_error", {}).get("mean") for summary in summaries]
    thresholds = []
    for line, colour in zip(lines, _line_colours(lines), strict=True):
        of_line = {
            x: error
            for x, name, error in zip(size.numbers, size.lines, errors, strict=True)
            if name == line and error is not None
        }
        threshold = interpolation_threshold(of_line)
        if threshold is not None:
            axes.axvline(threshold, color=colour or GREY, **THRESHOLD)
            thresholds.append(threshold)
    return sorted(set(thresholds))


def _legend(figure, sets: list[str], lines: list[str], thresholds: list[float]) -> None:
    """The sets by their dashes, and in a second row the settings by their colours."""
    several = len(lines) > 1
    handles = []
    for set_name in sets:
        name, colour, dash = SET_STYLES[set_name]
        handles.append(Line2D([], [], color=BLACK if several else colour, linestyle=dash, label=name))
    if "val" in sets:
        colour = GREY if several else SET_STYLES["val"][1]
        handles.append(Line2D([], [], color=colour, label="least validation", **RING))
    if thresholds:
        where = ", ".join(f"{threshold:g}" for threshold in thresholds)
        label = f"training error 0% from {where} on"
        handles.append(Line2D([], [], color=GREY, label=label, **THRESHOLD))
    style = {"frameon": False, "fontsize": 8, "labelcolor": BLACK, "loc": "upper left", "handlelength": 2.4}
    figure.legend(handles=handles, ncols=len(handles), bbox_to_anchor=(0.055, 1.0), **style)
    if several:
        longest = NAME_CHARACTERS // len(lines)
        names = [elide_middle(visible(line), longest).replace("$", r"\$") for line in lines]
        colours = _line_colours(lines)
        named = [Line2D([], [], color=c, label=name) for c, name in zip(colours, names, strict=True)]
        figure.legend(handles=named, ncols=len(named), bbox_to_anchor=(0.055, 0.945), **style)


def _note(summaries: list[dict], left_out: int) -> str:
    """What the bands are, and how many lines are left out."""
    rows = max(metric.get("n") or 1 for summary in summaries for metric in summary["metrics"].values())
    unit = str(summaries[0].get("unit", "row"))
    note = f"mean and its 95% interval over {rows} {unit}s" if rows > 1 else f"one {unit} each"
    return f"{note}; {left_out} more settings are not drawn" if left_out else note
