"""Who trains the jobs in a sweep's folder for `launcher=slurm`: jobs of Slurm, or what stands for them here.

Slurm itself says which workers there are: their name has a digest of the folder. So a driver that was
killed and goes on finds those that it had. No file says it, since a stranger's could name any job of a user.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Protocol

from nnlab.errors import UserError
from nnlab.interruption import signals_deferred
from nnlab.jobs.folder_queue import FolderQueue, worker_name
from nnlab.jobs.submissions import Submissions, become_worker, said_by_slurm
from nnlab.jobs.worker_training import train

if TYPE_CHECKING:
    import submitit

    from nnlab.jobs.launchers import Slurm

ANSWER_SECONDS = 60.0  # the longest that Slurm may take to answer
FIRST_SECONDS = 20.0  # before a sweep begins, when somebody waits for it
PAUSE = 0.2  # seconds between two looks whether workers have left
ENDING_SECONDS = 10.0  # the longest that workers on this machine are waited for
ENDING_STATES = {"COMPLETING", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}


class Workers(Protocol):
    """Processes that run `nnlab work` on a folder, wherever.

    look_seconds  between two calls of `living`
    queued        why none has begun, in Slurm's words; empty if one has
    unheard       what Slurm said instead of an answer, as long as it has never given one; empty if it has
    """

    look_seconds: float
    queued: str
    unheard: str

    def living(self) -> int | None:
        """How many there are that train, or wait for their turn to; None if that is not known now."""

    def start(self, number: int) -> None:
        """Start so many more. Raises `UserError` or `MachineFault`."""

    def end(self, patience: float) -> None:
        """End them all; those that run, only if they have not ended by themselves for so many seconds."""

    def last_words(self) -> str:
        """What the last one said; empty if nothing."""


class SlurmWorkers:
    """Jobs of Slurm. Raises `UserError` on a machine that has no Slurm."""

    look_seconds = 15.0  # thousands of users ask the same controller

    def __init__(self, sweep: Path, launcher: Slurm):
        if shutil.which("sbatch") is None:
            raise UserError(
                "launcher=slurm: there is no sbatch on this machine: begin the sweep on a login node of the "
                "cluster; launcher.cluster=local tries it without Slurm"
            )
        name = f"nnlab-{hashlib.sha256(os.fsencode(sweep.resolve())).hexdigest()[:12]}"
        self._ours = f"--name={name}", f"--user={getpass.getuser()}"
        self._submissions = Submissions(sweep, launcher, "slurm", name)
        self._function = become_worker(sweep, processes_of(launcher))
        self.last_words, self.queued = self._submissions.last_words, ""
        self.unheard = "nothing"

    def living(self) -> int | None:
        seconds = FIRST_SECONDS if self.unheard else ANSWER_SECONDS
        line = ("squeue", "--noheader", "--array", "--format=%T|%r", *self._ours)
        answer, complaint = _answer(line, seconds)
        if answer is None:
            self.unheard = self.unheard and complaint
            return None
        self.unheard = ""
        states = [line.partition("|")[::2] for line in answer.split("\n") if line]
        living = [(state, reason) for state, reason in states if state not in ENDING_STATES]
        have_begun = any(state != "PENDING" for state, _ in living)
        self.queued = "" if have_begun else ", ".join(sorted({reason for _, reason in living}))
        return len(living)

    def start(self, number: int) -> None:
        with signals_deferred():  # whoever interrupts has a job that is known, or none
            self._submissions.submit(self._function, number)

    def end(self, patience: float) -> None:
        _asked("scancel", "--state=PENDING", *self._ours)
        if _lives_on(self, patience):
            _asked("scancel", *self._ours)


class ProcessWorkers:
    """Processes on this machine, which submitit starts as it starts jobs of Slurm."""

    look_seconds, queued, unheard = 0.5, "", ""

    def __init__(self, sweep: Path, launcher: Slurm):
        self._submissions = Submissions(sweep, launcher, "local")
        self._function = become_worker(sweep, processes_of(launcher))
        self._jobs: list[submitit.Job] = []
        self.last_words = self._submissions.last_words

    def living(self) -> int:
        self._jobs = [job for job in self._jobs if not job.done()]
        return len(self._jobs)

    def start(self, number: int) -> None:
        # It stays blocked in them: a Ctrl-C reaches the driver alone, which ends them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self._jobs += self._submissions.submit(self._function, number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def end(self, patience: float) -> None:
        if _lives_on(self, patience):
            for job in self._jobs:  # whose own `cancel` kills after a second, and leaves a traceback
                os.kill(int(job.job_id), signal.SIGTERM)
            _lives_on(self, ENDING_SECONDS)


class DebugWorkers:
    """This very process, which trains what waits before it goes on: a debugger can stop in it."""

    look_seconds, queued, unheard = 0.0, "", ""

    def __init__(self, sweep: Path, launcher: Slurm):
        self._submissions = Submissions(sweep, launcher, "debug")
        self._function = partial(train_waiting, FolderQueue(sweep))

    def living(self) -> int:
        return 0

    def start(self, number: int) -> None:
        for job in self._submissions.submit(self._function, 1):
            job.submission().result()  # `job.result()` would leave a log open, and a debugger at every error

    def end(self, patience: float) -> None:
        pass

    def last_words(self) -> str:
        return ""


def processes_of(launcher: Slurm) -> int:
    """How many jobs a worker trains at once: one on each core, or one on its GPUs."""
    return 1 if launcher.gpus else launcher.cpus


WORKERS = {"slurm": SlurmWorkers, "local": ProcessWorkers, "debug": DebugWorkers}


def train_waiting(queue: FolderQueue) -> None:
    """Train the jobs of the folder that wait, one after another."""
    worker = worker_name()
    for name in queue.waiting():
        if queue.claim(name, worker):
            try:
                queue.finish(name, worker, train(queue.job(name, worker), queue.data, lambda epoch: None))
            except BaseException:
                queue.give_back(name, worker)
                raise


def _lives_on(workers: Workers, seconds: float) -> bool:
    """Whether there are workers after so many seconds, or that is not known. Waits until there are none."""
    until = monotonic() + seconds
    while workers.living() != 0:
        if monotonic() >= until:
            return True
        sleep(PAUSE)
    return False


def _asked(*line: str) -> None:
    """Have a command of Slurm's do something, if Slurm answers."""
    _answer(line, ANSWER_SECONDS)


def _answer(line: tuple[str, ...], seconds: float) -> tuple[str | None, str]:
    """What a command of Slurm's answers; None if it does not, and what it says instead."""
    try:
        answer = subprocess.run(line, capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired:
        return None, f"nothing for {seconds:.0f} s"
    except OSError as e:
        return None, str(e)
    if answer.returncode == 0:
        return answer.stdout, ""
    return None, said_by_slurm(answer.stderr)
