"""Main memory: what is available to this process, what it uses, and sizes in words."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path

from nnlab.errors import UserError


def available_memory() -> int | None:
    """Bytes that this process may still take, by the machine, its control group and its own limit; None if
    the system does not tell."""
    limits = _machine_available(), _cgroup_available(), _ulimit_available()
    return min((count for count in limits if count is not None), default=None)


def resident_memory() -> int:
    """Bytes of main memory that this process uses; 0 if the system does not tell."""
    return _statm_bytes(1)


def processor_name() -> str:
    """`2 cores of AMD EPYC 9R14`: this machine's processor, as far as the system tells."""
    name = platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{os.cpu_count()} cores of {name}"


def refuse_too_large(what: str, needed: int) -> None:
    """Raise `UserError` if reading `what` needs more than half of the available memory."""
    free = available_memory()
    if free is not None and needed > free / 2:
        raise UserError(f"{what}; this machine has {in_bytes(free)} left")


def in_bytes(n: float) -> str:
    """1234567 as `1.2 MB`."""
    units = ("bytes", "KB", "MB", "GB", "TB", "PB")
    power = min(len(units) - 1, max(0, (len(str(int(n))) - 1) // 3))
    n = n / 1000**power
    return f"{n:.0f} {units[power]}" if n >= 10 or power == 0 else f"{n:.1f} {units[power]}"


def _machine_available() -> int | None:
    with contextlib.suppress(OSError, KeyError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = {line.split(":")[0]: line.split()[1] for line in lines}
        return int(kilobytes["MemAvailable"]) * 1024
    return None


def _cgroup_available(
    root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> int | None:
    """The least memory left in the process's control group and those above it (version 2 or 1)."""
    available = []
    with contextlib.suppress(OSError, ValueError):
        for line in membership.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                folder, names = root / group.lstrip("/"), ("memory.max", "memory.current")
            elif "memory" in controllers.split(","):
                folder = root / "memory" / group.lstrip("/")
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            else:
                continue
            for level in (folder, *folder.parents):
                with contextlib.suppress(OSError, ValueError):
                    limit, used = (int((level / name).read_text()) for name in names)
                    available.append(limit - used)
                if level == root:
                    break
    return min(available, default=None)


def _ulimit_available() -> int | None:
    """The address space left by `ulimit -v`."""
    try:
        import resource
    except ImportError:  # not on this system
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft - _statm_bytes(0)


def _statm_bytes(column: int) -> int:
    """A column of /proc/self/statm in bytes: 0 is the address space, 1 the resident memory."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[column]) * os.sysconf("SC_PAGE_SIZE")
    return 0
