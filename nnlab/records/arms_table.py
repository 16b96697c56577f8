"""The table of compared arms: by mean, each with its interval and letters; columns of further quantities."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nnlab.errors import visible
from nnlab.records import text_columns
from nnlab.records.compared_quantity import ComparedQuantity, is_known
from nnlab.records.run_summaries import brief_names, parse_overrides

if TYPE_CHECKING:
    from nnlab.statistics.comparison import Arm, Comparison

WORD_CHARACTERS = 60  # most of a word of a name, which else loses its middle
# Columns beside the measure's that come before others, as far as there is room.
FIRST_QUANTITIES = ("steps", "test_error", "test_rmse", "test_loss", "val_loss", "val_error")
COMPLEMENTS = {"test_error": "test_accuracy", "test_accuracy": "test_error", "val_error": "val_accuracy"}
MOST_LETTERS = 10  # that are written one by one


def arms_table(
    comparison: Comparison,
    quantity: ComparedQuantity,
    others: Mapping[ComparedQuantity, Comparison] | None = None,
) -> list[str]:
    """The lines of the table, the best arm first; the means of `others` stand in it as far as they fit.

    Names that leave no room for the numbers have lines of their own above them.
    """
    names = list(shown_names([arm.name for arm in comparison.arms]).values())
    headings, cells = arm_cells(comparison, quantity)
    for keys, labels in (([""], [[name] for name in names]), _by_key(names), ([""], [[""]] * len(names))):
        lines = _table(keys, headings, labels, cells)
        if _fits(lines, labels):
            break
    for other, of_other in (others or {}).items():
        headings = [*headings, other.label]
        cells = [[*row, mean] for row, mean in zip(cells, means_of(comparison, other, of_other), strict=True)]
        wider = _table(keys, headings, labels, cells)
        if not _fits(wider, labels):
            break
        lines = wider
    return lines if any(map(any, labels)) else _below_their_names(names, lines)


def further_quantities(names: Iterable[str]) -> list[str]:
    """The names of the other quantities, those first that say most beside the measure, which is the first."""
    measure, *others = names
    place = {name: n for n, name in enumerate(FIRST_QUANTITIES)} | {
        COMPLEMENTS.get(measure): 2 * len(FIRST_QUANTITIES)
    }
    return sorted(others, key=lambda name: place.get(name, len(FIRST_QUANTITIES)))


def _by_key(names: list[str]) -> tuple[list[str], list[list[str]]]:
    """A column for each key of the names, where all have the same keys; else none that fits."""
    settings = [parse_overrides(name) for name in names]
    keys = list(dict.fromkeys(key for of_arm in settings for key in of_arm))
    return keys, [[of_arm.get(key, "-") for key in keys] for of_arm in settings]


def _fits(lines: list[str], labels: list[list[str]]) -> bool:
    """Whether the table is one block, not several below each other, and no label loses its middle."""
    longest = max(len(label) for of_arm in labels for label in of_arm)
    widest = max(map(len, lines))
    return "" not in lines and widest <= text_columns.LINE_WIDTH and longest <= text_columns.CELL_CHARACTERS


def _table(
    keys: list[str], headings: list[str], labels: list[list[str]], cells: list[list[str]]
) -> list[str]:
    rows = [[*label, *row] for label, row in zip(labels, cells, strict=True)]
    return text_columns.table([*keys, *headings], rows, len(keys))


def arm_cells(comparison: Comparison, quantity: ComparedQuantity) -> tuple[list[str], list[list[str]]]:
    """Headings, and the cells of each arm, without its name."""
    any_diverged = any(arm.diverged for arm in comparison.arms)
    lettered = len(comparison.arms) > 2
    headings = [
        quantity.label,
        f"{comparison.level:.0%} interval",
        *["group"] * lettered,
        f"{comparison.unit}s",
    ]
    headings += [quantity.failed] * any_diverged
    means = quantity.values([arm.mean for arm in comparison.arms])
    intervals = quantity.intervals([(arm.low, arm.high) for arm in comparison.arms])
    rows = []
    for arm, mean, interval in zip(comparison.arms, means, intervals, strict=True):
        mark = "*" * bool(arm.diverged and is_known(arm.mean))
        cells = [mean + mark, interval, *[letter_ranges(arm.letters)] * lettered, str(arm.n)]
        rows.append(cells + [str(arm.diverged)] * any_diverged)
    return headings, rows


def shown_names(names: Sequence[str], longest: int = text_columns.CELL_CHARACTERS) -> dict[str, str]:
    """How each arm's name is shown: whole, or where one is longer, with short keys; always unique.

    Words that are too long for a line lose their middle.
    """
    readable = [" ".join(visible(name).split()) or "(no words)" for name in names]
    if max(map(len, readable)) > longest:
        readable = brief_names(_without_common_words(readable), longest)
    shown: dict[str, str] = {}
    for name, text in zip(names, readable, strict=True):
        words = " ".join(text_columns.elide_middle(word, WORD_CHARACTERS) for word in text.split())
        numbered = (f"{words} ({n})" if n > 1 else words for n in itertools.count(1))
        shown[name] = next(each for each in numbered if each not in shown.values())
    return shown


def _without_common_words(names: list[str]) -> list[str]:
    """The names without the words that all of them have, unless nothing of one is left."""
    words = [name.split() for name in names]
    common = set(words[0]).intersection(*words[1:]) if len(words) > 1 else set()
    rest = [" ".join(word for word in of_arm if word not in common) for of_arm in words]
    return rest if all(rest) else names


def letter_ranges(letters: str) -> str:
    """`a-n` for abcdefghijklmn: many letters, of which four or more in a row are a range."""
    if len(letters) <= MOST_LETTERS:
        return letters
    text = ""
    for _, run in itertools.groupby(enumerate(letters), lambda each: ord(each[1]) - each[0]):
        row = "".join(letter for _, letter in run)
        text += f"{row[0]}-{row[-1]}" if len(row) > 3 else row
    return text


def means_of(comparison: Comparison, quantity: ComparedQuantity, other: Comparison) -> list[str]:
    """The means of another quantity, in the order of this comparison's arms."""
    by_name: dict[str, Arm] = {arm.name: arm for arm in other.arms}
    arms = [by_name.get(arm.name) for arm in comparison.arms]
    return quantity.values([None if arm is None else arm.mean for arm in arms])


def _below_their_names(names: list[str], lines: list[str]) -> list[str]:
    head = len(lines) - len(names)
    table = lines[:head]
    for name, line in zip(names, lines[head:], strict=True):
        table += [*text_columns.wrap_line(f"  {name}"), line]
    return table
