"""Tables in files: however they are written, the same cells; and a sentence for what is not a table."""

import bz2
import gzip
import warnings

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from nnlab.errors import Advice, UserError
from nnlab.tables.files import iterate_batches, place, read_table
from nnlab.tables.options import ReadOptions

PEOPLE = [{"name": "Zoë", "age": "1.5", "town": ""}, {"name": "x", "age": "NA", "town": "Köln"}]
LINES = ["name,age,town", "Zoë,1.5,", "x,NA,Köln"]
COMMAS = "\n".join(LINES) + "\n"


def write(folder, content, name="t.csv"):
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


def rows(path, **options):
    """The cells, which batches must give as well."""
    table = read_table(path, ReadOptions(**options))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        batches = pa.Table.from_batches(iterate_batches(path, ReadOptions(**options)))
    assert batches.equals(table)
    return table.to_pylist()


# ---- Text: separators, quotes, line ends, compression, encodings

WAYS = {
    "commas": COMMAS,
    "semicolons": COMMAS.replace(",", ";"),
    "tabs": COMMAS.replace(",", "\t"),
    "pipes": COMMAS.replace(",", "|"),
    "CRLF": COMMAS.replace("\n", "\r\n"),
    "CR": COMMAS.replace("\n", "\r"),
    "no last line end": COMMAS.rstrip(),
    "quotes": '"name","age","town"\n"Zoë","1.5",""\n"x","NA","Köln"\n',
    "quotes in part": 'name,"age",town\n"Zoë",1.5,""\nx,NA,"Köln"\n',
    "blanks after commas": COMMAS.replace(",", ", "),
    "blanks and quotes": '"name", "age", "town"\n"Zoë", 1.5, ""\n"x", "NA", "Köln"\n',
    "a comment": "# made by hand, on Monday\n" + COMMAS,
    "comments": "# one\n#two\n\n" + COMMAS,
    "percent": "% one\n" + COMMAS,
    "spreadsheet": "sep=;\n" + COMMAS.replace(",", ";"),
    "empty lines": "\n\n" + COMMAS.replace("\n", "\n\n") + "\n \n",
    "an end of DOS": COMMAS + "\x1a",
    "empty rows": COMMAS + ",,\n,,\n",
    "UTF-8 with mark": COMMAS.encode("utf-8-sig"),
    "UTF-16": COMMAS.encode("utf-16"),
    "UTF-16 big": "\ufeff".encode("utf-16-be") + COMMAS.encode("utf-16-be"),
    "UTF-16 without mark": COMMAS.encode("utf-16-le"),
    "UTF-32": COMMAS.encode("utf-32"),
    "gzip": gzip.compress(COMMAS.encode()),
    "two gzips": gzip.compress(COMMAS[:9].encode()) + gzip.compress(COMMAS[9:].encode()),
    "bz2": bz2.compress(COMMAS.encode()),
    "zstd": pa.compress(COMMAS.encode(), "zstd", asbytes=True),
    "gzip of UTF-16": gzip.compress(COMMAS.encode("utf-16")),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_table_however_it_is_written(way, tmp_path):
    assert rows(write(tmp_path, WAYS[way])) == PEOPLE


ALIGNED = ["a b  c\n1 2 3\n4\t  5 6 \n", " a b c\n 1   2 3\n4 5 6", 'a b "c"\n1 2 "3"\n4 5 6\n']


@pytest.mark.parametrize("way", ALIGNED)
def test_blanks_between_cells(way, tmp_path):
    assert rows(write(tmp_path, way)) == [
        dict(zip("abc", "123", strict=True)),
        dict(zip("abc", "456", strict=True)),
    ]


def test_cells_with_separators_quotes_and_lines(tmp_path):
    cells = ['a "b"', "c,d", "e\nf", "g;h\r\ni", " '", '"', "#", "ü|\t"]
    frame = pd.DataFrame({"x, y": cells, "z": [*map(str, range(8))]})
    for separator in ",;\t|":
        path = write(tmp_path, frame.to_csv(index=False, sep=separator, lineterminator="\n"))
        assert rows(path) == frame.to_dict("records"), separator


@pytest.mark.parametrize("decimals", ["1,5;2,5;x\n", "1,5;2,5;3,25\n", "1.234,5;2;3\n"])
def test_decimal_commas_between_semicolons(decimals, tmp_path):
    first, second, third = decimals.strip().split(";")
    assert rows(write(tmp_path, "a;b;c\n" + decimals * 3)) == [{"a": first, "b": second, "c": third}] * 3
    assert rows(write(tmp_path, decimals * 3), header=False) == [{"0": first, "1": second, "2": third}] * 3


WESTERN = ["latin-1", "cp1252"]


@pytest.mark.parametrize("encoding", WESTERN)
@pytest.mark.parametrize("before", [0, 300_000])
def test_western_text_is_said(encoding, before, tmp_path):
    """Wherever its first such letter is."""
    path = write(tmp_path, ("a,b\n" + "x,1\n" * before + "Müller,2\n").encode(encoding))
    with pytest.warns(Advice, match="is read as cp1252 .* if 'Müller' is wrong, say data.encoding="):
        assert rows(path)[-1] == {"a": "Müller", "b": "2"}
    assert rows(path, encoding=encoding)[-1]["a"] == "Müller"


@pytest.mark.parametrize("encoding", ["cp1251", "gb18030", "shift_jis", "koi8-r", "utf-16", "utf-16-le"])
def test_an_encoding_that_is_named(encoding, tmp_path):
    text = {"gb18030": "中文城市", "shift_jis": "日本語都"}.get(encoding, "Москва")
    path = write(tmp_path, f"a,b\n{text},1\n".encode(encoding))
    assert rows(path, encoding=encoding) == [{"a": text, "b": "1"}]
    if not encoding.startswith("utf"):
        with pytest.raises(UserError, match="nor Western European: say data.encoding=, such as cp1251"):
            read_table(path)


def test_a_letter_at_the_end_of_a_piece(tmp_path):
    """Its bytes come in two readings."""
    for pad in range(2**16 - 8, 2**16 + 2):
        path = write(tmp_path, "a,b\n" + "x" * (pad - 6) + ",é\n" + "y,ß\n" * 3)
        assert [row["b"] for row in read_table(path).to_pylist()] == ["é", "ß", "ß", "ß"]


# ---- Names

HEADERS = {
    ",a,b\n0,1,x\n1,2,y\n": ["column 0", "a", "b"],  # as pandas writes it
    "a,,b,\n0,1,x,2\n": ["a", "column 1", "b", "column 3"],
    '"a" "b"\n"1" 2 3\n"2" 4 5\n': ["column 0", "a", "b"],  # as R writes it
    '"a","b"\n"1",2,3\n"2",4,5\n': ["column 0", "a", "b"],
    "a,b\n1,2,\n3,4,\n": ["a", "b", "column 2"],
    "1.5,2\n3,4\n": ["0", "1"],
    "1,5;2;3\n3;4;5,5\n": ["0", "1", "2"],
    "2020-01-02;x;y\n2020-03-04;z;a\n2021-03-04;b;c\n": ["0", "1", "2"],
    "a,b\nx,1\na,b\ny,2\n": ["a", "b"],  # two files that were joined
    "country,2020,2021\nx,1.5,2.5\ny,3.5,2\n": ["country", "2020", "2021"],
    "#,Name,Type\n1,B,Grass\n2,C,Grass\n": ["#", "Name", "Type"],
    "# a b c\n1 2 3\n4 5 6\n": ["a", "b", "c"],  # as numpy.savetxt writes it
    '"two\nlines",b\n1,2\n': ["two\nlines", "b"],
}


@pytest.mark.parametrize("text", HEADERS)
def test_names_of_columns(text, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        table = read_table(write(tmp_path, text))
    assert table.column_names == HEADERS[text]


def test_doubled_names_are_said(tmp_path):
    with pytest.warns(Advice, match="has the column 'a' more than once: the second is called 'a.2'"):
        table = read_table(write(tmp_path, "a,a,a.1,b,a\nx,y,z,1,2\n"))
    assert table.column_names == ["a", "a.2", "a.1", "b", "a.3"]


def test_letters_without_names_are_examples(tmp_path):
    with pytest.warns(Advice, match="the first line, p, x, s, is taken for an example"):
        assert len(rows(write(tmp_path, "p,x,s\np,x,t\ne,x,s\np,y,s\n"))) == 4


def test_a_user_says_whether_there_is_a_header(tmp_path):
    for text in ("p,x,s\np,x,t\ne,x,s\np,y,s\n", "1,2,3\n4,5,6\n", "a,b,c\nd,e,f\n"):
        path, lines = write(tmp_path, text), [line.split(",") for line in text.split()]
        assert [[*row.values()] for row in rows(path, header=False)] == lines
        assert read_table(path, ReadOptions(header=True)).column_names == lines[0]
        assert [[*row.values()] for row in rows(path, header=True)] == lines[1:]


def test_a_title_is_left_out_and_said(tmp_path):
    for title in ("Report 2024\n\n", "Report 2024,,\n,,\n"):
        path = write(tmp_path, title + "a,b,c\n1,2,3\n3,4,5\n")
        with pytest.warns(Advice, match="the text on top, 'Report 2024', is taken for a title"):
            assert rows(path) == [dict(zip("abc", "123", strict=True)), dict(zip("abc", "345", strict=True))]
    assert place(path, 1) == f"{path}, line 5"


# ---- Lines


def test_the_line_of_each_example(tmp_path):
    text = '# top\n\na,b\n1,"x\ny"\n\n2,3\n,\n4,5\n'
    path = write(tmp_path, text)
    assert [place(path, row).rpartition(" ")[2] for row in range(3)] == ["5", "7", "9"]
    write(tmp_path, "a,b\n7,8\n", "u.csv")
    assert place(str(tmp_path / "*.csv"), 3) == f"{tmp_path / 'u.csv'}, line 2"


WRONG_LINES = {
    "a,b\n1,2\n\n3,4,5\n": "line 4: 3 cells, but the first line has 2: a cell that holds the separator",
    "a,b,c\n1,2,3\n3\n": "line 3: 1 cell, but the first line has 3",
    'a,b\n1,2\n3,"4\n5,6\n7,8\n': "line 3: a quote begins a cell and is never closed",
    'a,b\n1,2\n"3,4\n5,6\n7,8\n': "line 3: a quote begins a cell and is never closed",
    "a,b\n1,2\n3,4,\n5,6\n": "line 3: 3 cells, but the first line has 2: remove the ',' at the end",
}


@pytest.mark.parametrize("pad", [0, 100_000])
@pytest.mark.parametrize("text", WRONG_LINES)
def test_a_line_that_is_not_as_the_others(text, pad, tmp_path):
    header, rest = text.split("\n", 1)
    number = int(WRONG_LINES[text].split(":")[0][5:])
    padding = ("9," * header.count(",") + "9\n") * pad
    with pytest.raises(UserError, match=f"t.csv, line {number + pad}{WRONG_LINES[text][6:]}"):
        read_table(write(tmp_path, f"{header}\n{padding}{rest}"))


# ---- Formats with types

TYPED = pa.table({"a": [1, 2, None], "b": ["x", None, "z"], "c": [1.5, float("nan"), 2.5]})


def write_stream(table, path):
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


FORMATS = {
    "t.parquet": pa.parquet.write_table,
    "t.feather": pa.feather.write_feather,
    "t.arrow": pa.feather.write_feather,
    "t.arrows": write_stream,
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_formats_with_types(name, compress, tmp_path):
    FORMATS[name](TYPED, str(tmp_path / name))
    content = (tmp_path / name).read_bytes()
    path = write(tmp_path, compress(content), "whatever")  # content says what it is, not the name
    table = read_table(path)
    assert table.schema == TYPED.schema and str(table) == str(TYPED)
    assert sum(batch.num_rows for batch in iterate_batches(path)) == 3
    assert place(path, 2) == f"{path}, row 3"


def test_text_that_is_not_text_in_a_typed_file(tmp_path):
    for name, write_file in FORMATS.items():
        write_file(pa.table({"a": ["Fahrvergnügen"]}), str(tmp_path / name))
        content = (tmp_path / name).read_bytes()
        assert "ü".encode() in content or name != "t.arrows"
        with pytest.raises(UserError, match="Invalid UTF8 sequence"):
            read_table(write(tmp_path, content.replace("ü".encode(), b"\xff\xff"), name))


# ---- Several files


def test_several_files(tmp_path):
    first, second = write(tmp_path, "a,b\n1,x\n", "1.csv"), write(tmp_path, "b;a\ny;2\nz;3\n", "2.csv")
    expected = [{"a": a, "b": b} for a, b in ("1x", "2y", "3z")]
    assert (
        rows([first, second]) == rows(str(tmp_path / "*.csv")) == rows(str(tmp_path / "[12].csv")) == expected
    )
    assert [row["a"] for row in rows([second, first])] == ["2", "3", "1"]
    third = write(tmp_path, "b,c,d\ny,2,3\n", "3.csv")
    sentence = (
        f"{third} lacks the column 'a' and has also the columns 'c', 'd': expected the columns of {first}"
    )
    for path in ([first, second, third], str(tmp_path / "*")):
        for read in (read_table, lambda path: [*iterate_batches(path)]):
            with pytest.raises(UserError, match=sentence):
                read(path)


def test_types_of_several_files(tmp_path):
    whole, real, text, none = (pa.table({"a": a}) for a in ([1], [0.5], ["x"], [None]))
    for name, table in zip("wrtn", (whole, real, text, none), strict=True):
        pa.parquet.write_table(table, tmp_path / name)
    for names, expected in {"wr": [1.0, 0.5], "wn": [1, None], "nt": [None, "x"]}.items():
        assert [row["a"] for row in rows([str(tmp_path / name) for name in names])] == expected
    with pytest.raises(UserError, match="t: its column 'a' is of type string, and that of .*w of type int64"):
        read_table([str(tmp_path / "w"), str(tmp_path / "t")])


# ---- What is refused

REFUSED = {
    b"": "is empty",
    b"\n \n": "is empty",
    b'""\n': "is empty",
    b"# a comment\n": "has no lines but comments",
    b"a,b\n": "has no examples, only the names of its columns",
    b"a,b\n1,\x00\n": "holds zero bytes",
    b"<!DOCTYPE html>\n": "is a web page",
    b"\n<HTML>": "is a web page",
    b"a," * 2**17 + b"a\n": "has 131,073 columns, and at most 131,072 can be read",
    b"\x80\x04\x95": "is a pickle, which may execute anything",
    b"FEA1": "is a Feather file of version 1: write it again",
    b"SQLite format 3\x00": "is an SQLite database: export",
    b"version https://git-lfs.github.com/spec/v1\n": "is a pointer of Git LFS",
    b"@relation x\n": "is an ARFF file",
    gzip.compress(b"a,b\n1,2\n" * 99)[:-9]: "Truncated compressed stream",
    gzip.compress(b"a,b\n1,2\n" * 99)[:15] + b"x" * 40: "cannot be read",
    b"PAR1" + b"x" * 20: "cannot be read: Parquet magic bytes not found",
    b"ARROW1" + b"x" * 20: "cannot be read",
    b"\xff\xff\xff\xff" + b"\xff" * 20: "cannot be read",
    "a,b\nä,1\n".encode() * 9999 + b"\xe9,1\n": "is not text in utf-8: invalid continuation byte soon after",
}


@pytest.mark.parametrize("content", REFUSED, ids=range(len(REFUSED)))
def test_what_is_not_a_table(content, tmp_path):
    path = write(tmp_path, content, "t.dat")
    for read in (read_table, lambda path: [*iterate_batches(path)]):
        with pytest.raises(UserError, match=REFUSED[content]) as e:
            read(path)
        assert "t.dat" in str(e.value)


def test_paths_that_are_refused(tmp_path):
    write(tmp_path, COMMAS, "churn.csv")
    (tmp_path / "folder").mkdir()
    for path, sentence in {
        "https://x.org/a.csv": "is an address: download the file",
        "s3://x/a.csv": "is an address",
        str(tmp_path / "folder"): "is a folder: .* for all its files, data.path=",
        str(tmp_path / "chrun.csv"): "did you mean 'churn.csv'",
        str(tmp_path / "x*.csv"): "matches no file",
        "/dev/zero": "is a device",
        None: "data.path = null: write data.path=FILE",
        "": "data.path = '': write data.path=FILE",
        "a\0b": "cannot be read",
    }.items():
        with pytest.raises(UserError, match=sentence):
            read_table(path)
    with pytest.raises(UserError, match=r"data.path = \[\]"):
        read_table([])


@pytest.mark.parametrize("options", [
    {"encoding": "zip"}, {"encoding": "idna"}, {"encoding": "utf9"}, {"encoding": "../x"},
    {"encoding": "a\0"},
    {"separator": "ab"}, {"separator": "a"}, {"separator": '"'}, {"separator": "\n"}, {"separator": ""},
])  # fmt: skip
def test_options_that_are_refused(options, tmp_path):
    with pytest.raises(UserError, match=f"data.{next(iter(options))} = "):
        read_table(write(tmp_path, COMMAS), ReadOptions(**options))


@pytest.mark.parametrize("name", ["comma", "tab", "\\t", "~", ":", "semicolon"])
def test_a_separator_that_is_named(name, tmp_path):
    character = {"comma": ",", "tab": "\t", "\\t": "\t", "semicolon": ";"}.get(name, name)
    assert rows(write(tmp_path, COMMAS.replace(",", character)), separator=name) == PEOPLE


def test_a_bomb_is_refused_and_streamed(tmp_path, monkeypatch):
    """A small file of 40 MB is refused once memory runs low; in batches it is read."""
    path = write(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * (10**7)), "t.csv.gz")
    free = iter([10**9, 9 * 10**8, 3 * 10**8])
    monkeypatch.setattr("nnlab.data.files.available_memory", lambda: next(free))
    with pytest.raises(UserError, match="t.csv.gz does not fit into memory: after"):
        read_table(path)
    assert sum(batch.num_rows for batch in iterate_batches(path)) == 10**7
