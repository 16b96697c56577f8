"""What a sweep will take: trials, rows, stacks, memory, time. An estimate, from sizes and a short trial run
of this machine's arithmetic; nothing is trained."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import cache

import torch

from nnlab.engine import computing
from nnlab.errors import UserError
from nnlab.experiment import Row
from nnlab.library import device
from nnlab.search.training import Batch
from nnlab.stacks import memory, parameters

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
    memory: int  # bytes of the largest batch
    seconds: float


def plan(batch: Batch, count: int, size: int) -> Plan:
    """The plan of `count` trials in batches of `size`, of which the first is this one."""
    stacks, datasets = batch.fit.stacks(), batch.fit.datasets
    sizes = Counter((len(rows), parameters(rows[0], datasets)) for rows in stacks)
    processes = min(batch.fit.threads if batch.fit.on_cpu else 1, max(1, len(stacks)))
    seconds = BATCH + sum(_seconds(rows, datasets) for rows in stacks) / processes * _kept(batch)
    takes = sorted((memory(len(rows), rows[0], datasets) for rows in stacks), reverse=True)
    at_once = takes if batch.rungs else takes[:processes]
    share = count / max(1, len(batch.trained))
    return Plan(
        trials=count,
        batch=size,
        rows=round(len(batch.fit.rows) * share),
        stacks=[(n, k, p) for (k, p), n in sorted(sizes.items(), reverse=True)],
        memory=sum(at_once) + sum(d.x.nbytes for d in datasets.values()),
        seconds=seconds * share,
    )


def refuse_too_large(plan: Plan, available: int | None) -> None:
    """Raise `UserError` if a batch does not fit in the memory that there is."""
    if available and plan.memory > available:
        raise UserError(
            f"a batch of {plan.batch} trials needs about {in_bytes(plan.memory)} of memory, and there are "
            f"{in_bytes(available)}: set a smaller batch=, rows= or model"
        )


def available_memory(where: torch.device) -> int | None:
    """Bytes that this process may still take there, as far as the system says."""
    if where.type != "cpu":
        return torch.cuda.mem_get_info(where)[0]
    try:
        with open("/proc/meminfo") as file:
            said = {line.split(":")[0]: line.split()[1] for line in file}
        return int(said["MemAvailable"]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None


def _seconds(rows: list[Row], datasets) -> float:
    """Of one stack: calls, and arithmetic: 6 operations for each parameter and example, and the update."""
    row, speed = rows[0], _speed(device(rows[0].experiment.device))
    operations = len(rows) * parameters(row, datasets) * (6 * row.batch + 30)
    step = CALLS * speed["call"] + operations / speed["operations"]
    orders = len({(r.seed, r.fold.key) for r in rows})  # rows that share one share its gathering
    gathering = GATHER * orders * len(row.fold.train) * datasets[row.experiment.data].sizes[0]
    return (step * row.steps + gathering + EPOCH) * max(r.experiment.epochs for r in rows)


def _kept(batch: Batch) -> float:
    """The share of epochs that pruning leaves, if each rung does what its rule says."""
    factor = getattr(batch.search.pruner, "factor", 2)
    if not batch.rungs or batch.search.pruner.name == "median":
        return 0.6 if batch.rungs else 1.0
    left, share, before = 1.0, 0.0, 0
    for rung in (*batch.rungs, batch.epochs):
        share += left * (rung - before) / batch.epochs
        left, before = left / factor, rung
    return share


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


def in_bytes(n: float) -> str:
    """1234567 as `1.2 MB`."""
    power = min(3, max(0, (len(str(int(n))) - 1) // 3))
    n, unit = n / 1000**power, ("bytes", "KB", "MB", "GB")[power]
    return f"{n:.0f} {unit}" if n >= 10 or power == 0 else f"{n:.1f} {unit}"
