"""Training stacks in parallel worker processes on a CPU, with rungs at which all of them wait.

Small stacks run fastest on one thread, and Python threads would wait for each other between calls. So
each worker is a fork that trains its group of stacks on one thread and sends the record of every epoch. The
bits of a row do not depend on which worker trains it.

A rung is an epoch at which every stack waits until all have reached it: the caller, who compares rows across
stacks, then names the rows to prune. So what is pruned does not depend on which worker was quicker.
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

# The record of an epoch, and the results of rows that ended with it. No record: rows pruned or interrupted.
TrainingOutput = tuple[Record | None, list[Result]]


@dataclass(frozen=True)
class Rungs:
    """The `epochs` at which stacks wait for each other; `rows_to_prune(epoch)` then names the rows to end."""

    epochs: tuple[int, ...] = ()
    rows_to_prune: Callable[[int], Iterable[int]] = lambda epoch: ()

    def stages(self) -> tuple[int | None, ...]:
        """The epoch at which each stage of the training ends; None stands for the end of training."""
        return (*self.epochs, None)


NO_RUNGS = Rungs()


def train_in_parallel(
    stacks: list[Training],
    processes: int,
    rungs: Rungs = NO_RUNGS,
    should_stop: Callable[[], bool] = interruption.stop_requested,
) -> Iterator[TrainingOutput]:
    """Train `stacks` on so many processes; yields their records and results, each worker in turn.

    Once it `should_stop`, every row ends with the epoch under way; stacks that have not begun do not begin.

    The order of the records depends on the jobs alone, not on which worker was quicker. Raises
    `MachineFault` if a worker is killed, and `RuntimeError` with its traceback if it fails.
    """
    if processes < 2 or len(stacks) < 2 or not sys.platform.startswith("linux"):
        group = StackGroup(stacks, should_stop)
        for epoch in rungs.stages():
            yield from group.train_until(epoch)
            if epoch is not None:
                yield None, group.prune(rungs.rows_to_prune(epoch))
        return
    fork = multiprocessing.get_context("fork")
    pipes, workers = [], []
    try:
        for group in (stacks[i::processes] for i in range(min(processes, len(stacks)))):
            parent_end, worker_end = fork.Pipe()
            pipes.append(parent_end)
            workers.append(fork.Process(target=_work, args=(group, worker_end, pipes, rungs), daemon=True))
            with interruption.signals_deferred():  # until the worker handles Ctrl-C itself
                workers[-1].start()
            worker_end.close()
        yield from _receive_in_turn(dict(zip(pipes, workers, strict=True)), rungs, should_stop)
    finally:
        with interruption.signals_deferred():
            for worker in workers:
                worker.kill()  # SIGKILL, since workers handle SIGTERM like a Ctrl-C
                worker.join()


class StackGroup:
    """The stacks of one worker, trained one after another up to each rung."""

    def __init__(self, stacks: list[Training], should_stop=interruption.stop_requested):
        self.stacks, self.should_stop = stacks, should_stop

    def train_until(self, epoch: int | None) -> Iterator[TrainingOutput]:
        """Train every stack up to this epoch; None: to its end."""
        for stack in self.stacks:
            if self.should_stop() and not stack.begun:
                continue
            while len(stack):
                record, results = stack.epoch()
                yield record, results
                if self.should_stop():
                    yield None, stack.end_rows(stack.row_numbers, "interrupted")
                if record.epoch == epoch:
                    break

    def prune(self, rows: Iterable[int]) -> list[Result]:
        rows = list(rows)
        return [result for stack in self.stacks if len(stack) for result in stack.end_rows(rows, "pruned")]


def _receive_in_turn(workers: dict, rungs: Rungs, should_stop) -> Iterator[TrainingOutput]:
    """The output of every worker, by its pipe, one message of each in turn.

    If a worker meets a fault of the machine, or is killed, the others end their epoch, so that their rows'
    weights are kept; then `MachineFault` is raised.
    """
    stopping, failure = False, ""
    for epoch in rungs.stages():
        training = list(workers)
        while training:
            if (should_stop() or failure) and not stopping:
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
            rows = set(rungs.rows_to_prune(epoch))
            for pipe in workers:
                pipe.send(rows)


def _interrupt(workers) -> None:
    """Let workers end with the epoch under way, as by Ctrl-C, which reaches them only from a terminal.

    By SIGTERM, since in the background of a shell SIGINT is ignored, by workers too.
    """
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGTERM)


def _receive(pipe):
    """The next message of a worker: its kind, and a value."""
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        return "fault", "a worker process was killed, perhaps for want of memory"


def _work(stacks: list[Training], pipe, parent_ends, rungs: Rungs) -> None:
    """The worker process: train the stacks, and send their output through the pipe."""
    interruption.request_stop_on_signals()
    for end in parent_ends:  # inherited by the fork: once closed, a worker notices that its parent was killed
        end.close()
    torch.set_num_threads(1)  # a fork cannot use the threads that its parent had started
    try:
        group = StackGroup(stacks)
        for epoch in rungs.stages():
            for output in group.train_until(epoch):
                pipe.send(("progress", output))
            pipe.send(("waiting", epoch))
            if epoch is not None:
                pipe.send(("progress", (None, group.prune(pipe.recv()))))
    except (ConnectionError, EOFError):
        pass  # the parent is gone
    except BaseException as e:
        message = describe_machine_fault(e)
        pipe.send(("fault", message) if message else ("error", traceback.format_exc()))
