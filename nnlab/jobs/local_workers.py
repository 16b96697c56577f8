"""`LocalWorkers`: the driver's machine trains too, in processes beside the driver that asks and tells."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from nnlab import interruption
from nnlab.errors import MachineFault, describe_machine_fault
from nnlab.jobs.folder_queue import FolderQueue
from nnlab.jobs.work_loop import Refused, WorkLoop
from nnlab.jobs.worker_training import load, train

SECONDS_TO_END = 10.0  # then it is killed
SECONDS_WITHOUT_DRIVER = 30  # then a worker on a GPU ends


class LocalWorkers:
    """So many processes that train jobs of the sweep's folder, with the data that the driver has loaded.

    They are forks. Where the driver has used a GPU, which no fork can use, it is a process of its own.
    """

    def __init__(self, sweep: Path, lease: float, processes: int):
        uses_gpu = torch.cuda.is_initialized()
        self.processes = 1 if uses_gpu else processes
        self._runner = _Command(sweep) if uses_gpu else _Fork(sweep, lease, processes)

    def refuse_end(self) -> None:
        """Raise `MachineFault` if they have ended by themselves."""
        if not self._runner.is_alive():
            raise MachineFault(self._runner.last_words())

    def end(self) -> None:
        """End them; what they have not finished waits again."""
        with interruption.signals_deferred():
            self._runner.end()


class _Fork:
    """`WorkLoop` in a fork of the driver."""

    def __init__(self, sweep: Path, lease: float, processes: int):
        fork = multiprocessing.get_context("fork")
        self._lifeline, other_end = fork.Pipe()
        args = (sweep, lease, processes, other_end, self._lifeline)
        self._process = fork.Process(target=_work, args=args)
        with interruption.signals_deferred():  # until it ignores them itself
            self._process.start()
        other_end.close()
        self.is_alive = self._process.is_alive

    def last_words(self) -> str:
        with contextlib.suppress(EOFError, OSError):
            if self._lifeline.poll():
                return self._lifeline.recv()
        return "the processes that train on this machine were killed, perhaps for want of memory"

    def end(self) -> None:
        self._lifeline.close()
        self._process.join(SECONDS_TO_END)
        self._process.kill()
        self._process.join()


class _Command:
    """`nnlab work`, on a GPU: a fork cannot use one that its parent has used."""

    def __init__(self, sweep: Path):
        self._process = _start_command(sweep)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        return f"the process that trains on this machine's GPU ended with exit code {self._process.poll()}"

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _start_command(sweep: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "nnlab", "work", str(sweep.absolute()), f"wait={SECONDS_WITHOUT_DRIVER}"]
    # `-m` would import from the current directory first, and that may be somebody else's.
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdin=nowhere, stdout=nowhere, stderr=nowhere)


def _work(sweep: Path, lease: float, processes: int, lifeline: Connection, other_end: Connection) -> None:
    """The fork that takes jobs for the others, until its driver ends, however that comes about."""
    for number in interruption.ENDING_SIGNALS:  # a Ctrl-C reaches the driver, which ends this process
        signal.signal(number, signal.SIG_IGN)
    other_end.close()
    torch.set_num_threads(1)  # a fork cannot use the threads that its parent had started
    try:
        WorkLoop(FolderQueue(sweep), lease, processes, train, load, lifeline=lifeline).run()
    except BaseException as e:
        sentence = str(e) if isinstance(e, Refused) else describe_machine_fault(e) or repr(e)
        with contextlib.suppress(OSError):  # the driver is gone
            lifeline.send(sentence)
