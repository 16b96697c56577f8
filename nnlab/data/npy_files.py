"""`Npy`: data sets in .npy files, as written by `numpy.save`, which may be larger than memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data import labels
from nnlab.data.dataset import Data, Dataset
from nnlab.data.files import refuse_too_large
from nnlab.data.image_shapes import CHANNEL_AXES, NORMALIZED_PER, example_axes
from nnlab.data.mapped import MappedTable, mapped_array
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.data.npz_members import to_native
from nnlab.data.numpy_files import advise_test_only_class, numpy_targets, refuse_non_finite
from nnlab.data.streamed_statistics import FEWEST_SAMPLED, row_blocks
from nnlab.errors import UserError
from nnlab.hyperparameters import static
from nnlab.runtime.machine import available_memory

PATHS = ("path", "target", "test_path", "test_target")


@dataclass(frozen=True)
class Npy(Data):
    """Two files of `numpy.save`, and perhaps two more, the test set: no split draws it then.

        path      (N, d), or (N, rows, columns[, channels]) of images
        channels  which axis of an example has the channels of an image
        target    (N,) text or numbers, or (N, m) numbers
        task      as of data=npz

    The inputs are read where they are needed: where a copy of them for training would take more than a
    quarter of the free memory, each chunk of steps is gathered from the file. Results have the same bits.
    """

    name: ClassVar[str] = "npy"
    needs: ClassVar[tuple[str, ...]] = ("path", "target")
    path: str | None = static(None)
    target: str | None = static(None)
    test_path: str | None = static(None)
    test_target: str | None = static(None)
    channels: str = static("auto", choices=CHANNEL_AXES)
    task: str = static("auto", choices=labels.TASK_CHOICES)
    normalization: str = static("standard", choices=NORMALIZATION_NAMES)
    normalization_per: str = static("channel", choices=NORMALIZED_PER)
    target_normalization: str = static("standard", choices=NORMALIZATION_NAMES)

    def from_anywhere(self) -> Npy:
        """The same data, whatever the current folder is."""
        paths = {name: getattr(self, name) for name in PATHS if getattr(self, name)}
        return replace(
            self, **{name: str(Path(path).expanduser().absolute()) for name, path in paths.items()}
        )

    def statistics_groups(self, spec):
        # By passes over the file, also where each input has statistics of its own.
        return super().statistics_groups(spec) or spec.inputs

    def read(self):
        arrays, targets = self._pair("path", "target")
        x, y = [arrays], [targets]
        if self.test_path or self.test_target:
            test_x, test_y = self._pair("test_path", "test_target")
            self._refuse_mismatch(arrays, test_x)
            x, y = [arrays, test_x], [targets, test_y]
        axes = example_axes(arrays.shape[1:], self.channels, f"{self.path} has the shape {arrays.shape}")
        table = MappedTable(x, axes)
        for array, name in zip(x, (self.path, self.test_path), strict=False):
            _refuse_non_finite_blocks(MappedTable([array], axes), str(name))
        y, classes, kind = numpy_targets(np.concatenate(y), self.task, str(self.target))
        test = np.arange(len(arrays), len(table)) if len(x) > 1 else None
        if classes and test is not None:
            advise_test_only_class(Path(str(self.target)), y, classes, test)
        return Dataset(table, y, classes, axes.features, test, labels=kind, shape=axes.shape)

    def _pair(self, path: str, target: str) -> tuple[np.ndarray, np.ndarray]:
        """The inputs, mapped, and the targets, both (N, ...)."""
        x, y = self._mapped(path), self._mapped(target)
        if x.ndim < 2 or not x.size:
            raise UserError(f"{getattr(self, path)} has the shape {x.shape}, expected (examples, inputs)")
        if x.dtype.kind not in labels.NUMERIC_DTYPE_KINDS:
            raise UserError(f"{getattr(self, path)} has the dtype {x.dtype}, expected real numbers")
        # The inputs stay in their file, but for the sample that a first look takes.
        sampled = min(len(x), FEWEST_SAMPLED) * x[:1].nbytes
        refuse_too_large(Path(getattr(self, path)), sampled, available_memory())
        if y.ndim not in (1, 2) or len(y) != len(x) or not y.size:
            expected = f"({len(x)},) or ({len(x)}, outputs), as {getattr(self, path)} has {len(x)} examples"
            raise UserError(f"{getattr(self, target)} has the shape {y.shape}, expected {expected}")
        refuse_too_large(Path(getattr(self, target)), y.nbytes, available_memory())
        y = to_native(np.array(y))
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if y.dtype.kind != "U" or y.ndim == 2 or self.task == "regression":
            refuse_non_finite(Path(getattr(self, target)), "its array", y)
        return x, y

    def _mapped(self, key: str) -> np.ndarray:
        value = getattr(self, key)
        if not value:
            write = f"write data.{key}=FILE.npy, one of numpy.save"
            raise UserError(f"data.{key} = {'null' if value is None else repr(value)}: {write}")
        return mapped_array(value, f"data.{key}")

    def _refuse_mismatch(self, x: np.ndarray, test_x: np.ndarray) -> None:
        for what in ("shape", "dtype"):
            first, second = (array.shape[1:] if what == "shape" else array.dtype for array in (x, test_x))
            if first != second:
                raise UserError(
                    f"{self.test_path} has examples of the {what} {second}, and {self.path} of {first}"
                )


def _refuse_non_finite_blocks(x: MappedTable, name: str) -> None:
    if x.dtype.kind != "f":
        return
    first = 0
    for block in row_blocks(x):
        for example, _ in np.argwhere(~np.isfinite(block))[:1]:
            raise UserError(f"{name}: example {first + example} has a number that is not finite")
        first += len(block)
