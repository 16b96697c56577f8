"""`MappedTable`: examples in .npy files that may be larger than memory, read where they are needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnlab.data.files import data_path, file_kind, read_errors_as_user_errors, refuse_too_large
from nnlab.data.image_shapes import ExampleAxes
from nnlab.data.npz_members import to_native
from nnlab.errors import UserError
from nnlab.runtime.machine import available_memory


class MappedTable:
    """x (N, d) of the arrays (N_1, *axes), (N_2, *axes), ... one after another, of which only what is indexed
    is read: `x[rows]` and `x[rows, columns]` are arrays in memory.

    rows  those of all that are its examples; None: all
    """

    ndim = 2

    def __init__(self, arrays: list[np.ndarray], axes: ExampleAxes, rows: np.ndarray | None = None):
        self.arrays, self.axes, self.rows = arrays, axes, rows
        self.ends = np.cumsum([len(array) for array in arrays])
        count = int(self.ends[-1]) if rows is None else len(rows)
        self.shape = count, int(np.prod(axes.shape))
        self.dtype = to_native(arrays[0][:1]).dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key) -> np.ndarray:
        key, columns = key if isinstance(key, tuple) else (key, slice(None))
        if isinstance(key, slice):
            rows = np.arange(*key.indices(len(self)))
        else:
            rows = np.atleast_1d(key)
            is_mask = rows.dtype.kind == "b"
            rows = np.flatnonzero(rows) if is_mask else np.where(rows < 0, rows + len(self), rows)
        block = self._read(rows if self.rows is None else self.rows[rows])[:, columns]
        return block if np.ndim(key) or isinstance(key, slice) else block[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        size = self.shape[0] * self.shape[1] * self.dtype.itemsize
        refuse_too_large(Path(getattr(self.arrays[0], "filename", "x")), size, available_memory())
        return self[:].astype(dtype or self.dtype, copy=False)

    def select(self, examples: np.ndarray) -> MappedTable:
        """The table of these examples, which remain in the files."""
        return MappedTable(self.arrays, self.axes, examples if self.rows is None else self.rows[examples])

    def _read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        place = np.searchsorted(self.ends, rows, side="right")
        for i, array in enumerate(self.arrays):
            mine = np.flatnonzero(place == i)
            if len(mine):
                first = self.ends[i] - len(array)
                out[mine] = self.axes.flat(to_native(array[rows[mine] - first]))
        return out


def mapped_array(path: str | None, key: str) -> np.ndarray:
    """The array in a .npy file, mapped into memory: nothing of it is read yet, and nothing is executed.

    `key` is the setting that names the file. Raises `UserError`.
    """
    file = data_path(path, "FILE.npy, one of numpy.save") if key == "data.path" else Path(path).expanduser()
    kind = file_kind(file)
    if kind != "file":
        raise UserError(f"{key} = '{path}' is a {kind}: expected a file of numpy.save")
    with read_errors_as_user_errors(file):
        try:
            array = np.lib.format.open_memmap(file, mode="r")
        except OSError:
            raise
        except Exception as e:
            if "objects" in str(e):
                raise UserError(
                    f"{file} holds Python objects, which could run code when read; save numbers or text"
                ) from e
            raise UserError(f"{file} is not a file of numpy.save, or it is damaged") from e
    if array.dtype.kind not in "biufUS":
        raise UserError(f"{file} has the dtype {array.dtype}, expected real numbers")
    return array
