"""Whether trials can be ranked by an objective: whether it is the same quantity, on the same examples.

A loss of one kind is not to be compared with one of another, nor one of a target in other units; and a trial
that is validated on other examples than the next may only be the lucky one.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from nnlab.errors import Advice, UserError
from nnlab.experiment import Experiment
from nnlab.search.batch_training import Candidate
from nnlab.search.settings import Search
from nnlab.training.data_cache import DataCache

NOT_MEASURED = {"data.normalization", "data.target_normalization"}  # no other examples
LUCK = {"data.seed", "split.seed", "split.fold"}  # which examples validate
SIZES = {
    "split", "split.test", "split.validation", "split.k", "split.stratify", "split.repeats", "data.limit",
    "data.label_noise",
}  # fmt: skip
IN_ITS_STEAD = {"train_loss": "train_error"}  # else val_error
NOISE = ("dropout", "input_dropout", "dropconnect")  # training losses are measured under it


def judged(search: Search, candidates: list[Candidate], cache: DataCache) -> tuple[Search, str]:
    """The search with an objective by which these trials can be ranked; and why, if it is not the usual one.

    Raises `UserError` where none can be, or the one that was asked for cannot; warns of what is doubtful.
    """
    said = ""
    if "auto" in search.asked:
        keys = _keys(candidates, lambda e: _unit("val_loss", e, cache))
        chosen = "val_error" if keys else "val_loss"
        objectives = tuple(chosen if name == "auto" else name for name in search.asked)
        search = replace(search, objective=objectives if len(objectives) > 1 else chosen)
        if keys:
            said = f"by val_error, since {_and(keys)} gives losses in different units"
    for name in search.objectives:
        _refuse_units(name, candidates, cache)
        if name.startswith(("val_", "train_")):
            _judge_examples(name, candidates, cache)
    _advise_seeds(search, candidates)
    return search, said


def _refuse_units(name: str, candidates: list[Candidate], cache: DataCache) -> None:
    keys = _keys(candidates, lambda e: _unit(name, e, cache))
    if not keys:
        return
    if name == "penalty":
        _advise(f"objective=penalty: {_and(keys)} is a factor of it, so the smallest one wins")
        return
    instead = IN_ITS_STEAD.get(name, "val_error")
    other = "give regularizer.small one value" if name == "small_weights" else f"take objective={instead}"
    raise UserError(
        f"objective={name} cannot rank these trials: {_and(keys)} gives it a different unit in each; {other}"
    )


def _unit(name: str, e: Experiment, cache: DataCache) -> tuple:
    """What the size of an objective depends on, beside how good a model is."""
    dataset, regularizer = cache.datasets[e.data], e.regularizer
    if name in ("val_loss", "train_loss", "grad_norm"):
        scale = "" if dataset.classes else getattr(e.data, "target_normalization", "")
        return e.loss_for(dataset.spec).name, scale
    of_weights = {"penalty": (regularizer.l2, regularizer.l1), "small_weights": (regularizer.small,)}
    return of_weights.get(name, ())


def _judge_examples(name: str, candidates: list[Candidate], cache: DataCache) -> None:
    """Refuse other data and mere luck; advise where examples differ in number."""
    known: dict[tuple, bytes] = {}
    part = "validation" if name.startswith("val_") else "train"

    def digest(e: Experiment) -> bytes:
        if (e.data, e.split) not in known:
            known[e.data, e.split] = examples(e, part, cache)
        return known[e.data, e.split]

    for key, (one, other) in _pairs(candidates, digest).items():
        differ = _differ(one, other)
        if differ - LUCK - SIZES:
            raise UserError(
                f"{key}: trials on different data cannot be ranked against each other; make a sweep for "
                f"each, or a table of all by nnlab train -m"
            )
        words = f"{key} gives trials other {'validation' if part == 'validation' else 'training'} examples"
        if differ <= LUCK:
            raise UserError(
                f"{words}, so the best would be the luckiest draw; take split.repeats=10, with which a trial "
                f"is judged by its mean over 10 splits"
            )
        _advise(f"{words}, so a part of what ranks them is luck; split.repeats=10 takes means over 10 splits")
    noisy = _keys(candidates, lambda e: tuple(getattr(e.regularizer, kind) for kind in NOISE))
    validated = all(e.split.validates for e in (c.experiment for c in candidates) if e)
    if part == "train" and noisy and validated:
        _advise(
            f"objective={name} is measured with {_and(noisy)} at work, so the least of it wins; take "
            f"objective={name.replace('train', 'val')}"
        )


def examples(e: Experiment, part: str, cache: DataCache) -> bytes:
    """A digest of which examples these are, and what is to be answered for them. Not what is known of each,
    unless they are drawn, which may have left the answers the same: two tables of the same examples may be
    compared."""
    dataset, found = cache.datasets[e.data], hashlib.blake2b(digest_size=16)
    y, drawn = dataset.y if dataset.noisy is None else dataset.noisy, e.data.drawn or e.data.limit
    for fold in cache.folds(e):
        numbers = getattr(fold, part)
        for array in (numbers, y[numbers], *([dataset.x[numbers]] if drawn else [])):
            found.update(np.ascontiguousarray(array).data)
    return found.digest()


def doubtful(experiments: list[Experiment], cache: DataCache) -> str:
    """What is to be said of the order of these runs on one data set, where they are not judged by the same
    examples; "" where they are."""
    part = "validation" if all(e.split.validates for e in experiments) else "train"
    first, digest = experiments[0], examples(experiments[0], part, cache)
    others = [e for e in experiments[1:] if examples(e, part, cache) != digest]
    keys = set().union(*(_differ(first, e) for e in others))
    if not keys:
        return ""
    words = " and ".join(sorted(keys - LUCK if keys - LUCK else keys))
    if keys - LUCK - SIZES:
        return f"{words}: runs on different data, so their order does not say which is better"
    which = f"{words}: runs have other {'validation' if part == 'validation' else 'training'} examples"
    return (
        f"{which}, so {'' if keys <= LUCK else 'a part of '}their order is luck; split.repeats=10 takes means"
    )


def _differ(one: Experiment, other: Experiment) -> set[str]:
    """The keys of data and split, or the groups themselves, in which two experiments differ."""
    found = set()
    for group in ("data", "split"):
        a, b = getattr(one, group), getattr(other, group)
        if type(a) is not type(b):
            found.add(group)
            continue
        found |= {
            f"{group}.{f.name}" for f in fields(a) if f.compare and getattr(a, f.name) != getattr(b, f.name)
        }
    return found - NOT_MEASURED


def _advise_seeds(search: Search, candidates: list[Candidate]) -> None:
    keys = _keys(candidates, lambda e: e.seed)
    if keys and set(search.objectives) != {"parameters"}:
        _advise(f"{_and(keys)} is luck and not a setting: seeds=10 gives every trial the mean over 10 seeds")
    keys = _keys(candidates, lambda e: e.seeds)
    if keys and set(search.objectives) != {"parameters"}:
        _advise(
            f"{_and(keys)} makes a trial's mean surer and not better: of few seeds the luckiest wins; "
            f"take one number for all, seeds=10"
        )


def _keys(candidates: list[Candidate], of: Callable[[Experiment], object]) -> list[str]:
    """The searched keys on which `of` depends."""
    return list(_pairs(candidates, of))


def _pairs(candidates: list[Candidate], of: Callable[[Experiment], object]) -> dict[str, tuple]:
    """searched key -> two experiments that differ in it alone, and in `of`."""
    found = {}
    for key in dict.fromkeys(key for c in candidates for key in c.params):
        alike = defaultdict(list)
        for c in candidates:
            rest = {k: v for k, v in c.params.items() if k != key and not k.startswith(f"{key}.")}
            alike[repr(rest)].append(c.experiment)
        for one, *others in alike.values():
            other = next((e for e in others if of(e) != of(one)), None)
            if other is not None:
                found.setdefault(key, (one, other))
    return found


def _and(keys: list[str]) -> str:
    return " or ".join(keys)


def _advise(sentence: str) -> None:
    warnings.warn(sentence, Advice, stacklevel=2)
