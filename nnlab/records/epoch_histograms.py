"""The histograms of a tensor over the epochs of a run, their quantiles and shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EpochHistograms:
    """The histograms of one tensor by epoch: `epochs` (n,), `counts` (n, bins) between `edges`
    (n, bins + 1); within a bin, values count as evenly spread."""

    epochs: np.ndarray
    counts: np.ndarray
    edges: np.ndarray

    def quantiles(self, shares: list[float]) -> np.ndarray:
        """(shares, n): below which value so large a share of the values lies; NaN where none was counted."""
        return np.array([
            np.interp(shares, below, edges) if total else np.full(len(shares), np.nan)
            for below, edges, total in zip(self._shares_below(), self.edges, self.counts.sum(1), strict=True)
        ]).T  # fmt: skip

    def means(self) -> np.ndarray:
        """(n,): the mean of the values, each in the middle of its bin; NaN where none was counted."""
        totals, middles = self.counts.sum(1), (self.edges[:, :-1] + self.edges[:, 1:]) / 2
        sums = (self.counts * middles).sum(1)
        return np.where(totals > 0, sums / np.maximum(1, totals), np.nan)

    def shares_between(self, limits: np.ndarray) -> np.ndarray:
        """(m, n): which share of the values lies between each two of m + 1 `limits`."""
        pairs = zip(self._shares_below(), self.edges, strict=True)
        return np.diff([np.interp(limits, edges, below) for below, edges in pairs]).T

    def _shares_below(self) -> np.ndarray:
        """(n, bins + 1): which share of the values lies below each edge."""
        below = np.pad(np.cumsum(self.counts, axis=1), ((0, 0), (1, 0)))
        return below / np.maximum(1, below[:, -1:])
