"""Reads and validates a sweep's folder, which may be a stranger's or edited by hand."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path

from nnlab.allowed import Allowed, validate
from nnlab.errors import UserError
from nnlab.jobs.folder_queue import QUEUE_FOLDER
from nnlab.records.sweep_folder import CURVES_FILE, SWEEP_FILE, TRIALS_FILE
from nnlab.runtime.machine import available_memory
from nnlab.untrusted import entries_below, is_number, read_json, read_lines, read_yaml, refuse_link

LOCK_FILE = "study.journal.lock"  # of Optuna, a link
LONGEST_CURVES = 2**26  # bytes of a line: the curves of a trial, a million epochs of them
BYTES_PER_NUMBER = 40  # of a curve in a list, which is 32 for a float and its place
SWEEP_FILES = (
    SWEEP_FILE, CURVES_FILE, TRIALS_FILE, "config.yaml", "command.txt", "study.journal", "report.html",
    ".lock", LOCK_FILE,
)  # fmt: skip
SWEEP_FOLDERS = ("best", ".best", "trials", ".hydra")

ABOUT_KEYS = {
    "id": (str, Allowed()),
    "study": (str, Allowed()),
    "words": (tuple[str, ...], Allowed()),
    "batch": (int, Allowed(low=1)),
    "rules": (int, Allowed(low=1)),
    "count": (int, Allowed(low=1)),
    "config_dir": (str | None, Allowed()),
}
SETTING_KEYS = {"storage": (str | None, Allowed())}
SET_KEYS = ("id", "study", "words", "storage")  # that are there in what is returned


def read_sweep(path: Path) -> tuple[dict, dict]:
    """Read sweep.json and the settings of a sweep's folder. Raises `UserError`.

    What is returned has been type-checked, and nothing in the folder links to anything outside of it.
    """
    if not (path / SWEEP_FILE).exists():
        raise UserError(f"'{path}' is not the folder of a sweep: it has no {SWEEP_FILE}")
    _refuse_foreign_entries(path)
    about, config = read_json(path / SWEEP_FILE), read_yaml(path / "config.yaml")
    for name, tree, keys in ((SWEEP_FILE, about, ABOUT_KEYS), ("config.yaml", config, SETTING_KEYS)):
        if not isinstance(tree, dict):
            raise UserError(f"'{path / name}' holds no keys with values")
        for key, (type_, allowed) in keys.items():
            if key in tree or key in SET_KEYS:
                tree[key] = validate(tree.get(key), type_, allowed, f"'{path / name}': {key}")
    about["words"] = list(about["words"])
    texts = config.get("space")
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise UserError(f"'{path / 'config.yaml'}': space is not keys with their values as text")
    return about, config


def _is_folder_name(path: Path, entry: Path) -> bool:
    """Whether nnlab creates a folder of that name. (Others may put files beside the trials.)"""
    if entry.parent == path / "trials":
        return entry.name == "summary" or entry.name.strip(".").isdigit()
    return entry.parent == path and entry.name in SWEEP_FOLDERS


def _refuse_foreign_entries(path: Path) -> None:
    """Raise `UserError` for links, pipes and devices in the folder.

    Writing or removing something through a link would change a file elsewhere. The queue of jobs follows
    none, and workers that still live change it meanwhile.
    """
    for entry, status in entries_below(path):
        if path / QUEUE_FOLDER in entry.parents:
            continue
        _refuse_foreign_entry(path, entry, status)


def _refuse_foreign_entry(path: Path, entry: Path, status: os.stat_result) -> None:
    is_file, is_folder = stat.S_ISREG(status.st_mode), stat.S_ISDIR(status.st_mode)
    if entry == path / LOCK_FILE and not is_file and not is_folder:
        return  # left by a killed Optuna
    if not is_folder:
        refuse_link(entry, status)
    if is_folder and entry.parent == path and entry.name in SWEEP_FILES:
        raise UserError(f"'{entry}' is a folder, where a file should be: move it away")
    if is_file and _is_folder_name(path, entry):
        raise UserError(f"'{entry}' is a file, where nnlab writes a folder: move it away")


def read_curves(path: Path) -> dict[int, dict[str, list[float]]]:
    """The curves of every trial, by number; None where they were not finite. Other lines are left out, as
    half a line, of a process that was killed. Raises `UserError` where they do not fit into memory."""
    file, free = path / CURVES_FILE, available_memory()
    if not os.path.lexists(file):
        return {}
    curves, count = {}, 0
    for _, line in read_lines(file, LONGEST_CURVES):
        with contextlib.suppress(ValueError, RecursionError):
            curves_of_trial = json.loads(line.decode(errors="replace"))
            if _are_curves(curves_of_trial):
                curves[curves_of_trial.pop("trial")] = curves_of_trial
                count += sum(map(len, curves_of_trial.values()))
        if free is not None and BYTES_PER_NUMBER * count > free / 2:
            raise UserError(f"'{file}' has more than {count:,} numbers, which do not fit into memory")
    return curves


def _are_curves(curves_of_trial) -> bool:
    """Whether it is a dict of a trial's number and equally long lists of numbers."""
    if not isinstance(curves_of_trial, dict) or type(curves_of_trial.get("trial")) is not int:
        return False
    curves = [curve for name, curve in curves_of_trial.items() if name != "trial"]
    return (
        all(isinstance(curve, list) for curve in curves)
        and len({len(curve) for curve in curves}) <= 1
        and all(value is None or is_number(value) for curve in curves for value in curve)
    )
