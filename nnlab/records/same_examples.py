"""Which stored runs train and are tested on the same examples; others on the same data are refused."""

from __future__ import annotations

from collections.abc import Sequence

from nnlab.data.spec import HARMLESS_KEYS
from nnlab.errors import UserError
from nnlab.records.arm_names import (
    Flat,
    arm_words,
    compared_settings,
    differing_keys,
    with_defaults_of_choice,
)
from nnlab.records.run_summaries import data_name
from nnlab.records.stored_run import StoredRun

OF_EXAMPLES = ("data.", "split.")  # the settings that say which examples train and test


def by_examples(runs: Sequence[StoredRun]) -> dict[str, list[StoredRun]]:
    """The runs on the same examples, by the name of their data. Raises `UserError` for runs on the same data
    of which other examples train or test."""
    examples = _examples_of(runs)
    groups: dict[str, list[StoredRun]] = {}
    for run, each in zip(runs, examples, strict=True):
        groups.setdefault(each, []).append(run)
    firsts = [group[0] for group in groups.values()]
    for place, first in enumerate(firsts):
        for other in firsts[:place]:
            if _data_settings(first) == _data_settings(other):
                _refuse_same_data(other, first)
    for group in groups.values():
        _refuse_changed_inputs(group)
    return dict(zip(_data_names(firsts), groups.values(), strict=True))


def refuse_other_examples(runs: Sequence[StoredRun]) -> None:
    """Raise `UserError` unless all train and are tested on the same examples."""
    first, *others = zip(runs, _examples_of(runs), strict=True)
    for run, examples in others:
        if examples != first[1]:
            _refuse_same_data(first[0], run)
    _refuse_changed_inputs(runs)


def _refuse_changed_inputs(runs: Sequence[StoredRun]) -> None:
    """Raise `UserError` where data of the same settings were not the same: a file was edited, say."""
    seen: dict[str, StoredRun] = {}
    for run in runs:
        if data := _fingerprint(run, "data"):
            first = seen.setdefault(repr(_data_settings(run)), run)
            if _fingerprint(first, "data") != data:
                _refuse_same_data(first, run)


def _examples_of(runs: Sequence[StoredRun]) -> list[str]:
    """Of each run a text that is equal where the examples are. Old folders have no fingerprint: there their
    data, split and the lines of splits.jsonl count."""
    prints = [_fingerprint(run, "examples") for run in runs]
    if all(prints):
        return prints
    return [
        repr((_data_settings(run), _split_settings(run), data_name(run.summary), _splits(run)))
        for run in runs
    ]


def _fingerprint(run: StoredRun, name: str) -> str:
    entry = run.summary.get("fingerprints")
    text = entry.get(name) if isinstance(entry, dict) else None
    return text if isinstance(text, str) else ""


def _splits(run: StoredRun) -> list:
    try:
        return [(s["repeat"], s["fold"], s["validation"].tolist(), s["test"].tolist()) for s in run.splits]
    except UserError:
        return []


def _data_settings(run: StoredRun) -> Flat:
    return _settings_of(run, "data")


def _split_settings(run: StoredRun) -> Flat:
    return _settings_of(run, "split")


def _settings_of(run: StoredRun, group: str) -> Flat:
    settings = compared_settings(run.settings)
    of_group = {key: value for key, value in settings.items() if key.startswith(f"{group}.")}
    whole = with_defaults_of_choice(of_group, group)
    return {key: whole[key] for key in sorted(whole) if key not in HARMLESS_KEYS}


def _refuse_same_data(a: StoredRun, b: StoredRun) -> None:
    """Raise the `UserError` for two runs on other examples of what are the same data by their settings."""
    both = f"'{a.path}' and '{b.path}'"
    for what, settings in {"split": _split_settings, "data": _data_settings}.items():
        if keys := differing_keys([settings(a), settings(b)]):
            key = keys[0]
            raise UserError(
                f"{both} have other examples, so there are no pairs: {key.removesuffix('.name')} is "
                f"{settings(a).get(key)!r:.60} and {settings(b).get(key)!r:.60}; train both with one {what}"
            )
    raise UserError(f"{both} have other examples, so there are no pairs: the data changed between them")


def _data_names(firsts: Sequence[StoredRun]) -> list[str]:
    """The name of each data set: as in summary.json, with what differs where that is not enough."""
    names = [data_name(run.summary) or "data" for run in firsts]
    if len({*names}) == len(names):
        return names
    words = arm_words([_data_settings(run) for run in firsts])
    names = [" ".join([name, *each]) for name, each in zip(names, words, strict=True)]
    return [f"{name} ({place})" if names.count(name) > 1 else name for place, name in enumerate(names)]
