"""Run folders: a name that says what was overridden, made so that no two runs share one."""

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from nnlab.errors import MachineFault, UserError, is_machine_error
from nnlab.records.files import made_new

_SLUG_LETTERS = 42  # outputs/check/DATE_TIME_SLUG, indented, then fits a line of 80


def slug(overrides: list[str]) -> str:
    """`optimizer=sgd,model.hidden=128,64`: what was overridden, fit for a folder's name."""
    return _name(overrides)[:_SLUG_LETTERS].strip("-,.=")


def _name(words: list[str]) -> str:
    text = re.sub(r"[\[\]{}()'\"]", "", ",".join(words))
    text = re.sub(r"[^\w.=,-]+", "-", text)
    return re.sub(r"=-+", "=", text)


def short_words(runs: list[list[str]]) -> list[list[str]]:
    """The words of each run as its folder needs them. Where a name would be cut, perhaps just where the runs
    differ, keys are their last words or less, and what values begin with alike is left out.

    >>> short_words([["data.path=/home/somebody/somewhere/else/good.csv"], ["data.path=/home/bad.csv"]])
    [['path=..somebody/somewhere/else/good.csv'], ['path=..bad.csv']]
    """
    if all(len(_name(words)) <= _SLUG_LETTERS for words in runs):
        return runs
    values: dict[str, list[str]] = {}
    for key, _, value in (word.partition("=") for words in runs for word in words):
        values.setdefault(key, []).append(value)
    alike = {key: len(_alike(several)) for key, several in values.items()}

    def short(word: str, room: int = _SLUG_LETTERS) -> str:
        key, _, value = word.partition("=")
        if alike[key] > 2:  # else the dots are no shorter
            value = f"..{value[alike[key] :]}"
        return f"{key.rpartition('.')[2][: max(3, room - 1 - len(value))]}={value}"

    names = [[short(word) for word in words] for words in runs]
    if all(len(_name(words)) <= _SLUG_LETTERS for words in names):
        return names
    return [[short(word, (_SLUG_LETTERS + 1) // len(words) - 1) for word in words] for words in runs]


def _alike(values: list[str]) -> str:
    """What they all begin with, up to the end of an item, of a folder, or of a word."""
    if len(set(values)) == 1:
        return ""
    common = os.path.commonprefix(values)
    return re.sub(r"[^][{}(),:/ _-]*$", "", common)


def run_folder(config: DictConfig, overrides: list[str], exact: bool) -> Path:
    """A new folder at `hydra.run.dir`; unless that was asked for exactly, with the slug added."""
    folder = Path(config.hydra.run.dir)
    if exact:
        return _made(folder)
    name = slug(*short_words([overrides]))
    if name:
        folder = folder.with_name(f"{folder.name}_{name}")
    return _new(folder)


def multirun_folder(config: DictConfig, asked: Collection[str]) -> Path:
    """The folder at `hydra.sweep.dir`, below which each run has its own; or at `hydra.run.dir`, if only that
    was asked for: whether an experiment is several runs is its file's to say."""
    if "hydra.sweep.dir" in asked:
        return _made(Path(config.hydra.sweep.dir))
    if "hydra.run.dir" in asked:
        return _made(Path(config.hydra.run.dir))
    return _new(Path(config.hydra.sweep.dir))


def name_in_multirun(config: DictConfig, overrides: list[str], exact: bool) -> str:
    """A run's folder in that of all runs of -m: `hydra.sweep.subdir`, with the slug unless it is exact."""
    name, added = str(config.hydra.sweep.subdir), slug(overrides)
    return name if exact or not added else f"{name}_{added}"


def folder_in_multirun(above: Path, name: str) -> Path:
    """The folder of a run among those of -m, made."""
    return _made(above / name)


def _new(folder: Path) -> Path:
    """Make `folder`, or `folder-2`, `folder-3`, ...: `mkdir` decides who of several was first."""
    with _writing("make", folder):
        return made_new(folder)


def _made(folder: Path) -> Path:
    """Make a folder that was asked for by name; one that is there already must be empty, since whatever is
    in it would be overwritten, or followed where it is a link."""
    with _writing("make", folder):
        if folder.is_dir() and any(folder.iterdir()):
            holds = "a run already" if (folder / ".hydra").exists() else "files already"
            raise UserError(f"'{folder}' holds {holds}: choose another folder, or empty it")
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _writing(verb: str, folder: Path) -> Iterator[None]:
    """What the user chose wrongly is a `UserError`, a full disk a `MachineFault`; both name the folder."""
    try:
        yield
    except OSError as e:
        kind = MachineFault if is_machine_error(e) else UserError
        raise kind(f"cannot {verb} the run folder '{folder}': {e.strerror}") from e


def withdraw(folder: Path) -> None:
    """Remove a folder in which nothing was begun. All that it has was written by nnlab, since it was new or
    empty."""
    shutil.rmtree(folder, ignore_errors=True)


def describe(folder: Path, config: DictConfig) -> None:
    """Write `.hydra/config.yaml`, `hydra.yaml` and `overrides.yaml`, and tell Hydra of the folder."""
    # Interpolations of the user's own may read it, as they do under Hydra.
    with open_dict(config.hydra), read_write(config.hydra):
        config.hydra.runtime.output_dir = str(folder.resolve())
    HydraConfig.instance().set_config(config)
    if config.hydra.output_subdir is None:
        return
    inside = folder / config.hydra.output_subdir
    settings = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    try:
        with _writing("write to", folder):
            inside.mkdir(parents=True)
            OmegaConf.save(settings, inside / "config.yaml")
            OmegaConf.save(HydraConfig.instance().cfg, inside / "hydra.yaml")
            OmegaConf.save(config.hydra.overrides.task, inside / "overrides.yaml")
    except (UserError, MachineFault):
        withdraw(folder)
        raise
