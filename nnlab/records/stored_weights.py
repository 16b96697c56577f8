"""Reads the weights, normalisers and calibrations of a run folder, lazily row by row."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from nnlab.errors import UserError
from nnlab.records.run_folder import CALIBRATION_PREFIX, NORMALIZER_PREFIX
from nnlab.runtime.machine import in_bytes, refuse_too_large

BYTES_PER_ELEMENT = {"F32": 4, "F64": 8}  # by safetensors' names of the dtypes that a run may have
KEY_PATTERN = re.compile(r"rows/(0|[1-9][0-9]{0,9})/(.+)", re.DOTALL)


class StoredWeights(Mapping):
    """Row -> name -> array; each row is read on access."""

    def __init__(self, names: dict[int, dict[str, str]], read: Callable):
        self._names, self._read = names, read  # row -> name -> key in the file

    def __getitem__(self, row: int) -> dict[str, np.ndarray]:
        return self._read(row, self._names[row])

    def __iter__(self) -> Iterator[int]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def read_tensors(file: Path) -> dict[str, StoredWeights]:
    """The weights (""), normalisers and calibrations of every row, by their prefix. Raises `UserError` for
    any other file."""
    from safetensors import SafetensorError, safe_open  # imported late: curves do not need it

    read_errors = (SafetensorError, OSError, ValueError, MemoryError)
    try:
        tensors = safe_open(file, framework="np")
        keys = list(tensors.keys())
    except read_errors as e:
        raise UserError(f"'{file}' does not hold the weights of a run: {e}") from e
    keys_of_kind: dict[str, dict] = {"": {}, NORMALIZER_PREFIX: {}, CALIBRATION_PREFIX: {}}
    for key in keys:
        if not (match := KEY_PATTERN.fullmatch(key)):
            raise UserError(f"'{file}': expected rows/<row>/<name>; got the name {key!r:.100}")
        row, name = int(match[1]), match[2]
        for names in keys_of_kind.values():  # so that all have an entry for every row
            names.setdefault(row, {})
        kind = next((prefix for prefix in keys_of_kind if prefix and name.startswith(prefix)), "")
        keys_of_kind[kind][row][name.removeprefix(kind)] = key

    def read(row: int, names: dict[str, str]) -> dict[str, np.ndarray]:
        _refuse_too_large(file, row, [tensors.get_slice(key) for key in names.values()])
        try:
            return {name: tensors.get_tensor(key) for name, key in names.items()}
        except read_errors as e:
            raise UserError(f"'{file}': the weights of row {row} cannot be read: {e}") from e

    return {kind: StoredWeights(dict(sorted(names.items())), read) for kind, names in keys_of_kind.items()}


def _refuse_too_large(file: Path, row: int, tensors: list) -> None:
    for kind in {tensor.get_dtype() for tensor in tensors} - {*BYTES_PER_ELEMENT}:
        raise UserError(
            f"'{file}': row {row} has numbers of the type {kind}; allowed are {', '.join(BYTES_PER_ELEMENT)}"
        )
    needed = sum(BYTES_PER_ELEMENT[tensor.get_dtype()] * math.prod(tensor.get_shape()) for tensor in tensors)
    refuse_too_large(f"'{file}': row {row} has {in_bytes(needed)}", needed)
