"""Launchers: where a sweep trains its jobs. Their settings only; `nnlab.jobs.opening` makes executors.

Which one it is changes how long a sweep takes, and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from nnlab.allowed import LARGEST_COUNT
from nnlab.errors import UserError
from nnlab.hyperparameters import Component, static

LARGEST_MINUTES = 60 * 24 * 365
MOST_JOBS = 100_000  # of one array, and of one batch
PRINTED = re.compile(r"[!-~]+")  # a word of letters, digits and signs


@dataclass(frozen=True)
class Launcher(Component):
    """Base class of the launchers. `remote`: its jobs leave this process as bytes. `stacks`: into how many a
    batch of trials is divided."""

    group: ClassVar[str] = "launcher"
    name: ClassVar[str] = ""
    remote: ClassVar[bool] = True
    stacks: ClassVar[int | Literal["auto"]] = "auto"


@dataclass(frozen=True)
class Local(Launcher):
    """On this machine: in this process and its forks."""

    name: ClassVar[str] = "local"
    remote: ClassVar[bool] = False


@dataclass(frozen=True)
class Folder(Launcher):
    """By workers on any machines that share the sweep's folder: `nnlab work FOLDER` starts some."""

    name: ClassVar[str] = "folder"
    local: bool = static(True)
    lease: float = static(10.0, low=0.1, high=86_400)
    stacks: int | Literal["auto"] = static("auto", low=1, high=MOST_JOBS)


@dataclass(frozen=True)
class Ray(Launcher):
    """On a Ray cluster: each job is a task of Ray Core."""

    name: ClassVar[str] = "ray"
    address: str | None = static(None)
    cpus: float = static(1.0, low=0, high=MOST_JOBS)
    gpus: float = static(0.0, low=0, high=MOST_JOBS)
    retries: int = static(3, low=0, high=LARGEST_COUNT)
    stacks: int | Literal["auto"] = static("auto", low=1, high=MOST_JOBS)


@dataclass(frozen=True)
class Slurm(Launcher):
    """By workers that Slurm starts, an array of jobs, on a folder that all nodes share."""

    name: ClassVar[str] = "slurm"
    jobs: int = static(4, low=1, high=MOST_JOBS)
    partition: str | None = static(None)
    account: str | None = static(None)
    qos: str | None = static(None)
    constraint: str | None = static(None)
    cpus: int = static(1, low=1, high=MOST_JOBS)
    gpus: int = static(0, low=0, high=MOST_JOBS)
    memory: float | None = static(None, above=0)
    minutes: int = static(60, low=1, high=LARGEST_MINUTES)
    cluster: str = static("slurm", choices=("slurm", "local", "debug"))
    local: bool = static(False)
    lease: float = static(10.0, low=0.1, high=86_400)
    stacks: int | Literal["auto"] = static("auto", low=1, high=MOST_JOBS)

    def __post_init__(self):
        super().__post_init__()
        for key in ("partition", "account", "qos", "constraint"):
            value = getattr(self, key)
            if value is not None and not PRINTED.fullmatch(value):  # it becomes a line of a script
                raise UserError(f"launcher.{key} = {value!r}: expected a word, as sbatch --{key} takes it")


LAUNCHERS = {cls.name: cls for cls in (Local, Folder, Ray, Slurm)}
