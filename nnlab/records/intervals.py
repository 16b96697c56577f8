"""Means over seeds or splits with their 95% intervals, and what each interval speaks of. Plain numbers.

Student's interval takes n independent values: mean +- t s sqrt(1 / n). Random splits of one table share
most of their examples, so their results vary together, and s says too little. For those the variance of the
mean is s^2 (1 / n + n_test / n_train) (Nadeau and Bengio 2003, Inference for the generalization error); for
all k folds of r divisions n = k r, and n_test is the size of a fold (Bouckaert and Frank 2004). How often
such intervals hold the mean over data sets: scripts/interval_coverage.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CONFIDENCE_LEVEL = 0.95
# First word of a metric -> what it is of.
SET_NAMES = {"train": "training", "val": "validation", "test": "test"}
FORMULA_TEXTS = {
    "student": "mean +- t s sqrt(1 / n)",
    "corrected": "mean +- t s sqrt(1 / n + n_test / n_train), Nadeau and Bengio 2003",
}


@dataclass(frozen=True)
class Interval:
    """How the intervals of the metrics of one set are made: they are over values of which each is a mean over
    the rows with the same `unit`.

    method   student; corrected, for overlapping splits; none, where no interval can be given
    unit     what tells the values apart: seed, or repeat, or repeat and fold
    overlap  n_test / n_train, which the correction adds to 1 / n
    about    what it speaks of, in words
    """

    method: str
    unit: tuple[str, ...]
    overlap: float = 0.0
    about: str = ""

    def plain(self) -> dict:
        """As summary.json has it."""
        plain = {"method": self.method}
        if self.method in FORMULA_TEXTS:
            plain["interval"] = FORMULA_TEXTS[self.method]
        if self.method == "corrected":
            plain["n_test / n_train"] = self.overlap
        return plain | {"over": " and ".join(self.unit), "about": self.about}


def interval_of(metric: str, results: list) -> Interval:
    """How the interval of this metric over these `Result`s is made; all of a run, diverged ones too."""
    of = SET_NAMES[metric.split("_")[0]]
    if len({r.repeat for r in results}) == 1:
        return Interval("student", ("seed",), about="other seeds on the same split, not new data")
    if of == "test" and any(r.fixed_test for r in results):
        return Interval("student", ("repeat",), about="other training sets, this one test set, not new data")
    if of == "training":
        return Interval("none", ("repeat",), about="training sets of several splits share most examples")
    if not all(r.examples for r in results):
        return Interval("none", ("repeat",), about="how many examples the splits share is not known")
    trained = [r.examples.get("refit" if of == "test" else "train", r.examples["train"]) for r in results]
    overlap = float(np.mean([r.examples[of] for r in results]) / np.mean(trained))
    unit = ("repeat", "fold") if of == "validation" else ("repeat",)
    return Interval("corrected", unit, overlap, "new splits of new data like these")


def estimate(values: list[tuple], interval: Interval) -> dict:
    """Mean, std, low and high of `values`, pairs (Result, number), over the interval's units, n of them.

    Rows of one unit share examples or a seed, so they are averaged and never counted as independent. With
    n = 1 std, low and high are None; several folds then give `fold_std`, which is only information. They are
    None too where a value is infinite.
    """
    means = _unit_means(values, interval.unit)
    n, mean = len(means), float(np.mean(means))
    if n == 1:
        only = {"mean": mean, "std": None, "low": None, "high": None, "n": 1}
        folds = _unit_means(values, ("fold",))
        if len(folds) > 1 and _finite(folds):
            only["fold_std"] = float(np.std(folds, ddof=1))
        return only
    if not _finite(means):
        return {"mean": mean, "std": None, "low": None, "high": None, "n": n}
    std = float(np.std(means, ddof=1))
    if interval.method == "none":
        return {"mean": mean, "std": std, "low": None, "high": None, "n": n}
    half = t_quantile(n - 1) * std * math.sqrt(1 / n + interval.overlap)
    return {"mean": mean, "std": std, "low": mean - half, "high": mean + half, "n": n}


def t_quantile(dof: int, confidence: float = CONFIDENCE_LEVEL) -> float:
    """The t for which P(|T| <= t) = confidence; T is Student's, `dof` = 1, 2, ... its freedom.

    By bisection on the finite series in theta = atan(t / sqrt(dof)) (Abramowitz and Stegun, 1964,
    26.7.3 and 26.7.4). scipy.special.stdtrit gives the same digits, but importing it takes as long
    as training a small model.
    """
    low, high = 0.0, math.pi / 2  # of theta, since t has no upper end
    for _ in range(60):
        theta = (low + high) / 2
        if _t_probability(theta, dof) < confidence:
            low = theta
        else:
            high = theta
    return math.sqrt(dof) * math.tan(theta)


def _t_probability(theta: float, dof: int) -> float:
    """P(|T| <= sqrt(dof) tan(theta))."""
    sin, cos = math.sin(theta), math.cos(theta)
    odd = dof % 2
    term, total = 1.0, 0.0
    if odd:
        term = cos
    for k in range(odd + 2, dof + 1, 2):
        total += term
        term *= (k - 1) / k * cos * cos
    return 2 / math.pi * (theta + sin * total) if odd else sin * total


def _unit_means(values: list[tuple], unit: tuple[str, ...]) -> list[float]:
    groups: dict[tuple, list[float]] = {}
    for result, value in values:
        groups.setdefault(tuple(getattr(result, key) for key in unit), []).append(value)
    return [float(np.mean(group)) for group in groups.values()]


def _finite(values: list[float]) -> bool:
    return all(map(math.isfinite, values))
