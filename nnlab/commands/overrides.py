"""The words of a command line, read by Hydra's grammar and checked one by one.

Hydra lets much through that nnlab would trip over later, `~optimizer`, a list for a group that takes one
choice, settings of Hydra that nnlab never reads: each is refused here in one sentence.
`options(group)` lists a group's choices, and nothing for any other word.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from math import ceil, isfinite, prod
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep

from nnlab import declarations, plugins
from nnlab.commands import plugin_choices
from nnlab.commands.quoting import as_hydra_reads, quoted
from nnlab.errors import UserError, unknown
from nnlab.plugins import COMBINABLE
from nnlab.records.text import shell_word
from nnlab.suggestions import hint, reader_of

MOST_RUNS = 5000  # of -m
LONGEST_WORD = 10_000  # characters: Hydra reads slowly
HYDRA_KEYS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir")

Options = Callable[[str], list[str]]
HasDefault = Callable[[str], bool]


def read(
    lines: list[str], options: Options, multirun: bool, has_default: HasDefault, search: bool = False
) -> list[Override]:
    """The overrides of a command line, checked; those of several values need `multirun`, or a `search`.

    `has_default(group)` says whether the configuration makes a choice of the group, if only null.
    Raises `UserError`, and Hydra's `OverrideParseException` for what does not follow its grammar.
    """
    parser = OverridesParser.create()
    given = [override for line in lines for override in _parsed(parser, line)]
    for override in given:
        _check(override, options, multirun or search, search)
    return parser.parse_overrides([_plain(override, options, has_default) for override in given])


def _parsed(parser: OverridesParser, line: str) -> list[Override]:
    if len(line) > LONGEST_WORD:
        raise UserError(
            f"{line[:40]}... has {len(line):,} characters; allowed are {LONGEST_WORD:,}: write so much into "
            f"a configuration file"
        )
    try:
        return parser.parse_overrides([as_hydra_reads(line)])
    except RecursionError as e:
        raise UserError(f"{line[:40]}... has more brackets within brackets than can be read") from e
    except ValueError as e:
        raise UserError(f"{line[:40]}... is a number of more digits than can be read") from e


def is_group(override: Override, options: Options) -> bool:
    """Whether it picks a choice of a group, and not a value."""
    return "." not in override.key_or_group and bool(options(override.key_or_group))


def is_hydras(override: Override) -> bool:
    """Whether it is a setting of Hydra itself."""
    return override.key_or_group == "hydra" or override.is_hydra_override()


def _check(override: Override, options: Options, multirun: bool, search: bool) -> None:
    line, key = override.input_line, override.key_or_group
    if override.is_delete():
        raise UserError(f"{line}: nothing can be taken away; give {key} another value")
    if not key or override.package is not None:
        raise UserError(f"{line}: the word before '=' is a group or a key, without '@'")
    if is_hydras(override):
        _check_hydra(line, key)
    elif isinstance(override.value(), Glob):
        _check_glob(override, options, multirun)
    elif override.is_sweep_override() and search:
        _check_searched(override, options)
    elif override.is_sweep_override():
        _check_sweep(override, multirun, is_group(override, options))
    elif is_group(override, options):
        _check_choice(line, key, override.value(), options)


def _check_hydra(line: str, key: str) -> None:
    if key.startswith(("hydra/launcher", "hydra.launcher")):
        raise UserError(f"{line}: nnlab does not use Hydra launchers; -m trains all runs side by side")
    if key.startswith(("hydra/callbacks", "hydra.callbacks")):
        raise UserError(f"{line}: nnlab never runs Hydra callbacks")
    if key == "hydra.searchpath":
        raise UserError(f"{line}: to add a folder of configurations, use -cd FOLDER")
    if key not in HYDRA_KEYS:
        raise UserError(f"{line}: of Hydra's own settings nnlab uses only {', '.join(HYDRA_KEYS)}")


def refuse_places_of_several(read: list[Override], instead: str) -> None:
    """Raise `UserError` for a place of the runs of -m where there is one run: it would have no effect."""
    for override in read:
        if override.key_or_group.startswith("hydra.sweep."):
            raise UserError(f"{override.input_line} is a place for the runs of -m: {instead}")


def _check_glob(override: Override, options: Options, multirun: bool) -> None:
    line, key = override.input_line, override.key_or_group
    if not override.value().filter(options(key)):
        if not options(key):
            raise UserError(f"{line}: {key} is not a group")
        raise UserError(f"{line} matches none of {', '.join(options(key))}")
    _check_multirun(line, key, multirun, bool(options(key)))


def _check_sweep(override: Override, multirun: bool, group: bool) -> None:
    line, key = override.input_line, override.key_or_group
    if not override.is_discrete_sweep():
        raise UserError(
            f"{line}: an interval has no list of values; write {key}=a,b,c or range(...), or search it with "
            f"nnlab sweep"
        )
    if not count(override):
        raise UserError(f"{line} has no value: range(start,stop,step) ends before stop")
    _check_multirun(line, key, multirun, group)


def count(override: Override) -> int:
    """How many values a sweep over choices or a range has. Raises `UserError`."""
    values = override.value()
    if not override.is_sweep_override():
        return 1
    if not isinstance(values, RangeSweep):
        return len(values.list)
    try:
        return length(values)
    except UserError as e:
        raise UserError(f"{override.input_line}: {e}") from e


def check_count(read: list[Override]) -> None:
    """Raise `UserError` for too many runs: they are counted before they are listed."""
    check_runs(prod(map(count, read)), " ".join(o.input_line for o in read if o.is_sweep_override()))


def check_runs(runs: int, words: str) -> None:
    if runs > MOST_RUNS:
        many = f"{runs:,}" if runs < 10**12 else "more than 10^12"
        raise UserError(
            f"{words}: {many} runs; allowed are {MOST_RUNS:,}: take fewer values, or seeds=n for several "
            f"seeds"
        )


def length(sweep: RangeSweep) -> int:
    """How many numbers a range has. Raises `UserError` if it has no end."""
    ends = (sweep.start, sweep.stop, sweep.step)
    if not all(isinstance(x, int) or isinstance(x, float) and isfinite(x) for x in ends):
        raise UserError("a range has three finite numbers, range(start,stop,step)")
    start, stop, step = (Decimal(str(x)) for x in ends)
    if step == 0:
        raise UserError("a range in steps of 0 has no end")
    return max(0, ceil((stop - start) / step))


def _check_searched(override: Override, options: Options) -> None:
    """Of a group, several of its choices; what values a key may take, their domain will say."""
    line, key = override.input_line, override.key_or_group
    if is_group(override, options):
        if not override.is_discrete_sweep() or isinstance(override.value(), RangeSweep):
            raise UserError(f"{line}: {key} takes some of {', '.join(options(key))}")
        for choice in override.value().list:
            _check_choice(f"{key}={choice}", key, choice, options)


def _check_multirun(line: str, key: str, multirun: bool, group: bool) -> None:
    """Several values are several runs; or else one list, or one text, where the key takes such."""
    if multirun:
        return
    value, fields = line.partition("=")[2], declarations.fields_of(key)
    is_plain = not re.search(r"[][(){}]", value)
    takes_list = key in COMBINABLE
    takes_text = False
    if not group:
        takes_list = any(field.listed for field in fields)
        takes_text = not fields or any("str" in f.types and "choices" not in f.range for f in fields)
    ways = ["add -m to run each"]
    if is_plain and takes_list:
        ways.append(f"write a list in brackets, {shell_word(f'{key}=[{value}]')}")
    if is_plain and takes_text:
        ways.append(f"if it is one text, {shell_word(f'{key}={quoted(value)}')}")
    decimal = re.fullmatch(r"\d+,\d+", value) and any("float" in field.types for field in fields)
    if decimal and len(ways) == 1:
        ways.append(f"since decimals have a point, {key}={value.replace(',', '.')}")
    raise UserError(f"{line} is several values: {', or '.join(ways)}")


def as_data(word: str) -> str:
    """The words that read a file or folder of data; nothing for what is neither."""
    reader = reader_of(word)
    if not reader and "/" in word and Path(word).is_dir():
        reader = "idx"  # whose four files lie in a folder
    if not reader:
        return ""
    return f"data={reader} {shell_word(f'data.path={word}')}"


def _check_choice(line: str, group: str, value, options: Options) -> None:
    """The value must name a choice of its group, or several where choices combine."""
    some = "one or several" if group in COMBINABLE else "one"
    takes = f"{line}: {group} takes {some} of {', '.join(options(group))}"
    if isinstance(value, list) and group not in COMBINABLE:
        raise UserError(f"{takes}, not a list; to run each, write -m {group}=a,b")
    choices = value if isinstance(value, list) else [value]
    for choice in choices:
        if not isinstance(choice, str) or not choice:
            raise UserError(f"{takes}{hint(line.partition('=')[2], options(group), group)}")
        _check_name(group, choice, options)


def _check_name(group: str, choice: str, options: Options) -> None:
    """`choice` may lie in a folder below its group: experiment=mine/first."""
    names = options(group)
    if choice not in names and group == "data" and (data := as_data(choice)):
        raise UserError(f"unknown data '{choice}': a file or folder is {data}")
    if choice not in names and not plugin_choices.offer(group, choice):
        raise unknown(group, choice, {*names, *plugins.names(group)})


def _plain(override: Override, options: Options, has_default: HasDefault) -> str:
    """The line with `glob(...)` written out, and without a `+` that adds nothing.

    A key's `+` would let Hydra take any key: without it, Hydra refuses one that nnlab does not know. With
    `+`, Hydra would refuse another choice of a group that has one, so `+experiment=...` is `experiment=...`;
    a group without a default, such as one of the user's own, keeps its `+`.
    """
    line, key = override.input_line, override.key_or_group
    if isinstance(override.value(), Glob):
        line = f"{override.get_key_element()}={','.join(override.value().filter(options(key)))}"
    if line.startswith("+") and is_group(override, options) and not has_default(key):
        return line
    return line.lstrip("+")
