"""How a thread computes, and how several share the work of one without leaving a trace in the bits.

A library that divides a product or a sum over its threads chooses where by how many there are, and what is
added in another order has other last bits. So the library divides nothing here: each call runs on one
thread. What is large is divided by ourselves, into blocks that depend on its shape alone, a call each. Which
thread makes a call, and beside which others, changes nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import torch


class _Here(threading.local):
    """What belongs to the thread that asks."""

    helpers: list[_Helper] | None = None  # None outside `computing`


_here = _Here()


@contextlib.contextmanager
def computing():
    """One thread for each torch call, no autograd, and subnormal numbers are zero.

    Inference mode saves a fifth of a small step, since tensors made in it carry nothing for autograd.
    Adam's averages decay into subnormal numbers, with which a CPU computes a hundred times slower.

    Within, `run_all` has helpers; they end with it, so that nobody forks a process while they run.
    """
    outer, _here.helpers = _here.helpers, []
    try:
        with _settings():
            yield
    finally:
        for helper in _here.helpers:
            helper.end()
        _here.helpers = outer


@contextlib.contextmanager
def one_thread():
    """One thread for each torch call, and afterwards as many as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _settings():
    """Of this thread: torch keeps all three for each thread by itself."""
    with one_thread():
        torch.set_flush_denormal(True)
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_flush_denormal(False)


def run_all(tasks: Sequence[Callable[[], object]], threads: int) -> None:
    """Call every task, at most so many at once. Raises what one of them raised.

    Whoever is free takes the next: on busy cores a helper that never wakes up is not waited for.
    Outside `computing` the calling thread does everything.
    """
    wanted = min(threads, len(tasks)) - 1
    if wanted < 1 or _here.helpers is None:
        for task in tasks:
            task()
        return
    while len(_here.helpers) < wanted:
        _here.helpers.append(_Helper())
    job = _Job(tasks)
    for helper in _here.helpers[:wanted]:
        helper.inbox.put(job)
    job.finish()


class _Job:
    """Tasks that several threads take one after another."""

    def __init__(self, tasks):
        self.left, self.count, self.done = deque(tasks), len(tasks), SimpleQueue()

    def work(self) -> None:
        """Do tasks until none is left; each puts what it raised, or None, into `done`."""
        while self.left:
            try:
                task = self.left.popleft()
            except IndexError:  # another thread was quicker
                return
            try:
                task()
                self.done.put(None)
            except BaseException as error:
                self.done.put(error)

    def finish(self) -> None:
        self.work()
        errors = [error for error in (self.done.get() for _ in range(self.count)) if error]
        if errors:
            raise errors[0]


class _Helper:
    """A further thread, which waits for jobs without taking time."""

    def __init__(self):
        self.inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="nnlab helper", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with _settings():
            while job := self.inbox.get():
                job.work()

    def end(self) -> None:
        self.inbox.put(None)
        self.thread.join()
