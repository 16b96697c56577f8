"""Several arms compared in pairs: `compare_arms` takes `Scores` and gives a `Comparison`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np

from nnlab.statistics.evidence import Evidence, evidence_of
from nnlab.statistics.holm import holm_adjusted, holm_levels, letters
from nnlab.statistics.json_trees import instance_of, listed
from nnlab.statistics.paired import PairedValues, pair_values
from nnlab.statistics.rank_tests import least_p
from nnlab.statistics.resampling import bca_intervals
from nnlab.statistics.scores import Scores
from nnlab.statistics.student import CONFIDENCE_LEVEL, moments, student_interval

LEVEL = 0.05
SHOWN = ("better", "diverged")  # verdicts of a difference that is shown


@dataclass(frozen=True)
class Arm:
    """One arm over the units in which it is finite; None where there are too few.

    n         such units
    diverged  units in which a row of it diverged
    letters   "a", "ab": arms that share no letter differ
    """

    name: str
    mean: float | None
    low: float | None
    high: float | None
    std: float | None
    n: int
    diverged: int
    letters: str = ""


@dataclass(frozen=True)
class Pair:
    """Two arms over the units that both have. Every number is None where it is not defined.

    a, b            a diverged in fewer units, or in as many and has the better mean difference
    units           that both have; n of them in which both are finite
    difference      mean of a - b over those n, and its interval of 95%: Student's, with Nadeau and Bengio's
                    correction of splits that overlap. No interval where `constant`
    bootstrap_low   of the interval by BCa; None of fewer than 6 differences, and of splits that overlap
    p               two-sided, of Student's test of the difference
    p_holm          by Holm over all pairs, of the p that decides
    decided_by      which that is: `student`; `wilcoxon`, where infinite values are real
                    ones; `sign`, where all differences are the same and have no spread;
                    `diverged`, an exact test of how many units diverged; None
    p_sign, p_wilcoxon  exact, of all units: a diverged one is the worst of all. None of splits that overlap,
                    which are not independent
    p_diverged      exact, of the units in which one arm alone diverged (McNemar); None where there is none
    least_p         the smallest that the tests of signs and ranks can give of so many units
    superiority     P(a better) + P(equal) / 2
    effect          |difference| / the standard deviation of one arm over units (the two pooled)
    constant        all differences are the same, but for rounding
    paired_effect   |difference| / the standard deviation of the differences, from which `more_seeds` follows
    more_seeds      how many more units would decide this at the observed effect, with a power of 80%; where
                    signs or ranks decide, and all units are in favour of a, how many more like these; 0
                    where it is decided; None where no number would, or more than 10,000, or it is not known
    verdict         `better`; `diverged`, where b diverged in more units than chance gives; `identical`;
                    `undecided`
    """

    a: str
    b: str
    units: int
    n: int
    difference: float | None
    low: float | None
    high: float | None
    bootstrap_low: float | None
    bootstrap_high: float | None
    p: float | None
    p_holm: float | None
    p_sign: float | None
    p_wilcoxon: float | None
    p_diverged: float | None
    least_p: float | None
    superiority: float | None
    effect: float | None
    constant: bool
    diverged_a: int
    diverged_b: int
    more_seeds: int | None
    decided_by: str | None
    verdict: str
    paired_effect: float | None = None


@dataclass(frozen=True)
class Comparison:
    """arms: the best mean first, those with diverged units last; pairs: in the order of the arms; about: what
    the verdicts cover, in words, empty where it is not known."""

    arms: tuple[Arm, ...]
    pairs: tuple[Pair, ...]
    larger_is_better: bool
    unit: str
    level: float = CONFIDENCE_LEVEL
    about: str = ""

    def pair(self, a: str, b: str) -> Pair:
        """The pair of these two names, in either order."""
        for pair in self.pairs:
            if {pair.a, pair.b} == {a, b}:
                return pair
        raise KeyError(f"no pair of {a!r} and {b!r}")

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(tree: dict) -> Comparison:
        """The inverse of `to_json`; ValueError where a key is missing or its value is of another kind."""
        arms = tuple(instance_of(Arm, arm) for arm in listed(tree, "arms"))
        pairs = tuple(instance_of(Pair, pair) for pair in listed(tree, "pairs"))
        return instance_of(Comparison, tree, arms=arms, pairs=pairs)


def compare_arms(scores: Scores) -> Comparison:
    """Every pair of arms by paired differences; verdicts hold together at the level of 95% (Holm 1979).

    >>> losses = np.arange(10.0).reshape(10, 1, 1)
    >>> pair = compare_arms(Scores({"sgd": losses, "adam": losses**0.5})).pair("sgd", "adam")
    >>> pair.a, pair.verdict, pair.more_seeds
    ('adam', 'better', 0)
    """
    arms = sorted((_arm(scores, name) for name in scores.values), key=_place(scores))
    paired = [pair_values(scores, a.name, b.name) for a, b in combinations(arms, 2)]
    evidence = [evidence_of(each) for each in paired]
    p_values = [each.decisive_p for each in evidence]
    adjusted, levels = holm_adjusted(p_values), holm_levels(p_values, LEVEL)
    has_none = [p.constant or p.by_ranks or p.correction != 0 for p in paired]
    resampled = bca_intervals(
        [() if none else p.differences for p, none in zip(paired, has_none, strict=True)]
    )
    pairs = tuple(map(_pair, evidence, adjusted, levels, resampled))
    lettered = _with_letters(arms, pairs)
    return Comparison(lettered, pairs, scores.larger_is_better, scores.unit, about=scores.about)


def _arm(scores: Scores, name: str) -> Arm:
    units = scores.units_of(name)
    values = units[np.isfinite(units)]
    mean, std = moments(values) if len(values) else (None, None)
    low, high = _interval(mean, std, len(values), None if scores.by_ranks else scores.correction)
    return Arm(name, _finite(mean), low, high, _finite(std), len(values), len(units) - len(values))


def _interval(mean, std, n: int, correction: float | None) -> tuple[float | None, float | None]:
    if n < 2 or correction is None:
        return None, None
    low, high = student_interval(mean, std, n, correction)
    return _finite(low), _finite(high)


def _finite(number: float | None) -> float | None:
    """None beyond the largest number there is."""
    return number if number is not None and math.isfinite(number) else None


def _place(scores: Scores):
    """The key by which arms are sorted: the share of units that diverged, then the mean."""
    sign = -1 if scores.larger_is_better else 1

    def place(arm: Arm) -> tuple[float, float]:
        units = arm.n + arm.diverged
        diverged = arm.diverged / units if units else math.inf
        return diverged, math.inf if arm.mean is None else sign * arm.mean

    return place


def _pair(evidence: Evidence, p_holm: float | None, level: float, resampled: tuple | None) -> Pair:
    paired = evidence.paired
    units, n, (mean, std) = len(paired.advantages), len(paired.differences), paired.moments
    without = paired.constant or paired.by_ranks
    low, high = _interval(mean, std, n, None if without else paired.correction)
    bootstrap_low, bootstrap_high = resampled or (None, None)
    noise, (diverged_a, diverged_b) = paired.pooled_std(), paired.diverged
    verdict = _verdict(evidence, p_holm)
    return Pair(
        a=paired.a,
        b=paired.b,
        units=units,
        n=n,
        difference=mean,
        low=low,
        high=high,
        bootstrap_low=bootstrap_low,
        bootstrap_high=bootstrap_high,
        p=evidence.p,
        p_holm=p_holm,
        p_sign=evidence.p_sign,
        p_wilcoxon=evidence.p_wilcoxon,
        p_diverged=evidence.p_diverged,
        least_p=least_p(units) if units and paired.correction == 0 else None,
        superiority=float((1 + np.sign(paired.advantages)).mean() / 2) if units else None,
        effect=_in_units_of(noise, mean),
        constant=paired.constant,
        diverged_a=diverged_a,
        diverged_b=diverged_b,
        more_seeds=0 if verdict in SHOWN else evidence.more_units(level),
        decided_by=evidence.decided_by,
        verdict=verdict,
        paired_effect=_in_units_of(None if without else std, mean),
    )


def _in_units_of(std: float | None, mean: float | None) -> float | None:
    """|mean| / std; None of a spread that is 0, or beyond the largest number there is."""
    return _finite(abs(mean) / std) if std and math.isfinite(std) else None


def _verdict(evidence: Evidence, p_holm: float | None) -> str:
    if evidence.paired.identical:
        return "identical"
    if p_holm is None or p_holm > LEVEL:
        return "undecided"
    if evidence.paired.by_ranks:
        return _verdict_by_ranks(evidence.paired)
    return "diverged" if evidence.decided_by == "diverged" else "better"


def _verdict_by_ranks(paired: PairedValues) -> str:
    """`diverged` where b failed more often; nothing is claimed that the mean difference contradicts."""
    diverged_a, diverged_b = paired.diverged
    if diverged_b > diverged_a:
        return "diverged"
    return "better" if paired.favours_a else "undecided"


def _with_letters(arms: list[Arm], pairs: tuple[Pair, ...]) -> tuple[Arm, ...]:
    index = {arm.name: i for i, arm in enumerate(arms)}
    differ = np.zeros((len(arms), len(arms)), bool)
    for pair in pairs:
        i, j = index[pair.a], index[pair.b]
        differ[i, j] = differ[j, i] = pair.verdict in SHOWN
    return tuple(replace(arm, letters=own) for arm, own in zip(arms, letters(differ), strict=True))
