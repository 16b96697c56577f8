"""Names of the arms of stored runs: the settings in which they differ, as words of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from nnlab.catalogue import Catalogue
from nnlab.errors import shortened
from nnlab.records.files import RECORDING_KEYS
from nnlab.records.hparams import flatten

# Settings that change no result, and those of the units over which arms are compared.
UNCOMPARED_KEYS = (*RECORDING_KEYS, "seed", "seeds", "threads", "histograms", "record", "metrics")
Flat = dict[str, object]  # dotted key -> value


def compared_settings(settings: Mapping) -> Flat:
    """The settings of a run in which arms may differ."""
    return {
        key: value for key, value in flatten(dict(settings)) if key.partition(".")[0] not in UNCOMPARED_KEYS
    }


def with_defaults(runs: Sequence[Flat]) -> list[Flat]:
    """The settings of runs, those that a run lacks and another has with their default: it was trained by a
    version that did not know them, or has another choice of their group."""
    keys = dict.fromkeys(key for flat in runs for key in flat)
    return [flat | _defaults_of([key for key in keys if key not in flat], flat) for flat in runs]


def _defaults_of(keys: Iterable[str], flat: Flat) -> Flat:
    """The defaults of those keys that the choices of a run have."""
    catalogue, defaults = Catalogue("train"), {}
    for key in keys:
        group, dot, _ = key.partition(".")
        choice = flat.get(f"{group}.name")
        of_group = catalogue.keys(group if dot else None)
        if isinstance(choice, str):
            of_group = catalogue.choice_keys(group, choice)
        if key in of_group and "${" not in str(of_group[key].value):
            defaults[key] = of_group[key].value
    return defaults


def with_defaults_of_choice(flat: Flat, group: str) -> Flat:
    """The settings of a group, `data` say, and the defaults of those keys of its choice that a run of an
    older version lacks."""
    choice = flat.get(f"{group}.name")
    return _defaults_of_choice(group, choice) | flat if isinstance(choice, str) else flat


@lru_cache
def _defaults_of_choice(group: str, choice: str) -> Flat:
    return _defaults_of(Catalogue("train").choice_keys(group, choice), {f"{group}.name": choice})


def arm_words(arms: Sequence[Flat]) -> list[tuple[str, ...]]:
    """Of each arm the words that tell it from the others: `optimizer=adam`, with as few keys as it takes."""
    differing = differing_keys(arms)
    chosen = {key.removesuffix(".name") for key in differing if key.endswith(".name")}
    of_choices = [key for key in differing if key.rpartition(".")[0] in chosen and not key.endswith(".name")]
    keys = [key for key in differing if key not in of_choices]
    words = [_words(flat, keys) for flat in arms]
    while of_choices and len({*words}) < len(words):
        keys.append(of_choices.pop(0))
        words = [_words(flat, keys) for flat in arms]
    return [each or (f"without {keys[0]}",) for each in words] if keys else words


def differing_keys(arms: Iterable[Flat]) -> list[str]:
    """The keys of which not all have the same value, those with a choice's name first."""
    arms = [*arms]
    keys = dict.fromkeys(key for flat in arms for key in flat)
    # By text, since 1 and True are equal.
    return [key for key in keys if len({repr(flat.get(key, "")) for flat in arms}) > 1]


def _words(flat: Flat, keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{key.removesuffix('.name')}={_text(flat[key])}" for key in keys if key in flat)


def _text(value: object) -> str:
    """A value as the command line writes it."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    return shortened(str(value))
