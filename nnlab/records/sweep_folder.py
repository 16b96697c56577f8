"""A sweep's folder: what was asked, every told trial, the curves; and the lock of the process that writes."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import math
import os
import secrets
import stat
import warnings
from pathlib import Path

from nnlab.allowed import Allowed, checked
from nnlab.errors import Advice, UserError, visible
from nnlab.records.files import open_to_append, plain, replacing, write_json
from nnlab.records.run_folder import write_begin
from nnlab.untrusted import is_number, json_of, yaml_of

LOCK = "study.journal.lock"
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # begin what a spreadsheet computes
SWEEP, CURVES, TRIALS = "sweep.json", "curves.jsonl", "trials.csv"
FILES = (SWEEP, CURVES, TRIALS, "config.yaml", "command.txt", "study.journal", "report.html", ".lock", LOCK)
FOLDERS = ("best", ".best", "trials", ".hydra")
TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)  # by another process

ABOUT = {
    "id": (str, Allowed()),
    "study": (str, Allowed()),
    "words": (tuple[str, ...], Allowed()),
    "batch": (int, Allowed(low=1)),
    "rules": (int, Allowed(low=1)),
    "count": (int, Allowed(low=1)),
    "config_dir": (str | None, Allowed()),
}
SETTINGS = {"storage": (str | None, Allowed())}
NEEDED = ("id", "study", "words")


class SweepFolder:
    """The files of one sweep.

    config.yaml      the settings, resolved, and the space     command.txt   the line that began it
    sweep.json       its words and id; at the end what came of it, and where the time went
    curves.jsonl     a line for each trial: its curves, means over its rows
    trials.csv       a line for each trial: parameters, objectives, why it failed
    study.journal    the Optuna study (`search.ledger`)
    best/            the winner's run folder; report.html; trials/, for TensorBoard
    """

    def __init__(self, path):
        self.path = Path(path)
        self._lock = _locked(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._lock is not None:
            self._lock.close()

    def start(self, config: dict, command: str, known: dict) -> dict:
        """Write what a sweep begins with; `known` is what `resume` needs, to which an id is added."""
        if (self.path / SWEEP).exists():
            raise UserError(f"'{self.path}' holds a sweep already: go on with it by resume=, or take another")
        about = {"id": secrets.token_hex(8), **known}
        write_begin(self.path, config, command)
        self.about(about)
        return about

    def about(self, about: dict) -> None:
        """Write sweep.json."""
        write_json(self.path / SWEEP, about)

    def curves(self, lines: dict[int, dict[str, list[float]]]) -> None:
        """Append the curves of trials about to be told; of a trial that is there twice the last counts."""
        with open_to_append(self.path / CURVES) as file:
            each = [plain({"trial": n, **curves}) for n, curves in lines.items()]
            text = [json.dumps(line, allow_nan=False) + "\n" for line in each]
            file.write("".join(text).encode())

    def trials(self, trials: list, keys: list[str], objectives: tuple[str, ...]) -> None:
        """Write trials.csv anew."""
        with replacing(self.path / TRIALS) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
            write = csv.writer(file, lineterminator="\n")
            spreads = [f"{name}_std" for name in objectives]
            trained = "epochs_trained" if "epochs" in keys else "epochs"
            heads = ["trial", "state", *objectives, *spreads, "rows", trained, *keys, "reason"]
            write.writerow(map(_cell, heads))
            write.writerows(_line(trial, keys, len(objectives)) for trial in trials)

    def append_trials(self, trials: list, keys: list[str], objectives: tuple[str, ...]) -> None:
        """Append told trials to trials.csv."""
        with open(self.path / TRIALS, "a", newline="", encoding="utf-8") as file:
            write = csv.writer(file, lineterminator="\n")
            write.writerows(_line(trial, keys, len(objectives)) for trial in trials)


def begun(path: Path) -> tuple[dict, dict]:
    """What a sweep's folder says of it: sweep.json, and its settings. Raises `UserError`.

    The folder may be somebody else's, or edited by hand: what is returned has the types that its readers
    count on, and whatever lies in the folder is its own.
    """
    if not (path / SWEEP).exists():
        raise UserError(f"'{path}' is no folder of a sweep: it has no {SWEEP}")
    _refuse_what_is_elsewhere(path)
    about, config = json_of(path / SWEEP), yaml_of(path / "config.yaml")
    for name, tree, keys in ((SWEEP, about, ABOUT), ("config.yaml", config, SETTINGS)):
        if not isinstance(tree, dict):
            raise UserError(f"'{path / name}' holds no keys with values")
        for key, (type_, allowed) in keys.items():
            if key in tree or key in NEEDED:
                tree[key] = checked(tree.get(key), type_, allowed, f"'{path / name}': {key}")
    about["words"] = list(about["words"])
    texts = config.get("space")
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise UserError(f"'{path / 'config.yaml'}': space is not keys with their values as text")
    return about, config


def _is_folders_name(path: Path, inside: Path) -> bool:
    """Whether nnlab makes a folder of that name: others may put files beside the trials."""
    of_trials = inside.parent == path / "trials" and (
        inside.name == "summary" or inside.name.strip(".").isdigit()
    )
    return of_trials or (inside.parent == path and inside.name in FOLDERS)


def _refuse_what_is_elsewhere(path: Path) -> None:
    """What is written or removed below a link would be elsewhere, and so is what a hard link has; nothing is
    read from a pipe or a device. A killed Optuna leaves a link of its own: its lock."""
    for folder, names, files in os.walk(path):
        for name in [*names, *files]:
            inside = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):  # it was there a moment ago
                about = inside.lstat()
                if stat.S_ISLNK(about.st_mode) and inside != path / LOCK:
                    raise UserError(f"'{inside}' is a link: nnlab goes on in folders of its own making only")
                if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode) or inside == path / LOCK):
                    raise UserError(f"'{inside}' is neither a file nor a folder")
                if stat.S_ISREG(about.st_mode) and about.st_nlink > 1:
                    raise UserError(
                        f"'{inside}' is a hard link, the same file as another elsewhere: make a copy of the "
                        f"folder (cp -r), and go on in that"
                    )
                if inside.parent == path and name in FILES and stat.S_ISDIR(about.st_mode):
                    raise UserError(f"'{inside}' is a folder, where a file should be: move it away")
                if stat.S_ISREG(about.st_mode) and _is_folders_name(path, inside):
                    raise UserError(f"'{inside}' is a file, where nnlab writes a folder: move it away")


def read_curves(path: Path) -> dict[int, dict[str, list[float]]]:
    """The curves of every trial, by number; None where they were not finite. Lines that are no curves are
    left out: half a line, of a process that was killed."""
    file = path / CURVES
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    found = {}
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            read = json.loads(line)
            if _are_curves(read):
                found[read.pop("trial")] = read
    return found


def _are_curves(read) -> bool:
    """A trial's number, and lists of numbers, equally long."""
    if not isinstance(read, dict) or type(read.get("trial")) is not int:
        return False
    curves = [curve for name, curve in read.items() if name != "trial"]
    return (
        all(isinstance(curve, list) for curve in curves)
        and len({len(curve) for curve in curves}) <= 1
        and all(value is None or is_number(value) for curve in curves for value in curve)
    )


def _line(trial, keys: list[str], count: int) -> list:
    values = [*trial.values, *[""] * (count - len(trial.values))]
    spread = ["" if s is None else s for s in trial.spread] + [""] * (count - len(trial.spread))
    params = [_cell(trial.params[key]) if key in trial.params else "" for key in keys]
    end = [*params, _cell(trial.reason)]
    return [trial.number, trial.state, *values, *spread, trial.rows, trial.epochs, *end]


def _cell(label):
    """A value as a cell. A word that a spreadsheet would compute, =1+1, gets an apostrophe in front, by which
    spreadsheets know text; numbers stay."""
    if isinstance(label, str):
        return f"'{visible(label)}" if label[:1] in FORMULAS and not _is_number(label) else visible(label)
    return "null" if label is None else str(label).lower() if isinstance(label, bool) else label


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _locked(path: Path):
    """A lock on the folder, which the system takes back when this process ends, however it ends.

    Of the kind that a fork does not inherit, so that no worker keeps it. Raises `UserError` if it is taken.
    """
    try:
        import fcntl
    except ImportError:  # not on this system
        return None
    file = open(path / ".lock", "a+")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in TAKEN:
            file.close()
            raise UserError(f"'{path}' is being written to by another nnlab sweep") from e
        warnings.warn(
            f"the file system of '{path}' has no locks ({e.strerror}): see to it that no other nnlab sweep "
            f"writes there meanwhile",
            Advice,
            stacklevel=2,
        )
    os.set_inheritable(file.fileno(), False)
    return file
