"""A command in one of the processes that torchrun starts: rank 0 does what the command line says, the others
what rank 0 says.

    torchrun --no-python --nproc-per-node=2 nnlab train seeds=8
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Container

from nnlab.errors import MachineFault, UserError, complain, say
from nnlab.masking import mask_passwords
from nnlab.records.text import shell_line
from nnlab.runtime.ranks import Ranks, ranks

SHARED_COMMAND = "train"  # whose work several processes can share
HEAD_START_SECONDS = (
    1.0  # between the starts of two processes of torchrun, at most on a machine that is not busy
)
LAUNCHED_COMMAND, LAUNCHERS = "sweep", "several machines train its trials with launcher=ray, slurm or folder"


def dispatch(argv: list[str], run: Callable[[list[str]], int], commands: Container[str]) -> int:
    """`run(argv)`, as far as this process has a part in it; returns the exit code."""
    try:
        own = ranks()
    except UserError as error:
        complain(f"nnlab: {error}")
        return 2
    if own is None:
        return run(argv)
    if argv[:1] != [SHARED_COMMAND]:
        return _run_alone(argv, own, run, commands)
    if not own.is_first:
        return _follow(own)
    code = 1
    try:
        code = run(argv)
        return code
    finally:
        _end_all(code)


def _run_alone(argv: list[str], own: Ranks, run: Callable[[list[str]], int], commands: Container[str]) -> int:
    """A command that nobody can share: refused, by a sentence of rank 0; --help and the like are answered."""
    _ignore_ends()
    if not own.is_first:
        _be_silent()
    asks = argv[:1] == ["help"] or {"-h", "--help", "--version"} & {*argv}
    if asks or not argv or argv[0] not in commands:
        return _last(run(argv))
    also = f" ({LAUNCHERS})" if argv[0] == LAUNCHED_COMMAND else ""
    alone = mask_passwords(shell_line(["nnlab", *argv]))
    say(argv[0], f"torchrun's processes share the work of nnlab train only; without it{also}: {alone}")
    return _last(2)


def _last(code: int) -> int:
    """The exit code, once the others have had time to get as far: torchrun ends them when one fails."""
    if code:
        time.sleep(HEAD_START_SECONDS)
    return code


def _follow(own: Ranks) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # rank 0 says what there is to say
    # Imports torch.
    from nnlab.training.rank_follower import follow

    try:
        code = follow(own)
    except MachineFault as fault:
        _ignore_ends()
        if own.rank == 1:  # rank 0 cannot say it
            say(SHARED_COMMAND, str(fault))
        return 1
    _ignore_ends()
    return code


def _end_all(code: int) -> None:
    """Let the other ranks end with this code."""
    # Imports torch.
    from nnlab.training.rank_leader import leader

    _ignore_ends()
    leader().end(code)


def _ignore_ends() -> None:
    """Ignore the signals by which torchrun ends all processes once one has ended: this one is ending."""
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(number, signal.SIG_IGN)


def _be_silent() -> None:
    """Send what this process prints nowhere."""
    sys.stdout = sys.stderr = open(os.devnull, "w")
