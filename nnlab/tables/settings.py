"""`Tabular`: what a user may say of a table, whether it is in a file or in memory."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from nnlab.allowed import LARGEST_COUNT
from nnlab.arguments import is_number
from nnlab.data.dataset import Data
from nnlab.data.labels import TASK_CHOICES
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.errors import UserError, nearest, shortened
from nnlab.hyperparameters import static
from nnlab.tables.user_types import MARK_OF_DECIMAL, USER_TYPES


@dataclass(frozen=True)
class Tabular(Data):
    """Base of tables: the settings, and what can be checked of them without a table.

    types    name of a column -> number, category, boolean, date, dmy, mdy, ngrams or identifier: what it is,
             where its cells alone do not say so
    drop     columns that are left out
    group    the column of groups, such as patients: no group is in two parts of a split
    time     the column of times: the past trains, what follows validates, the last tests
    weight   the column of weights of examples
    part     the column that says train, validation or test
    one_hot  most categories that become one input each; a column of more is embedded; None: all are one-hot
    rare     a category with fewer training examples counts as `other`
    missing  further texts that stand for an empty cell, beside NA, ?, null and the like
    decimal  the mark before decimals: auto, a point or a comma
    """

    _: KW_ONLY
    task: str = static("auto", choices=TASK_CHOICES)
    types: dict[str, str] = static({})
    drop: str | tuple[str, ...] = static(())
    group: str | int | None = static(None)
    time: str | int | None = static(None)
    weight: str | int | None = static(None)
    part: str | int | None = static(None)
    one_hot: int | None = static(9, low=1, high=LARGEST_COUNT)
    rare: int = static(3, low=1, high=LARGEST_COUNT)
    missing: str | tuple[str, ...] = static(())
    decimal: str = static("auto", choices=("auto", "point", "comma"))
    target_normalization: str = static("standard", choices=NORMALIZATION_NAMES)

    @property
    def decimal_mark(self) -> str:
        """The mark that `decimal` says, or "auto"."""
        return MARK_OF_DECIMAL[self.decimal]

    def __post_init__(self):
        for key in ("drop", "missing"):  # a number is a text here: -999 stands in a cell, 2020 above a column
            value = getattr(self, key)
            items = value if isinstance(value, list | tuple) else (value,)
            object.__setattr__(self, key, tuple(map(_number_as_text, items)))
        super().__post_init__()
        for column, type_ in self.types.items():
            if type_ not in USER_TYPES:
                raise UserError(
                    f"data.types.{shortened(column)} = '{shortened(type_)}'{nearest(type_, USER_TYPES)}"
                )


def _number_as_text(value):
    """-999 and -999.0 as "-999"; anything else as it is."""
    if not is_number(value):
        return value
    return str(int(value) if float(value).is_integer() else value)
