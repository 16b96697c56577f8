"""Compiling straight lines of torch calls into few kernels."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"

_known: dict[tuple, Callable] = {}  # by the calls and the tensors that they are for


def compiled(function: Callable, example: tuple[torch.Tensor, ...]) -> Callable:
    """`function` of tensors, for tensors of these shapes, as kernels that torch's Inductor writes.

    What Python does in it is done once, while it is traced: what is compiled are its calls of torch. Kernels
    are kept in the user's cache folder, for the next process. Raises whatever is wrong with the compiler, now
    or at the first call.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    os.environ.setdefault(CACHE_VARIABLE, str(cache_folder()))
    calls = make_fx(function, tracing_mode="fake")(*example)
    tensors = [(t.shape, t.stride(), t.dtype, t.device) for t in example]
    key = calls.code, str(tensors)
    if list(calls.buffers()) or list(calls.parameters()):  # numbers that the code does not show
        return torch.compile(calls, fullgraph=True, dynamic=False)
    if key not in _known:
        _known[key] = torch.compile(calls, fullgraph=True, dynamic=False)
    return _known[key]


def cache_folder() -> Path:
    """Where compiled kernels are kept: in the user's own folder, since they are run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nnlab" / "compiled"
