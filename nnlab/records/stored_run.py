"""`StoredRun`: reads and validates a run folder, which may be a stranger's or edited by hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnlab.allowed import MAX_ROWS
from nnlab.arguments import typed
from nnlab.data.spec import SPEC_FILE, DataSpec
from nnlab.errors import UserError
from nnlab.records.epoch_histograms import EpochHistograms
from nnlab.records.files import RECORDING_KEYS
from nnlab.records.run_folder import (
    CALIBRATION_PREFIX,
    METRICS_FILE,
    NORMALIZER_PREFIX,
    SPLITS_FILE,
    TEST_PREDICTIONS_FILE,
    WEIGHTS_FILE,
)
from nnlab.records.run_path import describe_runs_below
from nnlab.records.speed import SPEED_FILE
from nnlab.records.stored_curves import StoredCurves
from nnlab.records.stored_predictions import read_columns, read_splits
from nnlab.records.stored_weights import read_tensors
from nnlab.records.sweep_folder import SWEEP_FILE
from nnlab.runtime.machine import available_memory
from nnlab.untrusted import is_count, is_number, read_json, read_text, read_yaml, refuse_link

if TYPE_CHECKING:
    from nnlab.experiment import Experiment

RUN_FILES = ("config.yaml", METRICS_FILE, WEIGHTS_FILE, "summary.json")  # every run has at least one
NOT_BEGUN = "no epoch has ended"
NOT_ENDED = "the run has not ended, or was interrupted; nnlab train resume= goes on with it"
WHY_MISSING = {
    METRICS_FILE: NOT_BEGUN,
    "summary.json": NOT_ENDED,
    "rows.json": NOT_ENDED,
    WEIGHTS_FILE: NOT_ENDED,
    TEST_PREDICTIONS_FILE: "predictions=true writes it where it is large, and no run without a test set",
    SPLITS_FILE: "predictions=true writes it where it is large",
}
# What holds where an earlier version wrote a folder, without the key: (group, choice, key, value).
OLD_SETTINGS = [("data", "npz", "channels", "none")]
JSON_MEMORY = 32  # bytes in memory per byte of JSON: 4 for numbers, 25 for empty braces
COMMAND_BYTES = 2**20  # most bytes of command.txt


@typed
class StoredRun:
    """The content of a run folder. Files are read lazily; a missing or damaged one raises `UserError`.

        run = StoredRun("outputs/train/2026-11-26_12-00-00")
        run.experiment, run.spec           what was trained, and the data's spec (None in old folders)
        run.settings, run.command          config.yaml; the command that repeats the run
        run.ended, run.summary, run.rows   of a finished run: summary.json and rows.json
        run.speed                          examples a second, bytes; {} in old folders
        run.curves("val_loss")             (rows, epochs), NaN where a row did not train
        run.histograms(row)[name]          by epoch, where histograms=N has recorded some
        run.weights[row][name]             from the best epochs
        run.normalizer[row][name]          how inputs and targets were normalised
        run.calibration[row][name]         what was fitted on validation examples, such as a temperature
        run.test_predictions["prediction"] what was predicted for the test examples: columns, by name
        run.splits[0]["test"]              the numbers of the examples of the test set of the first fold

    An interrupted run has no summary, but the rows and weights that were saved, if any; a killed run has only
    curves. Nothing outside the folder is read, whatever lies in it.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        try:
            names = os.listdir(path)
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"'{path}' is not a folder; expected the folder of a run") from None
        except (OSError, ValueError) as e:
            raise UserError(f"'{path}' cannot be read: {getattr(e, 'strerror', e)}") from e
        if SWEEP_FILE in names:
            best = f": the run of its winner is '{self.path / 'best'}'" if "best" in names else ""
            raise UserError(f"'{path}' is the folder of a sweep, expected that of a run{best}")
        if not {*names} & {*RUN_FILES}:
            none = f"not the folder of a run: it has none of {', '.join(RUN_FILES)}"
            raise UserError(f"'{path}' is {describe_runs_below(self.path) or none}")

    def __repr__(self) -> str:
        state = "" if self.ended else ", not ended"
        return f"<StoredRun: {self.path}{state}>"

    @cached_property
    def settings(self) -> dict:
        """The resolved configuration of the command."""
        settings = self._checked("config.yaml", read_yaml(self._file("config.yaml")), _settings_fault)
        for group, name, key, value in OLD_SETTINGS:
            part = settings.get(group)
            if isinstance(part, dict) and part.get("name") == name:
                part.setdefault(key, value)
        return settings

    @cached_property
    def experiment(self) -> Experiment:
        """What was trained."""
        from nnlab.experiment import Experiment  # imports torch, which curves do not need

        try:
            return Experiment.from_config({k: v for k, v in self.settings.items() if k not in RECORDING_KEYS})
        except UserError as e:
            raise UserError(f"'{self.path / 'config.yaml'}': {e}") from e

    @cached_property
    def command(self) -> str:
        return read_text(self._file("command.txt"), COMMAND_BYTES).rstrip("\n")

    @cached_property
    def spec(self) -> DataSpec | None:
        """The description of the data; None in folders of old versions."""
        if not self._has(SPEC_FILE):
            return None
        return DataSpec.from_json(read_json(self._file(SPEC_FILE)), f"'{self.path / SPEC_FILE}'")

    @property
    def ended(self) -> bool:
        return self._has("summary.json")

    @cached_property
    def summary(self) -> dict:
        return self._checked("summary.json", read_json(self._file("summary.json")), _summary_fault)

    @cached_property
    def speed(self) -> dict:
        """Seconds and bytes of its training steps, see `nnlab.records.speed`; empty in old folders."""
        if not self._has(SPEED_FILE):
            return {}
        return self._checked(SPEED_FILE, read_json(self._file(SPEED_FILE)), _speed_fault)

    @cached_property
    def rows(self) -> list[dict]:
        """The results of each row, like `Result` without weights; None where a value was not finite."""
        at_most = (available_memory() or 0) // JSON_MEMORY  # 2,000 rows of 100 classes have 210 MB
        return self._checked("rows.json", read_json(self._file("rows.json"), at_most), _rows_fault)

    @cached_property
    def test_predictions(self) -> dict[str, np.ndarray]:
        """The columns of test_predictions.csv: example, target, prediction, ... (see the README)."""
        return read_columns(self._file(TEST_PREDICTIONS_FILE))

    @cached_property
    def splits(self) -> list[dict]:
        """Each fold: repeat, fold, and the example numbers that validate and test it, or are unused; all
        others train it."""
        return read_splits(self._file(SPLITS_FILE))

    @property
    def metrics(self) -> list[str]:
        """The names of the curves."""
        return self._curves.names

    @typed
    def curves(self, name: str, refit: bool = False) -> np.ndarray:
        """A metric as (rows, epochs), NaN where a row did not train or the value was not finite.

        From the first training, or from the `refit`.
        """
        return self._curves.curve(name, refit)

    def thinned_curves(self, most_epochs: int) -> StoredCurves:
        """The curves of some `most_epochs` epochs, evenly spread: to draw a long run without reading all."""
        return StoredCurves(self._file(METRICS_FILE), most_epochs)

    @typed
    def histograms(self, row: int = 0) -> dict[str, EpochHistograms]:
        """By name and epoch: of the row's parameters, `parameters/hidden1.weight`, and of
        its boxes' outputs, `activations/relu1`. Of the first 20 rows, and empty without histograms=N."""
        from nnlab.records.stored_histograms import read_histograms  # imports TensorBoard's messages
        from nnlab.records.tensorboard import row_folders, row_names

        if not self._has("rows"):
            return read_histograms(self.path)
        keys = [(r["seed"], r.get("repeat", 0), r.get("fold", 0)) for r in self.rows]
        if not all(is_count(number) for key in keys for number in key):
            raise UserError(f"'{self.path / 'rows.json'}': a seed, repeat or fold is not a whole number")
        folders = row_folders(row_names(keys))
        if not 0 <= row < len(folders):
            raise UserError(f"row = {row}: '{self.path}' has histograms of the rows 0 to {len(folders) - 1}")
        folder = self.path / folders[row]
        if any(path.is_symlink() for path in (folder, folder.parent)):
            raise UserError(f"'{folder}' is behind a link: nothing outside of the run's folder is read")
        return read_histograms(folder)

    @property
    def weights(self) -> Mapping[int, dict[str, np.ndarray]]:
        """Row -> name -> array: parameters and buffers."""
        return self._tensors[""]

    @property
    def normalizer(self) -> Mapping[int, dict[str, np.ndarray]]:
        """Row -> name -> array: mean, scale, perhaps linear; target_mean, target_scale."""
        return self._tensors[NORMALIZER_PREFIX]

    @property
    def calibration(self) -> Mapping[int, dict[str, np.ndarray]]:
        """Row -> name -> array: temperature, threshold, residuals, as far as they were fitted."""
        return self._tensors[CALIBRATION_PREFIX]

    @cached_property
    def _curves(self) -> StoredCurves:
        return StoredCurves(self._file(METRICS_FILE))

    @cached_property
    def _tensors(self):
        return read_tensors(self._file(WEIGHTS_FILE))

    def _has(self, name: str) -> bool:
        """Whether there is a file, link or folder of that name."""
        return os.path.lexists(self.path / name)

    def _file(self, name: str) -> Path:
        """The path of a file that may be opened."""
        file = self.path / name
        try:
            status = os.lstat(file)
        except FileNotFoundError:
            why = WHY_MISSING.get(name, "it is not the whole folder of a run")
            raise UserError(f"'{self.path}' has no {name}: {why}") from None
        except OSError as e:
            raise UserError(f"'{file}' cannot be read: {e.strerror}") from e
        refuse_link(file, status)
        return file

    def _checked(self, name: str, tree, fault_of):
        if fault := fault_of(tree):
            raise UserError(f"'{self.path / name}': {fault}")
        return tree


def _settings_fault(tree) -> str:
    return "" if isinstance(tree, dict) else "expected keys and values"


def _summary_fault(tree) -> str:
    """What is wrong with the parts of a summary that a comparison table relies on."""
    if not isinstance(tree, dict):
        return "expected keys and values"
    rows, metrics = tree.get("rows"), tree.get("metrics")
    if not isinstance(rows, dict) or not all(is_count(rows.get(key)) for key in ("total", "diverged")):
        return "expected rows, and how many: total, diverged"
    if not isinstance(metrics, dict):
        return "expected metrics, by name"
    for name, metric in metrics.items():
        if not isinstance(metric, dict) or not _are_numbers(metric.values()):
            return f"the metric {name!r:.100} is not a mean and its interval, in numbers"
    return ""


def _speed_fault(tree) -> str:
    return "" if isinstance(tree, dict) and _are_numbers(tree.values()) else "expected numbers, by name"


def _rows_fault(tree) -> str:
    if not isinstance(tree, list) or not all(isinstance(row, dict) for row in tree):
        return "expected a list of rows"
    if not tree:
        return "it has no rows"
    for row in tree:
        missing = [key for key, is_right in ROW_CHECKS.items() if not is_right(row.get(key))]
        if missing:
            return f"a row has no {missing[0]}, or one of another kind"
    if len({row["row"] for row in tree}) < len(tree):
        return "two rows have the same number"
    return ""


def _are_numbers(values) -> bool:
    return all(value is None or is_number(value) for value in values)


ROW_CHECKS = {
    "row": lambda value: is_count(value) and value < MAX_ROWS,
    "seed": lambda value: isinstance(value, int),
    "epochs": is_count,
    "best_epoch": is_count,
    "status": lambda value: isinstance(value, str),
    "best": lambda value: isinstance(value, dict) and _are_numbers(value.values()),
    "test": lambda value: isinstance(value, dict),
}  # the keys of a row, and whether a value is valid
