"""Where a sweep's trials train: its launcher's executor, open for as long as they do, and what is said of it.

A launcher is said anew each time a sweep is continued: what is stored of it in a sweep's folder, which may be
a stranger's, chooses no machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnlab.commands import folders
from nnlab.commands.command_line import CommandLine
from nnlab.commands.continued_sweep import is_launcher_word
from nnlab.commands.prepared_sweep import PreparedSweep
from nnlab.errors import UserError
from nnlab.jobs import opening
from nnlab.jobs.folder_executor import FolderExecutor
from nnlab.jobs.folder_queue import FolderQueue
from nnlab.jobs.launchers import Folder, Slurm
from nnlab.records.text import format_duration, shell_line
from nnlab.records.text_columns import command_lines, labelled_lines, wrap_line
from nnlab.runtime.devices import thread_count
from nnlab.search.sweep import Sweep


@contextmanager
def executor_in(path: Path, job: PreparedSweep) -> Iterator[None]:
    """Within, the sweep trains by its launcher's executor, which may keep its jobs in the sweep's folder.

    Raises `UserError` if it cannot be had; then a new folder is removed.
    """
    sweep, launcher = job.sweep, job.sweep.search.launcher
    is_complete = len(sweep.trials) >= sweep.count
    if is_complete or not isinstance(launcher, (Folder, Slurm)):
        FolderQueue(path).abandon()  # of a driver that was killed
    if is_complete or not launcher.remote:
        yield
        return
    try:
        sweep.executor = opening.open_executor(launcher, path, _processes(sweep))
    except UserError:
        if not job.request.resume_folder:
            folders.remove_unstarted(path)
        raise
    try:
        yield
    finally:
        executor, sweep.executor = sweep.executor, None
        executor.close()


def _processes(sweep: Sweep) -> int:
    """How many train on this machine, if it trains too."""
    return thread_count(sweep.first_candidate.experiment.threads)


def first_lines(sweep: Sweep, path: Path) -> list[str]:
    """How many jobs can run at once, and how others join; nothing if this process trains."""
    if sweep.executor is None:
        return []
    launcher, slots = sweep.search.launcher, sweep.executor.slots()
    has_workers = not isinstance(sweep.executor, FolderExecutor) or sweep.executor.processes() > 0
    at_once = f"{slots} job{'s' * (slots != 1)} at once, as of now" if has_workers else "no worker yet"
    lines = [f"  launcher={launcher.name}: {at_once}"]
    rows = sweep.batch_size * len(sweep.cache.rows([sweep.first_candidate.experiment]))
    if slots > rows and not sweep.chooses_ahead:
        lines += wrap_line(
            f"  and a batch has {rows} row{'s' * (rows != 1)}, which are no more jobs: a larger batch= keeps "
            f"more workers busy, and lets choices learn from fewer results"
        )
    if isinstance(launcher, Folder):
        label = "others join by" if has_workers else "workers begin by"
        lines += command_lines(label, shell_line(["nnlab", "work", str(path)]))
    return lines


def plan_lines(sweep: Sweep) -> list[str]:
    """By what the sweep would train; nothing if by this process."""
    launcher = sweep.search.launcher
    if not launcher.remote:
        return []
    return [f"  launcher={launcher.name}, and the time is that of this machine alone", ""]


def time_lines(sweep: Sweep) -> list[str]:
    """Where the time went; nothing if this process trained."""
    seconds = sweep.seconds
    if not seconds.workers:
        return []
    workers = f"{seconds.workers} worker{'s' * (seconds.workers != 1)}"
    parts = [
        f"{format_duration(seconds.training)} training (on {workers})",
        f"{format_duration(seconds.waiting)} waiting for them",
        f"{format_duration(seconds.moving)} moving data",
        f"{format_duration(seconds.search)} choosing",
    ]
    return labelled_lines("time", ", ".join(parts))


def words(line: CommandLine) -> list[str]:
    """What a command line says of the launcher."""
    return [word for word in line.overrides if is_launcher_word(word)]
