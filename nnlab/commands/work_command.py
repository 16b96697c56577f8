"""Training what `nnlab work` is asked for: the jobs of a sweep's folder, on this machine's cores or its GPU.

Everything here may import torch: work.py imports it once the words are known to be right.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic, sleep

import torch

from nnlab.commands.process import freeze_imports
from nnlab.commands.work_folder import line_to_go_on, refuse_other_versions, sweep_has_ended, tell
from nnlab.errors import MachineFault, UserError
from nnlab.jobs.folder_queue import FolderQueue, QueueSettings
from nnlab.jobs.work_loop import LONGEST_PAUSE, DriverGone, Refused, WorkDone, WorkLoop
from nnlab.jobs.worker_training import load, train
from nnlab.records.text import format_duration
from nnlab.runtime.devices import gpu_available, thread_count


def run(sweep: Path, queue: FolderQueue, threads: int | None, wait: float) -> int:
    """Train until the sweep has ended; 0. Raises `UserError` if this machine cannot, and `MachineFault` if
    the sweep was not heard of for so many seconds."""
    # The processes are forks, which cannot use the threads that this one had started.
    torch.set_num_threads(1)
    processes = threads or (1 if gpu_available() else thread_count("auto"))
    what = "process" if processes == 1 else "processes"
    tell(f"{sweep}: takes its jobs, on {processes} {what}")
    freeze_imports()
    began = monotonic()
    try:
        settings = _settings(sweep, queue, wait)
        done = WorkDone()
        if settings:
            loop = WorkLoop(queue, settings.lease, processes, train, load, wait)
            done = loop.run()
    except Refused as e:
        raise UserError(f"this machine cannot train the jobs of '{sweep}', which wait for others: {e}") from e
    except DriverGone as e:
        raise MachineFault(
            f"nothing was heard of the sweep for {format_duration(wait)}: it was killed, or its machine is "
            f"cut off; to go on: {line_to_go_on(sweep)}, and nnlab work again"
        ) from e
    tell(_what_was_done(done, monotonic() - began))
    return 0


def _settings(sweep: Path, queue: FolderQueue, wait: float) -> QueueSettings | None:
    """Those of the queue, once its driver has begun; None if it has ended instead. Raises `DriverGone`."""
    until = monotonic() + wait
    while (settings := queue.settings()) is None or not queue.driver_said():
        if sweep_has_ended(sweep, queue):
            return None
        if monotonic() > until:
            raise DriverGone
        sleep(LONGEST_PAUSE)
    refuse_other_versions(settings)
    return settings


def _what_was_done(done: WorkDone, seconds: float) -> str:
    jobs = "1 job" if done.jobs == 1 else f"{done.jobs:,} jobs"
    return (
        f"{jobs}, {format_duration(done.seconds)} of training in {format_duration(seconds)}; the sweep has "
        f"no more"
    )
