"""`Dispatcher`: gives jobs to an executor under their names, and their outcomes to who waits for them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from time import perf_counter

from nnlab.data.dataset import Data, Dataset
from nnlab.errors import MachineFault, UserError
from nnlab.jobs.data_file import data_file, is_sent
from nnlab.jobs.executor import Executor
from nnlab.jobs.job import Job
from nnlab.jobs.outcome import Outcome

MOST_ATTEMPTS = 3  # at a job whose outcomes are of no use
LOOK_SECONDS = 1.0  # between two looks for outcomes
DIGEST_BYTES = 6


@dataclass
class JobSeconds:
    """Where the time of jobs went: `training` is that of all workers together, the others the driver's."""

    training: float = 0.0
    waiting: float = 0.0
    packing: float = 0.0
    workers: set[str] = field(default_factory=set)


class Dispatcher:
    """Jobs by their names, in whatever order they end, and however often: a late or second outcome of a job
    is the same bits, and is not looked at.

    Raises `MachineFault` for a job that no worker can train, and `RuntimeError` for a fault of nnlab.
    """

    def __init__(self, executor: Executor):
        self.executor, self.seconds = executor, JobSeconds()
        self._jobs: dict[str, Job] = {}  # those without an outcome
        self._outcomes: dict[str, Outcome] = {}  # that nobody has waited for yet
        self._attempts: Counter[str] = Counter()
        self._keys: dict[Data, str] = {}  # of the data that the executor has

    @property
    def waiting(self) -> int:
        """How many jobs have no outcome yet."""
        return len(self._jobs)

    def slots(self) -> int:
        """How many jobs can run at once."""
        return self.executor.slots()

    def data_key(self, data: Data, dataset: Dataset) -> str:
        """The key of a data set, which the executor then has."""
        if data not in self._keys:
            start = perf_counter()
            key, content = data_file(dataset)
            self.seconds.packing += perf_counter() - start
            if is_sent(key):
                self.executor.put_data(key, content)
            self._keys[data] = key
        return self._keys[data]

    def submit(self, place: str, job: Job) -> str:
        """Have the job trained; its name is its `place`, as 000128-03-0, and a hash: the same job has the
        same name in a driver that goes on."""
        start = perf_counter()
        content = job.to_bytes()
        self.seconds.packing += perf_counter() - start
        name = f"{place}-{hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()}"
        self._jobs[name] = job
        self._send(name, content)
        return name

    def _send(self, name: str, content: bytes) -> None:
        data = self._jobs[name].data
        self.executor.submit(name, content, (data,) if is_sent(data) else ())

    def outcomes(self, names: Iterable[str]) -> Iterator[tuple[str, Outcome]]:
        """The outcomes of these jobs, as they come."""
        wanted = set(names)
        while wanted:
            for name in sorted(wanted & self._outcomes.keys()):
                wanted.remove(name)
                yield name, self._outcomes.pop(name)
            if wanted:
                self._collect()

    def _collect(self) -> None:
        start, moving = perf_counter(), self.executor.seconds.get("moving", 0.0)
        finished = self.executor.collect(LOOK_SECONDS)
        moved = self.executor.seconds.get("moving", 0.0) - moving
        self.seconds.waiting += max(0.0, perf_counter() - start - moved)
        for each in finished:
            if each.name not in self._jobs:
                continue
            if each.fault:
                raise MachineFault(each.fault)
            self._take(each.name, each.outcome)

    def _take(self, name: str, content: bytes) -> None:
        """Keep the outcome of a job; or have the job trained again, if it is of no use."""
        start, job = perf_counter(), self._jobs[name]
        try:
            outcome = Outcome.from_bytes(content)
            if outcome.is_trained:
                outcome.refuse_other_job(job)
            why = outcome.refused or outcome.fault
        except UserError as e:
            outcome, why = Outcome(), str(e)
        self.seconds.packing += perf_counter() - start
        if outcome.error:
            raise RuntimeError(f"a worker failed ({outcome.worker}):\n{outcome.error}")
        if why:
            self._try_again(name, f"{outcome.worker}: {why}" if outcome.worker else why)
            return
        del self._jobs[name]
        self._outcomes[name] = outcome
        self.seconds.training += outcome.seconds
        self.seconds.workers.add(outcome.worker)

    def _try_again(self, name: str, why: str) -> None:
        """Another worker may be able to; but not for ever."""
        self._attempts[name] += 1
        if self._attempts[name] >= MOST_ATTEMPTS:
            raise MachineFault(f"the job {name} came back {MOST_ATTEMPTS} times without an outcome: {why}")
        self.executor.drop([name])
        self._send(name, self._jobs[name].to_bytes())

    def forget(self, names: Iterable[str]) -> None:
        """What came of these jobs is kept elsewhere, or not wanted any more."""
        names = list(names)
        for name in names:
            self._jobs.pop(name, None)
            self._outcomes.pop(name, None)
        self.executor.drop(names)
