"""Which rows share a stack, and what a stack takes of the memory."""

from __future__ import annotations

import math
from typing import Literal

from nnlab.experiment import Row

CACHE_NUMBERS = 2**22  # of theta in a stack, on a CPU
CPU_STACK_ROWS = 64  # at most
WORTH_A_PROCESS = 2e9  # numbers of theta x examples seen: a few tenths of a second; a fork takes 0.03 s
MEMORY_SHARE = 0.5  # of what is free on a GPU, for a stack
THETA_COPIES = 7  # of theta: itself, gradient, scratch, the best, the previous epoch's, and some room


def stacks(
    rows: list[Row],
    datasets,
    processes: int = 1,
    asked: int | Literal["auto"] = "auto",
    free: int | None = None,
) -> list[list[Row]]:
    """Rows of one structure together, in as many stacks as there are processes if that pays.

    A stack holds as many rows as were `asked` for; else on a CPU so many that its matrices stay in cache, 64
    at most, and on a GPU, of which so many bytes are `free`, as many as fit, a power of two, so that the
    shapes of stacks are few. How rows are divided changes how long they take, and nothing else.
    """
    groups = {}
    for row in rows:
        groups.setdefault(row.structure, []).append(row)
    divided = []
    for group in groups.values():
        most = asked if asked != "auto" else _most(group, datasets, processes, free)
        count = -(-len(group) // most)
        divided += [group[i::count] for i in range(count)]
    return divided


def _most(group: list[Row], datasets, processes: int, free: int | None) -> int:
    row, width = group[0], theta_width(group[0], datasets)
    if free is not None:
        fit = max(1, int(MEMORY_SHARE * free / memory(1, row, datasets)))
        return 2 ** (fit.bit_length() - 1)
    most = max(1, min(CPU_STACK_ROWS, CACHE_NUMBERS // width))
    if width * len(group) * len(row.fold.train) * row.experiment.epochs > WORTH_A_PROCESS:
        most = min(most, -(-len(group) // processes))
    return most


def parameter_count(row: Row, datasets) -> int:
    """How many numbers of this row are trained."""
    return row.experiment.graph(datasets[row.experiment.data].spec).parameter_count


def theta_width(row: Row, datasets) -> int:
    """Numbers in a row of theta, with the room that aligns its parameters: what memory is counted by."""
    return row.experiment.graph(datasets[row.experiment.data].spec).layout().size


def memory(rows: int, row: Row, datasets) -> int:
    """Bytes of a stack of so many rows like this one: its matrices, and its activations, four numbers for
    each unit and example. An estimate."""
    e = row.experiment
    graph = e.graph(datasets[e.data].spec)
    units = sum(math.prod(node.shape) for node in graph.nodes if node.per_example)
    matrices = graph.layout().size * (THETA_COPIES + 2 * len(e.optimizer.slots))
    return (8 if e.dtype == "float64" else 4) * rows * (matrices + 4 * units * max(row.batch, row.evaluated))
