"""An estimate of the memory that training takes, from the sizes of its tensors, before it begins."""

from __future__ import annotations

import math

import torch

from nnlab.data.batches import steps_in_chunk
from nnlab.data.device_tables import stays_in_file
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.experiment import Row
from nnlab.metrics import MAX_MATRIX_CLASSES
from nnlab.runtime.devices import device, free_memory
from nnlab.runtime.machine import in_bytes
from nnlab.training.calibration import is_calibrated
from nnlab.training.predictions import VALUE_BYTES, predictions_bytes, residuals_bytes
from nnlab.training.stacks import stack_bytes, theta_width

CLASS_INDEX_BYTES = 8  # a class is stored as an int64
CHUNK_COPIES = 3  # copies of a chunk of examples: gathered, normalised, laid out
ANSWER_COPIES = 2  # copies of what a stack answers to a set: batch by batch, joined


def memory_needed(stacks: list[list[Row]], datasets, parallel: int) -> int:
    """Bytes that training these stacks takes beside what the process has already: data on their device,
    matrices and activations of the largest stacks, so many in `parallel`, best weights of every row."""
    largest_first = sorted((_stack_and_chunk_bytes(rows, datasets) for rows in stacks), reverse=True)
    best_weights = sum(_float_bytes(rows[0]) * len(rows) * theta_width(rows[0], datasets) for rows in stacks)
    kept = best_weights + _kept_answers_bytes(stacks, datasets)
    return sum(largest_first[:parallel]) + kept + _data_bytes(stacks, datasets)


def refuse_too_large(needed: int, what: str, remedy: str, where: torch.device) -> None:
    """Raise `UserError` if the device does not have so many bytes left."""
    free = free_memory(where)
    if free is not None and needed > free:
        left = in_bytes(max(0, free))
        raise UserError(f"{what} needs about {in_bytes(needed)} of memory, and there are {left}: {remedy}")


def _float_bytes(row: Row) -> int:
    return 8 if row.experiment.dtype == "float64" else 4


def _stack_and_chunk_bytes(rows: list[Row], datasets) -> int:
    """Matrices and activations of a stack, and a chunk of examples for each order that its rows draw."""
    orders = len({(row.seed, row.fold.key) for row in rows})
    row = rows[0]
    spec = datasets[row.experiment.data].spec
    examples = row.batch * steps_in_chunk(row.steps, row.batch, spec.inputs, spec.outputs)
    chunk = CHUNK_COPIES * orders * examples * (spec.inputs + spec.outputs) * _float_bytes(row)
    return stack_bytes(len(rows), row, datasets) + chunk + _answers_bytes(rows, spec)


def _answers_bytes(rows: list[Row], spec: DataSpec) -> int:
    """Of a stack's answers to all examples of a set, from which metrics and calibrations are computed.

    The probabilities of many classes are there only to be kept; else they are summed up batch by batch.
    """
    row = rows[0]
    joined = spec.outputs <= MAX_MATRIX_CLASSES or any(row.keeps_predictions for row in rows)
    sets = [] if row.candidate or not joined else [row.fold.test]
    if row.measured and joined or any(map(is_calibrated, rows)):
        sets.append(row.fold.validation)
    return ANSWER_COPIES * VALUE_BYTES * len(rows) * spec.outputs * max(map(len, sets), default=0)


def _kept_answers_bytes(stacks: list[list[Row]], datasets) -> int:
    """Of predictions for the test set, and of residuals of the validation set."""
    total = 0
    for row in (row for stack in stacks for row in stack):
        outputs = datasets[row.experiment.data].spec.outputs
        total += predictions_bytes([row], outputs) if row.keeps_predictions else 0
        total += residuals_bytes(row, outputs)
    return total


def _data_bytes(stacks: list[list[Row]], datasets) -> int:
    """Every data set once on its device, and each fold's sets for evaluation, normalised."""
    tables, evaluation_sets = {}, {}
    for rows in stacks:
        for row in rows:
            e = row.experiment
            spec = datasets[e.data].spec
            target_bytes = CLASS_INDEX_BYTES if spec.classes else _float_bytes(row) * spec.outputs
            example_bytes = _float_bytes(row) * spec.inputs + target_bytes
            raw_bytes = _float_bytes(row) * math.prod(spec.raw_shape) + target_bytes
            x = datasets[e.data].x
            if stays_in_file(x, _float_bytes(row), device(e.device)):
                continue
            tables[e.data, e.dtype] = raw_bytes * len(x)
            evaluated = len(row.fold.validation) + len(row.fold.test)
            evaluation_sets[e.data, e.split, e.dtype, row.fold.key] = example_bytes * evaluated
    return sum(tables.values()) + sum(evaluation_sets.values())
