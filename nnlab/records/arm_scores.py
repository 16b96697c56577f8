"""The stored rows of compared arms as `Scores`: paired by their seed, repeat and fold, never by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nnlab.errors import UserError
from nnlab.records.measures import MEASURES, is_larger_better
from nnlab.records.stored_run import StoredRun
from nnlab.records.verdict_scope import interval_entry, scope, set_of
from nnlab.statistics.scores import Scores
from nnlab.untrusted import is_count, is_number

RowKey = tuple[int, int, int]  # seed, repeat, fold
Rows = dict[RowKey, dict]
COURSES, STEPS = "courses", "steps"  # of a row: what its curve gives; steps to a target, among them
MOST_CELLS = 10_000_000  # seeds x repeats x folds


def rows_by_key(runs: Sequence[StoredRun]) -> Rows:
    """The rows of an arm, which may have several runs; of a row that two of them have, the first. Raises
    `UserError`."""
    rows: Rows = {}
    for run in runs:
        for row in run.rows:
            key = row["seed"], row.get("repeat", 0), row.get("fold", 0)
            if not all(map(is_count, key)):
                raise UserError(f"'{run.path / 'rows.json'}': a repeat or fold is not a whole number")
            rows.setdefault(key, row | {COURSES: {}})  # which are computed, and never read
    return rows


def measured(arms: Mapping[str, Rows]) -> list[str]:
    """What the rows of every arm have a number of, but for arms of which all rows diverged."""
    survivors = [[row for row in rows.values() if row["status"] != "diverged"] for rows in arms.values()]
    trained = [rows for rows in survivors if rows]
    return [
        name
        for name in MEASURES
        if trained and all(any(_value(row, name) is not None for row in rows) for rows in trained)
    ]


def scores(arms: Mapping[str, Rows], measure: str, intervals: object = None, by_time: bool = False) -> Scores:
    """One quantity of the arms, on the union of their seeds, repeats and folds. Raises `UserError`.

    NaN is a row that diverged. Absent are rows that an arm does not have, or where the quantity is undefined.
    `intervals` are those of a run's summary.json, which know how much its splits overlap, and
    what they cover; `by_time` says whether these go by time.
    """
    axes = [sorted({key[axis] for rows in arms.values() for key in rows}) for axis in range(3)]
    shape = tuple(map(len, axes))
    if np.prod(shape, dtype=float) > MOST_CELLS:
        raise UserError(f"the rows are of {' x '.join(map(str, shape))} seeds, repeats and folds: too many")
    places = [{number: place for place, number in enumerate(numbers)} for numbers in axes]
    values = {name: np.full(shape, np.nan) for name in arms}
    present = {name: np.zeros(shape, bool) for name in arms}
    for name, rows in arms.items():
        for key, row in rows.items():
            place = tuple(places[axis][number] for axis, number in enumerate(key))
            value = _value(row, measure)
            if row["status"] == "diverged" and measure != STEPS:  # it may have reached the target before
                value = np.nan
            if value is not None:
                values[name][place], present[name][place] = value, True
    by_ranks = measure == STEPS  # infinite where the target was not reached
    table = Scores(values, is_larger_better(measure), present=present)
    every_row = [row for rows in arms.values() for row in rows.values()]
    overlap = _overlap(measure, every_row, table.design, intervals)
    table = Scores(values, table.larger_is_better, overlap, present, by_ranks)
    table = replace(table, about=scope(measure, table, intervals, by_time))
    return _one_value_a_repeat(table) if measure.startswith("test_") and shape[1] > 1 else table


def _value(row: dict, measure: str) -> float | None:
    """The number of a row; None where there is none, as of a metric that is undefined."""
    if measure in row.get(COURSES, ()):
        return row[COURSES][measure]
    part, _, name = measure.partition("_")
    value = row["test"].get(name) if part == "test" else row["best"].get(measure)
    return float(value) if is_number(value) else None


def _overlap(measure: str, rows: list[dict], design: str, intervals: object) -> float | None:
    """n_test / n_train of splits that share examples; None where it is unknown, and so nothing is certain."""
    part = set_of(measure)
    if design == "seeds":
        return 0.0
    if len({row.get("repeat", 0) for row in rows}) == 1:
        # Folds of one division, one seed: what they train on differs by what validates them.
        return None if part == "train" else _validation_share(rows)
    entry = interval_entry(measure, intervals)
    overlap = {"student": 0.0, "corrected": entry.get("n_test / n_train")}.get(str(entry.get("method")))
    return float(overlap) if is_number(overlap) and overlap >= 0 else None


def _validation_share(rows: list[dict]) -> float | None:
    """Examples that validate for each that trains."""
    counts = [row.get("examples") for row in rows]
    if not all(
        isinstance(each, dict) and is_count(each.get("train")) and is_count(each.get("validation"))
        for each in counts
    ):
        return None
    trained = sum(each["train"] for each in counts)
    return sum(each["validation"] for each in counts) / trained if trained else None


def _one_value_a_repeat(table: Scores) -> Scores:
    """The same with the mean over the folds of a repeat, which are tested on the same examples."""
    values, present = {}, {}
    for name, each in table.values.items():
        here = table.rows_of(name)
        present[name] = here.any(2, keepdims=True)
        sums = np.where(here, each, 0).sum(2, keepdims=True)
        values[name] = sums / np.maximum(here.sum(2, keepdims=True), 1)
    return replace(table, values=values, present=present)
