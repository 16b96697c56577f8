"""What ranks that share every batch must do in the same step: pause, for a checkpoint or for good.

Whatever one of them wants, all do: each asks the others between two steps (`Ranks.any`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nnlab import interruption
from nnlab.runtime.ranks import Ranks


@dataclass(frozen=True)
class Agreement:
    """What this rank wants, `stop` and `checkpoint_due`, becomes what all do. Raises `MachineFault` once one
    of them is lost."""

    ranks: Ranks
    stop: Callable[[], bool]
    checkpoint_due: Callable[[], bool]

    def should_stop(self) -> bool:
        """Whether some rank is to stop, by a signal perhaps that no other got."""
        stops = self.ranks.any(self.stop())
        if stops:
            signals = self.ranks.exchange_bytes(bytes([interruption.last_signal()]))
            is_told = not interruption.stop_requested()
            interruption.request_stop(max(number for (number,) in signals) if is_told else 0)
        return stops

    def takes_states(self) -> bool:
        """Whether rank 0 wants the states of all stacks."""
        return self.ranks.any(self.checkpoint_due())
