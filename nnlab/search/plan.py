"""What a sweep will take: trials, rows, stacks, memory, time. An estimate, from sizes and a short trial run
of this machine's arithmetic; nothing is trained."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import cache

import torch

from nnlab.experiment import Row
from nnlab.runtime.devices import device
from nnlab.runtime.threads import computing
from nnlab.search.batch_training import TrialBatch
from nnlab.training.memory import needed
from nnlab.training.stacks import parameter_count

CALLS = 30  # of torch in a step
GATHER = 4e-9  # seconds for one input of an example
EPOCH, BATCH = 2e-3, 0.1  # seconds: of a stack's epoch beside its steps, of a batch beside its epochs


@dataclass(frozen=True)
class Plan:
    """`stacks` counts the first batch's, by rows and structure; the rest is for the whole sweep."""

    trials: int
    batch: int
    rows: int
    stacks: list[tuple[int, int, int]]  # (how many, rows in each, parameters of a row)
    memory: int  # bytes that the largest batch takes beside what the process has
    seconds: float


def plan(batch: TrialBatch, count: int, size: int) -> Plan:
    """The plan of `count` trials in batches of `size`, of which the first is this one."""
    stacks, datasets = batch.fit.stacks(), batch.fit.datasets
    sizes = Counter((len(rows), parameter_count(rows[0], datasets)) for rows in stacks)
    processes = min(batch.fit.threads if batch.fit.on_cpu else 1, max(1, len(stacks)))
    seconds = BATCH + sum(_seconds(rows, datasets) for rows in stacks) / processes * _kept(batch)
    share = count / max(1, len(batch.trained))
    return Plan(
        trials=count,
        batch=size,
        rows=round(len(batch.fit.rows) * share),
        stacks=[(n, k, p) for (k, p), n in sorted(sizes.items(), reverse=True)],
        memory=needed(stacks, datasets, len(stacks) if batch.rungs else processes),
        seconds=seconds * share,
    )


def _seconds(rows: list[Row], datasets) -> float:
    """Of one stack: calls, and arithmetic: 6 operations for each parameter and example, and the update."""
    row, speed = rows[0], _speed(device(rows[0].experiment.device))
    operations = len(rows) * parameter_count(row, datasets) * (6 * row.batch + 30)
    step = CALLS * speed["call"] + operations / speed["operations"]
    orders = len({(r.seed, r.fold.key) for r in rows})  # rows that share one share its gathering
    gathering = GATHER * orders * len(row.fold.train) * datasets[row.experiment.data].spec.inputs
    return (step * row.steps + gathering + EPOCH) * max(r.experiment.epochs for r in rows)


def _kept(batch: TrialBatch) -> float:
    """The share of epochs that pruning leaves, if each rung does what its rule says."""
    return batch.search.pruner.kept(batch.epochs)


@cache
def _speed(where: torch.device) -> dict[str, float]:
    """Seconds of a small call, and operations per second of a stack's products: a few thousandths of a
    second of each."""
    with computing():
        a, b = (torch.zeros(8, 64, 64, device=where) for _ in range(2))
        small = torch.zeros(1, 64, device=where)
        call = _time(lambda: small.add_(small), 200)
        product = _time(lambda: torch.bmm(a, b), 50)
    return {"call": max(call * 2, 1e-6), "operations": 0.6 * 2 * 8 * 64**3 / product}


def _time(function, count: int) -> float:
    """Seconds of a call; a tensor that is read waits for a GPU."""
    float(function().sum())
    start = time.perf_counter()
    for _ in range(count):
        result = function()
    float(result.sum())
    return (time.perf_counter() - start) / count
