"""`nnlab board`: TensorBoard on a folder of runs."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from nnlab import interruption
from nnlab.errors import UserError, say
from nnlab.records.missing_pictures import MissingPictures
from nnlab.records.text import shell_word

LAST_PORT = 65535


def main(argv: list[str]) -> int:
    """Show the runs below a folder until interrupted; returns TensorBoard's exit code, 2 for wrong input."""
    try:
        args = _parser().parse_args(argv)
        runs = _runs(Path(args.folder))
        if find_spec("tensorboard") is None:
            raise UserError("TensorBoard is not installed: python -m pip install tensorboard")
        if args.newest < 1:
            raise UserError(f"--newest {args.newest}: expected a whole number at least 1")
        if args.port is not None and not 0 <= args.port <= LAST_PORT:
            raise UserError(f"--port {args.port}: expected a whole number from 0 (any) to {LAST_PORT}")
    except UserError as e:
        say("board", str(e))
        return 2
    with interruption.raise_on_signals(), MissingPictures(runs[: args.newest]):
        return _show_newest(runs, args)


def _show_newest(runs: list[Path], args: argparse.Namespace) -> int:
    """Run TensorBoard on all runs, or on links to the newest of them; returns its exit code."""
    if len(runs) <= args.newest:
        return _run_tensorboard(args.folder, args)
    say("board", f"the newest {args.newest} of {len(runs)} runs (see --newest)")
    with tempfile.TemporaryDirectory(prefix="nnlab-board-") as link_dir:
        for run in runs[: args.newest]:
            _link_run(Path(link_dir), Path(args.folder), run)
        return _run_tensorboard(link_dir, args)


def _parser() -> argparse.ArgumentParser:
    def refuse(message: str):
        if message.startswith("unrecognized arguments: "):
            message += _suggestion(message.removeprefix("unrecognized arguments: "))
        raise UserError(message)

    parser = argparse.ArgumentParser(
        prog="nnlab board",
        description="Show runs in TensorBoard, and draw curves.png in the folders of those that have "
        "none (unless picture=false). New runs appear while it is open, as long as there are "
        "no more than --newest of them.",
    )
    parser.error = refuse
    parser.print_help = lambda: print(parser.format_help(), end="")  # argparse's own hides a full disk
    parser.add_argument("folder", nargs="?", default="outputs", help="a run or a folder of runs (outputs)")
    parser.add_argument("--port", type=int, help="where to serve (6006, or the next that is free)")
    parser.add_argument(
        "--newest", type=int, default=200, metavar="N", help="show at most so many runs, the newest (200)"
    )
    return parser


def _suggestion(word: str) -> str:
    """A suggestion for an option or folder in another form: `port=80`, `--logdir=outputs`."""
    name, _, value = word.lstrip("-").partition("=")
    if name in ("port", "newest"):
        return f"; did you mean --{name} {value}?"
    if name in ("folder", "logdir", "log_dir", "dir", "path", "run", "runs"):
        return f"; the folder is a word by itself: nnlab board {shell_word(value or 'outputs')}"
    return ""


def _runs(folder: Path) -> list[Path]:
    """The outermost folders with event files, newest first. Raises `UserError` if there is none."""
    if not folder.is_dir():
        advice = _suggestion(str(folder)) or "; nnlab train makes outputs/train where you run it"
        raise UserError(f"folder '{folder}' does not exist{advice}")
    newest: dict[Path, float] = {}
    for events in folder.rglob("events.out.tfevents.*"):
        with contextlib.suppress(OSError):  # removed meanwhile, or a link to nowhere
            newest[events.parent] = max(events.stat().st_mtime, newest.get(events.parent, 0.0))
    if not newest:
        raise UserError(f"no TensorBoard event files below '{folder}': train a network first")
    outermost = [run for run in newest if not any(parent in newest for parent in run.parents)]
    return sorted(outermost, key=newest.__getitem__, reverse=True)


def _link_run(link_dir: Path, folder: Path, run: Path) -> None:
    """The run under its own name in `link_dir`: TensorBoard grows slow from some 250 runs."""
    link = link_dir / run.relative_to(folder)
    link.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(run.resolve(), link)


def _run_tensorboard(folder: str, args: argparse.Namespace) -> int:
    port = []
    if args.port is not None:
        port = ["--port", str(args.port)]
    # A relative path may look like a protocol to TensorBoard, as a://b does.
    log_dir = str(Path(folder).absolute())
    command = [sys.executable, "-m", "nnlab.commands.board_server", "--logdir", log_dir, *port]
    # `-m` would import from the current directory first, and that may be somebody else's.
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    try:
        return subprocess.call(command, env=environment)  # kills its child on any exception
    except KeyboardInterrupt:  # the way to end it; not so by SIGTERM
        by_ctrl_c = interruption.exit_code() == 128 + signal.SIGINT
        return 0 if by_ctrl_c else interruption.exit_code()
