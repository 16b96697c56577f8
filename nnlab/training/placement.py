"""Placement: whether `device: auto` means the CPU or a GPU, by an estimate of the work to do.

A GPU takes seconds before its first step and then has hundreds of times a core's arithmetic. So it is worth
it where the CPU would take much longer than those seconds. The constants were measured on the machines that
docs/log.md names and are the same everywhere, so that equal jobs are trained on the same kind of device. They
decide nothing but the device, and whether the tail of a step is compiled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nnlab.experiment import Row
from nnlab.runtime.devices import device, thread_count
from nnlab.runtime.precision import refuse_precision
from nnlab.training.stacks import CACHE_ELEMENTS, CPU_STACK_ROWS, graph_of, theta_width

CALLS_PER_STEP = 26  # calls of torch
TAIL_PASSES, COMPILED_PASSES = 15, 7  # passes over the matrices of a stack in a step's tail

CALL_SECONDS = 4e-6  # on a CPU
CORE_OPERATIONS = 3e10  # per second
THREADS_PER_ROW = 4  # how many a product of one row keeps busy

GPU_START_SECONDS = 4.0  # torch's libraries, the context, the first kernels
GPU_STEP_SECONDS = 6e-5  # replayed from a CUDA graph
GPU_EPOCH_SECONDS = 4e-3  # work of the host in an epoch
GPU_OPERATIONS = {"float32": 2e13, "tf32": 7e13, "bfloat16": 7e13}  # per second
GPU_BYTES = 3e12  # per second
STACK_ROWS = 128  # in a stack on a GPU; a sweep's batches of trials are no larger
MIN_GPU_SPEEDUP = 2.0  # how many times as quick as the CPU a GPU must be

COMPILER_SECONDS = 10.0  # the first time


@dataclass(frozen=True)
class Work:
    """The work of a job, and into how many steps, stacks and epochs of stacks either device divides it."""

    operations: float  # floating-point operations in matrix products
    parameter_updates: float  # elements of theta, times steps
    cpu_steps: float
    cpu_stacks: int
    gpu_steps: float
    gpu_epochs: float

    def cpu_seconds(self, threads: int) -> float:
        parallelism = min(threads, self.cpu_stacks if self.cpu_stacks > 1 else THREADS_PER_ROW)
        calls = self.cpu_steps * CALLS_PER_STEP
        return (self.operations / CORE_OPERATIONS + calls * CALL_SECONDS) / parallelism

    def gpu_seconds(self, precision: str) -> float:
        """Without the seconds before the first step."""
        products = self.operations / GPU_OPERATIONS[precision]
        tails = self.parameter_updates * 4 * TAIL_PASSES / GPU_BYTES
        host = self.gpu_steps * GPU_STEP_SECONDS + self.gpu_epochs * GPU_EPOCH_SECONDS
        return products + tails + host

    @property
    def compiling_saves(self) -> float:
        """Seconds that a compiled tail saves on a GPU."""
        return self.parameter_updates * 4 * (TAIL_PASSES - COMPILED_PASSES) / GPU_BYTES


def estimate_work(rows: list[Row], datasets, repeats: float = 1, parallel_rows: float = STACK_ROWS) -> Work:
    """The work of `repeats` times these rows, `parallel_rows` of which train together, if all of them reach
    their last epoch."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.structure, []).append(row)
    works = [_group_work(group, len(group) * repeats, parallel_rows, datasets) for group in groups.values()]
    return Work(*(sum(values) for values in zip(*(vars(work).values() for work in works), strict=True)))


def _group_work(rows: list[Row], count: float, parallel_rows: float, datasets) -> Work:
    """The work of `count` rows like these, which share their structure."""
    row, width = rows[0], theta_width(rows[0], datasets)
    work = max(graph_of(row, datasets).multiply_adds, width)  # of an example; a bias is work too
    epochs = max(r.experiment.epochs for r in rows)
    cpu_stacks = math.ceil(count / max(1, min(CPU_STACK_ROWS, parallel_rows, CACHE_ELEMENTS // width)))
    gpu_stacks, steps = math.ceil(count / min(STACK_ROWS, parallel_rows)), row.steps * epochs
    return Work(
        operations=6.0 * work * row.batch * steps * count,  # two for each, forward and for two gradients
        parameter_updates=float(width * steps * count),
        cpu_steps=cpu_stacks * steps,
        cpu_stacks=cpu_stacks,
        gpu_steps=gpu_stacks * steps,
        gpu_epochs=gpu_stacks * epochs,
    )


@dataclass(frozen=True)
class Placement:
    """A device, and the reason for it: empty where the user named the device, or there is no other."""

    device: torch.device
    reason: str = ""


def choose_placement(
    rows: list[Row], datasets, repeats: float = 1, parallel_rows: float = STACK_ROWS
) -> Placement:
    """The device for rows with this `device` setting, if there is `repeats` times their work to do.

    Raises `UserError` for a device that is not there, or that cannot compute in the rows' precision.
    """
    placement = _choose(rows, datasets, repeats, parallel_rows)
    refuse_precision(rows[0].experiment.precision, placement.device)
    return placement


def choose_placements(rows: list[Row], datasets, repeats: float) -> dict[str, Placement]:
    """The placement of rows for each value of `device` in their experiments; see `choose_placement`."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.experiment.device, []).append(row)
    return {name: choose_placement(group, datasets, repeats) for name, group in groups.items()}


def _choose(rows: list[Row], datasets, repeats: float, parallel_rows: float) -> Placement:
    e, best = rows[0].experiment, device(rows[0].experiment.device)
    if e.device != "auto" or best.type == "cpu":
        return Placement(best)
    if e.precision != "float32":
        return Placement(best, f"precision={e.precision} is for a GPU")
    work = estimate_work(rows, datasets, repeats, parallel_rows)
    on_cpu, on_gpu = (
        work.cpu_seconds(thread_count(e.threads)),
        GPU_START_SECONDS + work.gpu_seconds(e.precision),
    )
    reason = f"about {duration_text(on_cpu)} on the CPU, and {duration_text(on_gpu)} on the GPU"
    return Placement(best if on_cpu > MIN_GPU_SPEEDUP * on_gpu else torch.device("cpu"), reason)


def duration_text(seconds: float) -> str:
    """`0.3 s`, `40 s`, `12 min`, `3.5 h`, `280 h`: no more digits than an estimate has."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return (
                f"{seconds / size:.2g} {unit}" if seconds < 99.5 * size else f"{seconds / size:,.0f} {unit}"
            )
    return f"{seconds:.1g} s" if seconds < 9.5 else f"{seconds:.0f} s"


def worth_compiling(rows: list[Row], datasets, repeats: float = 1) -> bool:
    """Whether compiling the tail of the steps of these rows, all on one device, saves time."""
    if device(rows[0].experiment.device).type == "cpu":
        return False
    return estimate_work(rows, datasets, repeats).compiling_saves > COMPILER_SECONDS
