"""What Hydra and OmegaConf raise, said in one sentence that names the value and what is allowed."""

import re
import shlex

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue

from nnlab import declarations, plugins
from nnlab.catalogue import Catalogue
from nnlab.commands.command_keys import keys_of
from nnlab.commands.nearest_key import choices_with, of_choice
from nnlab.commands.overrides import as_data, quoted
from nnlab.errors import UserError, nearest, shortened
from nnlab.records.text import shell_word
from nnlab.suggestions import (
    distance,
    function_elsewhere,
    is_name,
    key_elsewhere,
    key_meant,
    near,
    plain,
    reader_of,
    said,
    with_number,
)

# Lines of Hydra's and OmegaConf's messages that say nothing to a user of nnlab.
_NOISE = re.compile(
    r"\s*(full_key|reference_type|object_type)[:=]|See https|To append to|\s*\^|\s*provider="
    r"|Config search path|Available options in"
)

TOO_DEEP = "a value has more brackets within brackets than can be read, or a file refers to itself"


def sentence(error: Exception) -> str:
    """One sentence for any error of composing a configuration."""
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        return _first_lines(str(error), 1) + nearest(name, {*error.options, *plugins.names(group)})
    twice = re.search(r"Multiple values for (\S+)\.|^(\S+) appears more than once", str(error))
    if twice:
        group = twice[1] or twice[2]
        return f"{group} has a choice already: to make another, write {group}=..., without '+'"
    absent = re.search(r"override '(\S+)'\.\s+No match in the defaults", str(error))
    if absent:
        return f"{absent[1]} has no default to replace: to add one, write +{absent[1]}=..."
    if isinstance(error, UnicodeDecodeError):
        return f"a configuration file is not UTF-8: {error}"
    key = getattr(error, "full_key", None)
    said = [key or "", str(error), str(error.__cause__ or "")]
    return ": ".join(_first_lines(text) for text in said if text) or type(error).__name__


def _first_lines(text: str, count: int = 3) -> str:
    """The first lines that say something, as one line."""
    lines = [line for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    return " ".join(" ".join(lines[:count]).split())


def _unreadable(error: OverrideParseException) -> str:
    """A word of the command line that does not follow Hydra's grammar."""
    if "=" not in str(error.override):
        return f"'{error.override}' is not KEY=VALUE{_with_equals(str(error.override))}"
    found = re.search(r"while evaluating '.*': (.*)", error.message)
    function = re.search(r"Unknown function '(\w+)'", error.message)
    if function:
        key, _, value = str(error.override).partition("=")
        meant = function_elsewhere(
            function[1], value[len(function[1]) + 1 : -1], declarations.takes_whole(key)
        )
        known = "allowed: choice(a,b), range(1,9,2), interval(0,1), tag(log,interval(1e-4,1))"
        return f"'{error.override}': {found[1]}; {f'did you mean {key}={meant}?' if meant else known}"
    if found:
        return f"'{error.override}': {found[1]}"
    key, _, value = str(error.override).partition("=")
    own = shell_word(f"{key}={quoted(value)}") if key.isascii() and value else "KEY='\"a=b\"'"
    return (
        f"cannot read '{error.override}' as KEY=VALUE: close every bracket and quote, write a list "
        f"without spaces, [64,32], and a text with other signs in two quotes, {shortened(own)}"
    )


def _with_equals(word: str) -> str:
    """What a word without `=` may have been meant for: a file, a choice, a key, a question."""
    if data := as_data(word):
        return f"; as data it is {data}"
    if plain(word) == "help":
        return "; did you mean --help?"
    catalogue = Catalogue("sweep")
    if word in catalogue.groups or word in catalogue.all_keys():
        return f"; did you mean {word}=...?"
    for group in catalogue.groups:
        if word in catalogue.choices(group) and word not in ("none", "null"):
            return f"; did you mean {group}={word}?"
    if meant := said(key_meant(word)):
        return meant
    return ', such as epochs=20; quote a word that has spaces, "data.path=a b.csv"'


def refuse_words_of_others(command: str, words: list[str]) -> None:
    """Raise `UserError` for a key or group that another command has and this one has not."""
    for word in words:
        head = word.lstrip("+~").partition("=")[0].partition(".")[0]
        for other in ("sweep", "check"):
            if other != command and head in keys_of(other):
                more = ": nnlab train begins a run and cannot go on with one" if head == "resume" else ""
                raise UserError(f"{word}: {head} is a word of nnlab {other}{more}")


def with_dashes(command: str, option: str) -> str:
    """What to say of `--lr=0.1`, as other tools have it."""
    typed = option.lstrip("-").partition("=")[0]
    catalogue = Catalogue(command)
    names = [*catalogue.groups, *catalogue.all_keys()]
    same = [name for name in names if plain(name.rpartition(".")[2]) == plain(typed) or name == typed]
    meant = f"; did you mean '{same[0]}='?" if same else key_elsewhere(typed) or ""
    return f"{option}: settings have no dashes, they are written KEY=VALUE{meant}"


def unknown_key(key: str, config: DictConfig, value: object = None) -> str:
    """`unknown key 'optimizer.lrr' of optimizer=adam; did you mean 'optimizer.lr'?`"""
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else None
    choice = config.hydra.runtime.choices.get(parent)
    unknown = f"unknown key '{key}'" + f" of {parent}={choice}" * bool(choice)
    names = [f"{parent}.{n}" for n in node if n != "name"] if isinstance(node, DictConfig) else []
    allowed = nearest("", names) if names else "; it has no keys" if choice else ""
    same = [name for name in dotted(config) if name.rpartition(".")[2] == leaf]
    known = with_number(key_meant(key, choice or ""), value)
    inside = known is not None and (not is_name(known) or parent and known.startswith(f"{parent}."))
    if inside and known != with_number(key_meant(leaf), value):
        return f"{unknown}{of_choice(known, names) or said(known) or allowed}"
    having, meant = choices_with(key), None if known is None else _of_command(known, config) or said(known)
    if having and having[0] in config and (parent or not same and not meant):
        group, choices = having
        write = f"write {group}={choices[0]} {group}.{leaf}=..."
        reader = reader_of(str(value)) if key == "data.path" and value else None
        write = f"write data={reader} data.path={shlex.quote(str(value))}" if reader else write
        return f"{unknown}: it is one of {group}={', '.join(choices)}; {write}{allowed}"
    if same:
        return f"{unknown}; did you mean {' or '.join(repr(name) for name in same[:3])}?"
    slip = next(iter(near(key, names)), "")
    if slip and distance(leaf, slip.rpartition(".")[2]) == 1 and f"{parent}." not in (meant or ""):
        return f"{unknown}; did you mean '{slip}'?"
    if meant:
        return f"{unknown}{meant}"
    if names:
        return f"{unknown}{nearest(key, names)}"
    if choice or parent and node is not None:
        return f"{unknown}{allowed}" if choice else f"{unknown}; did you mean '{parent}'?"
    slip = near(key, dotted(config))
    top = {*config, *(group for group in config.hydra.runtime.choices if "/" not in group)} - {"hydra"}
    return f"{unknown}; did you mean '{slip[0]}'?" if slip else f"{unknown}{nearest(key, top)}"


def _of_command(key: str, config: DictConfig) -> str:
    """Of a key that another command has: which; nothing of one that this one has."""
    if not is_name(key) or key in config or "." in key:
        return ""
    other = next((command for command in ("sweep", "check") if key in keys_of(command)), "")
    return f"; {key} is a word of nnlab {other}" if other else ""


def dotted(config: DictConfig) -> list[str]:
    """Every key of the settings with its path: `seed`, `optimizer.lr`, ..."""

    def below(prefix, node):
        for name, value in node.items():
            if isinstance(value, dict):
                yield from below(f"{prefix}{name}.", value)
            elif name != "name":
                yield f"{prefix}{name}"

    settings = OmegaConf.to_container(config, resolve=False)
    return list(below("", {k: v for k, v in settings.items() if k != "hydra"}))


def unresolved(error: Exception, config: DictConfig) -> str:
    """An interpolation that leads nowhere, or a value that is still missing (`???`)."""
    key = getattr(error, "full_key", None) or "a value"
    if isinstance(error, MissingMandatoryValue):
        return f"{key} has no value yet: write {key}=..."
    value = raw(config, key)
    found = re.search(r"Interpolation key '(.*)' not found", str(error))
    if isinstance(error, InterpolationKeyError) and found:
        hint = nearest(found[1], dotted(config))
        return f"{key}={value}: there is no key '{found[1]}'{hint if 'mean' in hint else ''}"
    said = re.sub(r"^\w+ raised while resolving interpolation: ", "", str(error))
    return f"{key}={value}: {_first_lines(said)}"


def raw(config: DictConfig, key: str):
    """The value at `key` as it was written, `${...}` included; None if there is none."""
    node = OmegaConf.to_container(config, resolve=False)
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node
