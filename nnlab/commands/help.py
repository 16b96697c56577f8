"""`nnlab COMMAND --help`: every key with its meaning and what is allowed, in 80 columns.

    nnlab train --help                   all of it
    nnlab train optimizer --help         the choices of a group
    nnlab train optimizer=adam --help    one choice: its formula and its keys
    nnlab train refit --help             one key

Meanings are the comments of the YAML files, formulas the docstrings of the classes, ranges their
declarations. All are read without importing torch: nnlab/catalogue.py, declarations.py.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from string import Template

from nnlab import declarations
from nnlab.catalogue import COMBINABLE, HYDRA_FOLDER_KEYS, Catalogue, Key, hydra_folder_keys
from nnlab.commands.box_help import box_page
from nnlab.commands.command_line import CommandLine
from nnlab.commands.nearest_key import topic_meant
from nnlab.commented_yaml import read
from nnlab.errors import UserError
from nnlab.paths import CONFIG_DIR

PAGE_WIDTH = 79  # characters of a line
MEANING_COLUMN = 28  # the column in which the meaning of a key begins
BOXES_KEY = "model.boxes"  # what it may have, its page lists
PICTURES_KEY = "show"  # ... as its page does
WHOLE_FILE_GROUPS = ("experiment", "space")  # groups whose choices are shown as the whole file


def help_text(line: CommandLine) -> str:
    """The help page for the words beside `--help`. Raises `UserError` for a word that is neither group nor
    key."""
    catalogue = line.catalogue()
    topics = [word for word in line.overrides if "=" not in word]
    chosen = [group for group in catalogue.assignments if group in catalogue.groups]
    pages = [_topic(catalogue, word) for word in topics]
    pages += [_choice(catalogue, group, name) for group in chosen for name in catalogue.chosen(group)]
    if not pages:
        return _full_page(catalogue)
    return "\n".join(pages)


def _topic(catalogue: Catalogue, word: str) -> str:
    if word in catalogue.groups:
        return _group(catalogue, word)
    keys = catalogue.all_keys()
    if word in hydra_folder_keys(catalogue.command):
        return _row(f"{word}=", HYDRA_FOLDER_KEYS[word])
    if word == BOXES_KEY:
        return _boxes(catalogue)
    if word == PICTURES_KEY and word in keys:
        return _pictures(keys[word])
    matching_keys = [key for name, key in keys.items() if name == word or name.rpartition(".")[2] == word]
    if not matching_keys:
        raise UserError(f"--help: no group and no key is called '{word}'{topic_meant(word, catalogue)}")
    return _key_rows(catalogue, matching_keys)


def _boxes(catalogue: Catalogue) -> str:
    return _key_rows(catalogue, [catalogue.choice_keys("model", "graph")[BOXES_KEY]]) + box_page(_row)


def _pictures(key: Key) -> str:
    """The key of the pictures, and a line for each of them."""
    names = declarations.picture_summaries()
    about = _key_row(replace(key, field=None), None)
    return f"{about}\n" + "".join(_row(name, summary) for name, summary in names.items())


def _group(catalogue: Catalogue, group: str) -> str:
    count = "one or several, in brackets," if group in COMBINABLE else "one"
    default = ", ".join(catalogue.chosen(group)) or "none"
    title = f"{group}=CHOICE: {count} of these (default: {default})\n\n"
    choices = "".join(_row(name, _summary(catalogue, group, name)) for name in catalogue.choices(group))
    example = [*catalogue.chosen(group), *catalogue.choices(group)][0]
    return f"{title}{choices}\nHelp for one of them: nnlab {catalogue.command} {group}={example} --help\n"


def _choice(catalogue: Catalogue, group: str, name: str) -> str:
    file, keys = catalogue.file(group, name), catalogue.choice_keys(group, name)
    meaning = _class_doc(catalogue, group, name) or _file_header(catalogue, group, name)
    title = f"{group}={name}\n\n{_paragraphs(meaning)}\n\n"
    if group in WHOLE_FILE_GROUPS and file is not None:
        lines = _settings_as_overrides(file.settings)
        return title + "".join(_wrapped(line) + "\n" for line in lines)
    boxes = box_page(_row) if f"{group}.boxes" == BOXES_KEY and f"{group}.boxes" in keys else ""
    return title + (_key_rows(catalogue, keys.values()) or "  It has no keys.\n") + boxes


def _file_header(catalogue: Catalogue, group: str, name: str) -> str:
    """The comment at the top of the choice's file."""
    file = catalogue.file(group, name)
    return file.head if file else ""


def _paragraphs(text: str) -> str:
    """A docstring in 80 columns: formulas, which are indented, stay as they are."""
    paragraphs = []
    for is_formula, lines in groupby(text.splitlines(), lambda line: not line or line.startswith(" ")):
        if is_formula:
            paragraphs += lines
        else:
            paragraphs.append(textwrap.fill(" ".join(lines), PAGE_WIDTH - 2))
    return textwrap.indent("\n".join(paragraphs), "  ")


def _class_doc(catalogue: Catalogue, group: str, name: str) -> str:
    """The docstring of the choice's class, with the formula; empty where one class serves all choices."""
    file = catalogue.file(group, name)
    class_name = file.settings.get("name", name) if file else name
    cls = declarations.declaration_of_choice(group, class_name)
    shared = file is not None and group in declarations.SINGLE_CLASSES
    if cls is None or shared or cls.doc.startswith("Base of"):
        return ""
    return cls.doc.partition("\n\n>>> ")[0]  # an example in Python is for who reads Python


def _summary(catalogue: Catalogue, group: str, name: str) -> str:
    """One sentence: the first of its file, else of its class."""
    text = _file_header(catalogue, group, name) or _class_doc(catalogue, group, name)
    first = re.split(r"(?<=[^A-Z.]\.)(?<! al\.)\s|:?\n\s*\n|:\n\s|\nShows:", text.strip(), maxsplit=1)[0]
    return " ".join(first.split())


def _full_page(catalogue: Catalogue) -> str:
    template = read(CONFIG_DIR / f"{catalogue.command}.yaml").settings["hydra"]["help"]["template"]
    shared = Catalogue("train")
    keys = catalogue.all_keys()
    shared_names = {*shared.defaults, *(name.partition(".")[0] for name in shared.keys())}
    if not catalogue.groups:  # a command that shares nothing with nnlab train
        shared_names = set()
    # What only this command has comes first: the rest is known from nnlab train.
    command_keys = [key for name, key in keys.items() if name.partition(".")[0] not in shared_names]
    shared_keys = [key for key in keys.values() if key not in command_keys]
    groups = "".join(
        _row(f"{group}={','.join(catalogue.chosen(group)) or 'null'}", ", ".join(catalogue.choices(group)))
        for group in catalogue.groups
    )
    folder_keys = hydra_folder_keys(catalogue.command).items()
    return Template(template).safe_substitute(
        OWN=_key_rows(catalogue, command_keys),
        GROUPS=groups,
        KEYS=_key_rows(catalogue, shared_keys),
        PLACES="".join(_row(f"{key}=", meaning) for key, meaning in folder_keys),
    )


def _key_rows(catalogue: Catalogue, keys: Iterable[Key]) -> str:
    return "".join(_key_row(key, catalogue.assignments.get(key.name)) for key in keys)


def _key_row(key: Key, typed_value: str | None) -> str:
    """`optimizer.lr=0.003    learning rate, before its schedule (above 0)`"""
    allowed = str(key.field) if key.field else ""
    text = key.meaning or allowed
    if key.meaning and allowed:
        text = f"{key.meaning} ({allowed})"
    if typed_value is not None:
        return _row(f"{key.name}={typed_value}", text)
    if "${" in str(key.value):  # it follows another key: its meaning says which
        return _row(key.name, text)
    return _row(f"{key.name}={_value_text(key.value)}", text)


def _row(head: str, text: str) -> str:
    """A line of two columns, as many as it needs; what is too long for the first has a line of its own."""
    lines = textwrap.wrap(text, PAGE_WIDTH - MEANING_COLUMN - 2, break_on_hyphens=False) or [""]
    head = f"  {head}"
    indent = " " * (MEANING_COLUMN + 2)
    first = head.ljust(MEANING_COLUMN + 2)
    if len(head) > MEANING_COLUMN:
        first = f"{head}\n{indent}"
    return f"\n{indent}".join([first + lines[0], *lines[1:]]).rstrip() + "\n"


def _value_text(value) -> str:
    """A value as the command line writes it."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_value_text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float) and math.isinf(value):
        return ".inf"
    return str(value)


def _wrapped(line: str) -> str:
    """In 80 columns, broken where it has a space."""
    return textwrap.fill(
        line, PAGE_WIDTH, initial_indent="  ", subsequent_indent="      ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _settings_as_overrides(settings: dict) -> list[str]:
    """The settings of a file as overrides of the command line."""
    overrides = [entry for entry in settings.get("defaults") or () if isinstance(entry, dict)]
    words = [f"{g.split('/')[-1]}={_value_text(name)}" for entry in overrides for g, name in entry.items()]
    words += _flatten_overrides(
        {key: value for key, value in settings.items() if key not in ("defaults", "hydra")}
    )
    swept = ((settings.get("hydra") or {}).get("sweeper") or {}).get("params") or {}
    return words + [
        f"-m {line}" for key, value in swept.items() for line in textwrap.wrap(f"{key}={value}", 70)
    ]


def _flatten_overrides(node: dict, prefix: str = "") -> list[str]:
    words = []
    for key, value in node.items():
        if isinstance(value, dict) and value:
            words += _flatten_overrides(value, f"{prefix}{key}.")
        else:
            words.append(f"{prefix}{key}={_value_text(value)}")
    return words
