"""Finds groups of the data that are in two parts of the split: their examples are alike, so errors flatter.

nnlab's own splits divide no group. A test set that the data bring may, or parts that they give, or the split
of an installed package.
"""

from __future__ import annotations

import numpy as np

from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding

# Part -> the parts with which it may share no group, and what their examples do.
PARTS_BEFORE = {"validation": {"train": "train"}, "test": {"train": "train", "validation": "validate"}}
SEPARATE_THEM = "put a group's examples into one part only"


def check(subject: Subject) -> list[Finding]:
    """A finding for the validation and the test set, if they share groups with what trains (or validates)."""
    groups, fold = subject.dataset.groups, subject.fold
    if groups is None:
        return []
    findings = []
    for part, before in PARTS_BEFORE.items():
        here = np.unique(groups[getattr(fold, part)])
        known = np.concatenate([groups[getattr(fold, earlier)] for earlier in before])
        shared = int(np.isin(here, known).sum())
        if shared:
            sentence = (
                f"{shared} of the {len(here)} groups of the {part} set have examples that "
                f"{' or '.join(before.values())} (limit 0)"
            )
            advice = f"{SEPARATE_THEM}, or the {part} error is too optimistic"
            findings.append(Finding("warn", shared, 0, sentence, advice, f"groups_in_{part}"))
    count = len(np.unique(groups))
    return findings or [Finding("pass", 0, 0, f"{count:,} groups, none in two parts")]
