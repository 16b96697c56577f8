"""Command lines, files and folders that nobody would write, and what nnlab may answer to them.

A case runs in a fork of this process, in an empty folder, with limits on time and memory. `wrong` says what
is the matter with an outcome; scripts/fuzz.py counts, test_fuzz.py tries a few of every kind.
"""

import contextlib
import math
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from nnlab.checks.subject import Budget
from nnlab.cli import main
from nnlab.experiment import GROUPS, Experiment
from nnlab.search.settings import GROUPS as SEARCH_GROUPS
from nnlab.search.settings import Search

# What no key means, as a file of YAML or the command line may have it.
EXTREMES = (
    2**31, 2**63, 10**400, 10**5000, 1e308, -1e308, 5e-324, -1, 0, math.nan, math.inf, -math.inf, True, "",
    "x" * 5000, [], {}, None, [None], [[]], ["a", 1], [10**400], [1] * 100_000, {"a": 1}, "\x00", "\n",
    "${seed}",
)  # fmt: skip

CPU_SECONDS, WALL_SECONDS = 8, 60  # of a case; a hang is told by the first on a busy machine
MEMORY = 3 * 2**30  # bytes beside what this process has
CRASHED = 70  # exit code of a case that ended in a traceback


@dataclass
class Outcome:
    argv: list[str]
    code: int  # as a shell has it; negative: a signal
    out: str
    err: str
    seconds: float  # of the processor
    left: list[str] = field(default_factory=list)  # files that were not there before


def parts() -> list[type]:
    """Every class that has keys: the experiment's, the search's, the budget of checks."""
    tables = [*GROUPS.values(), *SEARCH_GROUPS.values()]
    classes = [c for t in tables for c in (t.values() if isinstance(t, dict) else [t])]
    return [Experiment, Search, Budget, *classes]


def run(argv: list[str], folder: Path) -> Outcome:
    """`nnlab argv` in a fork, in `folder`."""
    before = _inside(folder)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            _become(argv, folder, out, err)
        code, seconds = _wait(child)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # workers that it left
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read())
    return Outcome(argv, code, *said, seconds, sorted(_inside(folder) - before))


def wrong(o: Outcome) -> str:
    """What is the matter with it; "" if nothing is.

    0: it ran. 1: it ran and nothing worked, a sentence says so. 2: one sentence, and nothing is left behind.
    """
    if o.code < 0:
        name = signal.Signals(-o.code).name
        return "takes too long" if name in ("SIGXCPU", "SIGKILL", "SIGALRM") else f"ended by {name}"
    if "Traceback" in o.err or o.code == CRASHED:
        return f"a traceback: {o.err.strip().splitlines()[-1][:200]}"
    if "not enough memory" in o.err:
        return f"takes too much memory: {o.err.strip()[:200]}"
    said = [line for line in o.err.splitlines() if ": advice: " not in line]
    if o.code == 2 and len(said) != 1:
        return f"{len(said)} lines instead of a sentence: {o.err[:300]}"
    if o.code == 2 and o.left:
        return f"refused, and left {', '.join(o.left[:4])}: {said[0][:200]}"
    if o.code not in (0, 1, 2):
        return f"exit code {o.code}: {o.err[:200]}"
    return ""


def _become(argv, folder, out, err) -> None:
    """The child: nnlab, and never back."""
    code = CRASHED
    try:
        os.setsid()
        os.chdir(folder)
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        signal.alarm(WALL_SECONDS)
        null = os.open(os.devnull, os.O_RDONLY)
        for stream, number in ((null, 0), (out.fileno(), 1), (err.fileno(), 2)):
            os.dup2(stream, number)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
        try:
            code = main(argv)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wait(child: int) -> tuple[int, float]:
    end = time.monotonic() + WALL_SECONDS + 5
    while time.monotonic() < end:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    return -signal.SIGKILL, used.ru_utime + used.ru_stime


def _inside(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
