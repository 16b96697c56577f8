"""The results of a run: every metric with its interval, and the remarks that the screen has."""

from __future__ import annotations

from nnlab.records.stored_run import StoredRun
from nnlab.records.summary_text import shown_metrics, summary_notes
from nnlab.records.text import metric_formatter, metric_label
from nnlab.records.weight_summary import weight_metrics
from nnlab.report.page import Section
from nnlab.report.parts import Table, Text
from nnlab.report.run_facts import task_of


def results_section(stored: StoredRun) -> Section:
    """The table of the metrics, those that the screen shows first, and what the screen says of them."""
    summary, task = stored.summary, task_of(stored)
    shown = shown_metrics(summary)
    metrics = shown | summary["metrics"] | weight_metrics(summary)
    if not metrics:
        return Section("Results", note="All rows diverged: there are no results.")
    headings = ["", "mean", "95% interval", "standard deviation", "n"]
    rows = [_cells(name, metric, task) for name, metric in metrics.items()]
    columns = 2 if all(row[-1] == "1" for row in rows) else len(headings)  # a single row has no interval
    headings[1] = "mean" if columns > 2 else "value"
    table = Table(headings[:columns], [row[:columns] for row in rows], note=_best_epoch(summary))
    remarks = [Text(line.strip(), muted=True) for line in summary_notes(summary, task)]
    return Section("Results", [table, *remarks])


def _cells(name: str, metric: dict, task: str) -> list[str]:
    formatted = metric_formatter(name, task)
    ends = [metric.get(end) for end in ("low", "high")]
    interval = "" if None in ends else " to ".join(map(formatted, ends))
    numbers = [metric.get(key) for key in ("mean", "std")]
    mean, std = ("" if number is None else formatted(number) for number in numbers)
    count = metric.get("n")
    return [metric_label(name, task), mean, interval, std if count != 1 else "", f"{count or '':,}"]


def _best_epoch(summary: dict) -> str:
    """When the rows were best."""
    values = summary.get("best_epoch")
    if not values:
        return ""
    low, median, high = (format(values[key], ",.0f") for key in ("min", "median", "max"))
    return f"Best epoch: {median}." if low == high else f"Best epoch: {median}, of the rows {low} to {high}."
