"""Reads the first sheet of an Excel file by fastexcel, which `nnlab[tables]` installs."""

from __future__ import annotations

import io
import logging
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from nnlab.data.files import refuse_too_large
from nnlab.data.headers import LINES_COMPARED
from nnlab.errors import UserError, advise, shortened
from nnlab.runtime.machine import available_memory
from nnlab.tables.cells import without_empty_rows
from nnlab.tables.first_rows import title_and_names, unique_names
from nnlab.tables.options import ReadOptions

CELL_BYTES = 32  # the reader makes room for all the cells of a sheet, up to its last row and column
CELL_OR_ROW = re.compile(rb"""\br\s*=\s*["']([A-Z]{0,3})([0-9]{1,7})["']""")
LONGEST_REFERENCE = 32  # bytes
BYTES_AT_ONCE = 2**20
LOCAL_HEADER = struct.Struct("<26xHH")  # of a member of a zip archive: how long its name and extra field are
ROWS_FOR_NAMES = 2 * LINES_COMPARED


def excel_table(path: Path, file, options: ReadOptions) -> pa.RecordBatch:
    """The first sheet. Its titles on top and its names are judged as those of a text table."""
    try:
        import fastexcel
    except ModuleNotFoundError as e:
        raise UserError(
            f"{path} is an Excel file, which fastexcel reads: pip install 'nnlab[tables]', or save it as CSV"
        ) from e
    content = file.read()
    refuse_bomb(path, content)
    try:
        with _without_log():
            book = fastexcel.read_excel(content)
            sheet = _first_sheet(path, book, options)
    except fastexcel.FastExcelError as e:
        raise UserError(f"{path} is not an Excel file, or it is damaged: {e}") from e
    if len(book.sheet_names) > 1:
        others = ", ".join(f"'{shortened(name)}'" for name in book.sheet_names[1:5])
        advise(f"{path}: its first sheet, '{shortened(book.sheet_names[0])}', is read, and not {others}")
    return sheet


@contextmanager
def _without_log():
    """fastexcel logs every column without a cell as one whose type it does not know."""
    log = logging.getLogger("fastexcel")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _first_sheet(path: Path, book, options: ReadOptions) -> pa.RecordBatch:
    top = book.load_sheet(0, header_row=None, skip_rows=0, n_rows=ROWS_FOR_NAMES, dtypes="string").to_arrow()
    rows = [[cell or "" for cell in row.values()] for row in top.to_pylist()]
    filled = [i for i, row in enumerate(rows) if any(row)]
    if not filled:
        raise UserError(f"{path} has no cells in its first sheet, '{shortened(book.sheet_names[0])}'")
    title, names = title_and_names(path, [rows[i] for i in filled], options.header, options.target)
    begins = filled[title] + bool(names)
    names = unique_names(path, names) if names else tuple(map(str, range(top.num_columns)))
    sheet = book.load_sheet(0, header_row=None, skip_rows=begins, schema_sample_rows=None).to_arrow()
    return without_empty_rows(sheet.rename_columns(list(names)))


def refuse_bomb(path: Path, content: bytes) -> None:
    """Raise `UserError` if the archive's members, or all the cells up to the last, would fill memory.

    Members are unpacked here, one megabyte at a time: what the archive says of their sizes may be a lie.
    """
    if not content.startswith(b"PK"):
        return  # an old .xls: not compressed, and at most 65,536 rows of 256 cells
    free, total = available_memory(), 0
    try:
        members = zipfile.ZipFile(io.BytesIO(content)).infolist()
        names = [member.filename for member in members]
        if "xl/workbook.xml" not in names:
            raise UserError(
                f"{path} is an archive, and not an .xlsx: unpack it first, or save it as .xlsx or CSV"
            )
        for member in members:
            rows = columns = 0
            before = b""
            for piece in _unpacked(content, member):
                total += len(piece)
                for letters, digits in CELL_OR_ROW.findall(before + piece):
                    rows, columns = max(rows, int(digits)), max(columns, _column_number(letters))
                refuse_too_large(path, total + CELL_BYTES * rows * columns, free)
                before = piece[-LONGEST_REFERENCE:]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, struct.error) as e:
        raise UserError(f"{path} is not an Excel file, or it is damaged: {e}") from e


def _unpacked(content: bytes, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of a member, piece by piece, to its very end."""
    begin = member.header_offset + LOCAL_HEADER.size
    begin += sum(LOCAL_HEADER.unpack_from(content, member.header_offset))
    packed = content[begin : begin + member.compress_size]
    if member.compress_type == zipfile.ZIP_STORED:
        yield packed
        return
    if member.compress_type != zipfile.ZIP_DEFLATED:
        raise NotImplementedError(f"{member.filename} is compressed in an unusual way")
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    while packed and not stream.eof:
        yield stream.decompress(packed, BYTES_AT_ONCE)
        packed = stream.unconsumed_tail


def _column_number(letters: bytes) -> int:
    """A is 1, AA 27."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
