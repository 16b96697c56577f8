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
from nnlab.statistics.student import moments, student_p


@dataclass(frozen=True)
class Evidence:
    """p of each test, None where it is not defined; `decisive_p` is None where nothing can decide.

    differences  (n,): a - b where both are finite; their mean and std
    constant     they are all the same: no spread, so no t
    """

    paired: PairedValues
    differences: np.ndarray
    mean: float | None
    std: float | None
    constant: bool
    p: float | None
    p_sign: float | None
    p_wilcoxon: float | None
    p_diverged: float | None
    decisive_p: float | None
    decided_by: str | None

    def more_units(self, level: float) -> int | None:
        """How many more units would decide at this level, if the effect is the observed one."""
        if self.paired.identical or self.decided_by not in ("student", "sign") or not self.mean:
            return None
        if self.constant:
            return more_equal_signs(len(self.differences), level)
        effect = abs(self.mean) / self.std
        return more_units(effect, len(self.differences), level, self.paired.correction)


def evidence_of(paired: PairedValues) -> Evidence:
    d = paired.differences()
    mean, std = moments(d) if len(d) else (None, None)
    constant = paired.constant()
    p = student_p(mean, std, len(d), paired.correction) if _has_spread(paired, d) else None
    p_sign = p_wilcoxon = p_diverged = None
    if paired.correction == 0 and len(paired.values_a):
        advantages = paired.advantages()
        p_sign, p_wilcoxon = sign_test(advantages), wilcoxon_test(advantages, paired.rounding())
        alone = advantages[np.isinf(advantages)]
        p_diverged = sign_test(alone) if len(alone) else None
    decisive_p, decided_by = _decide(paired, d, p, p_diverged)
    return Evidence(paired, d, mean, std, constant, p, p_sign, p_wilcoxon, p_diverged, decisive_p, decided_by)


def _has_spread(paired: PairedValues, d: np.ndarray) -> bool:
    return len(d) > 1 and paired.correction is not None and not paired.constant()


def _decide(paired: PairedValues, d: np.ndarray, p: float | None, p_diverged: float | None):
    """(p, test) of the test that decides, (None, None) where there is none."""
    diverged_a, diverged_b = paired.diverged()
    unequal = p_diverged is not None and diverged_a != diverged_b
    if unequal and diverged_b - diverged_a >= len(d):
        return p_diverged, "diverged"
    tests = [(min(1.0, 2 * p_diverged), "diverged")] if unequal else []
    if diverged_a == diverged_b or paired.favours_a(d):
        if p is not None:
            tests.append((p, "student"))
        elif paired.constant() and paired.correction == 0 and not paired.identical:
            tests.append((sign_test(d), "sign"))
    return min(tests, default=(None, None))
