"""Loads the trained rows of a run, from its folder or its `Fit`. A folder may be a stranger's."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nnlab.autodiff.graph import Graph
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, advise, nearest, shortened
from nnlab.experiment import DEFAULT_THRESHOLD, MAX_EVALUATION_BATCH, evaluation_batch_size
from nnlab.records.run_folder import WEIGHTS_FILE
from nnlab.records.stored_run import StoredRun
from nnlab.training.calibration import Calibration, calibration_fault
from nnlab.training.fit import Fit
from nnlab.untrusted import is_count

MAX_DEVIATIONS = 1e6  # the largest limit of a normaliser's linear range that float32 can handle


@dataclass(frozen=True)
class TrainedRow:
    """One trained network of a run, with the weights of its best epoch.

    status  finished, stopped or diverged (see `Result`); interrupted, if the run was
    epoch   its best; 0 if it diverged before the first one ended well: its weights are then the initial ones
    """

    number: int
    seed: int
    repeat: int
    fold: int
    status: str
    epoch: int
    weights: dict[str, np.ndarray] = field(repr=False)
    normalizer: dict[str, np.ndarray] = field(repr=False)
    calibration: Calibration = field(repr=False)
    batch: int = field(
        default=MAX_EVALUATION_BATCH, repr=False
    )  # the number of examples that it evaluates at once

    @property
    def is_usable(self) -> bool:
        """Whether it is among the rows that are averaged."""
        return self.status != "diverged" and self.epoch > 0


def mean_threshold(rows: list[TrainedRow]) -> float | None:
    """The threshold of two classes that averaged rows have; None where all take the likeliest class."""
    if not any("threshold" in row.calibration for row in rows):
        return None
    return float(np.mean([row.calibration.get("threshold", DEFAULT_THRESHOLD) for row in rows]))


def load_rows_from_fit(fit: Fit, number: int) -> list[TrainedRow]:
    """The rows of a fit's experiment of that number; raises `UserError` where none has ended."""
    results = [result for result in fit.results if fit.experiment_of_row[result.row] == number]
    count = int((fit.experiment_of_row == number).sum())
    if not results:
        raise UserError(f"{fit}: no row has ended yet; fit.run() trains to the end, fit.stop() ends here")
    if not all(result.weights for result in results):
        raise UserError(f"{fit}: its rows are candidates of a search, of which no weights are kept")
    if len(results) < count:
        advise(f"{len(results)} of {count} rows have ended: the others are left out")
    first = int(np.flatnonzero(fit.experiment_of_row == number)[0])
    return [
        TrainedRow(
            result.row - first, result.seed, result.repeat, result.fold, result.status, result.best_epoch,
            result.weights, _add_centers(result.normalizer), result.calibration,
            _evaluation_batch(result.examples),
        )
        for result in sorted(results, key=lambda result: result.row)
    ]  # fmt: skip


def load_rows_from_run(run: StoredRun, rows: list[dict], graph: Graph, spec: DataSpec) -> list[TrainedRow]:
    """These `rows` of a run folder; raises `UserError` unless its weights are those of the experiment's
    graph."""
    layout = graph.layout()
    shapes = {name: leaf.leaf.shape for name, leaf in (layout.parameters | layout.buffers).items()}
    trained = [_load_row(run, row, shapes, spec) for row in rows]
    if not trained:
        raise UserError(f"'{run.path / 'rows.json'}' has no rows: nothing was trained")
    if not run.ended:
        advise(f"'{run.path}': the run did not end; its weights are those of the best epochs until then")
    return trained


def _load_row(run: StoredRun, row: dict, shapes: dict[str, tuple], spec: DataSpec) -> TrainedRow:
    """A row of rows.json with its arrays, of which the weights have these shapes."""
    number, file = row["row"], run.path / WEIGHTS_FILE
    if number not in run.weights:
        raise UserError(f"'{file}' has no weights of row {number}, which rows.json has")
    weights, normalizer, calibration = (
        arrays[number] for arrays in (run.weights, run.normalizer, run.calibration)
    )
    if fault := calibration_fault(calibration, spec):
        raise UserError(f"'{file}': row {number}, calibration, has {fault}")
    _refuse_other_arrays(f"'{file}': row {number}", weights, shapes)
    _refuse_wrong_normalizer(f"'{file}': row {number}, normalizer", normalizer, spec)
    repeat, fold = (row.get(key, 0) for key in ("repeat", "fold"))
    if not (is_count(repeat) and is_count(fold)):
        rows_file = run.path / "rows.json"
        raise UserError(f"'{rows_file}': row {number} has a repeat or a fold that is not a whole number")
    return TrainedRow(
        number, row["seed"], repeat, fold, row["status"], row["best_epoch"],
        weights, _add_centers(normalizer), calibration, _evaluation_batch(row.get("examples")),
    )  # fmt: skip


def _evaluation_batch(examples) -> int:
    """How many examples the row evaluated at once, by the sizes of its sets; folders that are older than
    these get the most."""
    sizes = examples if isinstance(examples, dict) else {}
    monitored = sizes.get("validation") or sizes.get("train")
    return evaluation_batch_size(monitored) if is_count(monitored) and monitored else MAX_EVALUATION_BATCH


def _add_centers(normalizer: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The normaliser with the centers, which earlier folders do not have: then means are subtracted first."""
    centers = {"center": normalizer["mean"], "target_center": normalizer["target_mean"]}
    return centers | normalizer


def _refuse_other_arrays(where: str, arrays: dict[str, np.ndarray], shapes: dict) -> None:
    """Raise `UserError` unless these are finite arrays of these names and shapes."""
    for name in arrays.keys() - shapes.keys():
        raise UserError(
            f"{where} has the array '{shortened(name)}', which its experiment does not{nearest(name, shapes)}"
        )
    for name, shape in shapes.items():
        if name not in arrays:
            raise UserError(
                f"{where} has no array '{name}', which its experiment needs: an earlier version wrote the "
                f"folder, or it is damaged; train it again, by the line in its command.txt"
            )
        if arrays[name].shape != shape:
            raise UserError(
                f"{where}: '{name}' has the shape {arrays[name].shape}, and its experiment needs {shape}"
            )
        if not np.isfinite(arrays[name]).all():
            raise UserError(f"{where}: '{name}' has numbers that are not finite")


def _refuse_wrong_normalizer(where: str, normalizer: dict[str, np.ndarray], spec: DataSpec) -> None:
    shapes = {"mean": (spec.inputs,), "scale": (spec.inputs,)}
    shapes |= {"target_mean": (spec.outputs,), "target_scale": (spec.outputs,)}
    further = {"center": (spec.inputs,), "target_center": (spec.outputs,), "linear": (), "bound": ()}
    shapes |= {name: shape for name, shape in further.items() if name in normalizer}
    slots = [len(column.slots) for column in spec.encoding.code_columns for _ in range(column.codes)]
    if spec.columns:
        seen = len(spec.encoding.flag_positions) + len(spec.encoding.plain_positions)
        shapes |= {"fill": (spec.encoding.numbers,), "slots": (len(slots),), "seen": (seen,)}
    _refuse_other_arrays(where, normalizer, shapes)
    if spec.columns:
        _refuse_wrong_slots(where, normalizer["slots"], np.array(slots))
    for name in ("scale", "target_scale", "linear", "bound"):
        if name in normalizer and not (normalizer[name] > 0).all():
            raise UserError(f"{where}: '{name}' has numbers that are not above 0")
    for name in ("linear", "bound"):
        if name in normalizer and normalizer[name] > MAX_DEVIATIONS:
            raise UserError(f"{where}: '{name}' is {float(normalizer[name]):g}, far above 5")


def _refuse_wrong_slots(where: str, slots: np.ndarray, counts: np.ndarray) -> None:
    """Raise `UserError` unless these are slots of columns that have so many, or -1."""
    if (slots != np.floor(slots)).any() or (slots < -1).any() or (slots >= counts).any():
        raise UserError(f"{where}: 'slots' has numbers that are no slots of its columns")
