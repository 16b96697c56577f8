"""Write configs/<group>/<choice>.yaml from the classes: their keys and defaults, and what shared keys mean.

    python scripts/write_configs.py          says what it has written

A file keeps what only a person can say: the comment at its head, the comments of the class's own keys, the
order of keys, how a number is spelled (3e-3), and values that follow other settings. What a class has
and its file has not is added, and what the class has not is dropped; a class without a file gets one. The
meanings of keys that the base of a group declares stand here once, and are written into every file.
tests/test_write_configs.py: the files are what this writes.
"""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import fields

import yaml

from nnlab import experiment, plugins
from nnlab.paths import CONFIG_DIR
from nnlab.search import settings as search

TABLES = {
    group: table for group, table in (experiment.GROUPS | search.GROUPS).items() if isinstance(table, dict)
}
SHARED = {  # group -> key of its base -> what it means, whatever the choice
    "optimizer": {
        "clip_norm": "largest norm of the gradient; .inf: never clipped",
        "clip_value": "largest size of each component",
        "bias_lr_factor": "times lr is the rate of biases; 2: biases learn twice as fast",
    },
    "init": {"bias": "value of every bias", "mean": "added to the weights"},
    "schedule": {"warmup": "epochs in which the rate rises from 0, linearly"},
    "sampler": {"seed": "of all that it draws"},
    "data": {
        "normalization": "how inputs are scaled, by the row's own training examples: robust is standard, but "
        "what is far out is pulled in beyond 5 deviations",
        "normalization_per": "what has a mean and a scale of its own: each input, or each channel of images "
        "and signals, all its pixels together; auto: channel for models of images, such as cnn, else input",
        "target_normalization": "the same of targets, of which none is pulled in; errors are reported in the "
        "target's own unit",
        "limit": "only so many examples, classes in equal shares",
        "reconstruct": "the targets are the inputs themselves, normalised as these are: an autoencoder; what "
        "the data have as labels or targets is not looked at",
        "label_noise": "share of training and validation labels that are replaced by other classes",
    },
}
LINE_WIDTH, COMMENT_COLUMN = 110, 18
KEY = re.compile(r"^(?P<key>\w+): *(?P<value>.*?) *(?P<comment>#.*)?$")


def written(group: str, cls: type) -> str:
    """The file of a choice, as it must be."""
    file = CONFIG_DIR / group / f"{cls.name}.yaml"
    head, blocks = _parsed(file.read_text() if file.exists() else _begun(cls))
    settings, shared = plugins.settings(cls), SHARED.get(group, {})
    starts = [line.index(" #") + 1 for block in blocks.values() for line in block[:1] if " #" in line]
    column = starts[0] if starts else COMMENT_COLUMN
    lines = list(head)
    there = [key for key in blocks if key in settings]
    for key in [*there, *(key for key in _in_order(cls) if key not in blocks)]:
        block = blocks.get(key, [f"{key}: {_spelled(settings[key])}"])
        value = KEY.match(block[0])["value"]
        if not _is(value, settings[key]):
            value = _spelled(settings[key])
        meaning = shared.get(key) or _meaning(block)
        lines += _block(key, value, meaning, column) if _changed(block, value, meaning) else block
    return "\n".join(lines) + "\n"


def _begun(cls: type) -> str:
    """A new file: the summary of the class at its head."""
    return f"# {(vars(cls).get('__doc__') or cls.__doc__).split(chr(10))[0]}\nname: {cls.name}\n"


def _in_order(cls: type) -> list[str]:
    """Name and fields: first those of the class, then what every choice has."""
    return ["name", *(f.name for f in sorted(fields(cls), key=lambda f: f.kw_only))]


def _parsed(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """The lines at the head, and those of each key: its own, and what its comment goes on with."""
    head, blocks = [], {}
    for line in text.splitlines():
        if match := KEY.match(line):
            blocks[match["key"]] = [line]
        elif blocks:
            next(reversed(blocks.values())).append(line)
        else:
            head.append(line)
    return head, blocks


def _meaning(block: list[str]) -> str:
    first = KEY.match(block[0])["comment"] or ""
    return " ".join(line.strip().lstrip("#").strip() for line in [first, *block[1:]]).strip()


def _changed(block: list[str], value: str, meaning: str) -> bool:
    return KEY.match(block[0])["value"] != value or _meaning(block) != meaning


def _block(key: str, value: str, meaning: str, column: int) -> list[str]:
    said = f"{key}: {value}"
    if not meaning:
        return [said]
    column = max(column, len(said) + 2)
    first, *others = textwrap.wrap(meaning, LINE_WIDTH - column - 2)
    return [f"{said:<{column}}# {first}", *(f"{'':<{column}}# {line}" for line in others)]


def _is(value: str, default) -> bool:
    """Whether a value as the file spells it is the default, or follows other settings."""
    if value.startswith("${"):
        return True
    said = yaml.safe_load(value)
    try:
        return type(said) is type(default) and said == default or float(said) == default
    except (TypeError, ValueError):
        return False


def _spelled(value) -> str:
    if isinstance(value, float):
        return ".inf" if math.isinf(value) else repr(value)
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def main() -> None:
    for group, table in TABLES.items():
        for cls in table.values():
            file, text = CONFIG_DIR / group / f"{cls.name}.yaml", written(group, cls)
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
                print(f"wrote {file.relative_to(CONFIG_DIR.parent)}")


if __name__ == "__main__":
    main()
