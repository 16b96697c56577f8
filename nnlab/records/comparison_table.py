"""The comparison of several runs at the end of `nnlab train -m`: ranked table, notes, comparison.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnlab.metrics import larger_is_better
from nnlab.records import text_columns
from nnlab.records.console import board_command
from nnlab.records.run_summaries import (
    SEED_REMEDIES,
    data_name,
    diverged_note,
    parse_overrides,
    ranking_metric,
    ranking_set,
    task_name,
)
from nnlab.records.stored_run import StoredRun
from nnlab.records.summary_text import interval_lines
from nnlab.records.terminal import Terminal
from nnlab.records.text import metric_formatter, metric_label, plus_minus
from nnlab.records.weight_summary import shown_weight_metrics, weight_metrics, weight_notes

# {} is val or train, see `ranking_set`; beside these, the metric that ranks
SHOWN_METRICS = ("{}_loss", "{}_error", "test_accuracy", "test_rmse")


def compare(runs: dict[str, Path], caveats: Sequence[str] = (), stream=None) -> None:
    """Print a table of the runs, {overrides: folder}, the best first, and write comparison.json.

    `caveats` are printed below the table.

    A run's numbers are those of its summary.json: means over its rows, with their 95% intervals. The
    validation losses of all are drawn in comparison.png; training losses, if no run has others.
    """
    from nnlab.records.comparison_data import draw_comparison  # imports matplotlib

    summaries = {name: StoredRun(folder).summary for name, folder in runs.items()}
    order = rank(summaries)
    runs = {name: runs[name] for name in order}
    summaries = {name: summaries[name] for name in order}
    terminal = Terminal(stream)
    for line in [*table(summaries), *notes(summaries, caveats)]:
        terminal.line(line)
    folder = next(iter(runs.values())).parent
    rows = [{"run": name, "folder": runs[name].name, **summaries[name]} for name in order]
    (folder / "comparison.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    (folder / "comparison.png").write_bytes(draw_comparison(runs, summaries))
    terminal.line("")
    lines = text_columns.labelled_lines("all runs", folder)
    lines += text_columns.command_lines("their curves", board_command(folder))
    for line in lines:
        terminal.line(line)


def rank(summaries: dict[str, dict]) -> list[str]:
    """The names of the runs, the best first; runs on different data are ranked separately.

    A diverged row counts as an infinite loss: a run with fewer of them comes first, and only among equals
    does the mean over the rows that survived decide. It is that of the metric that chose the best epochs, or
    of the validation loss; where the losses are of different kinds, that of the error, which all runs on the
    same data have in the same unit.
    """
    data, metric_name = list(dict.fromkeys(map(data_name, summaries.values()))), ranking_metric(summaries)
    sign = -1 if larger_is_better(metric_name) else 1

    def sort_key(name: str) -> tuple:
        summary = summaries[name]
        rows, metric = summary["rows"], summary["metrics"].get(metric_name)
        # A run without a value comes last.
        mean = np.inf if metric is None or metric["mean"] is None else sign * metric["mean"]
        return data.index(data_name(summary)), rows["diverged"] / rows["total"], mean

    return sorted(summaries, key=sort_key)


def notes(summaries: dict[str, dict], caveats: Sequence[str] = ()) -> list[str]:
    """The lines below the table: how it is ordered, what +- means, caveats."""
    lines = [f"  {_describe_order(summaries)}"]
    lines += _seed_note(summaries) or [
        line for text in caveats for line in text_columns.wrap_line(f"  {text}")
    ]
    lines += [line for s in summaries.values() for line in interval_lines(s)]
    lines += weight_notes(summaries.values())
    if any(0 < s["rows"]["diverged"] < s["rows"]["total"] for s in summaries.values()):
        lines.append("  *: mean over the rows that did not diverge, which says nothing of the others")
    return ["", *dict.fromkeys(lines), *_refit_notes(summaries)]


def _describe_order(summaries: dict[str, dict]) -> str:
    """The sentence that says how the runs are ordered."""
    metric_name = ranking_metric(summaries)
    tasks = dict.fromkeys(map(task_name, summaries.values()))
    metric = " or ".join(dict.fromkeys(metric_label(metric_name, task) for task in tasks))
    order = f"{'largest' if larger_is_better(metric_name) else 'least'} {metric}"
    if any(map(diverged_note, summaries.values())):
        order = f"fewest diverged, then {order}"
    if metric_name.endswith(("val_error", "train_error")):
        order += " (their losses differ in kind)"
    several_data = len(set(map(data_name, summaries.values()))) > 1
    return f"of each data set the best first: {order}" if several_data else f"the best first: {order}"


def _refit_notes(summaries: dict[str, dict]) -> list[str]:
    """Which numbers are from which training, if runs were trained twice (refit)."""
    twice = [name for name, summary in summaries.items() if "refit" in summary]
    if not twice:
        return []
    subject = "each run was" if len(twice) == len(summaries) else f"{', '.join(twice)}:"
    lines = [
        f"  {subject} trained twice (refit): first for the validation numbers and the best",
        "  epoch, again on the validation examples too for the weights and the test numbers",
    ]
    diverged_again = [name for name in twice if summaries[name]["refit"]["diverged"]]
    return lines + [
        f"  {name}: rows diverged the second time and keep the first weights" for name in diverged_again
    ]


def _seed_note(runs) -> list[str]:
    """A note if runs differ in a seed alone, so that their order means nothing."""
    overrides_of_run = [parse_overrides(name) for name in runs]
    keys = {key for overrides in overrides_of_run for key in overrides}
    varied = {key for key in keys if len({overrides.get(key) for overrides in overrides_of_run}) > 1}
    if not varied or not varied <= SEED_REMEDIES.keys():
        return []
    names, means = sorted(varied), [SEED_REMEDIES[key] for key in sorted(varied)]
    only = f"only {' and '.join(names)} differ{'s' * (len(names) == 1)}"
    return [f"  {only}: the order is luck; for the mean {' '.join(means)}"]


def table(summaries: dict[str, dict]) -> list[str]:
    """The table of each task: a line per run with the mean +- half the interval of every metric.

    Names that leave no space for the numbers are split into a column per key, or else get separate lines.
    """
    lines = []
    for task in dict.fromkeys(map(task_name, summaries.values())):
        lines += ["", *_table({name: s for name, s in summaries.items() if task_name(s) == task}, task)]
    return lines


def _table(summaries: dict[str, dict], task: str) -> list[str]:
    metrics = compared_metrics(summaries)
    headings = [metric_label(metric, task) for metric in metrics]
    numbers = [[metric_cell(s, m) for m in metrics] for s in summaries.values()]
    names = [name + diverged_note(summary) for name, summary in summaries.items()]
    for keys, cells in (([""], [[name] for name in names]), _by_key(summaries)):
        rows = [[*key_cells, *row] for key_cells, row in zip(cells, numbers, strict=True)]
        lines = text_columns.table([*keys, *headings], rows, len(keys))
        longest = max(len(cell) for key_cells in cells for cell in key_cells)
        if "" not in lines and longest <= text_columns.CELL_CHARACTERS:
            return lines
    # Neither fits: print each run's name on a separate line above its numbers.
    lines = text_columns.table(["", *headings], [["", *row] for row in numbers], 1)
    above = len(lines) - len(numbers)
    table = lines[:above]
    for name, row in zip(names, lines[above:], strict=True):
        table += [*text_columns.wrap_line(f"  {name}"), row]
    return table


def compared_metrics(summaries: dict[str, dict]) -> list[str]:
    """The metrics of the table, as far as some run has them: the usual ones, and what ranks the runs."""
    ranking = ranking_metric(summaries)
    metrics = [name.format(ranking_set(summaries)) for name in SHOWN_METRICS]
    metrics += [ranking, f"test_{ranking.removeprefix('val_')}"] * (ranking not in metrics)
    metrics = [n for n in dict.fromkeys(metrics) if any(n in s["metrics"] for s in summaries.values())]
    return metrics + shown_weight_metrics(summaries.values())


def _by_key(summaries: dict[str, dict]) -> tuple[list[str], list[list[str]]]:
    """The overridden keys and each run's values; and how many rows diverged, if any did."""
    overrides_of_run = [parse_overrides(name) for name in summaries]
    keys = list(dict.fromkeys(key for overrides in overrides_of_run for key in overrides))
    values = [[overrides.get(key, "-") for key in keys] for overrides in overrides_of_run]
    diverged = [f"{s['rows']['diverged']} of {s['rows']['total']}" for s in summaries.values()]
    if any(map(diverged_note, summaries.values())):
        return [*keys, "diverged"], [[*v, n] for v, n in zip(values, diverged, strict=True)]
    return keys, values


def metric_cell(summary: dict, name: str) -> str:
    """A run's metric with half its interval; `*` where rows diverged, of which it says nothing."""
    metric = (summary["metrics"] | weight_metrics(summary)).get(name)
    if metric is None or metric["mean"] is None:
        return "-"
    half_width = None
    if metric.get("low") is not None:
        half_width = (metric["high"] - metric["low"]) / 2
    return plus_minus(metric["mean"], half_width, metric_formatter(name, task_name(summary))) + "*" * bool(
        diverged_note(summary)
    )
