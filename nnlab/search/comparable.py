"""Checks that trials are comparable: that an objective is the same quantity in all, on the same examples.

Losses of different kinds, or of targets in different units, cannot be compared; and of trials that are
validated on different examples the best may only be the luckiest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields, replace

from nnlab.data.spec import HARMLESS_KEYS
from nnlab.errors import UserError, advise
from nnlab.experiment import Experiment
from nnlab.metrics import METRICS, recorded_name
from nnlab.regularizers import AUGMENTATIONS, DROPOUTS
from nnlab.search.batch_training import Candidate
from nnlab.search.settings import Search, natural_sign
from nnlab.training.data_cache import DataCache
from nnlab.training.fingerprints import examples_digest

LUCK_KEYS = {"data.seed", "split.seed", "split.fold"}  # settings that change which examples validate
SIZE_KEYS = {  # settings that change how many examples validate
    "split", "split.test", "split.validation", "split.k", "split.stratify", "split.repeats", "data.limit",
    "data.label_noise",
}  # fmt: skip
ALTERNATIVE_OBJECTIVES = {"train_loss": "train_error"}  # what to suggest instead; by default val_error
NOISE_KINDS = (*DROPOUTS, *AUGMENTATIONS)  # noise that is on while training losses are measured
SUBSET_NAMES = {"validation": "validation", "train": "training"}


def choose_objective(search: Search, candidates: list[Candidate], cache: DataCache) -> tuple[Search, str]:
    """The search with an objective that can rank these trials; and the reason, if it is not the usual one.

    Raises `UserError` if none can, or the requested one cannot; warns where the ranking is doubtful.
    """
    why = ""
    metrics = {c.experiment.metric for c in candidates if c.experiment}
    if len(metrics) == 1:
        search = search.for_metric(metrics.pop())
    if "auto" in search.requested_objectives:
        keys = _keys_affecting(candidates, lambda e: _unit_of_objective("val_loss", e, cache))
        chosen = "val_error" if keys else "val_loss"
        objectives = tuple(chosen if name == "auto" else name for name in search.requested_objectives)
        search = replace(search, objective=objectives if len(objectives) > 1 else chosen)
        if keys:
            why = f"by val_error, since {_or(keys)} gives losses in different units"
    for name in search.objectives:
        _refuse_units(name, candidates, cache)
        if recorded_name(name).startswith(("val_", "train_")):
            _check_examples(name, candidates, cache)
    _advise_directions(search)
    _advise_seeds(search, candidates)
    return search, why


def _refuse_units(name: str, candidates: list[Candidate], cache: DataCache) -> None:
    keys = _keys_affecting(candidates, lambda e: _unit_of_objective(name, e, cache))
    if not keys:
        return
    if name == "penalty":
        _advise(f"objective=penalty: {_or(keys)} is a factor of it, so the smallest one wins")
        return
    remedy = f"take objective={ALTERNATIVE_OBJECTIVES.get(name, 'val_error')}"
    if name == "small_weights":
        remedy = "give regularizer.small one value"
    raise UserError(
        f"objective={name} cannot rank these trials: {_or(keys)} gives it a different unit in each; {remedy}"
    )


def _unit_of_objective(name: str, e: Experiment, cache: DataCache) -> tuple:
    """What the scale of an objective depends on: trials are comparable only if these values are equal."""
    dataset, regularizer = cache.datasets[e.data], e.regularizer
    if name == "penalty":
        return regularizer.l2, regularizer.l1, regularizer.activity_l1, regularizer.activity_l2
    if name == "small_weights":
        return (regularizer.small,)
    if name not in ("val_loss", "train_loss", "grad_norm"):
        return ()
    scale = ""
    if not dataset.classes:
        scale = e.data.target_scaling
    return e.loss_for(dataset.spec).name, scale, e.class_weight


def _check_examples(name: str, candidates: list[Candidate], cache: DataCache) -> None:
    """Raise `UserError` if the trials differ in their data or in the luck of a split; warn if in its size."""
    digests: dict[tuple, bytes] = {}
    subset = "validation" if recorded_name(name).startswith("val_") else "train"

    def digest(e: Experiment) -> bytes:
        if (e.data, e.split) not in digests:
            digests[e.data, e.split] = examples_digest(e, subset, cache)
        return digests[e.data, e.split]

    for key, (a, b) in _differing_pairs(candidates, digest).items():
        differing = _differing_keys(a, b)
        if differing - LUCK_KEYS - SIZE_KEYS:
            raise UserError(
                f"{key}: trials on different data cannot be ranked against each other; make a sweep for "
                f"each, or a table of all by nnlab train -m"
            )
        sentence = f"{key} gives trials other {SUBSET_NAMES[subset]} examples"
        if differing <= LUCK_KEYS:
            raise UserError(
                f"{sentence}, so the best would be the luckiest draw; take split.repeats=10, with which a "
                f"trial is judged by its mean over 10 splits"
            )
        _advise(f"{sentence}, so their order is partly luck; split.repeats=10 takes means over 10 splits")
    noisy = _keys_affecting(candidates, lambda e: tuple(getattr(e.regularizer, kind) for kind in NOISE_KINDS))
    validated = all(c.experiment.split.validates for c in candidates if c.experiment)
    if subset == "train" and noisy and validated:
        _advise(
            f"objective={name} is measured with {_or(noisy)} at work, so the least of it wins; take "
            f"objective={name.replace('train', 'val')}"
        )


def why_not_comparable(experiments: list[Experiment], cache: DataCache) -> str:
    """The reason why these runs cannot be ranked reliably: their examples differ. Empty if they do not."""
    subset = "validation" if all(e.split.validates for e in experiments) else "train"
    first, digest = experiments[0], examples_digest(experiments[0], subset, cache)
    rest = [e for e in experiments[1:] if examples_digest(e, subset, cache) != digest]
    keys = set().union(*(_differing_keys(first, e) for e in rest))
    if not keys:
        return ""
    names = " and ".join(sorted(keys - LUCK_KEYS or keys))
    if keys - LUCK_KEYS - SIZE_KEYS:
        return f"{names}: runs on different data, so their order does not say which is better"
    luck = "luck" if keys <= LUCK_KEYS else "partly luck"
    sentence = f"{names}: runs have other {SUBSET_NAMES[subset]} examples"
    return f"{sentence}, so their order is {luck}; split.repeats=10 takes means"


def _differing_keys(a: Experiment, b: Experiment) -> set[str]:
    """The keys of data and split, or the groups themselves, in which two experiments differ."""
    keys = set()
    for group in ("data", "split"):
        part_a, part_b = getattr(a, group), getattr(b, group)
        if type(part_a) is not type(part_b):
            keys.add(group)
            continue
        names = [f.name for f in fields(part_a) if f.compare]
        keys |= {f"{group}.{name}" for name in names if getattr(part_a, name) != getattr(part_b, name)}
    return keys - HARMLESS_KEYS


def _advise_directions(search: Search) -> None:
    for name, sign in zip(search.objectives, search.signs, strict=True):
        if name in METRICS and sign != natural_sign(name):
            better, sought = ("larger", "smallest") if sign > 0 else ("smaller", "largest")
            _advise(
                f"objective={name}: the {better} the better, but direction asks for the {sought}; leave "
                f"direction=auto to search for the best"
            )


def _advise_seeds(search: Search, candidates: list[Candidate]) -> None:
    keys = _keys_affecting(candidates, lambda e: e.seed)
    if keys and set(search.objectives) != {"parameters"}:
        _advise(f"{_or(keys)} is luck and not a setting: seeds=10 gives every trial the mean over 10 seeds")
    # A mean over fewer seeds has more variance, so the luckiest of these tends to win.
    keys = _keys_affecting(candidates, lambda e: e.seeds)
    if keys and set(search.objectives) != {"parameters"}:
        _advise(
            f"{_or(keys)} makes a trial's mean surer and not better: of few seeds the luckiest wins; "
            f"take one number for all, seeds=10"
        )


def _keys_affecting(candidates: list[Candidate], quantity: Callable[[Experiment], object]) -> list[str]:
    """The searched keys on which `quantity` depends."""
    return list(_differing_pairs(candidates, quantity))


def _differing_pairs(
    candidates: list[Candidate], quantity: Callable[[Experiment], object]
) -> dict[str, tuple]:
    """Searched key -> two experiments that differ in that parameter only, and in `quantity`."""
    pairs = {}
    # A key is the cause only if all other parameters are the same.
    for key in dict.fromkeys(key for c in candidates for key in c.params):
        by_other_params = defaultdict(list)
        for c in candidates:
            other_params = {k: v for k, v in c.params.items() if k != key and not k.startswith(f"{key}.")}
            by_other_params[repr(other_params)].append(c.experiment)
        for a, *rest in by_other_params.values():
            b = next((e for e in rest if quantity(e) != quantity(a)), None)
            if b is not None:
                pairs.setdefault(key, (a, b))
    return pairs


def _or(keys: list[str]) -> str:
    return " or ".join(keys)


def _advise(sentence: str) -> None:
    advise(sentence)
