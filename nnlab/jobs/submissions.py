"""`Submissions`: submitit has workers of a sweep run by Slurm, or by processes that stand for its jobs."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nnlab.errors import MachineFault, UserError
from nnlab.jobs.folder_queue import QUEUE_FOLDER, refuse_linked
from nnlab.untrusted import plain_file

if TYPE_CHECKING:
    import submitit

    from nnlab.jobs.launchers import Slurm

FAREWELL_SECONDS = 90  # before its time is up, a worker is told, so that it gives back what it trains
# In what sbatch says when nobody hears it.
UNREACHABLE_WORDS = (
    "unable to contact",
    "timed out",
    "connection refused",
    "connect failure",
    "zero bytes",
    "configuration source",
)
TAIL_BYTES = 4096  # of a log, in which its last words are
CAUSELESS_LINES = ("srun:", "slurmstepd", "submitit ")  # how lines of a log begin that name no cause


class Submissions:
    """What submitit submits to a `cluster`, "slurm", "local" or "debug", for a sweep.

    Its files are pickles, which the workers load. So every driver has a new folder for them, of a name that
    nobody could know before, and itself reads none.
    """

    def __init__(self, sweep: Path, launcher: Slurm, cluster: str, name: str = "nnlab"):
        submitit = _import_submitit()
        self.folder = Path(tempfile.mkdtemp(dir=_logs_folder(sweep), prefix=f"{cluster}-"))
        python = {f"{known}_python": f"{sys.executable} -P" for known in ("slurm", "local")}
        self._executor = submitit.AutoExecutor(self.folder, cluster=cluster, **python)
        self._executor.update_parameters(**_parameters(launcher, name))

    def submit(self, function: Callable[[], object], number: int) -> list[submitit.Job]:
        """So many jobs that call the function, as one array. Raises `UserError` with Slurm's words if it
        refuses them, and `MachineFault` if it does not answer."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError
        from submitit.helpers import clean_env, environment_variables

        # Of a driver that is a job of Slurm itself: its number of processors is not that of the workers.
        own_job = clean_env() if "SLURM_JOB_ID" in os.environ else contextlib.nullcontext()
        # submitit starts `python -m ...`, which would import from the current directory first; and it prints
        # what Slurm says.
        with own_job, environment_variables(PYTHONSAFEPATH="1"), contextlib.redirect_stderr(io.StringIO()):
            try:
                jobs = self._executor.submit_array([function] * number)
            except (FailedJobError, FailedSubmissionError, OSError) as e:
                raise _refusal(str(e)) from e
        for link in self.folder.glob(".submission_file_*"):  # a folder with links is not resumed
            link.unlink()
        return jobs

    def last_words(self) -> str:
        """The last line in the logs that may say why a worker ended; empty if there is none."""
        logs = sorted(self.folder.glob("*_log.*"), key=lambda log: log.stat().st_mtime, reverse=True)
        for log in logs:
            with plain_file(log) as file:
                file.seek(max(0, log.stat().st_size - TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
            lines = [line.strip() for line in lines if not line.startswith(CAUSELESS_LINES)]
            if any(lines):
                return next(line for line in reversed(lines) if line)
        return ""


def become_worker(sweep: Path, threads: int) -> Callable[[], object]:
    """A function that turns the process that calls it into `nnlab work`.

    Signals of Slurm then reach the worker itself, and its log is written as it speaks. submitit's
    `CommandFunction` would stand between.
    """
    python = sys.executable
    command = [python, "-P", "-m", "nnlab", "work", str(sweep.absolute()), f"threads={threads}"]
    return functools.partial(os.execv, python, command)


def _import_submitit():
    try:
        import submitit
    except ImportError as e:
        raise UserError("launcher=slurm needs submitit: pip install 'nnlab[slurm]'") from e
    return submitit


def _logs_folder(sweep: Path) -> Path:
    """The sweep's folder for what submitit writes. Raises `UserError` if it leads elsewhere, or if its path
    could not stand in a script of Slurm's."""
    folder = sweep.absolute() / QUEUE_FOLDER / "slurm"
    if "%" in str(folder) or not str(folder).isprintable():
        raise UserError(
            f"launcher=slurm: '{sweep}' has a % or an invisible character in its path, which Slurm does not "
            "take as it is: choose another folder by hydra.run.dir=FOLDER"
        )
    refuse_linked((folder.parent, folder))  # first: it would be made through a link
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _parameters(launcher: Slurm, name: str) -> dict[str, object]:
    """What submitit is told of a worker; it leaves out what is None."""
    farewell = min(FAREWELL_SECONDS, 15 * launcher.minutes)
    return {
        "name": name,
        "timeout_min": launcher.minutes,
        "nodes": 1,
        "tasks_per_node": 1,
        "cpus_per_task": launcher.cpus,
        "gpus_per_node": launcher.gpus or None,
        "mem_gb": launcher.memory,
        "slurm_partition": launcher.partition,
        "slurm_account": launcher.account,
        "slurm_qos": launcher.qos,
        "slurm_constraint": launcher.constraint,
        "slurm_array_parallelism": launcher.jobs,
        # srun does not take the number over from sbatch, since Slurm 22.05.
        "slurm_srun_args": [f"--cpus-per-task={launcher.cpus}"],
        # The signal by which a worker ends in order, instead of submitit's.
        "slurm_additional_parameters": {"signal": f"TERM@{farewell}"},
    }


def said_by_slurm(words: str) -> str:
    """What a command of Slurm's wrote on stderr, as one line."""
    lines = [re.sub(r"^(s[a-z]+: )?((fatal|error): )?", "", line).strip() for line in words.splitlines()]
    return "; ".join(dict.fromkeys(filter(None, lines))) or "nothing"


def _refusal(words: str) -> UserError | MachineFault:
    """The error of a submission that failed, with what sbatch said."""
    said = said_by_slurm(words)
    if any(word in said.lower() for word in UNREACHABLE_WORDS):
        return MachineFault(f"Slurm cannot be reached: sbatch said: {said}")
    return UserError(f"launcher=slurm: Slurm refuses the workers: sbatch said: {said}")
