"""What an executor of jobs is: bytes in, bytes out, wherever they are trained.

A job is a value, and so is its outcome: who trains it, how often it was lost and in which order outcomes come
changes nothing. Executors know names and bytes, and nothing of experiments; the driver alone asks and tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

JOB_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")  # safe as the name of a file, anywhere
KEY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")  # of data


@dataclass(frozen=True)
class Finished:
    """A job has ended: its `outcome`; or, without one, the `fault` of the machine that no retry mended."""

    name: str
    outcome: bytes = b""
    fault: str = ""


@runtime_checkable
class Executor(Protocol):
    """Where jobs are trained. What is submitted is trained once or more, and collected at least once, unless
    it is dropped.

    seconds  what it spent so far, by the name of the activity: "moving" is reading and writing data, jobs
             and outcomes
    """

    seconds: dict[str, float]

    def slots(self) -> int:
        """How many jobs can run at once, as known now; at least 1."""

    def put_data(self, key: str, content: bytes) -> None:
        """Make data known under a key. Once per data set, before the jobs that name it; the same key again
        has the same content, and does nothing."""

    def submit(self, name: str, job: bytes, data: Sequence[str]) -> None:
        """Have a job trained, which needs the data of these keys. The same name again is the same job, which
        is then trained once; if its outcome is there already, from before the driver was restarted, it is
        used."""

    def collect(self, seconds: float) -> list[Finished]:
        """What has finished since the last call. Waits for the first so long; then the list is empty."""

    def drop(self, names: Iterable[str]) -> None:
        """These jobs are not wanted any more: they need not run, and what is kept of them may go."""

    def close(self) -> None:
        """Nothing is wanted any more: the sweep is done, or ends early. Twice is as good as once."""
