"""`nnlab COMMAND ...`: finds the command and hands it the rest; answers TAB in the shell.

Nothing heavy is imported here: `nnlab --help` and the first TAB start no Hydra and no torch.
"""

import atexit
import contextlib
import gc
import os
import signal
import sys

from nnlab import interruption
from nnlab.errors import complain

COMMANDS = {
    "train": "train a network, over seeds and folds if asked",
    "sweep": "search hyperparameters; trials train as rows of stacks",
    "check": "find what is wrong: gradient, data, initialisation, learning rate",
    "board": "show runs in TensorBoard",
}
_OPTIONS = ("--help", "--version")

_HELP = """\
nnlab: a laboratory for training neural networks from the command line.

Usage: nnlab COMMAND ...

Commands:
{commands}

nnlab COMMAND --help says what a command takes; nnlab --version, which nnlab
this is.
Completion by TAB: eval "$(nnlab -sc install=bash)" in ~/.bashrc; in ~/.zshrc
with zsh for bash; in fish: nnlab -sc install=fish | source
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 2 for wrong input, 130 when interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        try:
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
    except BrokenPipeError:  # the reader, e.g. `| head`, has gone: nothing is left to say to it
        _close_output()
        return 1
    except OSError as e:
        if e.filename is not None:
            raise
        complain(f"nnlab: standard output: {e.strerror}")
        _close_output()
        return 1


def run() -> None:
    """`main` as a process: what is registered for the exit is done, and torch is not taken apart first,
    which takes a third of a second and helps nobody."""
    gc.disable()  # until all is imported (process.imports_are_done): it takes a tenth off `import torch`
    # A stream that was closed before the process began is None.
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    interruption.ends_at_once(" ".join(["nnlab", *(a for a in sys.argv[1:2] if a in COMMANDS)]))
    code = 130
    with contextlib.suppress(KeyboardInterrupt):
        code = main()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: there is nothing left to interrupt
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _close_output() -> None:
    """Whatever is still printed goes nowhere, and what is in its buffer too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(argv: list[str]) -> int:
    if argv[:1] == ["help"]:  # as git and others have it
        return _dispatch([*argv[1:2], "--help", *argv[2:]])
    if not argv or argv[0] in ("-h", "--help"):
        names = "\n".join(f"  {name:8}{summary}" for name, summary in COMMANDS.items())
        print(_HELP.format(commands=names), end="")
        return 0
    if argv[0] == "--version":
        from nnlab import __version__

        print(f"nnlab {__version__}")
        return 0
    if argv[0] in ("-sc", "--shell-completion"):
        return _shell_completion(argv)
    if argv[0] not in COMMANDS:
        from nnlab.errors import unknown
        from nnlab.masking import masked_urls
        from nnlab.suggestions import reader_of

        option = argv[0].startswith("-")
        wrong = unknown(*("option", argv[0], _OPTIONS) if option else ("command", argv[0], COMMANDS))
        if "=" in argv[0] or reader_of(argv[0]):
            wrong = f"{argv[0]}: the first word is a command, nnlab train say; allowed: {', '.join(COMMANDS)}"
        complain(f"nnlab: {masked_urls(str(wrong))}")
        return 2
    from importlib import import_module

    return import_module(f"nnlab.commands.{argv[0]}").main(argv[1:])


def _shell_completion(argv: list[str]) -> int:
    """`-sc install=SHELL` and `uninstall=SHELL`; `query=SHELL` is a shell that asks at a TAB and
    never gets an error into its prompt."""
    from nnlab.errors import UserError
    from nnlab.shells import answer

    try:
        print(answer(" ".join(argv[1:]), COMMANDS, _OPTIONS), end="")
    except UserError as e:
        complain(f"nnlab: {e}")
        return 2
    return 0
