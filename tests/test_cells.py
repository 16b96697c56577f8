"""Error messages for cells of CSV tables that are not numbers: missing values, units, dates, and so on."""

import pytest

from nnlab.cli import main
from nnlab.data.cells import REMEDY_FOR_INPUT, REMEDY_OF_KIND, cell_kind

ROWS = "".join(f"{i},{i * i},{i % 2}\n" for i in range(8))
AS_CATEGORIES = "data=table takes words for categories"


@pytest.mark.parametrize(
    ("what", "cells"),
    {
        "missing": ["", " ", "NA", "nan", "N/A", "?", "null", "None", "-"],
        "date": ["2026-01-31", "31.1.2026", "1/31/26", "2026-01-31 12:00:00", "2026-01-31T12:00Z", "12:30"],
        "comma": ["1,5", "-0,125", "1.234,56", "1 234,5", "3,14159"],
        "thousands": ["1,234", "1.234.567", "1 234", "1,234.56", "12,345,678"],
        "unit": ["12%", "5 km", "€ 5", "$1,200", "3.5 €", "7kg"],
        "text": ["red", "1o6x7", "a b c", "x" * 10_000, "3 rooms, kitchen"],
        "number": ["1", "-1.5e3", "inf"],
    }.items(),
)
def test_kinds(what, cells):
    assert [cell_kind(cell) for cell in cells] == [what] * len(cells)


TABLES = {
    "text": ("a,b,t\n" + "red,2,0\nblue,3,1\n" * 4, ["line 2, column 'a'", "7 more of 8", AS_CATEGORIES]),
    "typo": (f"a,b,t\n{ROWS}9,1o,1\n", ["line 10, column 'b'", "'1o' is not a number; ", "correct or drop"]),
    "empty": (f"a,b,t\n{ROWS},2,1\n1,2,0\n,2,1\n", ["line 10, column 'a'", "is empty, as is 1 more of 11",
                                                   "data=table fills it", "or drop such rows"]),
    "NA": (f"a,b,t\n{ROWS}nan,3,0\nNA,2,1\n", ["line 11", "'NA'", "as is 1 more of 10", "fills it"]),
    "nan": (f"a,b,t\n{ROWS}nan,3,0\nnan,2,1\n", ["line 10", "is missing, as is 1 more of 10", "fills it"]),
    "date": ("a,b,t\n2026-01-31,1,0\n2026-02-01,2,1\n", ["data=table reads dates"]),
    "comma": ("a;b;t\n1,5;2;0\n2,5;2;1\n", ["'1,5' is not a number", "data=table reads it", "point, 1.5"]),
    "both": ("a;b;t\n1.234,5;2;0\n2,5;2;1\n", ["write a decimal point, 1234.5"]),
    "thousands": ('a,b,t\n"1,234",2,0\n"5,678",2,1\n', ["write 1234, without separators"]),
    "unit": ("a,b,t\n12%,2,0\n13%,2,1\n", ["data=table reads units"]),
    "trailing": ("a,b,t,\n1,2,0,\n2,3,1,\n", ["the delimiter at the end of each line"]),
    "trailing in examples": ("a,b,t\n1,2,0,\n2,3,1,\n", ["line 2: 4 cells", "remove the ',' at the end"]),
    "UTF-16": ("a,b,t\n1,2,0\n".encode("utf-16"), ["it is UTF-16", "save it as UTF-8"]),
    "latin-1": ("größe,t\n1,2\n".encode("latin-1"), ["not text in UTF-8", "save it as UTF-8"]),
    "xlsx": (b"PK\x03\x04\x14\x00\xfe\xff\x00", [".xlsx", "save it as a CSV file"]),
    "spaces": ("a b t\n1 2 0\n2 3 1\n", ["only one column", "spaces separate its columns"]),
    "bars": ("a|b|t\n1|2|0\n", ["if '|' separate"]),
    "comment": ("# measured in 2026\na,b,t\n1,2,0\n", ["only one column", "begins with '#'"]),
    "sep": ("sep=;\na;b;t\n1;2;0\n", ["remove the first line, sep="]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "phrases"), TABLES.values(), ids=TABLES)
def test_the_command_says_the_way_out(content, phrases, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["train", "data=csv", "data.path=t.csv", "data.target=t"]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and len(stderr) < 250, stderr
    assert [phrase for phrase in phrases if phrase not in stderr] == [], stderr


@pytest.mark.parametrize(
    ("cells", "overrides", "hint"),
    [
        ("1.5,x,x", ["data.task=regression"], "or data.task=classification"),
        ("1.5,,", ["data.task=regression"], "is empty, as is 1 more of 3; expected a number: drop such rows"),
        ("a,b,", [], "the cell is empty; expected a class: drop such rows"),
    ],
)
def test_of_targets(cells, overrides, hint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,t\n" + "".join(f"1,{cell}\n" for cell in cells.split(",")))
    assert main(["train", "data=csv", "data.path=t.csv", "data.target=t", *overrides]) == 2
    stderr = capsys.readouterr().err
    assert hint in stderr, stderr


def test_every_way_is_said():
    phrases_tested = [phrase for _, phrases in TABLES.values() for phrase in phrases]
    remedies = [remedy for remedy in (REMEDY_OF_KIND | REMEDY_FOR_INPUT).values() if "{" not in remedy]
    assert all(any(phrase.split(",")[0] in remedy for phrase in phrases_tested) for remedy in remedies)
