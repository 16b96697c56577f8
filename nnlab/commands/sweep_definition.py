"""Parses the overrides of `nnlab sweep` into its settings, its search space, and its trials' settings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from nnlab.commands import (
    config_checks,
    continued_sweep,
    grammar,
    graph_file,
    hydra_overrides,
    resolvers,
)
from nnlab.commands.command_keys import keys_of
from nnlab.commands.command_line import CommandLine, by_key
from nnlab.commands.composing import ComposedRun, Composer, make_run, open_composer, set_hydra_job
from nnlab.commands.file_sweeps import sweep_from_files
from nnlab.commands.trial_settings import TrialSettings
from nnlab.commands.unknown_key import unknown_key
from nnlab.errors import UserError, nearest
from nnlab.masking import mask_password
from nnlab.records.text import shell_line
from nnlab.suggestions import hint_for_key

Searched = dict[str, Override]  # key -> the override with several values


@dataclass(frozen=True)
class SweepDefinition:
    """A sweep as its command line and the configuration files define it."""

    run: ComposedRun  # the sweep itself, with every searched key at its default
    trials: TrialSettings
    texts: dict[str, str]  # searched key -> its values, as they were written
    left_out: tuple[str, ...] = ()  # keys of the default space that are not searched, since others were named

    def settings(self) -> dict:
        """All settings, with the space as text and without the password of a database."""
        return self.run.settings | {"space": self.texts, "storage": masked_storage(self.run.settings)}


def masked_storage(settings: dict):
    """The database URL of these settings without its password."""
    url = settings["storage"]
    return mask_password(url) if isinstance(url, str) else url


def read(line: CommandLine, absent: Collection[str] = ()) -> SweepDefinition:
    """The sweep that the command line defines, without those keys of its space that are `absent` from the
    settings of its trials; raises `UserError`."""
    _refuse_flags(line)
    with open_composer(line) as composer:
        fixed, named, left_out = _fixed_and_searched(line, composer)
        space_overrides, is_replaced = _from_space_group(fixed, named, composer, absent)
        searched = space_overrides | named
        searches_both = {resolvers.PENALTY_KEY, resolvers.DECAY_KEY, "optimizer"} <= searched.keys()
        _refuse_searched_sweep_keys(searched)
        run = _default_run(line, fixed, searched, composer)
        trials = TrialSettings(
            domains={key: grammar.domain_of(override) for key, override in searched.items()},
            groups=frozenset(key for key, override in searched.items() if composer.is_group(override)),
            fixed=[override for override in fixed if not hydra_overrides.is_hydra_setting(override)],
            composer=composer,
            defaults=run.settings,
            prefix=line.prefix("train"),
            decayed_once=is_replaced or searches_both,
        )
    _check_keys(trials, run)
    if graph_file.FILE_KEY in trials.domains:  # read now, before anything is trained or written
        for file in trials.domains[graph_file.FILE_KEY].values:
            graph_file.boxes_in(file)
    texts = {key: override.input_line.partition("=")[2] for key, override in searched.items()}
    return SweepDefinition(run, trials, texts, left_out)


def read_stored(sweep_json: dict) -> SweepDefinition:
    """The definition of a stored sweep, read again from the command line in its sweep.json."""
    graph_file.use_stored(sweep_json.get("graph_files", {}))
    return read(continued_sweep.resumed_line(CommandLine("sweep"), sweep_json))


def drop_searched(line: CommandLine) -> CommandLine:
    """The line without the searched keys, for --cfg and --help."""
    line = continued_sweep.with_folders_quoted(line)
    with open_composer(line) as composer:
        fixed, _ = _split(composer.read(line.overrides, allow_several=True, for_search=True))
    return line.with_overrides(override.input_line for override in fixed)


def _refuse_flags(line: CommandLine) -> None:
    if line.config_name is not None:
        raise UserError(
            "-cn: nnlab sweep has its own configuration, since its trials are those of nnlab train"
        )
    if line.multirun:
        raise UserError("-m: nnlab sweep searches by itself; to run each of several values, nnlab train -m")


def _fixed_and_searched(
    line: CommandLine, composer: Composer
) -> tuple[list[Override], Searched, tuple[str, ...]]:
    """The overrides with one value, those that the command line searches, and the keys that are left out.

    Left out are keys of the default space: naming keys to search replaces that space.
    """
    overrides = list(by_key(line.overrides).values())
    given = composer.read(overrides, allow_several=True, for_search=True)
    overrides += _swept_by_experiment_file(line, given, composer)
    all_overrides = composer.read(overrides, allow_several=True, for_search=True)
    hydra_overrides.refuse_multirun_folders(all_overrides, "the folder of a search is hydra.run.dir")
    fixed, named = _split(all_overrides)
    if not named or any(override.key_or_group == "space" for override in given):
        return fixed, named, ()
    default_space, _ = _from_space_group(fixed, named, composer)
    left_out = tuple(key for key in default_space if key not in named)
    return *_split(composer.read([*overrides, "space=none"], allow_several=True, for_search=True)), left_out


def _split(read: list[Override]) -> tuple[list[Override], Searched]:
    """The overrides with one value, and those with several by their key."""
    fixed = [override for override in read if not override.is_sweep_override()]
    return fixed, {o.key_or_group: o for o in read if o.is_sweep_override()}


def _swept_by_experiment_file(line: CommandLine, given: list[Override], composer: Composer) -> list[str]:
    """The overrides that the experiment's own file sweeps over.

    Raises `UserError` if one of several experiments has some: they would be searched for that one only.
    """
    swept_experiments = [o for o in given if o.key_or_group == "experiment" and o.is_sweep_override()]
    if not swept_experiments:
        is_given = any(o.key_or_group == "experiment" for o in given)
        return sweep_from_files(line, given, composer) if is_given else []
    others = [o for o in given if o not in swept_experiments]
    for name in swept_experiments[0].value().list:
        override = f"experiment={grammar.to_python(name)}"
        for swept in sweep_from_files(line, [*others, *composer.read([override])], composer):
            raise UserError(
                f"{override} sweeps by itself, {swept}: nnlab sweep takes one such experiment at a time; to "
                f"run several, nnlab train -m {swept_experiments[0].input_line}"
            )
    return []


def _from_space_group(
    fixed: list[Override], named: Searched, composer: Composer, absent: Collection[str] = ()
) -> tuple[Searched, bool]:
    """The searched keys of the `space` group, without those that the command line sets or that are `absent`.

    Also whether an optimiser's own weight decay replaced regularizer.l2 among them.
    """
    space = OmegaConf.to_container(composer.compose_groups_of(fixed).space, resolve=True)
    if not isinstance(space, dict):
        raise UserError(f"space = {space}: expected keys with values to search, optimizer.lr: interval(0,1)")
    fixed_keys = {*absent, *(override.key_or_group for override in fixed)}
    overrides = [
        f"{key}={_values_text(key, values)}" for key, values in space.items() if key not in fixed_keys
    ]
    searched = composer.read(overrides, allow_several=True, for_search=True)
    for override in searched:
        if not override.is_sweep_override():
            raise UserError(
                f"space: {override.input_line} is one value; write several, choice(a,b) or interval(a,b)"
            )
    space_overrides = {override.key_or_group: override for override in searched}
    decayed_once = _decayed_once(space_overrides, named, fixed, composer)
    return decayed_once, decayed_once != space_overrides


def _decayed_once(
    space_overrides: Searched, named: Searched, fixed: list[Override], composer: Composer
) -> Searched:
    """The searched keys of a space, with an optimiser's own weight decay in place of regularizer.l2.

    To search both would decay the weights twice. Keys `named` on the command line stay.
    """
    if resolvers.PENALTY_KEY not in space_overrides or resolvers.PENALTY_KEY in named:
        return space_overrides
    all_searched = space_overrides | named
    fixed_decay = next((o.value() for o in fixed if o.key_or_group == resolvers.DECAY_KEY), None)
    decays = [
        resolvers.decay_of(optimizer)
        and (resolvers.DECAY_KEY in named or fixed_decay is None or fixed_decay != 0)
        for optimizer in _candidate_optimizers(all_searched, fixed, composer)
    ]
    if not any(decays):
        return space_overrides
    decayed_once = {
        key: o for key, o in space_overrides.items() if key != resolvers.PENALTY_KEY or not all(decays)
    }
    if fixed_decay is None and resolvers.DECAY_KEY not in all_searched:
        override = f"{resolvers.DECAY_KEY}={resolvers.DECAY_SEARCH_SPACE}"
        parsed = hydra_overrides.read([override], composer.options, True, lambda group: True, for_search=True)
        decayed_once[resolvers.DECAY_KEY] = parsed[0]
    return decayed_once


def _candidate_optimizers(searched: Searched, fixed: list[Override], composer: Composer) -> list:
    """The settings of every optimiser that the sweep tries."""
    overrides = [override.input_line for override in fixed if composer.needs_composing(override)]
    choices = [[]]
    if "optimizer" in searched:
        choices = [[f"optimizer={name}"] for name in grammar.domain_of(searched["optimizer"]).values]
    return [composer.compose_groups((*overrides, *choice)).optimizer for choice in choices]


def _values_text(key: str, values) -> str:
    """Values from a YAML file as Hydra's grammar: a string in that grammar already, or a list."""
    if isinstance(values, list):
        return ",".join(grammar.override_for("", value)[1:] for value in values)
    if isinstance(values, str):
        return values
    raise UserError(f"space: {key} = {values}: expected values in Hydra's grammar, or a list")


def _default_run(
    line: CommandLine, fixed: list[Override], searched: Searched, composer: Composer
) -> ComposedRun:
    """The sweep with every searched key at its default; keys that only some choices have are left out."""
    searched_groups = {key for key, override in searched.items() if composer.is_group(override)}
    shared = [override for override in fixed if override.key_or_group.split(".")[0] not in searched_groups]
    config = composer.compose(shared)
    set_hydra_job(config, None)
    config_checks.check_composed(config, composer.options)
    if line.config_dir is not None:
        typed_keys = {override.key_or_group for override in fixed}
        config_checks.check_output_locations(config, typed_keys)
        config_checks.check_launcher(config, typed_keys)
    run = make_run(config, shared, line.prefix())
    names = [override.input_line for override in fixed if _names_folder(override)]
    names += [key for key in searched if any(word.startswith(f"{key}=") for word in line.overrides)]
    command = [*line.prefix(), *continued_sweep.typed_overrides(line)]  # folders need no quotes of Hydra's
    return replace(run, overrides=names, command=shell_line(command))


def _names_folder(override: Override) -> bool:
    """Whether the override becomes part of the name of the sweep's folder, and so of the study.

    The database and the launcher do not: they tell nothing about the search, and may contain secrets.
    """
    if hydra_overrides.is_hydra_setting(override) or override.key_or_group == "storage":
        return False
    if continued_sweep.is_launcher_word(override.input_line):
        return False
    return override.input_line != "space=none"


def _refuse_searched_sweep_keys(searched: Searched) -> None:
    for key, override in searched.items():
        if key.split(".")[0] in keys_of("sweep"):
            raise UserError(f"{override.input_line}: {key} is the sweep's own and takes one value")


def _check_keys(trials: TrialSettings, run: ComposedRun) -> None:
    """Raise `UserError` for a searched or fixed key that no choice has."""
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
        raise UserError(f"unknown key '{key}' of any {group} here{hint_for_key(key) or nearest(key, names)}")
