"""Stacks trained side by side, a process each, on a CPU; and the rungs at which all of them wait.

Small stacks run fastest on one thread, and Python threads would wait for each other between calls. So
each worker is a fork that trains its share of the stacks on one thread and sends what the engine yields.
The bits of a row do not depend on where it is trained.

At a rung, an epoch, every stack waits until all have come to it: who compares rows across stacks then says
which are to leave. So what is pruned does not depend on which worker was quicker.
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from nnlab.results import Record, Result

Job = Callable[
    [list[Result], set[int]], Iterator[Record]
]  # yields records, appends results; see engine.train


@dataclass(frozen=True)
class Rungs:
    """The `epochs` at which stacks wait for each other; `leaving(epoch)` then names the rows to prune."""

    epochs: tuple[int, ...] = ()
    leaving: Callable[[int], Iterable[int]] = lambda epoch: ()

    def stages(self) -> tuple[int | None, ...]:
        """Where each stage of the training ends; None is the end of all."""
        return (*self.epochs, None)


NO_RUNGS = Rungs()


def side_by_side(
    jobs: list[Job], processes: int, finished: list[Result], rungs: Rungs = NO_RUNGS
) -> Iterator[Record]:
    """Run `jobs` on so many processes: their records, one worker after another in turn; and the results.

    The order of the records depends on the jobs alone, not on which worker was quicker. Raises
    `RuntimeError` with the worker's traceback if one fails.
    """
    if processes < 2 or len(jobs) < 2 or not sys.platform.startswith("linux"):
        share = Share(jobs, finished)
        for epoch in rungs.stages():
            yield from share.until(epoch)
            if epoch is not None:
                share.pruned.update(rungs.leaving(epoch))
        return
    fork = multiprocessing.get_context("fork")
    pipes, workers = [], []
    try:
        for share in (jobs[i::processes] for i in range(min(processes, len(jobs)))):
            here, there = fork.Pipe()
            pipes.append(here)
            workers.append(fork.Process(target=_work, args=(share, there, pipes, rungs), daemon=True))
            workers[-1].start()
            there.close()
        yield from _in_turn(pipes, finished, rungs)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


class Share:
    """Some jobs, one after another up to each rung."""

    def __init__(self, jobs: list[Job], finished: list[Result]):
        self.pruned: set[int] = set()
        self.running = [job(finished, self.pruned) for job in jobs]

    def until(self, epoch: int | None) -> Iterator[Record]:
        """The records of every job up to this epoch; None: to its end."""
        for records in self.running:
            for record in records:
                yield record
                if record.epoch == epoch:
                    break


def _in_turn(pipes, finished: list[Result], rungs: Rungs) -> Iterator[Record]:
    for epoch in rungs.stages():
        training = list(pipes)
        while training:
            for pipe in list(training):
                kind, value, results = _receive(pipe)
                finished += results
                if kind == "record":
                    yield value
                elif kind == "waiting":
                    training.remove(pipe)
                else:
                    raise RuntimeError(f"a worker failed:\n{value}")
        if epoch is not None:
            leaving = set(rungs.leaving(epoch))
            for pipe in pipes:
                pipe.send(leaving)


def _receive(pipe):
    try:
        return pipe.recv()
    except EOFError:
        return "error", "it was killed, perhaps for want of memory", []


def _work(jobs: list[Job], pipe, parents_ends, rungs: Rungs) -> None:
    for end in parents_ends:  # inherited by the fork: a worker whose parent was killed is to notice it
        end.close()
    torch.set_num_threads(1)  # a fork cannot use the threads that its parent had started
    finished: list[Result] = []

    def send(kind: str, value) -> None:
        pipe.send((kind, value, list(finished)))
        finished.clear()

    try:
        share = Share(jobs, finished)
        for epoch in rungs.stages():
            for record in share.until(epoch):
                send("record", record)
            send("waiting", epoch)
            if epoch is not None:
                share.pruned.update(pipe.recv())
    except (KeyboardInterrupt, ConnectionError, EOFError):
        pass  # the parent was interrupted too, and says so; or it is gone
    except BaseException:
        send("error", traceback.format_exc())
