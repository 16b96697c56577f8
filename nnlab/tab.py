"""Completion candidates for a command line: words, or beginnings of words, that the command would accept.

`offers(line)` takes the line up to the cursor and gives whole words, unquoted: nnlab/shells.py quotes them
for each shell. Neither Hydra nor torch is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from nnlab.catalogue import COMBINABLE, RUN_COMMANDS, Catalogue, Key, hydra_folder_keys
from nnlab.reproduction.published import VERSIONS
from nnlab.reproduction.table_file import table_names
from nnlab.tab_files import column_names, data_files, folders, paths, run_or_data_paths, takes_path
from nnlab.tables.user_types import USER_TYPES

# The words that an option takes: none, some of these, a folder, or a name of `-cn`.
OPTION_VALUES = {
    "--help": (), "--hydra-help": (), "--cfg": ("job", "hydra", "all"), "--multirun": (), "--resolve": (),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--config-dir": "folder", "--config-name": "name",
}  # fmt: skip
LONG_OPTIONS = {
    "-c": "--cfg",
    "-m": "--multirun",
    "-cd": "--config-dir",
    "-cn": "--config-name",
    "-i": "--info",
}
OPTIONS_OF_FOLDER_COMMANDS = {
    "board": ("--help", "--port", "--newest"), "report": ("--help",), "work": ("--help",),
}  # fmt: skip
KEYS_AFTER_FOLDER = {"report": ("output=",), "work": ("threads=", "wait=")}
KEYS_BESIDE_FOLDERS = ("measure", "seeds")  # of nnlab compare
# Keys that take one value, even where commas would begin a search.
SINGLE_VALUE_KEYS = {
    "measure",
    "trials", "batch", "rows", "distinct", "plan", "report", "storage", "study", "sampler", "pruner",
    "launcher", "space",
    "picture", "predictions", "show", "caption", "table", "version", "cells",
}  # fmt: skip


# Keys whose values are columns of the file at data.path; `data.types.COLUMN` says what one is.
COLUMN_KEYS = ("data.target", "data.drop", "data.group", "data.time", "data.weight", "data.part")
TYPES_PREFIX = "data.types."


def completions(line: str) -> list[str]:
    """The words that may stand where the cursor is, at the end of the line `nnlab COMMAND ...`."""
    *before, word = split(line)
    command = before[1] if len(before) > 1 else ""
    words = before[2:]
    if command in OPTIONS_OF_FOLDER_COMMANDS:
        return _complete_folder_command(command, words, word)
    complete = _complete_run_command if command in RUN_COMMANDS else _complete_command
    if command == "data":
        complete = _complete_data
    if command == "reproduce":
        complete = _complete_reproduce
    if command == "compare":
        complete = _complete_compare
    return sorted(
        set(complete(command, words, word)), key=lambda completion: (completion.endswith("/"), completion)
    )


def split(line: str) -> list[str]:
    """The words of a shell's line, without quotes. The last one is being typed: it may be empty, or open.

    >>> split("nnlab train 'model.hidden=[64, 3")
    ['nnlab', 'train', 'model.hidden=[64, 3']
    """
    words, word = [], ""
    quote = ""  # the one that is open
    escaped = False  # by a backslash
    in_word = False  # a word in quotes may be empty
    for character in line:
        if escaped:
            word += character
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = in_word = True
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
            in_word = True
        elif not quote and character.isspace():
            if in_word:
                words.append(word)
            word, in_word = "", False
        else:
            word += character
            in_word = True
    return [*words, word]


def _complete_command(command: str, words: list[str], word: str) -> Iterable[str]:
    """Options, groups, keys or values, whatever may come next."""
    options = dict(OPTION_VALUES)
    if command in ("sweep", "compare"):
        del options["--multirun"], options["--config-name"]
    given, overrides, open_option = _options(words, options)
    if open_option:
        return _option_values(options[open_option], given, word)
    if word.startswith("-"):
        rest = [option for option in options if option not in given]
        short = [letter for letter, long in LONG_OPTIONS.items() if long in rest]
        return _starting_with(word, rest if word.startswith("--") else [*short, *rest])
    catalogue = Catalogue(command, overrides, given.get("--config-dir"), given.get("--config-name"))
    plus = re.match(r"\+*", word)[0]
    name, equals, value = word[len(plus) :].partition("=")
    if equals:
        return [plus + completion for completion in _values(catalogue, name, value)]
    keys = [plus + completion for completion in _keys(catalogue, name, overrides, plus)]
    # Several values of a key need `-m`, which may come last.
    takes_multirun = "--multirun" in options and "--multirun" not in given
    if takes_multirun and not word and any(map(_has_several_values, overrides)):
        keys.append("-m")
    return keys


def _complete_few_options(words: list[str], word: str) -> tuple[Iterable[str] | None, list[str]]:
    """For commands that have --help and --cfg alone: what completes an option, or None where the word is not
    one; and the overrides before it."""
    options = {option: OPTION_VALUES[option] for option in ("--help", "--cfg")}
    given, overrides, open_option = _options(words, options)
    if open_option:
        return _option_values(options[open_option], given, word), overrides
    if word.startswith("-"):
        return _starting_with(word, [option for option in options if option not in given]), overrides
    return None, overrides


def _complete_folder_command(command: str, words: list[str], word: str) -> list[str]:
    """After `nnlab board`, `report` and `work`: options and folders, and after one the keys that are left."""
    if word.startswith("-"):
        return _starting_with(word, OPTIONS_OF_FOLDER_COMMANDS[command])
    keys = KEYS_AFTER_FOLDER.get(command, ()) if words else ()
    left = [key for key in keys if not any(each.startswith(key) for each in words)]
    return [*folders(word), *_starting_with(word, left)]


def _complete_run_command(command: str, words: list[str], word: str) -> Iterable[str]:
    """After `nnlab predict`: a run, then data, and keys with their values."""
    completed, overrides = _complete_few_options(words, word)
    if completed is not None:
        return completed
    catalogue = Catalogue(command, overrides)
    name, equals, value = word.partition("=")
    if equals and name in ("run", "data"):
        return [f"{name}={path}" for path in run_or_data_paths(name, value)]
    if equals:
        return _values(catalogue, name, value)
    bare_words = [one for one in overrides if "=" not in one or one.partition("=")[0] not in catalogue.keys()]
    keys = catalogue.keys()
    unassigned = [key for key in ("run", "data") if key in keys and key not in catalogue.assignments]
    taken, next_keys = unassigned[: len(bare_words)], unassigned[len(bare_words) :]
    candidates = run_or_data_paths(next_keys[0], word) if next_keys else []
    return candidates or [
        key for key in _keys(catalogue, word, overrides, "") if key.rstrip("=") not in taken
    ]


def _complete_data(command: str, words: list[str], word: str) -> Iterable[str]:
    """After `nnlab data`: a file, and the keys of data=table without `data.`"""
    completed, overrides = _complete_few_options(words, word)
    if completed is not None:
        return completed
    files = [f"path={one}" for one in overrides if "=" not in one][:1]
    catalogue = Catalogue(command, [with_data_key(one) for one in (*files, *overrides) if "=" in one])
    name, equals, value = with_data_key(word).partition("=")
    if equals:
        candidates = _values(catalogue, name, value)
    else:
        key = word if word.startswith("data.") else f"data.{word}"
        candidates = _keys(catalogue, key, [with_data_key(one) for one in (*files, *overrides)], "")
    shown = candidates if word.startswith("data.") else [one.removeprefix("data.") for one in candidates]
    return shown if files or equals else [*data_files(Catalogue(command), word), *shown]


def _complete_compare(command: str, words: list[str], word: str) -> Iterable[str]:
    """After `nnlab compare`: what makes arms; or folders of runs, and what may stand beside them."""
    candidates = [*_complete_command(command, words, word)]
    _, overrides, open_option = _options(words, OPTION_VALUES)
    if open_option:
        return candidates
    if any("=" not in one or "/" in one.partition("=")[0] for one in overrides):
        candidates = [one for one in candidates if one.partition("=")[0] in KEYS_BESIDE_FOLDERS]
    is_folder = not word.startswith(("-", "+")) and "=" not in word.partition("/")[0]
    return [*candidates, *folders(word)] if is_folder else candidates


def _complete_reproduce(command: str, words: list[str], word: str) -> Iterable[str]:
    """After `nnlab reproduce`: a table, quick or full, and whatever `nnlab train` takes."""
    name, equals, value = word.partition("=")
    if name == "table" and equals:
        return [f"table={one}" for one in _starting_with(value, table_names())]
    overrides = [one for one in words if "=" in one or one.startswith("-")]
    tables = [one for one in words if one not in (*overrides, *VERSIONS)]
    if not tables and not word.startswith("-") and "table" not in Catalogue(command, overrides).assignments:
        return [*_starting_with(word, table_names()), *(folders(word) if word else [])]
    versions = [] if {*words} & {*VERSIONS} else _starting_with(word, VERSIONS)
    return [*versions, *_complete_command(command, overrides, word)]


def with_data_key(word: str) -> str:
    """`data.target=left` of `target=left`."""
    return word if word.startswith("data.") or "=" not in word else f"data.{word}"


def _has_several_values(word: str) -> bool:
    """Whether it has values separated by commas, outside of brackets and quotes."""
    return "," in re.sub(r"\[.*\]|'.*'|\(.*\)", "", word.partition("=")[2])


def _options(words: list[str], options: dict) -> tuple[dict[str, str], list[str], str]:
    """(options with their values, the other words, the option whose value comes next or "")."""
    given, overrides, open_option = {}, [], ""
    for word in words:
        long, equals, value = LONG_OPTIONS.get(word, word).partition("=")
        if open_option:
            given[open_option] = word
            open_option = ""
        elif long in options and word.startswith("-"):
            given[long] = value
            open_option = long if options[long] and not equals else ""
        elif not word.startswith("-"):
            overrides.append(word)
    return given, overrides, open_option


def _option_values(kind: str | tuple[str, ...], given: dict[str, str], word: str) -> list[str]:
    """The values of an option; `kind` is what `OPTION_VALUES` says of it."""
    if kind == "folder":
        return folders(word)
    if kind != "name":
        return _starting_with(word, kind)
    if "--config-dir" not in given:
        return []
    return _starting_with(word, sorted(file.stem for file in Path(given["--config-dir"]).glob("*.yaml")))


def _keys(catalogue: Catalogue, typed: str, words: list[str], plus: str) -> list[str]:
    """Groups and keys that begin as typed, without those that have a value already."""
    given = {word.lstrip("+").partition("=")[0] for word in words}
    # Hydra's own keys are many: they are offered only once their first letters are typed.
    hydra_keys = [f"{key}=" for key in hydra_folder_keys(catalogue.command) if typed and key not in given]
    keys = catalogue.all_keys()
    if typed.startswith(TYPES_PREFIX) and "data.types" in keys:
        columns = [f"{TYPES_PREFIX}{column}=" for column in column_names(catalogue)]
        return _starting_with(typed, [word for word in columns if word.rstrip("=") not in given])
    if "." in typed:
        unassigned = [f"{key}=" for key in keys if key not in given]
        return _starting_with(typed, [*hydra_keys, *unassigned])
    heads = {key.partition(".")[0] for key in keys if "." in key}
    plus_needed = "" if plus else "+"
    names = [
        *(f"{key}=" for key in keys if "." not in key),
        *(f"{group}=" for group in catalogue.defaults),
        *(f"{head}." for head in heads),
        *(f"{plus_needed}{group}=" for group in catalogue.user_groups),
    ]
    unassigned = [name for name in names if name.rstrip("=") not in given]
    return _starting_with(typed, [*hydra_keys, *unassigned])


def _values(catalogue: Catalogue, name: str, value: str) -> list[str]:
    """`name=...` with choices of a group, or with words or files that a key takes."""
    if name in catalogue.groups:
        return _listed_values(name, value, catalogue.choices(name), name in COMBINABLE)
    if name.startswith(TYPES_PREFIX):
        return _listed_values(name, value, list(USER_TYPES), False)
    key = _key(catalogue, name)
    if name in ("data.path", "data.test_path"):
        return [f"{name}={path}" for path in data_files(catalogue, value)]
    if name == "hydra.run.dir" and key is None:
        return [f"{name}={path}" for path in folders(value)]
    if key is None:
        return []
    if takes_path(key):
        return [f"{name}={path}" for path in paths(key, value)]
    words = _value_suggestions(key)
    if name in COLUMN_KEYS:
        words = column_names(catalogue) or words
    takes_list = bool(key.field and key.field.listed and (key.field.words or name in COLUMN_KEYS))
    return _listed_values(name, value, words, takes_list)


def _key(catalogue: Catalogue, name: str) -> Key | None:
    """The key of that name: of the chosen classes, or else of any."""
    group = name.partition(".")[0] if "." in name else None
    return catalogue.keys(group).get(name) or catalogue.all_keys().get(name)


def _listed_values(name: str, value: str, words: list[str], takes_list: bool) -> list[str]:
    """`name=...` with each of the words as the next item; several values, or a list, have commas."""
    head, last = _split_last_item(value)
    if "[" in head and not takes_list:
        return []
    if "[" in head:
        words = [word for word in words if word not in ("auto", "null", "none")]
        items = head.rpartition("[")[2].split(",")
        if name != "model.activation":  # layers may have the same activation
            words = [word for word in words if word not in items]
    elif head and (name in SINGLE_VALUE_KEYS or not re.fullmatch(r"[\w.,/+-]*", head)):
        return []
    else:
        words = [word for word in words if word not in head.split(",")]
    return [f"{name}={head}{word}" for word in words if word.startswith(last)]


def _split_last_item(value: str) -> tuple[str, str]:
    """The finished items, and the one being typed: `[l2,` and `d` of `[l2,d`."""
    item_start = max(value.rfind(","), value.rfind("[")) + 1
    return value[:item_start], value[item_start:]


def _value_suggestions(key: Key) -> list[str]:
    """The words that a key takes, or else the value that it has."""
    if key.name == "device":
        return ["auto", "cpu"] + ["cuda"] * Path("/dev/nvidiactl").exists()
    if key.name == "storage":
        return ["null", "sqlite:///"]
    if key.field and (key.field.words or key.field.plugins):
        return key.field.words + key.field.plugins
    if key.value is None or isinstance(key.value, bool):
        return []
    text = str(key.value)
    return [text] if re.fullmatch(r"[\w.+-]+", text) else []


def _starting_with(typed: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(typed)]
