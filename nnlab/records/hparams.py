"""Flattens nested settings into hyperparameters, and aligns those of several runs."""

from __future__ import annotations

from collections.abc import Iterator

from nnlab.errors import visible


def flatten(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield nested settings as pairs (dotted key, value), with control characters made visible."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
            continue
        if isinstance(value, str):
            value = visible(value)
        yield visible(f"{prefix}{key}"), value


def align_hparams(runs: list[dict]) -> tuple[list[dict], tuple[str, ...]]:
    """The flat settings of several runs with the same keys in all, and the keys in which they differ.

    The keys that differ come first. A setting that a run does not have is None.
    """
    flattened = [dict(flatten(settings)) for settings in runs]
    keys = dict.fromkeys(key for hparams in flattened for key in hparams)
    # By text, since 1 and True are equal.
    varying = tuple(key for key in keys if len({repr(hparams.get(key)) for hparams in flattened}) > 1)
    everywhere = [hparams | {key: hparams.get(key) for key in keys} for hparams in flattened]
    return [move_to_front(hparams, varying) for hparams in everywhere], varying


def move_to_front(hparams: dict, keys) -> dict:
    """The hyperparameters with these keys first."""
    return {key: hparams[key] for key in keys if key in hparams} | hparams
