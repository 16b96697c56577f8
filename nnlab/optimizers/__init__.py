"""Optimisers: one update of all parameters of all rows. `base` defines the interface.

A module lists its optimisers in `__all__`, from which the table of choices and the public names are made.
"""

from nnlab.optimizers import adam, adaptive, base, descent, momentum
from nnlab.optimizers.adam import *  # noqa: F403
from nnlab.optimizers.adaptive import *  # noqa: F403
from nnlab.optimizers.base import *  # noqa: F403
from nnlab.optimizers.descent import *  # noqa: F403
from nnlab.optimizers.momentum import *  # noqa: F403

_CLASSES = [
    getattr(module, name) for module in (descent, momentum, adaptive, adam) for name in module.__all__
]
OPTIMIZERS = {optimizer.name: optimizer for optimizer in _CLASSES}

__all__ = ["OPTIMIZERS", *base.__all__, *descent.__all__, *momentum.__all__, *adaptive.__all__, *adam.__all__]
