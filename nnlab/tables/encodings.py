"""Turns text of any encoding into UTF-8 while it is read; the encoding is detected if nobody names it."""

from __future__ import annotations

import codecs
import io
import re
from pathlib import Path

from nnlab.errors import UserError, advise, nearest, shortened

BYTE_ORDER_MARKS = {  # that of UTF-32 begins like that of UTF-16
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
BYTES_EXAMINED = 2**12
WORD_PATTERN = re.compile(rb"[\w\x80-\xff]+")
HIGH_BYTES = bytes(range(128, 256))
# In Western European words few bytes are above ASCII; those of other scripts are made of them.
FEWEST_HIGH_BYTES, OTHER_SCRIPT_SHARE = 3, 0.2
WESTERN_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # in Windows-1252
# Text encodings of Python that are for host names and source code, and slow.
NOT_OF_FILES = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
OTHER_SCRIPTS = ("cp1251", "gb18030", "big5", "shift_jis", "euc-kr")
COMMON_ENCODINGS = ("utf-8", "utf-16", "latin-1", "cp1252", "cp1250", *OTHER_SCRIPTS)


def check_encoding(encoding: str) -> None:
    """Raise `UserError` unless it is `auto`, or a text encoding that Python knows."""
    if encoding == "auto":
        return
    try:
        if codecs.lookup(encoding).name.replace("-", "_") not in NOT_OF_FILES:
            "".encode(encoding)  # a LookupError if it is another kind of codec, such as zip
            return
    except (LookupError, ValueError, TypeError):
        pass
    hint = nearest(str(encoding), ("auto", *COMMON_ENCODINGS))
    raise UserError(f"data.encoding = '{shortened(str(encoding))}' is not a text encoding{hint}")


class Utf8Reader(io.RawIOBase):
    """The text of a binary reader in UTF-8, without its byte order mark.

    `auto`: by the mark; else UTF-8, or Windows-1252 from the first bytes on that are not UTF-8 (all the bytes
    before them are ASCII, which both share), which is said as an `Advice`. Raises `UserError`.
    """

    def __init__(self, source: io.BufferedReader, path: Path, encoding: str = "auto"):
        self._source, self._path = source, path
        self._waiting = memoryview(b"")
        first_bytes = source.peek(BYTES_EXAMINED)[:BYTES_EXAMINED]
        mark = next((mark for mark in BYTE_ORDER_MARKS if first_bytes.startswith(mark)), None)
        marked = BYTE_ORDER_MARKS.get(mark)
        if encoding == "auto":
            encoding = marked or _without_mark(first_bytes) or "auto"
        else:
            encoding = codecs.lookup(encoding).name
        if marked and encoding in (marked, marked[:6]):  # utf-16-le, utf-16
            source.read(len(mark))
            encoding = marked
        elif encoding in ("utf-16", "utf-32"):
            encoding += "-le"
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(_decoded_as(encoding))()
        self._bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._waiting and (chunk := self._source.read1(len(buffer))):
            self._waiting = memoryview(self._to_utf8(chunk, final=False))
        if not self._waiting:
            self._waiting = memoryview(self._to_utf8(b"", final=True))
        count = min(len(buffer), len(self._waiting))
        buffer[:count], self._waiting = self._waiting[:count], self._waiting[count:]
        return count

    def push_back(self, read: bytes) -> None:
        """Give bytes back, to be read again."""
        self._waiting = memoryview(read + self._waiting.tobytes())

    def _to_utf8(self, chunk: bytes, final: bool) -> bytes:
        waiting = self._decoder.getstate()[0]  # a character's first bytes
        if self._encoding == "auto" and not waiting and chunk.isascii():
            self._bytes_read += len(chunk)
            return chunk
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeError as e:
            if self._encoding != "auto":
                raise UserError(self._invalid(e)) from e
            self._choose_western(waiting + chunk)
            return self._to_utf8(waiting + chunk, final)
        if self._encoding == "auto" and not text.isascii():
            self._encoding = "utf-8"
        self._bytes_read += len(chunk)
        return text.encode("utf-8", "replace")  # UTF-16 may hold half a character

    def _choose_western(self, chunk: bytes) -> None:
        """Read on as Windows-1252, or as Latin-1 if the bytes are not defined there."""
        words = [word for word in WORD_PATTERN.findall(chunk) if not word.isascii()]
        if sum(map(_is_other_script, words)) > OTHER_SCRIPT_SHARE * len(words):
            raise UserError(
                f"{self._path} is not text in UTF-8, nor Western European: say data.encoding=, such as "
                f"{', '.join(OTHER_SCRIPTS)}"
            )
        self._encoding = "latin-1" if WESTERN_UNDEFINED.search(chunk) else "cp1252"
        self._decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        shown = shortened(words[0].decode(self._encoding, "replace"))
        advise(
            f"{self._path} is not UTF-8 and is read as {self._encoding} (Latin-1, Western European): if "
            f"'{shown}' is wrong, say data.encoding="
        )

    def _invalid(self, error: UnicodeError) -> str:
        return (
            f"{self._path} is not text in {self._encoding}: {getattr(error, 'reason', error)} soon after "
            f"byte {self._bytes_read:,}; it is damaged, or another data.encoding reads it, such as cp1252"
        )


def _is_other_script(word: bytes) -> bool:
    high = len(word) - len(word.translate(None, HIGH_BYTES))
    return high >= FEWEST_HIGH_BYTES and 2 * high > len(word)


def _decoded_as(encoding: str) -> str:
    return "utf-8" if encoding == "auto" else encoding


def _without_mark(first_bytes: bytes) -> str | None:
    """UTF-16 without a mark, by the zero bytes of its Latin letters; None for anything else."""
    high, low = first_bytes[1::2], first_bytes[::2]
    for zeros, others, encoding in ((high, low, "utf-16-le"), (low, high, "utf-16-be")):
        if len(zeros) > 1 and zeros.count(0) > 0.7 * len(zeros) and not others.count(0):
            return encoding
    return None
