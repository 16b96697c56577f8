"""What to doubt in a table before a network is trained on it: each a sentence, the gravest first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnlab.data.identifiers import is_key_name, ranks
from nnlab.data.labels import lookalikes
from nnlab.errors import shortened
from nnlab.tables.profile import ColumnFacts, Profile

FEWEST_EXAMPLES = 50  # with fewer a leak may be luck, and so may a test result
LEAK_SHARE = 0.995  # of examples whose class, or whose target's variance, one column tells
FEWEST_IN_BIN = 5  # examples, below which the class of a bin is luck
MOST_BINS, EXAMPLES_OF_BIN = 32, 20  # that a column of numbers is divided into
NEARLY_CONSTANT, MOSTLY_MISSING = 0.99, 0.5
RARE_CLASS_EXAMPLES, RARE_CLASS_SHARE = 10, 0.02
MOST_NAMES_COMPARED = 2000
# Numbers that often stand for a missing cell, where they are far from all others.
SENTINELS = (-9, -99, -999, -9999, -99999, 99, 999, 9999, 99999, 999999)
SENTINEL_DISTANCE = 3  # times the range of the other values, in which a sentinel is outside of it
FORWARD_SHARE = 0.999  # least share of steps forward in a column of dates, if the rows are in their order


def doubts(profile: Profile) -> list[str]:
    """The doubts about a table and its columns."""
    return [
        *_of_columns_as_read(profile), *_leaks(profile), *_rare_classes(profile), *_duplicates(profile),
        *_sentinels(profile), *_keys_that_repeat(profile), *_nearly_constant(profile),
        *_mostly_missing(profile), *_spelled_alike(profile), *_order_of_time(profile),
        *_few_examples(profile),
    ]  # fmt: skip


def _of_columns_as_read(profile: Profile) -> Iterator[str]:
    if profile.table.target_doubt:
        yield profile.table.target_doubt
    for judged in profile.table.judged:
        if judged.doubt:
            yield f"{_quoted(judged.column.name)}: {judged.doubt}"


def _leaks(profile: Profile) -> Iterator[str]:
    """Columns that alone tell the target, as what was written down after it does."""
    table = profile.table
    count, y = len(table.source), table.targets.y
    if count < FEWEST_EXAMPLES:
        return
    for facts in profile.facts:
        bins = _bins(facts, profile)
        if bins is None:
            continue
        if table.targets.classes:
            known, base = _majority_share(bins, y), np.bincount(y).max() / count
            if known >= LEAK_SHARE and known - base > (1 - base) / 2:
                share = f"{100 * known:.4g}%"
                yield f"{_quoted(facts.column.name)} alone tells the class of {share}: is it known before?"
        elif _explained(facts, bins, y[:, 0]) >= LEAK_SHARE:
            name, target = _quoted(facts.column.name), _quoted(table.roles.target)
            yield f"{name} alone tells {target} almost exactly: is it known before?"


def _bins(facts: ColumnFacts, profile: Profile) -> np.ndarray | None:
    """(N,) the bin of each cell: its category, or a part of the range; missing cells have a bin of theirs."""
    column = facts.column
    if column.type == "number":
        numbers = facts.numbers
        bins = max(2, min(MOST_BINS, np.isfinite(numbers).sum() // EXAMPLES_OF_BIN))
        edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, bins + 1)))
        return np.where(np.isnan(numbers), -1, np.searchsorted(edges[1:-1], numbers, "right"))
    if column.type in ("category", "boolean"):
        return profile.raw_of(column)[:, 0].astype(np.int64)
    return None


def _majority_share(bins: np.ndarray, y: np.ndarray) -> float:
    """The share of examples in the class that most of their bin have, and that is not alone there."""
    _, bins = np.unique(bins, return_inverse=True)
    counts = np.zeros((bins.max() + 1, y.max() + 1), np.int64)
    np.add.at(counts, (bins, y), 1)
    return counts.max(1)[counts.sum(1) >= FEWEST_IN_BIN].sum() / len(y)


def _explained(facts: ColumnFacts, bins: np.ndarray, y: np.ndarray) -> float:
    """The share of a number's variance that a column tells: by its ranks, or the means of its categories."""
    if y.min() == y.max():
        return 0.0
    if facts.numbers is not None:
        present = np.isfinite(facts.numbers)
        if present.mean() < MOSTLY_MISSING or np.ptp(facts.numbers[present]) == 0:
            return 0.0
        return float(np.corrcoef(ranks(facts.numbers[present]), ranks(y[present]))[0, 1] ** 2)
    _, bins, counts = np.unique(bins, return_inverse=True, return_counts=True)
    if counts.min() < FEWEST_IN_BIN:
        return 0.0
    means = np.bincount(bins, y) / counts
    return float(1 - ((y - means[bins]) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def _rare_classes(profile: Profile) -> Iterator[str]:
    y, classes = profile.table.targets.y, profile.table.targets.classes
    if not classes:
        return
    counts = np.bincount(y, minlength=len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] < RARE_CLASS_EXAMPLES or counts[rarest] < RARE_CLASS_SHARE * len(y):
        noun = "example" if counts[rarest] == 1 else "examples"
        name = _quoted(classes[rarest])
        yield f"the class {name} has only {counts[rarest]:,} {noun}: look at its recall, not the accuracy"


def _duplicates(profile: Profile) -> Iterator[str]:
    """Examples that are the same in all inputs: alike in training and test they promise too much."""
    x, y = profile.raw, profile.table.targets.y
    if not x.shape[1] or len(x) < 2:
        return
    both = np.ascontiguousarray(np.column_stack([x, y]) + 0.0)
    copies = len(both) - len(np.unique(both.view(np.dtype((np.void, both.strides[0])))))
    if copies:
        noun = "row is a copy" if copies == 1 else "rows are copies"
        yield f"{copies:,} {noun} of another in all inputs and the target"


def _sentinels(profile: Profile) -> Iterator[str]:
    for facts in profile.facts:
        if facts.numbers is None:
            continue
        for value in SENTINELS:
            at, present = facts.numbers == value, np.isfinite(facts.numbers)
            others = facts.numbers[present & ~at]
            if at.sum() < 2 or not len(others):
                continue
            reach = SENTINEL_DISTANCE * max(np.ptp(others), 1.0)
            if value < others.min() and others.min() >= 0 or abs(value - np.median(others)) > reach:
                name = _quoted(facts.column.name)
                yield f"{name} is {value} in {at.sum():,} rows, as if it were missing: data.missing=[{value}]"


def _keys_that_repeat(profile: Profile) -> Iterator[str]:
    for facts in profile.facts:
        name = facts.column.name
        if facts.numbers is not None and is_key_name(name) and len(np.unique(facts.numbers)) > 2:
            yield (
                f"{_quoted(name)} is a number, and a key by its name: data.types.{name}=category, "
                f"data.group={name}, or data.drop=[{name}]"
            )


def _nearly_constant(profile: Profile) -> Iterator[str]:
    for facts in profile.facts:
        share = _largest_share(facts)
        if NEARLY_CONSTANT <= share < 1:
            yield f"{_quoted(facts.column.name)} has one value in {100 * share:.4g}% of the rows"


def _largest_share(facts: ColumnFacts) -> float:
    if facts.counts:
        return facts.counts[0][1] / sum(count for _, count in facts.counts) * (1 - facts.missing)
    if facts.numbers is None:
        return 0.0
    return np.unique(facts.numbers, return_counts=True)[1].max() / len(facts.numbers)


def _mostly_missing(profile: Profile) -> Iterator[str]:
    for facts in profile.facts:
        if facts.column.is_input and facts.missing > MOSTLY_MISSING:
            yield f"{_quoted(facts.column.name)} is missing in {100 * facts.missing:.3g}% of the rows"


def _spelled_alike(profile: Profile) -> Iterator[str]:
    for facts in profile.facts:
        if facts.column.type == "category" and len(facts.column.categories) <= MOST_NAMES_COMPARED:
            for first, second in lookalikes(facts.column.categories)[:1]:
                yield f"{_quoted(facts.column.name)} has both {_quoted(first)} and {_quoted(second)}"


def _order_of_time(profile: Profile) -> Iterator[str]:
    if profile.settings.time is not None:
        return
    for facts in profile.facts:
        if "days" not in facts.column.parts or len(profile.table.source) < FEWEST_EXAMPLES:
            continue
        days = profile.raw_of(facts.column)[:, -1]
        steps = np.diff(days[np.isfinite(days)])
        if len(steps) and (steps >= 0).mean() >= FORWARD_SHARE and (steps > 0).any():
            name = facts.column.name
            yield f"the rows are in the order of {_quoted(name)}: data.time={name} tests on the latest"


def _few_examples(profile: Profile) -> Iterator[str]:
    count = len(profile.table.source)
    if count < FEWEST_EXAMPLES:
        yield f"{count} examples are few: split=kfold seeds=5 tests on all of them"


def _quoted(name: str) -> str:
    return f"'{shortened(name, 30)}'"
