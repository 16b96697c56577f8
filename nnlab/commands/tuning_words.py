"""`nnlab compare ... tune=32`: the words of a sweep for each arm, by which it is tuned before it is compared.

Every arm has as many trials, of the same sampler, on the compared splits, with a seed that is not compared.
What is searched are the keys of the space that it has and that its own words do not fix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nnlab.allowed import LARGEST_EXACT_INTEGER
from nnlab.commands import sweep_definition
from nnlab.commands.command_keys import keys_of
from nnlab.commands.command_line import CommandLine, key_of
from nnlab.commands.command_settings import CompareSettings
from nnlab.commands.composing import ComposedRun, open_composer
from nnlab.commands.run_folders import run_names
from nnlab.commands.trial_settings import has_key
from nnlab.data.spec import HARMLESS_KEYS
from nnlab.errors import UserError

if TYPE_CHECKING:
    from nnlab.commands.sweep_request import SweepRequest

SEED_KEYS = ("seed", "seeds")
SEEDS_APART = 1_000_000  # from the first seed compared to that of the tuning: more seeds stay below it
FIXED_GROUPS = {"data": "the same data", "split": "the same splits"}  # what arms have in common


@dataclass(frozen=True)
class Tuning:
    """The sweeps of a comparison, one for each of its runs."""

    trials: int
    seed: int
    measure: str  # by which the tuned arms are compared
    train: CommandLine  # of which the tuned runs are made
    requests: list[SweepRequest]


def without_ranges(line: CommandLine) -> tuple[CommandLine, list[str]]:
    """The line without its intervals, which are no list of arms, and these: they are searched. Raises
    `UserError`."""
    if "tune" not in line.keys():
        return line, []
    with open_composer(line) as composer:
        read = composer.read(line.overrides, allow_several=True, for_search=True)
    ranges = [override.input_line for override in read if override.is_interval_sweep()]
    for word in ranges:
        key = key_of(word)
        if _group(key) in keys_of("compare") or key in SEED_KEYS:
            raise UserError(f"{word}: {key} is the comparison's own and is not searched")
        if sum(key_of(other) == key for other in line.overrides) > 1:
            raise UserError(f"{word}: {key} is there twice, and is either searched or what arms differ in")
    words = [o.input_line for o in read if not o.is_interval_sweep()]
    return line.with_overrides(words), ranges


def read_tuning(
    line: CommandLine, whole: ComposedRun, runs: Sequence[ComposedRun], ranges: Sequence[str]
) -> Tuning | None:
    """The sweeps of these runs; None where nothing is tuned. Raises `UserError`."""
    settings = CompareSettings(**{name: whole.settings[name] for name in ("measure", "tune")})
    if settings.tune is None:
        for word in line.overrides:
            if _group(key_of(word)) in ("sampler", "space"):
                raise UserError(f"{word} says how arms are tuned, and they are not: add tune=32, say")
        return None
    seed = _unused_seed(runs[0].settings["seed"])
    search = [word for word in line.overrides if _group(key_of(word)) == "sampler"]
    search += [f"seed={seed}", "seeds=1", f"trials={settings.tune}", "report=false", *_objective(settings)]
    space = [word for word in line.overrides if key_of(word) == "space"]
    requests = []
    for run, name in zip(runs, run_names([run.overrides for run in runs]), strict=True):
        words = [word for word in run.overrides if key_of(word) not in SEED_KEYS]
        try:
            words += search
            requests.append(_request(line, run, words, [*space, *ranges], whole.settings["space"]))
        except UserError as e:
            raise UserError(f"tuning {name}: {e}") from e
    train = replace(line, command="train", multirun=True, overrides=())
    return Tuning(settings.tune, seed, settings.measure, train, requests)


def _unused_seed(first: int) -> int:
    return first + SEEDS_APART if first + SEEDS_APART <= LARGEST_EXACT_INTEGER else first - SEEDS_APART


def _objective(settings: CompareSettings) -> list[str]:
    """A measure that is not of the test set is what arms are tuned by; else the usual objective is."""
    part, _, metric = settings.measure.partition("_")
    if part not in ("val", "train"):
        return []
    return [f"objective={settings.measure if metric in ('loss', 'error') else metric}"]


def _request(
    line: CommandLine, run: ComposedRun, words: list[str], searched: list[str], space: dict
) -> SweepRequest:
    """The sweep of one run, all of whose space is in its words, so that its folder says what it is."""
    from nnlab.commands import sweep_request  # imports what searches, which other comparisons do without

    sweep = replace(line, command="sweep")
    keys = [*(space if isinstance(space, dict) else ()), *map(key_of, searched)]
    absent = {key for key in keys if not _has(run, key, keys)} - {"space"}
    here = [word for word in searched if key_of(word) not in absent]
    names_space = any(key_of(word) == "space" for word in searched)
    if searched and not names_space:  # as in nnlab sweep, naming keys replaces the default space
        here.append("space=none")
    texts = sweep_definition.read(sweep.with_overrides([*words, *here]), absent).texts
    if not texts:
        raise UserError(
            f"nothing is left to search: {_why_nothing(keys, absent)}; search a key that every arm has and "
            f"leaves open, 'optimizer.lr=tag(log,interval(1e-4,1))'"
        )
    for key, text in texts.items():
        same = FIXED_GROUPS.get(_group(key)) if key not in HARMLESS_KEYS else None
        if same or key in SEED_KEYS:
            raise UserError(f"{key}={text}: arms have {same or 'the same seeds'}, so it is not searched")
    words = [*words, *(f"{key}={text}" for key, text in texts.items()), "space=none"]
    return sweep_request.read(sweep.with_overrides(words))


def _has(run: ComposedRun, key: str, keys: list[str]) -> bool:
    """Whether the run has the key, or may have it by the choice of a group that is searched too."""
    searches_group = _group(key) in keys and _group(key) not in {key_of(word) for word in run.overrides}
    return has_key(run.settings, key) or searches_group


def _why_nothing(keys: list[str], absent: set[str]) -> str:
    if absent:
        return f"it does not have {', '.join(sorted(absent))}"
    return "its own words fix all of the space" if {*keys} - {"space"} else "the space has no keys"


def _group(key: str) -> str:
    return key.partition(".")[0]
