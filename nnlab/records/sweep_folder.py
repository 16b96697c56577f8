"""`SweepFolder`: writes a sweep's folder of settings, finished trials and curves, and locks it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from nnlab.errors import UserError
from nnlab.records.csv_text import CsvTable
from nnlab.records.files import atomic_write, open_to_append, to_jsonable, write_json
from nnlab.records.locking import open_locked
from nnlab.records.run_folder import write_start_files

LOCK_FILE = ".lock"
SWEEP_FILE, CURVES_FILE, TRIALS_FILE = "sweep.json", "curves.jsonl", "trials.csv"


class SweepFolder:
    """The files of one sweep.

    config.yaml      resolved settings and search space        command.txt   the command that began it
    sweep.json       its overrides and id; at the end the outcome and the timing
    curves.jsonl     a line per trial: its curves, means over its rows
    trials.csv       a line per trial: parameters, objectives, why it failed
    study.journal    the Optuna study (`search.ledger`)
    best/            the winner's run folder; report.html; trials/, for TensorBoard
    """

    def __init__(self, path):
        self.path = Path(path)
        self._lock = open_locked(self.path / LOCK_FILE, "nnlab sweep")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lock.close()

    def start(self, config: dict, command: str, resume_info: dict) -> dict:
        """Write the first files; `resume_info` is what resuming needs. Returns it with an id added."""
        if (self.path / SWEEP_FILE).exists():
            raise UserError(f"'{self.path}' holds a sweep already: go on with it by resume=, or take another")
        about = {"id": secrets.token_hex(8), **resume_info}
        write_start_files(self.path, config, command)
        self.write_about(about)
        return about

    def write_about(self, about: dict) -> None:
        """Write sweep.json."""
        write_json(self.path / SWEEP_FILE, about)

    def append_curves(self, lines: dict[int, dict[str, list[float]]]) -> None:
        """Append the curves of trials; if a trial is there twice, the last line counts."""
        with open_to_append(self.path / CURVES_FILE) as file:
            for number, curves in lines.items():
                line = json.dumps(to_jsonable({"trial": number, **curves}), allow_nan=False)
                file.write(f"{line}\n".encode())

    def write_trials(self, trials: list, keys: list[str], objectives: tuple[str, ...]) -> None:
        """Write trials.csv from scratch."""
        with (
            atomic_write(self.path / TRIALS_FILE) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            # A searched `epochs` already has a column of that name.
            spreads = [f"{name}_std" for name in objectives]
            epochs_column = "epochs_trained" if "epochs" in keys else "epochs"
            headings = ["trial", "state", *objectives, *spreads, "rows", epochs_column, *keys, "reason"]
            table = CsvTable(file)
            table.line(headings)
            table.lines(_trial_cells(trial, keys, len(objectives)) for trial in trials)

    def append_trials(self, trials: list, keys: list[str], objectives: tuple[str, ...]) -> None:
        """Append finished trials to trials.csv."""
        with open(self.path / TRIALS_FILE, "a", newline="", encoding="utf-8") as file:
            CsvTable(file).lines(_trial_cells(trial, keys, len(objectives)) for trial in trials)


def _trial_cells(trial, keys: list[str], count: int) -> list:
    values = [*trial.values, *[""] * (count - len(trial.values))]
    spread = ["" if std is None else std for std in trial.spread] + [""] * (count - len(trial.spread))
    params = [trial.params.get(key, "") for key in keys]
    numbers = [*values, *spread, trial.rows, trial.epochs]
    return [trial.number, trial.state, *numbers, *params, trial.reason]
