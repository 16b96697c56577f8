"""Learning-rate schedules: by what the rate is multiplied. `base` says what one is."""

from nnlab.schedules.base import Progress, Schedule, simulate
from nnlab.schedules.fixed import (
    Constant,
    Cosine,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    PolynomialDecay,
    StepDecay,
)
from nnlab.schedules.listening import HalveAndGoBack, HalveOnRise, ReduceOnPlateau

_FIXED_SCHEDULES = (
    Constant,
    StepDecay,
    ExponentialDecay,
    InverseTimeDecay,
    PolynomialDecay,
    Cosine,
    OneCycle,
)
_LISTENING_SCHEDULES = (HalveOnRise, HalveAndGoBack, ReduceOnPlateau)
SCHEDULES = {schedule.name: schedule for schedule in (*_FIXED_SCHEDULES, *_LISTENING_SCHEDULES)}

__all__ = ["SCHEDULES", "Progress", "Schedule", "simulate", *(s.__name__ for s in SCHEDULES.values())]
