"""`Dataset`, the examples in memory, and `Data`, the base class of everything that can load them."""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from nnlab.allowed import LARGEST_COUNT, LARGEST_EXACT_INTEGER
from nnlab.arguments import typed
from nnlab.choices import short_repr
from nnlab.data.columns import Column
from nnlab.data.divisions import ByChance, ByGroup
from nnlab.data.encoders import wrong_raw_value
from nnlab.data.encoding import Encoding
from nnlab.data.example_arrays import EXAMPLE_ARRAYS, PARTS, refuse_wrong_arrays
from nnlab.data.identifiers import warn_of_identifiers
from nnlab.data.mapped import MappedTable
from nnlab.data.normalization import NORMALIZATION_NAMES, warn_if_sparse
from nnlab.data.spec import DataSpec
from nnlab.data.streamed_statistics import row_blocks
from nnlab.errors import UserError
from nnlab.hyperparameters import Component, static
from nnlab.streams import stream


@typed
@dataclass(frozen=True, repr=False)
class Dataset:
    """Examples in memory: x (N, d), any real dtype; y (N,) class indices, or (N, m) real targets.

    `spec` describes them: what a network, a loss and a report need to know. With `columns`, those of a
    table, x is raw: numbers, NaN where one is missing, and codes of categories (see `Column.raw`). Every fold
    makes the inputs of its networks from it, which have the names of `spec.features`.

    >>> Dataset(np.zeros((5, 2)), np.array([0, 1, 1, 0, 1]), classes=("left", "right"))
    Dataset(5 x 2, 2 classes)
    """

    x: np.ndarray | MappedTable
    y: np.ndarray
    classes: tuple | list = ()  # names of the classes; none for regression
    features: tuple | list = ()
    test: np.ndarray | None = None  # sorted indices of the data's own test set, if it has one
    noisy: np.ndarray | None = None  # (N,) labels with label noise, seen by training and validation
    labels: str = "text"  # the type of the labels before they became indices; see `DataSpec`
    target_names: tuple | list = ()  # the name of the label column, or of each target
    shape: tuple[int, ...] | list[int] | None = None  # of an example, such as (1, 28, 28); by default (d,)
    numbers: np.ndarray | None = None  # (N,) indices in the data that these examples were selected from
    weights: np.ndarray | None = None  # (N,) at least 0: factors on the examples' losses in training
    groups: np.ndarray | None = None  # (N,) whole numbers: no group is in two parts of a split
    times: np.ndarray | None = None  # (N,) the past trains, what follows validates, the last tests
    parts: np.ndarray | None = None  # (N,) the part of a split as given: 0 train, 1 validation, 2 test
    columns: tuple | list = ()  # of a table: the `Column`s that x was read from
    keys: np.ndarray | None = None  # (N,) texts by which a table identifies its examples: no input
    key_name: str = ""  # of that column

    def __repr__(self):
        return f"Dataset({self.spec.size})"

    @cached_property
    def spec(self) -> DataSpec:
        """The description. Raises `UserError` where names or shape do not fit the examples."""
        if self.x.ndim != 2:
            raise UserError(
                f"x has the shape {self.x.shape}, expected (examples, inputs); the shape of an image goes "
                f"into the data set's shape, such as (1, 28, 28)"
            )
        if self.classes:
            task, y_ndim, targets = "classification", 1, "(examples,) of classes"
        else:
            task, y_ndim, targets = "regression", 2, "(examples, outputs) of numbers"
        if self.y.ndim != y_ndim or len(self.x) != len(self.y):
            raise UserError(f"y has the shape {self.y.shape} beside x {self.x.shape}: expected {targets}")
        shape, features = self._inputs()
        return DataSpec(
            shape=shape,
            outputs=len(self.classes) or self.y.shape[1],
            task=task,
            classes=tuple(self.classes),
            labels=self.labels,
            features=features,
            targets=tuple(self.target_names),
            examples=len(self.x),
            columns=tuple(self.columns),
            positive=_rarer_class(self.y) if len(self.classes) == 2 else None,
        )

    def _inputs(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """(shape, names) of the inputs of a network."""
        width = self.x.shape[1]
        if not self.columns:
            shape = (width,) if self.shape is None else tuple(self.shape)
            if math.prod(shape) != width:
                raise UserError(f"shape = {list(shape)}, but an example has {width:,} numbers")
            return shape, tuple(self.features)
        if not all(isinstance(column, Column) for column in self.columns):
            raise UserError(f"columns = {short_repr(self.columns)}: expected a list of Column")
        if self.shape is not None or len(self.features):
            raise UserError("columns decide about shape and features: leave these out")
        encoding = Encoding(tuple(self.columns))
        if encoding.raw_width != width:
            raise UserError(f"an example has {width:,} numbers, and the columns make {encoding.raw_width:,}")
        if not encoding.width:
            raise UserError("none of the columns is an input")
        return (encoding.width,), encoding.names

    @property
    def number_inputs(self) -> np.ndarray:
        """(N, numbers) the inputs that are numbers, which come first; of a table NaN where one is missing."""
        positions = self.spec.encoding.number_positions
        if not self.columns or len(positions) == self.x.shape[1]:
            return self.x
        return self.x[:, list(positions)]

    def targets(self, noisy: bool = False) -> np.ndarray:
        """(N,) class indices or (N, m) real targets, optionally with label noise."""
        # Classes stay indices and become one-hot one batch at a time: a one-hot table of 100,000 examples
        # and as many classes would take 75 GiB.
        if noisy and self.noisy is not None:
            return self.noisy
        return self.y

    def fingerprint(self) -> str:
        """A hash of the arrays and class names, which distinguishes this data set from others."""
        digest = hashlib.blake2b(repr((self.x.shape, self.classes)).encode(), digest_size=8)
        for block in row_blocks(self.x):
            digest.update(np.ascontiguousarray(block).data)
        for array in (self.y, self.test, self.noisy):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        if self.columns:
            digest.update(repr(tuple(self.columns)).encode())
        for name in EXAMPLE_ARRAYS:
            if (array := getattr(self, name)) is not None:
                digest.update(name.encode() + np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def select(self, examples: np.ndarray) -> Dataset:
        """The subset of these examples (sorted indices)."""
        test = None if self.test is None else np.flatnonzero(np.isin(examples, self.test))
        noisy = None if self.noisy is None else self.noisy[examples]
        numbers = self.number(examples)
        arrays = {name: getattr(self, name) for name in (*EXAMPLE_ARRAYS, "keys")}
        selected = {name: array[examples] for name, array in arrays.items() if array is not None}
        x = self.x.select(examples) if isinstance(self.x, MappedTable) else self.x[examples]
        return replace(self, x=x, y=self.y[examples], test=test, noisy=noisy, numbers=numbers, **selected)

    def given(self, part: str) -> np.ndarray | None:
        """The sorted indices of the validation or test set that the data bring; None if they bring none."""
        if part == "test" and self.test is not None:
            return self.test
        indices = np.flatnonzero(self.parts == PARTS.index(part)) if self.parts is not None else ()
        return indices if len(indices) else None

    def number(self, examples: np.ndarray) -> np.ndarray:
        """What these examples are numbered in the data as they were read, from 0, before a selection."""
        return examples if self.numbers is None else self.numbers[examples]


def real_numbers(x) -> np.ndarray:
    """Inputs as targets: in memory, and of a type with signs and fractions that holds them exactly."""
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float32 if x.dtype.itemsize <= 2 else np.float64)


def _rarer_class(y: np.ndarray) -> int:
    """Of two classes, the one with fewer examples; of equally many, the second."""
    second = np.count_nonzero(y)
    return int(2 * second <= len(y))


@dataclass(frozen=True)
class Data(Component):
    """Base class of data sets: subclasses define `read`, and `load` applies these fields to its result.

    normalization  how inputs are normalised: robust, standard, minmax, maxabs, none
    limit          use only this many examples, in the same proportions of classes (and of the data's own
                   test set); of data with groups whole groups, about so many
    label_noise    the probability that a label is replaced by another class, all equally likely.
                   Training and validation see these labels; test labels are always the true ones
    reconstruct    the targets are the inputs themselves, normalised as these are: of an autoencoder
    seed           seeds every random draw: limit, label noise, the examples of synthetic data
    """

    group: ClassVar[str] = "data"
    drawn: ClassVar[bool] = False  # whether `seed` draws the examples themselves
    rare = 1  # a category with fewer training examples is a rare one; tables have a field of this name
    _: KW_ONLY
    normalization: str = static("robust", choices=NORMALIZATION_NAMES)
    limit: int | None = static(None, low=1, high=LARGEST_COUNT)
    label_noise: float = static(0.0, low=0, high=1)
    reconstruct: bool = static(False)
    seed: int = static(0, low=0, high=LARGEST_EXACT_INTEGER)

    @property
    def target_scaling(self) -> str:
        """How targets that are numbers are normalised."""
        return self.normalization if self.reconstruct else getattr(self, "target_normalization", "none")

    def statistics_groups(self, spec: DataSpec) -> int | None:
        """How many runs of inputs, such as the pixels of a channel, share a mean and a scale; None: no two
        inputs do. See `normalization_per`, which sources of images have."""
        per_channel = getattr(self, "normalization_per", "input") == "channel"
        return spec.shape[0] if per_channel and len(spec.shape) > 1 else None

    def for_images(self) -> Data:
        """The same data for a model of images, in which a channel means the same at every place: all its
        pixels share a mean and a scale, unless the user says otherwise."""
        if getattr(self, "normalization_per", None) != "auto":
            return self
        data = copy.copy(self)  # without reading arrays again, as `replace` would
        object.__setattr__(data, "normalization_per", "channel")
        return data

    def load(self) -> Dataset:
        """The data set; raises `UserError` where it cannot be read."""
        dataset = self.read()
        try:
            _ = dataset.spec
            refuse_wrong_arrays(dataset)
            if dataset.columns and (wrong := wrong_raw_value(dataset.x, dataset.spec.encoding)):
                raise UserError("x[{}]{}".format(*wrong))
        except UserError as e:
            raise UserError(f"data '{self.name}': {e}") from e
        warn_of_identifiers(dataset)
        dataset = self._add_label_noise(self._reconstructed(self._limit_examples(dataset)))
        warn_if_sparse(dataset.number_inputs, self.normalization)
        return dataset

    def read(self) -> Dataset:
        """All examples, before limit, label noise and normalisation."""
        raise NotImplementedError

    def _limit_examples(self, dataset: Dataset) -> Dataset:
        n = len(dataset.x)
        if self.limit is None or self.limit >= n:
            return dataset
        # A stratum is a class, within the data's own test set or outside of it, of one part that they give.
        strata = 2 * dataset.y if dataset.classes else np.zeros(n, np.int64)
        if dataset.test is not None:
            strata = strata + np.isin(np.arange(n), dataset.test)
        if dataset.parts is not None:
            strata = len(PARTS) * strata + dataset.parts
        division = ByChance(strata) if dataset.groups is None else ByGroup(strata, dataset.groups)
        if len(np.unique(division.units(np.arange(n)))) == 1:
            raise UserError(
                f"data.limit = {self.limit}: all {n:,} examples are of one {division.unit}, and "
                f"{division.whole}; take null for all"
            )
        _, selected = division.hold_out(stream(self.seed, "limit"), np.arange(n), self.limit)
        limited = dataset.select(selected)
        self._refuse_low_limit(dataset, limited)
        return limited

    def _refuse_low_limit(self, dataset: Dataset, limited: Dataset) -> None:
        """Raise `UserError` where the limited data lack classes, or a set that the data bring."""
        n, classes = len(dataset.x), len(dataset.classes)
        if self.limit < classes:
            raise UserError(
                f"data.limit = {self.limit}: too few for {classes} classes; take {2 * classes} or more of "
                f"the {n:,} examples, or null for all"
            )
        given = {part: limited.given(part) for part in PARTS[1:] if dataset.given(part) is not None}
        held_back = sum(len(indices) for indices in given.values() if indices is not None)
        lost = [part for part, indices in given.items() if indices is None]
        if lost or given and held_back == len(limited.x):
            raise UserError(
                f"data.limit = {self.limit}: too few for a training set and a {(lost or ['test'])[0]} set; "
                f"take more of the {n}"
            )

    def _reconstructed(self, dataset: Dataset) -> Dataset:
        """With the inputs as targets, if so set."""
        if not self.reconstruct:
            return dataset
        if dataset.columns:
            raise UserError(
                f"data.reconstruct = true: data '{self.name}' has columns, of which each fold makes inputs "
                f"of its own; take data=csv, npz or another whose inputs are numbers"
            )
        return replace(
            dataset, y=real_numbers(dataset.x), classes=(), labels="text", noisy=None,
            target_names=tuple(dataset.features),
        )  # fmt: skip

    def _add_label_noise(self, dataset: Dataset) -> Dataset:
        if not self.label_noise:
            return dataset
        if not dataset.classes:
            raise UserError(
                f"data.label_noise = {self.label_noise:g}: the targets of data '{self.name}' are numbers, "
                f"and only a class can be replaced by another; leave it at 0"
            )
        rng, n, m = stream(self.seed, "label_noise"), len(dataset.y), len(dataset.classes)
        replaced = rng.random(n) < self.label_noise
        other_classes = (dataset.y + rng.integers(1, m, size=n)) % m
        return replace(dataset, noisy=np.where(replaced, other_classes, dataset.y))
