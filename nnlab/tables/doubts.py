"""What to doubt in a table before a network is trained on it: each a sentence, the gravest first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnlab.data.identifiers import is_key_name
from nnlab.data.labels import lookalikes
from nnlab.tables.assembly import text_remedy
from nnlab.tables.grave_doubts import Doubt, grave_doubts, is_group_key, quoted
from nnlab.tables.profile import ColumnFacts, Profile

FEWEST_EXAMPLES = 50  # with fewer a test result may be luck
NEARLY_CONSTANT, MOSTLY_MISSING = 0.99, 0.5
RARE_CLASS_EXAMPLES, RARE_CLASS_SHARE = 10, 0.02
MOST_NAMES_COMPARED = 2000
# Numbers that often stand for a missing cell, where they are far from all others.
SENTINEL_NUMBERS = (-9, -99, -999, -9999, -99999, 99, 999, 9999, 99999, 999999)
SENTINEL_DISTANCE = 3  # times the range of the other values, in which a sentinel is outside of it


def doubts(profile: Profile) -> list[Doubt]:
    """The doubts about a table and its columns."""
    grave = grave_doubts(profile.table, profile.settings)
    slight = [
        *_texts(profile), *_rare_classes(profile), *_duplicates(profile), *_sentinels(profile),
        *_keys_that_repeat(profile), *_nearly_constant(profile), *_mostly_missing(profile),
        *_spelled_alike(profile), *_few_examples(profile),
    ]  # fmt: skip
    return [*map(Doubt, _of_columns_as_read(profile)), *grave, *map(Doubt, slight)]


def _of_columns_as_read(profile: Profile) -> Iterator[str]:
    if profile.table.target_doubt:
        yield profile.table.target_doubt
    for judged in profile.table.judged:
        if judged.doubt:
            yield f"{quoted(judged.column.name)}: {judged.doubt}"


def _texts(profile: Profile) -> Iterator[str]:
    for judged in profile.table.texts:
        yield text_remedy(judged, profile.table.source)


def _rare_classes(profile: Profile) -> Iterator[str]:
    y, classes = profile.table.targets.y, profile.table.targets.classes
    if not classes:
        return
    counts = np.bincount(y, minlength=len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] < RARE_CLASS_EXAMPLES or counts[rarest] < RARE_CLASS_SHARE * len(y):
        noun = "example" if counts[rarest] == 1 else "examples"
        name = quoted(classes[rarest])
        yield f"the class {name} has only {counts[rarest]:,} {noun}: look at its recall, not the accuracy"


def _duplicates(profile: Profile) -> Iterator[str]:
    """Examples that are the same in all inputs: alike in training and test they promise too much."""
    x, y = profile.table.raw, profile.table.targets.y
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
        for value in SENTINEL_NUMBERS:
            at, present = facts.numbers == value, np.isfinite(facts.numbers)
            others = facts.numbers[present & ~at]
            if at.sum() < 2 or not len(others):
                continue
            reach = SENTINEL_DISTANCE * max(np.ptp(others), 1.0)
            if value < others.min() and others.min() >= 0 or abs(value - np.median(others)) > reach:
                name = quoted(facts.column.name)
                yield f"{name} is {value} in {at.sum():,} rows, as if it were missing: data.missing=[{value}]"


def _keys_that_repeat(profile: Profile) -> Iterator[str]:
    for facts in profile.facts:
        name = facts.column.name
        if facts.numbers is None or not is_key_name(name):
            continue
        # Where there are more, the rows of each may be a group, which is a doubt of its own.
        if 2 < len(np.unique(facts.numbers)) and not is_group_key(facts.column, profile.table):
            yield (
                f"{quoted(name)} is a number, and a key by its name: data.types.{name}=category, "
                f"data.group={name}, or data.drop=[{name}]"
            )


def _nearly_constant(profile: Profile) -> Iterator[str]:
    for facts in profile.facts:
        share = _largest_share(facts)
        if NEARLY_CONSTANT <= share < 1:
            yield f"{quoted(facts.column.name)} has one value in {100 * share:.4g}% of the rows"


def _largest_share(facts: ColumnFacts) -> float:
    if facts.counts:
        return facts.counts[0][1] / sum(count for _, count in facts.counts) * (1 - facts.missing)
    if facts.numbers is None:
        return 0.0
    return np.unique(facts.numbers, return_counts=True)[1].max() / len(facts.numbers)


def _mostly_missing(profile: Profile) -> Iterator[str]:
    for facts in profile.facts:
        if facts.column.is_input and facts.missing > MOSTLY_MISSING:
            yield f"{quoted(facts.column.name)} is missing in {100 * facts.missing:.3g}% of the rows"


def _spelled_alike(profile: Profile) -> Iterator[str]:
    for facts in profile.facts:
        if facts.column.type == "category" and len(facts.column.categories) <= MOST_NAMES_COMPARED:
            for first, second in lookalikes(facts.column.categories)[:1]:
                yield f"{quoted(facts.column.name)} has both {quoted(first)} and {quoted(second)}"


def _few_examples(profile: Profile) -> Iterator[str]:
    count = len(profile.table.source)
    if count < FEWEST_EXAMPLES:
        yield f"{count} examples are few: split=kfold seeds=5 tests on all of them"
