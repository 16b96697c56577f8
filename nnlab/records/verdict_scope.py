"""What the verdicts of a comparison cover, in words: other seeds on one split, say, and not new data."""

from __future__ import annotations

from nnlab.records.intervals import NEW_SPLITS, ONE_TEST_SET, SET_NAMES
from nnlab.statistics.scores import Scores

MOST_CHARACTERS = 200  # of words from a file


def interval_entry(measure: str, intervals: object) -> dict:
    """Of a run's summary.json, what is said of the intervals on the set that the measure is of."""
    entry = intervals.get(SET_NAMES[set_of(measure)]) if isinstance(intervals, dict) else None
    return entry if isinstance(entry, dict) else {}


def set_of(measure: str) -> str:
    """`train`, `val` or `test`; steps are counted by a curve of validation."""
    part = measure.rpartition(":")[2].partition("_")[0]
    return part if part in SET_NAMES else "val"


def is_by_time(settings: dict) -> bool:
    """Whether the data of these settings are split by time."""
    data = settings.get("data")
    return isinstance(data, dict) and data.get("time") is not None


def scope(measure: str, table: Scores, intervals: object, by_time: bool = False) -> str:
    """`other seeds on this one split, not new data: split.repeats=10 would`; empty where it is not known.

    `intervals` are those of a run's summary.json. Splits `by_time` are the same in every repeat, so that
    nothing covers more.
    """
    entry = interval_entry(measure, intervals)
    about, remedy = (str(entry.get(key, ""))[:MOST_CHARACTERS] for key in ("about", "remedy"))
    _, repeats, _ = next(iter(table.values.values())).shape
    if table.unit == "split" and repeats == 1:  # the folds of one seed, of which a run has no interval
        about = ONE_TEST_SET if set_of(measure) == "test" else NEW_SPLITS
    if not about or table.correction is None:
        return ""
    has_remedy = remedy and about != NEW_SPLITS and not by_time
    return f"{about}: {remedy} would" if has_remedy else about
