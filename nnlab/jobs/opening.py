"""`open_executor`: the executor of a launcher. Ray and submitit are imported only if they are asked for."""

from __future__ import annotations

import shlex
from pathlib import Path

from nnlab.errors import UserError
from nnlab.jobs.executor import Executor
from nnlab.jobs.launchers import Folder, Launcher, Ray, Slurm


def open_executor(launcher: Launcher, folder: Path | None = None, processes: int = 1) -> Executor:
    """An executor, which the caller closes. Raises `UserError` if it cannot be had.

    folder     of the sweep, where those that need one keep their jobs
    processes  how many train on this machine, if it trains too
    """
    if isinstance(launcher, Ray):
        from nnlab.jobs.ray_executor import RayExecutor

        return RayExecutor(launcher.address, launcher.cpus, launcher.gpus, launcher.retries)
    if isinstance(launcher, (Folder, Slurm)) and folder is None:
        raise UserError(f"launcher = '{launcher.name}': it needs the folder of a sweep, nnlab sweep has one")
    local = processes if getattr(launcher, "local", False) else 0
    if isinstance(launcher, Slurm):
        from nnlab.jobs.slurm import SlurmExecutor

        return SlurmExecutor(folder, launcher, local)
    if isinstance(launcher, Folder):
        from nnlab.jobs.folder_executor import FolderExecutor

        line = shlex.join(["nnlab", "work", str(folder)])
        advice = f"launcher=folder: jobs wait, and no worker is there to take one; to be one: {line}"
        return FolderExecutor(folder, launcher.lease, local, advice)
    raise ValueError(f"launcher '{launcher.name}' has no executor")
