"""Turns errors of Hydra and OmegaConf into one sentence with the value and what is allowed."""

import re

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue

from nnlab import declarations, plugins
from nnlab.catalogue import RUN_COMMANDS, Catalogue
from nnlab.commands.command_keys import keys_of
from nnlab.commands.hydra_overrides import data_overrides
from nnlab.commands.keys_in_files import choice_of, commands_with, not_of_an_experiment
from nnlab.commands.nearest_key import choices_with
from nnlab.commands.quoting import quote_text
from nnlab.commands.run_words import SYNONYMS
from nnlab.commands.unknown_key import dotted_keys
from nnlab.errors import UserError, nearest, shortened
from nnlab.records.text import shell_word
from nnlab.suggestions import as_hint, equivalent_function, hint_for_key, near, plain, suggested_key

# Lines of Hydra's and OmegaConf's messages that say nothing to a user of nnlab.
_NOISE_LINES = re.compile(
    r"\s*(full_key|reference_type|object_type)[:=]|See https|To append to|\s*\^|\s*provider="
    r"|Config search path|Available options in"
)

# For a key that another command has: what to do without it.
COLUMN_TO_PREDICT = "; for the column to predict, write data=table data.target=COLUMN"
INSTEAD_OF_KEYS = {
    **{(command, "target"): COLUMN_TO_PREDICT for command in ("train", "sweep", "check", "graph")},
    ("compare", "resume"): "; nnlab train resume=FOLDER goes on with a comparison, and ends with its table",
    ("compare", "trials"): "; here tune= says how many tune each arm",
    ("predict", "target"): "; predict needs none: the data may have the target's column, and it is not used",
    ("evaluate", "output"): "; the report is evaluation.json in the folder of hydra.run.dir=FOLDER",
}
TOO_DEEP_MESSAGE = "a value has more brackets within brackets than can be read, or a file refers to itself"


def sentence(error: Exception) -> str:
    """One sentence for any error of composing a configuration."""
    if isinstance(error, OverrideParseException):
        return _syntax_error(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        return _first_lines(str(error), 1) + nearest(name, {*error.options, *plugins.names(group)})
    duplicate = re.search(r"Multiple values for (\S+)\.|^(\S+) appears more than once", str(error))
    if duplicate:
        group = duplicate[1] or duplicate[2]
        return f"{group} has a choice already: to make another, write {group}=..., without '+'"
    in_file = re.search(r"In '(\S+)': Could not override '(\S+)'\.", str(error))
    if in_file and (commands := commands_with(in_file[2])):
        return (
            f"{choice_of(in_file[1])}: its file overrides {in_file[2]}, which is "
            f"{not_of_an_experiment(commands)}: write {in_file[2]}=... on the command line"
        )
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


def _syntax_error(error: OverrideParseException) -> str:
    """The message for a word of the command line that Hydra's grammar cannot parse."""
    if "=" not in str(error.override):
        return f"'{error.override}' is not KEY=VALUE{_suggest_override(str(error.override))}"
    key, _, value = str(error.override).partition("=")
    reason = re.search(r"while evaluating '.*': (.*)", error.message)
    function = re.search(r"Unknown function '(\w+)'", error.message)
    if function:
        return f"'{error.override}': {reason[1]}; {_suggest_function(function[1], key, value)}"
    if reason:
        return f"'{error.override}': {reason[1]}"
    quoted_example = "KEY='\"a=b\"'"
    if key.isascii() and value:
        quoted_example = shell_word(f"{key}={quote_text(value)}")
    return (
        f"cannot read '{error.override}' as KEY=VALUE: close every bracket and quote, write a list "
        f"without spaces, [64,32], and a text with other signs in two quotes, {shortened(quoted_example)}"
    )


def _suggest_function(name: str, key: str, value: str) -> str:
    """nnlab's equivalent of another tool's function, such as `loguniform(1e-4,1)`."""
    arguments = value[len(name) + 1 : -1]
    meant = equivalent_function(name, arguments, declarations.takes_integer(key))
    if meant:
        return f"did you mean {key}={meant}?"
    return "allowed: choice(a,b), range(1,9,2), interval(0,1), tag(log,interval(1e-4,1))"


def _suggest_override(word: str) -> str:
    """A suggestion for a word without `=`: a data file, a choice, a key, or --help."""
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


def refuse_keys_of_other_commands(command: str, words: list[str]) -> None:
    """Raise `UserError` for a key or group that another command has and this one has not."""
    train_keys = keys_of("train") if command == "train" else keys_of("train") - {"resume"}
    for word in words:
        if command in RUN_COMMANDS:
            _refuse_keys_of_other_run_commands(command, word)
        if command in RUN_COMMANDS and near(word.partition("=")[0], Catalogue(command).keys()):
            continue  # a later check reports it as unknown, with the nearest key
        head = word.lstrip("+~").partition("=")[0].partition(".")[0]
        for other in ("sweep", "check", "graph", "compare"):
            if other != command and head in keys_of(other) - train_keys - keys_of(command):
                also = "train and nnlab " * (head == "resume")
                instead = INSTEAD_OF_KEYS.get((command, head), "")
                raise UserError(f"{word}: {head} is a word of nnlab {also}{other}{instead}")
        if command in RUN_COMMANDS and not head.startswith("hydra"):
            _refuse_training_keys(command, word)


def _refuse_keys_of_other_run_commands(command: str, word: str) -> None:
    key = word.lstrip("+~").partition("=")[0]
    key = SYNONYMS.get(key, key)
    others = [other for other in RUN_COMMANDS if key in keys_of(other)]
    if others and command not in others:
        instead = INSTEAD_OF_KEYS.get((command, key), "")
        raise UserError(f"{word}: {key} is a word of nnlab {' and '.join(others)}{instead}")


def _refuse_training_keys(command: str, word: str) -> None:
    key, train = word.lstrip("+~").partition("=")[0], Catalogue("train")
    is_known = key in {*train.groups, *train.all_keys()} or "." in key and choices_with(key)
    if key not in Catalogue(command).keys() and is_known:
        raise UserError(f"{word}: {key} is a word of nnlab train; a run keeps what it was trained with")


def dashed_setting_message(command: str, option: str) -> str:
    """The message for a setting written as an option, `--lr=0.1`, as other tools have it."""
    typed = option.lstrip("-").partition("=")[0]
    catalogue = Catalogue(command)
    names = [*catalogue.groups, *catalogue.all_keys()]
    same = [name for name in names if plain(name.rpartition(".")[2]) == plain(typed) or name == typed]
    meant = hint_for_key(typed) or ""
    if same:
        meant = f"; did you mean '{same[0]}='?"
    return f"{option}: settings have no dashes, they are written KEY=VALUE{meant}"


def unresolved_message(error: Exception, config: DictConfig) -> str:
    """The message for an interpolation that cannot be resolved, or a value that is still missing (`???`)."""
    key = getattr(error, "full_key", None) or "a value"
    if isinstance(error, MissingMandatoryValue):
        return f"{key} has no value yet: write {key}=..."
    value = raw_value(config, key)
    absent = re.search(r"Interpolation key '(.*)' not found", str(error))
    if isinstance(error, InterpolationKeyError) and absent:
        hint = nearest(absent[1], dotted_keys(config))
        # Without a near name it would list every key of the settings.
        return f"{key}={value}: no key is called '{absent[1]}'" + hint * ("mean" in hint)
    message = re.sub(r"^\w+ raised while resolving interpolation: ", "", str(error))
    return f"{key}={value}: {_first_lines(message)}"


def raw_value(config: DictConfig, key: str):
    """The value at `key` as it was written, `${...}` included; None if there is none."""
    node = OmegaConf.to_container(config, resolve=False)
    for part in key.split("."):
        if not isinstance(node, dict):
            return None
        node = node.get(part)
    return node
