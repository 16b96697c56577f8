"""Whether trials can be ranked by an objective: whether it is the same quantity, on the same examples.

Losses of different kinds, or of targets in different units, cannot be compared; and of trials that are
validated on different examples the best may only be the luckiest.
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

SAME_EXAMPLES = {"data.normalization", "data.target_normalization"}  # these change none
LUCK_KEYS = {"data.seed", "split.seed", "split.fold"}  # which examples validate
SIZE_KEYS = {  # how many
    "split", "split.test", "split.validation", "split.k", "split.stratify", "split.repeats", "data.limit",
    "data.label_noise",
}  # fmt: skip
OTHER_OBJECTIVES = {"train_loss": "train_error"}  # else val_error
NOISE_KINDS = ("dropout", "input_dropout", "dropconnect")  # training losses are measured under it
PART_NAMES = {"validation": "validation", "train": "training"}


def with_rankable_objective(
    search: Search, candidates: list[Candidate], cache: DataCache
) -> tuple[Search, str]:
    """The search with an objective by which these trials can be ranked; and why, if it is not the usual one.

    Raises `UserError` where none can be, or the one that was asked for cannot; warns of what is doubtful.
    """
    why = ""
    if "auto" in search.asked:
        keys = _keys(candidates, lambda e: _unit("val_loss", e, cache))
        chosen = "val_error" if keys else "val_loss"
        objectives = tuple(chosen if name == "auto" else name for name in search.asked)
        search = replace(search, objective=objectives if len(objectives) > 1 else chosen)
        if keys:
            why = f"by val_error, since {_or(keys)} gives losses in different units"
    for name in search.objectives:
        _refuse_units(name, candidates, cache)
        if name.startswith(("val_", "train_")):
            _judge_examples(name, candidates, cache)
    _advise_seeds(search, candidates)
    return search, why


def _refuse_units(name: str, candidates: list[Candidate], cache: DataCache) -> None:
    keys = _keys(candidates, lambda e: _unit(name, e, cache))
    if not keys:
        return
    if name == "penalty":
        _advise(f"objective=penalty: {_or(keys)} is a factor of it, so the smallest one wins")
        return
    remedy = f"take objective={OTHER_OBJECTIVES.get(name, 'val_error')}"
    if name == "small_weights":
        remedy = "give regularizer.small one value"
    raise UserError(
        f"objective={name} cannot rank these trials: {_or(keys)} gives it a different unit in each; {remedy}"
    )


def _unit(name: str, e: Experiment, cache: DataCache) -> tuple:
    """What the size of an objective depends on, beside how good a model is."""
    dataset, regularizer = cache.datasets[e.data], e.regularizer
    if name == "penalty":
        return regularizer.l2, regularizer.l1
    if name == "small_weights":
        return (regularizer.small,)
    if name not in ("val_loss", "train_loss", "grad_norm"):
        return ()
    scale = ""
    if not dataset.classes:
        scale = getattr(e.data, "target_normalization", "")
    return e.loss_for(dataset.spec).name, scale


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
        if differ - LUCK_KEYS - SIZE_KEYS:
            raise UserError(
                f"{key}: trials on different data cannot be ranked against each other; make a sweep for "
                f"each, or a table of all by nnlab train -m"
            )
        sentence = f"{key} gives trials other {PART_NAMES[part]} examples"
        if differ <= LUCK_KEYS:
            raise UserError(
                f"{sentence}, so the best would be the luckiest draw; take split.repeats=10, with which a "
                f"trial is judged by its mean over 10 splits"
            )
        _advise(f"{sentence}, so their order is partly luck; split.repeats=10 takes means over 10 splits")
    noisy = _keys(candidates, lambda e: tuple(getattr(e.regularizer, kind) for kind in NOISE_KINDS))
    validated = all(c.experiment.split.validates for c in candidates if c.experiment)
    if part == "train" and noisy and validated:
        _advise(
            f"objective={name} is measured with {_or(noisy)} at work, so the least of it wins; take "
            f"objective={name.replace('train', 'val')}"
        )


def examples(e: Experiment, part: str, cache: DataCache) -> bytes:
    """A digest of which examples these are, and of their targets.

    Not of their inputs: two tables of the same examples, with other columns, may be compared. But examples
    that are drawn may differ and have equal targets.
    """
    dataset, digest = cache.datasets[e.data], hashlib.blake2b(digest_size=16)
    y = dataset.y if dataset.noisy is None else dataset.noisy
    drawn = e.data.drawn or e.data.limit
    for fold in cache.folds(e):
        numbers = getattr(fold, part)
        arrays = [numbers, y[numbers]]
        if drawn:
            arrays.append(dataset.x[numbers])
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def doubtful(experiments: list[Experiment], cache: DataCache) -> str:
    """Why the order of these runs is doubtful: they are not compared on the same examples. "" if they are."""
    part = "validation" if all(e.split.validates for e in experiments) else "train"
    first, digest = experiments[0], examples(experiments[0], part, cache)
    others = [e for e in experiments[1:] if examples(e, part, cache) != digest]
    keys = set().union(*(_differ(first, e) for e in others))
    if not keys:
        return ""
    names = " and ".join(sorted(keys - LUCK_KEYS or keys))
    if keys - LUCK_KEYS - SIZE_KEYS:
        return f"{names}: runs on different data, so their order does not say which is better"
    luck = "luck" if keys <= LUCK_KEYS else "partly luck"
    sentence = f"{names}: runs have other {PART_NAMES[part]} examples"
    return f"{sentence}, so their order is {luck}; split.repeats=10 takes means"


def _differ(one: Experiment, other: Experiment) -> set[str]:
    """The keys of data and split, or the groups themselves, in which two experiments differ."""
    keys = set()
    for group in ("data", "split"):
        a, b = getattr(one, group), getattr(other, group)
        if type(a) is not type(b):
            keys.add(group)
            continue
        names = [f.name for f in fields(a) if f.compare]
        keys |= {f"{group}.{name}" for name in names if getattr(a, name) != getattr(b, name)}
    return keys - SAME_EXAMPLES


def _advise_seeds(search: Search, candidates: list[Candidate]) -> None:
    keys = _keys(candidates, lambda e: e.seed)
    if keys and set(search.objectives) != {"parameters"}:
        _advise(f"{_or(keys)} is luck and not a setting: seeds=10 gives every trial the mean over 10 seeds")
    # A mean over fewer seeds varies more, so the luckiest of these tends to win.
    keys = _keys(candidates, lambda e: e.seeds)
    if keys and set(search.objectives) != {"parameters"}:
        _advise(
            f"{_or(keys)} makes a trial's mean surer and not better: of few seeds the luckiest wins; "
            f"take one number for all, seeds=10"
        )


def _keys(candidates: list[Candidate], of: Callable[[Experiment], object]) -> list[str]:
    """The searched keys on which `of` depends."""
    return list(_pairs(candidates, of))


def _pairs(candidates: list[Candidate], of: Callable[[Experiment], object]) -> dict[str, tuple]:
    """searched key -> two experiments that differ in it alone, and in `of`."""
    pairs = {}
    # A key is to blame only if all others are the same.
    for key in dict.fromkeys(key for c in candidates for key in c.params):
        alike = defaultdict(list)
        for c in candidates:
            rest = {k: v for k, v in c.params.items() if k != key and not k.startswith(f"{key}.")}
            alike[repr(rest)].append(c.experiment)
        for one, *others in alike.values():
            other = next((e for e in others if of(e) != of(one)), None)
            if other is not None:
                pairs.setdefault(key, (one, other))
    return pairs


def _or(keys: list[str]) -> str:
    return " or ".join(keys)


def _advise(sentence: str) -> None:
    warnings.warn(sentence, Advice, stacklevel=2)
