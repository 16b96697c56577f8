"""The state of a fit between two steps: all that another `Fit` of the same experiments needs to resume it,
bit for bit.

In a file it is arrays by name, and JSON values:

    stacks/0/state.theta ...        the snapshot of the first stack (snapshot.py)
    results/3/weights/output.bias   a field of the result of row 3; weights, normalizer, calibration, ...
    refits/3/weights/output.bias  the same of a row that was trained again
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from nnlab.errors import UserError
from nnlab.experiment import Row
from nnlab.schedules.base import PastEpoch
from nnlab.training.calibration import calibration_fault
from nnlab.training.predictions import can_be_predictions_of
from nnlab.training.results import Refit, Result
from nnlab.training.snapshot import Snapshot
from nnlab.untrusted import is_count

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class StackState:
    """The row numbers of a stack, and its snapshot; None if it has not begun."""

    rows: tuple[int, ...]
    snapshot: Snapshot | None

    def divided(self, count: int, refitted: Container[int]) -> list[StackState]:
        """So many stacks, each with every so many-th of the rows that are left in training; those that have
        ended are in the first. See `Snapshot.select`."""
        if count < 2:
            return [self]
        left = self.snapshot.values["left"] if self.snapshot else self.rows
        groups = [{*left[part::count]} for part in range(count)]
        groups[0] |= {*self.rows} - {*left}
        return [
            StackState(
                tuple(row for row in self.rows if row in group),
                self.snapshot.select(group, refitted) if self.snapshot else None,
            )
            for group in groups
        ]


@dataclass(frozen=True)
class FitState:
    """Where a fit is.

    refit    whether it is in its second pass, in which rows are trained again
    stacks   all stacks of this pass, including those that have ended
    results  one for each row whose first training has ended
    refits   one for each row whose second training has ended
    """

    refit: bool
    stacks: tuple[StackState, ...]
    results: tuple[Result, ...]
    refits: tuple[Result, ...] = ()

    @property
    def epoch(self) -> int:
        """The furthest of the epochs that are done."""
        return max((s.snapshot.values["epochs"] for s in self.stacks if s.snapshot), default=0)

    @property
    def seconds(self) -> float:
        """For how long it has trained."""
        return max((s.snapshot.values["seconds"] for s in self.stacks if s.snapshot), default=0.0)

    def epochs(self) -> dict[int, int]:
        """row -> how many epochs of this pass are done, for the rows of stacks that have begun."""
        ended = {r.row: r.epochs for r in (self.refits if self.refit else self.results)}
        training = {
            row: stack.snapshot.values["epochs"]
            for stack in self.stacks
            if stack.snapshot
            for row in stack.snapshot.values["left"]
        }
        return training | ended

    def best_epochs(self) -> dict[int, int]:
        """row -> the best epoch of the first training so far."""
        best = {r.row: r.best_epoch for r in self.results}
        for stack in () if self.refit else self.stacks:
            if stack.snapshot and "best_epoch" in stack.snapshot.arrays:
                of_stack = stack.snapshot.arrays["best_epoch"].tolist()
                best = dict(zip(stack.snapshot.values["rows"], of_stack, strict=True)) | best
        return best

    def refuse_other_rows(self, rows: list[Row], datasets) -> None:
        """Raise `UserError` unless it is the state of a fit of these rows: a stranger may have written it."""
        numbers = {row.number for row in rows}
        stacked = {row for stack in self.stacks for row in stack.rows}
        ended = {result.row for result in (*self.results, *self.refits)}
        _refuse(
            not stacked | ended <= numbers or (not self.refit and stacked != numbers),
            f"it is of other rows than the {len(numbers)} of these settings",
        )
        for result in (*self.results, *self.refits):
            row = rows[result.row]
            spec = datasets[row.experiment.data].spec
            fault = calibration_fault(result.calibration, spec)
            _refuse(bool(fault), f"its calibration of row {result.row} has {fault}")
            _refuse(
                not can_be_predictions_of(result.predictions, row, spec),
                f"its predictions of row {result.row} are not for the examples of the test set",
            )

    def to_arrays(self) -> tuple[Arrays, dict]:
        """The arrays by name, and the values; the inverse of `from_arrays`."""
        arrays: Arrays = {}
        for number, stack in enumerate(self.stacks):
            stack_arrays = stack.snapshot.arrays if stack.snapshot else {}
            arrays |= {f"stacks/{number}/{name}": array for name, array in stack_arrays.items()}
        values: dict = {"refit": self.refit, "stacks": [stack_values(stack) for stack in self.stacks]}
        for part in ("results", "refits"):
            results = getattr(self, part)
            values[part] = [_result_values(result) for result in results]
            for result in results:
                arrays |= {f"{part}/{result.row}/{n}": a for n, a in _result_arrays(result).items()}
        return arrays, values

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], values: dict) -> FitState:
        """Raises `UserError` for values that are not those of a fit: somebody else may have written them."""
        _refuse(not isinstance(values, dict), "expected keys and values")
        stacks, arrays_by_owner = values.get("stacks"), _by_owner(arrays)
        _refuse(not isinstance(stacks, list), "expected a list of stacks")
        stack_states = [
            stack_from_values(tree, arrays_by_owner.pop(("stacks", n), {})) for n, tree in enumerate(stacks)
        ]
        parts = {}
        for part in ("results", "refits"):
            trees = values.get(part)
            _refuse(not isinstance(trees, list), f"expected a list of {part}")
            parts[part] = tuple(_result_from_values(tree, part, arrays_by_owner) for tree in trees)
        _refuse(bool(arrays_by_owner), f"arrays of nothing: {next(iter(arrays_by_owner), '')}")
        _refuse(not isinstance(values.get("refit"), bool), "expected refit, true or false")
        state = cls(values["refit"], tuple(stack_states), **parts)
        rows = [row for stack in state.stacks for row in stack.rows]
        _refuse(len({*rows}) < len(rows), "a row is in two stacks")
        return state


def _refuse(is_invalid: bool, reason: str) -> None:
    if is_invalid:
        raise UserError(reason)


def _by_owner(arrays: Mapping[str, np.ndarray]) -> dict[tuple[str, int], Arrays]:
    """(part, number) -> name -> array. Raises `UserError` for other names."""
    arrays_by_owner: dict[tuple[str, int], Arrays] = {}
    for full, array in arrays.items():
        part, _, rest = full.partition("/")
        number, _, name = rest.partition("/")
        is_number = number.isascii() and number.isdecimal() and len(number) < 10
        _refuse(part not in ("stacks", "results", "refits") or not is_number, f"unknown array {full!r:.80}")
        arrays_by_owner.setdefault((part, int(number)), {})[name] = array
    return arrays_by_owner


def _are_rows(value) -> bool:
    return isinstance(value, list) and all(map(is_count, value)) and len({*value}) == len(value)


# ---- stacks


def stack_values(stack: StackState) -> dict:
    return {"rows": list(stack.rows), "snapshot": stack.snapshot.values if stack.snapshot else None}


def stack_from_values(tree, arrays: Arrays) -> StackState:
    """The state of a stack from plain values and its arrays."""
    _refuse(not isinstance(tree, dict) or not _are_rows(tree.get("rows")), "a stack without its rows")
    snapshot = tree.get("snapshot")
    if snapshot is None:
        _refuse(bool(arrays), "arrays of a stack that has not begun")
        return StackState(tuple(tree["rows"]), None)
    _refuse(not isinstance(snapshot, dict), "the state of a stack is not keys and values")
    for key in ("epochs", "steps"):
        _refuse(not is_count(snapshot.get(key)), f"a stack has no {key}, a whole number")
    seconds = snapshot.get("seconds")
    _refuse(not isinstance(seconds, int | float) or not 0 <= seconds < 1e12, "a stack without its seconds")
    for key, allowed_rows in (("rows", tree["rows"]), ("left", snapshot.get("rows"))):
        rows = snapshot.get(key)
        are_own = _are_rows(rows) and {*rows} <= {*allowed_rows}
        _refuse(not are_own, f"a stack's {key} are not rows of its own")
    return StackState(tuple(tree["rows"]), Snapshot(arrays, snapshot))


# ---- results

ARRAY_FIELDS = ("weights", "normalizer", "calibration", "predictions")
COUNT_FIELDS = ("row", "seed", "repeat", "fold", "epochs", "best_epoch")
TEXT_FIELDS = ("status", "reason")
TREE_FIELDS = ("best", "test", "examples")


def _result_values(result: Result) -> dict:
    values = {f.name: getattr(result, f.name) for f in fields(Result)}
    values["refit"] = asdict(result.refit) if result.refit else None
    values["past"] = sorted(result.past[0].state) if result.past else None  # names of the schedule's arrays
    return {name: value for name, value in values.items() if name not in ARRAY_FIELDS}


def _result_arrays(result: Result) -> Arrays:
    arrays = {f"{part}/{name}": a for part in ARRAY_FIELDS for name, a in getattr(result, part).items()}
    if result.past:
        arrays["past/back"] = np.array([epoch.went_back for epoch in result.past])
        for name in result.past[0].state:
            arrays[f"past/state/{name}"] = np.array([epoch.state[name] for epoch in result.past])
    return arrays


def _result_from_values(values, part: str, arrays_by_owner: dict[tuple[str, int], Arrays]) -> Result:
    """The result that plain values describe; its arrays are taken out of `arrays_by_owner`."""
    _refuse(not isinstance(values, dict), "a result is not keys and values")
    known = {f.name for f in fields(Result)} - {*ARRAY_FIELDS}
    _refuse({*values} != known, f"a result has other keys: {', '.join(sorted({*values} ^ known))[:80]}")
    for names, is_right in (
        (COUNT_FIELDS, is_count),
        (TEXT_FIELDS, lambda value: isinstance(value, str)),
        (TREE_FIELDS, lambda value: isinstance(value, dict)),
        (("fixed_test",), lambda value: isinstance(value, bool)),
    ):
        wrong = [name for name in names if not is_right(values[name])]
        _refuse(bool(wrong), f"a result's {', '.join(wrong)} is of another kind")
    arrays = arrays_by_owner.pop((part, values["row"]), {})
    array_fields = {
        name: {n.removeprefix(f"{name}/"): a for n, a in arrays.items() if n.startswith(f"{name}/")}
        for name in ARRAY_FIELDS
    }
    return Result(
        **{
            **values,
            "refit": _refit_from_values(values["refit"]),
            "past": _past_from_values(values["past"], arrays),
        },
        **array_fields,
    )


def _refit_from_values(values) -> Refit | None:
    if values is None:
        return None
    is_right = isinstance(values, dict) and {*values} == {f.name for f in fields(Refit)}
    _refuse(not is_right, "how a row was trained again is not known")
    return Refit(**values)


def _past_from_values(names, arrays: Arrays) -> tuple[PastEpoch, ...]:
    """The epochs that a refit repeats, each with the schedule's state before it."""
    if names is None:
        return ()
    wanted = ["past/back", *(f"past/state/{name}" for name in names)] if isinstance(names, list) else ["past"]
    missing = [name for name in wanted if name not in arrays or not arrays[name].ndim]
    _refuse(bool(missing), f"a result has no {', '.join(missing)[:80]}")
    back = arrays["past/back"]
    columns = {name: arrays[f"past/state/{name}"] for name in names}
    unequal = back.ndim != 1 or any(len(column) != len(back) for column in columns.values())
    _refuse(unequal, "the epochs that a result repeats are of different numbers")
    states = ({name: column[e] for name, column in columns.items()} for e in range(len(back)))
    return tuple(PastEpoch(state, bool(b)) for state, b in zip(states, back.tolist(), strict=True))
