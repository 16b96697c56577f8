"""The one place where Hydra meets nnlab: a command line in, plain settings and a run folder out.

    run("train", argv, prepare, execute, together) -> exit code

`prepare(settings)` checks the settings of every run and returns what `execute` needs, before any
folder exists; `execute(prepared, folder, settings, command)` runs one, and `together({what differs: Ready})`
those of `-m` (without it they run one after another). Wrong input is one sentence on stderr and exit code 2
(NNLAB_TRACEBACK=1 shows where it came from); nothing is left behind.
"""

import contextlib
import gc
import io
import os
import shlex
import sys
import time
import traceback
import warnings
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hydra import version
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nnlab import interruption
from nnlab.catalogue import Catalogue
from nnlab.commands import composing, config_files, folders, help, hydra_errors, hydra_private
from nnlab.commands.early_end import EndedEarly
from nnlab.commands.passwords import without_passwords
from nnlab.commands.text_values import FOLDERS, Texts
from nnlab.errors import Advice, UserError, fault, is_machines, say
from nnlab.paths import CONFIG_DIR
from nnlab.records.text import on_terminal


@dataclass(frozen=True)
class Ready:
    """A run about to begin: what `prepare` made of its settings, and its folder."""

    prepared: object
    folder: Path
    settings: dict
    command: str


def run(config_name: str, argv: list[str], prepare: Callable, execute: Callable, together=None) -> int:
    """Do what the command line `nnlab <config_name> <argv>` says; returns the exit code."""

    def act(args: Namespace) -> int:
        with one_sentence():
            cells = composing.cells(config_name, args)
        with advice(config_name):
            advise(config_name, (note for cell in cells for note in cell.notes()))
            prepared = [prepare(cell.settings) for cell in cells]
        imported()
        if args.multirun and together and len(cells) > 1:
            return together(_all_ready(cells, prepared))
        return _execute(cells, prepared, execute, args.multirun)

    return guarded(config_name, argv, act)


def guarded(config_name: str, argv: list[str], act: Callable, settle: Callable = lambda args: args) -> int:
    """`act(args)` on the parsed command line, its errors told in one sentence; the exit code.

    Hydra answers --help, --cfg and the like itself, of what `settle(args)` leaves.
    """
    before = HydraConfig.instance().cfg
    try:
        args = _parsed(config_name, argv)
        with composing.environment_named_in(args.overrides):
            return _answer(config_name, args, act, settle)
    except UserError as e:
        if os.environ.get("NNLAB_TRACEBACK", "0") not in ("", "0"):
            traceback.print_exc()
        say(config_name, str(e))
        return 2
    except EndedEarly as e:
        say(config_name, str(e))
        return e.code
    except KeyboardInterrupt:
        say(config_name, "interrupted")
        return interruption.code()
    except Exception as e:
        said = fault(e)
        if said is None:
            raise
        say(config_name, said)
        return 1
    finally:
        HydraConfig.instance().cfg = before


def _answer(config_name: str, args: Namespace, act: Callable, settle: Callable) -> int:
    if args.help and not args.hydra_help:
        print(_page(config_name, args, settle), end="")
        return 0
    if args.hydra_help or args.cfg or args.info:
        with one_sentence():
            settled = settle(args)
        return _let_hydra_answer(config_name, settled)
    _show_a_sign(config_name)
    return act(args)


def _page(config_name: str, args: Namespace, settle: Callable) -> str:
    """What --help says; of wrong words what is wrong, as without it."""
    rest = Namespace(**vars(args))
    rest.overrides = [word for word in args.overrides if "=" in word]
    with one_sentence():
        composing.primary(config_name, rest)
        if rest.overrides:
            composing.cells(config_name, settle(rest))
    return help.text(config_name, args)


def _show_a_sign(config_name: str) -> None:
    """On a terminal, that something is under way: on a busy machine torch takes seconds to import. What is
    printed next is longer, begins in the same column, and so takes its place."""
    if on_terminal(sys.stdout):
        print(f"nnlab {config_name} ...", end="\r", flush=True)


def imported() -> None:
    """Everything that a command needs is there: look for garbage from now on, and not among what stays."""
    gc.freeze()
    gc.enable()


def seconds_of_process() -> float:
    """Since this process began, as far as the system says; else since it began to compute."""
    try:
        with open("/proc/self/stat") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return time.process_time()


@contextlib.contextmanager
def advice(config_name: str) -> Iterator[None]:
    """Advice is one line on stderr, once; other warnings stay as they are."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message, category, *place):
            if not issubclass(category, Advice):
                return others(message, category, *place)
            advise(config_name, [message])

        warnings.showwarning = show
        yield


def advise(config_name: str, notes: Iterable[object]) -> None:
    """A line on stderr for each note, each once."""
    for note in dict.fromkeys(notes):
        say(config_name, f"advice: {note}")


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Errors of reading and composing configurations become a `UserError` of one sentence."""
    try:
        yield
    except (UserError, BrokenPipeError):
        raise
    except OSError as e:
        if is_machines(e):
            raise
        raise UserError(hydra_errors.sentence(e)) from e
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as e:
        raise UserError(hydra_errors.sentence(e)) from e
    except RecursionError as e:
        raise UserError(config_files.circle() or hydra_errors.TOO_DEEP) from e


def _parsed(config_name: str, argv: list[str]) -> Namespace:
    """Hydra's flags, in any order with the overrides. Raises `UserError`."""
    parser = _parser(config_name)
    words, typed = without_passwords(argv)
    args = parser.parse_intermixed_args(words)
    args.parser, args.storage = parser, typed
    hydra_errors.refuse_words_of_others(config_name, args.overrides)
    if args.config_path is not None:
        raise UserError("--config-path: nnlab keeps its own; to add a folder of yours, use -cd FOLDER")
    if args.experimental_rerun is not None:
        raise UserError("--experimental-rerun unpickles a file, which could run any code: not supported")
    if args.shell_completion:
        raise UserError("-sc goes before the command: nnlab -sc install=bash")
    args.overrides = _texts(config_name, args).readable(args.overrides)
    if (args.resolve or args.package) and not (args.cfg or args.help):
        raise UserError("--resolve and --package go with --cfg, e.g. --cfg job --resolve")
    return args


def _texts(config_name: str, args: Namespace) -> Texts:
    search = config_name == "sweep"
    catalogue = Catalogue(config_name, args.overrides, args.config_dir, args.config_name)
    return Texts(catalogue, search or args.multirun, FOLDERS if search else ())


def _parser(config_name: str) -> ArgumentParser:
    def refuse(message: str):
        if message.startswith("unrecognized arguments: -"):
            message = hydra_errors.with_dashes(config_name, message.split()[2])
        raise UserError(message)

    parser = hydra_private.parser()
    parser.prog, parser.error = f"nnlab {config_name}", refuse
    return parser


def _let_hydra_answer(config_name: str, args: Namespace) -> int:
    """--cfg, --info and the like, by what `@hydra.main` itself calls."""
    version.setbase("1.3")
    config_files.install()
    with one_sentence():
        asked = _safe(config_name, args)
    shown, said = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
            with _environment(HYDRA_FULL_ERROR="1"), _program("nnlab"):
                hydra_private.answer(asked, CONFIG_DIR, config_name)
    except SystemExit as e:
        if e.code:
            raise UserError(said.getvalue()) from e
    except Exception:
        with one_sentence():
            if args.overrides and not args.hydra_help:
                composing.cells(config_name, args)  # says what is wrong in one sentence
            raise
    sys.stdout.write(shown.getvalue())
    sys.stderr.write(said.getvalue())
    return 0


def _safe(config_name: str, args: Namespace) -> Namespace:
    """The same question with checked overrides, and with those that keep files from running code."""
    composing.primary(config_name, args)
    safe = Namespace(**vars(args))
    safe.resolve = args.resolve or args.cfg == "job"  # what would run: the values, not how they come about
    checked = [] if args.hydra_help else composing.checked(config_name, args)
    safe.overrides = checked + composing.searchpath(args) * (not args.hydra_help)
    return safe


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _program(name: str) -> Iterator[None]:
    """Hydra names the program in its shell completion after `sys.argv[0]`."""
    before = sys.argv[0]
    sys.argv[0] = name
    try:
        yield
    finally:
        sys.argv[0] = before


def _execute(cells: list[composing.Cell], prepared: list, execute: Callable, multirun: bool) -> int:
    """Run the cells one after another, each in its own folder; the first exit code that is not 0."""
    where = _folders_of_sweep(cells) if multirun else map(folder_of_run, cells)
    codes = []
    for cell, ready, folder in zip(cells, prepared, where, strict=True):
        folders.describe(folder, cell.composed)
        codes.append(execute(ready, folder, cell.settings, cell.command) or 0)
    return next((code for code in codes if code), 0)


def _all_ready(cells: list[composing.Cell], prepared: list) -> dict[str, Ready]:
    """Every cell with a folder of its own, by what differs between them."""
    names, found = list(map(" ".join, _differences(cells))), {}
    for name, cell, ready, folder in zip(names, cells, prepared, _folders_of_sweep(cells), strict=True):
        folders.describe(folder, cell.composed)
        twin = f" (run {len(found)})" if names.count(name) > 1 else ""  # the same words twice
        found[name + twin] = Ready(ready, folder, cell.settings, cell.command)
    return found


def _differences(cells: list[composing.Cell]) -> list[list[str]]:
    """What was overridden in each cell and not in all of them."""
    common = set.intersection(*(set(cell.overrides) for cell in cells)) if len(cells) > 1 else set()
    return [[line for line in cell.overrides if line not in common] for cell in cells]


def folder_of_run(cell: composing.Cell) -> Path:
    """A new folder for the run, named by what was overridden."""
    HydraConfig.instance().set_config(cell.composed)
    with one_sentence():
        folder = folders.run_folder(cell.composed, cell.overrides, "hydra.run.dir" in cell.places)
    _say_where(cell, folder)
    return folder


def _say_where(cell: composing.Cell, folder: Path) -> None:
    """A link among the folders above a new one leads elsewhere, and may have come with somebody's archive."""
    above = [place for place in folder.parents if not place.is_absolute() and place.is_symlink()]
    command = shlex.split(cell.command)[1]
    advise(command, [f"'{p}' is a link: what is written there goes to '{p.resolve()}'" for p in above])


def _folders_of_sweep(cells: list[composing.Cell]) -> Iterator[Path]:
    """One folder per cell, named by what differs between them, made when its turn comes."""
    first, names = cells[0], _names_of_cells(cells)
    HydraConfig.instance().set_config(first.composed)
    with one_sentence():
        sweep = folders.sweep_folder(first.composed, first.places)
    _say_where(first, sweep)
    for cell, name in zip(cells, names, strict=True):
        HydraConfig.instance().set_config(cell.composed)
        with one_sentence():
            folder = folders.cell_folder(sweep, name)
        yield folder


def _names_of_cells(cells: list[composing.Cell]) -> list[str]:
    """What the folder of each cell is called, in that of the sweep. Raises `UserError` if two have one."""
    names = []
    for cell, differs in zip(cells, folders.telling(_differences(cells)), strict=True):
        HydraConfig.instance().set_config(cell.composed)
        exact = "hydra.sweep.subdir" in cell.places
        with one_sentence():
            names.append(folders.cell_name(cell.composed, differs, exact))
    shared = [name for name, count in Counter(names).items() if count > 1]
    if shared:
        raise UserError(
            f"hydra.sweep.subdir = '{shared[0]}': two runs cannot share a folder; "
            "write hydra.sweep.subdir='run${hydra.job.num}', say"
        )
    return names
