"""Workers of a folder that only wait: as `nnlab.jobs.work_loop`, but many machines in one process.

A job lasts as long as a draw says. Everything else is done: beats are written, the driver is listened to,
jobs are listed, claimed by renaming and read, outcomes are written. So the folder sees what it would see of
so many machines.
"""

import heapq
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from nnlab.jobs import folder_queue, whole_files, work_loop
from nnlab.jobs.folder_queue import FolderQueue, has_ended

OPERATIONS = {  # of a file system, in each call
    "write_whole": ("create", "write", "rename"), "read_whole": ("open", "read"), "rename": ("rename",),
    "remove": ("unlink",), "names_in": ("list",),
}  # fmt: skip


def count_operations() -> Counter:
    """What this process asks of the file system for a queue, from now on; `rename in vain` of a job that
    somebody else has taken."""
    counts = Counter()

    def counted(name: str, original: Callable) -> Callable:
        def call(*args):
            counts.update(OPERATIONS[name])
            result = original(*args)
            counts["rename in vain"] += result is False
            counts["names listed"] += len(result) if isinstance(result, list) else 0
            return result

        return call

    for name in OPERATIONS:
        function = counted(name, getattr(whole_files, name))
        setattr(whole_files, name, function)
        setattr(folder_queue, name, function)
    return counts


class SimulatedMachine(work_loop.WorkLoop):
    """A `WorkLoop` without processes: it says when it is to be called again."""

    def __init__(self, queue: FolderQueue, lease: float, processes: int, draw, outcome: bytes):
        super().__init__(queue, lease, processes, train=None, patience=float("inf"))
        self.name = f"{self.name}-{random.getrandbits(48):012x}"
        self.free, self.draw, self.outcome, self.busy_seconds = processes, draw, outcome, 0.0
        self.training: list[tuple[float, str]] = []  # (end, job), a heap

    def _has_free_process(self) -> bool:
        return self.free > 0

    def _begin(self) -> None:
        for key in self.queue.data_keys():
            self.queue.data(key)
        self._trainers = [None]

    def _give(self, name: str) -> None:
        self.queue.job(name, self.name)
        seconds = self.draw()
        self.busy_seconds += seconds
        self.free -= 1
        heapq.heappush(self.training, (time.monotonic() + seconds, name))

    def step(self) -> float:
        """As `WorkLoop._step`; the time of the next one."""
        while self.training and self.training[0][0] <= time.monotonic():
            _, name = heapq.heappop(self.training)
            self.free += 1
            self.queue.finish(name, self.name, self.outcome)
            self.done.jobs += 1
            self._names = self._names or self.queue.waiting()
        due = self._hand_out()
        return min(due, self.training[0][0]) if self.training else due


def simulate(
    sweep: Path, machines: int, processes: int, lease: float, mean: float, size: int, seed: int = 0
) -> tuple[Counter, float]:
    """So many machines of so many processes, until the sweep has ended. A job lasts `mean` seconds, more or
    less, and its outcome has `size` bytes. Returns the counts of what the file system was asked, and
    the seconds of simulated training."""
    counts, draws = count_operations(), random.Random(seed)

    def draw() -> float:
        return mean * draws.lognormvariate(-0.125, 0.5)  # of mean 1: half of all within a third of the median

    queue, outcome = FolderQueue(sweep), os.urandom(size)
    while queue.settings() is None:
        time.sleep(0.05)
    all_of_them = [SimulatedMachine(queue, lease, processes, draw, outcome) for _ in range(machines)]
    events = [(time.monotonic() + draws.uniform(0, lease / 3), number) for number in range(machines)]
    heapq.heapify(events)
    while not has_ended(queue.driver_said()):
        for _ in range(machines):
            due, number = heapq.heappop(events)
            time.sleep(max(0.0, due - time.monotonic()))
            heapq.heappush(events, (all_of_them[number].step(), number))
    for machine in all_of_them:
        queue.leave(machine.name)
    counts["jobs"] = sum(machine.done.jobs for machine in all_of_them)
    counts["processor ms"] = round(1e3 * time.process_time())
    return counts, sum(machine.busy_seconds for machine in all_of_them)
