"""How many inputs are 0 as they are read, and how many as the network gets them; and a part of both tables.

Subtracting a mean fills a table that is nearly all zeros: counts of words, n-grams, one-hot columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding
from nnlab.data.normalization import SPARSE_COLUMNS, SPARSE_ZERO_SHARE

MOST_EXAMPLES = 1000
SHOWN_EXAMPLES, SHOWN_COLUMNS = 30, 90  # of the part that the picture shows
DIGITS = 3  # of its numbers in check.json


@dataclass(frozen=True)
class Sparsity:
    """The inputs that are numbers, (n, d), of some training examples: as read, and normalised."""

    before: np.ndarray
    after: np.ndarray
    method: str

    @staticmethod
    def of(subject: Subject) -> Sparsity:
        sample = subject.training_sample(MOST_EXAMPLES)
        x, _ = sample.examples.gather(sample.fold, sample.fold.train)
        before = np.asarray(sample.dataset.number_inputs, np.float64)
        after = x[: before.shape[1]].T.double().cpu().numpy()
        return Sparsity(before, after, subject.experiment.data.normalization)

    @cached_property
    def zeros(self) -> tuple[float, float]:
        """The shares of zeros, before and after."""
        before, after = (
            float((table == 0).mean()) if table.size else 0.0 for table in (self.before, self.after)
        )
        return before, after

    @property
    def findings(self) -> list[Finding]:
        """A warning if normalisation fills a table of zeros; nothing about one that is not sparse."""
        before, after = self.zeros
        if self.before.shape[1] < SPARSE_COLUMNS or before <= SPARSE_ZERO_SHARE:
            return []
        limit = SPARSE_ZERO_SHARE
        sentence = f"{before:.0%} of the inputs are 0, after data.normalization={self.method} {after:.0%}"
        if after >= limit:
            return [Finding("pass", after, limit, sentence, at_least=True)]
        advice = "data.normalization=maxabs scales to [-1, 1], and leaves every 0 a 0"
        return [
            Finding(
                "warn", after, limit, f"{sentence} (at least {limit:.0%})", advice, "dense", at_least=True
            )
        ]

    @property
    def details(self) -> dict:
        """What the picture shows: some rows and columns, evenly spaced, of both tables."""
        rows, columns = (
            np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))
            for count, most in zip(self.before.shape, (SHOWN_EXAMPLES, SHOWN_COLUMNS), strict=True)
        )
        tables = [_rounded(table[np.ix_(rows, columns)]) for table in (self.before, self.after)]
        return {
            "normalization": self.method, "zeros": self.zeros, "shape": self.before.shape,
            "before": tables[0], "after": tables[1],
        }  # fmt: skip


def _rounded(table: np.ndarray) -> list[list[float]]:
    return [[float(f"{value:.{DIGITS}g}") for value in row] for row in table]
