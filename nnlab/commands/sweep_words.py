"""What the command line of `nnlab sweep` says: the sweep's own settings, the space, and what trials share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from nnlab.commands import automatic, config_checks, continued_sweep, grammar, overrides
from nnlab.commands.command_keys import keys_of
from nnlab.commands.command_line import CommandLine, by_key
from nnlab.commands.composing import ComposedRun, Composer, composed_run, finish, opened
from nnlab.commands.multirun import swept_by_files
from nnlab.commands.trial_settings import TrialSettings
from nnlab.commands.unknown_key import unknown_key
from nnlab.errors import UserError, nearest
from nnlab.masking import masked
from nnlab.records.text import shell_line
from nnlab.suggestions import key_elsewhere

Words = dict[str, Override]  # key -> the word that lets it be several values


@dataclass(frozen=True)
class SweepWords:
    """A sweep's words, read."""

    run: ComposedRun  # the sweep itself: its settings with every parameter at its default
    trials: TrialSettings
    texts: dict[str, str]  # key -> its values, as they were written
    left_out: tuple[str, ...] = ()  # keys of the default space, if naming others took its place

    def settings(self) -> dict:
        """All settings, with the space as text and without the password of a database."""
        return self.run.settings | {"space": self.texts, "storage": shown_storage(self.run.settings)}


def shown_storage(settings: dict):
    """The database of these settings as it may be shown and written."""
    url = settings["storage"]
    return masked(url) if isinstance(url, str) else url


def read(line: CommandLine) -> SweepWords:
    """What the command line of `nnlab sweep` says; raises `UserError`."""
    _refuse_flags(line)
    with opened(line) as composer:
        fixed, named, left_out = _fixed_and_named(line, composer)
        of_space, is_replaced = _of_space(fixed, named, composer)
        searched = of_space | named
        has_both = {automatic.PENALTY_KEY, automatic.DECAY_KEY, "optimizer"} <= searched.keys()
        _refuse_searched_sweep_keys(searched)
        run = _run_of(line, fixed, searched, composer)
        trials = TrialSettings(
            domains={key: grammar.domain(override) for key, override in searched.items()},
            groups=frozenset(key for key, override in searched.items() if composer.is_group(override)),
            fixed=[override for override in fixed if not overrides.is_hydras(override)],
            composer=composer,
            defaults=run.settings,
            prefix=line.prefix("train"),
            decayed_once=is_replaced or has_both,
        )
    _check_keys(trials, run)
    texts = {key: override.input_line.partition("=")[2] for key, override in searched.items()}
    return SweepWords(run, trials, texts, left_out)


def of_folder(about: dict) -> SweepWords:
    """The command line with which another sweep began, from `about` of its sweep.json, read again."""
    return read(continued_sweep.resumed(CommandLine("sweep"), about))


def without_searched(line: CommandLine) -> CommandLine:
    """The line without what is searched, for --cfg and --help."""
    line = continued_sweep.with_folders_quoted(line)
    with opened(line) as composer:
        fixed, _ = _split(composer.read(line.overrides, several=True, search=True))
    return line.with_overrides(override.input_line for override in fixed)


def _refuse_flags(line: CommandLine) -> None:
    if line.config_name is not None:
        raise UserError(
            "-cn: nnlab sweep has its own configuration, since its trials are those of nnlab train"
        )
    if line.multirun:
        raise UserError("-m: nnlab sweep searches by itself; to run each of several values, nnlab train -m")


def _fixed_and_named(line: CommandLine, composer: Composer) -> tuple[list[Override], Words, tuple[str, ...]]:
    """What has one value; the keys that are named to be searched; and those of the default space, whose place
    they then take, that are left out."""
    words = list(by_key(line.overrides).values())
    given = composer.read(words, several=True, search=True)
    words += _swept_by_experiment(line, given, composer)
    read = composer.read(words, several=True, search=True)
    overrides.refuse_places_of_several(read, "the folder of a search is hydra.run.dir")
    fixed, named = _split(read)
    if not named or any(override.key_or_group == "space" for override in given):
        return fixed, named, ()
    usual, _ = _of_space(fixed, named, composer)
    left_out = tuple(key for key in usual if key not in named)
    return *_split(composer.read([*words, "space=none"], several=True, search=True)), left_out


def _split(read: list[Override]) -> tuple[list[Override], Words]:
    """Those of one value, and those of several."""
    fixed = [override for override in read if not override.is_sweep_override()]
    return fixed, {o.key_or_group: o for o in read if o.is_sweep_override()}


def _swept_by_experiment(line: CommandLine, given: list[Override], composer: Composer) -> list[str]:
    """What the experiment's own file sweeps over, as words. Raises `UserError` if several experiments are
    given of which one does: it would be searched in that one alone."""
    several = [o for o in given if o.key_or_group == "experiment" and o.is_sweep_override()]
    if not several:
        named = any(o.key_or_group == "experiment" for o in given)
        return swept_by_files(line, given, composer) if named else []
    others = [o for o in given if o not in several]
    for name in several[0].value().list:
        word = f"experiment={grammar.plain(name)}"
        for swept in swept_by_files(line, [*others, *composer.read([word])], composer):
            raise UserError(
                f"{word} sweeps by itself, {swept}: nnlab sweep takes one such experiment at a time; to run "
                f"several, nnlab train -m {several[0].input_line}"
            )
    return []


def _of_space(fixed: list[Override], named: Words, composer: Composer) -> tuple[Words, bool]:
    """The parameters of the `space` group, less those of which the command line gives the value; and whether
    an optimiser's own decay replaced regularizer.l2 among them."""
    space = OmegaConf.to_container(composer.with_groups(fixed).space, resolve=True)
    if not isinstance(space, dict):
        raise UserError(f"space = {space}: expected keys with values to search, optimizer.lr: interval(0,1)")
    given = {override.key_or_group for override in fixed}
    words = [f"{key}={_text(key, values)}" for key, values in space.items() if key not in given]
    parameters = composer.read(words, several=True, search=True)
    for override in parameters:
        if not override.is_sweep_override():
            raise UserError(
                f"space: {override.input_line} is one value; write several, choice(a,b) or interval(a,b)"
            )
    usual = {override.key_or_group: override for override in parameters}
    once = _decayed_once(usual, named, fixed, composer)
    return once, once != usual


def _decayed_once(usual: Words, named: Words, fixed: list[Override], composer: Composer) -> Words:
    """The parameters of a space, in which an optimiser's own decay stands in place of regularizer.l2: to
    search that beside it would decay the weights twice. What is `named` by the command line stays."""
    if automatic.PENALTY_KEY not in usual or automatic.PENALTY_KEY in named:
        return usual
    every = usual | named
    value = next((o.value() for o in fixed if o.key_or_group == automatic.DECAY_KEY), None)
    decays = [
        automatic.decay_of(optimizer) and (automatic.DECAY_KEY in named or value is None or value != 0)
        for optimizer in _optimizers(every, fixed, composer)
    ]
    if not any(decays):
        return usual
    once = {key: o for key, o in usual.items() if key != automatic.PENALTY_KEY or not all(decays)}
    if value is None and automatic.DECAY_KEY not in every:
        word = f"{automatic.DECAY_KEY}={automatic.SEARCHED_DECAY}"
        read = overrides.read([word], composer.options, True, lambda group: True, search=True)
        once[automatic.DECAY_KEY] = read[0]
    return once


def _optimizers(searched: Words, fixed: list[Override], composer: Composer) -> list:
    """The settings of every optimiser that is tried."""
    words = [override.input_line for override in fixed if composer.recomposes(override)]
    choices = [[]]
    if "optimizer" in searched:
        choices = [[f"optimizer={name}"] for name in grammar.domain(searched["optimizer"]).values]
    return [composer.base((*words, *choice)).optimizer for choice in choices]


def _text(key: str, values) -> str:
    """Values of a YAML: in Hydra's grammar, or a list of them."""
    if isinstance(values, list):
        return ",".join(grammar.word("", value)[1:] for value in values)
    if isinstance(values, str):
        return values
    raise UserError(f"space: {key} = {values}: expected values in Hydra's grammar, or a list")


def _run_of(line: CommandLine, fixed: list[Override], searched: Words, composer: Composer) -> ComposedRun:
    """The sweep with every parameter at its default; a key that only some choices have is left out."""
    swept = {key for key, override in searched.items() if composer.is_group(override)}
    shared = [override for override in fixed if override.key_or_group.split(".")[0] not in swept]
    config = composer.compose(shared)
    finish(config, None)
    config_checks.check_composed(config, composer.options)
    if line.config_dir is not None:
        config_checks.check_places(config, {override.key_or_group for override in fixed})
    run = composed_run(config, shared, line.prefix())
    names = [override.input_line for override in fixed if _names_folder(override)]
    names += [key for key in searched if any(word.startswith(f"{key}=") for word in line.overrides)]
    command = [*line.prefix(), *continued_sweep.typed_words(line)]  # folders need no quotes of Hydra's
    return replace(run, overrides=names, command=shell_line(command))


def _names_folder(override: Override) -> bool:
    """Whether a sweep's folder, and with it the study, may be named by this word: a database says nothing of
    what is searched, and may say more than is good."""
    if overrides.is_hydras(override) or override.key_or_group == "storage":
        return False
    return override.input_line != "space=none"


def _refuse_searched_sweep_keys(searched: Words) -> None:
    for key, override in searched.items():
        if key.split(".")[0] in keys_of("sweep"):
            raise UserError(f"{override.input_line}: {key} is the sweep's own and takes one value")


def _check_keys(trials: TrialSettings, run: ComposedRun) -> None:
    """Every key that is searched or set must be one of some choice's."""
    keys = [key for key in trials.domains if key not in trials.groups]
    keys += [o.key_or_group for o in trials.fixed if not trials.composer.is_group(o)]
    for key in keys:
        group = key.split(".")[0]
        if group in trials.groups:
            _check_key_of_choices(key, group, trials)
        elif not trials.has(key, {}):
            raise UserError(unknown_key(key, run.config))


def _check_key_of_choices(key: str, group: str, trials: TrialSettings) -> None:
    choices = trials.domains[group].values
    if not any(trials.has(key, {group: choice}) for choice in choices):
        each = (trials.keys_of_choice(group, choice) for choice in choices)
        names = {f"{group}.{name}" for keys in each for name in keys if name != "name"}
        raise UserError(f"unknown key '{key}' of any {group} here{key_elsewhere(key) or nearest(key, names)}")
