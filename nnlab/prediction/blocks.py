"""New examples as a sequence of blocks, so that a file of any size can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

MAX_BLOCK_VALUES, MAX_BLOCK_EXAMPLES = 2**20, 2**14  # input values and examples of a block


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
        """Raises `UserError`, naming the place, for what cannot be an example of the run's data."""

    def where(self, line: int, column: str = "") -> str:
        """`new.csv, line 7, column 'age'`: the place of an example, by what `Block.lines` has of it."""


@dataclass(frozen=True)
class InputsAsTargets:
    """Examples without targets, for a run that reconstructs its inputs."""

    examples: NewExamples

    @property
    def identifier(self) -> str | None:
        return self.examples.identifier

    @property
    def target(self) -> str:
        return ""

    def blocks(self) -> Iterator[Block]:
        for block in self.examples.blocks():
            yield replace(block, targets=block.x.reshape(len(block.x), -1))

    def where(self, line: int, column: str = "") -> str:
        return self.examples.where(line, column)


def block_size(inputs: int) -> int:
    """The number of examples in a block, where an example has so many `inputs`."""
    return max(1, min(MAX_BLOCK_EXAMPLES, MAX_BLOCK_VALUES // max(1, inputs)))
