"""The words of `nnlab compare optimizer=sgd,adam ...`: the runs of its arms, which are to be trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hydra.core.override_parser.types import Override

from nnlab.commands import config_checks, hydra_overrides, tuning_words
from nnlab.commands.command_keys import keys_of
from nnlab.commands.command_line import CommandLine, by_key, key_of
from nnlab.commands.composing import ComposedRun, Composer, make_run, open_composer, set_hydra_job
from nnlab.commands.multirun import combinations_of
from nnlab.commands.run_folders import differing_overrides
from nnlab.commands.tuning_words import SEED_KEYS
from nnlab.commands.word_lists import compose_runs
from nnlab.errors import UserError
from nnlab.records.measures import refuse_many_arms
from nnlab.records.text import shell_line, shell_word

SPLIT_GROUP, DATA_GROUP = "split", "data"
DATA_KEYS = ("data", "data.path")  # whose values are data sets


@dataclass(frozen=True)
class ComparePlan:
    """A comparison as its command line and the configuration files define it."""

    whole: ComposedRun  # the comparison itself: its folder and its command
    runs: list[ComposedRun]  # of each arm on each data set
    varied: list[tuple[str, ...]]  # of each run the words that not all runs have
    tuning: tuning_words.Tuning | None = None
    line: CommandLine | None = None  # as it was typed
    notes: tuple[str, ...] = ()  # advice about its words

    @property
    def measure(self):
        return self.whole.settings["measure"]


def read(line: CommandLine) -> ComparePlan:
    """The comparison that the command line defines. Raises `UserError`."""
    _refuse_flags(line)
    typed = line
    line, ranges = tuning_words.without_ranges(line)
    line, notes = _without_overridden(line)
    whole = replace(_whole(line), command=shell_line([*typed.prefix(), *typed.overrides]))
    words = _words_of_arms(line)
    train = replace(line, command="train", multirun=True, overrides=tuple(words))
    with open_composer(train) as composer:
        combinations = combinations_of(train, composer)
        if len(combinations) == 1:
            raise UserError(_how_to_write_two(words))
        varied = [tuple(each) for each in differing_overrides(combinations)]
        _refuse_arms(words, varied)
        usual_seeds = whole.settings["seeds"]
        lists = [_with_seeds(composer.read(each), usual_seeds, composer) for each in combinations]
        runs = compose_runs(train, lists, composer)
    tuning = tuning_words.read_tuning(line, whole, runs, ranges)
    return ComparePlan(whole, runs, varied, tuning, typed, tuple(notes))


def drop_arms(line: CommandLine) -> CommandLine:
    """The line without what has several values, for --cfg and --help."""
    with open_composer(line) as composer:
        overrides = composer.read(line.overrides, allow_several=True, for_search=True)
    return line.with_overrides(o.input_line for o in overrides if not o.is_sweep_override())


def _refuse_flags(line: CommandLine) -> None:
    if line.config_name is not None:
        raise UserError(
            "-cn: nnlab compare has its own configuration, since its arms are those of nnlab train"
        )
    if line.multirun:
        raise UserError("-m: nnlab compare trains every combination by itself; leave -m out")
    for word in line.overrides:
        key, value = key_of(word), word.partition("=")[2]
        if key == "seeds" and value.startswith("+"):
            raise UserError(
                f"{word}: more seeds are for a comparison that there is, nnlab compare FOLDER {word}; of a "
                f"new one, write seeds={value.lstrip('+') or 10}"
            )


def _without_overridden(line: CommandLine) -> tuple[CommandLine, list[str]]:
    """The line without words that a later one with the same key overrides, and advice about these: whoever
    writes `data=iris data=wine` may have meant both."""
    used = by_key(line.overrides)
    kept, notes = [], []
    for place, word in enumerate(line.overrides):
        key, last = key_of(word), used[key_of(word)]
        if key not in {key_of(later) for later in line.overrides[place + 1 :]}:
            kept.append(word)
        elif word != last:
            value, values = word.partition("=")[2], last.partition("=")[2]
            both = shell_word(f"{word},{values}")
            remedy = f"; for both, write {both}" if value not in values.split(",") else ""
            notes.append(f"{word} is overridden by {last}, which comes later{remedy}")
    return line.with_overrides(kept), notes


def _words_of_arms(line: CommandLine) -> list[str]:
    """The words that are not the comparison's own."""
    keys = {*keys_of("compare"), "hydra.run.dir"}
    return [word for word in line.overrides if not {key_of(word), key_of(word).partition(".")[0]} & keys]


def _whole(line: CommandLine) -> ComposedRun:
    """The comparison itself: its settings are those that all arms have in common."""
    with open_composer(line) as composer:
        overrides = composer.read(line.overrides, allow_several=True)
        hydra_overrides.refuse_multirun_folders(overrides, "the folder of a comparison is hydra.run.dir")
        several = {o.key_or_group for o in overrides if o.is_sweep_override()}
        for override in overrides:
            if override.is_sweep_override() and override.key_or_group in keys_of("compare"):
                key = override.key_or_group
                raise UserError(f"{override.input_line}: {key} is the comparison's own and takes one value")
        shared = [
            o for o in overrides if not o.is_sweep_override() and o.key_or_group.split(".")[0] not in several
        ]
        config = composer.compose(shared)
        set_hydra_job(config, None)
        config_checks.check_composed(config, composer.options)
        if line.config_dir is not None:
            config_checks.check_output_locations(config, {o.key_or_group for o in overrides})
        run = make_run(config, shared, line.prefix())
    return replace(run, overrides=_words_of_arms(line))


def _refuse_arms(words: list[str], varied: list[tuple[str, ...]]) -> None:
    """Raise `UserError` where what varies is not what arms may differ in, or where two are the same."""
    values: dict[str, dict[str, None]] = {}  # key -> its words, each once
    for word in (word for each in varied for word in each):
        values.setdefault(key_of(word), {})[word] = None
    typed = {key_of(word): word for word in words}
    for key, each in values.items():
        word = typed.get(key, ", ".join(each))
        if key == "seed":
            raise UserError(
                f"{word}: seeds are not arms, but what arms are compared over; write seeds={len(each)}"
            )
        if key == "seeds":
            raise UserError(f"{word}: arms are compared seed by seed, so all have as many; write seeds=10")
        if key.partition(".")[0] == SPLIT_GROUP:
            remedy = (
                "split.repeats=10 compares them on 10 splits" if key == "split.seed" else "write one value"
            )
            raise UserError(f"{word}: arms are compared on the same splits; {remedy}")
    refuse_many_arms(len({tuple(w for w in each if key_of(w) not in DATA_KEYS) for each in varied}))
    if len({*varied}) < len(varied):
        raise UserError(_what_is_there_twice(words, varied))


def _what_is_there_twice(words: list[str], varied: list[tuple[str, ...]]) -> str:
    """Two arms are the same, or two data sets."""
    lists = [word for word in words if _has_repeated_value(word)]
    of_arms = [word for word in lists if key_of(word) not in DATA_KEYS]
    if lists and not of_arms:
        return f"{lists[0]}: a data set is there twice: give each once"
    twice = next(each for each in varied if varied.count(each) > 1)
    return f"{next(iter(of_arms), ' '.join(twice))}: two arms are the same: give each value once"


def _has_repeated_value(word: str) -> bool:
    values = word.partition("=")[2].removeprefix("choice(").removesuffix(")").split(",")
    return len({value.strip() for value in values}) < len(values)


def _how_to_write_two(words: list[str]) -> str:
    example = "optimizer=sgd,adam"
    keys = [word for word in words if key_of(word) not in (*SEED_KEYS, SPLIT_GROUP, DATA_GROUP, "epochs")]
    if not keys:
        return f"one arm is no comparison: give a key several values, such as nnlab compare {example}"
    key, _, value = keys[0].lstrip("+").partition("=")
    second = {"optimizer": "sgd" if value != "sgd" else "adam"}.get(key, "ANOTHER")
    two = shell_word(f"{key}={value},{second}")
    return f"{' '.join(words)} is one arm, and a comparison takes two or more: write {two}"


def _with_seeds(overrides: list[Override], usual: int, composer: Composer) -> list[Override]:
    """The overrides with the usual number of seeds, if neither they nor an experiment's file say how many."""
    if any(o.key_or_group == "seeds" for o in overrides) or composer.compose_groups_of(overrides).seeds != 1:
        return overrides
    return [*overrides, *composer.read([f"seeds={usual}"])]
