"""Records as named arrays and JSON values, bit for bit: so they travel between processes and machines.

rows, improved               of all records, one after another
metrics/val_loss             of those records that have this metric
histograms/NAME/counts, histograms/NAME/edges
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from nnlab.errors import UserError
from nnlab.training.results import Histograms, Record
from nnlab.untrusted import is_count, is_number

Arrays = dict[str, np.ndarray]
PLAIN_FIELDS = ("epoch", "seconds", "refit", "step_seconds", "tensor_bytes")
ENDINGS = ("finished", "stopped", "diverged")


def records_to_arrays(records: Iterable[Record]) -> tuple[Arrays, dict]:
    """The arrays by name, and the values; the inverse of `records_from_arrays`."""
    columns: dict[str, list[np.ndarray]] = {}
    name_sets: dict[tuple, int] = {}  # names of metrics and histograms -> their number
    values = []
    for record in records:
        for name, array in _columns(record):
            columns.setdefault(name, []).append(array)
        names = tuple(record.metrics), tuple(record.histograms)
        plain = {name: getattr(record, name) for name in PLAIN_FIELDS}
        ended = [[row, status] for row, status in record.ended.items()]
        number = name_sets.setdefault(names, len(name_sets))
        values.append(plain | {"rows": len(record.rows), "ended": ended, "names": number})
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    return arrays, {"records": values, "names": [*name_sets]}


def records_from_arrays(arrays: Mapping[str, np.ndarray], values) -> list[Record]:
    """Raises `UserError` for what are not records: somebody else may have written them."""
    _refuse(not isinstance(values, dict) or {*values} != {"records", "names"}, "expected records and names")
    _refuse(not isinstance(values["records"], list), "expected a list of records")
    name_sets = _name_sets(values["names"])
    columns = {name: _Column(name, array) for name, array in arrays.items()}
    records = [_record(tree, name_sets, columns) for tree in values["records"]]
    for name, column in columns.items():
        _refuse(column.at < len(column.array), f"{name} has more entries than the records")
    return records


def _columns(record: Record) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of a record, by its name; the first axis of all is the rows."""
    yield from (("rows", record.rows), ("improved", record.improved))
    yield from ((f"metrics/{name}", metric) for name, metric in record.metrics.items())
    for name, histogram in record.histograms.items():
        yield from ((f"histograms/{name}/{part}", array) for part, array in vars(histogram).items())


def _refuse(is_invalid: bool, reason: str) -> None:
    if is_invalid:
        raise UserError(reason)


class _Column:
    """The entries of one name, of which each record takes the next."""

    def __init__(self, name: str, array: np.ndarray):
        allowed = {"rows": ("i", 1), "improved": ("b", 1)}
        allowed |= {"metrics": ("f", 1), "counts": ("i", 2), "edges": ("f", 2)}
        first, last = name.partition("/")[0], name.rpartition("/")[2]
        expected = allowed.get(last if first == "histograms" else first)
        _refuse((array.dtype.kind, array.ndim) != expected, f"{name!r:.80} is not of a record")
        self.name, self.array, self.at = name, array, 0

    def take(self, count: int) -> np.ndarray:
        self.at += count
        _refuse(self.at > len(self.array), f"{self.name!r:.80} has fewer entries than the records")
        return self.array[self.at - count : self.at]


def _name_sets(trees) -> list[tuple[list[str], list[str]]]:
    """The names of metrics, and of histograms, that a record may have."""
    _refuse(not isinstance(trees, list), "expected the names of metrics")
    for tree in trees:
        are_two = isinstance(tree, list) and len(tree) == 2
        are_names = are_two and all(
            isinstance(names, list) and all(isinstance(name, str) for name in names) for names in tree
        )
        _refuse(
            not are_names or any(len({*names}) < len(names) for names in tree), "names that are not names"
        )
    return trees


def _record(tree, name_sets, columns: dict[str, _Column]) -> Record:
    """The next record."""
    _refuse(
        not isinstance(tree, dict) or {*tree} != {*PLAIN_FIELDS, "rows", "ended", "names"}, "not a record"
    )
    for key in ("epoch", "rows", "names", "tensor_bytes"):
        _refuse(not is_count(tree[key]), f"a record has no {key}, a whole number")
    for key in ("seconds", "step_seconds"):
        _refuse(not is_number(tree[key]), f"a record has no {key}, a number")
    _refuse(not isinstance(tree["refit"], bool), "a record does not say whether it is of a refit")
    _refuse(tree["names"] >= len(name_sets), "a record of names that are not there")
    metrics, histograms = name_sets[tree["names"]]

    def take(name: str) -> np.ndarray:
        _refuse(name not in columns, f"{name!r:.80} is not there")
        return columns[name].take(tree["rows"])

    rows = take("rows")
    return Record(
        rows=rows,
        improved=take("improved"),
        metrics={name: take(f"metrics/{name}") for name in metrics},
        histograms={
            name: Histograms(take(f"histograms/{name}/counts"), take(f"histograms/{name}/edges"))
            for name in histograms
        },
        ended=_ended(tree["ended"], rows),
        **{name: tree[name] for name in PLAIN_FIELDS},
    )


def _ended(pairs, rows: np.ndarray) -> dict[int, str]:
    """row -> how it ended, of rows of the record."""
    are_pairs = isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
    _refuse(not are_pairs, "expected rows that ended")
    known = {*rows.tolist()}
    for row, status in pairs:
        is_row = is_count(row) and row in known
        _refuse(not is_row or status not in ENDINGS, "a row that ended is not one of the record")
    return {row: status for row, status in pairs}
