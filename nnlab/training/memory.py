"""Memory that training will take, counted from sizes before it begins."""

from __future__ import annotations

import torch

from nnlab.data.batches import steps_in_chunk
from nnlab.errors import UserError
from nnlab.experiment import Row
from nnlab.runtime.devices import free_memory
from nnlab.runtime.machine import in_bytes
from nnlab.training.stacks import memory, theta_width

CLASS_NUMBER = 8  # bytes of a target that is a class
CHUNK_COPIES = 3  # of a chunk of examples: gathered, normalised, laid out


def needed(stacks: list[list[Row]], datasets, at_once: int) -> int:
    """Bytes that training these stacks takes beside what the process has: data on their device, matrices
    and activations of the largest stacks that train `at_once`, the best weights of every row."""
    takes = sorted((_of_stack(rows, datasets) for rows in stacks), reverse=True)
    kept = sum(_number(rows[0]) * len(rows) * theta_width(rows[0], datasets) for rows in stacks)
    return sum(takes[:at_once]) + kept + _placed(stacks, datasets)


def refuse_too_large(count: int, what: str, instead: str, where: torch.device) -> None:
    """Raise `UserError` if so many bytes are not to be had on the device."""
    there = free_memory(where)
    if there is not None and count > there:
        wanted, left = in_bytes(count), in_bytes(max(0, there))
        raise UserError(f"{what} needs about {wanted} of memory, and there are {left}: {instead}")


def _number(row: Row) -> int:
    return 8 if row.experiment.dtype == "float64" else 4


def _of_stack(rows: list[Row], datasets) -> int:
    """Its matrices and activations, and a chunk of examples for each order in which they come."""
    orders = len({(row.seed, row.fold.key) for row in rows})
    row = rows[0]
    spec = datasets[row.experiment.data].spec
    examples = row.batch * steps_in_chunk(row.steps, row.batch, spec.inputs, spec.outputs)
    chunk = CHUNK_COPIES * orders * examples * (spec.inputs + spec.outputs) * _number(row)
    return memory(len(rows), row, datasets) + chunk


def _placed(stacks: list[list[Row]], datasets) -> int:
    """Every data set once on its device, and each fold's sets for evaluation, normalised."""
    tables, sets = {}, {}
    for rows in stacks:
        for row in rows:
            e = row.experiment
            spec = datasets[e.data].spec
            targets = CLASS_NUMBER if spec.classes else _number(row) * spec.outputs
            width = _number(row) * spec.inputs + targets
            tables[e.data, e.dtype] = width * len(datasets[e.data].x)
            evaluated = len(row.fold.validation) + len(row.fold.test)
            sets[e.data, e.split, e.dtype, row.fold.key] = width * evaluated
    return sum(tables.values()) + sum(sets.values())
