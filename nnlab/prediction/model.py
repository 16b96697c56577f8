"""`TrainedModel`: predictions of a run's trained rows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cached_property, partial

import numpy as np
import torch

from nnlab.arguments import typed
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, shortened
from nnlab.experiment import Experiment
from nnlab.prediction.intervals import (
    ConformalIntervals,
    folds_with_residuals,
    intervals_of_folds,
)
from nnlab.prediction.new_examples import WrongExample, validate_inputs
from nnlab.prediction.row_stack import RowStack, bind_stacks
from nnlab.prediction.scoring import Scoring
from nnlab.prediction.tables import read_inputs
from nnlab.prediction.trained_rows import (
    TrainedRow,
    mean_threshold,
)
from nnlab.prediction.votes import majority
from nnlab.runtime.devices import device as device_named
from nnlab.runtime.devices import thread_count
from nnlab.runtime.threads import computing
from nnlab.training.thresholds import above_threshold


@typed
class TrainedModel:
    """The trained rows of a run, and what they predict together.

        model = nnlab.load("outputs/train/2026-11-26_12-00-00")
        model.predict(x), model.predict_proba(x)
        model.evaluate(x, y)["accuracy"]
        model.vote(x)

    rows        the trained networks, each a `TrainedRow`: number, seed, repeat, fold, status, epoch
    spec        what the data are like; see `DataSpec`
    experiment  what was trained
    classes     (classes,) the labels, as the data have them; None in a regression

    x is an array (n, d), or (n, *shape) of images, or a table; what was fitted in training is applied to it.
    Of a run on a table with columns (`spec.columns`) it is a data frame with these, of pandas, polars or
    others, or a dict of them; or an array of raw numbers, NaN where one is missing, and codes of categories,
    in the order of `spec.encoding.raw`.
    Columns of a table are matched by name if the run knows the names: their order does not matter, and
    further ones are ignored with an `Advice`. All methods raise `UserError` for a wrong x: another shape, a
    missing column, text, a missing or infinite value.

    Without `row`, the rows that did not diverge are averaged: their probabilities of classes, or the numbers
    that they predict. `row=3` is the row of that number alone. Rows are computed in batches: no
    memory but that for x and the answers grows with the number of examples.

    >>> import nnlab
    >>> fit = nnlab.fit(nnlab.Experiment(data=nnlab.Moons(n=200), seeds=3, epochs=20)).run()
    >>> model = nnlab.load(fit)
    >>> model.predict([[0.0, 1.0], [1.0, -0.5]]).tolist(), model.predict_proba([[0.0, 1.0]]).shape
    (['upper', 'lower'], (1, 2))
    """

    def __init__(self, experiment: Experiment, spec: DataSpec, rows: list[TrainedRow], device: str = "cpu"):
        self.experiment = experiment = experiment.for_data(spec)
        self.spec, self.rows = spec, rows
        self.loss, self.graph = experiment.loss_for(spec), experiment.graph(spec)
        self.template = torch.empty(0, dtype=getattr(torch, experiment.dtype), device=device_named(device))
        self._prepare()

    def _prepare(self) -> None:
        self._stacks: dict[tuple[int, ...], list[RowStack]] = {}  # by the numbers of their rows
        self._busy = threading.Lock()  # a network computes in buffers of its own

    def __repr__(self) -> str:
        e, count = self.experiment, len(self.rows)
        data = f"{e.data.name} ({self.spec.size})"
        return f"<TrainedModel: {data}, {e.model.name}, {e.optimizer.name}: {count} row{'s' * (count != 1)}>"

    def __getstate__(self) -> dict:
        """Without what is made again when it is needed."""
        return {key: value for key, value in vars(self).items() if key not in ("_stacks", "_busy")}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._prepare()

    @cached_property
    def classes(self) -> np.ndarray | None:
        """The labels of the classes, in the order of their probabilities."""
        if not self.spec.classes:
            return None
        return np.array([self.spec.label(number) for number in range(len(self.spec.classes))])

    @typed
    def predict(self, x, row: int | None = None) -> np.ndarray:
        """(n,) the likeliest class of each example, as a label of the data, or by the run's `threshold`; or
        the predicted number, in the target's unit, (n,) or (n, m) of several targets."""
        if self.spec.classes:
            return self.classes[self.class_numbers(x, row)]
        outputs = self.outputs(x, row)
        return outputs[:, 0] if self.spec.outputs == 1 else outputs

    @typed
    def class_numbers(self, x, row: int | None = None) -> np.ndarray:
        """(n,) the number of the predicted class of each example, from 0."""
        return self._classes(self.outputs(x, row), mean_threshold(self.rows_for(row)))

    @typed
    def vote(self, x) -> np.ndarray:
        """(n,) the class that most rows predict for each example, as a label of the data; where classes have
        equally many votes, the one with the largest mean probability."""
        if not self.spec.classes:
            raise UserError("the model is a regression, and rows vote on classes; use predict")
        votes = np.stack([self.class_numbers(x, row.number) for row in self.rows_for(None)])
        return self.classes[majority(votes, self.predict_proba(x).T)]

    @typed
    def predict_proba(self, x, row: int | None = None) -> np.ndarray:
        """(n, classes) the probability of each class, as the loss has them: by softmax, sparsemax or sigmoid;
        for other losses the distribution that is nearest to what the network answers."""
        if not self.spec.classes:
            raise UserError("the model is a regression, which has no probabilities of classes; use predict")
        return self.answers(x, row)[1]

    @typed
    def answers(self, x, row: int | None = None) -> tuple[np.ndarray | None, np.ndarray]:
        """`predict` and `predict_proba` at once: the numbers of the predicted classes (n,) and the
        probabilities (n, classes); or None and the predicted numbers (n, targets)."""
        outputs = self.outputs(x, row)
        if not self.spec.classes:
            return None, outputs
        probabilities = self.loss.probabilities(torch.from_numpy(outputs.T)).numpy().T
        return self._classes(outputs, mean_threshold(self.rows_for(row))), probabilities

    def _classes(self, outputs: np.ndarray, threshold: float | None) -> np.ndarray:
        """(n,) the numbers of the classes that outputs (n, m) predict."""
        z = torch.from_numpy(outputs.T)
        if threshold is None:
            return self.loss.scores(z).argmax(0).numpy()
        return above_threshold(self.loss.probabilities(z).numpy(), threshold, self.spec).argmax(0)

    @typed
    def predict_interval(
        self, x, coverage: float = 0.9, row: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(lower, upper), each (n,) or (n, m) of several targets: an interval that holds the true number with
        probability `coverage`, each target by itself.

        It is made of the residuals that training kept of validation examples: by CV+ from the folds of
        split=kfold, by split conformal prediction with one fold, or with `row`. See `ConformalIntervals` for
        what that promises. After a refit the residuals are those of the first training. Raises `UserError`
        for classes, and where there are no residuals, or too few.
        """
        folds, intervals = self._folds_and_intervals(coverage, row)
        x = self._validated(x)
        predictions = np.stack([self._mean(self._in_units, x, members) for members in folds])
        self._refuse_non_finite(predictions.sum(0), x, folds[0])
        ends = intervals.ends(predictions)
        lower, upper = (end[0] if self.spec.outputs == 1 else end.T for end in ends)
        return lower, upper

    @typed
    def refuse_interval(self, coverage: float, row: int | None = None) -> None:
        """Raise the `UserError` of `predict_interval`, if it has one whatever the examples."""
        self._folds_and_intervals(coverage, row)

    def _folds_and_intervals(
        self, coverage: float, row: int | None
    ) -> tuple[list[list[TrainedRow]], ConformalIntervals]:
        if self.spec.classes:
            raise UserError(
                "intervals are of predicted numbers, and the model predicts classes: leave coverage "
                "out; their probabilities say how sure it is"
            )
        folds = folds_with_residuals(self.rows_for(row))
        return folds, intervals_of_folds(folds, coverage)

    @typed
    def outputs(self, x, row: int | None = None) -> np.ndarray:
        """(n, outputs) in float64: what the network puts out, before softmax, divided by the temperature of a
        calibrated run. Of averaged rows these are the outputs that have the mean of their probabilities; of a
        regression the predictions, in the target's unit."""
        rows, x = self.rows_for(row), self._validated(x)
        outputs = self._outputs(x, rows) if self.spec.classes else self._mean(self._in_units, x, rows)
        self._refuse_non_finite(outputs, x, rows)
        return outputs.T

    def _refuse_non_finite(self, outputs: np.ndarray, x: np.ndarray, rows: list[TrainedRow]) -> None:
        for n in np.flatnonzero(~np.isfinite(outputs).all(0))[:1]:
            raise WrongExample("x", int(n), _non_finite_message(x[n], rows[0].normalizer, self.spec))

    @typed
    def raw(self, x) -> np.ndarray:
        """(n, *shape) the numbers of examples as an exported file takes them: of a table those of its inputs,
        in the order of `spec.encoding.raw`, before holes are filled and categories encoded.

        x is as elsewhere, or the name of a file, which is read as `nnlab predict` does.
        """
        if isinstance(x, str | os.PathLike):
            x = read_inputs(os.fspath(x), self.spec, self.experiment.data)
        return self._validated(x).reshape(-1, *self.spec.raw_shape)

    def _validated(self, x) -> np.ndarray:
        """(n, d): see `validate_inputs`."""
        return validate_inputs(x, self.spec, self._channels)

    @property
    def _channels(self) -> str:
        return getattr(self.experiment.data, "channels", "auto")

    @typed
    def evaluate(self, x, y, row: int | None = None) -> dict:
        """What training reports of its test set, of these examples: loss; accuracy, error, precision, recall
        and confusion matrix, or RMSE, MAE and R2. See `nnlab.metrics`.

        y are labels or numbers, as in the data. On the CPU, a row has the same bits as in training on its own
        test set. The loss of averaged rows is that of the average. An example whose outputs are not
        finite counts as wrong, as in training.
        """
        scoring = self.scoring(row)
        scoring.add(x, y)
        return scoring.report()

    @typed
    def scoring(self, row: int | None = None) -> Scoring:
        """To evaluate more examples than memory holds: `add(x, y)` takes block after block, and `report()` is
        then what `evaluate` returns."""
        rows, template = self.rows_for(row), self.template
        if len(rows) > 1:  # an average is computed in float64
            template = torch.empty(0, dtype=torch.float64)
        normalizers = [rows[0].normalizer] if self.spec.classes else [row.normalizer for row in rows]
        settings = self.loss, self.spec, normalizers, template, rows[0].batch
        uncalibrated, channels = None, self._channels
        if any("temperature" in row.calibration for row in rows):
            uncalibrated = Scoring(partial(self._outputs, rows=rows, calibrated=False), *settings)
        outputs = partial(self._outputs, rows=rows)
        return Scoring(outputs, *settings, mean_threshold(rows), uncalibrated, channels)

    def rows_for(self, number: int | None) -> list[TrainedRow]:
        """The row of that number, or all that are averaged. Raises `UserError` where there is none."""
        if number is None:
            if not (usable_rows := [row for row in self.rows if row.is_usable]):
                raise UserError("all rows diverged, so there is nothing to predict with")
            return usable_rows
        for row in self.rows:
            if row.number == number:
                if not row.epoch:
                    raise UserError(
                        f"row {number} diverged in its first epoch: it has only its initial weights"
                    )
                return [row]
        numbers = [row.number for row in self.rows]
        raise UserError(f"row = {number}: the model has the rows {_list_numbers(numbers)}")

    def _outputs(self, x: np.ndarray, rows: list[TrainedRow], calibrated: bool = True) -> np.ndarray:
        """(m, n): the outputs of a row; or those that have the mean of several rows' probabilities, or their
        mean prediction."""
        if len(rows) == 1:
            return self._mean(lambda z, _: z, x, rows, calibrated)
        if not self.spec.classes:
            return self._mean(self._in_units, x, rows)
        p = torch.from_numpy(self._mean(lambda z, _: self.loss.probabilities(z), x, rows, calibrated))
        float_info = torch.finfo(p.dtype)
        z, clamped_outputs = (
            self.loss.inverse_map(p),
            self.loss.inverse_map(p.clamp(float_info.tiny, 1 - float_info.eps / 2)),
        )
        z = torch.where(z.isfinite() | p.isnan(), z, clamped_outputs)
        return z[-self.graph.nodes[-1].shape[0] :].numpy()  # one output is that of the second class

    def _in_units(self, z: torch.Tensor, rows: list[TrainedRow]) -> torch.Tensor:
        """Predicted numbers (K, m, n) in the targets' units."""
        mean, scale = (
            torch.from_numpy(np.stack([row.normalizer[name] for row in rows])).to(z)[:, :, None]
            for name in ("target_mean", "target_scale")
        )
        return z * scale + mean

    def _mean(
        self, answer: Callable, x: np.ndarray, rows: list[TrainedRow], calibrated: bool = True
    ) -> np.ndarray:
        """(., n) float64: the mean over the rows of answer(z, rows), where z (K, m, some) are the outputs of
        a stack on a batch."""
        total = None
        with self._busy, computing():
            for stack in self._bind(rows):
                for examples, z in stack.outputs(x, calibrated):
                    answers = answer(z.double(), stack.rows).sum(0).cpu().numpy()
                    total = np.zeros((len(answers), len(x))) if total is None else total
                    total[:, examples] += answers
        return total / len(rows)

    def _bind(self, rows: list[TrainedRow]) -> list[RowStack]:
        key = tuple(row.number for row in rows)
        if key not in self._stacks:
            threads = thread_count("auto")
            self._stacks[key] = bind_stacks(
                self.experiment, self.graph, self.spec, rows, self.template, threads
            )
        return self._stacks[key]


def _list_numbers(numbers: list[int]) -> str:
    """`0 to 9`, or the numbers one by one where some are missing."""
    if len(numbers) > 1 and numbers == [*range(numbers[0], numbers[-1] + 1)]:
        return f"{numbers[0]} to {numbers[-1]}"
    return shortened(", ".join(map(str, numbers)))


def _non_finite_message(x: np.ndarray, normalizer: dict, spec: DataSpec) -> str:
    """Why an example has no prediction: by its farthest input that is a number."""
    if spec.columns:
        x = x[list(spec.encoding.number_positions)]
    mean, scale = (normalizer[name][: len(x)] for name in ("mean", "scale"))
    with np.errstate(over="ignore"):  # of 1e308 too
        distance = np.nan_to_num(np.abs(x - mean) / scale, posinf=np.inf)
    if not len(distance):
        return ": the network's outputs are not finite"
    i = int(distance.argmax())
    column = f"column '{shortened(spec.features[i])}'" if spec.features else f"input {i}"
    return (
        f": the network's outputs are not finite; its {column} is {x[i]:.3g}, and training had a mean "
        f"of {mean[i]:.3g} and a scale of {scale[i]:.3g}"
    )
