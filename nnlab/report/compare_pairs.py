"""The table of all pairs of a comparison: what every method says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nnlab.records.arms_table import shown_names
from nnlab.records.compared_quantity import ComparedQuantity, gain_of, is_known
from nnlab.records.pair_sentences import p_words
from nnlab.report.columns import tables_of
from nnlab.report.parts import Table
from nnlab.statistics.comparison import Comparison, Pair

NAME_CHARACTERS, VERDICTS = 30, {"identical": "the same"}


def pairs_tables(comparison: Comparison, quantity: ComparedQuantity, pairs: Sequence[Pair]) -> list[Table]:
    """A row for each pair; of the two, the first is better in the mean of their differences. What decides is
    in the first table, and what other methods say below it."""
    unit = f" ({quantity.unit})" if quantity.unit else ""
    headings = [
        "first", "second", "verdict", f"{comparison.unit}s", f"difference{unit}",
        f"{comparison.level:.0%} interval", "p by Holm", "p by Student", "difference / noise",
        f"more {comparison.unit}s", "P(first better)", "bootstrap", "p by signs", "p by Wilcoxon",
    ]  # fmt: skip
    names = shown_names([arm.name for arm in comparison.arms], NAME_CHARACTERS)
    rows = [_cells(pair, comparison, quantity, names) for pair in pairs]
    if len(comparison.pairs) == 1:  # Holm's p is that of the pair
        at = headings.index("p by Holm")
        headings, *rows = ([*row[:at], *row[at + 1 :]] for row in (headings, *rows))
    return tables_of(headings, rows, labels=3)


def _cells(
    pair: Pair, comparison: Comparison, quantity: ComparedQuantity, names: dict[str, str]
) -> list[str]:
    gain = gain_of(pair, comparison.larger_is_better)
    resampled = replace(pair, low=pair.bootstrap_low, high=pair.bootstrap_high)
    bootstrap = quantity.difference_numbers(gain_of(resampled, comparison.larger_is_better))[1]
    superiority = pair.superiority
    if superiority is not None and gain.first != pair.a:
        superiority = 1 - superiority
    return [
        names[gain.first], names[gain.second], VERDICTS.get(pair.verdict, pair.verdict), str(pair.n),
        *quantity.difference_numbers(gain), _p_cell(pair.p_holm), _p_cell(pair.p),
        f"{pair.effect:.2f}" if is_known(pair.effect) else "",
        f"{pair.more_seeds:,}" if pair.more_seeds else "",
        "" if superiority is None else f"{superiority:.0%}",
        bootstrap, _p_cell(pair.p_sign), _p_cell(pair.p_wilcoxon),
    ]  # fmt: skip


def _p_cell(p: float | None) -> str:
    return p_words(p).removeprefix("p = ").removeprefix("p ") if is_known(p) else ""
