"""`Job`: a stage of a stack of a batch of trials, as a value. Whoever trains it, it gives the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

import nnlab
from nnlab.data.dataset import Dataset
from nnlab.data.npy_files import Npy
from nnlab.data.splits import Fold
from nnlab.errors import UserError
from nnlab.experiment import Experiment, Row
from nnlab.jobs import stack_settings
from nnlab.jobs.data_file import is_sent
from nnlab.jobs.executor import KEY_NAME
from nnlab.runtime.packed import pack, unpack
from nnlab.training.fit import Fit
from nnlab.training.fit_state import StackState, stack_from_values, stack_values
from nnlab.training.snapshot import Snapshot
from nnlab.untrusted import is_count

KEYS = {
    "kind", "versions", "experiments", "first_rows", "stack", "data", "until", "prune", "fused",
}  # fmt: skip
KIND = "job"


class OtherVersion(UserError):
    """A job that another version of nnlab or torch has made: here it might give other bits."""


def own_versions() -> dict[str, str]:
    """What the bits of a job depend on. Builds of one torch for other machines are the same version."""
    return {"nnlab": nnlab.__version__, "torch": torch.__version__.partition("+")[0]}


@dataclass(frozen=True)
class Job:
    """The rows `rows` of a batch of trials, in the order of their stack, from one epoch to another.

    experiments  those that have rows in it
    first_rows   of each experiment, the number that its first row has in the batch
    data         the key of their data: see `data_file`
    until        the last epoch; None: train to the end
    prune        rows that end before the first epoch
    state        where to begin; None: before the first epoch
    fused        whether the tail of a step is compiled, which changes how it rounds
    versions     of nnlab and torch

    >>> fit = Fit([Experiment(epochs=2, seeds=3)], candidates=True)
    >>> job = Job.of_stack(fit, fit.rows, "digits")
    >>> job.rows, Job.from_bytes(job.to_bytes()) == job
    ((0, 1, 2), True)
    """

    experiments: tuple[Experiment, ...]
    first_rows: tuple[int, ...]
    rows: tuple[int, ...]
    data: str
    until: int | None = None
    prune: tuple[int, ...] = ()
    state: Snapshot | None = None
    fused: bool = False
    versions: dict[str, str] = field(default_factory=own_versions)

    @classmethod
    def of_stack(cls, fit: Fit, stack: Sequence[Row], data: str) -> Job:
        """The whole training of a stack, one of `fit.stacks()`; its stages are its copies by `replace`."""
        experiment_of_row = fit.experiment_of_row.tolist()
        indices = sorted({experiment_of_row[row.number] for row in stack})
        experiments = tuple(_from_anywhere(fit.experiments[index], data) for index in indices)
        first_rows = tuple(experiment_of_row.index(index) for index in indices)
        rows = tuple(row.number for row in stack)
        return cls(experiments, first_rows, rows, data, fused=fit.compiles[experiments[0].device])

    def stack(self, dataset: Dataset, folds: list[Fold]) -> list[Row]:
        """Its rows, of which these are the data and the folds. Raises `UserError` if it has other rows."""
        by_number = {}
        for e, first in zip(self.experiments, self.first_rows, strict=True):
            by_number |= enumerate(e.rows(dataset, folds), start=first)
        if unknown := [number for number in self.rows if number not in by_number]:
            raise UserError(f"its row {unknown[0]} is of none of its experiments")
        return [replace(by_number[number], number=number, candidate=True) for number in self.rows]

    def to_bytes(self) -> bytes:
        """Equal jobs give equal bytes. Raises `UserError` for what only this Python session knows."""
        values = {
            "kind": KIND, "versions": self.versions, "first_rows": self.first_rows, "data": self.data,
            "experiments": stack_settings.to_values(self.experiments),
            "stack": stack_values(StackState(self.rows, self.state)),
            "until": self.until, "prune": self.prune, "fused": self.fused,
        }  # fmt: skip
        return pack(self.state.arrays if self.state else {}, values)

    @classmethod
    def from_bytes(cls, content: bytes) -> Job:
        """The job that `to_bytes` wrote. A stranger may have: raises `UserError`; `OtherVersion` for one of
        another nnlab or torch, whatever else it says."""
        try:
            arrays, values = unpack(content)
            if {*values} != KEYS or values["kind"] != KIND:
                raise UserError("it has other keys")
            _refuse_other_versions(values["versions"])
            return cls(**_checked(arrays, values))
        except OtherVersion:
            raise
        except UserError as e:
            raise UserError(f"it is not a job: {e}") from e


def _from_anywhere(e: Experiment, key: str) -> Experiment:
    """The experiment; if its data are not sent, with paths that mean the same in any folder."""
    if is_sent(key):
        return e
    if not isinstance(e.data, Npy):  # a worker opens no other files for a job, which may be a stranger's
        raise UserError(f"data '{e.data.name}' cannot train elsewhere: of data in files, data=npy can")
    return replace(e, data=e.data.from_anywhere())


def _refuse_other_versions(versions) -> None:
    own = own_versions()
    if versions != own:
        theirs = versions if isinstance(versions, dict) else {}
        made_by, here = (
            " and ".join(f"{name} {which.get(name, '?')!s:.40}" for name in own) for which in (theirs, own)
        )
        raise OtherVersion(f"the job is of {made_by}, and here is {here}: its numbers might be others")


def _is_between_epochs(state: Snapshot, experiments: Sequence[Experiment]) -> bool:
    """Whether a stage may begin with it."""
    values = state.values
    return values["steps"] == 0 < values["epochs"] < max(e.epochs for e in experiments)


def _checked(arrays: dict, values: dict) -> dict:
    """The fields of a job, from values that a stranger may have written."""
    stack = stack_from_values(values["stack"], arrays)
    experiments = stack_settings.from_values(values["experiments"])
    first_rows, prune, until = values["first_rows"], values["prune"], values["until"]
    for numbers, what in ((first_rows, "first rows"), (prune, "rows to prune")):
        if not isinstance(numbers, list) or not all(map(is_count, numbers)):
            raise UserError(f"expected a list of {what}")
    if stack.snapshot and not _is_between_epochs(stack.snapshot, experiments):
        raise UserError("its state is not one after an epoch, and before the last")
    if len(first_rows) != len(experiments):
        raise UserError("expected a first row of each experiment")
    if until is not None and not (is_count(until) and until > 0):
        raise UserError("until is not an epoch")
    if not isinstance(values["data"], str) or not KEY_NAME.fullmatch(values["data"]):
        raise UserError("expected the key of its data")
    if not is_sent(values["data"]) and not isinstance(experiments[0].data, Npy):
        raise UserError(f"its data '{experiments[0].data.name}' are not read in place")
    if not isinstance(values["fused"], bool):
        raise UserError("fused is neither true nor false")
    return {
        "experiments": experiments, "first_rows": tuple(first_rows), "rows": stack.rows,
        "data": values["data"], "until": until, "prune": tuple(prune), "state": stack.snapshot,
        "fused": values["fused"], "versions": values["versions"],
    }  # fmt: skip
