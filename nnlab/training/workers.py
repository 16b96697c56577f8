"""Stacks trained side by side, a process each, on a CPU; and the rungs at which all of them wait.

Small stacks run fastest on one thread, and Python threads would wait for each other between calls. So
each worker is a fork that trains its share of the stacks on one thread and sends what comes of every epoch.
The bits of a row do not depend on where it is trained.

At a rung, an epoch, every stack waits until all have come to it: who compares rows across stacks then says
which are to leave. So what is pruned does not depend on which worker was quicker.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from nnlab import interruption
from nnlab.errors import MachineFault, describe_machine_fault
from nnlab.training.results import Record, Result
from nnlab.training.training import Training

# An epoch and the rows that ended with it; without a record, rows that were pruned or interrupted.
Progress = tuple[Record | None, list[Result]]


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
    stacks: list[Training],
    processes: int,
    rungs: Rungs = NO_RUNGS,
    ending: Callable[[], bool] = interruption.stop_requested,
) -> Iterator[Progress]:
    """Train `stacks` on so many processes: their records and results, one worker after another in turn.

    Once it is `ending`, every row leaves with the epoch under way; stacks that have not begun do not begin.

    The order of the records depends on the jobs alone, not on which worker was quicker. Raises
    `MachineFault` if a worker is killed, and `RuntimeError` with its traceback if it fails.
    """
    if processes < 2 or len(stacks) < 2 or not sys.platform.startswith("linux"):
        share = Share(stacks, ending)
        for epoch in rungs.stages():
            yield from share.until(epoch)
            if epoch is not None:
                yield None, share.prune(rungs.leaving(epoch))
        return
    fork = multiprocessing.get_context("fork")
    pipes, workers = [], []
    try:
        for share in (stacks[i::processes] for i in range(min(processes, len(stacks)))):
            here, there = fork.Pipe()
            pipes.append(here)
            workers.append(fork.Process(target=_work, args=(share, there, pipes, rungs), daemon=True))
            with interruption.signals_deferred():  # until it knows what to do about a Ctrl-C
                workers[-1].start()
            there.close()
        yield from _in_turn(dict(zip(pipes, workers, strict=True)), rungs, ending)
    finally:
        with interruption.signals_deferred():
            for worker in workers:
                worker.kill()  # it takes SIGTERM for a Ctrl-C
                worker.join()


class Share:
    """Some stacks, one after another up to each rung."""

    def __init__(self, stacks: list[Training], ending=interruption.stop_requested):
        self.stacks, self.ending = stacks, ending

    def until(self, epoch: int | None) -> Iterator[Progress]:
        """Train every stack up to this epoch; None: to its end."""
        for stack in self.stacks:
            if self.ending() and not stack.begun:
                continue
            while len(stack):
                record, results = stack.epoch()
                yield record, results
                if self.ending():
                    yield None, stack.leave(stack.numbers, "interrupted")
                if record.epoch == epoch:
                    break

    def prune(self, rows: Iterable[int]) -> list[Result]:
        rows = list(rows)
        return [result for stack in self.stacks if len(stack) for result in stack.leave(rows, "pruned")]


def _in_turn(workers: dict, rungs: Rungs, ending) -> Iterator[Progress]:
    """What comes through each worker's pipe, in turn.

    If a worker meets a fault of the machine, or is killed, the others end their epoch, so that their rows'
    weights are kept; then `MachineFault` is raised.
    """
    stopping, failure = False, ""
    for epoch in rungs.stages():
        training = list(workers)
        while training:
            if (ending() or failure) and not stopping:
                stopping = True
                _interrupt(workers.values())
            for pipe in list(training):
                kind, value = _receive(pipe)
                if kind == "progress":
                    yield value
                elif kind == "error":
                    raise RuntimeError(f"a worker failed:\n{value}")
                else:
                    training.remove(pipe)
                    failure = failure or (value if kind == "fault" else "")
        if failure:
            raise MachineFault(failure)
        if epoch is not None:
            leaving = set(rungs.leaving(epoch))
            for pipe in workers:
                pipe.send(leaving)


def _interrupt(workers) -> None:
    """A Ctrl-C reaches every process of a terminal; a signal from elsewhere only the first of them.

    By SIGTERM, since in the background of a shell SIGINT is ignored, by workers too.
    """
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGTERM)


def _receive(pipe):
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        return "fault", "a worker process was killed, perhaps for want of memory"


def _work(stacks: list[Training], pipe, parents_ends, rungs: Rungs) -> None:
    interruption.request_stop_on_signals()
    for end in parents_ends:  # inherited by the fork: a worker whose parent was killed is to notice it
        end.close()
    torch.set_num_threads(1)  # a fork cannot use the threads that its parent had started
    try:
        share = Share(stacks)
        for epoch in rungs.stages():
            for progress in share.until(epoch):
                pipe.send(("progress", progress))
            pipe.send(("waiting", epoch))
            if epoch is not None:
                pipe.send(("progress", (None, share.prune(pipe.recv()))))
    except (ConnectionError, EOFError):
        pass  # the parent is gone
    except BaseException as e:
        said = describe_machine_fault(e)
        pipe.send(("fault", said) if said else ("error", traceback.format_exc()))
