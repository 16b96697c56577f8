"""Starts and kills nnlab processes quickly, as forks of one process that has imported everything.

A fork is a process of its own in all but its imports: it has its own session, streams, folder and signals,
and `nnlab.cli.run` begins and ends it. What a test says of imports or of Python's start needs a real one.
"""

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from searches import process_arguments

SERVER = """
import json, os, resource, signal, sys
import hydra, matplotlib.figure, optuna, sklearn.datasets, torch
import nnlab.commands.sweep_command, nnlab.commands.resumed_train, nnlab.training.fit, nnlab.search.sweep
from nnlab import cli

def become(argv, folder, streams, ignored, file_size):
    os.setsid()
    os.chdir(folder)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if streams[name] is not None:
            os.dup2(os.open(streams[name], os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
        else:  # as Python begins where it is closed
            os.close(number)
            setattr(sys, name, None)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    sys.argv = ["nnlab", *argv]
    cli.run()

for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            become(**json.loads(line))
        finally:
            sys.excepthook(*sys.exc_info())
            os._exit(70)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Server:
    """Starts nnlab processes by forking a parent that has imported everything: two seconds less per start.

    One at a time. `folder` has their output, and they begin there if they are not sent elsewhere.
    """

    def __init__(self, folder: Path):
        self.folder, self.stdout, self.stderr = folder, folder / "stdout", folder / "stderr"
        _, environment = process_arguments()
        line = [sys.executable, "-c", SERVER]
        pipes = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "bufsize": 0,
        }  # `select` sees every answer
        self.server = subprocess.Popen(line, env=environment, cwd=folder, **pipes)
        self.running = None  # process id

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.server.communicate()

    def start(self, *argv, folder=None, ignored=(), file_size=None, **streams) -> int:
        """Start `nnlab argv...`; returns its process id. What a test has left running is killed.

        ignored    signals that it ignores
        file_size  the largest size of a file of its
        streams    where `stdout` or `stderr` goes: a file, or None if it is closed
        """
        if self.running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running, signal.SIGKILL)
            self.wait()
        streams = {"stdin": os.devnull, "stdout": str(self.stdout), "stderr": str(self.stderr)} | streams
        order = {"argv": list(map(str, argv)), "folder": str(folder or self.folder), "streams": streams,
                 "ignored": list(ignored), "file_size": file_size}  # fmt: skip
        self.server.stdin.write(json.dumps(order).encode() + b"\n")
        self.running = int(self.server.stdout.readline())
        return self.running

    def has_ended(self) -> bool:
        """Whether the started process has, so that `wait` does not wait."""
        return bool(select.select([self.server.stdout], [], [], 0)[0])

    def wait(self) -> int:
        """Wait for the started process; returns its exit code, -9 if it was killed."""
        self.running = None
        return int(self.server.stdout.readline())

    def read_stderr(self) -> str:
        """What nnlab has written to stderr since the last call."""
        return _taken(self.stderr)

    def read_stdout(self) -> str:
        return _taken(self.stdout)


def _taken(file: Path) -> str:
    text = file.read_text() if file.exists() else ""
    file.unlink(missing_ok=True)
    return text


@functools.cache
def server() -> Server:
    """The one of all tests in this process."""
    folder = tempfile.TemporaryDirectory()
    started = Server(Path(folder.name)).__enter__()
    atexit.register(folder.cleanup)
    atexit.register(started.__exit__)
    return started


def forked(folder, *argv, **options) -> subprocess.CompletedProcess:
    """Run `nnlab argv...` in a folder, in a process of its own, and wait for its end."""
    return Started(folder, *argv, **options).ended()


class Started:
    """An nnlab process that runs in a folder, with the methods of `subprocess.Popen` that tests need."""

    def __init__(self, folder, *argv, **options):
        self.server, self.argv, self.returncode = server(), argv, None
        self.server.read_stdout(), self.server.read_stderr()  # of the one before it
        self.pid = self.server.start(*argv, folder=folder, **options)

    def poll(self) -> int | None:
        if self.returncode is None and self.server.has_ended():
            self.returncode = self.server.wait()
        return self.returncode

    def ended(self) -> subprocess.CompletedProcess:
        """Wait for its end; its exit code and what it said."""
        if self.returncode is None:
            self.returncode = self.server.wait()
        said = self.server.read_stdout(), self.server.read_stderr()
        return subprocess.CompletedProcess(self.argv, self.returncode, *said)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_locked(path: Path) -> bool:
    """Whether another process has locked the file."""
    import fcntl

    if not path.exists():
        return False
    with open(path, "a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
