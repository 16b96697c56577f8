"""What training yields: a `Record` for each epoch, and a `Result` for each row at its end. Plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from nnlab.errors import UserError
from nnlab.schedules.base import PastEpoch

# Of a test report, what people are always shown; other metrics where they help.
MAIN_METRICS = ("loss", "accuracy", "error", "rmse", "mae", "r2")


@dataclass(frozen=True)
class Histograms:
    """A histogram for each of n rows: `counts` (n, bins) of values between `edges` (n, bins + 1)."""

    counts: np.ndarray
    edges: np.ndarray

    def select(self, rows: np.ndarray) -> Histograms:
        """The histograms of these rows alone (indices)."""
        return Histograms(self.counts[rows], self.edges[rows])


@dataclass(frozen=True, repr=False)
class Record:
    """One epoch of the rows of one stack that were training in it. A fit of several stacks, as of many seeds
    or of other networks, has a record an epoch for each; `Fit.history` has all of them in one table.

    `rows` (n,) are the rows' numbers in the fit; every array of `metrics` is (n,) float64:

        train_loss   mean data loss of the epoch's batches, as they were trained (no penalty)
        train_error  error of the same outputs: share of wrong classes, or RMSE in the target's unit
        val_loss     mean data loss on the validation set after the epoch; absent with split=none, and NaN in
                     a refit, which trains on that set
        val_error    its error; likewise
        lr           learning rate of the epoch's last step
        lr_lowered   of a schedule that watches validation: 1 where it lowered the rate after the epoch
        went_back    of one that goes back: 1 where the row went back to the start of the epoch
        grad_norm    norm of the objective's gradient in the last step, before clipping
        penalty      lambda * Omega(theta) after the epoch; and with a penalty of activations its mean over
                     the epoch's batches, as train_loss has theirs: the two together are the objective
        small_weights  with regularizer.small: the share of weights no larger than that
        theta/output.weight[0,2], effective_step, update_norm, weight_norm
                     if `experiment.record` asks for them, see `nnlab.training.further_curves`

    `histograms` are of each parameter after the epoch, `parameters/hidden1.weight`, and of each box's
    outputs on the validation set, `activations/relu1`: in the epochs that `experiment.histograms` asks for.

    >>> import nnlab
    >>> record = next(iter(nnlab.fit(nnlab.Experiment(data=nnlab.Moons(n=60), seeds=3))))
    >>> record.epoch, record.rows.tolist(), record.val_loss.shape
    (1, [0, 1, 2], (3,))
    """

    epoch: int  # 1, 2, ...
    rows: np.ndarray
    metrics: dict[str, np.ndarray]
    improved: np.ndarray  # (n,) bool: the best epoch of the row so far
    ended: dict[int, str] = field(default_factory=dict)  # row -> finished, stopped, diverged
    seconds: float = 0.0  # since training began
    refit: bool = False  # trained again, on the validation examples too
    histograms: dict[str, Histograms] = field(default_factory=dict)
    step_seconds: float = 0.0  # of these, what the steps of this epoch took, without validation
    tensor_bytes: int = 0  # that the rows' parameters, slots, gradients and activations take

    def select(self, first: int, count: int) -> Record | None:
        """The record of rows `first` to `first + count - 1` alone, numbered from 0; None if it has none."""
        selected = (self.rows >= first) & (self.rows < first + count)
        if not selected.any():
            return None
        if selected.all() and first == 0:
            return self
        share = selected.sum() / len(selected)  # of what the whole stack took
        return replace(
            self,
            rows=self.rows[selected] - first,
            metrics={name: values[selected] for name, values in self.metrics.items()},
            improved=self.improved[selected],
            ended={row - first: status for row, status in self.ended.items() if first <= row < first + count},
            histograms={
                n: Histograms(h.counts[selected], h.edges[selected]) for n, h in self.histograms.items()
            },
            step_seconds=share * self.step_seconds,
            tensor_bytes=int(share * self.tensor_bytes),
        )

    def renumbered_from(self, first: int) -> Record:
        """The record with its rows numbered from `first`; the inverse of `of`."""
        ended = {row + first: status for row, status in self.ended.items()}
        return replace(self, rows=self.rows + first, ended=ended)

    def __getattr__(self, name):
        try:
            return self.__dict__["metrics"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __dir__(self):
        return [*super().__dir__(), *self.metrics]

    def __repr__(self):
        rows = f"row {self.rows[0]}" if len(self.rows) == 1 else f"means of {len(self.rows)} rows"
        means = ", ".join(f"{name} {values.mean():.4g}" for name, values in self.metrics.items())
        return f"<Record: epoch {self.epoch}, {rows}: {means}>"


@dataclass(frozen=True)
class Ending:
    """How a row's training ended."""

    status: (
        str  # finished, stopped (by a rule or a schedule), pruned or interrupted (by the caller), diverged
    )
    reason: str = ""  # what stopped it


@dataclass(frozen=True)
class Refit:
    """The second training of a row, on its training and validation examples together."""

    epochs: int
    examples: int
    status: str  # finished; or diverged, and the weights and test numbers are the first training's


@dataclass(frozen=True, repr=False)
class Result:
    """The outcome of one row, with the weights of its best epoch.

    After a refit, `weights`, `normalizer`, `test` and `predictions` are the second training's, everything
    else the first's. `calibration` is what was fitted on the validation examples, see
    `nnlab.training.calibration`. `predictions` has, of the n examples of the test set:

        examples  (n,) their numbers in the data set, from 0
        classes   (n,) the number of the predicted class, -1 where an output was NaN; not in a regression
        values    (n, m) probabilities of the classes, or the predicted numbers in the targets' units

    >>> import nnlab
    >>> (result,) = nnlab.fit(nnlab.Experiment(data=nnlab.Moons(n=60), epochs=2)).run().results
    >>> result.status, result.epochs, result.weights["output.weight"].shape
    ('finished', 2, (2, 64))
    """

    row: int
    seed: int
    repeat: int  # which split: split.seed + repeat
    fold: int
    status: str  # see Ending
    epochs: int  # how many were trained
    best_epoch: int  # 0 if it diverged before the first one ended well
    best: dict[str, float]  # the Record's metrics at the best epoch
    test: dict[str, object]  # see nnlab.metrics: floats, lists and lists of lists
    weights: dict[str, np.ndarray]  # parameter name -> array, as the best epoch left them
    normalizer: dict[str, np.ndarray]  # mean, scale, center, perhaps linear (inputs); target_mean, ...
    examples: dict[str, int] = field(default_factory=dict)  # train, validation, test; refit
    fixed_test: bool = False  # the data have a test set of their own, the same in every repeat
    reason: str = ""
    refit: Refit | None = None
    past: tuple[PastEpoch, ...] = ()  # the epochs that a refit repeats; empty after it
    predictions: dict[str, np.ndarray] = field(default_factory=dict)  # of the test set, where they are kept
    calibration: dict[str, np.ndarray] = field(default_factory=dict)  # temperature, threshold, residuals

    def __repr__(self):
        ending = f"{self.status} after {self.epochs} epochs, the best {self.best_epoch}"
        metrics = [f"{name} {value:.4g}" for name, value in self.best.items() if name.startswith("val_")]
        metrics += [f"test {name} {v:.4g}" for name, v in self.test.items() if name in MAIN_METRICS]
        return f"<Result: row {self.row}, seed {self.seed}: {', '.join([ending, *metrics])}>"

    def numbered_from(self, first: int) -> Result:
        """The same result with rows counted from row `first`."""
        return replace(self, row=self.row - first)


class NoResultYet(UserError, IndexError):
    """An index beyond the rows that have ended."""


class Results(list):
    """The results of the rows that have ended. The error of an index beyond them says what to do."""

    def __getitem__(self, index):
        try:
            return super().__getitem__(index)
        except IndexError:
            state = f"{len(self)} rows have ended" if self else "no row has ended yet"
            raise NoResultYet(
                f"there is no result {index}: {state}; fit.run() trains to the end, fit.stop() ends here"
            ) from None
