"""Optimisers: one step on all parameters of all rows. `base` says what one is."""

from nnlab.optimizers.adam import Adam, AdamW, AMSGrad, NAdam
from nnlab.optimizers.adaptive import AdaDelta, AdaGrad, RMSProp
from nnlab.optimizers.base import Optimizer
from nnlab.optimizers.descent import SGD, Lion, Momentum, Nesterov

_ALL = (SGD, Momentum, Nesterov, AdaGrad, RMSProp, AdaDelta, Adam, AMSGrad, NAdam, AdamW, Lion)
OPTIMIZERS = {optimizer.name: optimizer for optimizer in _ALL}

__all__ = ["OPTIMIZERS", "Optimizer", *(optimizer.__name__ for optimizer in _ALL)]
