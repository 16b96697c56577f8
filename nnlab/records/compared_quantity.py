"""How a compared quantity is written: its name, its values, and differences of two arms in its unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnlab.records.text import format_alike, is_percentage, metric_formatter, metric_label

if TYPE_CHECKING:
    from nnlab.statistics.comparison import Pair

SMALLEST_FIXED, LARGEST_FIXED = 1e-5, 1e9  # differences between which no exponent is written
MOST_DECIMALS = 8
LARGEST_DRAWN = 1e300  # what is larger has no place on an axis, whose length would overflow
ALIKE_RATIO = (
    100  # of the largest to the smallest number of a column, from which on each has its own decimals
)
# What a curve gives (nnlab.statistics.courses): the unit of its values, in words.
COURSE_UNITS = {"steps": "steps"}
REACHED = {"steps"}  # quantities that a row lacks if it never comes to its target
COURSE_LABELS = {
    "final": "at the last epoch", "best": "at the best epoch", "area": "mean over the epochs",
    "steps": "steps to the target",
}  # fmt: skip


@dataclass(frozen=True)
class ComparedQuantity:
    """A quantity by its name in compare.json, `test_error`, `final:val_error` or `steps`, of data with this
    task."""

    name: str
    task: str = "classification"

    @property
    def label(self) -> str:
        """`test error`, or `validation loss at the last epoch`."""
        kind, _, metric = self.name.partition(":")
        if kind not in COURSE_LABELS:
            return metric_label(self.name, self.task)
        words = COURSE_LABELS[kind]
        return words if kind in COURSE_UNITS else f"{metric_label(self._measured, self.task)} {words}"

    @property
    def _measured(self) -> str:
        """The metric that values of this quantity are values of."""
        kind, _, metric = self.name.partition(":")
        return metric if kind in COURSE_LABELS else self.name

    @property
    def is_share(self) -> bool:
        """Whether its values are written as percentages."""
        return self.name not in COURSE_UNITS and is_percentage(self._measured, self.task)

    @property
    def factor(self) -> float:
        """What a value is multiplied by to be in `unit`."""
        return 100.0 if self.is_share else 1.0

    @property
    def unit(self) -> str:
        """The unit of differences: `points` of a percentage; empty for a loss, which has none."""
        return "points" if self.is_share else COURSE_UNITS.get(self.name, "")

    @property
    def has_targets_unit(self) -> bool:
        """Whether its values are in the unit of the target."""
        in_unit = self._measured.endswith(("_rmse", "_mae", "_error", "_median_absolute_error", "_max_error"))
        return self.task == "regression" and in_unit and self.name not in COURSE_UNITS

    @property
    def failed(self) -> str:
        """What a row did that has no value: its training diverged, or it never came to the target."""
        return "did not reach the target" if self.name in REACHED else "diverged"

    @property
    def succeeded(self) -> str:
        """What a row did that has one."""
        return "reached the target" if self.name in REACHED else "did not diverge"

    @property
    def axis_label(self) -> str:
        """The label of an axis with its values."""
        return f"{self.label} (%)" if self.is_share else self.label

    def value(self, x: float | None) -> str:
        """`3.21%` or `0.4172`; `-` where there is none."""
        if not is_known(x):
            return "-"
        if self.name in COURSE_UNITS:
            return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"
        return metric_formatter(self._measured, self.task)(x)

    def values(self, numbers: Sequence[float | None]) -> list[str]:
        """A column of values, with the same decimals unless their sizes differ much."""
        sizes = [abs(x) for x in numbers if is_known(x) and x]
        if self.is_share or self.name in COURSE_UNITS or not sizes or max(sizes) >= ALIKE_RATIO * min(sizes):
            return [self.value(x) for x in numbers]
        alike = iter(format_alike(*(x for x in numbers if is_known(x))))
        return [next(alike) if is_known(x) else "-" for x in numbers]

    def intervals(self, ends: Sequence[tuple[float | None, float | None]]) -> list[str]:
        """A column of intervals, `2.95 to 3.47`: in percent where values are, without the sign."""
        known = [end for end in ends if is_known(end[0]) and is_known(end[1])]
        texts = [text.removesuffix("%") for text in self.values([x for end in known for x in end])]
        pairs = dict(zip(known, zip(texts[::2], texts[1::2], strict=True), strict=True))
        return [" to ".join(pairs[end]) if end in pairs else "-" for end in ends]

    def difference(self, gain: Gain) -> tuple[str, str]:
        """`1.2 points` and `0.6 to 1.8`: a difference, and its interval if it has one."""
        number, interval = self.difference_numbers(gain)
        unit = "point" if self.unit == "points" and number == "1" else self.unit
        return f"{number} {unit}".rstrip(), interval

    def difference_numbers(self, gain: Gain) -> tuple[str, str]:
        """The same without the unit; empty where it is undefined."""
        numbers = [self.factor * x for x in (gain.mean, gain.low, gain.high) if is_known(x)]
        if not numbers:
            return "", ""
        texts = round_alike(numbers, 1 if self.is_share else 0)
        return texts[0], " to ".join(texts[1:])


def is_known(x: float | None) -> bool:
    """Whether it is a number: what is undefined is None, or NaN before it was in a file."""
    return x is not None and math.isfinite(x)


@dataclass(frozen=True)
class Gain:
    """How much better `first` is than `second` in the mean of their pairs, never negative; its interval.

    None where it is undefined.
    """

    first: str
    second: str
    mean: float | None
    low: float | None
    high: float | None


def gain_of(pair: Pair, larger_is_better: bool) -> Gain:
    """The pair's difference in the direction of what is better.

    The arm of the better mean is the first, but the mean of the pairs may be the other way where rows
    diverged, since those have no pair.
    """
    if not is_known(pair.difference):
        return Gain(pair.a, pair.b, None, None, None)
    interval = (pair.low, pair.high) if is_known(pair.low) and is_known(pair.high) else (None, None)
    if (pair.difference >= 0) == larger_is_better or not pair.difference:
        first, second = pair.a, pair.b
    else:
        first, second = pair.b, pair.a
    positive = pair.difference >= 0
    low, high = interval if positive or None in interval else (-interval[1], -interval[0])
    return Gain(first, second, abs(pair.difference), low, high)


def round_alike(numbers: list[float], least_decimals: int = 0) -> list[str]:
    """A difference and the ends of its interval with the same decimals: as many as half the width deserves.

    More of them where an end of an interval that excludes 0 would be rounded to it.

    >>> round_alike([1.2, 0.6, 1.8]), round_alike([0.021, 0.004, 0.038]), round_alike([1.0, 0.04, 1.96], 1)
    (['1.2', '0.6', '1.8'], ['0.021', '0.004', '0.038'], ['1.00', '0.04', '1.96'])
    """
    half = abs(numbers[2] - numbers[1]) / 2 if len(numbers) == 3 else 0.0
    scale = half or abs(numbers[0])
    if scale and not SMALLEST_FIXED <= scale < LARGEST_FIXED:
        return [f"{x:.3g}" for x in numbers]
    decimals = max(least_decimals, -math.floor(math.log10(scale / 5))) if scale else least_decimals
    excludes_zero = len(numbers) == 3 and numbers[1] * numbers[2] > 0
    while excludes_zero and decimals < MOST_DECIMALS and any(not round(x, decimals) for x in numbers[1:]):
        decimals += 1
    return [_without_minus_zero(f"{x:,.{decimals}f}") for x in numbers]


def _without_minus_zero(text: str) -> str:
    return text.removeprefix("-") if not text.strip("-0.,") else text
