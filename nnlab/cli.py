"""Entry point of the `nnlab` program: dispatches to the command, and answers shell completion.

Nothing heavy is imported here: `nnlab --help` and the first TAB start neither Hydra nor torch.
"""

import atexit
import contextlib
import gc
import os
import signal
import sys
from importlib import import_module

from nnlab import __version__, interruption
from nnlab.errors import UserError, complain, unknown
from nnlab.masking import mask_passwords
from nnlab.suggestions import dataset_for_file

COMMANDS = {
    "data": "show what is in a table, and the words to train on it",
    "train": "train a network, over seeds and folds if asked",
    "compare": "which is better, and how sure: arms on the same seeds, in pairs",
    "sweep": "search hyperparameters; trials train as rows of stacks",
    "work": "train the trials of a sweep of launcher=folder on this machine too",
    "reproduce": "train a published table anew, with a verdict for each cell",
    "graph": "draw a network: boxes, shapes, parameters, multiply-adds",
    "check": "find what is wrong: gradient, data, initialisation, learning rate",
    "predict": "predict new examples with a run, into predictions.csv",
    "evaluate": "test a run on labelled examples",
    "export": "write a run as an ONNX file, which runs without nnlab",
    "report": "write a run, a comparison, a sweep or a check as one HTML page",
    "board": "show runs in TensorBoard",
}
_GLOBAL_OPTIONS = ("--help", "--version")

_HELP_PAGE = """\
nnlab: a laboratory for training neural networks from the command line.

Usage: nnlab COMMAND ...

Commands:
{commands}

nnlab COMMAND --help shows what a command takes, nnlab --version the version.

Completion by TAB:
  bash    eval "$(nnlab -sc install=bash)"    in ~/.bashrc
  zsh     eval "$(nnlab -sc install=zsh)"     in ~/.zshrc
  fish    nnlab -sc install=fish | source     in ~/.config/fish/config.fish
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 2 for wrong input, 130 when interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        try:
            if "WORLD_SIZE" in os.environ:  # torchrun's
                from nnlab.commands.rank_process import dispatch

                code = dispatch(argv, _dispatch, COMMANDS)
            else:
                code = _dispatch(argv)
        except SystemExit as e:  # argparse has said what it had to say
            if isinstance(e.code, str):
                raise
            code = e.code or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        complain("nnlab: interrupted")
        return 130
    except BrokenPipeError:  # the reader, such as `| head`, is gone
        _close_output()
        return 1
    except OSError as e:
        if e.filename is not None:
            raise
        complain(f"nnlab: standard output: {e.strerror}")
        _close_output()
        return 1


def run() -> None:
    """`main` as a process, which ends at once."""
    # Without the garbage collector `import torch` takes a tenth less; `commands.process` enables it again.
    gc.disable()
    # A stream that was closed before the process began is None.
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    interruption.exit_on_ctrl_c(" ".join(["nnlab", *(a for a in sys.argv[1:2] if a in COMMANDS)]))
    code = 130
    with contextlib.suppress(KeyboardInterrupt):
        code = main()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: there is nothing left to interrupt
    # Exit handlers run, but the interpreter is not torn down: with torch that takes a third of a second.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _close_output() -> None:
    """Send what is still printed, and what is in the buffer, nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(argv: list[str]) -> int:
    if argv[:1] == ["help"]:  # as git and others have it
        return _dispatch([*argv[1:2], "--help", *argv[2:]])
    if not argv or argv[0] in ("-h", "--help"):
        names = "\n".join(f"  {name:10}{summary}" for name, summary in COMMANDS.items())
        print(_HELP_PAGE.format(commands=names), end="")
        return 0
    if argv[0] == "--version":
        print(f"nnlab {__version__}")
        return 0
    if argv[0] in ("-sc", "--shell-completion"):
        return _shell_completion(argv)
    if argv[0] not in COMMANDS:
        complain(f"nnlab: {mask_passwords(str(_no_such_command(argv[0])))}")
        return 2
    # Each command imports what it needs; torch alone takes seconds.
    return import_module(f"nnlab.commands.{argv[0]}").main(argv[1:])


def _no_such_command(word: str) -> UserError:
    if "=" in word or dataset_for_file(word):
        commands = ", ".join(COMMANDS)
        return UserError(f"{word}: the first word is a command, such as nnlab train; allowed: {commands}")
    if word.startswith("-"):
        return unknown("option", word, _GLOBAL_OPTIONS)
    return unknown("command", word, COMMANDS)


def _shell_completion(argv: list[str]) -> int:
    """`-sc install=SHELL` and `uninstall=SHELL`; `query=SHELL` is what a shell asks at a TAB."""
    from nnlab.shells import answer  # it imports yaml, which `nnlab --help` does without

    try:
        print(answer(" ".join(argv[1:]), COMMANDS, _GLOBAL_OPTIONS), end="")
    except UserError as e:
        complain(f"nnlab: {e}")
        return 2
    return 0
