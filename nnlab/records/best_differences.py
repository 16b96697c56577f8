"""The paired differences of every arm to the best one, as a forest plot shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnlab.records.compared_quantity import LARGEST_DRAWN, ComparedQuantity, gain_of
from nnlab.records.comparison_words import SHOWN, pairs_of_best

if TYPE_CHECKING:
    from nnlab.statistics.comparison import Arm, Comparison, Pair

FAR = 8  # times the median end of an interval: what is further away is not on the axis
SCIENTIFIC_FROM = 1e6
MARGIN = 0.06  # of the axis, at its ends


@dataclass(frozen=True)
class BestDifference:
    """By how much an arm is worse than the best, in the quantity's unit; None where it is undefined."""

    arm: Arm
    pair: Pair
    mean: float | None
    low: float | None
    high: float | None

    @property
    def is_shown(self) -> bool:
        return self.pair.verdict in SHOWN

    def numbers(self) -> list[float]:
        return [x for x in (self.mean, self.low, self.high) if x is not None and abs(x) < LARGEST_DRAWN]


def best_differences(comparison: Comparison, quantity: ComparedQuantity) -> list[BestDifference]:
    """Of all arms but the best, in their order."""
    best, *others = comparison.arms
    differences = []
    for arm, pair in zip(others, pairs_of_best(comparison), strict=True):
        gain = gain_of(pair, comparison.larger_is_better)
        numbers = (gain.mean, gain.low, gain.high)
        if gain.first != best.name:  # as where it diverged in fewer seeds, but is worse in the others
            numbers = tuple(None if x is None else -x for x in (gain.mean, gain.high, gain.low))
        scaled = (None if x is None else quantity.factor * x for x in numbers)
        differences.append(BestDifference(arm, pair, *scaled))
    return differences


def difference_range(differences: list[BestDifference]) -> tuple[float, float]:
    """The ends of an axis of differences: with 0, without those that would leave no room for the others."""
    ends = [x for difference in differences for x in difference.numbers()]
    far = FAR * float(np.median(np.abs(ends))) if ends else 0.0
    shown = [0.0, *(x for x in ends if not far or abs(x) <= far)]
    margin = MARGIN * (max(shown) - min(shown)) or 0.5
    return min(shown) - margin, max(shown) + margin


def far_number(x: float) -> str:
    """The number of an arrow, short."""
    if abs(x) >= SCIENTIFIC_FROM:
        return f"{x:.1e}"
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"
