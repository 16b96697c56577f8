"""A sweep's folder: what was asked, every told trial, the curves; and the lock of the process that writes."""

from __future__ import annotations

import csv
import json
import math
import os
import secrets
from pathlib import Path

from nnlab.errors import UserError, visible
from nnlab.records.run_folder import open_to_append, plain, replacing, write_begin, write_json

LOCK = "study.journal.lock"
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # begin what a spreadsheet computes
SWEEP, CURVES, TRIALS = "sweep.json", "curves.jsonl", "trials.csv"


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

    def told(self, trials: list, keys: list[str], objectives: tuple[str, ...]) -> None:
        """Append told trials to trials.csv."""
        with open(self.path / TRIALS, "a", newline="", encoding="utf-8") as file:
            write = csv.writer(file, lineterminator="\n")
            write.writerows(_line(trial, keys, len(objectives)) for trial in trials)


def begun(path: Path) -> tuple[dict, dict]:
    """What a sweep's folder says of it: sweep.json, and its settings. Raises `UserError`."""
    import yaml

    if not (path / SWEEP).is_file():
        raise UserError(f"'{path}' is no folder of a sweep: it has no {SWEEP}")
    for inside in [*path.glob("*"), *path.glob("trials/*")]:
        # What is written or removed below a link would be elsewhere. A killed Optuna leaves one: its lock.
        if inside.is_symlink() and inside.name != LOCK:
            raise UserError(f"'{inside}' is a link: nnlab goes on in folders of its own making only")
    try:
        about = json.loads((path / SWEEP).read_text(encoding="utf-8"))
        config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
        texts = [about["id"], about["study"], *about["words"]]
        if not all(isinstance(text, str) for text in texts) or "storage" not in config:
            raise ValueError("it does not say how the sweep began")
        return about, config
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as e:
        raise UserError(f"'{path}' is damaged: {type(e).__name__}: {e}") from e


def read_curves(path: Path) -> dict[int, dict[str, list[float]]]:
    """The curves of every trial, by number; None where they were not finite."""
    file = path / CURVES
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = {}
    for line in lines:
        try:
            read = json.loads(line)
            found[int(read.pop("trial"))] = read
        except (ValueError, TypeError, AttributeError, KeyError):
            continue  # half a line, of a process that was killed
    return found


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
        file.close()
        raise UserError(f"'{path}' is being written to by another nnlab sweep") from e
    os.set_inheritable(file.fileno(), False)
    return file
