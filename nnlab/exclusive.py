"""An iterator that only one thread may use at a time; a second thread gets a `UserError`."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from nnlab.errors import UserError


class Exclusive(Iterator):
    """Yields what `steps` yields. A second thread gets a `UserError`, and the first one is not disturbed."""

    def __init__(self, what: str, steps: Generator):
        self._what, self._steps = what, steps
        self._busy = threading.Lock()
        self._given_up = False

    def __next__(self):
        with self.held() as steps:
            return next(steps)

    @contextmanager
    def held(self) -> Iterator[Generator]:
        """The steps, for this thread alone."""
        if self._given_up:
            raise UserError(f"this {self._what} has been started again, and continues there")
        if not self._busy.acquire(blocking=False):
            raise UserError(
                f"this {self._what} is running in another thread: wait for it, or give each thread a "
                f"{self._what} of its own"
            )
        try:
            yield self._steps
        finally:
            self._busy.release()

    def give_up(self) -> None:
        """End here, since somebody starts again."""
        with self.held() as steps:
            steps.close()
            self._given_up = True
