"""Estimates the cost of a sweep: trials, rows, stacks, memory, time. Nothing is trained.

The time is computed from sizes and from short measurements of this machine's speed.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import cache

import torch

from nnlab.experiment import Row
from nnlab.runtime.threads import computing
from nnlab.search.batch_training import TrialBatch
from nnlab.training.fit import Fit
from nnlab.training.memory import memory_needed
from nnlab.training.placement import GPU_START_SECONDS, estimate_work
from nnlab.training.stacks import graph_of

CALLS_PER_STEP = 30  # torch calls
GATHER_SECONDS = 4e-9  # per input of an example
EPOCH_SECONDS = 2e-3  # overhead of one epoch of a stack
BATCH_SECONDS = 0.1  # overhead of a batch of trials
CALL_OVERHEAD = 2  # times the measured repeated call: a step's calls differ, and miss the caches
PRODUCT_EFFICIENCY = 0.6  # relative to the products that are measured


@dataclass(frozen=True)
class Plan:
    """The estimated cost of a sweep; `stacks` are those of its first batch."""

    trials: int
    batch: int
    rows: int
    stacks: list[tuple[int, int, int]]  # (number of stacks, rows in each, parameters of a row)
    memory: int  # bytes, additional to what the process has, in the largest batch
    seconds: float
    because: str = ""  # why this device, if it was chosen automatically


def estimate_plan(batch: TrialBatch, count: int, batch_size: int) -> Plan:
    """The plan of `count` trials in batches of `batch_size`, of which the first is this one."""
    stacks, datasets = batch.fit.stacks(), batch.fit.datasets
    stack_sizes = Counter((len(rows), graph_of(rows[0], datasets).parameter_count) for rows in stacks)
    processes = _processes(batch.fit)
    seconds = BATCH_SECONDS + training_seconds(batch.fit) * _trained_share(batch)
    # With rungs all stacks are in memory at once, since they wait for each other there.
    concurrent_stacks = len(stacks) if batch.rungs else processes
    batch_count = count / max(1, len(batch.trainable))
    return Plan(
        trials=count,
        batch=batch_size,
        rows=round(len(batch.fit.rows) * batch_count),
        stacks=[(n, k, p) for (k, p), n in sorted(stack_sizes.items(), reverse=True)],
        memory=memory_needed(stacks, datasets, concurrent_stacks),
        seconds=seconds * batch_count + (0.0 if batch.fit.on_cpu else GPU_START_SECONDS),
    )


def training_seconds(fit: Fit) -> float:
    """The time that the rows of a fit would train, on a GPU if it is initialised already."""
    if fit.on_cpu:
        return sum(_stack_seconds(rows, fit.datasets) for rows in fit.stacks()) / _processes(fit)
    rows = fit.rows
    return estimate_work(rows, fit.datasets).gpu_seconds(rows[0].experiment.precision) if rows else 0.0


def _processes(fit: Fit) -> int:
    return min(fit.threads if fit.on_cpu else 1, max(1, len(fit.stacks())))


def _stack_seconds(rows: list[Row], datasets) -> float:
    """The time of one stack: call overhead, and arithmetic of 6 operations for each multiply-add and example,
    forward and for two gradients, and 30 for each update of a parameter."""
    row, speed = rows[0], _machine_speed()
    graph = graph_of(row, datasets)
    operations = len(rows) * (6 * graph.work * row.batch + 30 * graph.parameter_count)
    step = CALLS_PER_STEP * speed["call"] + operations / speed["operations"]
    orders = len({(r.seed, r.fold.key) for r in rows})  # rows of the same order share its gathering
    gathering = GATHER_SECONDS * orders * len(row.fold.train) * datasets[row.experiment.data].spec.inputs
    epoch = step * row.steps + gathering + EPOCH_SECONDS
    return epoch * max(r.experiment.epochs for r in rows)


def _trained_share(batch: TrialBatch) -> float:
    """The expected share of epochs that are trained in spite of pruning."""
    return batch.search.pruner.trained_share(batch.epochs)


@cache
def _machine_speed() -> dict[str, float]:
    """Seconds per small torch call, and operations per second of a stack's products; measured in
    milliseconds."""
    # Measured, since machines differ by more than a factor of ten; at the size of usual small networks.
    with computing():
        a, b = (torch.zeros(8, 64, 64) for _ in range(2))
        small = torch.zeros(1, 64)
        call = _seconds_per_call(lambda: small.add_(small), 200)
        product = _seconds_per_call(lambda: torch.bmm(a, b), 50)
    operations = PRODUCT_EFFICIENCY * 2 * 8 * 64**3 / product
    return {"call": max(call * CALL_OVERHEAD, 1e-6), "operations": operations}


def _seconds_per_call(function, count: int) -> float:
    """Mean seconds of a call; reading a result at the end waits for a GPU to finish."""
    float(function().sum())
    start = time.perf_counter()
    for _ in range(count):
        result = function()
    float(result.sum())
    return (time.perf_counter() - start) / count
