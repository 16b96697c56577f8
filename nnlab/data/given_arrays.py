"""Weights, groups and times of examples as users give them, for a `Dataset`."""

from __future__ import annotations

import numpy as np

from nnlab.data.other_libraries import TEXT_DTYPE_KINDS, to_numpy
from nnlab.errors import UserError

GIVEN_ARRAYS = ("weights", "groups", "times")
EXPECTED_TIME = "a number or a date"


def read_example_arrays(
    weights, groups, times, count: int, test_count: int = 0, prefix: str = ""
) -> dict[str, np.ndarray]:
    """Those that are given of `weights`, `groups` and `times` (count,), as a `Dataset` has them.

    Of the examples of a test set, which follow, they say nothing: each of these is a group by itself. Groups
    may be text or whole numbers, times numbers or dates. Raises `UserError`, where `prefix` stands before a
    name.
    """
    arrays = {}
    if weights is not None:
        weights = _one_for_each(*to_numpy(weights, f"{prefix}weights"), f"{prefix}weights", count)
        arrays["weights"] = _extended(weights, np.ones(test_count))
    if groups is not None:
        groups = _one_for_each(*to_numpy(groups, f"{prefix}groups"), f"{prefix}groups", count, text=True)
        numbers = np.unique(groups, return_inverse=True)[1]
        arrays["groups"] = _extended(numbers, -1 - np.arange(test_count))
    if times is not None:
        values, names = _read_times(times, f"{prefix}times")
        times = _one_for_each(values, names, f"{prefix}times", count).astype(np.float64)
        arrays["times"] = _extended(times, np.full(test_count, times.max()))
    return arrays


def _read_times(times, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Times as numbers: dates as seconds since 1970."""
    dates = np.asarray(times)
    if dates.dtype.kind == "O" and dates.size and hasattr(dates.flat[0], "isoformat"):
        dates = dates.astype("datetime64[us]")
    if dates.dtype.kind != "M":
        return to_numpy(times, name, EXPECTED_TIME)
    for i in np.flatnonzero(np.isnat(dates))[:1]:
        raise UserError(f"{name}[{i}] is missing; expected {EXPECTED_TIME}")
    return dates.astype("datetime64[us]").astype(np.int64) / 1e6, ()


def _one_for_each(values: np.ndarray, names, name: str, count: int, text: bool = False) -> np.ndarray:
    """(count,) values. Raises `UserError` for another shape, and for text where that is not allowed."""
    if values.shape == (count, 1):
        values = values[:, 0]
    if values.shape != (count,):
        raise UserError(
            f"{name} has the shape {values.shape}, expected ({count},): one for each example of x"
        )
    if values.dtype.kind in TEXT_DTYPE_KINDS and not text:
        raise UserError(f"{name} is text, {str(values[0])!r}, expected numbers")
    return values


def _extended(values: np.ndarray, of_tests: np.ndarray) -> np.ndarray:
    """The values, and those of the test examples after them; copies that nobody changes."""
    values = np.concatenate([values, of_tests.astype(values.dtype)]) if len(of_tests) else values.copy()
    values.flags.writeable = False
    return values
