"""A table and what its user says of it, to a `Dataset`."""

from __future__ import annotations

import numpy as np

from nnlab.data.columns import Column
from nnlab.data.dataset import Dataset
from nnlab.errors import UserError, advise, list_names, shortened
from nnlab.tables.examined import Examined, examine
from nnlab.tables.example_columns import groups_of, keys_of, parts_of, times_of, weights_of
from nnlab.tables.grave_doubts import grave_doubts
from nnlab.tables.judged import Judged
from nnlab.tables.settings import Tabular
from nnlab.tables.source import Source

MOST_NAMES_SHOWN = 6
MOST_GRAVE_DOUBTS = 3  # as advice: `nnlab data` shows all


def make_dataset(source: Source, settings: Tabular, tests: int = 0) -> Dataset:
    """The data set of a table; the last `tests` of its rows are its own test set. Raises `UserError`."""
    table = examine(source, settings, tests)
    _refuse_text(table)
    dataset = _assemble(table, settings)
    _advise(table, source, settings)  # only of a table that can be learnt from
    return dataset


def _assemble(table: Examined, settings: Tabular) -> Dataset:
    source, roles = table.source, table.roles
    if not any(column.is_input for column in table.columns):
        raise UserError(f"{source.name} has no column to learn from: {_what_they_are(table.columns)}")
    y, classes, labels = table.targets
    test = np.arange(len(source) - table.tests, len(source)) if table.tests else None
    numbers = np.delete(np.arange(len(source) + len(table.left_out)), table.left_out)  # as in the file
    return Dataset(
        table.raw, y, classes, columns=table.columns, labels=labels, target_names=(roles.target,), test=test,
        numbers=numbers if len(table.left_out) else None,
        weights=roles.weight and weights_of(source, roles.weight, settings),
        groups=roles.group and groups_of(source, roles.group, settings),
        times=roles.time and times_of(source, roles.time, settings),
        parts=roles.part and parts_of(source, roles.part),
        **keys_of(source, table.columns),
    )  # fmt: skip


def _refuse_text(table: Examined) -> None:
    """Raise `UserError` for columns of text, with what to do about each."""
    for j in table.texts[:1]:
        raise UserError(f"{table.source.name}: {text_remedy(j, table.source)}{_drop_all(table.texts)}")


def text_remedy(judged: Judged, source: Source) -> str:
    """What is in a column of text, and what can be made of it."""
    name = judged.column.name
    shown = shortened(name)
    if judged.odd is not None:
        row, cell = judged.odd
        return (
            f"the column '{shown}' has {judged.column.reason} ({source.place(row)}): if such a cell is a "
            f"missing one, data.missing=['{shortened(cell)}']; else data.types.{shown}=category or "
            f"data.drop=['{shown}']"
        )
    if judged.column.reason != "sentences":
        return f"the column '{shown}' has {judged.column.reason}: data.drop=['{shown}']"
    return (
        f"the column '{shown}' has {judged.column.reason}: data.drop=['{shown}'] leaves it out, "
        f"data.types.{shown}=ngrams makes inputs of its words, =category one of each text"
    )


def _drop_all(texts: tuple[Judged, ...]) -> str:
    if len(texts) < 2:
        return ""
    others = [shortened(j.column.name) for j in texts[1:]]
    return f"; the same for {list_names(others, MOST_NAMES_SHOWN)}"


def _advise(table: Examined, source: Source, settings: Tabular) -> None:
    """Advice of what nobody asked for: rows and columns of `source` that are left out, doubtful readings."""
    count = len(table.left_out)
    if count:
        first, verb = source.place(int(table.left_out[0])), "row is" if count == 1 else "rows are"
        name = shortened(table.roles.target)
        advise(f"{count:,} of {len(source):,} {verb} left out, having no {name}, as {first}")
    if table.target_doubt:
        advise(table.target_doubt)
    left_out = [j.column for j in table.judged if j.column.type in ("identifier", "constant")]
    unasked = [column for column in left_out if column.name not in settings.types]
    if unasked:
        described = [f"'{shortened(column.name)}' ({column.reason})" for column in unasked]
        reasons = list_names(described, MOST_NAMES_SHOWN)
        verb = "is not an input" if len(unasked) == 1 else "are not inputs"
        advise(f"{reasons} {verb}; data.types.COLUMN=number or category makes one of it")
    for j in table.judged:
        if j.doubt:
            advise(f"column '{shortened(j.column.name)}': {j.doubt}")
    for doubt in grave_doubts(table, settings)[:MOST_GRAVE_DOUBTS]:
        advise(doubt.sentence, doubt.kind)


def _what_they_are(columns: tuple[Column, ...]) -> str:
    described = [f"'{shortened(c.name)}' is {c.type} ({c.reason})" for c in columns]
    return list_names(described, MOST_NAMES_SHOWN)
