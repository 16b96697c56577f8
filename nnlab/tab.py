"""What a TAB offers: words that the command would accept, or beginnings of such words.

`offers(line)` takes what was typed up to the cursor, as the shell shows it, and gives whole words as nnlab
would read them. How they are quoted is the shell's matter: nnlab/shells.py. Neither Hydra nor torch is
imported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from nnlab.catalogue import COMBINABLE, Catalogue, Key, places
from nnlab.data.headers import columns
from nnlab.suggestions import READERS, reader_of

MULTIRUN = ("-m", "--multirun")
OPTIONS = {  # option -> the words it takes: none, some of these, a folder or a name of `-cn`
    "--help": (), "--hydra-help": (), "--cfg": ("job", "hydra", "all"), "--multirun": (), "--resolve": (),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--config-dir": "folder", "--config-name": "name",
}  # fmt: skip
SHORT = {"-c": "--cfg", "-m": "--multirun", "-cd": "--config-dir", "-cn": "--config-name", "-i": "--info"}
BOARD = {"--help": (), "--port": (), "--newest": ()}
SWEEPS = ("resume", "refine")  # keys whose values are folders of sweeps
SINGLE = {
    "trials",
    "batch",
    "rows",
    "distinct",
    "plan",
    "report",
    "storage",
    "study",
    "sampler",
    "pruner",
    "space",
}


def offers(line: str) -> list[str]:
    """The words that may stand where the cursor is, at the end of the line `nnlab COMMAND ...`."""
    *before, word = split(line)
    command, words = (before[1:] or [""])[0], before[2:]
    if command == "board":
        return _begin(word, list(BOARD)) if word.startswith("-") else _folders(word)
    return sorted(set(_of_command(command, words, word)), key=lambda offer: (offer.endswith("/"), offer))


def split(line: str) -> list[str]:
    """The words of a shell's line, without quotes, the last one being typed: it may be empty, or open.

    >>> split("nnlab train 'model.hidden=[64, 3")
    ['nnlab', 'train', 'model.hidden=[64, 3']
    """
    words, word, quote, inside, escaped = [], "", "", False, False
    for sign in line:
        if escaped:
            word, escaped = word + sign, False
        elif sign == "\\" and quote != "'":
            escaped = inside = True
        elif sign == quote:
            quote = ""
        elif not quote and sign in "'\"":
            quote, inside = sign, True
        elif not quote and sign.isspace():
            words, word, inside = words + [word] * (inside or word != ""), "", False
        else:
            word, inside = word + sign, True
    return [*words, word]


def _of_command(command: str, words: list[str], word: str) -> Iterable[str]:
    """A sentence's worth of options, groups, keys and values."""
    options = dict(OPTIONS)
    if command == "sweep":
        del options["--multirun"], options["--config-name"]
    given, values, asked = _options(words, options)
    if asked:
        kind = options[asked]
        names = _names(given) if kind == "name" else kind
        return _folders(word) if kind == "folder" else _begin(word, names)
    if word.startswith("-"):
        short = [letter for letter, long in SHORT.items() if long in options and long not in given]
        return _begin(word, [*short * (word[:2] != "--"), *(o for o in options if o not in given)])
    catalogue = Catalogue(command, values, given.get("--config-dir"), given.get("--config-name"))
    plus = re.match(r"\+*", word)[0]
    name, equals, value = word[len(plus) :].partition("=")
    found = _values(catalogue, name, value) if equals else _keys(catalogue, name, values, plus)
    several = "--multirun" in options and "--multirun" not in given and any(map(_is_several, values))
    return [plus + offer for offer in found] + ["-m"] * (several and not word)


def _is_several(word: str) -> bool:
    """Whether it has several values, between commas: then `-m` is wanted, which may come last."""
    return "," in re.sub(r"\[.*\]|'.*'|\(.*\)", "", word.partition("=")[2])


def _options(words: list[str], options: dict) -> tuple[dict[str, str], list[str], str]:
    """The options with their values, the other words, and the option whose value comes next."""
    given, others, asked = {}, [], ""
    for word in words:
        long, equals, value = SHORT.get(word, word).partition("=")
        if asked:
            given[asked], asked = word, ""
        elif long in options and word.startswith("-"):
            given[long] = value
            asked = long if options[long] and not equals else ""
        elif not word.startswith("-"):
            others.append(word)
    return given, others, asked


def _names(given: dict[str, str]) -> list[str]:
    folder = Path(given.get("--config-dir", "."))
    return sorted(file.stem for file in folder.glob("*.yaml")) if "--config-dir" in given else []


def _keys(catalogue: Catalogue, typed: str, words: list[str], plus: str) -> list[str]:
    """Groups and keys that begin as typed; not those that have a value already."""
    given = {word.lstrip("+").partition("=")[0] for word in words}
    hydras = [
        f"{key}=" for key in places(catalogue.command) if typed and key.startswith(typed) and key not in given
    ]
    group, dot, _ = typed.partition(".")
    keys = catalogue.all_keys()
    if dot:
        return hydras + [f"{key}=" for key in keys if key.startswith(typed) and key not in given]
    found = [f"{key}=" for key in keys if "." not in key] + [f"{g}=" for g in catalogue.defaults]
    found += [f"{head}." for head in {key.partition(".")[0] for key in keys if "." in key}]
    found += [f"{'' if plus else '+'}{g}=" for g in catalogue.added]
    return hydras + [word for word in _begin(typed, found) if word.rstrip("=") not in given]


def _values(catalogue: Catalogue, name: str, value: str) -> list[str]:
    """`name=...`: choices of a group, words or files that a key takes; several with commas, with which a
    search needs nothing and other commands -m."""
    group = name in catalogue.groups
    key = None if group else catalogue.keys(name.partition(".")[0] if "." in name else None).get(name)
    key = key or catalogue.all_keys().get(name)
    if name == "data.path":
        return [f"{name}={path}" for path in _data_files(catalogue, value)]
    if key is None and not group:
        return [f"{name}={path}" for path in _folders(value)] if name == "hydra.run.dir" else []
    if key is not None and _takes_path(key):
        return [f"{name}={path}" for path in _paths(catalogue, key, value)]
    words = catalogue.choices(group and name) if group else _words(key)
    if name == "data.target":
        words = _columns(catalogue) or words
    listed = name in COMBINABLE if group else bool(key.field and key.field.listed and key.field.words)
    head, last = _cut(value)
    if "[" in head:
        if not listed:
            return []
        inside = head.rpartition("[")[2]
        words = [w for w in words if w not in ("auto", "null", "none")]
        words = words if name == "model.activation" else [w for w in words if w not in inside.split(",")]
    elif head and (name in SINGLE or not re.fullmatch(r"[\w.,/+-]*", head)):
        return []
    else:
        words = [w for w in words if w not in head.split(",")]
    return [f"{name}={head}{word}" for word in words if word.startswith(last)]


def _cut(value: str) -> tuple[str, str]:
    """What stands, and the item being typed: `[l2,d` is `[l2,` and `d`."""
    place = max(value.rfind(","), value.rfind("[")) + 1
    return value[:place], value[place:]


def _words(key: Key) -> list[str]:
    """The words that a key takes, or else the value that it has."""
    if key.name == "device":
        return ["auto", "cpu"] + ["cuda"] * Path("/dev/nvidiactl").exists()
    if key.name == "storage":
        return ["null", "sqlite:///"]
    words = (key.field.words + key.field.plugins) if key.field else []
    if words:
        return words
    text = "" if key.value is None else str(key.value)
    return [text] if re.fullmatch(r"[\w.+-]+", text) and not isinstance(key.value, bool) else []


def _takes_path(key: Key) -> bool:
    return key.name in SWEEPS or key.name.rpartition(".")[2] in ("path", "file", "folder")


def _paths(catalogue: Catalogue, key: Key, typed: str) -> list[str]:
    if key.name in SWEEPS:
        return [path for path in _listed(typed) if _leads_to_sweep(path)]
    return _folders(typed) if key.name.endswith("folder") else list(filter(_is_plain, _listed(typed)))


def _data_files(catalogue: Catalogue, typed: str) -> list[str]:
    """Files that the chosen data read, by their endings, and folders; of data that read none, such as may be
    read by others: `data=csv` may still come."""
    reader = next(iter(catalogue.chosen("data")), "")
    wanted = [reader] if reader in READERS else list(READERS)
    found = [path for path in _listed(typed) if path.endswith("/") or reader_of(path) in wanted]
    return list(filter(_is_plain, found))


def _columns(catalogue: Catalogue) -> list[str]:
    """The names in the first line of the file at data.path."""
    path = catalogue.given.get("data.path", "").strip("'\"")
    names = columns(os.path.expanduser(path)) if path else []
    return [name for name in names if name.isprintable() and _is_plain(name)]


def _leads_to_sweep(path: str) -> bool:
    """Whether it is the folder of a sweep, or one is in it, not much further down."""
    folder = Path(path).expanduser()
    levels = ("sweep.json", "*/sweep.json", "*/*/sweep.json")
    return path.endswith("/") and any(next(folder.glob(level), None) for level in levels)


def _folders(typed: str) -> list[str]:
    return [path for path in _listed(typed) if path.endswith("/")]


def _listed(typed: str) -> list[str]:
    """Files and folders, the latter with a slash, whose paths begin as typed; hidden ones if asked for."""
    head, slash, last = typed.rpartition("/")
    try:
        entries = list(os.scandir(Path(f"{head}{slash}" or ".").expanduser()))
        shown = [e for e in entries if e.name.startswith(last) and (last or not e.name.startswith("."))]
        paths = [f"{head}{slash}{e.name}{'/' * e.is_dir()}" for e in shown if e.is_dir() or e.is_file()]
    except (OSError, ValueError):
        return []
    return sorted(path for path in paths if path.isprintable())


def _is_plain(path: str) -> bool:
    """Whether a command line takes it as it stands: a comma parts values, brackets begin lists."""
    return re.fullmatch(r"[^][{},'\"$\\]+", path) is not None and path.strip() == path


def _begin(typed: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(typed)]
