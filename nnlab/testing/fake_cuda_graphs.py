"""CUDA graphs of the fake GPU: calls of torch that are recorded, and made again on the same tensors.

As on a real GPU a capture does not compute: what its calls change is put back. Replayed, the same calls work
on the same memory, whatever Python would do by then. So a test shows code that forgets that: an address that
has moved, a value that was read once, an `if` that would take the other branch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from nnlab.testing.fake_cuda_rules import is_on_gpu, tensors_in


class Graph:
    """Stands for torch.cuda.CUDAGraph."""

    def __init__(self):
        # Each: a call, the tensors that it was given, and those that it made.
        self.calls: list[tuple[Callable[[], object], list, list]] = []
        self.before: dict[int, tuple] = {}  # storages by address: themselves, and a copy
        self.ended = False

    def pool(self) -> tuple[int, int]:
        return (0, 1)

    def keep(self, tensors: list[torch.Tensor]) -> None:
        """Remember what these tensors hold, to put it back."""
        for t in tensors:
            storage = t.untyped_storage()
            if is_on_gpu(t) and storage.data_ptr() not in self.before:
                self.before[storage.data_ptr()] = storage, storage.clone()

    def add(self, call: Callable[[], object], given: list, result) -> None:
        held = {t.untyped_storage().data_ptr() for t in given}
        made = [t for t in tensors_in(result) if t.untyped_storage().data_ptr() not in held]
        self.calls.append((call, given, made))

    def end(self) -> None:
        for storage, copy in self.before.values():
            storage.copy_(copy)
        self.ended = True

    def replay(self) -> None:
        if not self.ended:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        with torch._C.DisableTorchFunction():
            for call, given, made in self.calls:
                held = {t.untyped_storage().data_ptr() for t in given}
                again = [t for t in tensors_in(call()) if t.untyped_storage().data_ptr() not in held]
                for result, new in zip(made, again, strict=True):
                    result.copy_(new)
