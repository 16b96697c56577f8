"""From composed runs to runs that are ready to train: everything is prepared before any folder is made."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from nnlab.commands import folders
from nnlab.commands.composing import ComposedRun
from nnlab.commands.messages import advice, advise, one_sentence
from nnlab.commands.process import imports_are_done
from nnlab.errors import UserError


@dataclass(frozen=True)
class PreparedRun:
    """A run about to begin: what `prepare` made of its settings, and its folder, which is made."""

    name: str  # what differs from the others
    prepared: object
    folder: Path
    settings: dict
    command: str


def prepared_runs(command: str, runs: list[ComposedRun], prepare: Callable) -> Iterator[PreparedRun]:
    """Every run with what `prepare(settings)` makes of it; its folder is made when its turn comes.

    Wrong settings of the last run are refused before the first one has left anything behind.
    """
    with advice(command):
        each = [prepare(run.settings) for run in runs]
    imports_are_done()
    places = folders_of_multirun(runs) if runs[0].of_multirun else map(folder_of_run, runs)
    for name, run, prepared, folder in zip(_names(runs), runs, each, places, strict=True):
        folders.describe(folder, run.config)
        yield PreparedRun(name, prepared, folder, run.settings, run.command)


def in_turn(command: str, runs: list[ComposedRun], prepare: Callable, execute: Callable) -> int:
    """`execute` each prepared run after the one before; the first exit code that is not 0."""
    codes = [execute(run) or 0 for run in prepared_runs(command, runs, prepare)]
    return next((code for code in codes if code), 0)


def folder_of_run(run: ComposedRun) -> Path:
    """A new folder for the run, named by what was overridden."""
    HydraConfig.instance().set_config(run.config)
    with one_sentence():
        folder = folders.run_folder(run.config, run.overrides, "hydra.run.dir" in run.places)
    _say_where(run, folder)
    return folder


def folders_of_multirun(runs: list[ComposedRun]) -> Iterator[Path]:
    """One folder per run, named by what differs between them, made when its turn comes."""
    first, names = runs[0], _folder_names(runs)
    HydraConfig.instance().set_config(first.config)
    with one_sentence():
        above = folders.multirun_folder(first.config, first.places)
    _say_where(first, above)
    for run, name in zip(runs, names, strict=True):
        HydraConfig.instance().set_config(run.config)
        with one_sentence():
            folder = folders.folder_in_multirun(above, name)
        yield folder


def _say_where(run: ComposedRun, folder: Path) -> None:
    """A link among the folders above a new one leads elsewhere, and may have come with somebody's archive."""
    links = [place for place in folder.parents if not place.is_absolute() and place.is_symlink()]
    command = shlex.split(run.command)[1]
    advise(command, [f"'{p}' is a link: what is written there goes to '{p.resolve()}'" for p in links])


def _names(runs: list[ComposedRun]) -> list[str]:
    """What to call each run beside the others; of the same words twice, by its number too."""
    names = list(map(" ".join, _differences(runs)))
    twins = {name for name, count in Counter(names).items() if count > 1}
    return [name + f" (run {number})" * (name in twins) for number, name in enumerate(names)]


def _differences(runs: list[ComposedRun]) -> list[list[str]]:
    """What was overridden in each run and not in all of them."""
    if len(runs) == 1:
        return [runs[0].overrides]
    common = set.intersection(*(set(run.overrides) for run in runs))
    return [[word for word in run.overrides if word not in common] for run in runs]


def _folder_names(runs: list[ComposedRun]) -> list[str]:
    """What the folder of each run is called, in that of all. Raises `UserError` if two have one name."""
    names = []
    for run, differs in zip(runs, folders.short_words(_differences(runs)), strict=True):
        HydraConfig.instance().set_config(run.config)
        exact = "hydra.sweep.subdir" in run.places
        with one_sentence():
            names.append(folders.name_in_multirun(run.config, differs, exact))
    shared = [name for name, count in Counter(names).items() if count > 1]
    if shared:
        raise UserError(
            f"hydra.sweep.subdir = '{shared[0]}': two runs cannot share a folder; "
            "write hydra.sweep.subdir='run${hydra.job.num}', say"
        )
    return names
