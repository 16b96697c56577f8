"""JSON lines and Excel: cells, types, names, and a sentence for what is hostile or not a table."""

import builtins
import gzip
import io
import json
import re
import struct
import zipfile

import pytest
from test_table_files import rows, write
from xlsx_files import archive, xlsx

from nnlab.errors import Advice, UserError
from nnlab.tables.files import iterate_batches, place, read_table

# ---- JSON lines

OBJECTS = [{"a": 1, "b": "x"}, {"a": 2.5, "c": True}, {"b": None, "c": False, "a": None}]
EXPECTED = [{name: row.get(name) for name in "abc"} for row in OBJECTS]
JSON = "".join(json.dumps(row) + "\n" for row in OBJECTS)


@pytest.mark.parametrize(
    "encode", [str.encode, lambda text: gzip.compress(text.encode()), lambda t: t.encode("utf-16")]
)
@pytest.mark.parametrize("text", [JSON, JSON.rstrip(), JSON.replace("\n", "\r\n"), "\n" + JSON + "\n \n"])
def test_json_lines(text, encode, tmp_path):
    assert rows(write(tmp_path, encode(text), "t.jsonl")) == EXPECTED


def test_types_of_json_over_many_lines(tmp_path, monkeypatch):
    """Each piece of the file has its own types."""
    monkeypatch.setattr("nnlab.tables.json_lines.BYTES_OF_A_BATCH", 1_000)
    many = 1_000
    text = '{"a": 1, "d": "2020-01-01"}\n' * many + '{"a": 0.5, "d": "soon", "e": 1}\n'
    path = write(tmp_path, text, "t.jsonl")
    table = read_table(path)
    assert table.num_rows == many + 1
    assert [str(field.type) for field in table.schema] == ["double", "string", "int64"]
    assert table.slice(many).to_pylist() == [{"a": 0.5, "d": "soon", "e": 1}]
    assert {batch.schema for batch in iterate_batches(path)} == {table.schema}
    assert place(path, many) == f"{path}, line {many + 1:,}"


REFUSED_JSON = {
    '{"a": 1}\n\n{"a": "x"}\n': "line 3: 'a' is text, and in line 1 a number: write all as text",
    '{"a": 1}\n' * 1_200 + '{"a": "x"}\n': "line 1,201: 'a' is text, and in line 1 a number",
    '{"a": true}\n{"a": 1}\n': "line 2: 'a' is a number, and in line 1 a truth value",
    '{"a": [1]}\n{"a": {"b": 1}}\n': "line 2: 'a' is an object, and in line 1 a list",
    '{"a": 1}\n{"a": \n': "line 2 is not JSON: Expecting value",
    '{"a": 1}\n5\n': "line 2 is a number; expected an object",
    '{"a": 1, "a": 2}\n': "line 1 has 'a' more than once",
    '[{"a": 1},\n {"a": 2}]\n': "is one list of JSON; expected an object a line, as pandas writes",
    '{"a":' + "[" * 100_000 + "]" * 100_000 + "}\n": "has lists within lists, more than 200 deep",
    '{"a": 1e999}\n': "Number too big",
    "\n\n": "is empty",
    "{}\n{}\n": "has no columns",
}


@pytest.mark.parametrize("text", REFUSED_JSON, ids=range(len(REFUSED_JSON)))
def test_what_is_not_json_lines(text, tmp_path, monkeypatch):
    monkeypatch.setattr("nnlab.tables.json_lines.BYTES_OF_A_BATCH", 1_000)
    with pytest.raises(UserError, match=f"t.jsonl.*{re.escape(REFUSED_JSON[text])}"):
        read_table(write(tmp_path, text, "t.jsonl"))


def test_brackets_in_text_are_not_nested(tmp_path):
    row = {"a": "[{" * 500 + '"\\', "b": [[1]] * 300}
    assert rows(write(tmp_path, json.dumps(row) + "\n", "t.jsonl")) == [row]


# ---- Excel

SHEET = [
    ["age", "town", "ok", "mixed"],
    [1, "x", True, 1],
    [2.5, None, False, "two"],
    [None, "#N/A", None, 3],
]
CELLS = [dict(zip(SHEET[0], row, strict=True)) for row in
         ([1.0, "x", True, "1"], [2.5, None, False, "two"], [None, None, None, "3"])]  # fmt: skip


def test_excel(tmp_path):
    assert rows(write(tmp_path, xlsx({"D": SHEET}), "t.xlsx")) == CELLS
    assert rows(write(tmp_path, xlsx({"D": SHEET}), "without-a-name")) == CELLS
    assert rows(write(tmp_path, xlsx({"D": [[1, "x"], [2, "y"]]}))) == [
        {"0": 1, "1": "x"},
        {"0": 2, "1": "y"},
    ]
    assert rows(write(tmp_path, xlsx({"D": [[None, "a"], [0, "x"], [1, "y"]]})))[1] == {
        "column 0": 1,
        "a": "y",
    }


def test_a_title_on_top_of_a_sheet_and_empty_rows(tmp_path):
    path = write(tmp_path, xlsx({"D": [["Report"], [], *SHEET[:2], [], *SHEET[2:]]}))
    with pytest.warns(Advice, match="'Report', is taken for a title"):
        assert rows(path) == CELLS


def test_a_column_without_cells_is_not_logged(tmp_path, capfd):
    assert len(rows(write(tmp_path, xlsx({"D": [["a", "b", "c"], [1, None, 2], [2, None, 3]]})))) == 2
    assert capfd.readouterr() == ("", "")


def test_further_sheets_are_said(tmp_path):
    with pytest.warns(Advice, match="its first sheet, 'D', is read, and not 'E', 'F'"):
        assert rows(write(tmp_path, xlsx({"D": SHEET, "E": SHEET, "F": []}))) == CELLS


def with_size_of(content: bytes, size: int) -> bytes:
    """The archive, which now says that each of its members is so large once it is unpacked."""
    content = bytearray(content)
    for member in zipfile.ZipFile(io.BytesIO(content)).infolist():
        struct.pack_into("<I", content, member.header_offset + 22, size)
    central = content.find(b"PK\x01\x02")
    while central >= 0:
        struct.pack_into("<I", content, central + 24, size)
        central = content.find(b"PK\x01\x02", central + 4)
    return bytes(content)


BOOK = {"xl/workbook.xml": "<workbook/>"}
REFUSED_EXCEL = {
    xlsx({"D": []}): "has no cells in its first sheet, 'D'",
    xlsx({"D": SHEET[:1]}): "has no examples",
    xlsx({"D": SHEET}, ('r="B2"', 'r="XFD1048576"')): "does not fit into memory: it announces 550 GB",
    xlsx({"D": SHEET}, ('r="B2"', "r = 'XFD1048576'")): "does not fit into memory: it announces 550 GB",
    xlsx({"D": SHEET}, ('<row r="2"', '<row r="1048576"')): None,
    xlsx({"D": SHEET})[:-30]: "is not an Excel file, or it is damaged",
    xlsx({"D": SHEET}, ("<c", "<c>c")): None,
    archive({"a.csv": "a,b\n1,2\n"}): "is an archive, and not an .xlsx: unpack it first",
    archive(BOOK): "is not an Excel file, or it is damaged",
    b"PK\x03\x04": "is not an Excel file, or it is damaged",
    b"\xd0\xcf\x11\xe0" + b"x" * 600: "is not an Excel file, or it is damaged",
}


@pytest.mark.parametrize("content", REFUSED_EXCEL, ids=range(len(REFUSED_EXCEL)))
def test_what_is_not_excel(content, tmp_path):
    try:
        read_table(write(tmp_path, content, "t.xlsx"))
    except UserError as e:
        assert "t.xlsx" in str(e) and (REFUSED_EXCEL[content] or "") in str(e)
    else:
        assert REFUSED_EXCEL[content] is None


def test_an_archive_that_lies_about_its_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr("nnlab.tables.excel.available_memory", lambda: 10**7)
    content = archive(BOOK | {"xl/worksheets/sheet1.xml": b"0" * 10**8})
    for size in (10, 10**8):
        with pytest.raises(UserError, match="t.xlsx does not fit into memory: it announces 7"):
            read_table(write(tmp_path, with_size_of(content, size), "t.xlsx"))


def test_without_fastexcel_there_is_a_sentence(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args):
        if name == "fastexcel":
            raise ModuleNotFoundError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        UserError, match=r"t.xlsx is an Excel file, which fastexcel reads: pip install 'nnlab\[tables\]'"
    ):
        read_table(write(tmp_path, xlsx({"D": SHEET}), "t.xlsx"))
