"""How a comparison was computed, in words and formulas."""

from __future__ import annotations

from collections.abc import Sequence

from nnlab.records.comparison_words import added_seeds_note
from nnlab.records.tuning_text import TUNED_ONCE
from nnlab.report.page import Section
from nnlab.report.parts import Text
from nnlab.statistics.comparison import Comparison

PAIRING = (
    "All arms train on the same {unit}s, and what is random in one is random alike in the others. So two "
    "arms are compared {unit} by {unit}: d is the difference of their results{folds}, and most of what makes "
    "one {unit} easier than another is not in it."
)
SAME_EXAMPLES = (
    "Every seed trains and is tested on the same examples. So intervals and p are of other seeds on these "
    "examples, not of other examples, which split.repeats=10 varies."
)
STUDENT = (
    "mean of d ± t s / sqrt(n): t is Student's quantile of n - 1 degrees of freedom, s the standard "
    "deviation of d"
)
CORRECTED = (
    "mean of d ± t s sqrt(1 / n + n_test / n_train): splits share examples, so their results vary together "
    "(Nadeau and Bengio 2003)"
)
COMMON = {
    "p by Student": "two-sided, of the hypothesis that the mean of d is 0, by the same t",
    "p by Holm": (
        "of {pairs} at once (Holm 1979): the chance that any difference is called shown that is none is at "
        "most 5%"
    ),
    "group": (
        "letters by Piepho's algorithm (2004): arms share one exactly if no difference of theirs is shown"
    ),
}
OF_SEEDS = {
    "bootstrap": (
        "the interval of d's mean by resampling (BCa, Efron 1987), which assumes no normal distribution"
    ),
    "p by signs, by Wilcoxon": (
        "exact, of signs and of ranks of d; they assume no normal distribution, and a {unit} that diverged "
        "is worse than any number"
    ),
}
ENDING = {
    "P(first better)": "the share of pairs in which the first arm is better, equal ones by half",
    "difference / noise": "the mean of d over the standard deviation of one arm between {unit}s",
    "more {unit}s": (
        "so many more would show this difference with a chance of 80%, if the mean of d over its standard "
        "deviation stays what it is here, which is as uncertain as the interval; where signs or ranks "
        "decide, so many more of the same kind"
    ),
    "diverged": (
        "where an arm diverged in more {unit}s than another, McNemar's exact test of the {unit}s in which "
        "one alone did"
    ),
}


def methods_section(
    comparisons: Sequence[Comparison], added_seeds: int = 0, is_tuned: bool = False
) -> Section:
    """What each column means, and by which formula it was computed; `added_seeds` is how often some were, and
    `is_tuned` whether the arms were tuned before."""
    first = comparisons[0]
    unit, corrected = first.unit, first.unit == "split"
    pairs = max(len(comparison.pairs) for comparison in comparisons)
    interval = {f"{first.level:.0%} interval": CORRECTED if corrected else STUDENT}
    methods = interval | COMMON | ({} if corrected else OF_SEEDS) | ENDING
    if pairs == 1:
        methods = {name: text for name, text in methods.items() if name not in ("p by Holm", "group")}
    words = {"unit": unit, "pairs": f"all {pairs:,} pairs"}
    lines = [f"{name}: {text}.".format(**words) for name, text in methods.items()]
    if note := added_seeds_note(added_seeds):
        lines.append(f"{note[0].upper()}{note[1:]}.")
    if is_tuned:
        lines.append(f"{TUNED_ONCE[0].upper()}{TUNED_ONCE[1:]}.")
    if unit == "seed":
        lines.insert(0, SAME_EXAMPLES)
    folds = " (means over the folds)" if unit == "seed" else ""
    return Section("How it was computed", [*map(Text, [PAIRING.format(unit=unit, folds=folds), *lines])])
