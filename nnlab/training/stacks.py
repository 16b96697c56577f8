"""Dividing rows into stacks, by memory, cache and processes."""

from __future__ import annotations

from math import ceil
from typing import Literal

from nnlab.autodiff.graph import Graph
from nnlab.experiment import Row, stack_graph
from nnlab.runtime.devices import device

CACHE_ELEMENTS = 2**22  # elements of theta in a stack on a CPU, at most
CPU_STACK_ROWS = 64  # rows in a stack on a CPU, at most
MIN_PROCESS_WORK = 2e9  # elements of theta x examples seen: a few tenths of a second; a fork takes 0.03 s
MEMORY_SHARE = 0.5  # share of a GPU's free memory for one stack
CPU_STACK_BYTES = 2**30  # of a stack of several rows on a CPU: more of large images would not be quicker
# Numbers for each unit and example: in training output, gradient, mask and what a box keeps, in evaluation
# the output, and patches of images (scripts/network_memory.py counts them).
TRAINING_VALUES, EVALUATION_VALUES = 4.2, 1.5
THETA_COPIES = 7  # theta, gradient, scratch, best weights, those of the previous epoch, and some reserve


def divide_into_stacks(
    rows: list[Row],
    datasets,
    processes: int = 1,
    max_rows: int | Literal["auto"] = "auto",
    free_bytes: int | None = None,
    least: float = 1,
) -> list[list[Row]]:
    """Rows of one structure together, in as many stacks as there are processes if that pays, and in at
    `least` so many if there are as many rows.

    A stack holds `max_rows` at most. If that is `auto`: on a CPU as many rows as keep its matrices in cache,
    64 at most; on a GPU with `free_bytes` of memory as many as fit, a power of two, so that stacks have few
    different shapes. How rows are divided changes how long they take, and nothing else.
    """
    groups = {}
    for row in rows:
        groups.setdefault(row.structure, []).append(row)
    all_stacks = []
    for group in groups.values():
        most = max_rows if max_rows != "auto" else _auto_rows(group, datasets, processes, free_bytes)
        share = min(len(group), ceil(least * len(group) / len(rows)))
        count = min(len(group), share * ceil(len(group) / most / share))
        all_stacks += [group[i::count] for i in range(count)]
    return all_stacks


def _auto_rows(group: list[Row], datasets, processes: int, free_bytes: int | None) -> int:
    """How many rows of this group a stack holds, at most."""
    row, width = group[0], theta_width(group[0], datasets)
    if free_bytes is not None:
        fitting = max(1, int(MEMORY_SHARE * free_bytes / stack_bytes(1, row, datasets)))
        return 2 ** (fitting.bit_length() - 1)
    fitting = CPU_STACK_BYTES // stack_bytes(1, row, datasets)
    most = max(1, min(CPU_STACK_ROWS, CACHE_ELEMENTS // width, fitting))
    if width * len(group) * len(row.fold.train) * row.experiment.epochs > MIN_PROCESS_WORK:
        most = min(most, -(-len(group) // processes))
    return most


def graph_of(row: Row, datasets) -> Graph:
    """The network of this row."""
    return stack_graph([row], datasets[row.experiment.data].spec)


def theta_width(row: Row, datasets) -> int:
    """The length of a row of theta, with the padding that aligns its parameters."""
    return graph_of(row, datasets).layout().size


def stack_bytes(rows: int, row: Row, datasets) -> int:
    """An estimate of the bytes of a stack of so many rows like this one: its matrices, and the values of its
    networks, that of training and that of evaluation."""
    e, graph = row.experiment, graph_of(row, datasets)
    matrices = graph.layout().size * (THETA_COPIES + 2 * len(e.optimizer.slots))
    on_gpu = device(e.device).type == "cuda"
    values = sum(
        each * batch * graph.unit_count(batch, on_gpu)
        for each, batch in ((TRAINING_VALUES, row.batch), (EVALUATION_VALUES, row.evaluation_batch))
    )
    number_bytes = 8 if e.dtype == "float64" else 4
    return int(number_bytes * rows * (matrices + values))
