"""Parses overrides by Hydra's grammar and refuses those that nnlab does not support.

Hydra accepts much that nnlab would fail on later: `~optimizer`, a list for a group that takes one choice,
settings of Hydra that nnlab never reads. Each is refused here in one sentence.
`options(group)` lists a group's choices; it is empty for any other key.
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
from nnlab.commands.column_types import parse_override
from nnlab.commands.quoting import quote_text, to_hydra_spelling
from nnlab.errors import UserError, unknown
from nnlab.plugins import COMBINABLE
from nnlab.records.files import RECORDING_KEYS
from nnlab.records.text import shell_word
from nnlab.suggestions import dataset_for_file, dataset_for_folder, hint

MAX_RUNS = 5000  # of one -m
MAX_OVERRIDE_LENGTH = 10_000  # characters: Hydra reads slowly
HYDRA_KEYS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir")

# What a run draws and keeps is not swept; `resume` is a folder, whose name may have commas.
UNSWEPT_KEYS = frozenset(RECORDING_KEYS) - {"resume"}

Options = Callable[[str], list[str]]
HasDefault = Callable[[str], bool]


def read(
    lines: list[str], options: Options, multirun: bool, has_default: HasDefault, for_search: bool = False
) -> list[Override]:
    """Parse and check overrides; several values need `multirun` or `for_search`.

    `has_default(group)` says whether the configuration makes a choice for the group, even if it is null.
    Raises `UserError`, and Hydra's `OverrideParseException` for what does not follow its grammar.
    """
    parser = OverridesParser.create()
    parsed = [override for line in lines for override in _parsed(parser, line)]
    for override in parsed:
        _check(override, options, multirun or for_search, for_search)
    return [parse_override(parser, _normalized(override, options, has_default)) for override in parsed]


def _parsed(parser: OverridesParser, line: str) -> list[Override]:
    if len(line) > MAX_OVERRIDE_LENGTH:
        raise UserError(
            f"{line[:40]}... has {len(line):,} characters; allowed are {MAX_OVERRIDE_LENGTH:,}: write "
            f"so much into a configuration file"
        )
    try:
        return [parse_override(parser, to_hydra_spelling(line))]
    except RecursionError as e:
        raise UserError(f"{line[:40]}... has more brackets within brackets than can be read") from e
    except ValueError as e:
        raise UserError(f"{line[:40]}... is a number of more digits than can be read") from e


def is_group(override: Override, options: Options) -> bool:
    """Whether the override picks a choice of a group, not a value."""
    return "." not in override.key_or_group and bool(options(override.key_or_group))


def is_hydra_setting(override: Override) -> bool:
    """Whether it is a setting of Hydra itself."""
    return override.key_or_group == "hydra" or override.is_hydra_override()


def _check(override: Override, options: Options, multirun: bool, for_search: bool) -> None:
    line, key = override.input_line, override.key_or_group
    if override.is_delete():
        raise UserError(f"{line}: nothing can be taken away; give {key} another value")
    if not key or override.package is not None:
        raise UserError(f"{line}: the word before '=' is a group or a key, without '@'")
    if is_hydra_setting(override):
        _check_hydra(line, key)
    elif isinstance(override.value(), Glob):
        _check_glob(override, options, multirun)
    elif override.is_sweep_override() and key.partition(".")[0] in UNSWEPT_KEYS:
        _refuse_several_records(line, key)
    elif override.is_sweep_override() and for_search:
        _check_searched(override, options)
    elif override.is_sweep_override():
        _check_sweep(override, multirun, is_group(override, options))
    elif is_group(override, options):
        _check_choice(line, key, override.value(), options)


def _refuse_several_records(line: str, key: str) -> None:
    """Raise `UserError` for several values of what is recorded: the runs would be the same ones."""
    value = line.partition("=")[2]
    listed = any(field.listed for field in declarations.fields_of(key)) and not re.search(r"[][(){}]", value)
    instead = f"write {shell_word(f'{key}=[{value}]')} for all of them" if listed else "write one value"
    raise UserError(f"{line}: {key} is the same for all runs, since it changes none of them: {instead}")


def _check_hydra(line: str, key: str) -> None:
    if key.startswith(("hydra/launcher", "hydra.launcher")):
        raise UserError(f"{line}: nnlab does not use Hydra launchers; -m trains all runs side by side")
    if key.startswith(("hydra/callbacks", "hydra.callbacks")):
        raise UserError(f"{line}: nnlab never runs Hydra callbacks")
    if key == "hydra.searchpath":
        raise UserError(f"{line}: to add a folder of configurations, use -cd FOLDER")
    if key not in HYDRA_KEYS:
        raise UserError(f"{line}: of Hydra's own settings nnlab uses only {', '.join(HYDRA_KEYS)}")


def refuse_multirun_folders(read: list[Override], instead: str) -> None:
    """Raise `UserError` for `hydra.sweep.*` where there is only one run: it would have no effect."""
    for override in read:
        if override.key_or_group.startswith("hydra.sweep."):
            raise UserError(f"{override.input_line} is a place for the runs of -m: {instead}")


def refuse_two_folders(read: list[Override]) -> None:
    """Raise `UserError` where all runs of -m, which share a folder, are given two."""
    places = [override for override in read if override.key_or_group in ("hydra.run.dir", "hydra.sweep.dir")]
    for several in [override for override in places if override.is_sweep_override()]:
        raise UserError(f"{several.input_line}: all runs of -m share one folder, in which each has its own")
    if len(places) > 1:
        lines = " and ".join(override.input_line for override in places)
        raise UserError(f"{lines} both say where all runs go: leave one of them out")


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
    if not value_count(override):
        raise UserError(f"{line} has no value: range(start,stop,step) ends before stop")
    _check_multirun(line, key, multirun, group)


def value_count(override: Override) -> int:
    """The number of values of an override: of choices or of a range. Raises `UserError`."""
    values = override.value()
    if not override.is_sweep_override():
        return 1
    if not isinstance(values, RangeSweep):
        return len(values.list)
    try:
        return range_length(values)
    except UserError as e:
        raise UserError(f"{override.input_line}: {e}") from e


def check_count(read: list[Override]) -> None:
    """Raise `UserError` for too many runs: they are counted before they are listed."""
    check_runs(prod(map(value_count, read)), " ".join(o.input_line for o in read if o.is_sweep_override()))


def check_runs(runs: int, overrides: str) -> None:
    if runs > MAX_RUNS:
        count = f"{runs:,}" if runs < 10**12 else "more than 10^12"
        raise UserError(
            f"{overrides}: {count} runs; allowed are {MAX_RUNS:,}: take fewer values, or seeds=n for "
            f"several seeds"
        )


def range_length(sweep: RangeSweep) -> int:
    """The number of elements of a range. Raises `UserError` if it is infinite."""
    ends = (sweep.start, sweep.stop, sweep.step)
    if not all(isinstance(x, int) or isinstance(x, float) and isfinite(x) for x in ends):
        raise UserError("a range has three finite numbers, range(start,stop,step)")
    start, stop, step = (Decimal(str(x)) for x in ends)
    if step == 0:
        raise UserError("a range in steps of 0 has no end")
    return max(0, ceil((stop - start) / step))


def _check_searched(override: Override, options: Options) -> None:
    """Check the choices of a searched group; the values of a searched key are checked by its domain."""
    line, key = override.input_line, override.key_or_group
    if is_group(override, options):
        if not override.is_discrete_sweep() or isinstance(override.value(), RangeSweep):
            raise UserError(f"{line}: {key} takes some of {', '.join(options(key))}")
        for choice in override.value().list:
            _check_choice(f"{key}={choice}", key, choice, options)


def _check_multirun(line: str, key: str, multirun: bool, group: bool) -> None:
    """Raise `UserError` for several values without -m, and suggest what may have been meant."""
    if multirun:
        return
    value, fields = line.partition("=")[2], declarations.fields_of(key)
    is_plain = not re.search(r"[][(){}]", value)
    takes_list = key in COMBINABLE
    takes_text = False
    if not group:
        takes_list = any(field.listed for field in fields)
        takes_text = not fields or any("str" in f.types and "choices" not in f.range for f in fields)
    suggestions = ["add -m to run each"]
    if is_plain and takes_list:
        suggestions.append(f"write a list in brackets, {shell_word(f'{key}=[{value}]')}")
    if is_plain and takes_text:
        suggestions.append(f"if it is one text, {shell_word(f'{key}={quote_text(value)}')}")
    decimal = re.fullmatch(r"\d+,\d+", value) and any("float" in field.types for field in fields)
    if decimal and len(suggestions) == 1:
        suggestions.append(f"since decimals have a point, {key}={value.replace(',', '.')}")
    raise UserError(f"{line} is several values: {', or '.join(suggestions)}")


def data_overrides(word: str) -> str:
    """The overrides that load this data file or folder; "" if it is neither."""
    reader = dataset_for_file(word)
    if not reader and Path(word).is_dir():
        reader = dataset_for_folder(word) or ("idx" if "/" in word else "")
    if not reader:
        return ""
    return f"data={reader} {shell_word(f'data.path={word}')}"


def _check_choice(line: str, group: str, value, options: Options) -> None:
    """Raise `UserError` unless the value names a choice of its group, or several where choices combine."""
    how_many = "one or several" if group in COMBINABLE else "one"
    expectation = f"{line}: {group} takes {how_many} of {', '.join(options(group))}"
    if isinstance(value, list) and group not in COMBINABLE:
        raise UserError(f"{expectation}, not a list; to run each, write -m {group}=a,b")
    choices = value if isinstance(value, list) else [value]
    for choice in choices:
        if not isinstance(choice, str) or not choice:
            raise UserError(f"{expectation}{hint(line.partition('=')[2], options(group), group)}")
        _check_name(group, choice, options)


def _check_name(group: str, choice: str, options: Options) -> None:
    """Raise `UserError` for an unknown choice; it may lie in a subfolder: experiment=mine/first."""
    names = options(group)
    if choice not in names and group == "data" and (data := data_overrides(choice)):
        raise UserError(f"unknown data '{choice}': a file or folder is {data}")
    if choice not in names and group == "model" and choice.lower().endswith((".yaml", ".yml")):
        written = shell_word(f"model.file={choice}")
        raise UserError(f"unknown model '{choice}': a file of boxes is model=graph {written}")
    if choice not in names and not plugin_choices.offer(group, choice):
        raise unknown(group, choice, {*names, *plugins.names(group)})


def _normalized(override: Override, options: Options, has_default: HasDefault) -> str:
    """The override with `glob(...)` expanded, and without a superfluous `+`.

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
