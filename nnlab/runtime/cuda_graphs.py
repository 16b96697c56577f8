"""CUDA graphs: calls that are captured once and replayed; and asynchronous copies to the GPU.

A small step is dozens of kernels of a few microseconds each, and Python takes longer to ask for one than the
GPU to run it. A CUDA graph is those kernels, captured once and launched as one. It keeps addresses and no
Python: captured calls must work on memory that does not move, and must not read a value on the host.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import torch

from nnlab.errors import advise

SYNC_ADVICE = (
    "a part of this job ({}) reads a number from the GPU in every step, which it then waits for: its steps "
    "are called one by one, and not replayed as a CUDA graph"
)


def is_cuda(tensor: torch.Tensor) -> bool:
    """Whether the tensor is in the memory of a GPU."""
    return tensor.device.type == "cuda"


def copy_from_host(host: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Copy a tensor on the host into `out`: to a GPU from pinned memory, without waiting for the copy.

    Torch owns the pinned memory, and does not reuse it before the copy has been made.
    """
    if is_cuda(out):
        host = host.pin_memory()
    return out.copy_(host, non_blocking=True)


@contextlib.contextmanager
def detect_syncs() -> Iterator[list[str]]:
    """The calls within that make the host wait for a GPU: `file:line` of each, there at the end."""
    syncs, mode = [], torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield syncs
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    for warning in caught:
        if "called a synchronizing" in str(warning.message):
            syncs.append(f"{Path(warning.filename).name}:{warning.lineno}")
        elif "prototype" not in str(warning.message):  # torch's warning about this mode itself
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


class CudaGraphs:
    """Runs functions by key: calls them on a CPU; on a GPU captures them as a CUDA graph and replays that.

        cuda_graphs.run(("steps", 8), calls)

    The first time `calls` is only called, so that kernels are chosen and workspaces allocated before the
    capture; and what runs only once is never captured. A key stands for the calls and for all addresses that
    they use. The return value of `calls` is ignored.

    Calls that make the host wait, as by reading a value, cannot be captured. From then on nothing is: all
    functions are called, and an `Advice` says so. So it is from the beginning, if they cannot be `captured`.
    """

    def __init__(self, template: torch.Tensor, captured: bool = True):
        self.capturing = captured and is_cuda(template)
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph | None] = {}
        self.pool = None  # the memory pool, which all graphs share, since they are replayed one after another

    def run(self, key: Hashable, calls: Callable[[], object]) -> None:
        if not self.capturing:
            calls()
        elif key not in self.graphs:
            self.graphs[key] = None
            with detect_syncs() as syncs:
                calls()
            if syncs:
                self.capturing = False
                advise(SYNC_ADVICE.format(syncs[0]))
        else:
            if self.graphs[key] is None:
                self.graphs[key] = self._capture(calls)
            self.graphs[key].replay()

    def _capture(self, calls: Callable[[], object]) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            calls()
        self.pool = self.pool or graph.pool()
        return graph
