"""What a sweep yields while it runs, and where its time went."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nnlab.jobs.dispatcher import Dispatcher
from nnlab.search.batch_training import TrialBatch
from nnlab.search.trial import Trial


@dataclass(frozen=True)
class BatchStarted:
    """A batch is about to be trained, or to be waited for."""

    batch: TrialBatch


@dataclass(frozen=True)
class TrialsFinished:
    """A batch is trained: yielded once before its trials are written to the ledger, and once after."""

    trials: list[Trial]
    batch: TrialBatch
    written: bool


@dataclass
class Seconds:
    """Seconds spent on the search itself (choosing and reporting trials, by Optuna), and on training.

    Where jobs train elsewhere, `training` is that of all workers together; `waiting` for them, and `moving`
    data, jobs and outcomes, is this process's.
    """

    search: float = 0.0
    training: float = 0.0
    waiting: float = 0.0
    moving: float = 0.0
    workers: int = 0  # that have trained something

    def add(self, phase: str, since: float) -> float:
        """Add the seconds since `since`; the time now."""
        now = time.perf_counter()
        setattr(self, phase, getattr(self, phase) + now - since)
        return now

    def take(self, dispatcher: Dispatcher) -> None:
        """What the dispatcher has counted until now."""
        jobs = dispatcher.seconds
        self.training, self.waiting, self.workers = jobs.training, jobs.waiting, len(jobs.workers)
        self.moving = jobs.packing + dispatcher.executor.seconds.get("moving", 0.0)
