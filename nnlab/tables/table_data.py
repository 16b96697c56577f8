"""`Table`: data sets in files of tables, with columns of any type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.tables.settings import Tabular


@dataclass(frozen=True)
class Table(Tabular):
    """A table of numbers, categories, truth values, dates or texts, with holes: CSV, TSV, Parquet, Feather,
    JSON lines or Excel, in one file, in several, or in those of a glob.

    `nnlab data FILE` shows what each column is taken for; row numbers, keys and columns of one value are not
    inputs. `target` is the name of a column, or its number from 0 (or from -1, at the end); rows without one
    are left out. Text in the target column is a class; so are whole numbers with at most 20 values, unless
    they look like counts.
    """

    name: ClassVar[str] = "table"
    needs: ClassVar[tuple[str, ...]] = ("path", "target")
    path: str | tuple[str, ...] | None = static(None)
    target: str | int | None = static(None)
    test_path: str | tuple[str, ...] | None = static(None)
    separator: str = static("auto")
    encoding: str = static("auto")
    header: bool | Literal["auto"] = static("auto")

    def read(self):
        from nnlab.tables.assembly import make_dataset

        source, tests = self.source()
        return make_dataset(source, self, tests)

    def source(self):
        """The table with the rows of `test_path` at its end, and how many these are. Raises `UserError`."""
        from nnlab.tables.files import ReadOptions, place, read_table
        from nnlab.tables.source import Source

        if self.test_path is not None and self.part is not None:
            raise UserError(
                "data.test_path and data.part both say what the test set is: leave one of them out"
            )
        options = ReadOptions(self.separator, self.encoding, self.header, self.target)
        table = read_table(self.path, options)
        source = Source(table, _shown(self.path), lambda row: place(self.path, row, options))
        if self.test_path is None:
            return source, 0
        test = read_table(self.test_path, options)
        tests = Source(test, _shown(self.test_path), lambda row: place(self.test_path, row, options))
        return source.followed_by(tests), len(test)


def _shown(path: str | tuple[str, ...] | None) -> str:
    """What sentences call the table."""
    if not path:
        return "the table"
    return path if isinstance(path, str) else path[0]
