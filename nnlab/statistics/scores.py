"""`Scores`: one quantity of several arms, measured on the same seeds and splits."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Scores:
    """Arm -> values (seeds, repeats, folds), the same shape for all.

    values            NaN or infinite: that row diverged, which is worse than any number
    larger_is_better  of an accuracy; not of a loss or an error
    overlap           n_test / n_train of a split, for Nadeau and Bengio's correction where the units are
                      splits; 0 where they do not overlap; None where it is not known how much (or where the
                      values are of the training sets): then there is no interval and no test
    present           arm -> which rows there are, of that shape; all, of an arm that is left out. A row that
                      was never trained is absent: it counts for nothing, and only rows that both arms have
                      are paired
    by_ranks          an infinite value is a real one, as of a target that was never reached: pairs are
                      decided by Wilcoxon's test, and there are no intervals
    about             what a test of them covers, in words, as other seeds on one split

    >>> Scores({"sgd": np.ones((10, 1, 5)), "adam": np.zeros((10, 1, 5))}).unit
    'seed'
    """

    values: dict[str, np.ndarray]
    larger_is_better: bool = False
    overlap: float | None = 0.0
    present: dict[str, np.ndarray] = field(default_factory=dict)
    by_ranks: bool = False
    about: str = ""

    def __post_init__(self):
        shapes = {np.shape(each) for each in (*self.values.values(), *self.present.values())}
        if len(shapes) != 1 or len(next(iter(shapes))) != 3:
            raise ValueError(f"all arms have values of one shape (seeds, repeats, folds), not {shapes}")
        if strangers := set(self.present) - set(self.values):
            raise ValueError(f"present has arms without values: {', '.join(sorted(strangers))}")

    @property
    def design(self) -> str:
        """What is independent: `seeds` (the mean over the folds of each), or nothing but the `splits`."""
        seeds, repeats, folds = next(iter(self.values.values())).shape
        return "splits" if repeats > 1 or (seeds == 1 and folds > 1) else "seeds"

    @property
    def unit(self) -> str:
        return {"seeds": "seed", "splits": "split"}[self.design]

    @property
    def correction(self) -> float | None:
        """What is added to 1 / n in the variance of a mean; None: no interval can be given."""
        return 0.0 if self.design == "seeds" else self.overlap

    def rows_of(self, arm: str) -> np.ndarray:
        """Which rows the arm has, (seeds, repeats, folds)."""
        here = np.asarray(self.present.get(arm, np.True_), bool)
        return np.broadcast_to(here, np.shape(self.values[arm]))

    def units_of(self, arm: str, rows: np.ndarray | None = None) -> np.ndarray:
        """(units,): the mean over the rows of each unit that has any; NaN if one of them diverged.

        Units are seeds, in the order of the first axis, or splits: repeats, and folds of each. `rows` are
        those to average, by default all that the arm has.
        """
        rows = self.rows_of(arm) if rows is None else rows
        table, counted = (self._by_unit(each) for each in (np.asarray(self.values[arm], float), rows))
        counts = counted.sum(1)
        diverged = (counted & ~np.isfinite(table)).any(1)
        kept = np.where(counted & ~diverged[:, None], table, 0.0)
        # Divided before they are added, since the sum of large numbers may overflow.
        means = (kept / np.maximum(counts, 1)[:, None]).sum(1)
        return np.where(diverged, np.nan, means)[counts > 0]

    def _by_unit(self, each: np.ndarray) -> np.ndarray:
        """(units, rows of one)."""
        seeds, repeats, folds = each.shape
        if self.design == "seeds":
            return each.reshape(seeds, repeats * folds)
        return each.reshape(seeds, repeats * folds).T
