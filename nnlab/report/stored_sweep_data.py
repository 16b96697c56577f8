"""The data of a sweep's page, read from its folder: an interrupted sweep has some, and one in a database too.

The figures need the range of each parameter: it is that of the trials' values.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nnlab.errors import UserError
from nnlab.records.run_path import BEST_FOLDER
from nnlab.records.stored_predictions import read_columns
from nnlab.records.stored_run import COMMAND_BYTES, StoredRun
from nnlab.records.stored_sweep import read_curves, read_sweep
from nnlab.records.sweep_folder import TRIALS_FILE
from nnlab.report.network import network_of
from nnlab.report.run_facts import or_none, task_of
from nnlab.report.sweep_data import ReportData
from nnlab.search.settings import natural_sign
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial
from nnlab.untrusted import read_text, unlinked_file

STATES = (COMPLETE, PRUNED, FAILED)
SIGNS = {"minimize": 1, "maximize": -1}


def stored_sweep_data(folder: Path) -> ReportData:
    """The trials that a sweep's folder has. Raises `UserError`."""
    about, settings = read_sweep(folder)
    columns = read_columns(unlinked_file(folder / TRIALS_FILE))
    objectives, keys = _objectives_and_keys(folder, [*columns])
    command = or_none(_command, folder)
    best = winner_of(folder)
    again = or_none(getattr, best, "command")
    return ReportData(
        title=f"Sweep in {folder.resolve().name}",
        lines=[line for line in (command, again) if line],
        trials=_trials(columns, objectives, keys),
        distributions={key: _distribution(columns[key], settings["space"].get(key, "")) for key in keys},
        directions=_signs(settings, objectives),
        objectives=objectives,
        curves=_curves(folder),
        task=or_none(task_of, best) or "classification",
        network=or_none(network_of, best),
    )


def _command(folder: Path) -> str:
    return read_text(unlinked_file(folder / "command.txt"), COMMAND_BYTES).rstrip()


def winner_of(folder: Path) -> StoredRun | None:
    """The run of the sweep's winner, if it has been trained."""
    best = folder / BEST_FOLDER
    return None if best.is_symlink() else or_none(StoredRun, best)


def _objectives_and_keys(folder: Path, names: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """From the first line: trial, state, objectives, their spreads, rows, epochs, keys, reason."""
    count = names.index(f"{names[2]}_std") - 2 if len(names) > 2 and f"{names[2]}_std" in names else 0
    first_key = 4 + 2 * count  # after rows and epochs
    if names[:2] != ["trial", "state"] or not count or names[-1] != "reason" or len(names) <= first_key:
        raise UserError(f"'{folder / TRIALS_FILE}' is not the table of a sweep's trials")
    return tuple(names[2 : 2 + count]), names[first_key:-1]


def _signs(settings: dict, objectives: tuple[str, ...]) -> tuple[int, ...]:
    """1 for what is minimised, -1 for what is maximised."""
    directions = settings.get("direction", "auto")
    given = directions if isinstance(directions, list) else [directions] * len(objectives)
    given = [*given, *["auto"] * len(objectives)]
    return tuple(
        SIGNS.get(str(direction), natural_sign(name))
        for name, direction in zip(objectives, given, strict=False)
    )


def _trials(columns: dict[str, np.ndarray], objectives: tuple[str, ...], keys: list[str]) -> list[Trial]:
    lists = {name: column.tolist() for name, column in columns.items()}
    epochs = "epochs_trained" if "epochs_trained" in lists and "epochs_trained" not in keys else "epochs"
    trials = []
    for line in range(len(lists["trial"])):
        cells = {name: column[line] for name, column in lists.items()}
        state = cells["state"] if cells["state"] in STATES else FAILED
        values = tuple(_number(cells[name]) for name in objectives)
        is_valued = state != FAILED and not any(math.isnan(value) for value in values)
        spread = tuple(_number_or_none(cells[f"{name}_std"]) for name in objectives)
        trials.append(
            Trial(
                number=int(_number(cells["trial"])),
                params={key: cells[key] for key in keys if not _is_empty(cells[key])},
                state=state if is_valued else FAILED,
                values=values if is_valued else (),
                spread=spread if is_valued else (),
                rows=int(_number_or_none(cells["rows"]) or 0),
                epochs=int(_number_or_none(cells[epochs]) or 0),
                reason="" if _is_empty(cells["reason"]) else str(cells["reason"]),
            )
        )
    return trials


def _distribution(values: np.ndarray, text: str) -> BaseDistribution:
    """The range of a parameter: that of its values, logarithmic where the space says so."""
    if values.dtype.kind not in "if":
        return CategoricalDistribution(sorted({value for value in values.tolist() if value}) or [""])
    if "(" not in text:  # a,b,c
        return CategoricalDistribution(sorted({value for value in values.tolist() if value == value}) or [0])
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0, 0)
    is_log = "log" in text and low > 0
    if values.dtype.kind == "i":
        return IntDistribution(int(low), int(high), log=is_log)
    return FloatDistribution(float(low), float(high), log=is_log)


def _curves(folder: Path) -> dict[int, dict[str, list[float]]]:
    """The curves of every trial, with NaN where they were not finite."""
    return {
        number: {name: [math.nan if v is None else v for v in curve] for name, curve in of_trial.items()}
        for number, of_trial in read_curves(folder).items()
    }


def _is_empty(cell) -> bool:
    return cell == "" or cell != cell


def _number(cell) -> float:
    if isinstance(cell, str):
        if cell == "":
            return math.nan
        try:
            return float(cell)
        except ValueError:
            raise UserError(f"{TRIALS_FILE}: {cell!r:.60} is not a number") from None
    return float(cell)


def _number_or_none(cell) -> float | None:
    number = _number(cell)
    return number if math.isfinite(number) else None
