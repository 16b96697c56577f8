"""A comparison of arms for a terminal of 80 columns: the table by mean, and what is shown of which pair."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from nnlab.errors import visible
from nnlab.records import text_columns
from nnlab.records.arms_table import arms_table, further_quantities
from nnlab.records.compared_quantity import ComparedQuantity, is_known
from nnlab.records.pair_sentences import CLAIM_LEVEL, EXACT_TESTS, PairSentences
from nnlab.records.text import shell_word
from nnlab.statistics.rank_tests import fewest_pairs

if TYPE_CHECKING:
    from nnlab.statistics.comparison import Comparison, Pair

ALL_PAIRS_ARMS = 3  # up to which every pair has a sentence
FEW_ARMS = 6  # up to which the best is compared with each other one in a sentence
MOST_CLAIMS = 8  # of more arms: sentences, before the rest is counted
MOST_SUGGESTED, USUAL_SEEDS = 100, 10  # more seeds than a command is suggested for; of nnlab compare
NO_BREAK = "\u00a0"  # a space at which no line ends
SHOWN = ("better", "diverged")  # verdicts that claim a difference


def comparison_lines(
    comparisons: Mapping[str, Comparison],
    measure: str,
    task: str = "classification",
    folder: str = "",
    data: str = "",
) -> list[str]:
    """The lines for the arms on one data set, none wider than 80 columns, but for a command to copy.

    `comparisons` has the comparison of each quantity, as compare.json: that of `measure` is analysed pair by
    pair, the others are columns of the table as far as they fit. `task` ("classification", "regression")
    decides units. With a `folder`, the command that trains more seeds into it is given. Of several data sets,
    call it for each, with its name as `data`.

        for line in comparison_lines(comparisons["digits"], "test_error", folder="outputs/compare/..."):
            terminal.line(line)
    """
    comparison, quantity = comparisons[measure], ComparedQuantity(measure, task)
    further = further_quantities([measure, *(name for name in comparisons if name != measure)])
    others = {ComparedQuantity(name, task): comparisons[name] for name in further}
    lines = ["", *text_columns.wrap_line(f"  {visible(data)}")] if data else []
    lines += ["", *arms_table(comparison, quantity, others), ""]
    lines += [line for each in sentences(comparison, quantity) for line in wrapped(each)]
    remarks = [scope_note(comparison), *notes(comparison, quantity)]
    remarks = [line for each in remarks for line in wrapped(each)]
    lines += ["", *remarks] if remarks else []
    more = seeds_to_suggest(comparison)
    if folder and more:
        words = f"nnlab compare {shell_word(folder)} seeds=+{more}"
        lines += ["", *text_columns.command_lines("more seeds", words)]
    return lines


def wrapped(sentence: str) -> list[str]:
    """A sentence in lines, of which all but the first are indented."""
    joined = re.sub(r"\bp ([=<]) (?=[\d.])", f"p{NO_BREAK}\\1{NO_BREAK}", sentence)
    lines = textwrap.wrap(
        joined, text_columns.LINE_WIDTH, initial_indent="  ", subsequent_indent="    ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace(NO_BREAK, " ") for line in lines]


def sentences(comparison: Comparison, quantity: ComparedQuantity) -> list[str]:
    """The best arm against each of the others; of many, what is shown, and a count of the rest."""
    write, pairs = PairSentences(comparison, quantity), comparison.pairs
    if len(comparison.arms) > ALL_PAIRS_ARMS:
        pairs = pairs_of_best(comparison)
    few = len(comparison.arms) <= FEW_ARMS
    lines = [write.sentence(pair) for pair in pairs] if few else [*_of_many(pairs, write)]
    if len(comparison.pairs) == 1 and (further := write.further_tests(comparison.pairs[0])):
        lines.append(further)
    if other := [pair for pair in comparison.pairs if pair not in pairs]:
        shown = sum(pair.verdict in SHOWN for pair in other)
        of_which = f"{shown:,} differ: see their groups" if shown else "no difference is shown"
        lines.append(f"of the {len(other):,} pairs without the best arm, {of_which}")
    return lines


def pairs_of_best(comparison: Comparison) -> list[Pair]:
    """The pairs of the arm with the best mean, in the order of the others."""
    best, *others = comparison.arms
    return [comparison.pair(best.name, arm.name) for arm in others]


def _of_many(pairs: list[Pair], write: PairSentences) -> Iterator[str]:
    """What is shown, the arms next to the best first, and the rest in a line for each verdict."""
    best = write.names[write.comparison.arms[0].name]
    shown = [pair for pair in pairs if pair.verdict in SHOWN]
    yield from (write.sentence(pair) for pair in shown[:MOST_CLAIMS])
    if further := shown[MOST_CLAIMS:]:
        yield f"{best} differs from {_others(len(further))} too: see the groups"
    undecided = [pair for pair in pairs if pair.verdict == "undecided"]
    if undecided:
        fewest = min((pair.more_seeds for pair in undecided if pair.more_seeds), default=None)
        more = f"; {write.count(fewest, 'more ')} would decide one of them" if fewest else ""
        yield f"no difference shown between {best} and {_others(len(undecided))}{more}"
    if failed := write.failures():
        yield failed
    identical = sum(pair.verdict == "identical" for pair in pairs)
    if identical:
        yield _as_best(identical, write)


def _as_best(count: int, write: PairSentences) -> str:
    """So many other arms are as the best one is, in the measure alone."""
    best, quantity = write.comparison.arms[0], write.quantity
    if not best.n:
        return f"no difference: neither {write.names[best.name]} nor {_others(count)} {quantity.succeeded}"
    have = "has" if count == 1 else "have"
    return f"no difference: {_others(count)} {have} the same {quantity.label} as {write.names[best.name]}"


def _others(count: int) -> str:
    return f"{count} other arm{'s' * (count != 1)}"


def notes(comparison: Comparison, quantity: ComparedQuantity) -> Iterator[str]:
    """How to read the table and the sentences, as far as it has to be said."""
    pairs, unit = comparison.pairs, comparison.unit
    if len(comparison.arms) > 2:
        yield (
            f"arms that share no letter differ: p at most {CLAIM_LEVEL:g} by Holm's method for "
            f"{len(pairs):,} pairs"
        )
    if any(is_known(pair.low) for pair in pairs):
        in_unit = ", in the target's unit" if quantity.has_targets_unit else ""
        yield f"differences are paired by {unit}{in_unit}; positive: the arm named first is better"
    if unit == "split" and any(is_known(pair.low) for pair in pairs):
        yield "intervals and p are corrected for splits that share examples (Nadeau and Bengio 2003)"
    yield from _least_p_notes(comparison)
    if any(pair.more_seeds and pair.decided_by == "student" for pair in pairs):
        yield (
            f"more {unit}s would decide it with a chance of 80% (power), if the effect is as large as it was "
            f"here, which is as uncertain as its interval"
        )
    if any(arm.diverged and is_known(arm.mean) for arm in comparison.arms):
        yield f"*: mean over the {unit}s that {quantity.succeeded}, which says nothing of the others"


def _least_p_notes(comparison: Comparison) -> Iterator[str]:
    """Which p so few pairs can give at best: by Holm where an exact test decides, of as many pairs of arms as
    are not shown to differ."""
    left = sum(pair.verdict not in SHOWN for pair in comparison.pairs)
    tested = [p for p in comparison.pairs if is_known(p.p_holm) and is_known(p.least_p)]
    exact = {p.units: p.least_p for p in tested if p.decided_by in EXACT_TESTS and p.verdict == "undecided"}
    for units, least_p in sorted(exact.items()):
        if left * least_p > CLAIM_LEVEL:
            least, needed = min(1.0, left * least_p), fewest_pairs(CLAIM_LEVEL / left)
            of_several = f" by Holm for {left:,} pairs of arms" if len(comparison.pairs) > 1 else ""
            counted = f"{units:,} {comparison.unit}{'s' * (units != 1)}"
            yield (
                f"{counted} can decide nothing in an exact test, whose p{of_several} is at least "
                f"{least:.3g}; {needed} {comparison.unit}s can"
            )
    others = {p.units: p.least_p for p in tested if p.decided_by == "student"}
    for units, least_p in sorted(others.items()):
        if least_p > CLAIM_LEVEL:
            yield f"{units} pairs cannot give less than p = {least_p:.3g} in a sign or Wilcoxon test"


def scope_note(comparison: Comparison) -> str:
    """What the verdicts cover: `verdicts cover other seeds on this one split, not new data: ...`."""
    return f"verdicts cover {visible(comparison.about)}" if comparison.about else ""


def added_seeds_note(times: int) -> str:
    """What the p-values of a comparison do not know, to which seeds were added so many times."""
    if not times:
        return ""
    how_often = "once" if times == 1 else f"{times} times"
    return (
        f"seeds were added {how_often}, and p is that of a single comparison: who adds seeds until a "
        f"difference is shown finds one between equal arms in 6 to 11% of comparisons, not in 5%"
    )


def seeds_to_suggest(comparison: Comparison) -> int | None:
    """The fewest more seeds that would decide a pair of the best arm; where there are no differences yet to
    judge by, those up to the usual number. None where it would take too many."""
    if comparison.unit != "seed":
        return None
    undecided = [pair for pair in pairs_of_best(comparison) if pair.verdict == "undecided"]
    most_units = max((pair.units for pair in undecided), default=USUAL_SEEDS)
    if most_units < 2:
        return USUAL_SEEDS - most_units
    counts = [pair.more_seeds for pair in undecided if pair.more_seeds]
    return min((count for count in counts if count <= MOST_SUGGESTED), default=None)
