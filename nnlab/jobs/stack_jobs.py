"""`StackJobs`: trains the stacks of a fit as jobs, from rung to rung."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from nnlab.experiment import Row
from nnlab.jobs.dispatcher import Dispatcher
from nnlab.jobs.job import Job
from nnlab.training.fit import Fit
from nnlab.training.results import Record
from nnlab.training.stacks import divide_into_stacks


@dataclass
class _Stack:
    """A stack of which a stage is being trained, or has been."""

    number: int
    job: Job
    name: str = ""  # of the job, while it is waited for

    @property
    def rows(self) -> set[int]:
        """The rows that are still training after the last stage."""
        return set(self.job.state.values["left"]) if self.job.state else set()


class StackJobs:
    """The training of a fit of candidates by a dispatcher: iterate over it for the records, as over the fit.

    The jobs of the first stage are given to it at once. `place` begins the names of all; `stacks` is into how
    many, at least, the rows are divided: auto, as many as there are `slots`, if that pays.

    At each rung of the fit every stack has a state, and whoever compares the rows says which of them end: as
    in `train_in_parallel`, of which this has the records of every stack in the same order.
    """

    def __init__(
        self, fit: Fit, dispatcher: Dispatcher, place: str, slots: int, stacks: int | Literal["auto"] = "auto"
    ):
        self.fit, self.dispatcher, self.place = fit, dispatcher, place
        self.stages = fit.rungs.stages()
        self.names: list[str] = []  # of all jobs so far
        self._stacks = [
            _Stack(number, Job.of_stack(fit, rows, self._data_key(rows[0])))
            for number, rows in enumerate(_divided(fit, slots, stacks))
        ]
        for stack in self._stacks:
            self._submit(stack, 0)

    def _data_key(self, row: Row) -> str:
        data = row.experiment.data
        return self.dispatcher.data_key(data, self.fit.datasets[data])

    def _submit(self, stack: _Stack, stage: int) -> None:
        stack.job = replace(stack.job, until=self.stages[stage])
        stack.name = self.dispatcher.submit(f"{self.place}-{stack.number:02d}-{stage}", stack.job)
        self.names.append(stack.name)

    def __iter__(self) -> Iterator[Record]:
        training = {stack.name: stack for stack in self._stacks}
        for stage, epoch in enumerate(self.stages):
            for name, outcome in self.dispatcher.outcomes(training):
                training[name].job = replace(training[name].job, state=outcome.state, prune=())
                yield from outcome.records
            if epoch is not None:
                training = self._next_stage(stage + 1, set(self.fit.rungs.rows_to_prune(epoch)), training)

    def _next_stage(self, stage: int, ended: set[int], training: dict[str, _Stack]) -> dict[str, _Stack]:
        """The stacks of which some row goes on, by the names of their next jobs."""
        going_on = [stack for stack in training.values() if stack.rows - ended]
        for stack in going_on:
            stack.job = replace(stack.job, prune=tuple(sorted(ended & stack.rows)))
            self._submit(stack, stage)
        return {stack.name: stack for stack in going_on}

    def forget(self) -> None:
        """What came of its jobs is kept, or not wanted any more."""
        self.dispatcher.forget(self.names)


def _divided(fit: Fit, slots: int, stacks: int | Literal["auto"]) -> list[list[Row]]:
    """The rows as they will train. On a GPU, where the bits of a row depend on the shape of its stack, only
    `stacks` divides them otherwise than on this machine."""
    if stacks == "auto" and not fit.on_cpu:
        return fit.stacks()
    least = 1 if stacks == "auto" else stacks
    return divide_into_stacks(fit.rows, fit.datasets, slots, fit.max_stack_rows, least=least)
