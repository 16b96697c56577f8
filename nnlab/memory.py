"""Memory: what training will take, counted from sizes before it begins, and what there is."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import torch

from nnlab.data.batches import CHUNK
from nnlab.errors import UserError
from nnlab.experiment import Row
from nnlab.stacks import memory, parameters

CHUNK_COPIES = 3  # of a chunk of examples: gathered, normalised, laid out


def needed(stacks: list[list[Row]], datasets, at_once: int) -> int:
    """Bytes that training these stacks takes beside what the process has: data on their device, matrices
    and activations of the largest stacks that train `at_once`, the best weights of every row."""
    takes = sorted((_of_stack(rows, datasets) for rows in stacks), reverse=True)
    kept = sum(_number(rows[0]) * len(rows) * parameters(rows[0], datasets) for rows in stacks)
    return sum(takes[:at_once]) + kept + _placed(stacks, datasets)


def refuse_too_large(count: int, what: str, instead: str, where: torch.device) -> None:
    """Raise `UserError` if so many bytes are not to be had on the device."""
    there = available() if where.type == "cpu" else torch.cuda.mem_get_info(where)[0]
    if there is not None and count > there:
        wanted, left = in_bytes(count), in_bytes(max(0, there))
        raise UserError(f"{what} needs about {wanted} of memory, and there are {left}: {instead}")


def available() -> int | None:
    """Bytes that this process may still take: by the machine, its control group and its own limit; None if
    the system does not say."""
    known = [count for count in (_of_machine(), _of_group(), _of_limit()) if count is not None]
    return min(known, default=None)


def resident() -> int:
    """Bytes of memory that this process has; 0 if the system does not say."""
    return _pages(1)


def in_bytes(n: float) -> str:
    """1234567 as `1.2 MB`."""
    units = ("bytes", "KB", "MB", "GB", "TB", "PB")
    power = min(len(units) - 1, max(0, (len(str(int(n))) - 1) // 3))
    n = n / 1000**power
    return f"{n:.0f} {units[power]}" if n >= 10 or power == 0 else f"{n:.1f} {units[power]}"


def _number(row: Row) -> int:
    return 8 if row.experiment.dtype == "float64" else 4


def _of_stack(rows: list[Row], datasets) -> int:
    """Its matrices and activations, and a chunk of examples for each order in which they come."""
    orders = len({(row.seed, row.fold.key) for row in rows})
    row = rows[0]
    table = len(row.fold.train) * datasets[row.experiment.data].sizes[0]
    chunk = CHUNK_COPIES * orders * min(CHUNK, table) * _number(row)
    return memory(len(rows), row, datasets) + chunk


def _placed(stacks: list[list[Row]], datasets) -> int:
    """Every data set once on its device, and each fold's sets for evaluation, normalised."""
    tables, sets = {}, {}
    for rows in stacks:
        for row in rows:
            e = row.experiment
            inputs, outputs = datasets[e.data].sizes
            width = _number(row) * (inputs + outputs)
            tables[e.data, e.dtype] = width * len(datasets[e.data].x)
            evaluated = len(row.fold.validation) + len(row.fold.test)
            sets[e.data, e.split, e.dtype, row.fold.key] = width * evaluated
    return sum(tables.values()) + sum(sets.values())


def _of_machine() -> int | None:
    with contextlib.suppress(OSError, KeyError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        said = {line.split(":")[0]: line.split()[1] for line in lines}
        return int(said["MemAvailable"]) * 1024
    return None


def _of_group(root: Path = Path("/sys/fs/cgroup"), of: Path = Path("/proc/self/cgroup")) -> int | None:
    """What the control group leaves, or the tightest of those above it (version 2; else version 1)."""
    left = []
    with contextlib.suppress(OSError, ValueError):
        for line in of.read_text().splitlines():
            _, controllers, inside = line.split(":", 2)
            if controllers == "":
                place, names = root / inside.lstrip("/"), ("memory.max", "memory.current")
            elif "memory" in controllers.split(","):
                place = root / "memory" / inside.lstrip("/")
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            else:
                continue
            for folder in (place, *place.parents):
                with contextlib.suppress(OSError, ValueError):
                    most, used = (int((folder / name).read_text()) for name in names)
                    left.append(most - used)
                if folder == root:
                    break
    return min(left, default=None)


def _of_limit() -> int | None:
    """What `ulimit -v` leaves of the address space."""
    try:
        import resource
    except ImportError:  # not on this system
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft - _pages(0)


def _pages(column: int) -> int:
    """Of /proc/self/statm: 0 is the address space, 1 is what is in memory; bytes."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[column]) * os.sysconf("SC_PAGE_SIZE")
    return 0
