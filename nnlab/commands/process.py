"""The process that a command runs in: garbage collection and age."""

import gc
import os
import time


def freeze_imports() -> None:
    """Enable the garbage collector, and exclude from it all that was imported so far.

    cli.py turned the collector off: while torch is imported it takes a tenth of the time and finds nothing.
    """
    gc.freeze()
    gc.enable()


def process_age() -> float:
    """Seconds since this process began; its CPU time where the system does not tell."""
    try:
        with open("/proc/self/stat") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return time.process_time()
