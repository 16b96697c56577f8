"""`WorkLoop`: takes jobs of a folder, and has them trained by processes of this machine, one each.

One process looks at the folder for all of a machine, and renews their lease; it trains nothing itself, so a
long step delays no beat, and any of the others can be killed at once. They are forks, made when the first job
is there: the data sets that lie in the folder are loaded before, once for all.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from time import monotonic

import torch

from nnlab import interruption
from nnlab.errors import MachineFault, describe_machine_fault
from nnlab.jobs.beats import BEATS_PER_LEASE, Watch
from nnlab.jobs.folder_queue import FolderQueue, has_ended, worker_name
from nnlab.jobs.whole_files import Damaged

SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 0.5  # seconds between two looks for jobs
MOST_DEATHS = 2  # of processes of this machine that trained a job: then it is thought to be the job

# (job, data of a key, call after each epoch) -> outcome: `nnlab.jobs.running.run`
Train = Callable[[bytes, Callable[[str], bytes], Callable[[int], None]], bytes]


class DriverGone(Exception):
    """Nothing was heard of the driver for as long as the worker waits."""


class Refused(Exception):
    """This worker cannot train the jobs of this sweep; the sentence says why."""


@dataclass
class WorkDone:
    """What a worker has trained."""

    jobs: int = 0
    seconds: float = 0.0  # of training, of all processes together


@dataclass
class _Process:
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    job: str = ""  # which it trains; empty: it waits


class WorkLoop:
    """Trains the jobs of a queue on so many processes, until the sweep has ended.

    `load` gets the content of each data set before the processes begin. `lifeline` is the end of a pipe: the
    loop ends when the other end does, that of a driver which trains on its own machine.
    """

    def __init__(
        self,
        queue: FolderQueue,
        lease: float,
        processes: int,
        train: Train,
        load: Callable[[str, bytes], None] = lambda key, content: None,
        patience: float = 600.0,
        lifeline: Connection | None = None,
    ):
        self.queue, self.processes, self.train, self.load = queue, processes, train, load
        self.name, self.done = worker_name(), WorkDone()
        self._patience, self._lifeline = patience, lifeline
        self._beat_seconds = lease / BEATS_PER_LEASE
        self._beats, self._beat_due, self._look_due = 0, 0.0, 0.0
        self._pause = SHORTEST_PAUSE
        self._driver = Watch(max(self._beat_seconds, LONGEST_PAUSE))
        self._driver_said = b""
        self._trainers: list[_Process] = []
        self._names: list[str] = []  # of jobs that waited at the last look
        self._deaths: Counter[str] = Counter()
        self._is_over = False

    def run(self) -> WorkDone:
        """Train until the sweep has ended. Raises `DriverGone`, `Refused`, and `MachineFault`; whatever it
        raises, a job that is half trained waits again for others."""
        try:
            while not self._is_over:
                self._step()
        finally:
            with interruption.signals_deferred():
                self._stop()
        return self.done

    def _step(self) -> None:
        """Give jobs to processes that have none; then wait until one has finished, or until it is time to
        look again."""
        due = self._hand_out()
        trainers = {trainer.pipe: trainer for trainer in self._trainers}
        lifelines = [self._lifeline] if self._lifeline else []
        for pipe in wait([*trainers, *lifelines], max(0.0, due - monotonic())):
            if pipe is self._lifeline:
                self._is_over = True
            else:
                self._receive(trainers[pipe])

    def _hand_out(self) -> float:
        """Listen and beat, if it is time to; give jobs to processes that have none. When it is to be called
        again, if no process has finished before."""
        now = monotonic()
        if now >= self._beat_due or now >= self._look_due:
            self._listen()
        if now >= self._beat_due:
            self._beat()
        while self._has_free_process() and not self._is_over and self._take():
            pass
        due = self._beat_due
        if self._has_free_process():
            self._look_due = monotonic() + self._pause
            self._pause = min(1.5 * self._pause, LONGEST_PAUSE)
            due = min(due, self._look_due)
        return due

    # ---- the folder

    def _listen(self) -> None:
        """Hear whether the driver lives, and has something new. One small file is read for it."""
        said = self.queue.driver_said()
        self._driver.look({"driver": said})
        if said != self._driver_said:
            self._driver_said, self._names = said, self.queue.waiting()
        self._is_over = has_ended(said) or self._is_over
        # A driver at the other end of a lifeline lives, also if it is busy or stopped for long.
        is_gone = not self._lifeline and self._driver.silent("driver") > self._patience
        if is_gone and not any(trainer.job for trainer in self._trainers):
            raise DriverGone

    def _beat(self) -> None:
        self._beats += 1
        self._beat_due = monotonic() + self._beat_seconds
        self.queue.beat(self.name, self._beats, self.processes)

    def _take(self) -> bool:
        """Claim a job that waits, and give it to a process; False if there is none."""
        if self._names and not self._trainers:
            self._begin()
        choices = 1  # the first; the more workers were quicker, the further they spread
        while self._names:
            name = self._names.pop(random.randrange(min(len(self._names), choices)))
            with interruption.signals_deferred():  # what is claimed and not known here is not given back
                if self.queue.claim(name, self.name):
                    self._pause = SHORTEST_PAUSE
                    self._give(name)
                    return True
            choices *= 2
        return False

    def _begin(self) -> None:
        """Load the data, then start the processes, which share it."""
        for key in self.queue.data_keys():
            with contextlib.suppress(FileNotFoundError, Damaged):  # the job that needs them says so
                self.load(key, self.queue.data(key))
        self._beat()  # loading may have taken longer than a lease
        for _ in range(self.processes):
            self._start()

    # ---- the processes

    def _has_free_process(self) -> bool:
        return not self._trainers or any(not trainer.job for trainer in self._trainers)

    def _start(self) -> None:
        fork = multiprocessing.get_context("fork")
        pipe, other_end = fork.Pipe()
        others = [trainer.pipe for trainer in self._trainers] + [pipe]
        others += [self._lifeline] if self._lifeline else []
        args = (self.queue, self.name, self.train, other_end, others)
        process = fork.Process(target=_train_jobs, args=args, daemon=True)
        with interruption.signals_deferred():  # until it ignores them itself, and is known here
            process.start()
            self._trainers.append(_Process(process, pipe))
        other_end.close()

    def _give(self, name: str) -> None:
        trainer = next(trainer for trainer in self._trainers if not trainer.job)
        trainer.job = name
        trainer.pipe.send(name)

    def _receive(self, trainer: _Process) -> None:
        """What a process says of its job."""
        name, trainer.job = trainer.job, ""
        try:
            kind, value = trainer.pipe.recv()
        except (EOFError, ConnectionError):
            self._replace(trainer, name)
            return
        if kind == "done":
            self.done.jobs, self.done.seconds = self.done.jobs + 1, self.done.seconds + value
            # Without waiting for the driver to say something: jobs may be left.
            self._names = self._names or self.queue.waiting()
        elif kind == "damaged":
            self.queue.give_up(name, self.name)  # the driver misses it, and puts it there again
        elif kind == "refused":
            raise Refused(value)
        elif kind == "fault":
            raise MachineFault(value)
        elif kind == "error":
            raise RuntimeError(f"a worker failed:\n{value}")

    def _replace(self, trainer: _Process, name: str) -> None:
        """A process was killed: another takes its place, and others its job."""
        trainer.process.join()
        trainer.pipe.close()
        self._trainers.remove(trainer)
        self._start()
        if not name:
            return
        self._deaths[name] += 1
        if self._deaths[name] >= MOST_DEATHS:
            times = f"{MOST_DEATHS} times a process was killed that trained the job {name}"
            self.queue.fail(name, self.name, f"{times}, perhaps for want of memory")
        else:
            self.queue.give_back(name, self.name)
            self._names = self.queue.waiting()

    def _stop(self) -> None:
        """End the processes; their jobs wait again, at once."""
        for trainer in self._trainers:
            trainer.process.kill()
            trainer.process.join()
            trainer.pipe.close()
        for name, worker in self.queue.claims():
            if worker == self.name:
                self.queue.give_back(name, worker)
        self.queue.leave(self.name)


def _train_jobs(
    queue: FolderQueue, worker: str, train: Train, pipe: Connection, others: Sequence[Connection]
) -> None:
    """A process that trains: one job after another, on one thread, until nobody gives it one."""
    for number in interruption.ENDING_SIGNALS:  # the one that takes jobs ends it
        signal.signal(number, signal.SIG_IGN)
    for end in others:  # inherited by the fork: once closed, it notices that its parent was killed
        end.close()
    torch.set_num_threads(1)  # a fork cannot use the threads that its parent had started
    parent = os.getppid()

    def end_with_parent(epoch: int) -> None:
        if os.getppid() != parent:  # its lease runs out, and others train the job
            os._exit(1)

    try:
        while True:
            pipe.send(_train_job(queue, worker, pipe.recv(), train, end_with_parent))
    except (EOFError, ConnectionError):
        pass  # the parent is gone


def _train_job(
    queue: FolderQueue, worker: str, name: str, train: Train, on_epoch: Callable[[int], None]
) -> tuple[str, object]:
    """What came of a job: a word, and a value."""
    began = monotonic()
    try:
        try:
            job = queue.job(name, worker)
        except (Damaged, FileNotFoundError):  # of which the latter was taken away, as from one that slept
            return "damaged", ""
        queue.finish(name, worker, train(job, queue.data, on_epoch))
    except Refused as e:
        return "refused", str(e)
    except Exception as e:
        sentence = str(e) if isinstance(e, Damaged) else describe_machine_fault(e)
        return ("fault", sentence) if sentence else ("error", traceback.format_exc())
    return "done", monotonic() - began
