"""A sweep's folder, written: what was asked, finished trials, curves; and the lock of the process."""

from __future__ import annotations

import errno
import json
import os
import secrets
import warnings
from pathlib import Path

from nnlab.errors import Advice, UserError
from nnlab.records.csv_text import CsvTable
from nnlab.records.files import open_to_append, plain, replacing, write_json
from nnlab.records.run_folder import write_begin

try:
    import fcntl
except ImportError:  # not on this system: then nothing is locked
    fcntl = None

SWEEP_FILE, CURVES_FILE, TRIALS_FILE = "sweep.json", "curves.jsonl", "trials.csv"
LOCK_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)  # by another process


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
        if (self.path / SWEEP_FILE).exists():
            raise UserError(f"'{self.path}' holds a sweep already: go on with it by resume=, or take another")
        about = {"id": secrets.token_hex(8), **known}
        write_begin(self.path, config, command)
        self.about(about)
        return about

    def about(self, about: dict) -> None:
        """Write sweep.json."""
        write_json(self.path / SWEEP_FILE, about)

    def curves(self, lines: dict[int, dict[str, list[float]]]) -> None:
        """Append the curves of trials; of one that is there twice the last counts."""
        with open_to_append(self.path / CURVES_FILE) as file:
            for number, curves in lines.items():
                line = json.dumps(plain({"trial": number, **curves}), allow_nan=False)
                file.write(f"{line}\n".encode())

    def trials(self, trials: list, keys: list[str], objectives: tuple[str, ...]) -> None:
        """Write trials.csv anew."""
        with (
            replacing(self.path / TRIALS_FILE) as aside,
            open(aside, "w", newline="", encoding="utf-8") as file,
        ):
            # A searched `epochs` is a column already.
            spreads = [f"{name}_std" for name in objectives]
            trained = "epochs_trained" if "epochs" in keys else "epochs"
            heads = ["trial", "state", *objectives, *spreads, "rows", trained, *keys, "reason"]
            table = CsvTable(file)
            table.line(heads)
            table.lines(_line(trial, keys, len(objectives)) for trial in trials)

    def append_trials(self, trials: list, keys: list[str], objectives: tuple[str, ...]) -> None:
        """Append finished trials to trials.csv."""
        with open(self.path / TRIALS_FILE, "a", newline="", encoding="utf-8") as file:
            CsvTable(file).lines(_line(trial, keys, len(objectives)) for trial in trials)


def _line(trial, keys: list[str], count: int) -> list:
    values = [*trial.values, *[""] * (count - len(trial.values))]
    spread = ["" if std is None else std for std in trial.spread] + [""] * (count - len(trial.spread))
    params = [trial.params.get(key, "") for key in keys]
    numbers = [*values, *spread, trial.rows, trial.epochs]
    return [trial.number, trial.state, *numbers, *params, trial.reason]


def _locked(path: Path):
    """A lock on the folder, which the system takes back when this process ends, however it ends.

    Of the kind that a fork does not inherit, so that no worker keeps it. Raises `UserError` if it is taken.
    """
    if fcntl is None:
        return None
    file = open(path / ".lock", "a+")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in LOCK_TAKEN:
            file.close()
            raise UserError(f"'{path}' is being written to by another nnlab sweep") from e
        warnings.warn(
            f"the file system of '{path}' has no locks ({e.strerror}): make sure that no other nnlab sweep "
            f"writes there meanwhile",
            Advice,
            stacklevel=2,
        )
    os.set_inheritable(file.fileno(), False)
    return file
