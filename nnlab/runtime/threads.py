"""Threads: how many torch uses for a call, and a pool that shares tasks without changing any bits.

A library that splits a product or a sum over its threads chooses the parts by the number of threads, and sums
in another order have other last bits. So here every call of torch runs on one thread. Our own code splits a
large computation, into blocks that depend on its shape alone, a call each. Which thread makes a call
changes nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import torch


class _ThreadLocal(threading.local):
    """State of the current thread."""

    helpers: list[_Helper] | None = None  # None outside `computing`


_local = _ThreadLocal()


@contextlib.contextmanager
def computing():
    """Within: one thread for each torch call, no autograd, and subnormal numbers flushed to zero.

    Inference mode saves a fifth of a small step, since tensors made in it carry nothing for autograd.
    Adam's averages decay into subnormal numbers, with which a CPU computes a hundred times slower.

    `run_all` has helper threads within; they end with it, so that no process is forked while they run.
    """
    outer, _local.helpers = _local.helpers, []
    try:
        with _thread_settings():
            yield
    finally:
        for helper in _local.helpers:
            helper.end()
        _local.helpers = outer


@contextlib.contextmanager
def one_thread():
    """Within: one thread for each torch call."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _thread_settings():
    """Settings that torch keeps for each thread separately: all three of `computing`."""
    with one_thread():
        torch.set_flush_denormal(True)
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_flush_denormal(False)


def run_all(tasks: Sequence[Callable[[], object]], threads: int) -> None:
    """Call every task, on at most so many threads. Raises the first error of a task.

    Every free thread takes the next task: on busy cores, nothing waits for a helper that never wakes up.
    Outside `computing` the calling thread does everything.
    """
    helper_count = min(threads, len(tasks)) - 1
    if helper_count < 1 or _local.helpers is None:
        for task in tasks:
            task()
        return
    while len(_local.helpers) < helper_count:
        _local.helpers.append(_Helper())
    job = _Job(tasks)
    for helper in _local.helpers[:helper_count]:
        helper.inbox.put(job)
    job.finish()


class _Job:
    """Tasks that several threads take one after another."""

    def __init__(self, tasks):
        self.pending, self.count, self.outcomes = deque(tasks), len(tasks), SimpleQueue()

    def work(self) -> None:
        """Do tasks until none is pending; each puts its error, or None, into `outcomes`."""
        while self.pending:
            try:
                task = self.pending.popleft()
            except IndexError:  # another thread has taken the last one
                return
            try:
                task()
                self.outcomes.put(None)
            except BaseException as error:
                self.outcomes.put(error)

    def finish(self) -> None:
        """Do tasks, and wait for those of other threads."""
        self.work()
        errors = [error for error in (self.outcomes.get() for _ in range(self.count)) if error]
        if errors:
            raise errors[0]


class _Helper:
    """A thread that waits for jobs, blocked rather than spinning."""

    def __init__(self):
        self.inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="nnlab helper", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with _thread_settings():
            while job := self.inbox.get():
                job.work()

    def end(self) -> None:
        self.inbox.put(None)
        self.thread.join()
