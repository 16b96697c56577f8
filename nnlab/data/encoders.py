"""What is fitted of inputs on a fold's training examples, and applied to any others: one dict of arrays.

Fitted are, as arrays of a row's normaliser:

    fill         (numbers,) what a missing number becomes: the median of the training examples
    slots        (codes of all categories,) the slot of each code of a category, one column after another
    seen         (flags and n-grams,) 0 for one that is 0 in all training examples, else 1. It is then 0 in
                 others too, since the weights behind it have learnt nothing
    mean, scale  (d,) of the filled numbers (see `normalization`); of other inputs 0 and 1

Nothing of it knows a validation or a test example. Without columns, examples are numbers of which none is
missing, and only mean and scale are fitted.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

from nnlab.data.columns import FIRST_CODE, MISSING_CODE, Column
from nnlab.data.encoding import Encoding
from nnlab.data.normalization import center_of, column_blocks, normalize_inputs, statistics
from nnlab.data.streamed_statistics import input_statistics
from nnlab.errors import shortened


def fit_inputs(
    x: np.ndarray,
    encoding: Encoding,
    method: str,
    examples: np.ndarray | None = None,
    rare: int = 1,
    groups: int | None = None,
) -> dict[str, np.ndarray]:
    """Mean and scale, and with columns fill, slots and seen, of raw x (N, d_raw) or of its rows `examples`.

    rare    a category with fewer of these examples shares the slot of the rare ones
    groups  how many runs of inputs share a mean and a scale: see `Data.statistics_groups`
    """
    if not encoding.columns:
        mean, scale = input_statistics(x, method, groups, examples)
        return {"mean": mean, "scale": scale}
    mean, scale, fill = np.zeros(encoding.width), np.ones(encoding.width), np.zeros(encoding.numbers)
    for columns, block in column_blocks(x, examples, encoding.number_positions):
        fill[columns] = medians(block)
        mean[columns], scale[columns] = statistics(_filled(block, fill[columns]), method)
    slots = [
        _fit_slots(column, _column(x, position, examples), rare)
        for column, position in zip(encoding.code_columns, encoding.code_positions, strict=True)
    ]
    slots = np.concatenate([np.zeros(0), *slots])  # of floats, as all arrays of a normaliser
    is_missing = [np.isnan(_column(x, position, examples)).any() for position in encoding.flag_positions]
    is_present = [_column(x, position, examples).any() for position in encoding.plain_positions]
    seen = np.array([*is_missing, *is_present], float)
    return {"fill": fill, "slots": slots, "seen": seen, "mean": mean, "scale": scale}


def medians(x: np.ndarray) -> np.ndarray:
    """The median of each column of x (N, d), missing numbers left out; 0 where all are missing."""
    present = (column[~np.isnan(column)] for column in x.T)
    return np.array([np.median(numbers) if len(numbers) else 0.0 for numbers in present])


def _filled(x: np.ndarray, fill: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(x), fill, x)


def _column(x: np.ndarray, position: int, examples: np.ndarray | None) -> np.ndarray:
    return x[:, position] if examples is None else x[examples, position]


def _fit_slots(column: Column, codes: np.ndarray, rare: int) -> np.ndarray:
    """The slot (codes,) of each code that the column may have, in the order of `Column.slots`.

    Codes that training has seldom or never share the slot of rare ones. Where training has nothing in it, or
    there is none, they have -1: it would stand for something of which nothing was learnt.
    """
    counts = np.bincount(codes.astype(np.int64), minlength=column.codes)
    slots, categories = np.full(column.codes, -1), len(column.categories)
    slots[FIRST_CODE:] = np.arange(categories)
    if column.missing:
        slots[MISSING_CODE] = len(column.slots) - 1
    is_rare = counts < (max(1, rare) if column.type == "category" else 1)
    has_other = column.type == "category" and counts[is_rare].any()
    slots[is_rare] = categories if has_other else -1
    return slots


def center_inputs(x: np.ndarray, encoding: Encoding, method: str) -> np.ndarray:
    """(d,): a number near the values of each number of raw x (N, d_raw), and 0 of other inputs.

    It is subtracted in float64, before a cast, and decides about rounding alone: so it may know all examples.
    """
    center = np.zeros(encoding.width)
    for columns, block in column_blocks(x, positions=encoding.number_positions):
        center[columns] = center_of(_filled(block, medians(block)), method)
    return center


def raw_center(encoding: Encoding, center: np.ndarray) -> np.ndarray:
    """(d_raw,): what is subtracted of a raw example, where `center` (d,) is of its inputs."""
    if not encoding.columns:
        return center
    of_raw = np.zeros(encoding.raw_width)
    of_raw[list(encoding.number_positions)] = center[: encoding.numbers]
    return of_raw


def wrong_raw_value(x: np.ndarray, encoding: Encoding) -> tuple[int, str] | None:
    """(example, fault) of a value of raw x (N, d_raw) that its columns cannot have; None if there is none."""
    for position, (name, kind) in enumerate(encoding.raw):
        values = x[:, position]
        is_wrong = ~np.isfinite(values) if kind == "plain" else np.isinf(values)
        for example in np.flatnonzero(is_wrong)[:1]:
            return int(example), f": '{shortened(name)}' is {values[example]:g}; expected a finite number"
    for column, position in zip(encoding.code_columns, encoding.code_positions, strict=True):
        codes = x[:, position]
        is_code = (codes == np.floor(codes)) & (codes >= 0) & (codes < column.codes)
        for example in np.flatnonzero(~is_code)[:1]:
            allowed = f"a code from 0 to {column.codes - 1}"
            return int(example), f": '{shortened(column.name)}' is {codes[example]:g}; expected {allowed}"
    return None


def encode(x: torch.Tensor, encoding: Encoding, fitted: dict[str, np.ndarray]) -> torch.Tensor:
    """The inputs (d, n), not yet normalised, of raw examples (d_raw, n), both minus their centers.

    Missing numbers are filled and flagged, categories become one-hot or the number of their slot.
    """
    if not encoding.columns:
        return x
    fill = fitted["fill"] - fitted["center"][: encoding.numbers]
    numbers, slots = _rows(x, encoding.number_positions), _slots(x, encoding, fitted)
    seen = torch.from_numpy(fitted["seen"][:, None]).to(x)
    column_of_place, slot_of_place = (_index(x, values) for values in encoding.one_hot_places)
    one_hot = slots.index_select(0, column_of_place) == slot_of_place[:, None]
    return torch.cat([
        torch.where(numbers.isnan(), torch.from_numpy(fill[:, None]).to(x), numbers),
        _rows(x, encoding.flag_positions).isnan() * seen[: len(encoding.flag_positions)],
        one_hot.to(x),
        _rows(x, encoding.plain_positions) * seen[len(encoding.flag_positions) :],
        slots.index_select(0, _index(x, encoding.embedded_codes)).to(x),
    ])  # fmt: skip


def network_inputs(x: torch.Tensor, encoding: Encoding, normalizer: dict[str, np.ndarray]) -> torch.Tensor:
    """What a network gets, (d, n), of raw examples (d_raw, n) minus their centers, perhaps in place.

    Only numbers are normalised and clipped: other inputs are 0, 1, or few, and slots are whole.
    """
    if not encoding.columns:
        return normalize_inputs(x, normalizer)
    inputs, count = encode(x, encoding, normalizer), encoding.numbers
    per_number = {name: normalizer[name][:count] for name in ("mean", "scale", "center")}
    normalize_inputs(inputs[:count], normalizer | per_number)
    return inputs


def inputs_in_units(x: np.ndarray, encoding: Encoding, fitted: dict[str, np.ndarray]) -> np.ndarray:
    """The inputs (n, d) of raw examples (n, d_raw) in float64, in the units of the data."""
    if not encoding.columns:
        return x.astype(np.float64)
    raw = torch.from_numpy(x.astype(np.float64)).T
    return encode(raw, encoding, fitted | {"center": np.zeros(encoding.width)}).T.numpy()


def _slots(x: torch.Tensor, encoding: Encoding, fitted: dict[str, np.ndarray]) -> torch.Tensor:
    """The slots (categories, n) of the categories of raw examples, whole numbers."""
    offsets = itertools.accumulate((column.codes for column in encoding.code_columns[:-1]), initial=0)
    codes = _rows(x, encoding.code_positions).long()
    codes = codes + _index(x, [*offsets][: len(codes)])[:, None]
    slots = torch.from_numpy(fitted["slots"]).to(x.device).long()
    return slots.index_select(0, codes.flatten()).view_as(codes)


def _rows(x: torch.Tensor, positions) -> torch.Tensor:
    return x.index_select(0, _index(x, positions))


def _index(x: torch.Tensor, positions) -> torch.Tensor:
    return torch.tensor(positions, dtype=torch.int64, device=x.device)
