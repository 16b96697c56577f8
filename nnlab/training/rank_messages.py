"""Messages between the ranks of a fit, and the lines on which they travel: arrays and JSON, never a pickle.

    fit      to a rank    the experiments of a fit, and the fingerprints of their data: make the same fit
    ready    to rank 0    it is made; or `refused`, a sentence
    train    to a rank    the stacks that it is to train, each from its snapshot on
    progress to rank 0    the record of an epoch, and the results of the rows that ended with it
    states   to a rank    a checkpoint is due; to rank 0: the states of its stacks
    stop     to a rank    end with the step under way
    signal   to rank 0    somebody has sent this rank the signal of that number
    waiting  to rank 0    all its stacks have ended; or `fault`, a sentence; or `error`, a traceback
    end      to a rank    exit with that code

Rank 0 alone decides what happens; whatever it asks of a rank that has nothing to train is of the past.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing.connection import Connection

from nnlab.errors import MachineFault
from nnlab.runtime.packed import pack, unpack
from nnlab.runtime.ranks import GONE
from nnlab.training.checkpointing import StackStates
from nnlab.training.fit_state import FitState, StackState
from nnlab.training.record_arrays import records_from_arrays, records_to_arrays
from nnlab.training.results import Record, Result

# A message is a fit's state, and records, of which most messages have none.
STATE, RECORDS = "state/", "records/"


@dataclass(frozen=True)
class Message:
    """What one rank tells another: `value` is what JSON can say."""

    kind: str
    value: object = None
    state: FitState = FitState(False, (), ())
    record: Record | None = None

    def to_bytes(self) -> bytes:
        arrays, state = self.state.to_arrays()
        record_arrays, records = records_to_arrays([self.record] if self.record else [])
        named = {STATE + name: array for name, array in arrays.items()}
        named |= {RECORDS + name: array for name, array in record_arrays.items()}
        return pack(named, {"kind": self.kind, "value": self.value, "state": state, "records": records})

    @classmethod
    def from_bytes(cls, content: bytes) -> Message:
        arrays, values = unpack(content)
        state, records = (
            {name.removeprefix(part): array for name, array in arrays.items() if name.startswith(part)}
            for part in (STATE, RECORDS)
        )
        record = next(iter(records_from_arrays(records, values["records"])), None)
        return cls(values["kind"], values["value"], FitState.from_arrays(state, values["state"]), record)

    @classmethod
    def of_output(cls, record: Record | None, ended: list[Result]) -> Message:
        return cls("progress", state=FitState(False, (), tuple(ended)), record=record)

    @classmethod
    def of_states(cls, states: StackStates) -> Message:
        """Whose rows they are, rank 0 knows."""
        stacks = [
            StackState(tuple(snapshot.values["rows"]) if snapshot else (), snapshot)
            for snapshot in states.snapshots
        ]
        return cls("states", states.is_last, FitState(False, tuple(stacks), ()))

    def states(self) -> StackStates:
        """The inverse of `of_states`."""
        return StackStates([stack.snapshot for stack in self.state.stacks], self.value)


class LostRank(MachineFault):
    """Another rank has ended, or its machine is lost."""


class Line:
    """A line to another rank. All methods raise `LostRank` once that is gone."""

    def __init__(self, connection: Connection, rank: int, size: int):
        self.connection, self.name = connection, f"rank {rank} of {size}"
        # A fork that outlives this rank must not keep its line open.
        os.register_at_fork(after_in_child=connection.close)

    def send(self, message: Message) -> None:
        try:
            self.connection.send_bytes(message.to_bytes())
        except (OSError, EOFError) as error:
            raise self.lost() from error

    def has_message(self, seconds: float = 0.0) -> bool:
        """Whether a message, or the end of the line, comes within so many seconds."""
        try:
            return self.connection.poll(seconds)
        except OSError as error:
            raise self.lost() from error

    def receive(self) -> Message:
        """The next message; waits for it."""
        try:
            return Message.from_bytes(self.connection.recv_bytes())
        except (OSError, EOFError) as error:
            raise self.lost() from error

    def lost(self) -> LostRank:
        return LostRank(f"{self.name} {GONE}")

    def close(self) -> None:
        self.connection.close()
