"""Training at rest: all that it needs to go on, bit for bit, as arrays by name and values of JSON.

    state.theta, state.t, state.slots.m ...   (K, ...) what a step changes, of the rows that are left
    previous. ...                             the same as the epoch before left it, where a schedule goes back
    best_weights.theta, best_value, best_epoch, best.val_loss ...
    schedule. ..., stopping. ...              what these remember
    past.back, past.schedule. ...             (n, epochs, ...) the epochs of the n rows that will be refitted

Everything else is a function of the rows: draws have names (streams.py), so no generator has a state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nnlab.schedules.base import PastEpoch
from nnlab.training.population import Population, Weights

# Of a population; and of what there is more after the first step.
HELD_FIELDS = ("state", "best_weights", "schedule", "stopping", "best_value", "best_epoch", "best")
GROWING_PREFIXES = ("best.", "past.", "schedule.", "stopping.")


@dataclass(frozen=True)
class Snapshot:
    """Its `values`: how many `epochs` are done, in how many `seconds`; the numbers of the `rows` left."""

    arrays: dict[str, np.ndarray]
    values: dict


def arrays(population: Population, previous: Weights | None) -> dict[str, np.ndarray]:
    """All that changes while these rows train, in memory of its own."""
    parts = {name: getattr(population, name) for name in HELD_FIELDS} | {"previous": previous}
    held = {name: array for part, value in parts.items() for name, array in _flat(part, value)}
    past = [population.past[k] for k in population.remembering]
    if past and past[0]:
        held["past.back"] = np.array([[epoch.back for epoch in epochs] for epochs in past])
        for name in past[0][0].state:
            held[f"past.schedule.{name}"] = np.array([[e.state[name] for e in epochs] for epochs in past])
    return held


def fill(population: Population, previous: Weights | None, held: dict[str, np.ndarray]) -> None:
    """Give rows before their first step what `arrays` has taken. Raises `ValueError` if it does not fit."""
    _refuse_others(arrays(population, previous), held, population)
    parts = {"state": population.state, "best_weights": population.best_weights, "previous": previous}
    for part, weights in parts.items():
        for name, tensor in weights.named().items() if weights else ():
            tensor.copy_(torch.from_numpy(held[f"{part}.{name}"]))
    for part in ("schedule", "stopping", "best"):
        setattr(population, part, {name: np.array(array) for name, array in _of(part, held).items()})
    population.best_value, population.best_epoch = (np.array(held[n]) for n in ("best_value", "best_epoch"))
    memory = _of("past.schedule", held)
    for n, back in enumerate(held.get("past.back", ())):
        states = ({name: np.array(array[n, e]) for name, array in memory.items()} for e in range(len(back)))
        epochs = [PastEpoch(*epoch) for epoch in zip(states, back.tolist(), strict=True)]
        population.past[population.remembering[n]] = epochs


def _refuse_others(wanted: dict, held: dict, population: Population) -> None:
    """What these rows have before their first step, they have later; all else has an entry for every row."""
    for name, array in wanted.items():
        there = f"{held[name].dtype} {held[name].shape}" if name in held else "not there"
        if there != (here := f"{array.dtype} {array.shape}"):
            raise ValueError(f"a state of something else: {name} is {there}, and of these rows {here}")
    for name, array in held.items():
        if name not in wanted and not name.startswith(GROWING_PREFIXES):
            raise ValueError(f"a state of something else: these rows have no {name}")
        count = len(population.remembering if name.startswith("past.") else population)
        if array.shape[:1] != (count,):
            raise ValueError(f"a state of something else: {name} is {array.shape}, for {count} rows")


def _flat(part: str, value):
    """(name, array) of everything in one part of a population."""
    named = value.named() if isinstance(value, Weights) else value
    if isinstance(named, dict):
        for name, array in named.items():
            yield from _flat(f"{part}.{name}", array)
    elif named is not None:
        yield part, np.array(named.cpu().numpy() if isinstance(named, torch.Tensor) else named)


def _of(part: str, held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of one part, by their names within it."""
    return {n.removeprefix(f"{part}."): array for n, array in held.items() if n.startswith(f"{part}.")}
