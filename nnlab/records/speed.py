"""How quick a run's training steps were, and the memory that they took: speed.json.

It is no part of summary.json, which is the same whenever a run is repeated.
"""

from __future__ import annotations

import numpy as np

SPEED_FILE = "speed.json"


class Speed:
    """Collects seconds and bytes from a run's records; `examples` (rows,) train each row in an epoch."""

    def __init__(self, examples: list[int]):
        self._examples = np.array(examples)
        self._seconds, self._rates = 0.0, []
        self._bytes: dict[int, int] = {}  # the first row of each stack -> the bytes of its tensors

    def record(self, record) -> None:
        """Take in a `Record`, which a stack of the run's rows has every epoch."""
        if record.step_seconds > 0:  # not in one that is replayed
            self._seconds += record.step_seconds
            self._rates.append(self._examples[record.rows].sum() / record.step_seconds)
            self._bytes.setdefault(int(record.rows[0]), record.tensor_bytes)

    def to_json(self) -> dict[str, float]:
        """step_seconds         of all training steps since the run began, or was resumed, over its stacks
        examples_per_second  of all rows of a stack, the median over epochs: the first is often slower
        tensor_bytes         of parameters, slots, gradients and activations, over its stacks"""
        return {
            "step_seconds": self._seconds,
            "examples_per_second": float(np.median(self._rates)) if self._rates else None,
            "tensor_bytes": sum(self._bytes.values()),
        }
