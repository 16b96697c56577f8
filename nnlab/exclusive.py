"""Iterators that one thread at a time may ask: of two, Python says `generator already executing`."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from nnlab.errors import UserError


class Exclusive(Iterator):
    """What `steps` yields. Who asks while another thread does gets a `UserError`, and that one goes on."""

    def __init__(self, what: str, steps: Generator):
        self._what, self._steps = what, steps
        self._busy, self._given_up = threading.Lock(), False

    def __next__(self):
        with self.held() as steps:
            return next(steps)

    @contextmanager
    def held(self) -> Iterator[Generator]:
        """The steps, for this thread alone."""
        if self._given_up:
            raise UserError(f"this {self._what} was begun once more, and goes on there")
        if not self._busy.acquire(blocking=False):
            raise UserError(
                f"this {self._what} is under way in another thread: wait for that one, or give each thread a "
                f"{self._what} of its own"
            )
        try:
            yield self._steps
        finally:
            self._busy.release()

    def give_up(self) -> None:
        """End here, since somebody begins once more."""
        with self.held() as steps:
            steps.close()
            self._given_up = True
