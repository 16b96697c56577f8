"""`Idx`: images and labels in the IDX format of MNIST, Fashion-MNIST and KMNIST."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import (
    data_path,
    missing_file_error,
    open_decompressed,
    other_reader,
    read_up_to,
    refuse_too_large,
)
from nnlab.data.image_shapes import NORMALIZED_PER
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.runtime.machine import available_memory

IMAGE_FILE, LABEL_FILE = "images-idx3-ubyte", "labels-idx1-ubyte"
# How far to read past the end of the array in a file that is too long, to report its size.
EXCESS_BYTES_COUNTED = 2**20
EXPECTED_FOLDER = "one with the four files of MNIST's format"


@dataclass(frozen=True)
class Idx(Data):
    """A folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the same for t10k, .gz or not.

    Grey images of bytes, 0 to 255. The t10k files are the test set by convention, so no split draws one.
    MNIST: LeCun, Cortes and Burges 1998; Fashion-MNIST: Xiao, Rasul and Vollgraf 2017; KMNIST: Clanuwat
    et al. 2018.
    """

    name: ClassVar[str] = "idx"
    needs: ClassVar[tuple[str, ...]] = ("path",)
    path: str | None = static(None)
    normalization_per: str = static("auto", choices=NORMALIZED_PER)

    def read(self):
        folder = data_path(self.path, f"FOLDER, {EXPECTED_FOLDER}")
        (x, y), (test_x, test_y) = (read_examples(folder, part) for part in ("train", "t10k"))
        if x.shape[1:] != test_x.shape[1:]:
            sizes = " and ".join("x".join(map(str, images.shape[1:])) for images in (x, test_x))
            raise UserError(f"{folder}: the train and t10k images differ in size, {sizes} pixels")
        labels, y = np.unique(np.concatenate([y, test_y]), return_inverse=True)
        if len(labels) < 2:
            raise UserError(f"{folder}: all labels are '{labels[0]}': there is nothing to classify")
        rows, columns = x.shape[1:]
        pixels = tuple(f"pixel_{row}_{column}" for row in range(rows) for column in range(columns))
        test = np.arange(len(x), len(y))
        x = np.concatenate([x, test_x]).reshape(len(y), -1)
        classes = tuple(map(str, labels.tolist()))
        return Dataset(x, y, classes, pixels, test, labels="integer", shape=(1, rows, columns))


def read_examples(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, rows, columns) and labels (N,) of `part`, both bytes."""
    images, labels = (_find_file(folder, f"{part}-{name}") for name in (IMAGE_FILE, LABEL_FILE))
    x, y = read_idx(images, 3), read_idx(labels, 1)
    if len(x) != len(y):
        raise UserError(f"{images} has {len(x)} images, but {labels} has {len(y)} labels")
    if not x.size:
        raise UserError(f"{images} has no examples: its shape is {'x'.join(map(str, x.shape))}")
    return x, y


def _find_file(folder: Path, name: str) -> Path:
    """The path of that file in the folder, with or without .gz."""
    for file in (folder / name, folder / f"{name}.gz"):
        if os.path.exists(file):
            return file
    if os.path.isfile(folder):
        raise UserError(f"data.path = '{folder}' is a file: write data.path=FOLDER, {EXPECTED_FOLDER}")
    if other := other_reader(folder, Idx.name):
        raise UserError(f"there is no file {folder / name}{other}")
    raise missing_file_error(folder / name)


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read the array of bytes in an IDX file.

    The format: 0, 0, 8 (for bytes), the number of dimensions, each dimension in four bytes, big-endian; then
    the bytes of the array, row by row.
    """
    with open_decompressed(path) as file:
        shape = _read_shape(path, file, dimensions)
        # The header may announce any number of bytes: look at the memory before reading them.
        announced = math.prod(shape)
        refuse_too_large(path, announced, available_memory())
        content = read_up_to(file, announced + 1)
        _refuse_other_length(path, file, shape, len(content))
    return np.frombuffer(content, np.uint8).reshape(shape)


def idx_blocks(path: Path, dimensions: int, size: int) -> Iterator[np.ndarray]:
    """The array in an IDX file, `size` items of its first axis at a time: it may be larger than memory."""
    with open_decompressed(path) as file:
        shape = _read_shape(path, file, dimensions)
        item, seen = math.prod(shape[1:]), 0
        for start in range(0, shape[0], size):
            count = min(size, shape[0] - start)
            content = read_up_to(file, count * item)
            seen += len(content)
            if len(content) < count * item:
                _refuse_other_length(path, file, shape, seen)
            yield np.frombuffer(content, np.uint8).reshape(count, *shape[1:])
        _refuse_other_length(path, file, shape, seen + len(file.read(1)))


def _read_shape(path: Path, file, dimensions: int) -> tuple[int, ...]:
    expected = bytes([0, 0, 8, dimensions])
    header_size = 4 + 4 * dimensions
    header = file.read(header_size)
    if header[:4] != expected:
        raise UserError(
            f"{path} is not an IDX file of {dimensions}-dimensional bytes: it begins with "
            f"{_hex(header[:4])}, expected {_hex(expected)}"
        )
    if len(header) < header_size:
        raise UserError(f"{path} has {len(header)} bytes, too few for its header: copy it again")
    return struct.unpack(f">{dimensions}I", header[4:])


def _refuse_other_length(path: Path, file, shape: tuple[int, ...], seen: int) -> None:
    """Raise `UserError` unless the bytes that were seen, to the end of the file, are what is announced."""
    header_size, announced = 4 + 4 * len(shape), math.prod(shape)
    if seen != announced:
        excess = len(file.read(EXCESS_BYTES_COUNTED))
        more = "more than " * (excess == EXCESS_BYTES_COUNTED)
        raise UserError(
            f"{path} has {more}{header_size + seen + excess:,} bytes, but its header announces "
            f"{header_size + announced:,} ({'x'.join(map(str, shape))}): copy it again"
        )


def _hex(data: bytes) -> str:
    return data.hex(" ") or "nothing"
