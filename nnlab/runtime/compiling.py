"""Compiling functions of tensors, without control flow, into fused kernels by torch's Inductor."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"

_compiled: dict[tuple, Callable] = {}  # (traced code, its arguments' shapes) -> the compiled function


def compiled(function: Callable, example: tuple[torch.Tensor, ...]) -> Callable:
    """`function`, compiled for tensors with the shapes of `example`.

    Its Python code runs once, while it is traced; its calls of torch are compiled. Kernels are kept in the
    user's cache folder for the next process. Raises any error of the compiler, now or at the first call.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    os.environ.setdefault(CACHE_VARIABLE, str(cache_folder()))
    traced = make_fx(function, tracing_mode="fake")(*example)
    tensors = [(t.shape, t.stride(), t.dtype, t.device) for t in example]
    key = traced.code, str(tensors)
    if list(traced.buffers()) or list(traced.parameters()):  # constants that the key does not have
        return torch.compile(traced, fullgraph=True, dynamic=False)
    if key not in _compiled:
        _compiled[key] = torch.compile(traced, fullgraph=True, dynamic=False)
    return _compiled[key]


def cache_folder() -> Path:
    """Where compiled kernels are kept: in a folder of the user alone, since they are executed."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nnlab" / "compiled"
