"""What is shown of a pair of arms, as a sentence that claims no more than its interval and p-value do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nnlab.errors import list_names
from nnlab.records.arms_table import shown_names
from nnlab.records.compared_quantity import ComparedQuantity, gain_of, is_known

if TYPE_CHECKING:
    from nnlab.statistics.comparison import Comparison, Pair

CLAIM_LEVEL = 0.05  # of p by Holm, up to which a difference counts as shown
LEAST_P = 0.001  # p-values below are not written out
MOST_P_DIGITS, FAILURES_LISTED = 6, 4
MOST_MORE_UNITS = 10_000  # that are computed
TEST_WORDS = {"wilcoxon": " by ranks", "sign": " in a sign test", "diverged": " in McNemar's exact test"}
EXACT_TESTS = tuple(TEST_WORDS)  # whose least p follows from the number of pairs


class PairSentences:
    """Writes the sentences of the pairs of a comparison."""

    def __init__(self, comparison: Comparison, quantity: ComparedQuantity):
        self.comparison, self.quantity, self.unit = comparison, quantity, comparison.unit
        self.names = shown_names([arm.name for arm in comparison.arms])

    def sentence(self, pair: Pair) -> str:
        """The sentence of the pair; the arm named first is the one that is better by the difference."""
        a, b = self.names[pair.a], self.names[pair.b]
        if pair.verdict == "identical":
            return f"no difference: {self._same(pair)}"
        if pair.verdict == "diverged":
            counts = f"{pair.diverged_b} of {self.count(pair.units)}, {a} in {pair.diverged_a or 'none'}"
            return f"{a} is better than {b}: {b} {self.quantity.failed} in {counts} ({self._p_words(pair)})"
        claim = self._claim(pair)
        return f"{claim}; {failures}" if (failures := self._failures_of_both(pair)) else claim

    def _claim(self, pair: Pair) -> str:
        """What the units show in which both have a value."""
        gain = gain_of(pair, self.comparison.larger_is_better)
        first, second = self.names[gain.first], self.names[gain.second]
        if gain.mean is None:
            p = f" ({words})" if (words := self._p_words(pair)) else ""
            more = f"; {needed}" if (needed := self.more_needed(pair)) else ""
            shown = f"no difference shown between {first} and {second}: no {self.unit} has values of both"
            return f"{shown}{p}{more}"
        difference, _ = self.quantity.difference(gain)
        if pair.verdict == "better":
            return f"{first} is better than {second} by {difference}{self._evidence(pair)}{self._noise(pair)}"
        shown = f"no difference shown between {first} and {second}: {difference}{self._evidence(pair)}"
        more = self.more_needed(pair)
        if more and is_known(pair.paired_effect):
            return f"{shown}; {more}, {_times(pair.paired_effect)} standard deviations of the differences"
        return f"{shown}; {more}{self._noise(pair)}" if more else shown

    def _same(self, pair: Pair) -> str:
        """Equal in the measure alone, of which two arms may also have no value."""
        a, b = self.names[pair.a], self.names[pair.b]
        if pair.diverged_a == pair.units:
            return f"neither {a} nor {b} {self.quantity.succeeded} in any of {self.count(pair.units)}"
        same = f"{a} and {b} have the same {self.quantity.label} in"
        if not pair.diverged_a:
            return f"{same} {self._every(pair.units)}"
        return f"{same} {self.count(pair.n)}, and both {self.quantity.failed} in the other {pair.diverged_a}"

    def _noise(self, pair: Pair) -> str:
        """`, 2.1 times the noise between seeds`."""
        if not is_known(pair.effect) or pair.decided_by == "wilcoxon":
            return ""
        return f", {_times(pair.effect)} times the noise between {self.unit}s"

    def further_tests(self, pair: Pair) -> str:
        """What other methods say of the pair, in a sentence; empty where none can be used,
        or has anything to decide."""
        parts = []
        if pair.verdict == "identical":
            return ""
        if is_known(pair.bootstrap_low) and is_known(pair.bootstrap_high):
            resampled = gain_of(replace(pair, low=pair.bootstrap_low, high=pair.bootstrap_high),
                                self.comparison.larger_is_better)  # fmt: skip
            parts.append(f"bootstrap interval {self.quantity.difference(resampled)[1]}")
        tests = {"sign test": pair.p_sign, "Wilcoxon's": pair.p_wilcoxon}
        parts += [f"{name} {p_words(p)}" for name, p in tests.items() if is_known(p)]
        if is_known(pair.superiority):
            parts.append(
                f"{self.names[pair.a]} is better in {pair.superiority:.0%} of the pairs, ties by half"
            )
        return f"by other methods: {', '.join(parts)}" if parts else ""

    def _evidence(self, pair: Pair) -> str:
        """` (95% interval 0.6 to 1.8; p = 0.004 by Holm, 10 seeds)`."""
        _, interval = self.quantity.difference(gain_of(pair, self.comparison.larger_is_better))
        if pair.decided_by == "wilcoxon":
            return f" ({', '.join(filter(None, [self._p_words(pair), self.count(pair.units)]))})"
        if pair.constant and pair.n > 1:
            parts = [f"the same in {self._every(pair.n)}", self._p_words(pair)]
            return f", {', '.join(filter(None, parts))}"
        if not interval:
            why = "" if pair.n == 1 else ": how much the splits have in common is not known"
            return f" in {self.count(pair.n)}, of which there is no interval{why}"
        numbers = [p, self.count(pair.n)] if (p := self._p_words(pair)) else [self.count(pair.n)]
        return f" ({self.comparison.level:.0%} interval {interval}; {', '.join(numbers)})"

    def _p_words(self, pair: Pair) -> str:
        """`p = 0.004 by Holm`; where only the other pairs keep it from being shown, also the pair's own."""
        if not is_known(pair.p_holm):
            return ""
        several = len(self.comparison.pairs) > 1
        words = p_words(pair.p_holm) + " by Holm" * several + TEST_WORDS.get(pair.decided_by, "")
        alone = pair.decided_by == "student" and pair.verdict == "undecided" and pair.p <= CLAIM_LEVEL
        return f"{words}, {p_words(pair.p)} of this pair alone" if alone else words

    def more_needed(self, pair: Pair) -> str:
        """`31 more seeds would decide it at this effect`; empty where that has no meaning."""
        if pair.more_seeds and pair.decided_by in EXACT_TESTS:
            return f"{self.count(pair.more_seeds, 'more ')} like these would decide it"
        if pair.more_seeds:
            return f"{self.count(pair.more_seeds, 'more ')} would decide it at this effect"
        if pair.decided_by == "student" and pair.difference:
            return f"{MOST_MORE_UNITS:,} more {self.unit}s would not decide it at this effect"
        return ""

    def _failures_of_both(self, pair: Pair) -> str:
        """`optimizer=sgd diverged in 2 of 10 seeds`, of either arm that did."""
        counts = {pair.a: pair.diverged_a, pair.b: pair.diverged_b}
        return ", ".join(
            f"{self.names[arm]} {self.quantity.failed} in {count} of {self.count(pair.units)}"
            for arm, count in counts.items()
            if count
        )

    def failures(self) -> str:
        """Which arms diverged: the first few by name."""
        arms = [arm for arm in self.comparison.arms if arm.diverged]
        counts = [f"{self.names[a.name]} in {a.diverged} of {self.count(a.n + a.diverged)}" for a in arms]
        return f"{self.quantity.failed}: {list_names(counts, FAILURES_LISTED)}" if arms else ""

    def _every(self, n: int) -> str:
        return self.count(n) if n == 1 else f"all {self.count(n)}"

    def count(self, n: int, more: str = "") -> str:
        """`10 seeds`, `1 seed`, `31 more seeds`."""
        return f"{n:,} {more}{self.unit}{'s' * (n != 1)}"


def _times(effect: float) -> str:
    return f"{effect:.1f}" if effect >= 1 else f"{effect:.2f}"


def p_words(p: float) -> str:
    """`p = 0.004`, with the digits that keep it on its side of 0.05 and of 1.

    >>> p_words(0.0041), p_words(0.0502), p_words(0.04996), p_words(2e-5), p_words(1.0)
    ('p = 0.0041', 'p = 0.0502', 'p = 0.04996', 'p < 0.001', 'p = 1')
    """
    if p < LEAST_P:
        return f"p < {LEAST_P:g}"
    digits = 2
    while digits < MOST_P_DIGITS and _changes_side(p, float(f"{p:.{digits}g}")):
        digits += 1
    return f"p = {p:.{digits}g}"


def _changes_side(p: float, rounded: float) -> bool:
    """Whether rounding makes a p 0.05 or 1 that is not, or leads over it."""
    return any(
        (p < limit, p > limit) != (rounded < limit, rounded > limit) for limit in (LEAST_P, CLAIM_LEVEL, 1.0)
    )
