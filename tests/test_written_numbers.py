"""How columns of text write numbers: the notation is found, and every cell has its value."""

import math

import numpy as np
import pyarrow as pa
import pytest

from nnlab.tables.numerals import Notation, find_notation, parse_numbers

# cells, their values, and the notation: decimal mark, thousands, sign
WRITTEN = {
    "plain": (["1234.5", "-3", "+.5", "1e3"], [1234.5, -3, 0.5, 1000], (".", "", "")),
    "decimal comma": (["39,1", "-0,5", "7"], [39.1, -0.5, 7], (",", "", "")),
    "three decimals after a zero": (["0,123", "0,5"], [0.123, 0.5], (",", "", "")),
    "thousands": (["1,234.5", "12"], [1234.5, 12], (".", ",", "")),
    "two groups": (["1,234,567", "12"], [1234567, 12], (".", ",", "")),
    "European": (["1.234,5", "12"], [1234.5, 12], (",", ".", "")),
    "spaces": (["1 234,5", "12"], [1234.5, 12], (",", " ", "")),
    "no-break spaces": (["1\u00a0234\u202f567", "12"], [1234567, 12], (".", " ", "")),
    "Swiss": (["1'234.50", "1’000"], [1234.5, 1000], (".", "'", "")),
    "dollars": (["$1,234", "-$3.5", "$ 7", "$-2"], [1234, -3.5, 7, -2], (".", ",", "$")),
    "zero without its sign": (["$5", "0"], [5, 0], (".", "", "$")),
    "euros": (["1.234,50 €", "3,00 €"], [1234.5, 3], (",", ".", "€")),
    "currency by its code": (["USD 5", "USD 7"], [5, 7], (".", "", "USD")),
    "percent": (["12 %", "3%"], [12, 3], (".", "", "%")),
    "unit": (["12 kg", "13kg", "-1.5 kg"], [12, 13, -1.5], (".", "", "kg")),
    "in brackets": (["(5.00)", "3.2"], [-5, 3.2], (".", "", "")),
    "typographic minus": (["−5", "3"], [-5, 3], (".", "", "")),
}
NOT_NUMBERS = {
    "codes": ["A1", "B2", "C3"],
    "quarters": ["Q1", "Q2", "Q3"],
    "drives": ["2WD", "4WD"],
    "ordinals": ["1st", "2nd"],
    "ranges": ["5-10", "10-20"],
    "versions": ["1.2.3", "1.2.4"],
    "times": ["12:30", "13:00"],
    "dates": ["2024-01-31", "2024-02-01"],
    "percent and none": ["12%", "0.5"],
    "two currencies": ["$5", "€5"],
    "magnitudes": ["10k", "2M"],
    "sizes": ["3x4", "5x6"],
    "lists": ["1,2,3", "4,5,6"],
    "one word": ["12", "abc"],
}


@pytest.mark.parametrize("case", WRITTEN)
def test_numbers_have_their_values(case):
    cells, values, notation = WRITTEN[case]
    found = find_notation(pa.array(cells)).notation
    assert found == Notation(*notation)
    np.testing.assert_array_equal(parse_numbers(pa.array(cells), found), values)
    assert parse_numbers(pa.array([found.example]), found) == [1234.5]


@pytest.mark.parametrize("case", WRITTEN)
def test_other_cells_are_not_numbers_in_the_notation(case):
    cells, _, notation = WRITTEN[case]
    values = parse_numbers(pa.array([None, "abc", *cells, "1.2.3"]), Notation(*notation))
    assert [math.isnan(value) for value in values] == [True, True, *[False] * len(cells), True]


@pytest.mark.parametrize("case", NOT_NUMBERS)
def test_words_are_not_numbers(case):
    assert find_notation(pa.array(NOT_NUMBERS[case])) is None


def test_two_readings_are_said():
    reading = find_notation(pa.array(["1,234", "987", "12,500"]))
    assert reading == (Notation(".", ","), Notation(",", ""))
    assert find_notation(pa.array(["1,234"]), decimal=",").notation == Notation(",", "")
    assert find_notation(pa.array(["1,234", "1,5"])).other is None


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("thousands", ["", ",", ".", " ", "'"])
def test_formatted_numbers_come_back(decimal, thousands):
    """Python's own format of 500 numbers, in any marks."""
    if decimal == thousands:
        return
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=500) * 10.0 ** rng.integers(0, 7, 500), 2)
    swap = str.maketrans({",": thousands, ".": decimal})
    cells = pa.array([f"{value:,.2f}".translate(swap) for value in values])
    found, other = find_notation(cells)
    assert (found.decimal, found.thousands, other) == (decimal, thousands, None)
    np.testing.assert_array_equal(parse_numbers(cells, found), values)
