"""`fit`: experiments in, records out. Rows are grouped into stacks, and stacks are trained side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from nnlab.data.batches import Examples
from nnlab.engine import computing, train
from nnlab.errors import UserError
from nnlab.experiment import Experiment, Row, rows_of
from nnlab.results import Record, Result
from nnlab.workers import side_by_side

CACHE = 2**22  # parameters in a stack
WORTH_A_PROCESS = 2e9  # parameters x examples seen: a few tenths of a second; a fork takes 0.03 s


class Fit:
    """A fit under way: iterate over it for its records; `results` has every row when it has ended.

    >>> fit = Fit([Experiment(epochs=1)])
    >>> [record.epoch for record in fit], len(fit.results)
    ([1], 1)
    """

    def __init__(self, experiments: list[Experiment]):
        self.experiments = experiments
        self.datasets = {data: data.load() for data in dict.fromkeys(e.data for e in experiments)}
        for e in experiments:
            e.loss_for(self.datasets[e.data])
        self.devices = {e.device: device(e.device) for e in experiments}
        self.rows = rows_of(experiments, self.datasets)
        self.results: list[Result] = []

    def __iter__(self) -> Iterator[Record]:
        yield from self._run(self.rows, self.results)
        chosen = {result.row: result for result in self.results}
        again = [
            row.again(chosen[row.number].best_epoch)
            for row in self.rows
            if row.experiment.refit and chosen[row.number].status != "diverged"
        ]
        refitted: list[Result] = []
        yield from self._run(again, refitted)
        chosen |= {r.row: replace(chosen[r.row], test=r.test, weights=r.weights) for r in refitted}
        self.results[:] = [chosen[row] for row in sorted(chosen)]

    def _run(self, rows: list[Row], finished: list[Result]) -> Iterator[Record]:
        threads = min((threads_for(e) for e in self.experiments), default=1)
        on_cpu = all(device.type == "cpu" for device in self.devices.values())
        processes = threads if on_cpu else 1
        shares = stacks(rows, self.datasets, processes)
        alone = processes == 1 or len(shares) == 1
        placed = {}  # the data on their devices, before any fork: workers share them
        jobs = [
            partial(train, rows, self._examples(rows[0].experiment, placed), threads if alone else 1)
            for rows in shares
        ]
        yield from side_by_side(jobs, processes, finished)

    def _examples(self, e: Experiment, placed: dict) -> Examples:
        key = (e.data, e.split, e.device, e.dtype)  # folds are told apart by number within a split
        if key not in placed:
            like = torch.empty(0, dtype=getattr(torch, e.dtype), device=self.devices[e.device])
            with computing():
                placed[key] = Examples(e.data, self.datasets[e.data], like)
        return placed[key]


def fit(*experiments: Experiment) -> Fit:
    """Train experiments; a `Record` each epoch, then `.results`.

    for record in fit(Experiment(epochs=3)): print(record.epoch, record.val_loss)
    """
    return Fit(list(experiments))


def stacks(rows: list[Row], datasets, processes: int = 1) -> list[list[Row]]:
    """Rows of one structure together, in as many stacks as there are processes if that pays.

    A stack's matrices should stay in cache: at most 64 rows, fewer if they are large. How rows are
    divided changes how long they take, and nothing else.
    """
    groups = {}
    for row in rows:
        groups.setdefault(row.structure, []).append(row)
    divided = []
    for group in groups.values():
        e, seen = group[0].experiment, len(group) * len(group[0].fold.train)
        _, _, size = e.model.graph(*datasets[e.data].sizes).layout()
        most = max(1, min(64, CACHE // size))
        if size * seen * e.epochs > WORTH_A_PROCESS:
            most = min(most, -(-len(group) // processes))
        count = -(-len(group) // most)
        divided += [group[i::count] for i in range(count)]
    return divided


def threads_for(experiment: Experiment) -> int:
    """How many threads a large product may take: what was asked for, else every core."""
    return experiment.threads if experiment.threads != "auto" else len(os.sched_getaffinity(0))


def device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one. Raises `UserError` if it is not there."""
    count = torch.cuda.device_count() if name != "cpu" else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    allowed = ["auto", "cpu", "cuda", *(f"cuda:{i}" for i in range(count))]
    if name in allowed and (name == "cpu" or count):
        return torch.device(name)
    found = f"{count} CUDA device{'s' * (count != 1)}" if count else "no CUDA device"
    raise UserError(f"device = '{name}': this machine has {found}; allowed: auto, cpu, cuda, cuda:N")
