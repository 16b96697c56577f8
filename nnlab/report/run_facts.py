"""What sections ask of a run that may be interrupted, old, or somebody's: its task, rows and results."""

from __future__ import annotations

from nnlab.records.run_summaries import task_name
from nnlab.records.stored_run import StoredRun


def task_of(stored: StoredRun) -> str:
    """`classification` or `regression`, by the data or else, in old folders, by the metrics."""
    if stored.ended:
        return task_name(stored.summary)
    return stored.spec.task if stored.spec else "classification"
