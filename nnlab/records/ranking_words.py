"""Arms over several data sets, in words: the table of mean ranks, and what Friedman's test shows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nnlab.errors import visible
from nnlab.records import text_columns
from nnlab.records.arms_table import shown_names
from nnlab.records.comparison_words import wrapped
from nnlab.records.pair_sentences import CLAIM_LEVEL, p_words
from nnlab.statistics.comparison import Comparison
from nnlab.statistics.over_data import (
    Profile,
    Ranking,
    least_friedman_p,
    performance_profile,
    rank_arms,
    rank_table,
)

MOST_SENTENCES = 6
FEW_DATA = 5  # data sets, below which ranks hardly decide
NAME_CHARACTERS = 30


def ranking_of(comparisons: Mapping[str, Comparison]) -> Ranking | None:
    """The ranking of arms over the data sets, by the means of one quantity on each; None of a single one.

    An arm of which some rows diverged is the last on its data set: the mean of the others says nothing of it.
    """
    return rank_arms(_costs(comparisons)) if len(comparisons) > 1 else None


def ranks_on_data(comparisons: Mapping[str, Comparison], arms: Sequence[str]) -> dict[str, list[float]]:
    """Data set -> the ranks of these arms on it, of which `ranking_of` has the means."""
    costs = _costs(comparisons)
    table = np.array([[of_data[arm] for arm in arms] for of_data in costs.values()], float)
    return dict(zip(costs, rank_table(table).tolist(), strict=True))


def _costs(comparisons: Mapping[str, Comparison]) -> dict[str, dict[str, float]]:
    """Data set -> arm -> what is better the less it is; NaN where a row of it diverged."""
    costs: dict[str, dict[str, float]] = {}
    for data, comparison in comparisons.items():
        sign = -1 if comparison.larger_is_better else 1
        costs[data] = {
            arm.name: math.nan if arm.diverged or arm.mean is None else sign * arm.mean
            for arm in comparison.arms
        }
    return costs


def profile_of(arms: Sequence[str], values: Sequence[Mapping[str, np.ndarray]]) -> Profile | None:
    """The performance profile over all seeds and data sets; `values` are the units of the arms on each, by a
    quantity of which less is better. None where an arm lacks a seed that others have, or a value is below 0.
    """
    counts = [{len(of_data.get(arm, ())) for arm in arms} for of_data in values]
    if not counts or any(len(each) != 1 or 0 in each for each in counts):
        return None
    costs = {arm: np.concatenate([of_data[arm] for of_data in values]) for arm in arms}
    return None if any((each < 0).any() for each in costs.values()) else performance_profile(costs)


def ranking_lines(ranking: Ranking) -> list[str]:
    """The lines of a ranking, none wider than 80 columns."""
    names = shown_names(ranking.arms, NAME_CHARACTERS)
    rows = [[names[arm], f"{rank:.2f}"] for arm, rank in zip(ranking.arms, ranking.mean_ranks, strict=True)]
    lines = text_columns.table([f"over {len(ranking.data)} data sets", "mean rank"], rows, 1)
    return ["", *lines, "", *(line for each in ranking_sentences(ranking) for line in wrapped(each))]


def ranking_sentences(ranking: Ranking) -> Iterator[str]:
    """What is shown over the data sets, and how it was tested."""
    names, count = shown_names(ranking.arms), f"{len(ranking.data)} data sets"
    if ranking.p is None or ranking.critical_difference is None:
        return
    how = f"{p_words(ranking.p)} by Friedman's test{', exact' if ranking.exact else ''}"
    ranks = dict(zip(ranking.arms, ranking.mean_ranks, strict=True))
    apart = [pair for pair in itertools.combinations(ranking.arms, 2) if not _is_joined(pair, ranking)]
    for a, b in apart[:MOST_SENTENCES]:
        both = f"mean ranks {ranks[a]:.2f} and {ranks[b]:.2f}"
        yield f"{visible(names[a])} ranks better than {visible(names[b])} over {count} ({both})"
    if len(apart) > MOST_SENTENCES:
        yield f"and so do {len(apart) - MOST_SENTENCES} more pairs"
    if apart:
        limit = f"further apart than {ranking.critical_difference:.2f}, Nemenyi's critical difference"
        yield f"arms differ whose mean ranks are {limit} ({how})"
    elif ranking.p <= CLAIM_LEVEL:
        limit = f"which takes mean ranks {ranking.critical_difference:.2f} apart (Nemenyi)"
        yield f"some arms rank better than others over {count} ({how}), but no pair is shown to, {limit}"
    else:
        yield f"no difference shown over {count}: {how}"
    if (least := least_friedman_p(len(ranking.arms), len(ranking.data))) > CLAIM_LEVEL:
        yield f"{count} cannot give less than p = {least:.3g} in Friedman's test, however the arms rank"
    elif len(ranking.data) < FEW_DATA:
        yield f"ranks over {count} can hardly decide; the tables above are of each by itself"


def _is_joined(pair: tuple[str, str], ranking: Ranking) -> bool:
    """Whether the two are not shown to differ."""
    return any({*pair} <= {*group} for group in ranking.groups)
