"""The type that each column of a table is judged to have, and why."""

import datetime as dt
import random

import numpy as np
import pyarrow as pa
import pytest

from nnlab.errors import UserError
from nnlab.tables.judged import ReadingSettings
from nnlab.tables.types import TypeSettings, infer_columns, judge_columns

ROWS = 60
DRAW = random.Random(0)
WORDS = "the of and to in a is that for it as was with be by on not he his but at are this have from".split()
DAYS = [dt.date(2024, 1, 1) + dt.timedelta(DRAW.randrange(365)) for _ in range(ROWS)]
NUMBERS = [round(DRAW.gauss(50, 20), 2) for _ in range(ROWS)]


def sentence():
    return " ".join(DRAW.choices(WORDS, k=9))


def cycle(*values):
    return [values[i % len(values)] for i in range(ROWS)]


# cells of text -> the type, and a part of the reason
TEXT = {
    "numbers": ([str(v) for v in NUMBERS], "number", "numbers"),
    "whole numbers of few values": (cycle("1", "2", "3"), "number", "whole numbers"),
    "0 and 1": (cycle("0", "1", "1"), "number", "whole numbers"),
    "numbers with holes": (cycle("", "1.5", "2.5", "NA", "4", "n/a", "null", "?", "-"), "number", "numbers"),
    "years": (cycle("1999", "2004", "2010"), "number", "whole numbers"),
    "decimal comma": (cycle("1,5", "2,25", "3,125", "4,1"), "number", "decimal comma"),
    "percent": ([f"{v} %" for v in NUMBERS], "number", "%"),
    "dollars": (cycle("$1,200", "$35", "$1,150,000", "$7.50"), "number", "thousands ,, $"),
    "zip codes": (cycle("01234", "98052", "10001"), "category", "codes, leading zeros"),
    "long codes": (cycle("12345678901234567890", "12345678901234567891"), "category", "15 digits"),
    "words": (cycle("red", "green", "blue"), "category", "3 words"),
    "two words": (cycle("male", "female"), "category", "2 words"),
    "grades": (cycle("A", "B", "C", "A", "F"), "category", "4 words"),
    "numbers and a word": (cycle("0", "1", "2", "3+"), "category", "4 words"),
    "ages in bands": (cycle("<20", "20-40", "40-60", ">60"), "category", "4 words"),
    "one word or nothing": (cycle("x", ""), "category", "one word"),
    "many words": ([f"street {i % 25}" for i in range(ROWS)], "category", "25 words"),
    "long names of few": (cycle("some college but no degree", "a master of some art"), "category", "2"),
    "none is a category": (cycle("None", "BrkFace", "Stone"), "category", "3 words"),
    "yes and no": (cycle("yes", "no", "no"), "boolean", "no or yes"),
    "spelled in three ways": (cycle("Yes", "YES", "no", "No", ""), "boolean", "no or yes"),
    "true and false": (cycle("True", "False"), "boolean", "false or true"),
    "plus and minus": (cycle("+", "-"), "category", "2 words"),
    "ISO dates": ([str(day) for day in DAYS], "date", "dates"),
    "dates with holes": ([str(day) if i % 7 else "" for i, day in enumerate(DAYS)], "date", "dates"),
    "eight digits": ([f"{day:%Y%m%d}" for day in DAYS], "date", "dates"),
    "points": ([f"{day:%d.%m.%Y}" for day in DAYS], "date", "day first"),
    "slashes": ([f"{day:%m/%d/%Y}" for day in DAYS], "date", "month first"),
    "month by its name": ([f"{day:%b %d %Y}" for day in DAYS], "date", "dates"),
    "times": ([f"{i % 24}:{i % 60:02}" for i in range(ROWS)], "date", "times"),
    "sentences": ([sentence() for _ in range(ROWS)], "text", "sentences"),
    "names": ([f"Person {chr(65 + i % 26)}{i}" for i in range(ROWS)], "identifier", "differs"),
    "uuids": ([f"{i:08x}-aa" for i in range(ROWS)], "identifier", "differs"),
    "codes that differ": ([f"{i:06}" for i in range(ROWS)], "identifier", "codes that differ"),
    "row numbers": ([str(i) for i in range(ROWS)], "identifier", "counts the rows"),
    "one value": (["5"] * ROWS, "constant", "always '5'"),
    "one other word": (["EUR"] * ROWS, "constant", "always 'EUR'"),
    "empty": ([""] * ROWS, "constant", "empty"),
    "numbers but for a word": ([*map(str, NUMBERS[1:]), "abc"], "text", "numbers, but one cell is 'abc'"),
    "dates but for a word": ([*map(str, DAYS[1:]), "soon"], "text", "dates, but one cell is 'soon'"),
}  # fmt: skip


def column_of(values, name="column", settings=None, **more):
    """The column of these cells, in a table with a second column."""
    cells = values if isinstance(values, pa.Array) else pa.array(values)
    table = pa.table({name: cells, "other": [*map(str, NUMBERS[: len(cells)])]})
    return infer_columns(table, settings or TypeSettings(), **more)[0]


@pytest.mark.parametrize("case", TEXT)
def test_columns_of_text(case):
    cells, type_, reason = TEXT[case]
    column = column_of(cells)
    assert (column.type, reason in column.reason) == (type_, True), column


@pytest.mark.parametrize(
    "case", [case for case, (_, type_, _) in TEXT.items() if type_ in ("number", "date", "boolean")]
)
def test_spaces_around_cells_and_holes_change_nothing_but_missing(case):
    cells = TEXT[case][0]
    column = column_of([f"  {cell}\t" if i % 9 else "" for i, cell in enumerate(cells)])
    assert column.missing and column.type == TEXT[case][1]


MOMENT = dt.datetime(2024, 5, 6, 7, 8)
TYPED = {
    "floats": (pa.array(NUMBERS), "number", "numbers"),
    "integers": (pa.array([1, 2, None] * 20, pa.int16()), "number", "whole numbers"),
    "decimals": (pa.array(["1.50", "2.25", "1.75"] * 20).cast(pa.decimal128(8, 2)), "number", "numbers"),
    "durations": (pa.array([5, 60, 90] * 20, pa.duration("s")), "number", "whole numbers"),
    "truth values": (pa.array([True, False, None] * 20), "boolean", "true or false"),
    "dates": (pa.array(DAYS), "date", "dates"),
    "moments": (pa.array([MOMENT + dt.timedelta(hours=5 * i) for i in range(ROWS)]), "date", "dates"),
    "categories": (pa.array(["1", "2", "3"] * 20).dictionary_encode(), "category", "by its type"),
    "text": (pa.array(["red", "blue", None] * 20, pa.large_string()), "category", "2 words"),
    "nothing": (pa.nulls(ROWS), "constant", "empty"),
    "lists": (pa.array([[1], [2, 3]] * 30), "text", "lists"),
}  # fmt: skip


@pytest.mark.parametrize("case", TYPED)
def test_columns_that_have_a_type(case):
    cells, type_, reason = TYPED[case]
    column = column_of(cells)
    assert (column.type, reason in column.reason) == (type_, True), column
    assert column.missing == bool(cells.null_count and type_ not in ("constant", "text"))


SAID = {
    "number": (cycle("1", "2"), "number"),
    "category": (cycle("1", "2"), "category"),
    "boolean": (cycle("1", "2"), "boolean"),
    "date": ([str(day) for day in DAYS], "date"),
    "dmy": (cycle("01/02/2024", "03/04/2024"), "date"),
    "mdy": (cycle("01/02/2024", "03/04/2024"), "date"),
    "ngrams": ([sentence() for _ in range(ROWS)], "text"),
    "identifier": (cycle("1", "2"), "identifier"),
}


@pytest.mark.parametrize("said", SAID)
def test_types_that_the_user_says(said):
    cells, type_ = SAID[said]
    column = column_of(cells, settings=TypeSettings(types={"column": said}))
    assert (column.type, column.reason) == (type_, "as data.types says")
    assert column.is_input == (said != "identifier")
    assert column.form == ("ymd" if said == "date" else said if type_ == "date" else "")


@pytest.mark.parametrize(
    "said, cells, fault",
    [
        ("number", ["1", "2", "abc"], "row 3, column 'column': 'abc' is not a number, which data.types says"),
        ("date", ["2024-01-31", "", "2024-02-30"], "row 3, column 'column': '2024-02-30' is not a date"),
        ("dmy", ["31/01/2024", "01/31/2024"], "'01/31/2024' is not a date with the day first"),
        ("boolean", ["a", "b", "c"], "the column has 3 different values, expected two"),
    ],
)  # fmt: skip
def test_cells_that_are_not_of_the_type_said(said, cells, fault):
    with pytest.raises(UserError) as caught:
        column_of(cells, settings=TypeSettings(types={"column": said}))
    assert fault in str(caught.value)


def test_further_missing_markers():
    reading = ReadingSettings(missing=("-999", "unknown"))
    cells = cycle("1.5", "-999", "-999.0", "unknown", "2")
    assert column_of(cells, settings=TypeSettings(reading=reading)).type == "number"
    judged = judge_columns(pa.table({"column": cells, "other": NUMBERS}), TypeSettings(reading=reading))[0]
    assert np.isnan(judged.numbers).mean() == 0.6 and judged.column.markers == ("-999", "unknown")


def test_a_table_has_one_decimal_mark():
    """1.234 is 1234 beside a column with a surely decimal comma, and 1,234 is 1.234."""
    alone = pa.table({"a": cycle("1.234", "12.500"), "b": cycle("1,234", "2,500")})
    assert [column.decimal for column in infer_columns(alone, TypeSettings())] == [".", "."]
    beside = alone.append_column("c", pa.array(cycle("0,5", "1,75")))
    assert [column.decimal for column in infer_columns(beside, TypeSettings())] == [",", ",", ","]
    assert [column.thousands for column in infer_columns(beside, TypeSettings())] == [".", "", ""]


def test_doubts_name_the_other_reading():
    table = pa.table({"amount": cycle("1,234", "987"), "when": cycle("01/02/2024", "03/04/2024")})
    amount, when = judge_columns(table, TypeSettings())
    assert amount.doubt == "'1,234' is read as 1234; data.decimal=comma reads 1.234"
    assert (
        when.doubt
        == "'01/02/2024' is read with the month first; data.types.when=dmy reads it with the day first"
    )
    said = TypeSettings(types={"when": "dmy"}, reading=ReadingSettings(decimal=","))
    assert [judged.doubt for judged in judge_columns(table, said)] == ["", ""]


def test_date_parts_that_vary():
    hourly = [f"2024-01-{1 + i // 24:02} {i % 24:02}:00" for i in range(ROWS)]
    assert column_of(hourly).parts == ("day", "weekday", "hour", "days")
    monthly = [f"{2020 + i // 12}-{1 + i % 12:02}-01" for i in range(ROWS)]
    assert column_of(monthly).parts == ("year", "month", "days")


def test_categories_are_sorted_and_embedded_when_many():
    assert column_of(cycle("b", "a", "c")).categories == ("a", "b", "c")
    many = [f"c{i % 12}" for i in range(ROWS)]
    assert column_of(many).embedded
    for one_hot, embedded in ((12, False), (None, False), (11, True)):
        assert (
            column_of(many, settings=TypeSettings(reading=ReadingSettings(one_hot=one_hot))).embedded
            == embedded
        )


def test_row_numbers_by_the_order_of_the_classes():
    """A number that rises from row to row is an identifier where the rows are sorted by class."""
    values = [str(10 * i + DRAW.randrange(10)) for i in range(ROWS)]
    y = np.repeat([0, 1], ROWS // 2)
    assert column_of(values, y=y).type == "identifier"
    assert column_of(values, y=np.tile([0, 1], ROWS // 2)).type == "number"


def test_an_index_beside_a_single_number_is_not_the_input():
    table = pa.table({"": [str(i) for i in range(ROWS)], "plan": cycle("a", "b")})
    assert [column.type for column in infer_columns(table, TypeSettings())] == ["identifier", "category"]
    alone = pa.table({"t": [str(i) for i in range(ROWS)], "y": cycle("a", "b")})
    settings = TypeSettings(roles={"y": "data.target"})
    assert [column.type for column in infer_columns(alone, settings)] == ["number", "dropped"]
