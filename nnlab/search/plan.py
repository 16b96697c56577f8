"""What a sweep will take: trials, rows, stacks, memory, time. An estimate, from sizes and a short trial run
of this machine's arithmetic; nothing is trained."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import cache

import torch

from nnlab.experiment import Row
from nnlab.runtime.threads import computing
from nnlab.search.batch_training import TrialBatch
from nnlab.training.memory import memory_needed
from nnlab.training.placement import GPU_START_SECONDS, estimate_work
from nnlab.training.stacks import parameter_count

CALLS_PER_STEP = 30  # of torch
GATHER_SECONDS = 4e-9  # for one input of an example
EPOCH_SECONDS = 2e-3  # of a stack's epoch beside its steps
BATCH_SECONDS = 0.1  # of a batch of trials beside its epochs
CALL_OVERHEAD = 2  # times a small call that is repeated: a step's calls differ, and miss the caches
PRODUCT_EFFICIENCY = 0.6  # of products as large as those that are timed


@dataclass(frozen=True)
class Plan:
    """What a sweep will take; `stacks` are those of its first batch."""

    trials: int
    batch: int
    rows: int
    stacks: list[tuple[int, int, int]]  # (how many, rows in each, parameters of a row)
    memory: int  # bytes that the largest batch takes beside what the process has
    seconds: float
    because: str = ""  # why there, if the device was chosen


def plan(batch: TrialBatch, count: int, size: int) -> Plan:
    """The plan of `count` trials in batches of `size`, of which the first is this one."""
    stacks, datasets = batch.fit.stacks(), batch.fit.datasets
    sizes = Counter((len(rows), parameter_count(rows[0], datasets)) for rows in stacks)
    processes = min(batch.fit.threads if batch.fit.on_cpu else 1, max(1, len(stacks)))
    if batch.fit.on_cpu:
        training = sum(_seconds(rows, datasets) for rows in stacks) / processes
    else:
        training = _card_seconds(batch)
    seconds = BATCH_SECONDS + training * _share_trained(batch)
    # With rungs all stacks are in memory, since they wait for each other there.
    at_once = len(stacks) if batch.rungs else processes
    share = count / max(1, len(batch.trained))
    return Plan(
        trials=count,
        batch=size,
        rows=round(len(batch.fit.rows) * share),
        stacks=[(n, k, p) for (k, p), n in sorted(sizes.items(), reverse=True)],
        memory=memory_needed(stacks, datasets, at_once),
        seconds=seconds * share + (0.0 if batch.fit.on_cpu else GPU_START_SECONDS),
    )


def _card_seconds(batch: TrialBatch) -> float:
    """Of a batch on a GPU that has been started."""
    rows = batch.fit.rows
    return estimate_work(rows, batch.fit.datasets).gpu_seconds(rows[0].experiment.precision) if rows else 0.0


def _seconds(rows: list[Row], datasets) -> float:
    """Of one stack: calls, and arithmetic: 6 operations for each parameter and example, 30 for its update."""
    row, speed = rows[0], _speed()
    operations = len(rows) * parameter_count(row, datasets) * (6 * row.batch + 30)
    step = CALLS_PER_STEP * speed["call"] + operations / speed["operations"]
    orders = len({(r.seed, r.fold.key) for r in rows})  # rows that share one share its gathering
    gathering = GATHER_SECONDS * orders * len(row.fold.train) * datasets[row.experiment.data].spec.inputs
    epoch = step * row.steps + gathering + EPOCH_SECONDS
    return epoch * max(r.experiment.epochs for r in rows)


def _share_trained(batch: TrialBatch) -> float:
    """The share of epochs that pruning leaves, if each rung does what its rule says."""
    return batch.search.pruner.kept(batch.epochs)


@cache
def _speed() -> dict[str, float]:
    """Seconds of a small call, and operations per second of a stack's products: a few thousandths of a
    second of each."""
    # Measured, since machines differ by more than a factor of ten; at the size of usual small networks.
    with computing():
        a, b = (torch.zeros(8, 64, 64) for _ in range(2))
        small = torch.zeros(1, 64)
        call = _time(lambda: small.add_(small), 200)
        product = _time(lambda: torch.bmm(a, b), 50)
    operations = PRODUCT_EFFICIENCY * 2 * 8 * 64**3 / product
    return {"call": max(call * CALL_OVERHEAD, 1e-6), "operations": operations}


def _time(function, count: int) -> float:
    """Seconds of a call; a tensor that is read waits for a GPU."""
    float(function().sum())
    start = time.perf_counter()
    for _ in range(count):
        result = function()
    float(result.sum())
    return (time.perf_counter() - start) / count
