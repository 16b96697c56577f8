"""What the units of two arms say by themselves: every test of the pair, and the one p that decides.

An arm that diverged is not better because the seeds it survived went well. So a is the one that diverged in
fewer units, and if they are not as many, two tests could decide, both in favour of a alone: that a is better
where both are finite (one side of Student's test, half of its level), and that b diverged too often for
chance (twice its p, the other half). Either way the level of the pair holds. Where b diverged in as many more
units as both are finite in, only the second is asked, at the whole level. (Which units diverged in one arm
alone does not depend on the signs of the others if the arms are alike, so it may choose the test.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.statistics.paired import PairedValues
from nnlab.statistics.power import more_equal_signs, more_units
from nnlab.statistics.rank_tests import sign_test, wilcoxon_test
from nnlab.statistics.student import student_p


@dataclass(frozen=True)
class Evidence:
    """p of each test, None where it is not defined; `decisive_p` is None where nothing can decide."""

    paired: PairedValues
    p: float | None
    p_sign: float | None
    p_wilcoxon: float | None
    p_diverged: float | None
    decisive_p: float | None
    decided_by: str | None

    def more_units(self, level: float) -> int | None:
        """How many more units would decide at this level, if the effect is the observed one."""
        paired, (mean, std) = self.paired, self.paired.moments
        if self.decided_by == "student" and mean:
            return more_units(abs(mean) / std, len(paired.differences), level, paired.correction)
        if self.decided_by == "sign":
            return more_equal_signs(len(paired.differences), len(paired.differences), level)
        if self.decided_by in ("wilcoxon", "diverged"):
            return self._more_by_signs(level)
        return None

    def _more_by_signs(self, level: float) -> int | None:
        """Ranks and counts know no effect: only where no unit is in favour of b can it be known."""
        advantages = self.paired.advantages
        if self.decided_by == "diverged":
            level /= 1 if _is_asked_alone(self.paired) else 2
            advantages = np.where(np.isinf(advantages), advantages, 0.0)
        if (advantages < 0).any():
            return None
        return more_equal_signs(int((advantages > 0).sum()), len(advantages), level)


def evidence_of(paired: PairedValues) -> Evidence:
    p = p_sign = p_wilcoxon = p_diverged = None
    has_spread = len(paired.differences) > 1 and not paired.constant and not paired.by_ranks
    if has_spread and paired.correction is not None:
        p = student_p(*paired.moments, len(paired.differences), paired.correction)
    if paired.correction == 0 and len(paired.advantages):
        p_sign = sign_test(paired.advantages)
        p_wilcoxon = wilcoxon_test(paired.advantages, paired.rounding)
        alone = paired.advantages[np.isinf(paired.advantages)]
        p_diverged = sign_test(alone) if len(alone) else None
    return Evidence(paired, p, p_sign, p_wilcoxon, p_diverged, *_decide(paired, p, p_diverged))


def _decide(paired: PairedValues, p: float | None, p_diverged: float | None):
    """(p, test) of the test that decides, (None, None) where there is none."""
    if paired.by_ranks:
        if paired.correction != 0 or not len(paired.advantages):
            return None, None
        return wilcoxon_test(paired.advantages, paired.rounding), "wilcoxon"
    diverged_a, diverged_b = paired.diverged
    unequal = p_diverged is not None and diverged_a != diverged_b
    if unequal and _is_asked_alone(paired):
        return p_diverged, "diverged"
    tests = [(min(1.0, 2 * p_diverged), "diverged")] if unequal else []
    if diverged_a == diverged_b or paired.favours_a:
        if p is not None:
            tests.append((p, "student"))
        elif paired.constant and paired.correction == 0 and not paired.identical:
            tests.append((sign_test(paired.differences), "sign"))
    return min(tests, default=(None, None))


def _is_asked_alone(paired: PairedValues) -> bool:
    """Whether b diverged in as many more units as both are finite in."""
    diverged_a, diverged_b = paired.diverged
    return diverged_b - diverged_a >= len(paired.differences)
