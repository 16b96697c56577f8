"""Whether what was published lies where ours says it should, and whether its order holds.

A published mean m of n' trainings with standard deviation s' is *inside* where |m - mean| is at most
t sqrt(s^2 / n + s'^2 / n'), with Welch's degrees of freedom. Where s' is not known, ours stands for it,
t s sqrt(1 / n + 1 / n'), and n' is 1 where that is not known either: as one more seed of ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nnlab.reproduction.published import Claim, Published
from nnlab.statistics.comparison import Pair, compare_arms
from nnlab.statistics.holm import holm_adjusted
from nnlab.statistics.scores import Scores
from nnlab.statistics.student import CONFIDENCE_LEVEL, moments, student_interval, t_quantile

ALPHA = 0.05  # for a pair of a claim, after Holm


@dataclass(frozen=True)
class Ours:
    """What nnlab measured in a cell, in the table's unit: n finite values, their interval of 95%."""

    mean: float | None
    low: float | None
    high: float | None
    sd: float | None
    n: int
    diverged: int = 0

    @classmethod
    def of(cls, values: np.ndarray) -> Ours:
        """Of a value for each seed, not finite where it diverged."""
        finite = values[np.isfinite(values)]
        n, diverged = len(finite), len(values) - len(finite)
        if n == 0:
            return cls(None, None, None, None, 0, diverged)
        mean, sd = moments(finite)
        low, high = (None, None) if sd is None else student_interval(mean, sd, n)
        return cls(mean, low, high, sd, n, diverged)


@dataclass(frozen=True)
class CellVerdict:
    """`difference` is ours less the published mean; `margin` is how far it may be from 0."""

    status: str  # inside, outside; single (one seed), unpublished, diverged: no verdict on the value
    difference: float | None = None
    margin: float | None = None


def judge_cell(published: Published | None, ours: Ours) -> CellVerdict:
    if ours.mean is None:
        return CellVerdict("diverged")
    if published is None:
        return CellVerdict("unpublished")
    difference = ours.mean - published.mean
    if ours.n < 2 or ours.diverged:  # those that did not diverge are no sample of all
        return CellVerdict("diverged" if ours.diverged else "single", difference)
    margin = _margin(published, ours)
    return CellVerdict("inside" if abs(difference) <= margin else "outside", difference, margin)


def _margin(published: Published, ours: Ours) -> float:
    n = published.n or 1
    if published.sd is None or n < 2:
        return t_quantile(ours.n - 1) * ours.sd * math.sqrt(1 / ours.n + 1 / n)
    mine, theirs = ours.sd / math.sqrt(ours.n), published.sd / math.sqrt(n)
    error = math.hypot(mine, theirs)
    if error == 0:
        return 0.0
    # Shares of the error, whose squares neither overflow nor vanish.
    dof = 1 / ((mine / error) ** 4 / (ours.n - 1) + (theirs / error) ** 4 / (n - 1))
    from scipy.special import stdtrit  # the degrees of freedom are no whole number

    return float(stdtrit(dof, (1 + CONFIDENCE_LEVEL) / 2)) * error


@dataclass(frozen=True)
class ClaimPair:
    """Two neighbours of a claim, `first` published as the better one, and first - second as measured."""

    first: str
    second: str
    status: str  # holds, reversed, undecided
    difference: float | None = None
    low: float | None = None  # Student's interval of 95%
    high: float | None = None
    p_holm: float | None = None  # over the pairs of the claim
    n: int = 0


@dataclass(frozen=True)
class ClaimVerdict:
    status: str  # holds (every pair), reversed (some pair is, significantly), undecided, not run
    pairs: tuple[ClaimPair, ...] = ()


def judge_claim(claim: Claim, values: Mapping[str, np.ndarray]) -> ClaimVerdict:
    """By the paired differences over the seeds that its cells share; `values` in the table's unit."""
    if not {*claim.cells} <= values.keys():
        return ClaimVerdict("not run")
    seeds = min(len(values[name]) for name in claim.cells)
    measured = [_compare(claim, pair, values, seeds) for pair in claim.pairs]
    p_values = holm_adjusted([pair.p_holm for pair in measured])
    each = zip(claim.pairs, measured, p_values, strict=True)
    pairs = tuple(_judge_pair(first, pair, p) for (first, _), pair, p in each)
    statuses = {pair.status for pair in pairs}
    status = "reversed" if "reversed" in statuses else "holds" if statuses == {"holds"} else "undecided"
    return ClaimVerdict(status, pairs)


def _compare(claim: Claim, names: tuple[str, str], values: Mapping[str, np.ndarray], seeds: int) -> Pair:
    scores = {name: np.asarray(values[name][:seeds], float).reshape(seeds, 1, 1) for name in names}
    return compare_arms(Scores(scores, larger_is_better=claim.larger_first)).pair(*names)


def _judge_pair(first: str, pair: Pair, p_holm: float | None) -> ClaimPair:
    """`pair.a` is the one that came out better, and not always the one that was published so."""
    status = "undecided"
    if p_holm is not None and p_holm <= ALPHA:
        status = "holds" if pair.a == first else "reversed"
    difference, low, high = pair.difference, pair.low, pair.high
    if pair.a != first:
        difference, low, high = _negative(difference), _negative(high), _negative(low)
    second = pair.b if pair.a == first else pair.a
    return ClaimPair(first, second, status, difference, low, high, p_holm, pair.n)


def _negative(x: float | None) -> float | None:
    return None if x is None else -x
