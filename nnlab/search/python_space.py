"""The Python interface of a sweep: spaces from dicts, experiments with changed settings, tables of trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace

import numpy as np

from nnlab.as_python import hint_for_unknown_setting
from nnlab.choices import short_repr
from nnlab.declarations import takes_integer
from nnlab.errors import UserError, nearest
from nnlab.experiment import GROUPS, Experiment
from nnlab.hyperparameters import parts
from nnlab.search.domains import Choice, Domain, Interval, Steps
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, PRUNED, Trial

EXPECTED_DOMAIN = "a list of values, a range, or a nnlab.Interval(low, high)"


def to_space(value, base: Experiment | None) -> Space:
    """A dict of key -> list, range or domain as a `Space`, whose keys are `base`'s settings if there is one:
    `optimizer.lr`, `epochs`, `optimizer`. Raises `UserError`."""
    if isinstance(value, Space) and value.domains:
        return value
    if isinstance(value, Mapping) and not value:
        raise UserError(f"space = {{}}: it is empty; expected at least one key -> {EXPECTED_DOMAIN}")
    if not isinstance(value, Mapping):
        raise UserError(f"space = {short_repr(value)}: expected a dict of key -> {EXPECTED_DOMAIN}")
    domains = {key: to_domain(key, values) for key, values in value.items()}
    if base is None:
        return Space(domains)
    for key, domain in domains.items():
        _refuse_numbers_between(key, domain)
    # If a group is searched, its other keys exist with some of its choices only.
    groups = frozenset(key for key in domains if key in parts(base))
    setting_keys = _setting_keys(base, domains)
    for key in domains:
        if key not in setting_keys:
            raise UserError(f"space: no setting '{key}'{_hint_for_unknown_key(key, base, setting_keys)}")

    def has_key(key: str, choices: dict) -> bool:
        head, _, name = key.partition(".")
        if head not in choices:
            return True
        part = _part(base, head, domains[head].value(choices[head]))
        return any(f.name == name for f in fields(part))

    return Space(domains, groups, has_key)


def _refuse_numbers_between(key: str, domain: Domain) -> None:
    """Raise `UserError` for an interval of all numbers, where the key takes whole ones."""
    if isinstance(domain, Interval) and not domain.whole and takes_integer(key):
        low, high = math.ceil(domain.low), math.floor(domain.high)
        suggestion = f"nnlab.Interval({low}, {high}{', log=True' * domain.log}, whole=True)"
        raise UserError(f"space['{key}'] = {domain}: {key} takes whole numbers; write {suggestion}")


def _hint_for_unknown_key(key, base: Experiment, setting_keys: list[str]) -> str:
    """What an unknown key may mean: `optimizer.lr` for `lr`, or nnlab's key for another tool's name."""
    same = [name for name in setting_keys if name.endswith(f".{key}")]
    if same:
        return nearest(same[0], setting_keys)
    choice = getattr(getattr(base, str(key).rpartition(".")[0], None), "name", "")
    return hint_for_unknown_setting(str(key), setting_keys, choice=choice) or nearest(key, setting_keys)


def to_domain(key: str, value) -> Domain:
    """The domain of a parameter, from a list of values, a range, or a domain already."""
    if isinstance(value, (Choice, Interval, Steps)):
        return value
    if isinstance(value, range):
        return Steps(value.start, value.step, len(value))
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list) or not value:
        raise UserError(f"space['{key}'] = {short_repr(value)}: expected {EXPECTED_DOMAIN}")
    return Choice(tuple(list(v) if isinstance(v, tuple) else v for v in value))


def with_settings(base: Experiment, values: dict) -> Experiment:
    """`base` with these settings changed, key -> value.

    If the optimiser changes and the regulariser was the default one, it becomes the new optimiser's default.
    """
    changes = {key: value for key, value in values.items() if "." not in key}
    for head in dict.fromkeys(key.partition(".")[0] for key in values if "." in key):
        settings = {key.partition(".")[2]: v for key, v in values.items() if key.startswith(f"{head}.")}
        part = _part(base, head, changes.get(head, getattr(base, head)))
        changes[head] = replace(part, **settings)
    default_regularizer = replace(base, regularizer=None).regularizer
    if "optimizer" in changes and "regularizer" not in changes and base.regularizer == default_regularizer:
        changes["regularizer"] = None
    return replace(base, **changes)


def trials_table(trials: list[Trial], keys, objectives) -> dict[str, np.ndarray]:
    """The trials as columns of equal length, a trial a row: number, state, parameters, objectives, ..."""
    columns = {"number": [t.number for t in trials], "state": [t.state for t in trials]}
    columns |= {key: [t.params.get(key) for t in trials] for key in keys}
    for i, name in enumerate(objectives):
        columns[name] = [_value(t, i) for t in trials]
    columns |= {"rows": [t.rows for t in trials], "epochs": [t.epochs for t in trials]}
    columns["reason"] = [t.reason for t in trials]
    return {name: _column(values) for name, values in columns.items()}


def _value(trial: Trial, i: int) -> float:
    return trial.values[i] if trial.state in (COMPLETE, PRUNED) and trial.values else np.nan


def _column(values: list) -> np.ndarray:
    """An array; of Python objects if their types differ, such as None for a trial without the parameter."""
    if len({type(v) for v in values}) == 1:
        return np.array(values)
    # Without the None numpy would make a matrix of lists of equal length.
    return np.array([*values, None], object)[:-1]


def _setting_keys(base: Experiment, domains: dict[str, Domain]) -> list[str]:
    """Every key that `base` has, or would have with any choice of a searched group."""
    keys = [f.name for f in fields(base)]
    for head in parts(base):
        options = [getattr(base, head)]
        if isinstance(domains.get(head), Choice):  # the group is searched
            options += [domains[head].value(label) for label in domains[head].labels]
        names = [f.name for option in options for f in fields(_part(base, head, option)) if f.init]
        keys += [f"{head}.{name}" for name in dict.fromkeys(names)]
    return keys


def _part(base: Experiment, head: str, value):
    """The part that a value of a group selects, such as `Adam()` for optimizer=adam."""
    if head not in GROUPS:
        raise UserError(f"{head} has no settings of its own")
    if head == "regularizer":  # `auto` and lists of names are for the experiment to read
        return replace(base, regularizer=value).regularizer
    return getattr(replace(base, **{head: value}), head)


def check_base(value) -> Experiment | Callable[[dict], Experiment]:
    """The value itself if it is an experiment or a function of a trial's parameters. Raises `UserError`."""
    if value is None:
        return Experiment()
    if isinstance(value, Experiment) or callable(value) and not isinstance(value, type):
        return value
    raise UserError(
        f"experiment_of = {short_repr(value)}: expected a nnlab.Experiment, or a function that makes one of "
        f"the parameters of a trial"
    )
