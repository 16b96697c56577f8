"""The arrays inside a file of `numpy.savez`: looked at before they are read, and never unpickled."""

from __future__ import annotations

import math
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from nnlab.data.files import reading, refuse_what_fills_memory, regular
from nnlab.data.other_libraries import decoded, is_text
from nnlab.errors import UserError, nearest
from nnlab.runtime.machine import available

MAGIC = b"\x93NUMPY"
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
EXACT = 2**53  # up to here a float64 has every whole number
NATIVE = ("bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64")


class Arrays:
    """The arrays of a file, by name; what is wrong with one is a `UserError`."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        self.path, self._archive, self._free = path, archive, available()
        self._taken = 0
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> np.ndarray:
        """The array in this machine's byte order, numbers of a dtype that torch knows; unsigned ones that
        only 64 bits can tell apart stay as they are."""
        if name not in self:
            raise UserError(f"{self.path} has no array {name}{nearest(name, self._members or ['X', 'y'])}")
        info = self._members[name]
        with damaged(self.path), self._archive.open(info) as member:
            if member.read(len(MAGIC)) != MAGIC:
                raise UserError(f"{self.path}: {name} is not an array of numpy: save it by numpy.savez")
        with damaged(self.path), self._archive.open(info) as member:
            self._check(name, member, info.file_size)
        with damaged(self.path), self._archive.open(info) as member, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2
            array = npy.read_array(member, allow_pickle=False)
            if member.read(1):
                raise ValueError("there is more behind the array")
        if array.dtype.kind == "U" and not is_text(array):
            raise UserError(f"{self.path}: {name} holds text with codes that are no characters")
        return native(array)

    def _check(self, name: str, member, size: int) -> None:
        """By its header: does it hold objects, and does it fit?"""
        version = npy.read_magic(member)
        shape, _, dtype = HEADERS.get(version, HEADERS[2, 0])(member)  # 3.0 differs in field names alone
        if dtype.hasobject:
            raise UserError(
                f"{self.path}: {name} holds Python objects, which could run code when read; "
                f"save numbers or text"
            )
        count = math.prod(shape) * dtype.itemsize
        if any(n < 0 for n in shape) or count > size:
            raise ValueError("the header announces more than there is")
        self._taken += count
        refuse_what_fills_memory(self.path, self._taken, self._free)


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
    """Whatever else goes wrong within is the file's fault: zipfile, its four ways of packing and numpy raise
    some twenty kinds of errors where a file is not what it says."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except OSError as e:
        if e.errno is not None:
            raise
        raise _damage(path) from e
    except NotImplementedError as e:
        raise UserError(f"{path} is packed in a way that Python does not know: {e}; save it again") from e
    except Exception as e:
        if "password" in str(e):
            raise UserError(f"{path} is encrypted: save it again without a password") from e
        raise _damage(path) from e


def _damage(path: Path) -> UserError:
    return UserError(f"{path} is not a file of numpy.savez, or it is damaged")


def native(array: np.ndarray) -> np.ndarray:
    """The same in C order and the machine's byte order; bytes as text, and numbers as float64 whose dtype
    torch does not know."""
    if array.dtype.kind == "S":
        return decoded(array)
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    if array.dtype.name == "uint64" and array.size and array.max() > EXACT:
        return array
    if array.dtype.kind in "uif" and array.dtype.name not in NATIVE:
        with np.errstate(over="ignore"):  # a long double beyond float64 is then refused as infinite
            return array.astype(np.float64)
    return array
