"""Calls that a GPU plays back from a recording, and copies to it that nobody waits for.

A small step is dozens of kernels of a few microseconds each, and Python takes longer to ask for one than the
GPU to run it. A CUDA graph is those kernels, recorded once and started as one. It remembers addresses and no
Python: what is recorded must work on memory that stays where it is, and must not ask for a number.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import torch

from nnlab.errors import Advice

WAITING_STEPS = (
    "a part of this job ({}) reads a number from the GPU in every step, which it then waits for: its steps "
    "are called one by one, and not played back from a recording"
)


def on_card(tensor: torch.Tensor) -> bool:
    """Whether the tensor is in the memory of a GPU."""
    return tensor.device.type == "cuda"


def send(host: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Copy what is on the host into `out`: to a GPU from pinned memory, without waiting for the copy.

    The pinned memory is torch's, which gives it to nobody else before the copy has been made.
    """
    if on_card(out):
        host = host.pin_memory()
    return out.copy_(host, non_blocking=True)


@contextlib.contextmanager
def waits() -> Iterator[list[str]]:
    """Which calls made the host wait for a GPU: files and lines."""
    found, before = [], torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for warning in caught:
        if "called a synchronizing" in str(warning.message):
            found.append(f"{Path(warning.filename).name}:{warning.lineno}")
        elif "prototype" not in str(warning.message):  # what torch says of this mode itself
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


class Recorder:
    """Runs calls by name: on a CPU as they are; on a GPU from the second time on as a recording.

        recorder.run(("steps", 8), calls)

    The first time everything is as it will be later, so that kernels are chosen and workspaces allocated
    before the recording; and what runs only once is never recorded. A name stands for the calls and for all
    addresses that they use. What the calls return is not to be had of a recording.

    Calls that make the host wait, as when a number is read, cannot be recorded. From then on nothing is: all
    calls stay as they are, and an `Advice` says so.
    """

    def __init__(self, like: torch.Tensor):
        self.records = on_card(like)
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph | None] = {}
        self.pool = None  # of memory, which all recordings share: they are played one after another

    def run(self, name: Hashable, calls: Callable[[], object]) -> None:
        if not self.records:
            calls()
        elif name not in self.graphs:
            self.graphs[name] = None
            with waits() as found:
                calls()
            if found:
                self.records = False
                warnings.warn(WAITING_STEPS.format(found[0]), Advice, stacklevel=2)
        else:
            if self.graphs[name] is None:
                self.graphs[name] = self._recorded(calls)
            self.graphs[name].replay()

    def _recorded(self, calls: Callable[[], object]) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            calls()
        self.pool = self.pool or graph.pool()
        return graph
