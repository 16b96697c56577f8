"""The sections of all runs of -m: the runs by rank, their curves, their results by a numeric setting."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnlab.errors import UserError, list_names
from nnlab.records.comparison_table import compared_metrics, metric_cell, notes, rank
from nnlab.records.curves import bands
from nnlab.records.multirun_file import RUNS_FILE, stored_run_names
from nnlab.records.run_summaries import brief_names, diverged_note, ranking_metric, ranking_set, task_name
from nnlab.records.stored_run import StoredRun
from nnlab.records.text import is_percentage, metric_label
from nnlab.records.text_columns import elide_middle
from nnlab.report.colours import SERIES, series
from nnlab.report.learning_curves import cut_off_note, epoch_axis, scale_of
from nnlab.report.page import Section
from nnlab.report.parts import PlotlyFigure, Preformatted, Table, Text
from nnlab.report.run_facts import or_none, task_of
from nnlab.report.safe_sections import safe_sections
from nnlab.report.shown_pictures import pictures_of
from nnlab.report.thinning import MOST_EPOCHS

MOST_RUNS = 500  # that are read
NAME_CHARACTERS = 36
BAND_RUNS = 4  # up to which each run has a band
NAMED_RUNS = 12  # up to which a legend names the curves


@dataclass(frozen=True)
class ComparedRun:
    """A run of -m: the overrides that it alone has, as one text."""

    name: str
    stored: StoredRun

    @property
    def summary(self) -> dict | None:
        """None if it has not ended."""
        return or_none(getattr, self.stored, "summary")


def comparison_sections(folder: Path) -> Iterator[Section]:
    """The sections of the folder of all runs. Raises `UserError` if there is none in it."""
    runs = compared_runs(folder)
    summaries = or_none(_ranked_summaries, runs) or {}
    if (more := len(_run_names(folder)) - MOST_RUNS) > 0:
        yield Section("Runs left out", note=f"The first {MOST_RUNS} runs are here; {more:,} more are not.")
    by_name = {run.name: run for run in runs}
    ranked = [by_name.pop(name) for name in summaries] + [*by_name.values()]
    makers = {
        "Pictures": lambda: pictures_of(folder, [run.stored for run in runs]),
        "Runs by rank": lambda: _table_section(summaries, runs),
        "Results by a setting": lambda: _setting_section(summaries),
        "Curves of the runs": lambda: _curves_section(
            # In their order the runs have the colours of the pictures above.
            runs if len(runs) <= len(SERIES) else ranked,
            summaries,
        ),
        "How to repeat them": lambda: _commands_section(ranked),
    }
    for heading, make in makers.items():
        yield from safe_sections(heading, make)


def _ranked_summaries(runs: list[ComparedRun]) -> dict[str, dict]:
    """Of the runs that have ended, the best first."""
    ended = {run.name: summary for run in runs if (summary := run.summary) is not None}
    return {name: ended[name] for name in rank(ended)} if ended else {}


def compared_runs(folder: Path) -> list[ComparedRun]:
    """The runs in the folder, in their order, by the overrides in which they differ."""
    names = _run_names(folder)
    stored = [run for name in names[:MOST_RUNS] if (run := or_none(StoredRun, folder / name))]
    if not stored:
        raise UserError(f"'{folder}' has no run in it yet: no epoch has ended")
    return [ComparedRun(name, run) for name, run in zip(_names(stored), stored, strict=True)]


def _run_names(folder: Path) -> list[str]:
    """The names of the runs' folders, in order; in a folder of an early version, of all folders."""
    if (folder / RUNS_FILE).exists():
        return stored_run_names(folder)
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())


def _names(runs: list[StoredRun]) -> list[str]:
    """The words of the commands that not all have; a run's folder where that says nothing."""
    words = [_overrides(run) for run in runs]
    common = set(words[0]).intersection(*words[1:]) if len(words) > 1 else set()
    names = [" ".join(word for word in of_run if word not in common) for of_run in words]
    return [
        name if name and names.count(name) == 1 else run.path.name
        for name, run in zip(names, runs, strict=True)
    ]


def _overrides(run: StoredRun) -> list[str]:
    command = or_none(getattr, run, "command") or ""
    try:
        return [word for word in shlex.split(command)[2:] if "=" in word]
    except ValueError:  # edited by hand
        return []


def _table_section(summaries: dict[str, dict], runs: list[ComparedRun]) -> Section:
    """The runs by rank, with the metrics of the screen's table."""
    unended = [run.name for run in runs if run.name not in summaries]
    note = f"Without results, since they have not ended: {list_names(unended, 8)}." if unended else ""
    if not summaries:
        return Section("Runs by rank", note=note)
    metrics = compared_metrics(summaries)
    headings = [
        "rank",
        "run",
        *(metric_label(name, task_name(next(iter(summaries.values())))) for name in metrics),
    ]
    rows = [
        [str(number), name + diverged_note(summary), *(metric_cell(summary, metric) for metric in metrics)]
        for number, (name, summary) in enumerate(summaries.items(), 1)
    ]
    remarks = [Text(line.strip(), muted=True) for line in notes(summaries) if line]
    return Section("Runs by rank", [Table(headings, rows, labels=2), *remarks], note)


def _curves_section(runs: list[ComparedRun], summaries: dict[str, dict]) -> Section:
    """Loss and error of every run."""
    set_name = ranking_set(summaries) if summaries else "val"
    task = task_of(runs[0].stored)
    labels = _unique(brief_names([run.name for run in runs], NAME_CHARACTERS))
    recorded = [or_none(run.stored.thinned_curves, MOST_EPOCHS) for run in runs]
    figures = []
    for quantity in ("loss", "error"):
        name = f"{set_name}_{quantity}"
        curves = {
            elide_middle(label, NAME_CHARACTERS): (of_run.epochs(), of_run.curve(name))
            for label, of_run in zip(labels, recorded, strict=True)
            if of_run is not None and name in of_run.names
        }
        if curves:
            figures.append(runs_figure(curves, name, task))
    remarks = ["Each curve is the mean over a run's rows."]
    if len(runs) > len(SERIES):
        remarks.append("Colours fade by rank; point at a curve for its name.")
    return Section("Curves of the runs", figures, " ".join(remarks))


def runs_figure(curves: dict[str, tuple], recorded: str, task: str) -> PlotlyFigure:
    """`curves` has the epochs, and the values (rows, epochs), of each run."""
    factor = 100 if is_percentage(recorded, task) else 1
    traces, shown = [], []
    for n, (name, (epochs, values)) in enumerate(curves.items()):
        mean, low, high, _ = bands(factor * values)
        colour = _colour(n, len(curves))
        shown.append(mean)
        line = {"x": epochs, "mode": "lines", "legendgroup": name}
        if len(values) > 1 and len(curves) <= BAND_RUNS:
            end = {**line, "line": {"width": 0, "color": colour}, "hoverinfo": "skip", "showlegend": False}
            fill = {"fill": "tonexty", "fillcolor": f"{colour}/0.15"}
            traces += [{**end, "y": low}, {**end, "y": high, **fill}]
        width = 2 if len(curves) <= NAMED_RUNS else 1.2
        traces.append({**line, "y": mean, "name": name, "line": {"color": colour, "width": width}})
    words = metric_label(recorded, task) + " (%)" * (factor == 100)
    layout = {
        "xaxis": epoch_axis(np.concatenate([epochs for epochs, _ in curves.values()])),
        "yaxis": {"title": words, **(scale := scale_of(np.concatenate(shown)))},
        "showlegend": len(curves) <= NAMED_RUNS,
        "hovermode": "closest",
    }
    label = f"{words} of {len(curves)} runs over the epochs"
    return PlotlyFigure(traces, layout, label, cut_off_note(scale))


def _colour(n: int, count: int) -> str:
    """A colour of its own, or of many runs one by rank."""
    if count <= len(SERIES):
        return series(n)
    return f"--scale{4 - min(2, 3 * n // count)}"


def _setting_section(summaries: dict[str, dict]) -> Section | None:
    """The results by the numeric setting with the most values, with their intervals."""
    if not summaries:
        return None
    from nnlab.records.comparison_data import results_by_value  # imports matplotlib

    results = results_by_value(summaries)
    if results is None:
        return None
    task = task_name(next(iter(summaries.values())))
    is_share = is_percentage(ranking_metric(summaries), task)
    factor = 100 if is_share else 1
    traces, values = [], np.concatenate([points[:, 0] for points in results.lines.values()])
    for n, (name, points) in enumerate(results.lines.items()):
        x, mean, low, high = (points[np.argsort(points[:, 0])] * [1, factor, factor, factor]).T
        bars = {"type": "data", "symmetric": False, "array": high - mean, "arrayminus": mean - low,
                "thickness": 1, "width": 3, "color": series(n)}  # fmt: skip
        traces.append({
            "x": x, "y": mean, "error_y": bars, "mode": "lines+markers",
            "name": elide_middle(name, NAME_CHARACTERS), "line": {"color": series(n)},
        })  # fmt: skip
    scale = scale_of(factor * np.concatenate([points[:, 1] for points in results.lines.values()]))
    layout = {
        "xaxis": {"title": results.key, **_value_axis(values)},
        "yaxis": {"title": results.label + " (%)" * is_share, **scale},
        "showlegend": 1 < len(traces) <= NAMED_RUNS,
    }
    label = f"{results.label} over {results.key}"
    figure = PlotlyFigure(traces, layout, label, cut_off_note(scale), max_width=760)
    return Section(f"Results by {results.key}", [figure], "Bars: 95% intervals, of runs with several rows.")


def _value_axis(values: np.ndarray) -> dict:
    """Logarithmic for values of several magnitudes, with a tick at each of few."""
    axis: dict = {}
    if values.min() > 0 and values.max() > 20 * values.min():
        axis["type"] = "log"
    distinct = np.unique(values)
    if len(distinct) <= 8:
        axis |= {"tickvals": distinct, "ticktext": [f"{value:g}" for value in distinct]}
    return axis


def _commands_section(runs: list[ComparedRun]) -> Section:
    """How each run is repeated."""
    lines = [command for run in runs if (command := or_none(getattr, run.stored, "command"))]
    shown = lines[:NAMED_RUNS]
    more = f"The other {len(lines) - len(shown)} are in command.txt of their folders." * (
        len(lines) > len(shown)
    )
    return Section("How to repeat them", [Preformatted(line, wrapped=True) for line in shown], more)


def _unique(names: list[str]) -> list[str]:
    """The names, with a number appended to repeated ones."""
    earlier = [names[:n].count(name) for n, name in enumerate(names)]
    return [f"{name} ({n + 1})" if n else name for name, n in zip(names, earlier, strict=True)]
