"""Learning-rate schedules: factors by which the rate is multiplied. `base` defines the interface."""

from nnlab.schedules.base import Progress, Schedule, simulate
from nnlab.schedules.fixed import (
    Constant,
    Cosine,
    CosineLog,
    ExponentialDecay,
    InverseTimeDecay,
    MultiStepDecay,
    OneCycle,
    PolynomialDecay,
    StepDecay,
)
from nnlab.schedules.metric_driven import HalveAndGoBack, HalveOnRise, ReduceOnPlateau

_FIXED_SCHEDULES = (
    Constant,
    StepDecay,
    MultiStepDecay,
    ExponentialDecay,
    InverseTimeDecay,
    PolynomialDecay,
    Cosine,
    CosineLog,
    OneCycle,
)
_METRIC_SCHEDULES = (HalveOnRise, HalveAndGoBack, ReduceOnPlateau)
SCHEDULES = {schedule.name: schedule for schedule in (*_FIXED_SCHEDULES, *_METRIC_SCHEDULES)}

__all__ = ["SCHEDULES", "Progress", "Schedule", "simulate", *(s.__name__ for s in SCHEDULES.values())]
