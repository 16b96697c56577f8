"""What the cells of one column are, judged by the cells alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nnlab.data.columns import Column
from nnlab.data.identifiers import FEWEST_VALUES, is_key_name
from nnlab.errors import shortened
from nnlab.tables.cells import as_text, is_number_type, numbers_of, without_missing_numbers
from nnlab.tables.dates import fitting_forms, is_date_type, likelier_order, parse_dates
from nnlab.tables.judged import (
    Judged,
    ReadingSettings,
    boolean_column,
    category_column,
    constant,
    date_column,
    number_column,
)
from nnlab.tables.numerals import NUMBER_MARKS, Notation, find_notation, parse_numbers
from nnlab.tables.user_types import DAY_MONTH_ORDERS, MARK_OF_DECIMAL

BOOLEAN_WORDS = (
    ("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"), ("off", "on"), ("nein", "ja"), ("non", "oui"),
)  # fmt: skip
MOST_SPELLINGS = 8  # of the two words of a boolean: YES, Yes, yes
DISTINCT_SHARE = 0.9  # least share of different cells in a column of identifiers
# Least mean number of words, or of characters, in a column of sentences, and how many of them differ: fewer
# are categories, however long their names are.
WORDS_OF_SENTENCE, LETTERS_OF_SENTENCE, FEWEST_SENTENCES = 5, 60, 20
# A column of numbers, or dates, in which some cells are something else: how many different ones, which share.
FEWEST_REGULAR_CELLS, REGULAR_SHARE = 20, 0.9
MOST_ODD_WORDS = 3  # that a command line would name
DATE_FORMS_TRIED = ("ymd", "dmy", "mdy", "d month y", "month d y")
CELLS_TRIED = 50  # whether any is a number or a date, before all are
LONGEST_NUMBER = 15  # digits that float64 keeps
EIGHT_DIGITS = (10_000_000, 99_999_999)


def judge(name: str, cells: pa.Array, settings: ReadingSettings) -> Judged:
    """What the cells of a column are: by their type, or else by their text."""
    type_ = cells.type
    if pa.types.is_null(type_):
        return constant(name, [])
    if pa.types.is_nested(type_):
        return Judged(Column(name, "text", "lists or other values within values"))
    if pa.types.is_boolean(type_):
        return boolean_column(name, as_text(cells), ("false", "true"), "true or false", settings)
    if is_date_type(type_):
        return date_column(name, cells, "", "", settings)
    if is_number_type(type_):
        return number_column(name, numbers_of(cells), "numbers", settings)
    text = as_text(cells, settings.missing)
    if pa.types.is_dictionary(type_):
        return category_column(name, text, "categories by its type", settings)
    return _judge_text(name, text, settings)


def _judge_text(name: str, cells: pa.Array, settings: ReadingSettings) -> Judged:
    """What cells of text are, null where one is missing."""
    among_numbers = without_missing_numbers(cells)
    if among_numbers.null_count < len(cells) and settings.decimal != ",":
        numbers = _plain_numbers(among_numbers)
        if numbers is not None:
            return _plain_number(name, cells, among_numbers, numbers, settings)
    encoded = cells.drop_null().dictionary_encode()
    if not len(encoded):
        return constant(name, [])
    distinct = without_missing_numbers(encoded.dictionary).drop_null()
    return (
        boolean_words(name, cells, settings)
        or _written_number(name, cells, distinct, settings)
        or _written_date(name, cells, distinct, settings)
        or _mixed(name, cells, encoded)
        or _words(name, cells, encoded, settings)
    )


def _plain_numbers(cells: pa.Array) -> np.ndarray | None:
    """The numbers of a column of plain ones, NaN where they are missing; None if some are not plain."""
    try:
        cells.slice(0, CELLS_TRIED).cast(pa.float64())
        return cells.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None


def _plain_number(
    name: str, cells: pa.Array, text: pa.Array, numbers: np.ndarray, settings: ReadingSettings
) -> Judged:
    """A column of plain numbers, which may be codes, 01234, or dates, 20240131."""
    if pc.any(pc.match_substring_regex(text, r"^0\d+$")).as_py():
        return _code(name, cells, "leading zeros", settings)
    if pc.any(pc.match_substring_regex(text, rf"^\d{{{LONGEST_NUMBER + 1},}}$")).as_py():
        return _code(name, cells, f"more than {LONGEST_NUMBER} digits", settings)
    low, high = EIGHT_DIGITS
    if low <= np.nanmin(numbers) and np.nanmax(numbers) <= high:
        if fitting_forms(text.drop_null().unique()) == ["compact"]:
            return date_column(name, text, "compact", "", settings)
    return number_column(name, numbers, "numbers", settings)


def _code(name: str, cells: pa.Array, reason: str, settings: ReadingSettings) -> Judged:
    distinct = len(cells.drop_null().unique())
    if _are_different(distinct, len(cells) - cells.null_count):
        return Judged(Column(name, "identifier", f"codes that differ, {reason}"))
    return category_column(name, cells, f"codes, {reason}", settings)


def boolean_words(name: str, cells: pa.Array, settings: ReadingSettings, reason: str = "") -> Judged | None:
    """A column of two words such as no and yes, in any spelling; None if it is another."""
    words = cells.drop_null().unique()
    if len(words) > MOST_SPELLINGS:
        return None
    lower = set(pc.utf8_lower(words).to_pylist())
    for pair in BOOLEAN_WORDS:
        if lower == set(pair):
            spelling = {word.lower(): word for word in sorted(words.to_pylist())}
            reason = reason or f"{pair[0]} or {pair[1]}"
            return boolean_column(name, cells, (spelling[pair[0]], spelling[pair[1]]), reason, settings)
    return None


def _written_number(
    name: str, cells: pa.Array, distinct: pa.Array, settings: ReadingSettings
) -> Judged | None:
    """A column of numbers that are written in another way than 1234.5."""
    reading = find_notation(distinct, settings.decimal)
    if reading is None:
        return None
    notation, other = reading
    numbers = parse_numbers(without_missing_numbers(cells), notation)
    judged = number_column(name, numbers, notation.description, settings, notation)
    if other is None:
        return judged
    example = next(cell for cell in distinct.to_pylist() if "," in cell or "." in cell)
    value, other_value = (parse_numbers(pa.array([example]), n)[0] for n in (notation, other))
    word = next(word for word, mark in MARK_OF_DECIMAL.items() if mark == other.decimal)
    doubt = f"'{example}' is read as {value:g}; data.decimal={word} reads {other_value:g}"
    return replace(judged, doubt=doubt)


def _written_date(name: str, cells: pa.Array, distinct: pa.Array, settings: ReadingSettings) -> Judged | None:
    """A column of dates in one of the forms; where day and month may be either, that is said."""
    forms = fitting_forms(distinct)
    if not forms:
        return None
    cells = without_missing_numbers(cells)
    form = likelier_order(cells, forms)
    judged = date_column(name, cells, form, "", settings)
    if not {*DAY_MONTH_ORDERS} <= set(forms):
        return judged
    other = next(order for order in DAY_MONTH_ORDERS if order != form)
    doubt = (
        f"'{distinct[0]}' is read with the {DAY_MONTH_ORDERS[form]}; data.types.{name}={other} reads it with "
        f"the {DAY_MONTH_ORDERS[other]}"
    )
    return replace(judged, doubt=doubt)


def _mixed(name: str, cells: pa.Array, encoded) -> Judged | None:
    """A column of numbers or dates in which some cells are something else: not an input as it is."""
    distinct = encoded.dictionary
    if len(distinct) < FEWEST_REGULAR_CELLS:
        return None
    counts = np.bincount(encoded.indices.to_numpy(), minlength=len(distinct))
    kinds = [("numbers", np.isfinite(parse_numbers(distinct, Notation(d, t)))) for d, t in NUMBER_MARKS]
    for form in DATE_FORMS_TRIED:
        if np.isfinite(parse_dates(distinct.slice(0, CELLS_TRIED), form)["days"]).mean() > 0.5:
            kinds.append(("dates", np.isfinite(parse_dates(distinct, form)["days"])))
    kind, fits = max(kinds, key=lambda one: counts @ one[1])
    if fits.sum() < FEWEST_REGULAR_CELLS or counts @ fits < REGULAR_SHARE * counts.sum():
        return None
    odd = tuple(distinct.filter(pa.array(~fits)).to_pylist())
    count = int(counts @ ~fits)
    cells_are = "one cell is" if count == 1 else f"{count:,} cells are not, such as"
    reason = f"{kind}, but {cells_are} '{shortened(odd[0], 20)}'"
    words = odd if len(odd) <= MOST_ODD_WORDS else ()
    first_row = pc.index(cells, odd[0]).as_py()
    return Judged(Column(name, "text", reason), odd=(first_row, odd[0]), odd_words=words)


def _words(name: str, cells: pa.Array, encoded, settings: ReadingSettings) -> Judged:
    """A category, an identifier, or a text of several words."""
    distinct, count = len(encoded.dictionary), len(encoded)
    if distinct > max(FEWEST_SENTENCES, count / 2) and _are_sentences(encoded.dictionary):
        return Judged(Column(name, "text", "sentences"))
    if _are_different(distinct, count) or is_key_name(name) and distinct == count > 1:
        return Judged(Column(name, "identifier", "differs by row"))
    return category_column(name, cells, "", settings)


def _are_different(distinct: int, count: int) -> bool:
    return count >= FEWEST_VALUES and distinct >= DISTINCT_SHARE * count


def _are_sentences(cells: pa.Array) -> bool:
    words = pc.mean(pc.count_substring_regex(cells, r"\S+")).as_py()
    return words >= WORDS_OF_SENTENCE or pc.mean(pc.utf8_length(cells)).as_py() >= LETTERS_OF_SENTENCE
