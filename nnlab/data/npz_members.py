"""The arrays in a file of `numpy.savez`: each is examined before it is read, and nothing is unpickled."""

from __future__ import annotations

import math
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from nnlab.allowed import LARGEST_EXACT
from nnlab.data.files import reading, refuse_what_fills_memory, regular
from nnlab.data.other_libraries import decoded, is_text
from nnlab.errors import UserError, nearest
from nnlab.runtime.machine import available

NPY_MAGIC = b"\x93NUMPY"
HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What torch computes with; unsigned integers of 16 to 64 bits and long doubles are not among them.
NATIVE_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64")


class Arrays:
    """The arrays of a file, by name. Reading a faulty one raises `UserError`."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        self.path, self._archive = path, archive
        self._free_bytes, self._bytes_taken = available(), 0
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> np.ndarray:
        """The array, made `native`."""
        if name not in self:
            raise UserError(f"{self.path} has no array {name}{nearest(name, self._members or ['X', 'y'])}")
        info = self._members[name]
        with damaged(self.path), self._archive.open(info) as member:
            if member.read(len(NPY_MAGIC)) != NPY_MAGIC:
                raise UserError(f"{self.path}: {name} is not an array of numpy: save it by numpy.savez")
        with damaged(self.path), self._archive.open(info) as member:
            self._check(name, member, info.file_size)
        with damaged(self.path), self._archive.open(info) as member, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2
            array = npy.read_array(member, allow_pickle=False)
            if member.read(1):
                raise ValueError("there are more bytes after the array")
        if array.dtype.kind == "U" and not is_text(array):
            raise UserError(f"{self.path}: {name} holds text with codes that are not characters")
        return native(array)

    def _check(self, name: str, member, size: int) -> None:
        """Raise an error if, by its header, the array holds objects or does not fit into memory."""
        version = npy.read_magic(member)
        # Version 3.0 is 2.0 with other names of fields, which are of no use here.
        read_header = HEADER_READERS.get(version, HEADER_READERS[2, 0])
        shape, _, dtype = read_header(member)
        if dtype.hasobject:
            raise UserError(
                f"{self.path}: {name} holds Python objects, which could run code when read; "
                f"save numbers or text"
            )
        count = math.prod(shape) * dtype.itemsize
        if any(n < 0 for n in shape) or count > size:
            raise ValueError("the header announces more than there is")
        # Each array may fit by itself and all of them not.
        self._bytes_taken += count
        refuse_what_fills_memory(self.path, self._bytes_taken, self._free_bytes)


@contextmanager
def opened_arrays(path: Path):
    """The `Arrays` of a file of `numpy.savez`; nothing in it is executed."""
    with reading(path), regular(path) as content:
        with damaged(path):
            archive = zipfile.ZipFile(content)
        with archive:
            yield Arrays(path, archive)


@contextmanager
def damaged(path: Path):
    """Turn every other error within into a `UserError` about the file."""
    # zipfile, its four kinds of compression and numpy raise some twenty kinds of errors for a damaged file.
    try:
        yield
    except (UserError, MemoryError):
        raise
    except OSError as e:
        if e.errno is not None:
            raise
        raise _damage(path) from e
    except NotImplementedError as e:
        raise UserError(f"{path} is compressed in a way that Python does not know: {e}; save it again") from e
    except Exception as e:
        if "password" in str(e):
            raise UserError(f"{path} is encrypted: save it again without a password") from e
        raise _damage(path) from e


def _damage(path: Path) -> UserError:
    return UserError(f"{path} is not a file of numpy.savez, or it is damaged")


def native(array: np.ndarray) -> np.ndarray:
    """The same in C order and the machine's byte order, with bytes as text.

    Numbers of a dtype that torch does not know become float64, except unsigned integers that float64 would
    round: these stay as they are.
    """
    if array.dtype.kind == "S":
        return decoded(array)
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    if array.dtype.name == "uint64" and array.size and array.max() > LARGEST_EXACT:
        return array
    if array.dtype.kind in "uif" and array.dtype.name not in NATIVE_DTYPES:
        # A long double beyond float64 becomes infinite, and is refused later.
        with np.errstate(over="ignore"):
            return array.astype(np.float64)
    return array
