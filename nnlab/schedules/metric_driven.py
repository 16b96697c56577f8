"""Schedules driven by a validation metric: they lower the rate when it stops improving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.allowed import LARGEST_COUNT
from nnlab.hyperparameters import control, static
from nnlab.metrics import METRICS
from nnlab.schedules.base import Schedule

METRIC_CHOICES = ("val_loss", "val_error", *METRICS)


@dataclass(frozen=True)
class MetricRise(Schedule):
    """Base class of the schedules that lower the rate when a metric rises; `over` once it is too small."""

    remedy: ClassVar[str] = (
        "schedule.tolerance=1 lowers it only where the metric doubles, and schedule.stop_below=0.001 ends "
        "such a run"
    )
    factor: float = control(0.5, above=0, below=1)
    metric: str = static("val_loss", choices=METRIC_CHOICES)
    tolerance: float = control(1.0, low=0)
    stop_below: float = control(1e-3, low=0, below=1)

    def start(self, rows):
        return {"scale": np.ones(rows), "previous": np.full(rows, np.inf)}

    def scale(self, progress, state):
        return state["scale"][:, None]

    def _lower_where_risen(self, state, metrics) -> np.ndarray:
        """Multiply the scale of rows whose metric has risen by `factor`; (rows,) bool, which these are."""
        rose = has_risen(metrics[self.metric], state["previous"], self.tolerance)
        state["scale"] = np.where(rose, state["scale"] * self.factor, state["scale"])
        return rose

    def over(self, state):
        return state["scale"] < self.stop_below


@dataclass(frozen=True)
class HalveOnRise(MetricRise):
    """Halve the rate when the metric exceeds that of the previous epoch by more than `tolerance` of it.

    Training ends when the factor is below `stop_below`. The lecture's rule, at any rise of the error, is
    metric = val_error with tolerance = 0. By default the loss has to double (tolerance = 1): with a few
    hundred examples metrics rise by chance, and the rate would soon be too small (docs/log.md has numbers).
    """

    name: ClassVar[str] = "halve_on_rise"

    def observe(self, state, metrics):
        self._lower_where_risen(state, metrics)
        state["previous"] = metrics[self.metric]


@dataclass(frozen=True)
class HalveAndGoBack(MetricRise):
    """Halve the rate and go back when the metric exceeds the previous one by more than `tolerance` of it.

    The row returns to the end of the previous epoch: its weights, the optimiser's slots and its count of
    updates. The repeated epoch is compared with the same value. An epoch that ends in NaN is taken back too.
    Training ends when the factor is below `stop_below`. The lecture's rule is metric = val_error with
    tolerance = 0.

    >>> from nnlab import simulate
    >>> simulate(HalveAndGoBack(), epochs=4, steps=1, metrics=[1, 3, 1, 1]).tolist()
    [1.0, 1.0, 0.5, 0.5]
    """

    name: ClassVar[str] = "halve_and_go_back"
    goes_back: ClassVar[bool] = True

    def observe(self, state, metrics):
        rose = self._lower_where_risen(state, metrics)
        state["previous"] = np.where(rose, state["previous"], metrics[self.metric])
        return rose


def has_risen(metric, previous, tolerance) -> np.ndarray:
    """Whether each row's metric exceeds `previous` by more than `tolerance` times it; NaN and inf do."""
    margin = tolerance * np.abs(np.where(np.isfinite(previous), previous, 0))
    return ~np.isfinite(metric) | (metric > previous + margin)


@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """Multiply the rate by `factor` after more than `patience` epochs without a better metric.

    Better means below best (1 - threshold). For `cooldown` epochs after a reduction no epoch counts as bad,
    and the factor never falls below `min_factor`. As in torch's ReduceLROnPlateau (mode min, relative
    threshold), with min_lr as a share of lr.

    >>> from nnlab import simulate
    >>> simulate(ReduceOnPlateau(patience=1), epochs=4, steps=1, metrics=[1, 2, 2, 2]).round(3).tolist()
    [1.0, 1.0, 1.0, 0.1]
    """

    name: ClassVar[str] = "reduce_on_plateau"
    remedy: ClassVar[str] = "schedule.min_factor=0.01 keeps it larger, and stopping=patience ends such a run"
    factor: float = control(0.1, above=0, below=1)
    patience: int = control(10, low=0, high=LARGEST_COUNT)
    threshold: float = control(1e-4, low=0, below=1)
    cooldown: int = control(0, low=0, high=LARGEST_COUNT)
    min_factor: float = control(0.0, low=0, high=1)
    metric: str = static("val_loss", choices=METRIC_CHOICES)

    def start(self, rows):
        zero = np.zeros(rows)
        return {"scale": zero + 1, "best": zero + np.inf, "bad": zero, "rest": zero}

    def scale(self, progress, state):
        return state["scale"][:, None]

    def observe(self, state, metrics):
        better = metrics[self.metric] < state["best"] * (1 - self.threshold)
        resting = state["rest"] > 0
        bad = np.where(better | resting, 0, state["bad"] + 1)
        reduce = bad > self.patience
        lower = np.maximum(state["scale"] * self.factor, self.min_factor)
        state["scale"] = np.where(reduce, lower, state["scale"])
        state["best"] = np.where(better, metrics[self.metric], state["best"])
        state["bad"] = np.where(reduce, 0, bad)
        state["rest"] = np.where(reduce, self.cooldown, np.maximum(state["rest"] - 1, 0))
