"""Stopping rules: which rows have trained long enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlab.allowed import LARGEST_COUNT
from nnlab.hyperparameters import Component, control, static
from nnlab.metrics import METRICS


@dataclass(frozen=True)
class Stopping(Component):
    """Base of the rules, and the rule `none`: train for all epochs."""

    group: ClassVar[str] = "stopping"
    name: ClassVar[str] = "none"
    metric = ""  # what it watches, if that is one metric; no annotation: Patience has a field of that name

    def start(self, rows: int) -> dict[str, np.ndarray]:
        """The state of `rows` rows before the first epoch."""
        return {}

    @property
    def listens(self) -> bool:
        """Whether it watches the validation metrics."""
        return type(self).observe is not Stopping.observe

    def observe(self, state, metrics) -> np.ndarray | None:
        """Look at an epoch's metrics; (K,) bool, the rows to stop, or None.

        A metric of the table, such as `roc_auc`, is there by its own name, as what is minimised: 1 - roc_auc.
        """
        return None


@dataclass(frozen=True)
class Patience(Stopping):
    """Stop after `patience` epochs in a row without a value below the best one minus `min_delta`.

    Where larger is better, as of `roc_auc`, it watches 1 - metric, as an error is 1 - accuracy.
    The weights of the best epoch are kept in any case. Prechelt 1998.
    """

    name: ClassVar[str] = "patience"
    metric: str = static("val_loss", choices=("val_loss", "val_error", *METRICS))
    patience: int = control(10, low=1, high=LARGEST_COUNT)
    min_delta: float = control(0.0, low=0)

    def start(self, rows):
        return {"best": np.full(rows, np.inf), "waited": np.zeros(rows)}

    def observe(self, state, metrics):
        better = metrics[self.metric] < state["best"] - self.min_delta
        state["best"] = np.where(better, metrics[self.metric], state["best"])
        state["waited"] = np.where(better, 0, state["waited"] + 1)
        return state["waited"] >= self.patience


RULES = {rule.name: rule for rule in (Stopping, Patience)}
