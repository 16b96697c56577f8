"""New examples block by block, as a file of any size gives them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

BLOCK_NUMBERS, MOST_BLOCK_EXAMPLES = 2**20, 2**14  # inputs, examples, in a block


@dataclass(frozen=True)
class Block:
    """Some examples, in the order of the file.

    x            (n, d), or (n, *shape) of images
    targets      their labels or numbers, as `TrainedModel.evaluate` takes them; None if nobody asks for them
    identifiers  what they are called in the file; None if nothing there says
    lines        their lines in a text file, else their numbers from 0
    """

    x: np.ndarray
    targets: np.ndarray | list | None
    identifiers: list | None
    lines: range | list[int]


class NewExamples(Protocol):
    """Examples that a run was not trained on, opened for reading once."""

    identifier: str | None  # the name of the column that identifies them
    target: str  # the name of the column of true labels; empty if it has none

    def blocks(self) -> Iterator[Block]:
        """Raises `UserError`, naming the place, for what is no example of the run's."""

    def where(self, line: int, column: str = "") -> str:
        """`new.csv, line 7, column 'age'`: the place of an example, by what `Block.lines` has of it."""


def block_examples(inputs: int) -> int:
    """How many examples of so many numbers a block has."""
    return max(1, min(MOST_BLOCK_EXAMPLES, BLOCK_NUMBERS // max(1, inputs)))
