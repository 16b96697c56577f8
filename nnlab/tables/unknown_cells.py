"""Cells of a category that training did not know: new ones, and known ones in another spelling."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nnlab.data.columns import MISSING_CODE, UNKNOWN_CODE, Column
from nnlab.errors import shortened
from nnlab.tables.cells import as_array, as_text

MOST_VALUES_SHOWN = 3
RESPELLED_SHARE = 0.5  # of the cells: from there on the column is written in another way than in training


class UnknownCells:
    """What a column's cells have been in all batches: how many there are, how many training did not know, and
    how many of these it knew in another spelling, `basic` as `BASIC` and 1082 as 01082."""

    def __init__(self, column: Column):
        self.name, self.categories, self.markers = shortened(column.name), column.categories, column.markers
        self.present = self.unknown = self.respelled = 0
        self.examples = Counter[str]()
        self.pair: tuple[str, str] | None = None  # a cell, and how training writes it
        self._spellings: pa.Array | None = None  # of the categories

    def add(self, cells: pa.Array | pa.ChunkedArray, codes: np.ndarray) -> None:
        """Count the cells (n,) of a batch, which have these codes."""
        self.present += int((codes != MISSING_CODE).sum())
        is_unknown = codes == UNKNOWN_CODE
        if not is_unknown.any():
            return
        texts = as_text(as_array(cells), self.markers).filter(pa.array(is_unknown))
        self.unknown += len(texts)
        self.examples.update(texts.unique().slice(0, MOST_VALUES_SHOWN).to_pylist())
        if self._spellings is None:
            self._spellings = plain_spelling(pa.array(self.categories, pa.string()))
        known = pc.index_in(plain_spelling(texts), self._spellings)
        self.respelled += len(known) - known.null_count
        if self.pair is None and known.null_count < len(known):
            row = int(np.asarray(known.is_valid()).argmax())
            self.pair = texts[row].as_py(), self.categories[known[row].as_py()]

    @property
    def fault(self) -> str:
        """Why no prediction can be made, if the column is written in another way than in training."""
        if not self.respelled or self.respelled < RESPELLED_SHARE * self.present:
            return ""
        return (
            f"{self.respelled:,} of {self.present:,} examples have a '{self.name}' that training knew in "
            f"another spelling: {self._respelling}; write the column as it was in training"
        )

    def advice(self, count: int) -> str:
        """What is to be said of the unknown cells among `count` examples; "" if there are none."""
        if not self.unknown:
            return ""
        values = ", ".join(f"'{shortened(value)}'" for value in [*self.examples][:MOST_VALUES_SHOWN])
        sentence = (
            f"{self.unknown:,} of {count:,} examples have a '{self.name}' that training did not know, such "
            f"as {values}; it counts as a rare one"
        )
        if self.respelled:
            return f"{sentence}. But {self._respelling}: write it as it was in training"
        if self.unknown == self.present:
            known = ", ".join(f"'{shortened(value)}'" for value in self.categories[:MOST_VALUES_SHOWN])
            return f"{sentence}. No example has one that training knew, as {known}: is it the same column?"
        return sentence

    @property
    def _respelling(self) -> str:
        """`'1082' is '01082' there (leading zeros)`."""
        cell, category = self.pair
        if cell.lower() == category.lower():
            difference = "capitals"
        elif cell.lstrip("0") == category.lstrip("0"):
            difference = "leading zeros"
        elif "".join(cell.split()) == "".join(category.split()):
            difference = "blanks"
        else:
            difference = "spelling"
        return f"'{shortened(cell)}' is '{shortened(category)}' there ({difference})"


def plain_spelling(texts: pa.Array) -> pa.Array:
    """Texts without what is lost on the way through other programs: capitals, leading zeros, a decimal .0,
    and which of blanks, _ and - stand between words.

    >>> plain_spelling(pa.array(["BASIC", "01082", "7.0", "north-west"])).to_pylist()
    ['basic', '1082', '7', 'north west']
    """
    texts = pc.utf8_lower(texts)
    for pattern, plain in ((r"[\s_-]+", " "), (r"^0+(\d)", r"\1"), (r"^(\d+)\.0+$", r"\1")):
        texts = pc.replace_substring_regex(texts, pattern, plain)
    return pc.utf8_trim_whitespace(texts)
