"""The number in which runs differ: the width of layers, a rate, a count; else that of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from nnlab.errors import UserError
from nnlab.records.files import RECORDING_KEYS
from nnlab.records.hparams import align_hparams
from nnlab.records.run_summaries import SEED_REMEDIES
from nnlab.records.text_columns import short_names

if TYPE_CHECKING:
    from nnlab.records.stored_run import StoredRun

UNITS = {  # of keys whose name does not say it
    "batch_size": "examples", "data.limit": "examples", "data.n": "examples",
    "split.validation": "share of the examples", "split.test": "share of the examples",
}  # fmt: skip
PARAMETERS = "parameters"
FITTED_BELOW = 0.005  # a training error, as a share, that rounds to 0%
NO_SIZE = (
    "the runs differ in no number: the picture error_over_size takes runs of several sizes, as "
    "nnlab train -m 'model.hidden=[4],[16],[64]' makes them"
)


@dataclass(frozen=True)
class Size:
    """The number in which runs differ.

    key      the setting, such as `model.hidden`; `parameters` where no setting is a number in every run
    label    of the axis: what is counted, or the key with its unit
    numbers  of each run
    lines    of each run: the other settings in which it differs, as `label_noise=0.15`; "" where none do
    """

    key: str
    label: str
    numbers: tuple[float, ...]
    lines: tuple[str, ...]


def size_of(runs: Sequence[StoredRun], parameter_counts: Sequence[int]) -> Size:
    """The numeric setting with the most values. Raises `UserError` where the runs differ in no number."""
    settings, varying = align_hparams([_trained_settings(run.settings) for run in runs])
    varying = [key for key in varying if key not in SEED_REMEDIES]
    numbers = {key: numbers_in([hparams[key] for hparams in settings]) for key in varying}
    counts = {key: len(set(column)) for key, column in numbers.items() if column}
    if counts:
        key = max(counts, key=counts.__getitem__)
        label = _label(key, [hparams[key] for hparams in settings])
        column = numbers[key]
    elif len(set(parameter_counts)) > 1:
        key = label = PARAMETERS
        column = tuple(map(float, parameter_counts))
        varying = [k for k in varying if not k.startswith("model.")]  # they make the number
    else:
        raise UserError(NO_SIZE)
    others = [k for k in varying if k != key]
    short = dict(zip(others, short_names(others), strict=True))
    lines = tuple(" ".join(f"{short[k]}={_text(hparams[k])}" for k in others) for hparams in settings)
    return Size(key, label, column, lines)


def numbers_in(values: Sequence) -> tuple[float, ...]:
    """The values as numbers; none where one of them is not. Layers of one width, [64, 64], are the number 64,
    if all values are lists of that length."""
    lengths = {len(value) if isinstance(value, list | tuple) else None for value in values}
    numbers = [_number(value) for value in values]
    return () if len(lengths) > 1 or None in numbers else tuple(numbers)


def interpolation_threshold(errors: dict[float, float]) -> float | None:
    """The least size from which on every training example is learnt by heart; None where the largest network
    does not do so, or the smallest does. `errors`: size -> training error, a share."""
    sizes = sorted(errors)
    beyond = next((i for i, x in enumerate(reversed(sizes)) if errors[x] >= FITTED_BELOW), len(sizes))
    return sizes[-beyond] if 0 < beyond < len(sizes) else None


def _number(value) -> float | None:
    if isinstance(value, list | tuple):
        return _number(value[0]) if len(value) and all(v == value[0] for v in value) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) else None


def _trained_settings(settings: dict) -> dict:
    return {key: value for key, value in settings.items() if key not in RECORDING_KEYS}


def _label(key: str, values: list) -> str:
    """`units in each of 2 hidden layers`, `batch_size (examples)`, `regularizer.dropout`."""
    depths = {len(value) for value in values if isinstance(value, list | tuple)}
    if key == "model.hidden" and len(depths) == 1:
        depth = depths.pop()
        return "units in the hidden layer" if depth == 1 else f"units in each of {depth} hidden layers"
    return f"{key} ({UNITS[key]})" if key in UNITS else key


def _text(value) -> str:
    return str(value).replace(" ", "") if isinstance(value, list | tuple) else str(value)
