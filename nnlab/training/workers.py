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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnlab import interruption
from nnlab.errors import MachineFault, describe_machine_fault
from nnlab.training.checkpointing import ConsistentCut, StackStates, StateRequest
from nnlab.training.stack_group import OwnStacks, StackGroup, TrainingOutput, Worker
from nnlab.training.training import Training

ATTEND_SECONDS = 0.2  # how long to wait for one worker before the others, and a wish to stop, are looked at


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
    others: Sequence[Worker] = (),
) -> Iterator[TrainingOutput | StackStates]:
    """Train `stacks` on so many processes; yields their records and results, each worker in turn.

    Once it `should_stop`, every row ends with the epoch under way; stacks that have not begun do not begin.

    With `checkpoint_due`, which may not be combined with rungs, the states of all stacks are yielded soon
    after it says so. Then rows that are to stop do so with the step under way, and their states come before.

    The `others` train stacks of their own meanwhile, without rungs: their output comes too, and their states
    follow those of `stacks`.

    The order of the records depends on the jobs alone, not on which worker was quicker. Raises
    `MachineFault` if a worker is killed, and `RuntimeError` with its traceback if it fails.
    """
    uses_forks = processes > 1 and len(stacks) > 1 and sys.platform.startswith("linux")
    if not uses_forks and not others:
        yield from _train_here(StackGroup(stacks, should_stop, checkpoint_due), rungs)
        return
    workers: list[Worker] = []
    try:
        if uses_forks:
            _start_forks(workers, stacks, processes, rungs, checkpoint_due is not None)
        elif stacks:
            workers.append(OwnStacks(stacks, should_stop, others, checkpoint_due is not None))
        groups = _groups(len(stacks), len(workers), others)
        workers += others
        cut = (
            ConsistentCut(checkpoint_due, dict(zip(workers, groups, strict=True))) if checkpoint_due else None
        )
        yield from _receive_in_turn(workers, rungs, should_stop, cut)
    finally:
        with interruption.signals_deferred():
            for worker in workers:
                if isinstance(worker, Fork):
                    worker.end()


def _train_here(group: StackGroup, rungs: Rungs) -> Iterator[TrainingOutput | StackStates]:
    """Train all stacks in this process."""
    try:
        for epoch in rungs.stages():
            yield from group.train_until(epoch)
            if epoch is not None:
                yield None, group.prune(rungs.rows_to_prune(epoch))
    except (
        MachineFault
    ):  # a rank is lost that shared the batches: stacks are where their last epoch left them
        yield from group.interrupted()
        raise


def _start_forks(
    workers: list[Worker], stacks: list[Training], processes: int, rungs: Rungs, takes_checkpoints: bool
) -> None:
    """Start so many forks, each for every so many-th stack, and add them to `workers` as they start."""
    fork, pipes = multiprocessing.get_context("fork"), []
    for group in _groups(len(stacks), min(processes, len(stacks)), ()):
        parent_end, worker_end = fork.Pipe()
        pipes.append(parent_end)
        args = [stacks[n] for n in group], worker_end, pipes, rungs, takes_checkpoints
        process = fork.Process(target=_work, args=args, daemon=True)
        workers.append(Fork(process, parent_end, len(group)))
        with interruption.signals_deferred():  # until the worker handles Ctrl-C itself
            process.start()
        worker_end.close()


def _groups(stacks: int, workers: int, others: Sequence[Worker]) -> list[range]:
    """The numbers of the stacks of each of the workers, then of each of the others."""
    groups = [range(worker, stacks, workers) for worker in range(workers)]
    for other in others:
        groups.append(range(stacks, stacks + other.stacks))
        stacks += other.stacks
    return groups


class Fork:
    """A worker process on this machine."""

    def __init__(self, process, pipe, stacks: int):
        self.process, self.pipe, self.stacks = process, pipe, stacks

    def has_message(self, seconds: float) -> bool:
        return self.pipe.poll(seconds)

    def receive(self) -> tuple[str, Any]:
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            return "fault", "a worker process was killed, perhaps for want of memory"

    def send(self, value: object) -> None:
        self.pipe.send(value)

    def interrupt(self) -> None:
        # As by Ctrl-C, which reaches it only from a terminal. By SIGTERM, since in the background of a shell
        # SIGINT is ignored, by workers too.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGTERM)

    def is_lost(self) -> bool:
        return False

    def end(self) -> None:
        if self.process.pid is not None:
            self.process.kill()  # SIGKILL, since workers handle SIGTERM like a Ctrl-C
            self.process.join()


def _receive_in_turn(
    workers: list[Worker], rungs: Rungs, should_stop, cut: ConsistentCut | None
) -> Iterator[TrainingOutput | StackStates]:
    """The output of every worker, one message of each in turn.

    If a worker meets a fault of the machine, or is killed, the others end their epoch, so that their rows'
    weights are kept; then `MachineFault` is raised.
    """
    stopping, failure = False, ""

    def attend() -> None:
        nonlocal stopping
        lost = [worker.is_lost() for worker in workers]  # each of them takes in what has come
        if (should_stop() or failure or any(lost)) and not stopping:
            stopping = True
            for worker in workers:
                worker.interrupt()
        if cut:
            cut.request(training)

    for epoch in rungs.stages():
        training = list(workers)
        while training:
            attend()
            for worker in [worker for worker in training if not (cut and cut.is_held_back(worker))]:
                while not worker.has_message(ATTEND_SECONDS):
                    attend()
                kind, value = worker.receive()
                if kind == "progress":
                    yield value
                elif kind == "states":
                    if cut:
                        cut.add(worker, value)
                elif kind == "error":
                    raise RuntimeError(f"a worker failed:\n{value}")
                else:
                    training.remove(worker)
                    failure = failure or (value if kind == "fault" else "")
            if cut and failure:  # there is no state of all stacks any more
                cut.drop()
            elif cut and (states := cut.complete_states(training)):
                yield states
        # A worker may be lost once it has nothing more to train; others were interrupted then.
        failure = failure or next((worker.receive()[1] for worker in workers if worker.is_lost()), "")
        if failure:
            raise MachineFault(failure)
        if epoch is not None:
            rows = set(rungs.rows_to_prune(epoch))
            for worker in workers:
                worker.send(rows)


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
