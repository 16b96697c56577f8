"""Where rows are trained: what `device: auto` decides, by the work that is planned.

A GPU takes seconds before its first step and then has hundreds of times a core's arithmetic. So it is worth
it where the CPU would take much longer than those seconds. The estimates are of the machines that docs/log.md
names; they are the same everywhere, so that equal jobs on equal machines are trained in the same
place. They decide where, and with a compiler whether, and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nnlab.experiment import Row
from nnlab.runtime.devices import device, thread_count
from nnlab.runtime.precision import refuse_precision
from nnlab.training.stacks import CACHE_NUMBERS, CPU_STACK_ROWS, theta_width

CALLS_PER_STEP = 26  # of torch
TAIL_PASSES, COMPILED_PASSES = 15, 7  # over the matrices of a stack in a step's tail

CALL_SECONDS = 4e-6  # on a CPU
CORE_OPERATIONS = 3e10  # per second
THREADS_OF_A_ROW = 4  # that a product of one row keeps busy

CARD_START = 4.0  # seconds: torch's libraries, the context, the first kernels
CARD_STEP = 6e-5  # seconds, recorded
CARD_EPOCH = 4e-3  # seconds of the host
CARD_OPERATIONS = {"float32": 2e13, "tf32": 7e13, "bfloat16": 7e13}  # per second
CARD_BYTES = 3e12  # per second
STACK_ROWS = 128  # of a sweep, whose batches are no larger
WORTH_IT = 2.0  # times as quick as the CPU a GPU must be

COMPILER_START = 10.0  # seconds, the first time


@dataclass(frozen=True)
class Work:
    """What is to be computed: `operations` of products, the `numbers` of theta that the tails of all steps go
    through, the steps of all stacks on a CPU and on a GPU (a card), the stacks here, their epochs there."""

    operations: float
    numbers: float
    cpu_steps: float
    cpu_stacks: int
    card_steps: float
    card_epochs: float

    def cpu_seconds(self, threads: int) -> float:
        at_once = min(threads, self.cpu_stacks if self.cpu_stacks > 1 else THREADS_OF_A_ROW)
        return (self.operations / CORE_OPERATIONS + self.cpu_steps * CALLS_PER_STEP * CALL_SECONDS) / at_once

    def card_seconds(self, precision: str) -> float:
        """Without those of its start."""
        products = self.operations / CARD_OPERATIONS[precision]
        tails = self.numbers * 4 * TAIL_PASSES / CARD_BYTES
        return products + tails + self.card_steps * CARD_STEP + self.card_epochs * CARD_EPOCH

    @property
    def compiling_saves(self) -> float:
        """Seconds of a GPU that a compiled tail saves."""
        return self.numbers * 4 * (TAIL_PASSES - COMPILED_PASSES) / CARD_BYTES


def planned(rows: list[Row], datasets, times: float = 1, at_once: float = STACK_ROWS) -> Work:
    """The work of so many times these rows, of which so many train `at_once`, if all train to their last
    epoch."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.structure, []).append(row)
    each = [_of_group(group, len(group) * times, at_once, datasets) for group in groups.values()]
    return Work(*(sum(values) for values in zip(*(vars(work).values() for work in each), strict=True)))


def _of_group(rows: list[Row], count: float, at_once: float, datasets) -> Work:
    """Of `count` rows like these, which share their structure."""
    row, width = rows[0], theta_width(rows[0], datasets)
    epochs = max(r.experiment.epochs for r in rows)
    cpu_stacks = math.ceil(count / max(1, min(CPU_STACK_ROWS, at_once, CACHE_NUMBERS // width)))
    card_stacks, steps = math.ceil(count / min(STACK_ROWS, at_once)), row.steps * epochs
    return Work(
        operations=6.0 * width * row.batch * steps * count,
        numbers=float(width * steps * count),
        cpu_steps=cpu_stacks * steps,
        cpu_stacks=cpu_stacks,
        card_steps=card_stacks * steps,
        card_epochs=card_stacks * epochs,
    )


@dataclass(frozen=True)
class Place:
    """A device, and why it was taken: empty where it was asked for, or is all that there is."""

    device: torch.device
    why: str = ""


def place(rows: list[Row], datasets, times: float = 1, at_once: float = STACK_ROWS) -> Place:
    """Where rows are trained whose device is `auto`, if such work is to be done so many times.

    Raises `UserError` for a device that is not there, or that cannot compute in the rows' precision.
    """
    e = rows[0].experiment
    chosen = _chosen(rows, datasets, times, at_once)
    refuse_precision(e.precision, chosen.device)
    return chosen


def _chosen(rows: list[Row], datasets, times: float, at_once: float) -> Place:
    e, best = rows[0].experiment, device(rows[0].experiment.device)
    if e.device != "auto" or best.type == "cpu":
        return Place(best)
    if e.precision != "float32":
        return Place(best, f"precision={e.precision} is for a GPU")
    work, threads = planned(rows, datasets, times, at_once), thread_count(e.threads)
    here, there = work.cpu_seconds(threads), CARD_START + work.card_seconds(e.precision)
    pays = here > WORTH_IT * there
    why = f"about {in_words(here)} on the CPU, and {in_words(there)} on the GPU"
    return Place(best if pays else torch.device("cpu"), why)


def in_words(seconds: float) -> str:
    """`0.3 s`, `40 s`, `12 min`, `3.5 h`: no more digits than an estimate has."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.1g} s" if seconds < 10 else f"{seconds:.0f} s"


def compiles(rows: list[Row], datasets, times: float = 1) -> bool:
    """Whether the tail of the steps of these rows, all on one device, is worth compiling."""
    if device(rows[0].experiment.device).type == "cpu":
        return False
    return planned(rows, datasets, times).compiling_saves > COMPILER_START
