"""`Encoding`: which inputs of a network the columns of a table become, and in which order.

It is known from the columns alone. The numbers that are fitted on training examples are in
`nnlab.data.encoders`, which computes the inputs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

from nnlab.data.columns import Column


@dataclass(frozen=True)
class InputLayout:
    """The inputs of an example, in this order.

    numbers   how many are numbers, which are normalised
    plain     how many are inputs as they are: flags, one-hot categories, counts of n-grams
    embedded  of each category that the network is to embed, how many slots it has; its input is the number of
              its slot, from 0, or -1 for one that stands for nothing: a vector of zeros
    """

    numbers: int
    plain: int
    embedded: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """How many inputs an example has."""
        return self.numbers + self.plain + len(self.embedded)


@dataclass(frozen=True)
class Encoding:
    """The inputs that columns become. Without columns, an example is `inputs` numbers already.

        raw      [columns in the order of the table: numbers, with NaN for missing ones | codes | plain]
        encoded  [numbers | flags of missing ones | one-hot | n-grams | slots that will be embedded]

    >>> columns = Column("age", "number", missing=True), Column("plan", "category", categories=("a", "b"))
    >>> encoding = Encoding(columns)
    >>> encoding.raw_width, encoding.names
    (2, ('age', 'age is missing', 'plan=a', 'plan=b', 'plan=other'))
    """

    columns: tuple[Column, ...] = ()
    inputs: int = 0

    @cached_property
    def raw(self) -> tuple[tuple[str, str], ...]:
        """(name, kind) of each number of a raw example; see `Column.raw`."""
        return tuple(itertools.chain.from_iterable(column.raw for column in self.columns))

    @property
    def raw_width(self) -> int:
        """How many numbers a raw example has."""
        return len(self.raw) if self.columns else self.inputs

    @cached_property
    def layout(self) -> InputLayout:
        """How many inputs there are of each kind."""
        if not self.columns:
            return InputLayout(self.inputs, 0)
        one_hot = sum(len(column.slots) for column in self.one_hot_columns)
        plain = len(self.flag_positions) + one_hot + len(self.plain_positions)
        return InputLayout(
            len(self.number_positions), plain, tuple(len(column.slots) for column in self.embedded_columns)
        )

    @property
    def width(self) -> int:
        """How many inputs an encoded example has."""
        return self.layout.width

    @property
    def numbers(self) -> int:
        """How many of them are numbers, which come first."""
        return self.layout.numbers

    @property
    def plain(self) -> int:
        """How many are inputs as they are."""
        return self.layout.plain

    @property
    def embedded(self) -> tuple[int, ...]:
        """The slots of each category that will be embedded; their inputs come last."""
        return self.layout.embedded

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of encoded inputs; none without columns."""
        one_hot = (column.slots for column in self.one_hot_columns)
        return (
            *(self.raw[i][0] for i in self.number_positions),
            *(column.missing_name for column in self.flagged_columns),
            *itertools.chain.from_iterable(one_hot),
            *(self.raw[i][0] for i in self.plain_positions),
            *(column.name for column in self.embedded_columns),
        )

    # Positions in a raw example.

    @cached_property
    def number_positions(self) -> tuple[int, ...]:
        """Of the numbers."""
        return self._positions("number")

    @cached_property
    def flag_positions(self) -> tuple[int, ...]:
        """Of the numbers that get a flag which says that they are missing: of a date, its first part."""
        return tuple(self._starts[column.name] for column in self.flagged_columns)

    @cached_property
    def code_positions(self) -> tuple[int, ...]:
        """Of the codes of categories."""
        return self._positions("code")

    @cached_property
    def plain_positions(self) -> tuple[int, ...]:
        """Of the numbers that are inputs as they are."""
        return self._positions("plain")

    @cached_property
    def code_columns(self) -> tuple[Column, ...]:
        """The columns of `code_positions`."""
        return tuple(column for column in self.columns if column.type in ("category", "boolean"))

    @cached_property
    def flagged_columns(self) -> tuple[Column, ...]:
        """The columns of `flag_positions`."""
        return tuple(column for column in self.columns if column.missing and _has_numbers(column))

    # Places of inputs that are made of codes.

    @cached_property
    def one_hot_places(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of each one-hot input the number of its column among `code_columns`, and its slot there."""
        places = [
            (number, slot)
            for number, column in enumerate(self.code_columns)
            if not column.embedded
            for slot in range(len(column.slots))
        ]
        return tuple(column for column, _ in places), tuple(slot for _, slot in places)

    @property
    def embedded_codes(self) -> tuple[int, ...]:
        """The number among `code_columns` of each category that will be embedded."""
        return tuple(number for number, column in enumerate(self.code_columns) if column.embedded)

    @property
    def one_hot_columns(self) -> tuple[Column, ...]:
        """Those that become one-hot."""
        return tuple(column for column in self.code_columns if not column.embedded)

    @property
    def embedded_columns(self) -> tuple[Column, ...]:
        """Those of which the network gets the slot."""
        return tuple(column for column in self.code_columns if column.embedded)

    @property
    def _starts(self) -> dict[str, int]:
        """The position of each column's first number."""
        starts = itertools.accumulate((len(column.raw) for column in self.columns), initial=0)
        return {column.name: start for column, start in zip(self.columns, starts, strict=False)}

    def _positions(self, wanted: str) -> tuple[int, ...]:
        return tuple(i for i, (_, kind) in enumerate(self.raw) if kind == wanted)


def _has_numbers(column: Column) -> bool:
    return column.type == "number" or bool(column.parts)
