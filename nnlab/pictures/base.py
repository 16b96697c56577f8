"""`Picture`, the base of what `show=[...]` draws of trained runs, and `ShownRun`, a run as it sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from nnlab.data.dataset import Dataset
from nnlab.data.spec import DataSpec
from nnlab.data.splits import Fold
from nnlab.errors import UserError, list_names
from nnlab.experiment import Experiment
from nnlab.prediction.loading import load
from nnlab.prediction.model import TrainedModel
from nnlab.records.run_summaries import brief_names
from nnlab.records.stored_run import StoredRun
from nnlab.training.data_cache import DataCache


@dataclass(frozen=True)
class ShownRun:
    """A run to be drawn. Everything is read from its folder when it is asked for.

    name    the overrides in which it differs from the other runs; "" where it is alone
    stored  its settings, experiment, spec, curves, weights, rows, summary
    cache   of the data, which runs of one command share
    """

    name: str
    stored: StoredRun
    cache: DataCache = field(default_factory=DataCache, repr=False)

    @cached_property
    def model(self) -> TrainedModel:
        """The trained rows, as `nnlab.load` gives them."""
        return load(self.stored)

    @property
    def dataset(self) -> Dataset:
        """The examples, read again as its settings say."""
        return self.cache.load_data(self.stored.experiment)

    def fold(self, row: int) -> Fold:
        """The examples that trained, validated and tested the row of that number."""
        result = next((result for result in self.stored.rows if result["row"] == row), None)
        key = result and (result.get("repeat", 0), result.get("fold", 0))
        for fold in self.cache.folds(self.stored.experiment):
            if fold.key == key:
                return fold
        raise UserError(f"'{self.stored.path}' has no row {row} on a fold of its data")


def shown_runs(folders: dict[str, Path], cache: DataCache | None = None) -> list[ShownRun]:
    """The runs in these folders, by their names; `cache` has the data that are loaded already."""
    cache = cache or DataCache()
    names = brief_names([*folders]) if len(folders) > 1 else [""]
    return [
        ShownRun(name, StoredRun(path), cache) for name, path in zip(names, folders.values(), strict=True)
    ]


class Picture(ABC):
    """What `show=[NAME]` draws of the runs of a command when they have ended.

    `summary` is its line in `nnlab train show --help`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def refuse(self, experiment: Experiment, spec: DataSpec) -> None:
        """Raise `UserError`, before training, where it cannot be drawn of such a run."""
        return  # of any run, unless a picture says otherwise

    @abstractmethod
    def draw(self, runs: list[ShownRun]) -> bytes:
        """A PNG of all these runs."""


def trained_runs(runs: list[ShownRun]) -> tuple[list[ShownRun], str]:
    """The runs of which some row did not diverge, and a note on the others. Raises `UserError` for none."""
    trained = [run for run in runs if any(row.is_usable for row in run.model.rows)]
    if not trained:
        raise UserError("all rows diverged, so there is nothing to draw")
    diverged = [run.name for run in runs if run not in trained]
    return trained, f"diverged, and not drawn: {list_names(diverged)}" if diverged else ""


def are_numbers(spec: DataSpec, count: int) -> bool:
    """Whether an example is so many numbers, none of which can be missing: an axis for each."""
    numeric = not spec.columns or spec.encoding.numbers == spec.inputs
    return numeric and spec.raw_shape == (count,) and spec.inputs == count


def describe_inputs(spec: DataSpec) -> str:
    """`have 64 inputs`; of a table with categories or holes, which make more, both numbers."""
    inputs = f"{spec.inputs:,} input{'s' * (spec.inputs != 1)}"
    columns = sum(column.is_input for column in spec.columns)
    if not columns or columns == spec.inputs:
        return f"have {inputs}"
    return f"have {columns:,} column{'s' * (columns != 1)}, {inputs} with those for categories and holes"
