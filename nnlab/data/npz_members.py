"""Reads the arrays of an .npz file safely: each header is checked first, and nothing is unpickled."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from nnlab.allowed import LARGEST_EXACT_INTEGER
from nnlab.data.files import open_regular, read_errors_as_user_errors, refuse_too_large
from nnlab.data.other_libraries import decode_bytes, is_valid_text
from nnlab.errors import UserError, nearest
from nnlab.runtime.machine import available_memory

NPY_MAGIC = b"\x93NUMPY"
HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# The dtypes that torch computes with: no unsigned integers of 16 to 64 bits and no long doubles.
NATIVE_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64")


class NpzArrays:
    """The arrays of an open .npz file by name. Reading a faulty one raises `UserError`."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        self.path, self._archive = path, archive
        self._free_bytes, self._bytes_read = available_memory(), 0
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> np.ndarray:
        """The array, converted by `to_native`."""
        if name not in self:
            raise UserError(f"{self.path} has no array {name}{nearest(name, self._members or ['X', 'y'])}")
        info = self._members[name]
        self._refuse_other_member(name, info)
        with reporting_damage(self.path), self._archive.open(info) as member:
            shape, _, dtype = self._header(name, member, info.file_size)
            # Each array may fit into memory while all of them together do not.
            self._bytes_read += math.prod(shape) * dtype.itemsize
            refuse_too_large(self.path, self._bytes_read, self._free_bytes)
        with reporting_damage(self.path), self._archive.open(info) as member, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2
            array = npy.read_array(member, allow_pickle=False)
            if member.read(1):
                raise ValueError("there are more bytes after the array")
        return self._to_native(name, array)

    def blocks(self, name: str, size: int) -> Iterator[np.ndarray]:
        """The array, `size` items of its first axis at a time: it may be larger than memory, unless it is in
        Fortran's order."""
        info = self._members[name]
        self._refuse_other_member(name, info)
        with reporting_damage(self.path), self._archive.open(info) as member:
            shape, is_fortran, dtype = self._header(name, member, info.file_size)
            if not shape or is_fortran and len(shape) > 1:
                array = np.atleast_1d(self.read(name))
                yield from (array[start : start + size] for start in range(0, len(array), size))
                return
            of_item = math.prod(shape[1:]) * dtype.itemsize
            for start in range(0, shape[0], size):
                count = min(size, shape[0] - start)
                content = member.read(count * of_item)
                if len(content) < count * of_item:
                    raise ValueError("there are fewer bytes than the header announces")
                yield self._to_native(name, np.frombuffer(content, dtype).reshape(count, *shape[1:]))
            if member.read(1):
                raise ValueError("there are more bytes after the array")

    def _to_native(self, name: str, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind == "U" and not is_valid_text(array):
            raise UserError(f"{self.path}: {name} holds text with codes that are not characters")
        return to_native(array)

    def _refuse_other_member(self, name: str, info: zipfile.ZipInfo) -> None:
        with reporting_damage(self.path), self._archive.open(info) as member:
            if member.read(len(NPY_MAGIC)) != NPY_MAGIC:
                raise UserError(f"{self.path}: {name} is not an array of numpy: save it by numpy.savez")

    def _header(self, name: str, member, size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
        """Shape, whether it is in Fortran's order, dtype. Raises an error for Python objects, and where more
        is announced than there is."""
        version = npy.read_magic(member)
        # Version 3.0 differs from 2.0 only in the encoding of field names, which are not used here.
        read_header = HEADER_READERS.get(version, HEADER_READERS[2, 0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy on headers of Python 2, Python on wrong ones
            try:
                shape, is_fortran, dtype = read_header(member)
            except MemoryError as e:  # of Python's parser, for a header of ten thousand signs
                raise ValueError("the header is not one of numpy's") from e
        if dtype.hasobject:
            raise UserError(
                f"{self.path}: {name} holds Python objects, which could run code when read; "
                f"save numbers or text"
            )
        count = math.prod(shape) * dtype.itemsize
        if any(n < 0 for n in shape) or count > size:
            raise ValueError("the header announces more than there is")
        return shape, is_fortran, dtype


@contextmanager
def open_npz(path: Path):
    """Open an .npz file as `NpzArrays`; nothing in it is executed."""
    with read_errors_as_user_errors(path), open_regular(path) as content:
        if content.read(len(NPY_MAGIC)) == NPY_MAGIC:
            raise UserError(
                f"{path} is a single array, of numpy.save: write data=npy, with its targets in data.target, "
                f"or save X and y by numpy.savez"
            )
        content.seek(0)
        with reporting_damage(path):
            archive = zipfile.ZipFile(content)
        with archive:
            yield NpzArrays(path, archive)


@contextmanager
def reporting_damage(path: Path):
    """Turn every error that a damaged file causes into a `UserError` about it."""
    # zipfile, its four kinds of compression and numpy raise some twenty kinds of errors for a damaged file.
    try:
        yield
    except (UserError, MemoryError):
        raise
    except OSError as e:
        if e.errno is not None:
            raise
        raise _damage_error(path) from e
    except NotImplementedError as e:
        raise UserError(f"{path} is compressed in a way that Python does not know: {e}; save it again") from e
    except Exception as e:
        if "password" in str(e):
            raise UserError(f"{path} is encrypted: save it again without a password") from e
        raise _damage_error(path) from e


def _damage_error(path: Path) -> UserError:
    return UserError(f"{path} is not a file of numpy.savez, or it is damaged")


def to_native(array: np.ndarray) -> np.ndarray:
    """The array in C order and the machine's byte order, with bytes decoded to text.

    Numbers of a dtype that torch does not have become float64, except unsigned integers that float64 would
    round: these are unchanged.
    """
    if array.dtype.kind == "S":
        return decode_bytes(array)
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    if array.dtype.name == "uint64" and array.size and array.max() > LARGEST_EXACT_INTEGER:
        return array
    if array.dtype.kind in "uif" and array.dtype.name not in NATIVE_DTYPES:
        # A long double beyond float64 becomes infinite, and is refused later.
        with np.errstate(over="ignore"):
            return array.astype(np.float64)
    return array
