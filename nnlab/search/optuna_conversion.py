"""Converts domains and trials to Optuna's types, and trials back."""

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


class without_optuna_warnings(warnings.catch_warnings):
    """A context manager that silences Optuna's warnings, such as those about experimental features."""

    def __enter__(self):
        caught = super().__enter__()
        warnings.simplefilter("ignore")
        return caught


def to_distribution(domain: Domain) -> BaseDistribution:
    """Optuna's distribution for the values that a parameter may take."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.labels)
    if isinstance(domain, Interval):
        kind = IntDistribution if domain.whole else FloatDistribution
        return kind(domain.low, domain.high, log=domain.log)
    low, high = sorted((domain.labels[0], domain.labels[-1]))
    kind = IntDistribution if isinstance(low, int) else FloatDistribution
    return kind(low, high, step=abs(domain.step))


def directions(signs: tuple[int, ...]) -> list[str]:
    """Optuna's name of each objective's direction, from its sign: 1 to minimise, -1 to maximise."""
    return ["minimize" if sign > 0 else "maximize" for sign in signs]


def to_frozen_trial(trial: Trial, distributions: dict, attributes: dict | None = None) -> FrozenTrial:
    """A trial of nnlab's as Optuna's `FrozenTrial`; `attributes` become its user attributes."""
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


def from_frozen_trial(stored: FrozenTrial) -> Trial:
    """Optuna's stored trial as nnlab's `Trial`. Raises `UserError` for one that nnlab never writes."""
    states = {optuna_state: state for state, optuna_state in OPTUNA_STATES.items() if state != TRAINING}
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


def one_line_error(error: Exception) -> str:
    """The type and message of an exception that Optuna raised, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
