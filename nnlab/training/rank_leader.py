"""Rank 0 of a fit that several processes train: it runs the whole command, and the others do as it says.

Rows are divided into at least as many stacks as there are ranks, and every rank trains a share of these. To
rank 0 another rank is a worker as a fork is (workers.py): it sends records, results and states, and whatever
follows, checkpoints, files, the screen, is rank 0's alone. That changes no bit of a row, on a CPU.

Fewer rows than ranks are trained by all ranks together, each with a share of every batch (runtime/shares.py).
Then nothing is sent on the lines while they train.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import ceil
from typing import TYPE_CHECKING, Any

from nnlab import interruption
from nnlab.errors import MachineFault, UserError
from nnlab.runtime.ranks import Ranks, ranks
from nnlab.training.fit_state import FitState, StackState
from nnlab.training.rank_lines import lines_to_others
from nnlab.training.rank_messages import Line, LostRank, Message
from nnlab.training.results import Result

if TYPE_CHECKING:
    from nnlab.training.fit import Fit


def leader() -> Leader | None:
    """That of this process, which is rank 0 of several; None if it is alone."""
    own = ranks()
    return _leader_of(own) if own and own.is_first else None


@cache
def _leader_of(own: Ranks) -> Leader:
    return Leader(own)


class Leader:
    """Rank 0, and its lines to the others, which it meets when it has something to say."""

    def __init__(self, own: Ranks):
        self.ranks, self.how_to_resume = own, ""
        self._lines: list[Line] | None = None
        self._offered: dict | None = None

    @property
    def size(self) -> int:
        return self.ranks.size

    @property
    def lines(self) -> list[Line]:
        if self._lines is None:
            self._lines = lines_to_others(self.ranks)
        return self._lines

    def offer(self, fit: Fit) -> None:
        """Let the others make the same fit. Raises `UserError` for what one of them cannot have, such as data
        that are not on its machine."""
        experiments = [replace(e, device=e.device.partition(":")[0]) for e in fit.experiments]
        offer = {
            "experiments": [e.as_config() for e in experiments],
            "fingerprints": [fit.cache.fingerprint(e) for e in fit.experiments],
            "predictions": fit.keep,
        }
        if offer == self._offered:
            return
        self._offered = offer
        for line in self.lines:
            line.send(Message("fit", offer))
        for line in self.lines:
            answer = line.receive()
            if answer.kind == "refused":
                raise UserError(f"{line.name}: {answer.value}")
            if answer.kind == "fault":
                raise MachineFault(f"{line.name}: {answer.value}")
            if answer.kind == "error":
                raise RuntimeError(f"{line.name} failed:\n{answer.value}")

    def begin(
        self, fit: Fit, is_refit: bool, stacks: Sequence[StackState], results: list[Result]
    ) -> tuple[list[StackState], list[Peer]]:
        """Let each of the others train a share of these stacks: they are workers now. Returns the stacks as
        they are divided, those of rank 0 first, then those of each of the others.

        The `results` are those of the rows' first training, if they are trained again.
        """
        self.offer(fit)
        peers: list[Peer] = []
        all_shares = [[*stacks]] * self.size
        if not fit.shares_batches:
            all_shares = shares(_divided(stacks, self.size, fit), self.size)
        for line, share in zip(self.lines, all_shares[1:], strict=True):
            rows = {row for stack in share for row in stack.rows}
            past = tuple(_past_alone(result) for result in results if is_refit and result.row in rows)
            how = {"resume": self.how_to_resume, "shares_batches": fit.shares_batches}
            line.send(Message("train", how, FitState(is_refit, tuple(share), past)))
            if fit.shares_batches:
                continue
            peers.append(Peer(line, len(share)))
        return [stack for share in all_shares[: 1 + len(peers)] for stack in share], peers

    def reported(self) -> Exception | None:
        """What a rank has said of itself before it left those with which it shared batches."""
        for line in self.lines:
            with contextlib.suppress(LostRank):
                while line.has_message():
                    message = line.receive()
                    if message.kind == "error":
                        return RuntimeError(f"{line.name} failed:\n{message.value}")
                    if message.kind in ("fault", "refused"):
                        return MachineFault(f"{line.name}: {message.value}")
        return None

    def end(self, code: int) -> None:
        """The command has ended: the others exit with the same code."""
        try:
            lines = self.lines
        except MachineFault:
            return  # they were never there
        for line in lines:
            try:
                line.send(Message("end", code))
            except LostRank:
                continue
        if not code:  # otherwise something may still be under way on a card, for which that would wait
            self.ranks.close()


def shares(stacks: Sequence, size: int) -> list[list]:
    """The stacks of each of so many ranks."""
    return [[*stacks[rank::size]] for rank in range(size)]


def _divided(stacks: Sequence[StackState], size: int, fit: Fit) -> list[StackState]:
    """The stacks in at least as many parts as there are ranks: a resumed fit may have been on fewer."""
    live = [len(stack.snapshot.values["left"] if stack.snapshot else stack.rows) for stack in stacks]
    total, parts = max(1, sum(live)), []
    refitted = {row.number for row in fit.rows if row.experiment.refit}
    for stack, count in zip(stacks, live, strict=True):
        parts += stack.divided(max(1, min(count, ceil(size * count / total))), refitted)
    return parts


def _past_alone(result: Result) -> Result:
    """What another training of the row needs: the epochs to repeat, and the calibration."""
    return replace(result, best={}, test={}, weights={}, normalizer={}, predictions={})


class Peer:
    """Another rank as a worker of rank 0, while it trains its share."""

    def __init__(self, line: Line, stacks: int):
        self.line, self.stacks = line, stacks
        self._arrived: deque[tuple[str, Any]] = deque()
        self._is_lost = False

    def has_message(self, seconds: float) -> bool:
        if not self._arrived:
            self._look(seconds)
        return bool(self._arrived)

    def receive(self) -> tuple[str, Any]:
        return self._arrived.popleft()

    def send(self, value: object) -> None:
        self._tell("states")

    def interrupt(self) -> None:
        self._tell("stop")

    def is_lost(self) -> bool:
        self._look(0)
        return self._is_lost

    def _tell(self, kind: str) -> None:
        if not self._is_lost:
            try:
                self.line.send(Message(kind))
            except LostRank as fault:
                self._lose(fault)

    def _look(self, seconds: float) -> None:
        """Take in what has come, or comes within so many seconds."""
        try:
            while not self._is_lost and self.line.has_message(seconds):
                self._take(self.line.receive())
                seconds = 0
        except LostRank as fault:
            self._lose(fault)

    def _lose(self, fault: LostRank) -> None:
        self._is_lost = True
        self._arrived.append(("fault", str(fault)))

    def _take(self, message: Message) -> None:
        kind = message.kind
        if kind == "signal":
            interruption.request_stop(message.value)
        elif kind == "progress":
            self._arrived.append((kind, (message.record, [*message.state.results])))
        elif kind == "states":
            self._arrived.append((kind, message.states()))
        elif kind in ("fault", "refused"):
            self._arrived.append(("fault", f"{self.line.name}: {message.value}"))
        else:
            self._arrived.append((kind, message.value))
