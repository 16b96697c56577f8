"""What sections ask of a run that may be interrupted, old, or somebody's: its task, its title, its rows."""

from __future__ import annotations

from collections.abc import Callable

from nnlab.errors import UserError
from nnlab.records.run_summaries import task_name
from nnlab.records.stored_run import StoredRun


def task_of(stored: StoredRun) -> str:
    """`classification` or `regression`, by the data or else, in old folders, by the metrics."""
    if spec := or_none(getattr, stored, "spec"):
        return spec.task
    summary = or_none(getattr, stored, "summary")
    return task_name(summary) if summary else "classification"


def title_of(stored: StoredRun) -> str:
    """The line that a run begins with on the screen, or its folder; and how it ended, if it did not well."""
    title = (or_none(getattr, stored, "summary") or {}).get("title")
    early = f", {word}" if (word := early_end(stored)) else ""
    return (title if isinstance(title, str) else f"Run in {stored.path.resolve().name}") + early


def early_end(stored: StoredRun) -> str:
    """`interrupted` if the run has no results, `diverged` if all of its rows did; else empty."""
    if not stored.ended:
        return "interrupted"
    rows = or_none(lambda: stored.summary["rows"])
    return "diverged" if rows and or_none(lambda: 0 < rows["total"] == rows["diverged"]) else ""


def or_none(read: Callable, *args):
    """What `read(*args)` gives; None where the folder does not have it, or something else in its place."""
    try:
        return read(*args)
    except (UserError, AttributeError, TypeError, ValueError, LookupError):
        return None


def averaged_note(rows: int) -> str:
    """A sentence to append, where what rows predicted for an example was averaged."""
    return f" Probabilities and predictions are means over the {rows:,} rows." if rows > 1 else ""
