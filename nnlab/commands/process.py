"""The process that a command runs in: its garbage, its age."""

import gc
import os
import time


def imports_are_done() -> None:
    """Look for garbage from now on, and not among what was imported, all of which stays.

    cli.py turned the collector off: while torch is imported it takes a tenth of the time and finds nothing.
    """
    gc.freeze()
    gc.enable()


def seconds_of_process() -> float:
    """Since this process began, as far as the system says; else since it began to compute."""
    try:
        with open("/proc/self/stat") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return time.process_time()
