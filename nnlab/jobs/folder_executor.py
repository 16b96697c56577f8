"""`FolderExecutor`: the driver's side of a queue in the sweep's folder (`folder_queue.py`).

It puts jobs there, takes their outcomes, and lets a job wait again whose worker is silent: it alone, so that
no two judges give the same job to two workers. A worker that was only asleep gives its outcome all the same,
of the same bits. A job of which nothing is left, as after a power cut, is put there again.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from time import monotonic

from nnlab.errors import advise
from nnlab.jobs.beats import BEATS_PER_LEASE, Watch
from nnlab.jobs.executor import Finished
from nnlab.jobs.folder_queue import FolderQueue, QueueSettings, processes_in, torch_version
from nnlab.jobs.whole_files import Damaged

SHORTEST_PAUSE, LONGEST_PAUSE = 0.002, 0.05  # seconds between two looks for outcomes
ALONE_SECONDS = 10.0  # after which it is said that jobs wait for workers
MOST_LOST_WORKERS = 5  # that trained a job: then it is thought to be the job


class FolderExecutor:
    """Trains jobs wherever somebody runs `nnlab work` on the `sweep` folder; see `Executor`.

    `local`: also on this machine, by so many processes. Raises `MachineFault` once they are gone.
    `advice`: what is said once jobs have waited for a while and there is no worker; empty: nothing.
    """

    def __init__(self, sweep: Path, lease: float = 10.0, local: int = 0, advice: str = ""):
        self.queue, self.lease = FolderQueue(sweep), lease
        self.seconds = {"moving": 0.0}
        self._jobs: dict[str, bytes] = {}  # those that are wanted, without an outcome yet
        self._collected: set[str] = set()  # whose outcomes, or faults, lie there until they are dropped
        self._unwanted: set[str] = set()  # dropped, but perhaps trained by somebody still
        self._missing: set[str] = set()  # of which there was nothing at the last look
        self._lost: Counter[str] = Counter()  # job -> how many workers of it have died
        self._id, self._beats, self._beaten = secrets.token_hex(4), 0, 0.0
        self._beat_due = 0.0
        self._look_due = 0.0
        self._advice, self._alone_since = advice, inf
        self._watch = Watch(lease / BEATS_PER_LEASE)
        self._processes: dict[str, int] = {}  # of each worker that lives
        self.queue.create(QueueSettings(lease, torch=torch_version()))
        self.queue.clear(["todo"])  # of a driver before this one, which may have divided batches otherwise
        self.queue.forget_faults()  # another machine may be able to, or this one now
        # Trained, or in training, since before this driver began.
        self._earlier = {*self.queue.outcomes()[0], *(name for name, _ in self.queue.claims())}
        self._beat()
        self._local = None
        if local:
            from nnlab.jobs.local_workers import LocalWorkers  # imports torch

            self._local = LocalWorkers(sweep, lease, local)

    # ---- what an executor does

    def slots(self) -> int:
        """As many as there are processes, and one that is expected if there is none."""
        return max(1, self.processes())

    def processes(self) -> int:
        """How many processes the workers have together that have been heard within a lease."""
        if monotonic() >= self._look_due:
            self._look()
        return max(sum(self._processes.values()), self._local.processes if self._local else 0)

    def put_data(self, key: str, content: bytes) -> None:
        with self._moving():
            self.queue.put_data(key, content)

    def submit(self, name: str, job: bytes, data: Sequence[str] = ()) -> None:
        self._unwanted.discard(name)
        if name in self._jobs:
            return
        self._jobs[name] = job
        self._collected.discard(name)
        with self._moving():
            if name not in self._earlier:
                self.queue.put(name, job)
        self._call()

    def collect(self, seconds: float) -> list[Finished]:
        until, pause = monotonic() + seconds, SHORTEST_PAUSE
        while True:
            if monotonic() >= self._beat_due:
                self._beat()
            finished = list(self._finished())
            left = until - monotonic()
            if finished or left <= 0:
                return finished
            if monotonic() >= self._look_due:
                self._look()
            self._advise_if_alone()
            if self._local:
                self._local.refuse_end()
            time.sleep(min(pause, left))
            pause = min(1.3 * pause, LONGEST_PAUSE)

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            self.queue.withdraw(name)
            self.queue.forget_outcome(name)
            self._jobs.pop(name, None)
            self._earlier.discard(name)
            self._collected.discard(name)
            self._unwanted.add(name)

    def close(self) -> None:
        """Workers end if nothing is left to do. Else they finish what they train, and wait for a driver that
        goes on, which finds the outcomes: also those that this one has collected, and not written down."""
        if not self._beats:
            return
        is_stopped = bool(self._jobs or self._collected)
        self.queue.driver_beat("stopped" if is_stopped else "ended", self._beats + 1, self._id)
        self._beats = 0
        if self._local:
            self._local.end()
        self.queue.clear(["todo"] if is_stopped else ["todo", "done", "data"])

    # ---- how it does it

    def _finished(self) -> Iterator[Finished]:
        """What has an outcome, or a fault, and is wanted; each once."""
        names, faults = self.queue.outcomes(self._collected)
        for name in {*names, *faults} & self._unwanted:
            self.queue.forget_outcome(name)
        for name in names:
            if name in self._jobs:
                with self._moving():
                    try:
                        outcome = self.queue.outcome(name)
                    except Damaged:
                        self._put_again(name)
                        continue
                del self._jobs[name]
                self._collected.add(name)
                yield Finished(name, outcome)
        for name in faults:
            if self._jobs.pop(name, None) is not None:
                self._collected.add(name)
                yield Finished(name, fault=self.queue.fault(name))
        for name, count in list(self._lost.items()):
            if count >= MOST_LOST_WORKERS and self._jobs.pop(name, None) is not None:
                self.queue.withdraw(name)
                self._collected.add(name)
                yield Finished(name, fault=f"{count} workers that trained the job {name} were lost")

    def _look(self) -> None:
        """See who lives; let jobs wait again that nobody trains any more."""
        self._look_due = monotonic() + self.lease / BEATS_PER_LEASE
        # In the order in which a job goes on its way, so that none is overlooked that moves meanwhile.
        waiting, claims = self.queue.waiting(), self.queue.claims()
        outcomes, faults = self.queue.outcomes()
        beats = self.queue.beats()
        self._watch.look({worker: b"" for _, worker in claims} | beats)
        living = beats.keys() & self._watch.living(self.lease)
        self._processes = {worker: processes_in(beats[worker]) for worker in living}
        for worker in self._watch.overdue(self.lease):
            for name in [name for name, by in claims if by == worker]:
                self._take_back(name, worker)
            self.queue.leave(worker)
        known = {*waiting, *(name for name, _ in claims), *outcomes, *faults}
        missing = self._jobs.keys() - known
        for name in missing & self._missing:
            self._put_again(name)
        self._missing = missing

    def _advise_if_alone(self) -> None:
        """Say, once, that jobs have waited for so long and there is no worker."""
        if self._local or self._processes or not self._jobs:
            self._alone_since = inf
        elif self._alone_since == inf:
            self._alone_since = monotonic()
        elif self._advice and monotonic() - self._alone_since > ALONE_SECONDS:
            advise(self._advice)
            self._advice = ""

    def _take_back(self, name: str, worker: str) -> None:
        """A job whose worker is silent waits again, if it is wanted."""
        if name not in self._jobs:
            self._earlier.discard(name)
            self.queue.give_up(name, worker)
            return
        self._lost[name] += 1
        self.queue.give_back(name, worker)
        self._call()

    def _put_again(self, name: str) -> None:
        self.queue.forget_outcome(name)
        self.queue.put(name, self._jobs[name])
        self._call()

    def _call(self) -> None:
        """Workers look for jobs once the driver has said something: it does so now, or in a moment."""
        self._beat_due = min(self._beat_due, self._beaten + LONGEST_PAUSE)
        if monotonic() >= self._beat_due:
            self._beat()

    def _beat(self) -> None:
        self._beats, self._beaten = self._beats + 1, monotonic()
        self._beat_due = self._beaten + self.lease / BEATS_PER_LEASE
        self.queue.driver_beat("open", self._beats, self._id)

    @contextmanager
    def _moving(self) -> Iterator[None]:
        began = monotonic()
        yield
        self.seconds["moving"] += monotonic() - began
