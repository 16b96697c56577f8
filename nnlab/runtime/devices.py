"""Devices by name, their free memory, and the number of threads."""

from __future__ import annotations

import os
import re
from typing import Literal

import torch

from nnlab.errors import UserError
from nnlab.runtime.machine import available_memory
from nnlab.runtime.ranks import ranks
from nnlab.suggestions import hint


def free_memory(on: torch.device) -> int | None:
    """Free bytes on the device; None if the system does not tell."""
    return available_memory() if on.type == "cpu" else torch.cuda.mem_get_info(on)[0]


def thread_count(setting: int | Literal["auto"]) -> int:
    """How many threads may share large products, or stacks: the setting, or one for each core of this rank's
    share of the machine."""
    if setting != "auto":
        return setting
    own = ranks()
    return max(1, len(os.sched_getaffinity(0)) // (own.local_size if own else 1))


def gpu_available() -> bool:
    """Whether this machine has a GPU."""
    return torch.cuda.device_count() > 0


def device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one (`placement` decides whether it pays). Raises
    `UserError` if there is no such device.

    Among several ranks `cuda` is the current device of the process, its own card.
    """
    count = torch.cuda.device_count() if name != "cpu" else 0
    if count and (own := ranks()):
        if ":" in name:
            raise UserError(
                f"device = '{name}': under torchrun every process has a card of its own: device=cuda"
            )
        own.take_card()
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    gpus = ["cuda", *(f"cuda:{i}" for i in range(count))] if count else []
    allowed = ["auto", "cpu", *gpus]
    if name in allowed:
        return torch.device(name)
    choices = ", ".join(allowed)
    suggestion = (
        hint(name, ["auto", "cpu", "cuda"], "device") if not re.fullmatch(r"cuda(:\d+)?", name) else ""
    )
    if suggestion and (count or "'cuda'" not in suggestion):
        raise UserError(f"device = '{name}': allowed here are {choices}{suggestion}")
    installed = f"{count} CUDA device{'s' * (count != 1)}" if count else "no CUDA device"
    raise UserError(f"device = '{name}': this machine has {installed}; allowed here: {choices}")
