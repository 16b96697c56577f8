"""What `nnlab work` finds in a sweep's folder before it trains: whether it is one, and has work for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from nnlab import __version__
from nnlab.errors import UserError
from nnlab.jobs.folder_queue import FolderQueue, QueueSettings, has_ended, torch_version
from nnlab.records.run_path import JOB_WORDS, find_job, nearest_folder
from nnlab.records.sweep_folder import SWEEP_FILE
from nnlab.records.terminal import Terminal
from nnlab.records.text import format_duration, shell_line, shell_word
from nnlab.records.text_columns import labelled_lines
from nnlab.untrusted import read_json, read_yaml

FOLDER_PAUSE = 0.2  # seconds between two looks for a folder
SHARED_LAUNCHERS = ("folder", "slurm")  # those whose jobs lie in the sweep's folder


def tell(text: str) -> None:
    """Print what the worker does, on the screen."""
    for line in labelled_lines("work", text):
        Terminal().line(line)


def sweep_in(path: str, wait: float) -> Path:
    """The folder of the sweep. Raises `UserError` for that of anything else.

    Machines start in any order: a folder that is not there yet is waited for, so many seconds, and that is
    said. One below no folder at all is a mistake, and so is one whose name is nearly that of another.
    """
    folder, until = Path(path).expanduser(), monotonic() + wait
    may_come = not os.path.lexists(folder) and folder.absolute().parent.is_dir()
    if may_come and not nearest_folder(folder):
        tell(f"{path}: there is no such folder yet; waits {format_duration(wait)} for a sweep to make it")
        while not (folder / SWEEP_FILE).exists() and monotonic() < until:
            sleep(FOLDER_PAUSE)
    kind, folder = find_job(path)
    if kind != "sweep":
        raise UserError(f"'{path}' is the folder of a {JOB_WORDS[kind]}, and nnlab work trains for a sweep")
    return folder


def sweep_has_ended(sweep: Path, queue: FolderQueue) -> bool:
    """Whether there is nothing more to train. Raises `UserError` for a sweep that puts no jobs there."""
    if said := queue.driver_said():
        return has_ended(said)
    if _mapping(sweep / SWEEP_FILE, read_json).get("ended"):
        return True
    name = _launcher_of(sweep)
    if name not in SHARED_LAUNCHERS:
        raise UserError(
            f"'{sweep}' is a sweep of launcher={name}, which leaves nothing to other machines; for that, end "
            f"it, and go on by nnlab sweep resume={shell_word(str(sweep))} launcher=folder"
        )
    return False


def line_to_go_on(sweep: Path) -> str:
    """The command that goes on with a sweep whose driver has gone, so that other machines train again."""
    launcher = _launcher_of(sweep)
    if launcher not in SHARED_LAUNCHERS:  # it began by another one, and went on by a folder
        launcher = "folder"
    return shell_line(["nnlab", "sweep", f"resume={sweep}", f"launcher={launcher}"])


def _launcher_of(sweep: Path) -> object:
    """The name of the launcher that the sweep's settings have."""
    launcher = _mapping(sweep / "config.yaml", read_yaml).get("launcher")
    return launcher.get("name", "local") if isinstance(launcher, dict) else "local"


def _mapping(file: Path, read: Callable[[Path], object]) -> dict:
    tree = read(file)
    if not isinstance(tree, dict):
        raise UserError(f"'{file}' is not as nnlab writes it")
    return tree


def refuse_other_versions(settings: QueueSettings) -> None:
    """Raise `UserError` unless nnlab and torch here are those of the sweep: bits might be others."""
    here = {"nnlab": __version__, "torch": torch_version()}
    there = {"nnlab": settings.nnlab, "torch": settings.torch}
    for name, version in here.items():
        if there[name] != version:
            raise UserError(
                f"the sweep runs with {name} {there[name]:.40}, and here is {name} {version}: its numbers "
                f"might be others; install the same"
            )
