"""`Outcome`: what became of a job, as a value: the records of its epochs, or why there are none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nnlab.errors import UserError
from nnlab.jobs.job import Job
from nnlab.metrics import recorded_name
from nnlab.runtime.packed import pack, unpack
from nnlab.training.fit_state import StackState, stack_from_values, stack_values
from nnlab.training.record_arrays import records_from_arrays, records_to_arrays
from nnlab.training.results import Record
from nnlab.training.snapshot import Snapshot
from nnlab.untrusted import is_number

KIND = "outcome"
TEXTS = ("worker", "error", "fault", "refused")
PARTS = ("records", "state")  # of the names of arrays
MOST_TEXT_CHARACTERS = 100_000


@dataclass(frozen=True)
class Outcome:
    """The records of a job's epochs, in order, and its state at the epoch `until`; None: its training ended.

    seconds  that it took
    worker   who trained it, for people
    error    the traceback of a fault of nnlab
    fault    a fault of the machine, in a sentence
    refused  why this worker cannot train it, in a sentence: another version of nnlab, no data

    A trial has no results: nobody tests it, and nobody keeps its weights.
    """

    records: tuple[Record, ...] = ()
    state: Snapshot | None = None
    seconds: float = 0.0
    worker: str = ""
    error: str = ""
    fault: str = ""
    refused: str = ""

    @property
    def is_trained(self) -> bool:
        return not (self.error or self.fault or self.refused)

    def to_bytes(self) -> bytes:
        arrays, records = records_to_arrays(self.records)
        arrays = {f"records/{name}": array for name, array in arrays.items()}
        rows, state = (), self.state
        if state:
            rows = tuple(state.values["rows"])
            arrays |= {f"state/{name}": array for name, array in state.arrays.items()}
        values = {"kind": KIND, "records": records, "stack": stack_values(StackState(rows, state))}
        return pack(arrays, values | {"seconds": self.seconds} | {key: getattr(self, key) for key in TEXTS})

    @classmethod
    def from_bytes(cls, content: bytes) -> Outcome:
        """The outcome that `to_bytes` wrote. A stranger may have: raises `UserError`."""
        try:
            arrays, values = unpack(content)
            if values.get("kind") != KIND or {*values} != {"kind", "records", "stack", "seconds", *TEXTS}:
                raise UserError("it has other keys")
            texts = {key: values[key] for key in TEXTS}
            if not all(isinstance(t, str) and len(t) <= MOST_TEXT_CHARACTERS for t in texts.values()):
                raise UserError("its words are not words")
            if not is_number(values["seconds"]):
                raise UserError("expected its seconds")
            of_records, of_state = _by_part(arrays)
            records = records_from_arrays(of_records, values["records"])
            stack = stack_from_values(values["stack"], of_state)
            return cls(tuple(records), stack.snapshot, values["seconds"], **texts)
        except UserError as e:
            raise UserError(f"it is not the outcome of a job: {e}") from e

    def refuse_other_job(self, job: Job) -> None:
        """Raise `UserError` unless these may be the records of that job: those of all its rows that are in
        training, one epoch after another, to the end of its stage, with all that is measured."""
        most, wanted = max(e.epochs for e in job.experiments), _metrics_of(job)
        rows, epoch = _rows_in_training(job.state, job.rows) - {*job.prune}, _epochs(job.state)
        for record in self.records:
            epoch += 1
            is_of_stage = epoch <= min(most, job.until or most) and record.epoch == epoch
            if not is_of_stage or not rows or sorted(record.rows.tolist()) != sorted(rows):
                raise UserError(
                    f"the outcome of another job: its record of epoch {record.epoch} is out of place"
                )
            if missing := wanted - record.metrics.keys():
                raise UserError(f"the outcome of another job: its records have no {sorted(missing)[0]}")
            rows -= record.ended.keys()
        if rows != _rows_in_training(self.state, ()) or self.state and _epochs(self.state) != epoch:
            raise UserError("the outcome of another job: it ends with other rows in training")
        if rows and epoch != job.until:
            raise UserError(f"the outcome of another job, which ended with epoch {epoch}")


def _metrics_of(job: Job) -> set[str]:
    """The metrics that each of its records has."""
    e = job.experiments[0]
    validation = {"val_loss", "val_error", *map(recorded_name, e.measured)} if e.split.validates else set()
    return {"train_loss", "train_error", "lr"} | validation


def _rows_in_training(state: Snapshot | None, without: Iterable[int]) -> set[int]:
    """Those of a state; or `without` one."""
    return {*state.values["left"]} if state else {*without}


def _epochs(state: Snapshot | None) -> int:
    return state.values["epochs"] if state else 0


def _by_part(arrays: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The arrays of the records, and those of the state, by their names there."""
    parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in PARTS}
    for full, array in arrays.items():
        part, _, name = full.partition("/")
        if part not in parts:
            raise UserError(f"unknown array {full!r:.80}")
        parts[part][name] = array
    return [*parts.values()]
