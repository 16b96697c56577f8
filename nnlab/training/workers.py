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
from nnlab.training.checkpointing import ConsistentCut, StackStates, StateRequest
from nnlab.training.results import Record, Result
from nnlab.training.training import Training, never

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
    checkpoint_due: Callable[[], bool] | None = None,
) -> Iterator[TrainingOutput | StackStates]:
    """Train `stacks` on so many processes; yields their records and results, each worker in turn.

    Once it `should_stop`, every row ends with the epoch under way; stacks that have not begun do not begin.

    With `checkpoint_due`, which may not be combined with rungs, the states of all stacks are yielded soon
    after it says so. Then rows that are to stop do so with the step under way, and their states come before.

    The order of the records depends on the jobs alone, not on which worker was quicker. Raises
    `MachineFault` if a worker is killed, and `RuntimeError` with its traceback if it fails.
    """
    if processes < 2 or len(stacks) < 2 or not sys.platform.startswith("linux"):
        group = StackGroup(stacks, should_stop, checkpoint_due)
        for epoch in rungs.stages():
            yield from group.train_until(epoch)
            if epoch is not None:
                yield None, group.prune(rungs.rows_to_prune(epoch))
        return
    fork = multiprocessing.get_context("fork")
    pipes, workers = [], []
    try:
        groups = [range(i, len(stacks), processes) for i in range(min(processes, len(stacks)))]
        for group in groups:
            parent_end, worker_end = fork.Pipe()
            pipes.append(parent_end)
            args = [stacks[n] for n in group], worker_end, pipes, rungs, checkpoint_due is not None
            workers.append(fork.Process(target=_work, args=args, daemon=True))
            with interruption.signals_deferred():  # until the worker handles Ctrl-C itself
                workers[-1].start()
            worker_end.close()
        cut = ConsistentCut(checkpoint_due, dict(zip(pipes, groups, strict=True))) if checkpoint_due else None
        yield from _receive_in_turn(dict(zip(pipes, workers, strict=True)), rungs, should_stop, cut)
    finally:
        with interruption.signals_deferred():
            for worker in workers:
                worker.kill()  # SIGKILL, since workers handle SIGTERM like a Ctrl-C
                worker.join()


class StackGroup:
    """The stacks of one worker, trained one after another up to each rung."""

    def __init__(self, stacks: list[Training], should_stop=interruption.stop_requested, checkpoint_due=None):
        self.stacks, self.should_stop, self.checkpoint_due = stacks, should_stop, checkpoint_due
        self._should_pause = never
        if checkpoint_due:
            self._should_pause = lambda: should_stop() or checkpoint_due()

    def train_until(self, epoch: int | None) -> Iterator[TrainingOutput | StackStates]:
        """Train every stack up to this epoch; None: to its end."""
        for stack in self.stacks:
            while len(stack):
                if self.should_stop():
                    yield from self._interrupted()
                    return
                output = stack.epoch(self._should_pause)
                if output:
                    yield output
                if self.checkpoint_due and self.checkpoint_due() and not self.should_stop():
                    yield self._states()
                if stack.epochs == epoch:
                    break

    def _interrupted(self) -> Iterator[TrainingOutput | StackStates]:
        """The states of all stacks, if checkpoints are taken; then the results of rows that have begun."""
        if self.checkpoint_due:
            yield self._states(is_last=True)
        for stack in self.stacks:
            if stack.begun and len(stack):
                yield None, stack.end_rows(stack.row_numbers, "interrupted")

    def _states(self, is_last: bool = False) -> StackStates:
        return StackStates([stack.state() if stack.begun else None for stack in self.stacks], is_last)

    def prune(self, rows: Iterable[int]) -> list[Result]:
        rows = list(rows)
        return [result for stack in self.stacks if len(stack) for result in stack.end_rows(rows, "pruned")]


def _receive_in_turn(
    workers: dict, rungs: Rungs, should_stop, cut: ConsistentCut | None
) -> Iterator[TrainingOutput | StackStates]:
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
            if cut:
                cut.request(training)
            for pipe in [pipe for pipe in training if not (cut and cut.is_held_back(pipe))]:
                kind, value = _receive(pipe)
                if kind == "progress":
                    yield value
                elif kind == "states":
                    cut.add(pipe, value)
                elif kind == "error":
                    raise RuntimeError(f"a worker failed:\n{value}")
                else:
                    training.remove(pipe)
                    failure = failure or (value if kind == "fault" else "")
            if cut and failure:  # there is no state of all stacks any more
                cut.drop()
            elif cut and (states := cut.complete_states(training)):
                yield states
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


def _work(stacks: list[Training], pipe, parent_ends, rungs: Rungs, takes_checkpoints: bool) -> None:
    """The worker process: train the stacks, and send their output through the pipe."""
    interruption.request_stop_on_signals()
    for end in parent_ends:  # inherited by the fork: once closed, a worker notices that its parent was killed
        end.close()
    torch.set_num_threads(1)  # a fork cannot use the threads that its parent had started
    try:
        request = StateRequest(pipe) if takes_checkpoints else None
        group = StackGroup(stacks, checkpoint_due=request)
        for epoch in rungs.stages():
            for output in group.train_until(epoch):
                is_states = isinstance(output, StackStates)
                pipe.send(("states" if is_states else "progress", output))
                if is_states and not output.is_last:
                    request.answered()
            pipe.send(("waiting", epoch))
            if epoch is not None:
                pipe.send(("progress", (None, group.prune(pipe.recv()))))
    except (ConnectionError, EOFError):
        pass  # the parent is gone
    except BaseException as e:
        message = describe_machine_fault(e)
        pipe.send(("fault", message) if message else ("error", traceback.format_exc()))
