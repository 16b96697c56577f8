"""A sweep as Python says it: a dict for a space, an experiment of which settings vary, a table of trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace

import numpy as np

from nnlab.as_python import setting_elsewhere
from nnlab.choices import shown
from nnlab.declarations import takes_whole
from nnlab.errors import UserError, nearest
from nnlab.experiment import GROUPS, Experiment
from nnlab.hyperparameters import parts
from nnlab.search.domains import Choice, Domain, Interval, Steps
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, PRUNED, Trial

EXPECTED_DOMAIN = "a list of values, a range, or a nnlab.Interval(low, high)"


def space_of(given, base: Experiment | None) -> Space:
    """A dict of key -> list, range or domain as a `Space`, whose keys are `base`'s settings if there is one:
    `optimizer.lr`, `epochs`, `optimizer`. Raises `UserError`."""
    if isinstance(given, Space) and given.domains:
        return given
    if isinstance(given, Mapping) and not given:
        raise UserError(f"space = {{}}: it is empty; expected at least one key -> {EXPECTED_DOMAIN}")
    if not isinstance(given, Mapping):
        raise UserError(f"space = {shown(given)}: expected a dict of key -> {EXPECTED_DOMAIN}")
    domains = {key: domain_of(key, values) for key, values in given.items()}
    if base is None:
        return Space(domains)
    for key, domain in domains.items():
        _refuse_numbers_between(key, domain)
    # Where a group is searched, its other keys belong to some of its choices only.
    groups = frozenset(key for key in domains if key in parts(base))
    known = _keys(base, domains)
    for key in domains:
        if key not in known:
            raise UserError(f"space: no setting '{key}'{_meant(key, base, known)}")

    def has(key: str, chosen: dict) -> bool:
        head, _, name = key.partition(".")
        if head not in chosen:
            return True
        part = _part(base, head, domains[head].value(chosen[head]))
        return any(f.name == name for f in fields(part))

    return Space(domains, groups, has)


def _refuse_numbers_between(key: str, domain: Domain) -> None:
    """Raise `UserError` for an interval of all numbers, where the key takes whole ones."""
    if isinstance(domain, Interval) and not domain.whole and takes_whole(key):
        low, high = math.ceil(domain.low), math.floor(domain.high)
        meant = f"nnlab.Interval({low}, {high}{', log=True' * domain.log}, whole=True)"
        raise UserError(f"space['{key}'] = {domain}: {key} takes whole numbers; write {meant}")


def _meant(key, base: Experiment, known: list[str]) -> str:
    """What an unknown key may stand for: `optimizer.lr` for `lr`, or what another tool calls so."""
    same = [name for name in known if name.endswith(f".{key}")]
    if same:
        return nearest(same[0], known)
    choice = getattr(getattr(base, str(key).rpartition(".")[0], None), "name", "")
    return setting_elsewhere(str(key), known, choice=choice) or nearest(key, known)


def domain_of(key: str, given) -> Domain:
    """What a parameter may be: a list of values, a range, or a domain already."""
    if isinstance(given, (Choice, Interval, Steps)):
        return given
    if isinstance(given, range):
        return Steps(given.start, given.step, len(given))
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, list) or not given:
        raise UserError(f"space['{key}'] = {shown(given)}: expected {EXPECTED_DOMAIN}")
    return Choice(tuple(list(v) if isinstance(v, tuple) else v for v in given))


def variant(base: Experiment, values: dict) -> Experiment:
    """`base` with these settings, key -> value.

    Where another optimiser is taken and the regulariser was the usual one, it is that of the new optimiser.
    """
    changed = {key: value for key, value in values.items() if "." not in key}
    for head in dict.fromkeys(key.partition(".")[0] for key in values if "." in key):
        settings = {key.partition(".")[2]: v for key, v in values.items() if key.startswith(f"{head}.")}
        part = _part(base, head, changed.get(head, getattr(base, head)))
        changed[head] = replace(part, **settings)
    usual = replace(base, regularizer=None).regularizer
    if "optimizer" in changed and "regularizer" not in changed and base.regularizer == usual:
        changed["regularizer"] = None
    return replace(base, **changed)


def table(trials: list[Trial], keys, objectives) -> dict[str, np.ndarray]:
    """The trials as columns of equal length, a line each: number, state, parameters, objectives, ..."""
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
    """Of Python's objects where they are of different kinds, as where a trial has no such parameter."""
    if len({type(v) for v in values}) == 1:
        return np.array(values)
    # With a None at its end numpy cannot take lists of equal length for a matrix.
    return np.array([*values, None], object)[:-1]


def _keys(base: Experiment, domains: dict[str, Domain]) -> list[str]:
    """Every key that `base` has, or that it has with a choice of a searched group."""
    keys = [f.name for f in fields(base)]
    for head in parts(base):
        options = [getattr(base, head)]
        if isinstance(domains.get(head), Choice):  # the group is searched
            options += [domains[head].value(label) for label in domains[head].labels]
        names = [f.name for option in options for f in fields(_part(base, head, option)) if f.init]
        keys += [f"{head}.{name}" for name in dict.fromkeys(names)]
    return keys


def _part(base: Experiment, head: str, value):
    """The part that a value of a group stands for."""
    if head not in GROUPS:
        raise UserError(f"{head} has no settings of its own")
    if head == "regularizer":  # `auto` and lists of names are for the experiment to read
        return replace(base, regularizer=value).regularizer
    return getattr(replace(base, **{head: value}), head)


def read_base(given) -> Experiment | Callable[[dict], Experiment]:
    """The experiment, or the function, that makes an experiment of a trial's parameters."""
    if given is None:
        return Experiment()
    if isinstance(given, Experiment) or callable(given) and not isinstance(given, type):
        return given
    raise UserError(
        f"experiment_of = {shown(given)}: expected a nnlab.Experiment, or a function that makes one of the "
        f"parameters of a trial"
    )
