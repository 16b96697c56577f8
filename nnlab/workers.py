"""Stacks trained side by side, a process each, on a CPU.

Small stacks run fastest on one thread, and Python threads would wait for each other between calls. So
each worker is a fork that trains its share of the stacks on one thread and sends what the engine yields.
The bits of a row do not depend on where it is trained.
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterator

import torch

from nnlab.results import Record, Result

Job = Callable[[list[Result]], Iterator[Record]]  # yields records, appends results


def side_by_side(jobs: list[Job], processes: int, finished: list[Result]) -> Iterator[Record]:
    """Run `jobs` on so many processes: their records, one worker after another in turn; then the results.

    The order of the records depends on the jobs alone, not on which worker was quicker. Raises
    `RuntimeError` with the worker's traceback if one fails.
    """
    if processes < 2 or len(jobs) < 2 or not sys.platform.startswith("linux"):
        for job in jobs:
            yield from job(finished)
        return
    fork = multiprocessing.get_context("fork")
    readers, workers = [], []
    try:
        for share in (jobs[i::processes] for i in range(min(processes, len(jobs)))):
            reader, writer = fork.Pipe(duplex=False)
            workers.append(fork.Process(target=_work, args=(share, writer), daemon=True))
            workers[-1].start()
            writer.close()
            readers.append(reader)
        yield from _in_turn(readers, finished)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _in_turn(readers, finished: list[Result]) -> Iterator[Record]:
    while readers:
        for reader in list(readers):
            kind, value = _receive(reader)
            if kind == "record":
                yield value
            elif kind == "results":
                finished += value
                readers.remove(reader)
            else:
                raise RuntimeError(f"a worker failed:\n{value}")


def _receive(reader):
    try:
        return reader.recv()
    except EOFError:
        return "error", "it was killed, perhaps for want of memory"


def _work(share: list[Job], writer) -> None:
    torch.set_num_threads(1)  # a fork cannot use the threads that its parent had started
    finished = []
    try:
        for job in share:
            for record in job(finished):
                writer.send(("record", record))
        writer.send(("results", finished))
    except KeyboardInterrupt:
        pass  # the parent was interrupted too, and says so
    except BaseException:
        writer.send(("error", traceback.format_exc()))
