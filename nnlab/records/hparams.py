"""Settings as hyperparameters: flat, those of several runs beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from nnlab.errors import visible


def flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings as pairs: dotted key, value; words without characters that act."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
            continue
        if isinstance(value, str):
            value = visible(value)
        yield visible(f"{prefix}{key}"), value


def beside(runs: list[dict]) -> tuple[list[dict], tuple[str, ...]]:
    """The flat settings of several runs, each with the keys of all, and the keys in which they differ, which
    come first. What a run does not have is None."""
    flattened = [dict(flat(settings)) for settings in runs]
    keys = dict.fromkeys(key for hparams in flattened for key in hparams)
    # By text, since 1 and True are equal.
    differ = tuple(key for key in keys if len({repr(hparams.get(key)) for hparams in flattened}) > 1)
    everywhere = [hparams | {key: hparams.get(key) for key in keys} for hparams in flattened]
    return [in_front(hparams, differ) for hparams in everywhere], differ


def in_front(hparams: dict, keys) -> dict:
    """The same with these keys first."""
    return {key: hparams[key] for key in keys if key in hparams} | hparams
