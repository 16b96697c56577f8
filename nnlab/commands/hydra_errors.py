"""Turns errors of Hydra and OmegaConf into one sentence with the value and what is allowed."""

import re

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue

from nnlab import declarations, plugins
from nnlab.catalogue import RUN_COMMANDS, Catalogue
from nnlab.commands.command_keys import keys_of
from nnlab.commands.hydra_overrides import data_overrides
from nnlab.commands.quoting import quoted
from nnlab.commands.unknown_key import dotted
from nnlab.errors import UserError, nearest, shortened
from nnlab.records.text import shell_word
from nnlab.suggestions import as_hint, equivalent_function, hint_for_key, near, plain, suggested_key

# Lines of Hydra's and OmegaConf's messages that say nothing to a user of nnlab.
_NOISE_LINES = re.compile(
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
    texts = [key or "", str(error), str(error.__cause__ or "")]
    return ": ".join(_first_lines(text) for text in texts if text) or type(error).__name__


def _first_lines(text: str, count: int = 3) -> str:
    """The first lines that say something, as one line."""
    lines = [line for line in text.splitlines() if line.strip() and not _NOISE_LINES.match(line)]
    return " ".join(" ".join(lines[:count]).split())


def _unreadable(error: OverrideParseException) -> str:
    """A word of the command line that does not follow Hydra's grammar."""
    if "=" not in str(error.override):
        return f"'{error.override}' is not KEY=VALUE{_with_equals(str(error.override))}"
    key, _, value = str(error.override).partition("=")
    reason = re.search(r"while evaluating '.*': (.*)", error.message)
    function = re.search(r"Unknown function '(\w+)'", error.message)
    if function:
        return f"'{error.override}': {reason[1]}; {_function_meant(function[1], key, value)}"
    if reason:
        return f"'{error.override}': {reason[1]}"
    in_quotes = "KEY='\"a=b\"'"
    if key.isascii() and value:
        in_quotes = shell_word(f"{key}={quoted(value)}")
    return (
        f"cannot read '{error.override}' as KEY=VALUE: close every bracket and quote, write a list "
        f"without spaces, [64,32], and a text with other signs in two quotes, {shortened(in_quotes)}"
    )


def _function_meant(name: str, key: str, value: str) -> str:
    """What another tool's function, `loguniform(1e-4,1)`, is here."""
    arguments = value[len(name) + 1 : -1]
    meant = equivalent_function(name, arguments, declarations.takes_integer(key))
    if meant:
        return f"did you mean {key}={meant}?"
    return "allowed: choice(a,b), range(1,9,2), interval(0,1), tag(log,interval(1e-4,1))"


def _with_equals(word: str) -> str:
    """What a word without `=` may have been meant for: a file, a choice, a key, a question."""
    if data := data_overrides(word):
        return f"; as data it is {data}"
    if plain(word) == "help":
        return "; did you mean --help?"
    catalogue = Catalogue("sweep")
    if word in catalogue.groups or word in catalogue.all_keys():
        return f"; did you mean {word}=...?"
    for group in catalogue.groups:
        if word in catalogue.choices(group) and word not in ("none", "null"):
            return f"; did you mean {group}={word}?"
    if meant := as_hint(suggested_key(word)):
        return meant
    return ', such as epochs=20; quote a word that has spaces, "data.path=a b.csv"'


def refuse_words_of_others(command: str, words: list[str]) -> None:
    """Raise `UserError` for a key or group that another command has and this one has not."""
    of_train = keys_of("train") if command == "train" else keys_of("train") - {"resume"}
    for word in words:
        if command in RUN_COMMANDS and near(word.partition("=")[0], Catalogue(command).keys()):
            continue  # it will be said to be unknown, and which is near
        head = word.lstrip("+~").partition("=")[0].partition(".")[0]
        for other in ("sweep", "check"):
            if other != command and head in keys_of(other) - of_train:
                also = "train and nnlab " * (head == "resume")
                raise UserError(f"{word}: {head} is a word of nnlab {also}{other}")
        if command in RUN_COMMANDS and not head.startswith("hydra"):
            _refuse_words_of_training(command, word)


def _refuse_words_of_training(command: str, word: str) -> None:
    key, train = word.lstrip("+~").partition("=")[0], Catalogue("train")
    if key not in Catalogue(command).keys() and key in {*train.groups, *train.all_keys()}:
        raise UserError(f"{word}: {key} is a word of nnlab train; a run keeps what it was trained with")


def with_dashes(command: str, option: str) -> str:
    """What to say of `--lr=0.1`, as other tools have it."""
    typed = option.lstrip("-").partition("=")[0]
    catalogue = Catalogue(command)
    names = [*catalogue.groups, *catalogue.all_keys()]
    same = [name for name in names if plain(name.rpartition(".")[2]) == plain(typed) or name == typed]
    meant = hint_for_key(typed) or ""
    if same:
        meant = f"; did you mean '{same[0]}='?"
    return f"{option}: settings have no dashes, they are written KEY=VALUE{meant}"


def unresolved(error: Exception, config: DictConfig) -> str:
    """An interpolation that leads nowhere, or a value that is still missing (`???`)."""
    key = getattr(error, "full_key", None) or "a value"
    if isinstance(error, MissingMandatoryValue):
        return f"{key} has no value yet: write {key}=..."
    value = raw(config, key)
    absent = re.search(r"Interpolation key '(.*)' not found", str(error))
    if isinstance(error, InterpolationKeyError) and absent:
        hint = nearest(absent[1], dotted(config))
        # Without a near name it would list every key of the settings.
        return f"{key}={value}: no key is called '{absent[1]}'" + hint * ("mean" in hint)
    message = re.sub(r"^\w+ raised while resolving interpolation: ", "", str(error))
    return f"{key}={value}: {_first_lines(message)}"


def raw(config: DictConfig, key: str):
    """The value at `key` as it was written, `${...}` included; None if there is none."""
    node = OmegaConf.to_container(config, resolve=False)
    for part in key.split("."):
        if not isinstance(node, dict):
            return None
        node = node.get(part)
    return node
