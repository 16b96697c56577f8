"""Opens a table's file: a regular one, decompressed, its format told by its first bytes."""

from __future__ import annotations

import io
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from nnlab.data.files import MemoryCheckedReader, open_regular, read_errors_as_user_errors
from nnlab.errors import UserError

BYTES_EXAMINED = 2**10
CODEC_SIGNATURES = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\x04\x22\x4d\x18": "lz4",
}
FORMAT_SIGNATURES = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow stream",
    b"PK\x03\x04": "excel",
    b"\xd0\xcf\x11\xe0": "excel",
}
SEEKABLE_FORMATS = {"parquet", "arrow", "excel"}  # formats that are not read from beginning to end
# What a file may be instead, and what to do then.
REFUSED_SIGNATURES = {
    b"FEA1": "a Feather file of version 1: write it again by pyarrow.feather.write_feather",
    b"\xfd7zXZ\x00": "compressed by xz: decompress it first",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"%PDF": "a PDF file, not a table",
    b"SQLite format 3": "an SQLite database: export its table as CSV or Parquet",
    b"\x89HDF": "an HDF5 file: save its table as CSV or Parquet",
    b"\x93NUMPY": "an array of numpy: write data=npy, and data.target=FILE.npy for its targets",
    b"ORC": "an ORC file: save it as Parquet",
    b"Obj\x01": "an Avro file: save it as Parquet",
    b"\x80\x04": "a pickle, which may execute anything: save the table as CSV or Parquet",
    b"\x80\x05": "a pickle, which may execute anything: save the table as CSV or Parquet",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: git lfs pull",
}
REFUSED_WORDS = {
    b"<!doctype html": "a web page, not a table: download the file itself",
    b"<html": "a web page, not a table: download the file itself",
    b"<?xml": "an XML file: save its table as CSV",
    b"@relation": "an ARFF file: save its table as CSV",
    b"{\\rtf": "a text document: save its table as CSV",
}


@contextmanager
def open_content(path: Path, whole: bool):
    """Open a regular file: (format, decompressed content as a buffered reader).

    The format is parquet, arrow, excel (these can be sought in), arrow stream, json or text. Where the whole
    content is kept, reading stops before memory is full: a small .gz may decompress to any number of bytes.
    Raises `UserError`.
    """
    with table_errors(path), open_regular(path) as file:
        codec = _signature_of(file.read(BYTES_EXAMINED), CODEC_SIGNATURES)
        file.seek(0)
        # A wrapper of `file` must not close it twice: the with-block does.
        raw = pa.CompressedInputStream(pa.PythonFile(file, "r"), codec) if codec else file
        checked = MemoryCheckedReader(_Readable(raw), path) if whole else _Readable(raw)
        content = io.BufferedReader(checked, 2**16)
        first_bytes = content.peek(BYTES_EXAMINED)[:BYTES_EXAMINED]
        _refuse_other_formats(path, first_bytes)
        kind = _format(path, first_bytes)
        if kind in SEEKABLE_FORMATS and not codec:
            file.seek(0)
            yield kind, file
        elif kind in SEEKABLE_FORMATS:
            yield kind, io.BytesIO(io.BufferedReader(MemoryCheckedReader(content, path), 2**16).read())
        else:
            yield kind, content


@contextmanager
def table_errors(path: Path):
    """Turn what pyarrow or the system raises into a `UserError` that names the file."""
    with read_errors_as_user_errors(path):
        try:
            yield
        except pa.ArrowMemoryError as e:
            raise UserError(f"{path} does not fit into memory, or it is damaged: {_first_line(e)}") from e
        except pa.ArrowException as e:
            raise UserError(f"{path} cannot be read: {_first_line(e)}") from e


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Readable(io.RawIOBase):
    """A file or a stream of pyarrow as a raw reader of Python's."""

    def __init__(self, stream):
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        read = self._stream.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)


def _signature_of(first_bytes: bytes, signatures: dict[bytes, str]) -> str | None:
    return next((name for begin, name in signatures.items() if first_bytes.startswith(begin)), None)


def _refuse_other_formats(path: Path, first_bytes: bytes) -> None:
    if not first_bytes:
        raise UserError(f"{path} is empty")
    what = _signature_of(first_bytes, REFUSED_SIGNATURES) or _signature_of(
        first_bytes.removeprefix(b"\xef\xbb\xbf").lstrip().lower(), REFUSED_WORDS
    )
    if what:
        raise UserError(f"{path} is {what}")


def _format(path: Path, first_bytes: bytes) -> str:
    known = _signature_of(first_bytes, FORMAT_SIGNATURES)
    if known:
        return known
    suffixes = {suffix.lower() for suffix in path.suffixes[-2:]}
    text = first_bytes.removeprefix(b"\xef\xbb\xbf").lstrip()
    if suffixes & {".jsonl", ".ndjson", ".json"} or text.startswith((b'{"', b'[{"')):
        return "json"
    return "text"
