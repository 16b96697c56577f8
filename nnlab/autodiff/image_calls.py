"""Calls of torch's kernels that treat each image by itself, for images of a population in either layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

from nnlab.autodiff.windows import as_image
from nnlab.runtime.threads import run_all

# Numbers of an image value in a call, at least: it takes some 100 microseconds, so that waking a thread pays,
# and what several operations of a kernel share stays in a core's cache.
MIN_CALL_ELEMENTS = 2**18


class ImageCalls:
    """Calls `kernel` for values (K, C, H, W, B) or (K, C, L, B), as few times as their memory allows.

    A kernel of torch takes images (N, M, H, W), and is quickest with M innermost in memory. So N = C and
    M = B where examples are last in memory, N = B and M = C where channels are. Rows that are adjacent in
    memory are one call. Since each of the N images is treated by itself, no bit depends on how they are
    divided among calls and threads.
    """

    def __init__(self, kernel: Callable, threads: int):
        self.kernel, self.threads = kernel, threads
        self.values: tuple = ()  # of the last call: most have the same tensors
        self.calls: list[Callable] = []

    def __call__(self, *values: torch.Tensor) -> None:
        if not self.values or any(a is not b for a, b in zip(values, self.values, strict=True)):
            self.values = values
            self.calls = [partial(self.kernel, *images) for images in _images(values)]
        run_all(self.calls, self.threads)


def _images(values) -> Iterator[tuple[torch.Tensor, ...]]:
    """The arguments of each call."""
    rows = len(values[0])
    values = [as_image(v).expand(rows, -1, -1, -1, -1) for v in values]
    examples_last = values[0].stride(-1) == 1
    values = [v.permute(0, 1, 4, 2, 3) if examples_last else v.permute(0, 4, 1, 2, 3) for v in values]
    if all(v.stride(0) == v.shape[1] * v.stride(1) for v in values):
        rows = [[v.flatten(0, 1)] for v in values]
    else:
        rows = [v.unbind(0) for v in values]
    for images in zip(*rows, strict=True):
        count = len(images[0])
        calls = max(1, min(count, images[0].numel() // MIN_CALL_ELEMENTS))
        yield from zip(*[v.split(-(-count // calls)) for v in images], strict=True)
