"""What a worker of a folder does with a job: `running.run`, but what this machine cannot do goes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from nnlab.errors import MachineFault, UserError
from nnlab.jobs import running
from nnlab.jobs.outcome import Outcome
from nnlab.jobs.whole_files import Damaged
from nnlab.jobs.work_loop import Refused

MOST_BYTES_WITHOUT_RECORDS = 2**20


def train(job: bytes, data: Callable[[str], bytes], on_epoch: Callable[[int], None]) -> bytes:
    """The outcome of the job, trained or failed by a bug. What another machine may be able to do raises
    `Refused` or `MachineFault`."""

    def whole_data(key: str) -> bytes:
        try:
            return data(key)
        except Damaged as e:
            raise LookupError(str(e)) from e

    content = running.run(job, whole_data, on_epoch)
    if len(content) <= MOST_BYTES_WITHOUT_RECORDS:
        outcome = Outcome.from_bytes(content)
        if outcome.refused:
            raise Refused(outcome.refused)
        if outcome.fault:
            raise MachineFault(outcome.fault)
    return content


def load(key: str, content: bytes) -> None:
    """Have data ready, for the processes that begin from here on and share them."""
    with contextlib.suppress(UserError):  # the job that needs them says what is wrong
        running.keep_data(key, content)
