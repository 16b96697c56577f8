"""A run folder, read: the inverse of `RunFolder`. It may be somebody else's, or edited by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnlab.data.spec import FILE as SPEC
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.records.run_folder import METRICS, NORMALIZER, WEIGHTS
from nnlab.untrusted import LARGEST_FILES, is_number, json_of, text_of, yaml_of

if TYPE_CHECKING:
    from nnlab.experiment import Experiment

FILES = ("config.yaml", METRICS, WEIGHTS, "summary.json")  # one of which every run has
LONGEST_COMMAND = 2**20  # bytes of command.txt
ROW_KEYS = {
    "row": int,
    "seed": int,
    "epochs": int,
    "best_epoch": int,
    "status": str,
    "best": dict,
    "test": dict,
}


class StoredRun:
    """What a run folder says. Each file is read when it is first asked for; whatever is wrong with one, or
    missing, is a `UserError` that names it.

        run = StoredRun("outputs/train/2026-11-26_12-00-00")
        run.experiment, run.spec           what was trained, on data of which kind (None in old folders)
        run.settings, run.command          config.yaml; the line that repeats it
        run.ended, run.summary, run.rows   of a run that ended: summary.json and rows.json
        run.curves("val_loss")             (rows, epochs), NaN where a row did not train
        run.weights[row][name]             of the best epochs
        run.normalizer[row][name]          what inputs and targets were normalised by

    A run that was interrupted has no summary, and the rows and weights that were kept, if any; one that was
    killed only curves. Nothing outside of the folder is read, whatever lies in it.
    """

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserError(f"'{path}' is not a folder; expected that of a run")
        if not any((self.path / name).exists() for name in FILES):
            raise UserError(f"'{path}' is not the folder of a run: it has none of {', '.join(FILES)}")

    @cached_property
    def settings(self) -> dict:
        """Those of the command, as they were resolved."""
        tree = yaml_of(self._file("config.yaml"))
        return self._checked("config.yaml", tree, dict, "keys and values")

    @cached_property
    def experiment(self) -> Experiment:
        """What was trained. Other settings are the command's own."""
        from nnlab.experiment import Experiment  # and torch, which whoever looks at curves need not wait for

        known = {f.name for f in fields(Experiment)}
        try:
            return Experiment.from_config({k: v for k, v in self.settings.items() if k in known})
        except UserError as e:
            raise UserError(f"'{self.path / 'config.yaml'}': {e}") from e

    @cached_property
    def command(self) -> str:
        return text_of(self._file("command.txt"), LONGEST_COMMAND).rstrip("\n")

    @cached_property
    def spec(self) -> DataSpec | None:
        """What the data are like; None where the folder is older than that."""
        if not (self.path / SPEC).exists():
            return None
        return DataSpec.from_json(json_of(self._file(SPEC)), f"'{self.path / SPEC}'")

    @property
    def ended(self) -> bool:
        return (self.path / "summary.json").is_file()

    @cached_property
    def summary(self) -> dict:
        return self._checked("summary.json", json_of(self._file("summary.json")), dict, "keys and values")

    @cached_property
    def rows(self) -> list[dict]:
        """How each row ended, as `Result` has it, but for weights."""
        rows = self._checked("rows.json", json_of(self._file("rows.json")), list, "a list of rows")
        for row in rows:
            missing = [key for key, kind in ROW_KEYS.items() if not self._has(row, key, kind)]
            if missing:
                raise UserError(f"'{self.path / 'rows.json'}': a row has no {missing[0]}, or not of its type")
        return rows

    def curves(self, name: str, refit: bool = False) -> np.ndarray:
        """A metric as (rows, epochs), NaN where a row did not train, or it was not finite; of the search for
        the best epochs, or of the `refit` after it."""
        lines = [line for line in self._lines if bool(line.get("refit")) == refit]
        values = np.full((self._row_count, max((line["epoch"] for line in lines), default=0)), np.nan)
        for line in lines:
            if is_number(line.get(name)):
                values[line["row"], line["epoch"] - 1] = line[name]
        return values

    @property
    def metrics(self) -> list[str]:
        """The names of the curves."""
        return list(
            dict.fromkeys(key for line in self._lines for key in line if key not in ("epoch", "row", "refit"))
        )

    @property
    def weights(self) -> dict[int, dict[str, np.ndarray]]:
        """Row -> name -> array: parameters and buffers."""
        return self._split(of_normalizer=False)

    @property
    def normalizer(self) -> dict[int, dict[str, np.ndarray]]:
        """Row -> name -> array: mean, scale, perhaps linear; target_mean, target_scale."""
        return self._split(of_normalizer=True)

    # ---- files

    def _file(self, name: str) -> Path:
        file = self.path / name
        if file.is_symlink():
            raise UserError(f"'{file}' is a link: nothing outside of a run's folder is read")
        if not file.exists():
            raise UserError(f"'{self.path}' has no {name}: {self._why_not(name)}")
        if not file.is_file():  # a pipe would be waited for
            raise UserError(f"'{file}' is not a plain file")
        return file

    def _why_not(self, name: str) -> str:
        if name in ("summary.json", "rows.json", WEIGHTS):
            return "the run has not ended, or was interrupted before an epoch ended well"
        return "it is not the whole folder of a run"

    def _checked(self, name: str, tree, kind: type, expected: str):
        if not isinstance(tree, kind):
            raise UserError(f"'{self.path / name}': expected {expected}")
        return tree

    @staticmethod
    def _has(row, key: str, kind: type) -> bool:
        return isinstance(row, dict) and isinstance(row.get(key), kind) and not isinstance(row[key], bool)

    @cached_property
    def _row_count(self) -> int:
        whole = len(self.rows) if (self.path / "rows.json").is_file() else 0
        return max([whole, *(line["row"] + 1 for line in self._lines)])

    @cached_property
    def _lines(self) -> list[dict]:
        """Those of metrics.jsonl, without the half one that a killed process may have left at the end."""
        text = text_of(self._file(METRICS), LARGEST_FILES["JSON"])
        lines = list(self._parsed(text[: text.rfind("\n") + 1]))
        for key, least in (("row", 0), ("epoch", 1)):
            values = [line[key] for line in lines]
            if any(
                not isinstance(v, int) or isinstance(v, bool) or not least <= v < least + len(lines)
                for v in values
            ):
                raise UserError(f"'{self.path / METRICS}': a line's {key} is not one that a run has")
        return lines

    def _parsed(self, text: str) -> Iterator[dict]:
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                tree = json.loads(line)
            except (ValueError, RecursionError) as e:
                raise UserError(f"'{self.path / METRICS}', line {number}, is not JSON") from e
            if not (isinstance(tree, dict) and {"row", "epoch"} <= tree.keys()):
                raise UserError(
                    f"'{self.path / METRICS}', line {number}: expected an epoch, a row and metrics"
                )
            yield tree

    @cached_property
    def _tensors(self) -> dict[tuple[int, str], np.ndarray]:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        file = self._file(WEIGHTS)
        try:
            named = load_file(file)
            return {(int(key.split("/")[1]), key.split("/", 2)[2]): array for key, array in named.items()}
        except (SafetensorError, OSError, ValueError, IndexError, KeyError) as e:
            raise UserError(f"'{file}' does not hold the weights of a run: {e}") from e

    def _split(self, of_normalizer: bool) -> dict[int, dict[str, np.ndarray]]:
        rows: dict[int, dict[str, np.ndarray]] = {row: {} for row, _ in sorted(self._tensors)}
        for (row, name), array in self._tensors.items():
            if name.startswith(NORMALIZER) == of_normalizer:
                rows[row][name.removeprefix(NORMALIZER)] = array
        return rows
