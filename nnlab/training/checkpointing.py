"""When a checkpoint is due; and a consistent cut through stacks that train in several processes.

Every worker sends the states of its own stacks, between two steps. What it sends after them is not read
before the states of all others have arrived: the parent has then read exactly the records that led to these.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nnlab.training.snapshot import ENDED, Snapshot

POLL_SECONDS = 0.05  # between two polls of a worker: are its states requested?
SECONDS_A_MINUTE = 60


@dataclass(frozen=True)
class StackStates:
    """The snapshot of each stack, None for one that has not begun; `is_last`: before rows are interrupted."""

    snapshots: list[Snapshot | None]
    is_last: bool = False


class CheckpointTimer:
    """Says when a checkpoint is due: so many `minutes` after the last, or `epochs` after it, whichever comes
    first; None for never by that."""

    def __init__(self, minutes: float | None, epochs: int | None = None):
        self.seconds = None if minutes is None else SECONDS_A_MINUTE * minutes
        self.epochs = epochs
        self.restart(0)

    def restart(self, epoch: int) -> None:
        """Begin to wait for the next checkpoint: one was taken in or after this epoch."""
        self._since, self._epoch, self._last_epoch = time.monotonic(), epoch, epoch

    def epoch_done(self, epoch: int) -> None:
        """An epoch is done."""
        self._epoch = max(self._epoch, epoch)

    def is_due(self) -> bool:
        by_time = self.seconds is not None and time.monotonic() - self._since >= self.seconds
        return by_time or self.epochs is not None and self._epoch - self._last_epoch >= self.epochs


class StateRequest:
    """In a worker: whether the states of its stacks are wanted, as its parent says through the pipe."""

    def __init__(self, pipe):
        self._pipe, self._is_wanted, self._last_poll = pipe, False, 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._is_wanted and now - self._last_poll >= POLL_SECONDS:
            self._is_wanted, self._last_poll = self._pipe.poll(), now
        return self._is_wanted

    def answered(self) -> None:
        """The states were sent."""
        self._pipe.recv()
        self._is_wanted = False


class ConsistentCut:
    """In the parent: collects the states of all workers' stacks. `stacks_of` maps a worker to the numbers of
    its stacks."""

    def __init__(self, is_due: Callable[[], bool], stacks_of: dict):
        self._is_due, self._stacks_of = is_due, stacks_of
        # By worker: the states of those that are not read until all others have sent theirs.
        self._states: dict[object, StackStates] = {}
        self._is_requested = self._is_last = False

    def request(self, workers: Iterable) -> None:
        """Request the states of the workers, if a checkpoint is due."""
        if self._is_requested or self._is_last or not self._is_due():
            return
        self._is_requested = True
        for worker in workers:
            with contextlib.suppress(OSError):  # it has ended
                worker.send(None)

    def is_held_back(self, worker) -> bool:
        """Whether this worker's messages are not read until the cut is complete."""
        return worker in self._states

    def add(self, worker, states: StackStates) -> None:
        """Take in a worker's states, those that were requested or its last."""
        if states.is_last and not self._is_last:  # others may be interrupted too, and will not answer
            self.drop()
            self._is_last = True
        self._states[worker] = states

    def drop(self) -> None:
        """Forget what has come: a worker will never send its own."""
        self._states.clear()
        self._is_requested = False

    def complete_states(self, workers: Iterable) -> StackStates | None:
        """The states of all stacks in order, once all workers that still train have sent theirs."""
        if not self._states or any(worker not in self._states for worker in workers):
            return None
        states: dict[int, Snapshot | None] = {}
        for worker, stacks in self._stacks_of.items():
            has_sent = worker in self._states
            worker_snapshots = self._states[worker].snapshots if has_sent else [ENDED] * len(stacks)
            states |= zip(stacks, worker_snapshots, strict=True)
        self.drop()
        return StackStates([states[number] for number in sorted(states)], self._is_last)
