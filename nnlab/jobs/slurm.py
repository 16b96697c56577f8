"""`SlurmExecutor`: the queue in the sweep's folder, with workers that Slurm starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from nnlab.errors import MachineFault, UserError, advise
from nnlab.jobs.executor import Finished
from nnlab.jobs.folder_executor import FolderExecutor
from nnlab.jobs.slurm_workers import WORKERS, Workers, processes_of

if TYPE_CHECKING:
    from nnlab.jobs.launchers import Slurm

MOST_LOST = 4  # times the number of workers: so many end one after another, while no job is finished
QUEUED_SECONDS = 60.0  # after which it is said that workers wait for a node
SHORTEST_WAIT = 0.05  # seconds, for outcomes
SECONDS_TO_LEAVE = 5.0  # in which workers that train nothing notice that the sweep has ended
LONGEST_PAUSE = 120.0  # seconds between two starts of workers that do not live long


class SlurmExecutor:
    """Trains jobs by `launcher.jobs` workers that Slurm starts, and `local` processes here; see `Executor`.

    Workers find their jobs in the folder. Those of a driver that was killed wait for one that goes on, whose
    workers they then are, so that none is doubled; or end by themselves.

    Raises `UserError` if Slurm refuses the workers, and `MachineFault` if they do not live to finish a job.
    """

    def __init__(self, sweep: Path, launcher: Slurm, local: int = 0):
        processes = processes_of(launcher)
        self._keeper = Keeper(WORKERS[launcher.cluster](sweep, launcher), launcher.jobs, processes)
        self._queue = FolderExecutor(sweep, launcher.lease, local)
        self._slots = launcher.jobs * processes + local
        self._unfinished: set[str] = set()
        self.seconds = self._queue.seconds
        try:  # they may wait for long until they can begin; and what Slurm refuses is said before all else
            self._keeper.tend(launcher.jobs * processes)
        except BaseException:
            self.close()
            raise

    def slots(self) -> int:
        """As many as there are to be: jobs are not made fewer and larger while workers wait for a node."""
        return max(self._slots, self._queue.slots())

    def put_data(self, key: str, content: bytes) -> None:
        self._queue.put_data(key, content)

    def submit(self, name: str, job: bytes, data: Sequence[str] = ()) -> None:
        self._unfinished.add(name)
        self._queue.submit(name, job, data)

    def collect(self, seconds: float) -> list[Finished]:
        until, finished = monotonic() + seconds, []
        while True:
            self._keeper.tend(len(self._unfinished))
            left = max(0.0, until - monotonic())
            finished = self._queue.collect(min(left, max(SHORTEST_WAIT, self._keeper.workers.look_seconds)))
            if finished or not left:
                break
        if finished:
            self._unfinished -= {job.name for job in finished}
            self._keeper.job_finished()
        return finished

    def drop(self, names: Iterable[str]) -> None:
        names = list(names)
        self._unfinished -= set(names)
        self._queue.drop(names)

    def close(self) -> None:
        try:
            self._queue.close()
        finally:
            if not self._keeper.workers.unheard:  # else there is nobody who would hear it
                self._keeper.workers.end(0.0 if self._unfinished else SECONDS_TO_LEAVE)


class Keeper:
    """Keeps a `number` of workers, of so many `processes` each, while there are jobs for them.

    A worker ends when its time is up, or its node is lost or wanted by others: another takes its place.
    """

    def __init__(self, workers: Workers, number: int, processes: int = 1):
        self.workers, self._number, self._processes = workers, number, processes
        self._known = 0  # workers at the last look
        self._lost = 0  # that have ended since a job was finished
        self._had_workers = self._has_advised = False
        self._look_due = self._start_due = self._pause = 0.0
        self._started = -inf

    def job_finished(self) -> None:
        self._lost = 0

    def tend(self, jobs: int) -> None:
        """Start workers in the place of those that have ended, as far as there are so many jobs. Cheap if it
        is not time to look again."""
        wanted = min(self._number, -(-jobs // self._processes))
        if not wanted or monotonic() < self._look_due:
            return
        self._look_due = monotonic() + self.workers.look_seconds
        living = self.workers.living()
        if living is None:
            if self.workers.unheard:
                raise MachineFault(f"Slurm cannot be reached: squeue said: {self.workers.unheard}")
            return
        self._lost += max(0, self._known - living)
        self._known = living
        self._had_workers |= living > 0
        if self._lost > MOST_LOST * self._number:
            raise MachineFault(self._complaint())
        if self.workers.queued and not self._has_advised and monotonic() > self._started + QUEUED_SECONDS:
            self._has_advised = True
            advise(f"launcher=slurm: {living} workers wait for a node; Slurm's reason: {self.workers.queued}")
        if wanted > living and monotonic() >= self._start_due:
            self._start(wanted - living)

    def _start(self, number: int) -> None:
        quickly = monotonic() - self._started < 4 * self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if quickly else self.workers.look_seconds
        try:
            self.workers.start(number)
        except (UserError, MachineFault):
            if not self._had_workers:
                raise
            self._lost += number  # Slurm is away, or has a limit: later perhaps it is not
        else:
            self._known += number
            self._had_workers = True
        self._started = monotonic()
        self._start_due = self._started + self._pause

    def _complaint(self) -> str:
        said = self.workers.last_words()
        said = f"the last one said: {said}" if said else "none has said anything: do nodes see the folder?"
        return f"{self._lost} workers of launcher=slurm have ended, and no job was finished meanwhile; {said}"
