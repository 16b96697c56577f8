"""Domains and trials as Optuna has them, and back."""

from __future__ import annotations

import warnings

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from nnlab.errors import UserError
from nnlab.search.domains import Choice, Domain, Interval
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, TRAINING, Trial

OPTUNA_STATES = {
    COMPLETE: TrialState.COMPLETE,
    PRUNED: TrialState.PRUNED,
    FAILED: TrialState.FAIL,
    TRAINING: TrialState.RUNNING,
}


class quiet(warnings.catch_warnings):
    """Optuna's notes on what it calls experimental are for who writes code, not for who runs a sweep."""

    def __enter__(self):
        caught = super().__enter__()
        warnings.simplefilter("ignore")
        return caught


def distribution_of(domain: Domain) -> BaseDistribution:
    """What a parameter may be."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.labels)
    if isinstance(domain, Interval):
        kind = IntDistribution if domain.whole else FloatDistribution
        return kind(domain.low, domain.high, log=domain.log)
    low, high = sorted((domain.labels[0], domain.labels[-1]))
    kind = IntDistribution if isinstance(low, int) else FloatDistribution
    return kind(low, high, step=abs(domain.step))


def directions(signs: tuple[int, ...]) -> list[str]:
    return ["minimize" if sign > 0 else "maximize" for sign in signs]


def frozen(trial: Trial, distributions: dict, attributes: dict | None = None) -> FrozenTrial:
    """A trial of ours as Optuna stores one."""
    values = None
    if trial.state in (COMPLETE, PRUNED):
        values = list(trial.values)
    # Optuna knows intermediate values of a single objective only.
    intermediate_values = {}
    if len(trial.values) < 2:
        intermediate_values = trial.intermediate_values
    return create_trial(
        state=OPTUNA_STATES[trial.state], values=values, params=trial.params,
        distributions={key: distributions[key] for key in trial.params},
        intermediate_values=intermediate_values, user_attrs=attributes or {},
    )  # fmt: skip


def thawed(stored: FrozenTrial) -> Trial:
    """A stored trial as ours. Raises `UserError` for one that nnlab never writes."""
    states = {theirs: state for state, theirs in OPTUNA_STATES.items() if state != TRAINING}
    if stored.state not in states:
        raise UserError(f"trial {stored.number} of the study was left running by another program")
    values = ()
    if stored.values and stored.state != TrialState.FAIL:
        values = tuple(stored.values)
    attributes = stored.user_attrs
    return Trial(
        number=stored.number,
        params=dict(stored.params),
        state=states[stored.state],
        values=values,
        spread=tuple(attributes.get("spread", [None] * len(values))),
        rows=attributes.get("rows", 0),
        epochs=attributes.get("epochs", 0),
        reason=str(attributes.get("reason", "")),
        intermediate_values=dict(stored.intermediate_values),
    )


def in_short(error: Exception) -> str:
    """Whatever Optuna raised, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
