"""Where tensors live and how many threads share the work."""

from __future__ import annotations

import os
import re
from typing import Literal

import torch

from nnlab.errors import UserError
from nnlab.runtime.machine import available
from nnlab.suggestions import hint


def free_memory(where: torch.device) -> int | None:
    """Bytes that are to be had on the device; None if the system does not say."""
    return available() if where.type == "cpu" else torch.cuda.mem_get_info(where)[0]


def thread_count(asked: int | Literal["auto"]) -> int:
    """How many threads may share a large product, or stacks: what was asked for, else every core."""
    return asked if asked != "auto" else len(os.sched_getaffinity(0))


def is_there_a_card() -> bool:
    """Whether a GPU could be taken."""
    return torch.cuda.device_count() > 0


def device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one: `placement` says whether it pays. Raises
    `UserError` if it is not there."""
    count = torch.cuda.device_count() if name != "cpu" else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    cards = ["cuda", *(f"cuda:{i}" for i in range(count))] if count else []
    allowed = ["auto", "cpu", *cards]
    if name in allowed:
        return torch.device(name)
    here = ", ".join(allowed)
    other = hint(name, ["auto", "cpu", "cuda"], "device") if not re.fullmatch(r"cuda(:\d+)?", name) else ""
    if other and (count or "'cuda'" not in other):
        raise UserError(f"device = '{name}': allowed here are {here}{other}")
    found = f"{count} CUDA device{'s' * (count != 1)}" if count else "no CUDA device"
    raise UserError(f"device = '{name}': this machine has {found}; allowed here: {here}")
