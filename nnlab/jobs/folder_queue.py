"""`FolderQueue`: jobs in a folder that several machines see, each taken by exactly one by renaming its file.

    jobs/queue             how the queue works: its lease, the versions of nnlab and torch
    jobs/driver            the beat of the driver, and whether the sweep has ended
    jobs/data/KEY          data sets
    jobs/todo/JOB          jobs that wait
    jobs/claimed/JOB.WORKER   jobs that a worker trains
    jobs/done/JOB          outcomes; JOB.fault: a fault of the machine instead of one
    jobs/workers/WORKER    the beat of a worker, and how many processes it has

No file is locked, and no clock of another machine is believed: whoever judges whether a worker lives looks
at whether its beat changes (`beats.py`). Every file is whole or not there (`whole_files.py`). What somebody
else has put into the folder is left alone if it has another name, and else is as good as not there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import stat
from collections.abc import Container, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from nnlab import __version__
from nnlab.errors import UserError
from nnlab.jobs.executor import JOB_NAME, KEY_NAME
from nnlab.jobs.whole_files import Damaged, names_in, read_whole, remove, rename, write_whole
from nnlab.untrusted import is_number

QUEUE_FOLDER = "jobs"  # in the folder of a sweep
PARTS = ("data", "todo", "claimed", "done", "workers")
WORKER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
FAULT = ".fault"  # ends the name of an outcome's file, where the machine failed
MAX_SMALL_BYTES = 2**16  # of a beat, a sentence, the settings of the queue
MAX_LEASE = 86_400.0  # seconds
MAX_PROCESSES = 4096  # of a worker


@dataclass(frozen=True)
class QueueSettings:
    """What the driver says to its workers: a worker is given up once it has not been heard for `lease`
    seconds; which versions trained the first job."""

    lease: float
    nnlab: str = __version__
    torch: str = ""

    def __post_init__(self):
        if not is_number(self.lease) or not 0 < self.lease <= MAX_LEASE:
            raise UserError(f"lease = {self.lease}: expected seconds above 0, and at most {MAX_LEASE:,.0f}")


@cache
def torch_version() -> str:
    """The version of torch that is installed, which is not imported for it. Builds for other machines are the
    same version."""
    return version("torch").partition("+")[0]


def worker_name() -> str:
    """A name that no other worker has: hosts may be called the same, and numbers of processes repeat.

    >>> WORKER_NAME.fullmatch(worker_name()) is not None
    True
    """
    host = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:40] or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def refuse_linked(folders: Iterable[Path]) -> None:
    """Raise `UserError` if one of these is there and a link: what is written there would go elsewhere."""
    for folder in folders:
        if os.path.lexists(folder) and not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise UserError(f"'{folder}' is not a folder: nothing outside of the sweep's is written to")


class FolderQueue:
    """The files of the queue in a sweep's folder, for its driver and its workers."""

    def __init__(self, sweep: Path):
        self.folder = Path(sweep) / QUEUE_FOLDER
        self.data_folder, self.todo, self.claimed, self.done, self.workers = map(self.folder.joinpath, PARTS)

    # ---- the queue itself

    def create(self, settings: QueueSettings) -> None:
        """Make the folders, or keep those that are there, and write the settings."""
        self.refuse_links()  # first: folders would be made through them
        for folder in (self.folder, *map(self.folder.joinpath, PARTS)):
            folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(asdict(settings)).encode()
        write_whole(self.folder / "queue", content)

    def settings(self) -> QueueSettings | None:
        """None if the driver has not begun yet. Raises `UserError` if they are not as nnlab writes them."""
        if (content := self._small(self.folder / "queue")) is None:
            return None
        self.refuse_links()
        try:
            values = json.loads(content)
            if set(map(type, (values["nnlab"], values["torch"]))) != {str}:
                raise TypeError
            return QueueSettings(values["lease"], values["nnlab"], values["torch"])
        except (ValueError, TypeError, KeyError, RecursionError) as e:
            raise UserError(f"'{self.folder / 'queue'}' is not as nnlab writes it") from e

    def refuse_links(self) -> None:
        """Raise `UserError` if one of the folders is a link."""
        refuse_linked((self.folder, *map(self.folder.joinpath, PARTS)))

    # ---- jobs

    def put_data(self, key: str, content: bytes) -> None:
        write_whole(self.data_folder / _checked(key, KEY_NAME), content)

    def data_keys(self) -> list[str]:
        return [key for key in names_in(self.data_folder) if KEY_NAME.fullmatch(key)]

    def data(self, key: str) -> bytes:
        """The data of this key. Raises `FileNotFoundError` and `Damaged`."""
        return read_whole(self.data_folder / _checked(key, KEY_NAME))

    def put(self, name: str, job: bytes) -> None:
        """Let a job wait."""
        write_whole(self.todo / _checked(name, JOB_NAME), job)

    def waiting(self) -> list[str]:
        """The names of the jobs that wait."""
        return [name for name in names_in(self.todo) if JOB_NAME.fullmatch(name)]

    def claim(self, name: str, worker: str) -> bool:
        """Take a job that waits; False if somebody else has."""
        return rename(self.todo / name, self._claim_file(name, worker))

    def claims(self) -> list[tuple[str, str]]:
        """(job, worker) of all that are taken."""
        pairs = [file_name.partition(".")[::2] for file_name in names_in(self.claimed)]
        return [(job, by) for job, by in pairs if JOB_NAME.fullmatch(job) and WORKER_NAME.fullmatch(by)]

    def job(self, name: str, worker: str) -> bytes:
        """A job that this worker has taken. Raises `FileNotFoundError` if it was taken away; `Damaged`."""
        return read_whole(self._claim_file(name, worker))

    def give_back(self, name: str, worker: str) -> None:
        """Let a job that was taken wait again, unless it has its outcome."""
        if self.has_outcome(name):
            self.give_up(name, worker)
        else:
            rename(self._claim_file(name, worker), self.todo / name)

    def give_up(self, name: str, worker: str) -> None:
        """Remove a job that was taken: it has its outcome, or is not wanted any more."""
        remove(self._claim_file(name, worker))

    def withdraw(self, name: str) -> None:
        """Remove a job that waits."""
        remove(self.todo / name)

    # ---- outcomes

    def finish(self, name: str, worker: str, outcome: bytes) -> None:
        """Give the outcome of a job. Of a worker that was thought dead it comes twice, with the same bits."""
        write_whole(self.done / name, outcome)
        self.give_up(name, worker)

    def fail(self, name: str, worker: str, sentence: str) -> None:
        """Say why this machine cannot train a job, nor any other that has tried."""
        write_whole(self.done / f"{name}{FAULT}", sentence.encode()[:MAX_SMALL_BYTES])
        self.give_up(name, worker)

    def has_outcome(self, name: str) -> bool:
        return os.path.lexists(self.done / name)

    def outcomes(self, known: Container[str] = ()) -> tuple[list[str], list[str]]:
        """The names of the jobs that have an outcome, and of those that have a fault, without the `known`."""
        names = [name for name in names_in(self.done) if name not in known]
        faults = [name.removesuffix(FAULT) for name in names if name.endswith(FAULT)]
        return [name for name in names if JOB_NAME.fullmatch(name)], list(filter(JOB_NAME.fullmatch, faults))

    def outcome(self, name: str) -> bytes:
        """Raises `FileNotFoundError` and `Damaged`."""
        return read_whole(self.done / name)

    def fault(self, name: str) -> str:
        return (self._small(self.done / f"{name}{FAULT}") or b"").decode(errors="replace")

    def forget_outcome(self, name: str) -> None:
        for file_name in (name, f"{name}{FAULT}"):
            remove(self.done / file_name)

    def forget_faults(self) -> None:
        for name in self.outcomes()[1]:
            remove(self.done / f"{name}{FAULT}")

    # ---- beats

    def beat(self, worker: str, count: int, processes: int) -> None:
        """Say that a worker of so many processes lives."""
        write_whole(self.workers / worker, f"{processes} {count}".encode())

    def beats(self) -> dict[str, bytes]:
        """What each worker said last."""
        names = [name for name in names_in(self.workers) if WORKER_NAME.fullmatch(name)]
        return {name: self._small(self.workers / name) or b"" for name in names}

    def leave(self, worker: str) -> None:
        """A worker ends, or is dead."""
        remove(self.workers / worker)

    def driver_beat(self, state: str, count: int, driver: str) -> None:
        """Say that the driver lives, and is `open`; or that its sweep has `ended`, or was `stopped`."""
        write_whole(self.folder / "driver", f"{state} {count} {driver}".encode())

    def driver_said(self) -> bytes:
        """What the driver said last; empty if there was none yet."""
        return self._small(self.folder / "driver") or b""

    def abandon(self) -> None:
        """Nobody gives jobs here any more, as when a sweep goes on by another launcher: the workers of a
        driver that was killed end, and its files go. Nothing if there was none."""
        if self.driver_said():
            self.refuse_links()
            self.driver_beat("ended", 0, secrets.token_hex(4))
            self.clear(["todo", "data", "done"])

    def clear(self, parts: Iterable[str] = PARTS) -> None:
        """Remove the files of these parts, half written ones too."""
        for folder in map(self.folder.joinpath, parts):
            for name in names_in(folder):
                with contextlib.suppress(IsADirectoryError, PermissionError):  # a folder is not nnlab's
                    remove(folder / name)

    def _claim_file(self, name: str, worker: str) -> Path:
        return self.claimed / f"{name}.{worker}"

    def _small(self, file: Path) -> bytes | None:
        """The content of a small file; None if it is not there, or not whole."""
        try:
            return read_whole(file, MAX_SMALL_BYTES)
        except (FileNotFoundError, Damaged):
            return None


def processes_in(beat: bytes) -> int:
    """How many processes a worker of this beat has; 0 if nnlab has not written it."""
    number = beat.partition(b" ")[0]
    return min(int(number), MAX_PROCESSES) if number.isdigit() and len(number) < 10 else 0


def has_ended(driver_said: bytes) -> bool:
    """Whether the driver says that its sweep has no further job."""
    return driver_said.startswith(b"ended ")


def _checked(name: str, pattern: re.Pattern) -> str:
    if not pattern.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a file in the queue")
    return name
