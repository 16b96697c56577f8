"""Memory that this machine has left for this process."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from nnlab.errors import UserError


def available() -> int | None:
    """Bytes that this process may still take: by the machine, its control group and its own limit; None if
    the system does not say."""
    known = [count for count in (_of_machine(), _of_group(), _of_limit()) if count is not None]
    return min(known, default=None)


def resident() -> int:
    """Bytes of memory that this process has; 0 if the system does not say."""
    return _pages(1)


def refuse_too_large(what: str, needed: int) -> None:
    """Raise `UserError` if `what` is to be read needs more than half of the memory that is left."""
    free = available()
    if free is not None and needed > free / 2:
        raise UserError(f"{what}; this machine has {in_bytes(free)} left")


def in_bytes(n: float) -> str:
    """1234567 as `1.2 MB`."""
    units = ("bytes", "KB", "MB", "GB", "TB", "PB")
    power = min(len(units) - 1, max(0, (len(str(int(n))) - 1) // 3))
    n = n / 1000**power
    return f"{n:.0f} {units[power]}" if n >= 10 or power == 0 else f"{n:.1f} {units[power]}"


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
