"""Images in the IDX format of MNIST, Fashion-MNIST and KMNIST."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import missing, opened, path_of, refuse_what_fills_memory
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.runtime.machine import available

IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
BEYOND = 2**20  # bytes behind the array that are counted
WHAT = "one with the four files of MNIST's format"


@dataclass(frozen=True)
class Idx(Data):
    """A folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the same of t10k, .gz or not.

    Grey images of bytes (0 to 255). The t10k files are the test set by convention, so no split draws one.
    MNIST: LeCun, Cortes and Burges 1998; Fashion-MNIST: Xiao, Rasul and Vollgraf 2017; KMNIST: Clanuwat
    et al. 2018.
    """

    name: ClassVar[str] = "idx"
    needs: ClassVar[tuple[str, ...]] = ("path",)
    path: str | None = static(None)

    def read(self):
        folder = path_of(self.path, f"FOLDER, {WHAT}")
        (x, y), (test_x, test_y) = (examples(folder, part) for part in ("train", "t10k"))
        if x.shape[1:] != test_x.shape[1:]:
            sizes = " and ".join("x".join(map(str, images.shape[1:])) for images in (x, test_x))
            raise UserError(f"{folder}: the train and t10k images differ in size, {sizes} pixels")
        labels, y = np.unique(np.concatenate([y, test_y]), return_inverse=True)
        if len(labels) < 2:
            raise UserError(f"{folder}: all labels are '{labels[0]}': there is nothing to tell apart")
        rows, columns = x.shape[1:]
        pixels = tuple(f"pixel_{row}_{column}" for row in range(rows) for column in range(columns))
        test = np.arange(len(x), len(y))
        x = np.concatenate([x, test_x]).reshape(len(y), -1)
        classes = tuple(map(str, labels.tolist()))
        return Dataset(x, y, classes, pixels, test, labels="integer")


def examples(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, rows, columns) and labels (N,) of `part`, both bytes."""
    images, labels = (found(folder, f"{part}-{name}") for name in (IMAGES, LABELS))
    x, y = read_idx(images, 3), read_idx(labels, 1)
    if len(x) != len(y):
        raise UserError(f"{images} has {len(x)} images, but {labels} has {len(y)} labels")
    if not x.size:
        raise UserError(f"{images} has no examples: its shape is {'x'.join(map(str, x.shape))}")
    return x, y


def found(folder: Path, name: str) -> Path:
    """The file of that name in the folder, or the same with .gz."""
    for file in (folder / name, folder / f"{name}.gz"):
        if os.path.exists(file):
            return file
    if os.path.isfile(folder):
        raise UserError(f"data.path = '{folder}' is a file: write data.path=FOLDER, {WHAT}")
    raise missing(folder / name)


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of bytes in an IDX file: 0, 0, 8 (for bytes), the number of dimensions, each dimension
    as four bytes, the largest first; then the bytes of the array, row by row."""
    expected, start = bytes([0, 0, 8, dimensions]), 4 + 4 * dimensions
    with opened(path) as file:
        begin = file.read(start)
        if begin[:4] != expected:
            raise UserError(
                f"{path} is no IDX file of {dimensions}-dimensional bytes: it begins with "
                f"{_hex(begin[:4])}, expected {_hex(expected)}"
            )
        if len(begin) < start:
            raise UserError(f"{path} has {len(begin)} bytes, too few for its header: copy it again")
        shape = struct.unpack(f">{dimensions}I", begin[4:])
        announced = math.prod(shape)
        refuse_what_fills_memory(path, announced, available())
        content = file.read(announced + 1)
        if len(content) != announced:
            beyond = len(file.read(BEYOND))
            more = "more than " * (beyond == BEYOND)
            raise UserError(
                f"{path} has {more}{start + len(content) + beyond:,} bytes, but its header announces "
                f"{start + announced:,} ({'x'.join(map(str, shape))}): copy it again"
            )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _hex(some: bytes) -> str:
    return some.hex(" ") or "nothing"
