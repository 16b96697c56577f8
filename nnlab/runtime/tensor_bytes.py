"""The memory that tensors hold, counted from the tensors themselves: on a CPU and a GPU alike."""

from __future__ import annotations

from functools import partial
from types import MethodType, SimpleNamespace

import torch

PACKAGE = "nnlab"


def tensor_bytes(root, apart: tuple[type, ...] = ()) -> int:
    """Bytes of all tensors that `root` leads to: through containers, calls that are bound, and nnlab's own
    objects, but those `apart`. Views of one memory count once, from the first to the last byte that any of
    them has: of a chunk of many steps, the step that a network holds. What a call of torch takes in passing
    is no part of it.

    >>> table = torch.zeros(100)
    >>> tensor_bytes({"table": table, "views": [table[:10], table[10:]]})
    400
    >>> tensor_bytes(table[10:20])
    40
    """
    extents, seen, left = {}, set(), [root]
    while left:
        value = left.pop()
        if id(value) in seen or isinstance(value, apart):
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            if value.numel():
                memory, (start, end) = _extent(value)
                first, last = extents.get(memory, (start, end))
                extents[memory] = min(first, start), max(last, end)
        else:
            left += _parts(value)
    return sum(end - start for start, end in extents.values())


def _extent(tensor: torch.Tensor) -> tuple[tuple, tuple[int, int]]:
    """The memory that a tensor is in, and its first byte there and the one after its last."""
    storage, start = tensor.untyped_storage(), tensor.storage_offset()
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    ends = tensor.element_size() * start, tensor.element_size() * (start + last + 1)
    return (storage.device, storage.data_ptr()), ends


def _parts(value) -> list:
    """What a value that is no tensor consists of."""
    if isinstance(value, dict):
        return [*value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return [*value]
    if isinstance(value, partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__self__]
    is_own = type(value).__module__.partition(".")[0] == PACKAGE or isinstance(value, SimpleNamespace)
    return [*getattr(value, "__dict__", {}).values()] if is_own else []
