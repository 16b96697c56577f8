"""A snapshot of training: all that it needs to continue, bit for bit, as named arrays and JSON values.

    state.theta, state.t, state.slots.m ...   (K, ...) what a step changes, of the rows that are left
    previous. ...                             the same as the epoch before left it, where a schedule goes back
    sums                                      (2, K) of loss and error so far, within an epoch
    best_weights.theta, best_value, best_epoch, best.val_loss ...
    schedule. ..., stopping. ...              the state of these
    past.back, past.schedule. ...             (n, epochs, ...) the epochs of the n rows that will be refitted

Everything else is a function of the rows: draws have names (streams.py), so no generator has a state.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
import torch

from nnlab.schedules.base import PastEpoch
from nnlab.training.population import Population, Weights

# Fields of a population; and prefixes of arrays that it lacks before the first epoch.
STATE_FIELDS = ("state", "best_weights", "schedule", "stopping", "best_value", "best_epoch", "best")
PAST_PREFIX = "past."
GROWING_PREFIXES = ("best.", PAST_PREFIX, "schedule.", "stopping.")
SUMS_NAME = "sums"  # of loss and error over the steps so far, in the state within an epoch


@dataclass(frozen=True)
class Snapshot:
    """`values` has how many `epochs` are done, and `steps` of the next one, in how many `seconds`; the
    numbers of the `rows` of the stack, and of those `left` in training; the `shapes` of their parameters."""

    arrays: dict[str, np.ndarray]
    values: dict

    def select(self, rows: Container[int], refitted: Container[int]) -> Snapshot:
        """The snapshot of these rows alone, by their numbers; `refitted` are those that will be trained
        again, which have a past."""
        numbers = self.values["rows"]
        wanted = [k for k, number in enumerate(numbers) if number in rows]
        with_past = [number for number in numbers if number in refitted]
        wanted_past = [k for k, number in enumerate(with_past) if number in rows]
        arrays = {}
        for name, array in self.arrays.items() if wanted else ():
            if name == SUMS_NAME:
                arrays[name] = array[:, wanted]
            else:
                arrays[name] = array[wanted_past if name.startswith(PAST_PREFIX) else wanted]
        kept = {key: [n for n in self.values[key] if n in rows] for key in ("rows", "left")}
        return Snapshot(arrays, self.values | kept)


ENDED = Snapshot({}, {"epochs": 0, "steps": 0, "seconds": 0.0, "rows": [], "left": []})  # no row is left


def state_arrays(population: Population, previous: Weights | None) -> dict[str, np.ndarray]:
    """Copies of all arrays that change while these rows train, by name."""
    parts = {name: getattr(population, name) for name in STATE_FIELDS} | {"previous": previous}
    arrays = {name: array for part, value in parts.items() for name, array in _flatten(part, value)}
    past = [population.past[k] for k in population.to_refit]
    if past and past[0]:
        arrays["past.back"] = np.array([[epoch.went_back for epoch in epochs] for epochs in past])
        for name in past[0][0].state:
            arrays[f"past.schedule.{name}"] = np.array([[e.state[name] for e in epochs] for epochs in past])
    return arrays


def restore(population: Population, previous: Weights | None, arrays: dict[str, np.ndarray]) -> None:
    """Write `state_arrays` into rows before their first step. Raises `ValueError` if they do not fit."""
    _refuse_mismatch(state_arrays(population, previous), arrays, population)
    parts = {"state": population.state, "best_weights": population.best_weights, "previous": previous}
    for part, weights in parts.items():
        for name, tensor in weights.named().items() if weights else ():
            tensor.copy_(torch.from_numpy(arrays[f"{part}.{name}"]))
    for part in ("schedule", "stopping", "best"):
        setattr(population, part, {name: np.array(array) for name, array in _arrays_of(part, arrays).items()})
    population.best_value, population.best_epoch = (np.array(arrays[n]) for n in ("best_value", "best_epoch"))
    schedule = _arrays_of("past.schedule", arrays)
    for n, went_back in enumerate(arrays.get("past.back", ())):
        states = ({name: np.array(a[n, e]) for name, a in schedule.items()} for e in range(len(went_back)))
        epochs = [PastEpoch(*epoch) for epoch in zip(states, went_back.tolist(), strict=True)]
        population.past[population.to_refit[n]] = epochs


def _refuse_mismatch(expected: dict, arrays: dict, population: Population) -> None:
    """Raise `ValueError` unless `arrays` has all that is `expected` of these rows before their first step, in
    the same shapes, and nothing else but what grows later, with an entry for every row."""
    for name, array in expected.items():
        got = f"{arrays[name].dtype} {arrays[name].shape}" if name in arrays else "not there"
        if got != (wanted := f"{array.dtype} {array.shape}"):
            raise ValueError(f"a state of something else: {name} is {got}, and of these rows {wanted}")
    for name, array in arrays.items():
        if name not in expected and not name.startswith(GROWING_PREFIXES):
            raise ValueError(f"a state of something else: these rows have no {name}")
        count = len(population.to_refit if name.startswith(PAST_PREFIX) else population)
        if array.shape[:1] != (count,):
            raise ValueError(f"a state of something else: {name} is {array.shape}, for {count} rows")


def _flatten(part: str, value):
    """Every array in one part of a population, as (name, array)."""
    named = value.named() if isinstance(value, Weights) else value
    if isinstance(named, dict):
        for name, array in named.items():
            yield from _flatten(f"{part}.{name}", array)
    elif named is not None:
        yield part, np.array(named.cpu().numpy() if isinstance(named, torch.Tensor) else named)


def _arrays_of(part: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of one part, by their names within it."""
    return {n.removeprefix(f"{part}."): array for n, array in arrays.items() if n.startswith(f"{part}.")}
