"""Creation of run folders: each is named after the overrides that change it, and no two runs share one."""

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from nnlab.commands.command_line import key_of
from nnlab.errors import MachineFault, UserError, is_machine_error
from nnlab.records.files import RECORDING_KEYS, make_unique_folder

_MAX_SLUG_LENGTH = 42  # outputs/check/DATE_TIME_SLUG, indented, then fits a line of 80


def slug(overrides: list[str]) -> str:
    """The overrides as part of a folder name: `optimizer=sgd,model.hidden=128,64`."""
    return _name(overrides)[:_MAX_SLUG_LENGTH].strip("-,.=")


def _name(overrides: list[str]) -> str:
    text = re.sub(r"[\[\]{}()'\"]", "", ",".join(overrides))
    text = re.sub(r"[^\w.=,-]+", "-", text)
    return re.sub(r"=-+", "=", text)


def shorten_overrides(runs: list[list[str]]) -> list[list[str]]:
    """The overrides of each run, shortened so that the folder names still show where the runs differ.

    If a name would be cut off, keys lose all but their last part, and values their common prefix.

    >>> shorten_overrides([["data.path=/home/somebody/somewhere/else/good.csv"], ["data.path=/home/bad.csv"]])
    [['path=..somebody/somewhere/else/good.csv'], ['path=..bad.csv']]
    """
    if all(len(_name(run)) <= _MAX_SLUG_LENGTH for run in runs):
        return runs
    values: dict[str, list[str]] = {}
    for key, _, value in (override.partition("=") for run in runs for override in run):
        values.setdefault(key, []).append(value)
    prefix_length = {key: len(_common_prefix(values_of_key)) for key, values_of_key in values.items()}

    def shorten(override: str, max_length: int = _MAX_SLUG_LENGTH) -> str:
        key, _, value = override.partition("=")
        if prefix_length[key] > 2:  # else the dots are no shorter
            value = f"..{value[prefix_length[key] :]}"
        return f"{key.rpartition('.')[2][: max(3, max_length - 1 - len(value))]}={value}"

    shortened = [[shorten(override) for override in run] for run in runs]
    if all(len(_name(run)) <= _MAX_SLUG_LENGTH for run in shortened):
        return shortened
    return [[shorten(override, (_MAX_SLUG_LENGTH + 1) // len(run) - 1) for override in run] for run in runs]


def _common_prefix(values: list[str]) -> str:
    """The common prefix, up to the end of an item, of a folder, or of a word; "" if all values are equal."""
    if len(set(values)) == 1:
        return ""
    common = os.path.commonprefix(values)
    return re.sub(r"[^][{}(),:/ _-]*$", "", common)


def make_run_folder(config: DictConfig, overrides: list[str], exact: bool) -> Path:
    """Make a run's folder at `hydra.run.dir`, with the slug appended unless the user chose that setting."""
    folder = Path(config.hydra.run.dir)
    if exact:
        return _make_named(folder)
    # What is recorded or drawn, as show= and caption=, says nothing of the run.
    naming = [word for word in overrides if key_of(word).partition(".")[0] not in RECORDING_KEYS]
    name = slug(*shorten_overrides([naming]))
    if name:
        folder = folder.with_name(f"{folder.name}_{name}")
    return _make_numbered(folder)


def make_multirun_folder(config: DictConfig, hydra_keys: Collection[str]) -> Path:
    """Make the folder that contains those of all runs of -m: at `hydra.sweep.dir`.

    It is at `hydra.run.dir` if the user has set only that: an experiment's own file may turn -m on.
    """
    if "hydra.sweep.dir" in hydra_keys:
        return _make_named(Path(config.hydra.sweep.dir))
    if "hydra.run.dir" in hydra_keys:
        return _make_named(Path(config.hydra.run.dir))
    return _make_numbered(Path(config.hydra.sweep.dir))


def name_in_multirun(config: DictConfig, overrides: list[str], exact: bool) -> str:
    """The name of a run's folder within that of -m: `hydra.sweep.subdir`, with the slug unless `exact`."""
    name, added_slug = str(config.hydra.sweep.subdir), slug(overrides)
    return name if exact or not added_slug else f"{name}_{added_slug}"


def make_folder_in_multirun(parent: Path, name: str) -> Path:
    """Make the folder of one run of -m."""
    return _make_named(parent / name)


def _make_numbered(folder: Path) -> Path:
    """Make `folder`, or `folder-2`, `folder-3`, ...: `mkdir` decides who of several was first."""
    with _naming_folder_in_errors("make", folder):
        return make_unique_folder(folder)


def _make_named(folder: Path) -> Path:
    """Make the folder that the user named. An existing one must be empty: its files would be overwritten, and
    its links followed."""
    with _naming_folder_in_errors("make", folder):
        if folder.is_dir() and any(folder.iterdir()):
            contents = "a run already" if (folder / ".hydra").exists() else "files already"
            raise UserError(f"'{folder}' holds {contents}: choose another folder, or empty it")
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _naming_folder_in_errors(verb: str, folder: Path) -> Iterator[None]:
    """Turn an `OSError` into a `UserError`, or a `MachineFault` (disk full), that names the folder."""
    try:
        yield
    except OSError as e:
        error_class = MachineFault if is_machine_error(e) else UserError
        raise error_class(f"cannot {verb} the run folder '{folder}': {e.strerror}") from e


def remove_unstarted(folder: Path) -> None:
    """Remove the folder of a run that never started. It was new or empty: all its files are nnlab's."""
    shutil.rmtree(folder, ignore_errors=True)


def write_hydra_files(folder: Path, config: DictConfig) -> None:
    """Write `.hydra/config.yaml`, `hydra.yaml` and `overrides.yaml`, and set `hydra.runtime.output_dir`."""
    # The user's interpolations may read it, as under Hydra itself.
    with open_dict(config.hydra), read_write(config.hydra):
        config.hydra.runtime.output_dir = str(folder.resolve())
    HydraConfig.instance().set_config(config)
    if config.hydra.output_subdir is None:
        return
    subdir = folder / config.hydra.output_subdir
    settings = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    try:
        with _naming_folder_in_errors("write to", folder):
            subdir.mkdir(parents=True)
            OmegaConf.save(settings, subdir / "config.yaml")
            OmegaConf.save(HydraConfig.instance().cfg, subdir / "hydra.yaml")
            OmegaConf.save(config.hydra.overrides.task, subdir / "overrides.yaml")
    except (UserError, MachineFault):
        remove_unstarted(folder)
        raise
