"""A trial: one point of the search space and its result; ranking of trials, and their Pareto front."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from nnlab.arguments import typed

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
TRAINING = "training"  # the state of a trial without a result; no stored trial has it


@typed
@dataclass(frozen=True)
class Trial:
    """A finished trial. `values` has a number for each objective, the mean over its rows (seeds times folds),
    each at its best epoch; `spread` their standard deviations over the rows, None for one row.

    `intermediate_values` is the first objective after each epoch, at each row's best epoch so far: what a
    pruner compares.
    """

    number: int
    params: dict[str, object]  # key -> label: see domains.py
    state: str
    values: tuple[float, ...] = ()
    spread: tuple[float | None, ...] = ()
    rows: int = 0
    epochs: int = 0  # epochs of the row that trained longest
    reason: str = ""  # why it failed
    intermediate_values: dict[int, float] = field(default_factory=dict, repr=False)  # by epoch

    @property
    def key(self) -> tuple:
        return trial_key(self.params)


def trial_key(params: dict) -> tuple:
    """A hashable key that is equal for trials of equal parameters; 1 and True are different values."""
    # In Python 1 == True == 1.0.
    return tuple((name, type(label).__name__, label) for name, label in params.items())


def rank_trials(trials: Iterable[Trial], signs: tuple[int, ...]) -> list[Trial]:
    """Complete trials, the best first by the first objective; `signs` are 1 to minimise, -1 to maximise.

    Of several objectives those of the Pareto front come first: those that no other trial beats in one
    without losing in another.
    """
    complete = [t for t in trials if t.state == COMPLETE]
    order = sorted(complete, key=lambda t: (signs[0] * t.values[0], t.number))
    if len(signs) == 1:
        return order
    front = {t.number for t in pareto_front(complete, signs)}
    return sorted(order, key=lambda t: t.number not in front)  # stable: the order within each stays


def pareto_front(trials: list[Trial], signs: tuple[int, ...]) -> list[Trial]:
    """The trials that are not dominated: none is at least as good in every objective and better in one."""
    values = np.array([t.values for t in trials]).reshape(-1, len(signs)) * signs  # (n, objectives)
    # What is first in lexicographic order is not dominated; then what it dominates is out of the question.
    rest, front = np.lexsort(values.T[::-1]), []
    while len(rest):
        front.append(rest[0])
        v, others = values[rest[0]], values[rest[1:]]
        dominated = (v <= others).all(1) & (v < others).any(1)
        rest = rest[1:][~dominated]
    return [trials[index] for index in sorted(front)]
