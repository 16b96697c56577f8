"""`nnlab sweep`'s command line: what all trials have in common, the space, and a trial's own settings."""

from __future__ import annotations

import copy
import re
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from nnlab.commands import automatic, composing, continued_sweep, grammar, hydra_errors, overrides
from nnlab.commands.composing import Base, Cell
from nnlab.errors import UserError, nearest
from nnlab.records.text import shell_line
from nnlab.search.space import Space
from nnlab.suggestions import key_elsewhere

OWN = (
    "trials", "sampler", "pruner", "space", "objective", "direction", "batch", "rows", "distinct", "storage",
    "study", "resume", "refine", "plan", "report",
)  # fmt: skip


@dataclass
class Variants:
    """The settings of every trial of a sweep: those in common, with a trial's parameters in their places."""

    cell: Cell  # the sweep itself: its settings with every parameter at its default
    space: Space
    fixed: list[Override]  # what the command line says of all trials
    base: Base
    options: overrides.Options
    repeat: list[str]  # the command line of a trial, up to its overrides
    texts: dict[str, str]  # key -> its values, as they were written
    left_out: tuple[str, ...] = ()  # keys of the default space, if naming others took its place
    decayed_once: bool = False  # an optimiser's own decay is searched in place of regularizer.l2
    _composed: dict[tuple, tuple[DictConfig, dict, bool]] = field(default_factory=dict)

    def settings(self, params: dict) -> dict:
        """The settings of `nnlab train` for a trial's parameters, key -> label."""
        return self.of_values(self.space.values(params))

    def of_values(self, values: dict) -> dict:
        """The same for key -> value."""
        config, plain, refers = self.common({k: v for k, v in values.items() if k in self.space.groups})
        own = {key: value for key, value in values.items() if key not in self.space.groups}
        if refers:  # another value may be an interpolation of one of these
            config = copy.deepcopy(config)
            for key, value in own.items():
                OmegaConf.update(config, key, value, merge=False)
            return of_train(composing.settings_of(config))
        settings = copy.deepcopy(plain)
        for key, value in own.items():
            *path, last = key.split(".")
            node = settings
            for name in path:
                node = node[name]
            node[last] = value
        return settings

    def notes(self) -> list[str]:
        """What to say of settings that follow from others, of every optimiser that is tried."""
        if self.decayed_once:
            return [automatic.SEARCHED_ONCE]
        tried = self.space.domains["optimizer"].values if "optimizer" in self.space.groups else ()
        commons = [self.common({"optimizer": name}) for name in tried] or [self.common({})]
        each = (automatic.notes(config, plain, self.space.domains) for config, plain, _ in commons)
        return list(dict.fromkeys(note for found in each for note in found))

    def words(self, params: dict) -> list[str]:
        """The overrides with which `nnlab train` is this trial."""
        values, chosen = self.space.values(params), self.space.values(_only(params, self.space.groups))
        fixed = [o.input_line for o in self.fixed if _of_train(o) and self._applies(o, chosen)]
        return [*fixed, *(grammar.word(key, value) for key, value in values.items())]

    def _applies(self, o: Override, chosen: dict) -> bool:
        return overrides.is_group(o, self.options) or self.has(o.key_or_group, chosen)

    def has(self, key: str, chosen: dict) -> bool:
        """Whether the settings have the key once the groups are `chosen`."""
        group, _, own = key.partition(".")
        if self.decayed_once and key == automatic.PENALTY:
            return not automatic.decay_of(self.common(chosen)[1]["optimizer"])
        if "experiment" in chosen:
            return _in(self.common(chosen)[1], key)
        if group in chosen and own and group not in overrides.COMBINABLE:
            return _in(self._of_group(group, chosen[group]), own)
        return _in(self.cell.settings, key)

    def _of_group(self, group: str, choice: str) -> dict:
        return self.common({group: choice})[1][group]

    def common(self, chosen: dict) -> tuple[DictConfig, dict, bool]:
        """What trials with these choices have in common: composed, and plain; and whether values refer to
        parameters."""
        known = tuple((key, str(value)) for key, value in chosen.items())
        if known not in self._composed:
            words = [grammar.word(key, value) for key, value in chosen.items()]
            read = overrides.read(words, self.options, False, lambda group: True)
            groups = [o for o in self.fixed if overrides.is_group(o, self.options)]
            groups = [o for o in groups if o.key_or_group not in chosen]
            config = copy.deepcopy(self.base(tuple(o.input_line for o in [*groups, *read])))
            for override in self.fixed:
                if overrides.is_group(override, self.options):
                    continue
                if not _in(_raw(config), override.key_or_group):
                    continue  # not a key of this choice, but of another
                composing.set_value(config, override)
            plain = of_train(composing.settings_of(config))
            self._composed[known] = config, plain, self._refers(config)
        return self._composed[known]

    def _refers(self, config: DictConfig) -> bool:
        """Whether some value is an interpolation of a parameter: `${metric}`."""
        found = " ".join(t for t in _texts(of_train(_raw(config))) if "${" in t)
        found = re.findall(r"\$\{([^:}]*)\}", found)
        if any("unless_decayed" in text for text in _texts(of_train(_raw(config)))):
            found.append(automatic.DECAY)
        return any(key in found for key in self.space.domains)


def read(args: Namespace) -> Variants:
    """What the command line of `nnlab sweep` says; raises `UserError`."""
    if args.config_name is not None:
        raise UserError(
            "-cn: nnlab sweep has its own configuration, since its trials are those of nnlab train"
        )
    if args.multirun:
        raise UserError("-m: nnlab sweep searches by itself; to run each of several values, nnlab train -m")
    base = composing.base_of("sweep", args)
    with composing.session("sweep", args) as loader:
        options, has_default = composing.options_of(loader), composing.has_default_of(base)
        given = _read(list(continued_sweep.last(args.overrides).values()), options, has_default)
        experiment = _swept_by_experiment(args, given, options, base)
        words = [*continued_sweep.last(args.overrides).values(), *experiment]
        found = _read(words, options, has_default)
        overrides.refuse_places_of_several(found, "the folder of a search is hydra.run.dir")
        searched = {o.key_or_group: o for o in found if o.is_sweep_override()}
        left_out = ()
        if searched and not any(o.key_or_group == "space" for o in given):
            fixed = [o for o in found if not o.is_sweep_override()]
            usual = _decayed_once(
                _of_space(fixed, base, options, has_default), searched, fixed, base, options
            )
            left_out = tuple(key for key in usual if key not in searched)
            words.append("space=none")
        found = _read(words, options, has_default)
        fixed = [o for o in found if not o.is_sweep_override()]
        usual = _of_space(fixed, base, options, has_default)
        once = _decayed_once(usual, searched, fixed, base, options)
        searched = once | searched
        both = {automatic.PENALTY, automatic.DECAY, "optimizer"} <= searched.keys()
        for key, override in searched.items():
            if key.split(".")[0] in OWN:
                raise UserError(f"{override.input_line}: {key} is the sweep's own and takes one value")
        cell = _cell(fixed, searched, options, base, args)

    def compose(words: tuple[str, ...]) -> DictConfig:
        with composing.session("sweep", args):
            return base(words)

    domains = {key: grammar.domain(override) for key, override in searched.items()}
    groups = frozenset(key for key, o in searched.items() if overrides.is_group(o, options))
    found = Variants(
        cell, Space(domains, groups), [o for o in fixed if not overrides.is_hydras(o)], compose, options,
        composing.without_overrides("train", args),
        {key: o.input_line.partition("=")[2] for key, o in searched.items()},
        left_out, once != usual or both,
    )  # fmt: skip
    found.space = replace(found.space, has=found.has)
    _check_keys(found)
    return found


def _swept_by_experiment(args: Namespace, given: list[Override], options, base: Base) -> list[str]:
    """What the experiment's own file sweeps over, as words. Raises `UserError` if several experiments are
    given of which one does: it would be searched in that one alone."""
    several = [o for o in given if o.key_or_group == "experiment" and o.is_sweep_override()]
    if not several:
        asked = any(o.key_or_group == "experiment" for o in given)
        return composing.swept_by_files(args, given, options, base) if asked else []
    for name in several[0].value().list:
        line = f"experiment={grammar.plain(name)}"
        one = overrides.read([line], options, False, composing.has_default_of(base))
        others = [o for o in given if o not in several]
        for word in composing.swept_by_files(Namespace(**vars(args)), [*others, *one], options, base):
            raise UserError(
                f"{line} sweeps by itself, {word}: nnlab sweep takes one such experiment at a time; to run "
                f"several, nnlab train -m {several[0].input_line}"
            )
    return []


def of_folder(about: dict) -> Variants:
    """The command line with which another sweep began, read again."""
    args = Namespace(overrides=[], config_dir=None, config_name=None, multirun=False, storage=None)
    continued_sweep.go_on(args, about)
    return read(args)


def fixed_words(args: Namespace) -> Namespace:
    """The command line without what is searched, for --cfg and --help."""
    kept = Namespace(**vars(args))
    base = composing.base_of("sweep", args)
    with composing.session("sweep", args) as loader:
        found = _read(args.overrides, composing.options_of(loader), composing.has_default_of(base))
    kept.overrides = [o.input_line for o in found if not o.is_sweep_override()]
    return kept


def of_train(settings: dict) -> dict:
    """The settings without those of the sweep itself."""
    return {key: value for key, value in settings.items() if key not in OWN}


def _read(words: list[str], options, has_default) -> list[Override]:
    return overrides.read(words, options, True, has_default, search=True)


def _of_space(fixed: list[Override], base: Base, options, has_default) -> dict[str, Override]:
    """The parameters of the `space` group, less those of which the command line gives the value."""
    groups = [o for o in fixed if overrides.is_group(o, options) or overrides.is_hydras(o)]
    space = OmegaConf.to_container(base(tuple(o.input_line for o in groups)).space, resolve=True)
    if not isinstance(space, dict):
        raise UserError(f"space = {space}: expected keys with values to search, optimizer.lr: interval(0,1)")
    given = {o.key_or_group for o in fixed}
    words = [f"{key}={_text(key, values)}" for key, values in space.items() if key not in given]
    found = overrides.read(words, options, True, has_default, search=True)
    for o in found:
        if not o.is_sweep_override():
            raise UserError(
                f"space: {o.input_line} is one value; write several, choice(a,b) or interval(a,b)"
            )
    return {o.key_or_group: o for o in found}


def _decayed_once(usual: dict, searched: dict, fixed: list[Override], base: Base, options) -> dict:
    """The parameters of a space, in which an optimiser's own decay stands in place of regularizer.l2: to
    search that beside it would decay the weights twice. What is `searched` by the command line stays."""
    l2, decay = automatic.PENALTY, automatic.DECAY
    if l2 not in usual or l2 in searched:
        return usual
    every = usual | searched
    tried = grammar.domain(every["optimizer"]).values if "optimizer" in every else (None,)
    words = [o.input_line for o in fixed if overrides.is_group(o, options) or overrides.is_hydras(o)]
    given = next((o.value() for o in fixed if o.key_or_group == decay), None)
    decays = []
    for name in tried:
        optimizer = base((*words, *([f"optimizer={name}"] if name else []))).optimizer
        value = automatic.decay_of(optimizer)
        decays.append(value and (decay in searched or given is None or given != 0))
    if not any(decays):
        return usual
    found = {key: o for key, o in usual.items() if key != l2 or not all(decays)}
    if given is None and decay not in every:
        word = f"{decay}={automatic.DECAYS}"
        found[decay] = overrides.read([word], options, True, lambda group: True, search=True)[0]
    return found


def _text(key: str, values) -> str:
    """Values of a YAML: in Hydra's grammar, or a list of them."""
    if isinstance(values, list):
        return ",".join(grammar.word("", value)[1:] for value in values)
    if isinstance(values, str):
        return values
    raise UserError(f"space: {key} = {values}: expected values in Hydra's grammar, or a list")


def _cell(fixed, searched, options, base: Base, args: Namespace) -> Cell:
    """The sweep with every parameter at its default; a key that only some choices have is left out."""
    swept = {key for key, o in searched.items() if overrides.is_group(o, options)}
    later = [o for o in fixed if o.key_or_group.split(".")[0] in swept]
    read = [o for o in fixed if o not in later]
    config = composing.composed_of(read, options, base)
    composing.finish(config, None)
    composing.check_composed(config, options)
    if args.config_dir is not None:
        composing.check_places(config, {o.key_or_group for o in fixed})
    found = composing.cell_of(config, read, composing.without_overrides("sweep", args))
    typed = continued_sweep.as_typed(args)  # folders need no quotes of Hydra's
    command = [*composing.without_overrides("sweep", args), *typed]
    lines = [o.input_line for o in fixed if _names_folder(o)]
    lines += [key for key in searched if any(word.startswith(f"{key}=") for word in args.overrides)]
    return replace(found, overrides=lines, command=shell_line(command))


def _names_folder(o: Override) -> bool:
    """Whether a sweep's folder, and with it the study, may be named by this word: a database says nothing of
    what is searched, and may say more than is good."""
    return not overrides.is_hydras(o) and o.input_line != "space=none" and o.key_or_group != "storage"


def _check_keys(v: Variants) -> None:
    """Every key that is searched or set must be one of some choice's."""
    keys = [key for key in v.space.domains if key not in v.space.groups]
    keys += [o.key_or_group for o in v.fixed if not overrides.is_group(o, v.options)]
    for key in keys:
        group = key.split(".")[0]
        if group not in v.space.groups:
            if not v.has(key, {}):
                raise UserError(hydra_errors.unknown_key(key, v.cell.composed))
            continue
        choices = [{group: choice} for choice in v.space.domains[group].values]
        if not any(v.has(key, chosen) for chosen in choices):
            names = {f"{group}.{name}" for c in choices for name in v.common(c)[1][group] if name != "name"}
            raise UserError(
                f"unknown key '{key}' of any {group} here{key_elsewhere(key) or nearest(key, names)}"
            )


def _of_train(o: Override) -> bool:
    return o.key_or_group.split(".")[0] not in OWN and not overrides.is_hydras(o)


def _only(params: dict, keys) -> dict:
    return {key: label for key, label in params.items() if key in keys}


def _raw(config: DictConfig) -> dict:
    plain = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    return OmegaConf.to_container(plain, resolve=False)


def _texts(node) -> Iterator[str]:
    """Every value of nested settings that is text."""
    if isinstance(node, str):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _texts(child)


def _in(node, key: str) -> bool:
    for name in key.split("."):
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True
