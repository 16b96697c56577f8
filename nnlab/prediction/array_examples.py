"""New examples that are arrays: in a file of numpy.savez, in IDX files, or a data set of nnlab's own."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.data.files import missing_file_error
from nnlab.data.idx import IMAGE_FILE, LABEL_FILE, idx_blocks
from nnlab.data.labels import NUMERIC_DTYPE_KINDS
from nnlab.data.mapped import mapped_array
from nnlab.data.npz_members import NpzArrays, to_native
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, nearest, shortened
from nnlab.prediction.blocks import Block, block_size

INPUT_NAMES, TARGET_NAMES = (
    ("x", "x_test", "x_train"),
    ("y", "y_test", "y_train"),
)  # in capital or small letters
TEST_PART = "t10k"  # of the IDX files in a folder, the one whose examples are new


class ArrayExamples:
    """Examples as blocks of arrays: `inputs` of x, and `targets` of y where they are asked for."""

    identifier, target = None, ""

    def __init__(
        self, name: str, spec: DataSpec, inputs: Iterator[np.ndarray], targets: Iterator[np.ndarray] | None
    ):
        self.name, self.spec = name, spec
        self._inputs, self._targets = inputs, targets

    def where(self, line: int, column: str = "") -> str:
        return f"{self.name}, example {line}" + f", input '{column}'" * bool(column)

    def blocks(self) -> Iterator[Block]:
        start = 0
        targets = iter(self._targets) if self._targets is not None else None
        pairs = (
            zip_longest(self._inputs, targets) if targets is not None else ((x, None) for x in self._inputs)
        )
        for x, y in pairs:
            if x is None or targets is not None and (y is None or len(x) != len(y)):
                raise UserError(f"{self.name} has not as many labels as examples")
            self._refuse_invalid(x, start)
            yield Block(x, y, None, range(start, start + len(x)))
            start += len(x)
        if not start:
            raise UserError(f"{self.name} has no examples")

    def _refuse_invalid(self, x: np.ndarray, start: int) -> None:
        """Raise `UserError` unless these are finite numbers, as many in an example as the run has inputs."""
        if x.dtype.kind not in NUMERIC_DTYPE_KINDS:
            raise UserError(f"{self.name}: its examples have the dtype {x.dtype}, expected real numbers")
        count = math.prod(x.shape[1:])
        if x.ndim < 2 or count != math.prod(self.spec.raw_shape):
            shape, wanted = (" x ".join(map(str, s)) for s in (x.shape[1:] or (1,), self.spec.raw_shape))
            raise UserError(f"{self.name} has {shape} numbers per example; the run was trained on {wanted}")
        if x.dtype.kind == "f" and not self.spec.columns:  # of which numbers may be missing
            for index in np.argwhere(~np.isfinite(x))[:1]:
                example, *rest = index.tolist()
                at = ", ".join(map(str, (start + example, *rest)))
                raise UserError(f"{self.name}[{at}] is {x[tuple(index)]:g}, expected a finite number")


def npz_examples(path: Path, arrays: NpzArrays, spec: DataSpec, labelled: bool) -> ArrayExamples:
    """The examples of a file of numpy.savez: its array X, or else its only one; labels are in y."""
    size = block_size(spec.inputs)
    inputs = _array_name(path, arrays.names, INPUT_NAMES, allow_other_name=not labelled)
    targets = None
    if labelled:
        targets = arrays.blocks(_array_name(path, arrays.names, _target_names_for(inputs), False), size)
    return ArrayExamples(f"{path}: {inputs}", spec, arrays.blocks(inputs, size), targets)


def npy_examples(path: Path, spec: DataSpec, labelled: bool, target: str | int | None) -> ArrayExamples:
    """The examples of a file of numpy.save, of any size; labels are in the file `target`."""
    if labelled and not isinstance(target, str):
        raise UserError(f"{path} has no labels: write target=FILE.npy, the file of its labels")
    size = block_size(spec.inputs)
    inputs = _npy_blocks(mapped_array(str(path), "data"), size)
    targets = _npy_blocks(mapped_array(target, "target"), size) if labelled else None
    return ArrayExamples(str(path), spec, inputs, targets)


def _npy_blocks(array: np.ndarray, size: int) -> Iterator[np.ndarray]:
    array = np.atleast_1d(array)
    return (to_native(array[start : start + size]) for start in range(0, len(array), size))


def _target_names_for(inputs: str) -> tuple[str, ...]:
    """The name of the targets of these inputs: y_test of X_test."""
    return (TARGET_NAMES[INPUT_NAMES.index(inputs.lower())],)


def _array_name(path: Path, names: list[str], wanted: tuple[str, ...], allow_other_name: bool) -> str:
    by_lower_case = {name.lower(): name for name in names}
    for name in wanted:
        if name in by_lower_case:
            return by_lower_case[name]
    if allow_other_name and len(names) == 1:
        return names[0]
    shown = wanted[0].upper() if wanted[0] == "x" else wanted[0]
    raise UserError(f"{path} has no array {shown}{nearest(shown, names or [shown])}")


def idx_examples(path: Path, spec: DataSpec, labelled: bool) -> ArrayExamples:
    """The images of an IDX file, or of the t10k file in a folder; labels are in the file beside it."""
    images = _test_images(path) if path.is_dir() else path
    size, targets = block_size(spec.inputs), None
    if labelled:
        name = images.name.replace(IMAGE_FILE, LABEL_FILE)
        if name == images.name:
            raise UserError(f"{images}: expected a name with {IMAGE_FILE}, beside which are the labels")
        name = name.removesuffix(".gz")
        targets = idx_blocks(_with_or_without_gz(images.with_name(name)), 1, size)
    return ArrayExamples(str(images), spec, idx_blocks(images, 3, size), targets)


def _test_images(folder: Path) -> Path:
    name = f"{TEST_PART}-{IMAGE_FILE}"
    if not any((folder / f"{name}{ending}").exists() for ending in ("", ".gz")):
        raise UserError(
            f"'{shortened(str(folder))}' is a folder without {name}: expected a file of examples, or a "
            f"folder with the files of IDX"
        )
    return _with_or_without_gz(folder / name)


def is_idx(path: Path) -> bool:
    """Whether the name of the file is that of an IDX file of images."""
    return re.search(r"idx3-ubyte(\.gz)?$", path.name) is not None


def _with_or_without_gz(path: Path) -> Path:
    for file in (path, path.with_name(f"{path.name}.gz")):
        if os.path.exists(file):
            return file
    raise missing_file_error(path)


def dataset_examples(name: str, dataset: Dataset, spec: DataSpec, labelled: bool) -> ArrayExamples:
    """All examples of a data set of nnlab's own."""
    if tuple(dataset.columns) != spec.columns:
        raise UserError(f"data '{name}' has other columns than the run")
    features = tuple(dataset.features)
    if features and spec.features and features != spec.features:
        raise UserError(f"data '{name}' has other inputs than the run: '{features[0]}', ...")
    size = block_size(spec.inputs)

    def split_into_blocks(array):
        return (array[start : start + size] for start in range(0, len(array), size))

    y = np.array([dataset.spec.label(c) for c in range(len(dataset.classes))])[dataset.y] if (
        dataset.classes) else dataset.y  # fmt: skip
    return ArrayExamples(
        f"data '{name}'", spec, split_into_blocks(dataset.x), split_into_blocks(y) if labelled else None
    )
