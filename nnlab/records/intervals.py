"""95% confidence intervals of means over seeds or splits, and what each interval covers.

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

from nnlab.statistics.student import student_interval

# Prefix of a metric's name -> its set.
SET_NAMES = {"train": "training", "val": "validation", "test": "test"}
# What an interval covers, in words.
ONE_TEST_SET = "other training sets, this one test set, not new data"
NEW_SPLITS = "new splits of new data like these"
FORMULA_TEXTS = {
    "student": "mean +- t s sqrt(1 / n)",
    "corrected": "mean +- t s sqrt(1 / n + n_test / n_train), Nadeau and Bengio 2003",
}


@dataclass(frozen=True)
class Interval:
    """How the confidence intervals of one set's metrics are computed.

    They are over independent values, each of which is a mean over the rows with the same `unit`.

    method   student; corrected, for overlapping splits; none, where no interval can be given
    unit     what the values differ in: seed, or repeat, or repeat and fold
    overlap  n_test / n_train, which the correction adds to 1 / n
    about    what the interval covers, in words
    remedy   the words with which it would cover new data too; empty where it does, or none would
    """

    method: str
    unit: tuple[str, ...]
    overlap: float = 0.0
    about: str = ""
    remedy: str = ""

    def to_json(self) -> dict:
        """The entry in summary.json."""
        plain = {"method": self.method}
        if self.method in FORMULA_TEXTS:
            plain["interval"] = FORMULA_TEXTS[self.method]
        if self.method == "corrected":
            plain["n_test / n_train"] = self.overlap
        plain |= {"over": " and ".join(self.unit), "about": self.about}
        return plain | ({"remedy": self.remedy} if self.remedy else {})


def choose_interval(metric: str, results: list) -> Interval:
    """How to compute the interval of this metric over all `Result`s of a run, diverged ones too."""
    set_name = SET_NAMES[metric.split("_")[0]]
    is_fixed = set_name == "test" and any(r.fixed_test for r in results)
    if len({r.repeat for r in results}) == 1:
        several = len({r.fold for r in results}) > 1
        where = "this one division into folds" if several else "this one split"
        is_drawn = not is_fixed and all(r.examples.get("validation") for r in results)
        about = f"other seeds on {where}, not new data"
        return Interval("student", ("seed",), about=about, remedy="split.repeats=10" * is_drawn)
    if is_fixed:
        return Interval("student", ("repeat",), about=ONE_TEST_SET)
    if set_name == "training":
        return Interval("none", ("repeat",), about="training sets of several splits share most examples")
    if not all(r.examples for r in results):
        return Interval("none", ("repeat",), about="how many examples the splits share is not known")
    train_counts = [
        r.examples.get("refit" if set_name == "test" else "train", r.examples["train"]) for r in results
    ]
    overlap = float(np.mean([r.examples[set_name] for r in results]) / np.mean(train_counts))
    unit = ("repeat", "fold") if set_name == "validation" else ("repeat",)
    return Interval("corrected", unit, overlap, NEW_SPLITS)


def estimate(values: list[tuple], interval: Interval) -> dict:
    """Mean, std, low and high of `values`, pairs (Result, number), over the interval's units, n of them.

    Rows of one unit share examples or a seed, so they are averaged and never counted as independent. With
    n = 1 std, low and high are None; several folds then give `fold_std`, which is only information. They are
    None too where a value is infinite.
    """
    means = _unit_means(values, interval.unit)
    n, mean = len(means), float(np.mean(means))
    if n == 1:
        single = {"mean": mean, "std": None, "low": None, "high": None, "n": 1}
        folds = _unit_means(values, ("fold",))
        if len(folds) > 1 and _all_finite(folds):
            single["fold_std"] = float(np.std(folds, ddof=1))
        return single
    if not _all_finite(means):
        return {"mean": mean, "std": None, "low": None, "high": None, "n": n}
    std = float(np.std(means, ddof=1))
    if interval.method == "none":
        return {"mean": mean, "std": std, "low": None, "high": None, "n": n}
    low, high = student_interval(mean, std, n, interval.overlap)
    return {"mean": mean, "std": std, "low": low, "high": high, "n": n}


def _unit_means(values: list[tuple], unit: tuple[str, ...]) -> list[float]:
    groups: dict[tuple, list[float]] = {}
    for result, value in values:
        groups.setdefault(tuple(getattr(result, key) for key in unit), []).append(value)
    return [float(np.mean(group)) for group in groups.values()]


def _all_finite(values: list[float]) -> bool:
    return all(map(math.isfinite, values))
