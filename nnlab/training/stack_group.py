"""The stacks that one process trains, one after another; and this process as one of several workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from nnlab import interruption
from nnlab.training.checkpointing import POLL_SECONDS, StackStates
from nnlab.training.results import Record, Result
from nnlab.training.training import Training, never

# The record of an epoch, and the results of rows that ended with it. No record: rows pruned or interrupted.
TrainingOutput = tuple[Record | None, list[Result]]


class StackGroup:
    """The stacks of one worker, trained one after another up to each rung."""

    def __init__(self, stacks: list[Training], should_stop=interruption.stop_requested, checkpoint_due=None):
        self.stacks, self.should_stop, self.checkpoint_due = stacks, should_stop, checkpoint_due
        self._should_pause = never
        if checkpoint_due:
            self._should_pause = lambda: should_stop() or checkpoint_due()

    def train_until(self, epoch: int | None) -> Iterator[TrainingOutput | StackStates]:
        """Train every stack up to this epoch; None: to its end."""
        for stack in self.stacks:
            while len(stack):
                if self.should_stop():
                    yield from self.interrupted()
                    return
                output = stack.epoch(self._should_pause)
                if output:
                    yield output
                if self.checkpoint_due and self.checkpoint_due() and not self.should_stop():
                    yield self._states()
                if stack.epochs == epoch:
                    break

    def interrupted(self) -> Iterator[TrainingOutput | StackStates]:
        """The states of all stacks, if checkpoints are taken; then the results of rows that have begun."""
        if self.checkpoint_due:
            yield self._states(is_last=True)
        for stack in self.stacks:
            if stack.begun and len(stack):
                yield None, stack.end_rows(stack.row_numbers, "interrupted")

    def _states(self, is_last: bool = False) -> StackStates:
        return StackStates([stack.state() if stack.begun else None for stack in self.stacks], is_last)

    def prune(self, rows: Iterable[int]) -> list[Result]:
        rows = list(rows)
        return [result for stack in self.stacks if len(stack) for result in stack.end_rows(rows, "pruned")]


class Worker(Protocol):
    """Who trains some of the stacks: a fork, this process itself, or another rank."""

    stacks: int  # how many it trains

    def has_message(self, seconds: float) -> bool:
        """Whether a message comes within so many seconds."""

    def receive(self) -> tuple[str, Any]:
        """The next message: its kind, and a value."""

    def send(self, value: object) -> None:
        """None requests the states of its stacks; at a rung, the rows to prune."""

    def interrupt(self) -> None:
        """Let it end with the step or epoch under way."""

    def is_lost(self) -> bool:
        """Whether it is known that it will never end by itself, though not all of its messages are read."""


class OwnStacks:
    """This process as a worker beside others, which it listens to between steps: it trains an epoch when its
    message is received."""

    def __init__(
        self,
        stacks: list[Training],
        should_stop: Callable[[], bool],
        others: Sequence[Worker],
        takes_checkpoints: bool,
    ):
        self.stacks, self._others = len(stacks), others
        self._is_requested = self._is_interrupted = False
        self._last_look = 0.0
        self._should_stop = should_stop
        checkpoint_due = (lambda: self._is_requested) if takes_checkpoints else None
        self._outputs = StackGroup(stacks, self._stops, checkpoint_due).train_until(None)

    def _stops(self) -> bool:
        now = time.monotonic()
        if now - self._last_look >= POLL_SECONDS:
            self._last_look = now
            self._is_interrupted |= any([other.is_lost() for other in self._others])  # of each
        return self._is_interrupted or self._should_stop()

    def has_message(self, seconds: float) -> bool:
        return True

    def receive(self) -> tuple[str, Any]:
        output = next(self._outputs, None)
        if isinstance(output, StackStates):
            self._is_requested = False
            return "states", output
        return ("waiting", None) if output is None else ("progress", output)

    def send(self, value: object) -> None:
        self._is_requested = True

    def interrupt(self) -> None:
        self._is_interrupted = True

    def is_lost(self) -> bool:
        return False
