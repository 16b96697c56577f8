"""Turns composed runs into prepared runs with a folder each; all are prepared before any folder is made."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from nnlab.commands import folders
from nnlab.commands.composing import ComposedRun
from nnlab.commands.messages import advice_on_stderr, one_sentence_errors, print_advice
from nnlab.commands.process import freeze_imports
from nnlab.errors import UserError, shortened


@dataclass(frozen=True)
class PreparedRun:
    """A run about to begin: what `prepare(settings)` returned, and the new folder of the run."""

    name: str  # the overrides that distinguish it from the other runs
    prepared: object  # of `nnlab train` a Fit, of `nnlab check` a Subject and its rungs
    folder: Path
    settings: dict
    command: str
    multirun_folder: Path | None = None  # that of all runs of -m


def prepared_runs(
    command: str,
    runs: list[ComposedRun],
    prepare: Callable,
    make_parent: Callable[[], Path] | None = None,
    check: Callable[[list], None] | None = None,
) -> Iterator[PreparedRun]:
    """Prepare all runs, then yield each of them with a new folder; `make_parent()` makes that of all runs, if
    it is not the usual one of -m. `check` gets all that was prepared, before any folder is made.

    Wrong settings of the last run are refused before the first run has left anything behind.
    """
    with advice_on_stderr(command):
        results = prepare_all(runs, prepare)
        if check:
            check(results)
    freeze_imports()
    parent = None
    if make_parent or runs[0].is_multirun:
        folder_names(runs)  # refused here, if at all: before anything is made
        parent = make_parent() if make_parent else make_multirun_folder(runs)
    run_folders = make_folders_in_multirun(parent, runs) if parent else map(make_run_folder, runs)
    for name, run, prepared, folder in zip(
        run_names([run.overrides for run in runs]), runs, results, run_folders, strict=True
    ):
        folders.write_hydra_files(folder, run.config)
        yield PreparedRun(name, prepared, folder, run.settings, run.command, parent)


def prepare_all(runs: list[ComposedRun], prepare: Callable) -> list:
    """What `prepare(settings)` returns for each run. Raises `UserError`, which names one of several runs."""
    results = []
    for run, name in zip(runs, run_names([run.overrides for run in runs]), strict=True):
        try:
            results.append(prepare(run.settings))
        except UserError as e:
            if len(runs) == 1:
                raise
            raise UserError(f"run {shortened(name)}: {e}") from e
    return results


def run_each(command: str, runs: list[ComposedRun], prepare: Callable, execute: Callable) -> int:
    """`execute` the prepared runs one after the other; returns the first exit code that is not 0."""
    exit_codes = [execute(run) or 0 for run in prepared_runs(command, runs, prepare)]
    return next((code for code in exit_codes if code), 0)


def make_run_folder(run: ComposedRun) -> Path:
    """Make a new folder for the run, named after its overrides."""
    HydraConfig.instance().set_config(run.config)
    with one_sentence_errors():
        folder = folders.make_run_folder(run.config, run.overrides, "hydra.run.dir" in run.hydra_keys)
    _warn_of_symlinks(run, folder)
    return folder


def make_multirun_folder(runs: list[ComposedRun]) -> Path:
    """Make the folder of all runs."""
    first_run = runs[0]
    HydraConfig.instance().set_config(first_run.config)
    with one_sentence_errors():
        parent = folders.make_multirun_folder(first_run.config, first_run.hydra_keys)
    _warn_of_symlinks(first_run, parent)
    return parent


def make_folders_in_multirun(parent: Path, runs: list[ComposedRun]) -> Iterator[Path]:
    """Make one folder per run, named after the overrides that differ; each is made when it is asked for."""
    for run, name in zip(runs, folder_names(runs), strict=True):
        HydraConfig.instance().set_config(run.config)
        with one_sentence_errors():
            folder = folders.make_folder_in_multirun(parent, name)
        yield folder


def _warn_of_symlinks(run: ComposedRun, folder: Path) -> None:
    """Advise if a parent of a new folder is a symbolic link: it may have come with somebody's archive."""
    links = [parent for parent in folder.parents if not parent.is_absolute() and parent.is_symlink()]
    notes = [f"'{link}' is a link: what is written there goes to '{link.resolve()}'" for link in links]
    print_advice(shlex.split(run.command)[1], notes)


def run_names(overrides: list[list[str]]) -> list[str]:
    """A name for each run: its differing overrides, and its number if another run has the same."""
    names = list(map(" ".join, differing_overrides(overrides)))
    duplicates = {name for name, count in Counter(names).items() if count > 1}
    return [name + f" (run {index})" * (name in duplicates) for index, name in enumerate(names)]


def differing_overrides(overrides: list[list[str]]) -> list[list[str]]:
    """The overrides of each run that not all runs have."""
    if len(overrides) == 1:
        return overrides
    common = set.intersection(*map(set, overrides))
    return [[override for override in of_run if override not in common] for of_run in overrides]


def folder_names(runs: list[ComposedRun]) -> list[str]:
    """The name of each run's folder within the folder of all runs. Raises `UserError` if two are equal."""
    names, differing = [], differing_overrides([run.overrides for run in runs])
    for run, differs in zip(runs, folders.shorten_overrides(differing), strict=True):
        HydraConfig.instance().set_config(run.config)
        is_exact = "hydra.sweep.subdir" in run.hydra_keys
        with one_sentence_errors():
            names.append(folders.name_in_multirun(run.config, differs, is_exact))
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise UserError(
            f"hydra.sweep.subdir = '{duplicates[0]}': two runs cannot share a folder; "
            "write hydra.sweep.subdir='run${hydra.job.num}', say"
        )
    return names
