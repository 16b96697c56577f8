"""When a checkpoint is due; and one cut through stacks that train in several processes.

Every worker sends the states of its own stacks, between two steps. What it sends after them is not read
before the states of all others have come: who reads has then read exactly the records that led to these.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nnlab.training.snapshot import ENDED, Snapshot

POLL_SECONDS = 0.05  # between two looks of a worker at whether its states are wanted
SECONDS_A_MINUTE = 60


@dataclass(frozen=True)
class States:
    """The state of each stack, None for one that has not begun; the last before rows are interrupted."""

    snapshots: list[Snapshot | None]
    is_last: bool = False


class Timer:
    """Says when a checkpoint is due: so many `minutes` after the last, or `epochs` after it, whichever comes
    first; None for never by that."""

    def __init__(self, minutes: float | None, epochs: int | None = None):
        self.seconds = None if minutes is None else SECONDS_A_MINUTE * minutes
        self.epochs = epochs
        self.taken(0)

    def taken(self, epoch: int) -> None:
        """A checkpoint was taken in or after this epoch."""
        self._since, self._epoch, self._last_epoch = time.monotonic(), epoch, epoch

    def record(self, epoch: int) -> None:
        """An epoch is done."""
        self._epoch = max(self._epoch, epoch)

    def due(self) -> bool:
        by_time = self.seconds is not None and time.monotonic() - self._since >= self.seconds
        return by_time or self.epochs is not None and self._epoch - self._last_epoch >= self.epochs


class Request:
    """In a worker: whether the states of its stacks are wanted, as its parent says through the pipe."""

    def __init__(self, pipe):
        self._pipe, self._is_wanted, self._looked = pipe, False, 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._is_wanted and now - self._looked >= POLL_SECONDS:
            self._is_wanted, self._looked = self._pipe.poll(), now
        return self._is_wanted

    def answered(self) -> None:
        """The states were sent."""
        self._pipe.recv()
        self._is_wanted = False


class Cut:
    """In the parent: collects the states of all workers' stacks; `shares` has each one's, by number."""

    def __init__(self, due: Callable[[], bool], shares: dict):
        self._due, self._shares = due, shares
        self._states: dict[
            object, States
        ] = {}  # by pipe: of the workers that are not read until all have sent theirs
        self._is_requested = self._is_last = False

    def request(self, pipes: Iterable) -> None:
        """Request the states of the workers, if a checkpoint is due."""
        if self._is_requested or self._is_last or not self._due():
            return
        self._is_requested = True
        for pipe in pipes:
            with contextlib.suppress(OSError):  # it has ended
                pipe.send(None)

    def waits(self, pipe) -> bool:
        """Whether this worker's messages wait until the cut is complete."""
        return pipe in self._states

    def add(self, pipe, states: States) -> None:
        """Take in a worker's states, those that were requested or its last."""
        if states.is_last and not self._is_last:  # others may be interrupted too, and will not answer
            self.drop()
            self._is_last = True
        self._states[pipe] = states

    def drop(self) -> None:
        """Forget what has come: a worker will never send its own."""
        self._states.clear()
        self._is_requested = False

    def take(self, pipes: Iterable) -> States | None:
        """The states of all stacks in order, once all workers that still train, by their pipes, have sent
        theirs."""
        if not self._states or any(pipe not in self._states for pipe in pipes):
            return None
        states: dict[int, Snapshot | None] = {}
        for pipe, stacks in self._shares.items():
            of_worker = self._states[pipe].snapshots if pipe in self._states else [ENDED] * len(stacks)
            states |= zip(stacks, of_worker, strict=True)
        self.drop()
        return States([states[number] for number in sorted(states)], self._is_last)
