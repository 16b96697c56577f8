"""What Hydra and OmegaConf raise, said in one sentence that names the value and what is allowed."""

import re

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue

from nnlab import plugins
from nnlab.errors import nearest

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
    if "missing EQUAL" in error.message:
        return f"'{error.override}' is not KEY=VALUE, such as epochs=20"
    found = re.search(r"while evaluating '.*': (.*)", error.message)
    if found:
        return f"'{error.override}': {found[1]}"
    return (
        f"cannot read '{error.override}' as KEY=VALUE: close every bracket and quote, write a list "
        "without spaces, [64,32], and quote a value with other signs, KEY='\"a=b\"'"
    )


def unknown_key(key: str, config: DictConfig) -> str:
    """`unknown key 'optimizer.lrr'; did you mean 'optimizer.lr'?`"""
    leaf = key.rpartition(".")[2]
    same = [name for name in dotted(config) if name.rpartition(".")[2] == leaf]
    if same:
        return f"unknown key '{key}'; did you mean {' or '.join(repr(name) for name in same[:3])}?"
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else None
    if not isinstance(node, DictConfig):
        return f"unknown key '{key}'{nearest(key, [k for k in config if k != 'hydra'])}"
    choice = config.hydra.runtime.choices.get(parent)
    names = [f"{parent}.{name}" for name in node if name != "name"]
    if not names and not choice:
        return f"unknown key '{key}'; did you mean '{parent}'?"
    of = f" of {parent}={choice}" if choice else ""
    return f"unknown key '{key}'{of}{nearest(key, names) if names else '; it has no keys'}"


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
