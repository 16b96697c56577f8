"""Several runs beside each other: the table that `nnlab train -m` ends with, and their curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnlab.records import text_columns
from nnlab.records.console import board_line
from nnlab.records.run_summaries import (
    SEED_REMEDIES,
    data_of,
    diverged_note,
    judge_of,
    kind_of,
    overrides,
    task_of,
)
from nnlab.records.stored_run import StoredRun
from nnlab.records.summary_text import interval_lines
from nnlab.records.terminal import Terminal
from nnlab.records.text import form, label, spread

SHOWN_METRICS = ("{}_loss", "{}_error", "test_accuracy", "test_rmse")  # of validation; see `_kind`


def compare(runs: dict[str, Path], doubts: Sequence[str] = (), stream=None) -> None:
    """Print a table of the runs, {what differs: folder}, the best first; keep it as comparison.json. Below it
    stands what is to be said of their order: `doubts`.

    A run's numbers are those of its summary.json: means over its rows, with their 95% intervals. The
    validation losses of all are drawn in comparison.png; training losses, if no run has others.
    """
    from nnlab.records.runs_figure import picture  # matplotlib: a single run needs no comparison

    summaries = {name: StoredRun(folder).summary for name, folder in runs.items()}
    order = ranked(summaries)
    runs = {name: runs[name] for name in order}
    summaries = {name: summaries[name] for name in order}
    screen = Terminal(stream)
    for line in [*table(summaries), *notes(summaries, doubts)]:
        screen.line(line)
    folder = next(iter(runs.values())).parent
    rows = [{"run": name, "folder": runs[name].name, **summaries[name]} for name in order]
    (folder / "comparison.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    (folder / "comparison.png").write_bytes(picture(runs, summaries))
    screen.line("")
    lines = text_columns.labelled("all runs", folder)
    lines += text_columns.command("their curves", board_line(folder))
    for line in lines:
        screen.line(line)


def ranked(summaries: dict[str, dict]) -> list[str]:
    """The names of the runs, the best first; those on different data by themselves, in the order given.

    A diverged row counts as an infinite loss: a run with fewer of them comes first, and only among equals
    does the mean over the rows that survived decide. It is that of the validation loss; where the losses are
    of different kinds, that of the error, which all runs on the same data have in the same unit.
    """
    data, judge = list(dict.fromkeys(map(data_of, summaries.values()))), judge_of(summaries)

    def place(name: str) -> tuple:
        summary = summaries[name]
        rows, metric = summary["rows"], summary["metrics"].get(judge)
        # A run without a number comes last.
        mean = np.inf if metric is None or metric["mean"] is None else metric["mean"]
        return data.index(data_of(summary)), rows["diverged"] / rows["total"], mean

    return sorted(summaries, key=place)


def notes(summaries: dict[str, dict], doubts: Sequence[str] = ()) -> list[str]:
    """Below the table: how it is ordered, and what the +- is."""
    lines = [f"  {_order(summaries)}"]
    lines += _luck(summaries) or [line for text in doubts for line in text_columns.wrapped(f"  {text}")]
    lines += [line for s in summaries.values() for line in interval_lines(s)]
    if any(0 < s["rows"]["diverged"] < s["rows"]["total"] for s in summaries.values()):
        lines.append("  *: mean over the rows that did not diverge, which says nothing of the others")
    return ["", *dict.fromkeys(lines), *_refits(summaries)]


def _order(summaries: dict[str, dict]) -> str:
    """By what the runs are ordered."""
    judge = judge_of(summaries)
    tasks = dict.fromkeys(map(task_of, summaries.values()))
    metric = " or ".join(dict.fromkeys(label(judge, task) for task in tasks))
    order = f"least {metric}"
    if any(map(diverged_note, summaries.values())):
        order = f"fewest diverged, then {order}"
    if judge.endswith("error"):
        order += " (their losses differ in kind)"
    several_data = len(set(map(data_of, summaries.values()))) > 1
    return f"of each data set the best first: {order}" if several_data else f"the best first: {order}"


def _refits(summaries: dict[str, dict]) -> list[str]:
    """Which training the numbers are of, if runs were trained twice."""
    twice = [name for name, summary in summaries.items() if "refit" in summary]
    if not twice:
        return []
    which = "each run was" if len(twice) == len(summaries) else f"{', '.join(twice)}:"
    lines = [
        f"  {which} trained twice (refit): first for the validation numbers and the best",
        "  epoch, again on the validation examples too for the weights and the test numbers",
    ]
    lost = [name for name in twice if summaries[name]["refit"]["diverged"]]
    return lines + [f"  {name}: rows diverged the second time and keep the first weights" for name in lost]


def _luck(runs) -> list[str]:
    """A note on runs that differ in a seed alone: their order means nothing."""
    every = [overrides(name) for name in runs]
    varied = {key for one in every for key in one if len({each.get(key) for each in every}) > 1}
    if not varied or not varied <= SEED_REMEDIES.keys():
        return []
    names, means = sorted(varied), [SEED_REMEDIES[key] for key in sorted(varied)]
    only = f"only {' and '.join(names)} differ{'s' * (len(names) == 1)}"
    return [f"  {only}: the order is luck; for the mean {' '.join(means)}"]


def table(summaries: dict[str, dict]) -> list[str]:
    """One line a run: what it has of its own, and mean +- half the interval of every metric that some run
    has; a table for each task. Names that leave no room for the numbers become columns, one for each key, or
    else have lines of their own."""
    lines = []
    for task in dict.fromkeys(map(task_of, summaries.values())):
        lines += ["", *_table({name: s for name, s in summaries.items() if task_of(s) == task}, task)]
    return lines


def _table(summaries: dict[str, dict], task: str) -> list[str]:
    kind, runs = kind_of(summaries), summaries.values()
    metrics = [name.format(kind) for name in SHOWN_METRICS]
    metrics = [metric for metric in metrics if any(metric in s["metrics"] for s in runs)]
    heads = [label(metric, task) for metric in metrics]
    numbers = [[_cell(s, m) for m in metrics] for s in runs]
    names = [name + diverged_note(summary) for name, summary in summaries.items()]
    for keys, cells in (([""], [[name] for name in names]), _by_key(summaries)):
        rows = [[*of_run, *row] for of_run, row in zip(cells, numbers, strict=True)]
        lines = text_columns.table([*keys, *heads], rows, len(keys))
        longest = max(len(cell) for of_run in cells for cell in of_run)
        if "" not in lines and longest <= text_columns.CELL_LETTERS:
            return lines
    # Neither fits: each run has its name on a line of its own, above its numbers.
    lines = text_columns.table(["", *heads], [["", *row] for row in numbers], 1)
    above = len(lines) - len(numbers)
    table = lines[:above]
    for name, row in zip(names, lines[above:], strict=True):
        table += [*text_columns.wrapped(f"  {name}"), row]
    return table


def _by_key(summaries: dict[str, dict]) -> tuple[list[str], list[list[str]]]:
    """The keys that runs are named by, and each run's values; how many rows diverged, if any did."""
    each = [overrides(name) for name in summaries]
    keys = list(dict.fromkeys(key for one in each for key in one))
    values = [[one.get(key, "-") for key in keys] for one in each]
    lost = [f"{s['rows']['diverged']} of {s['rows']['total']}" for s in summaries.values()]
    if any(map(diverged_note, summaries.values())):
        return [*keys, "diverged"], [[*v, n] for v, n in zip(values, lost, strict=True)]
    return keys, values


def _cell(summary: dict, name: str) -> str:
    metric = summary["metrics"].get(name)
    if metric is None or metric["mean"] is None:
        return "-"
    half = None
    if metric.get("low") is not None:
        half = (metric["high"] - metric["low"]) / 2
    return spread(metric["mean"], half, form(name, task_of(summary))) + "*" * bool(diverged_note(summary))
