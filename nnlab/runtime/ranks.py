"""The processes that train one run together, as torchrun starts them; `ranks()` is None in one that is alone.

    torchrun --no-python --nproc-per-node=2 nnlab train batch_size=4096

Each is a rank: 0, 1, ... of `size`. They all run the same program and call the same methods in the same
order, or wait for each other until the time is up. Tensors are summed by gloo on a CPU, by nccl on cards;
bytes always travel by gloo. A rank that is lost becomes a `MachineFault` in all others, which names it if
that can be known.

Nothing here imports torch before it is needed, so that a command may ask `ranks()` before anything else.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from nnlab import interruption
from nnlab.errors import MachineFault, UserError

if TYPE_CHECKING:
    import torch

# What torchrun tells each process; all of it, or the process is alone.
NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")
ATTEMPT = "TORCHELASTIC_RESTART_COUNT"
# How long a rank waits for the others to start, and for what they are to send: they may test or save first.
START_SECONDS, WAIT_SECONDS = 300.0, 1800.0
ROLL_CALL_SECONDS = 3.0  # for the ranks that are left to say so, once one is lost
CARD_SECONDS = 5.0  # for a card to end its work, after a signal to stop, before ranks look for each other
POLL_SECONDS = 5e-4
GONE = "is gone: it failed, was killed, or its machine is lost"  # of a rank
# Of torch: only errors on the screen; and what is to be done where a rank is lost is decided here.
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR", "TORCH_NCCL_ASYNC_ERROR_HANDLING": "0"}


def ranks() -> Ranks | None:
    """This process among those of torchrun; None if it is alone. Raises `UserError` for impossible ones."""
    values = tuple(os.environ.get(name) for name in (*NUMBERS, *ADDRESS))
    return _ranks(*values) if None not in values else None


@lru_cache
def _ranks(*values: str) -> Ranks | None:
    for name, value in zip(NUMBERS, values, strict=False):
        if not (value.isascii() and value.isdecimal()):
            raise UserError(
                f"{name} = '{value}' in the environment: expected a whole number, as torchrun sets it"
            )
    rank, size, local_rank = map(int, values[: len(NUMBERS)])
    if size > 1 and rank >= size:
        raise UserError(f"RANK = {rank} in the environment: expected less than WORLD_SIZE = {size}")
    if size < 2:
        return None
    for name, value in QUIET.items():  # which torch reads when it is imported
        os.environ.setdefault(name, value)
    return Ranks(rank, size, local_rank)


@dataclass(eq=False)
class Ranks:
    """This process's rank, how many there are, and its number among those of this machine.

    The processes find each other in the first call that needs it, which waits for all of them.
    """

    rank: int
    size: int
    local_rank: int
    _store: object = field(default=None, repr=False)  # which all ranks read and write
    _lost: MachineFault | None = field(default=None, repr=False)  # nothing works after it

    @property
    def local_size(self) -> int:
        """How many of them are on this machine."""
        told = os.environ.get("LOCAL_WORLD_SIZE", "")
        return int(told) if told.isascii() and told.isdecimal() and int(told) else self.size

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which prints and writes."""
        return self.rank == 0

    @property
    def captures(self) -> bool:
        """Whether sums of tensors on cards may be captured in a CUDA graph: those by nccl."""
        from torch import distributed

        return distributed.is_nccl_available()

    @property
    def has_lost_one(self) -> bool:
        """Whether some rank is known to be lost: then no call of several ranks works any more."""
        return self._lost is not None

    def take_card(self) -> None:
        """Let `device=cuda` be this rank's own card, before anything lies on one. Nothing without cards.

        Raises `UserError` if there are fewer cards than ranks on this machine.
        """
        import torch

        cards = torch.cuda.device_count()
        if cards and self.local_rank >= cards:
            raise UserError(
                f"rank {self.rank} is the {self.local_rank + 1}. on this machine, which has "
                f"{cards} card{'s' * (cards != 1)}: "
                f"torchrun --nproc-per-node={cards}, or device=cpu"
            )
        if cards:
            torch.cuda.set_device(self.local_rank)

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum a dense tensor over all ranks, in place: the same bits on each. Returns it."""
        with self._talking() as distributed:
            distributed.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on some rank: a decision that all of them must take alike."""
        import torch

        return bool(self.all_reduce(torch.tensor([int(flag)]))[0])

    def gather_bytes(self, content: bytes) -> list[bytes]:
        """What every rank gave, in their order, on rank 0; on the others an empty list."""
        lengths = self._lengths(content)
        with self._talking() as distributed:
            if not self.is_first:
                if content:
                    distributed.send(_as_tensor(content), 0)
                return []
            contents = [content]
            for rank in range(1, self.size):
                received = _as_tensor(bytes(lengths[rank]))
                if lengths[rank]:
                    distributed.recv(received, rank)
                contents.append(received.numpy().tobytes())
            return contents

    def broadcast_bytes(self, content: bytes = b"") -> bytes:
        """What rank 0 gave, on every rank; what others give is ignored."""
        length = self._lengths(content)[0]
        if not length:
            return b""
        buffer = _as_tensor(content if self.is_first else bytes(length))
        with self._talking() as distributed:
            distributed.broadcast(buffer, 0)
        return content if self.is_first else buffer.numpy().tobytes()

    def exchange_bytes(self, content: bytes) -> list[bytes]:
        """What every rank gave, in their order, on every rank."""
        lengths = self._lengths(content)
        gathered = self.broadcast_bytes(b"".join(self.gather_bytes(content)))
        ends = [sum(lengths[: rank + 1]) for rank in range(self.size)]
        return [gathered[end - length : end] for end, length in zip(ends, lengths, strict=True)]

    def wait_for_card(self) -> None:
        """Wait until this rank's card has done what it was asked for. Raises `MachineFault` if it never will,
        since another rank is lost: nobody could wait for it in a call of CUDA, which hears no signal."""
        import torch

        done, stopped = torch.cuda.Event(), 0.0
        done.record()
        while not done.query():
            time.sleep(POLL_SECONDS)
            if not interruption.stop_requested():
                continue
            stopped = stopped or time.monotonic()
            if time.monotonic() - stopped > CARD_SECONDS:
                stopped = time.monotonic()
                if gone := self._absent("waits"):
                    self._lost = self._of_gone(gone)
                    self._abort()
                    raise self._lost

    def close(self) -> None:
        """Leave the others; they must not wait for this one any more."""
        from torch import distributed

        if distributed.is_initialized():
            with contextlib.suppress(RuntimeError):
                distributed.destroy_process_group()
        self._store = None

    def _lengths(self, content: bytes) -> list[int]:
        """How many bytes each rank has."""
        import torch

        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(content)
        return self.all_reduce(lengths).tolist()

    @contextlib.contextmanager
    def _talking(self) -> Iterator:
        """Yields torch.distributed, begun. What it raises within is the loss of a rank: a `MachineFault`."""
        from torch import distributed

        if self._lost:
            raise self._lost
        try:
            if not distributed.is_initialized():
                self._begin(distributed)
            yield distributed
        except RuntimeError as error:  # of which torch's own errors of the network are kinds
            self._lost = self._fault(error)
            raise self._lost from error

    def _begin(self, distributed) -> None:
        """Find the other ranks."""
        import torch

        start = timedelta(seconds=START_SECONDS)
        store, rank, size = next(distributed.rendezvous("env://", timeout=start))
        # torchrun may start all processes again, beside what earlier ones have left in the store.
        self._store = distributed.PrefixStore(f"nnlab {os.environ.get(ATTEMPT, '')}", store)
        on_cards = torch.cuda.is_available() and distributed.is_nccl_available()
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_cards else "gloo",
            store=self._store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=WAIT_SECONDS),
        )

    def _fault(self, error: RuntimeError) -> MachineFault:
        """The loss of a rank in a sentence."""
        message = " ".join(str(error).split())
        if self._store is None:
            return MachineFault(f"rank {self.rank} of {self.size} did not find the others: {message}")
        self._abort()  # so that whoever waits for this rank notices that one is lost
        if gone := self._absent("left"):
            return self._of_gone(gone)
        return MachineFault(f"rank {self.rank} of {self.size} lost touch with another: {message}")

    def _of_gone(self, gone: list[int]) -> MachineFault:
        if len(gone) == 1:
            return MachineFault(f"rank {gone[0]} of {self.size} {GONE}")
        return MachineFault(f"ranks {', '.join(map(str, gone))} of {self.size} are gone")

    def _abort(self) -> None:
        """End all that this rank waits for, on its card too, where it would go on for ever."""
        from torch.distributed import distributed_c10d

        if distributed_c10d.is_initialized():
            # Not of torch's public functions, which wait for the card: another torch may lack it.
            abort = getattr(distributed_c10d, "_abort_process_group", None)
            with contextlib.suppress(Exception):
                (abort or distributed_c10d.destroy_process_group)()

    def _absent(self, word: str) -> list[int]:
        """The ranks that do not say the same word within seconds."""
        store, others = self._store, set(range(self.size)) - {self.rank}
        end = time.monotonic() + ROLL_CALL_SECONDS
        try:
            store.set(f"nnlab {word} {self.rank}", b"1")
            while others and time.monotonic() < end:
                others -= {rank for rank in others if store.check([f"nnlab {word} {rank}"])}
                time.sleep(0.05)
        except RuntimeError:  # the store was in rank 0, or on its machine
            return [0]
        return sorted(others)


def _as_tensor(content: bytes) -> torch.Tensor:
    """A copy of the bytes as numbers, (n,) uint8."""
    import torch

    return (
        torch.frombuffer(bytearray(content), dtype=torch.uint8)
        if content
        else torch.empty(0, dtype=torch.uint8)
    )
