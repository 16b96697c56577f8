"""Converts between Hydra's grammar of several values (choice, range, interval, a,b,c) and search domains."""

import re
from decimal import Decimal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException

from nnlab import declarations
from nnlab.commands.hydra_overrides import range_length
from nnlab.commands.quoting import quote_text, to_hydra_spelling
from nnlab.errors import UserError
from nnlab.search.domains import Choice, Domain, Interval, Steps


def domain_of(override: Override) -> Domain:
    """The domain that the override `KEY=VALUES` gives to the key. Raises `UserError`."""
    sweep = override.value()
    try:
        if getattr(sweep, "shuffle", False):
            raise UserError("shuffle changes nothing here: the sampler chooses the order")
        if isinstance(sweep, ChoiceSweep):
            _tags(sweep, ())
            return Choice(tuple(to_python(value) for value in sweep.list))
        if isinstance(sweep, RangeSweep):
            return _range(sweep)
        if isinstance(sweep, IntervalSweep):
            log, points = _tags(sweep, ("log", "points"))
            is_whole = isinstance(sweep.start, int) and isinstance(sweep.end, int)
            if not is_whole and declarations.takes_integer(override.key_or_group):
                suggestion = re.sub(r"(interval\([^()]*\))", r"int(\1)", override.input_line)
                raise UserError(f"{override.key_or_group} takes whole numbers; write {suggestion}")
            return Interval(sweep.start, sweep.end, log, is_whole, points)
    except UserError as e:
        raise UserError(f"{override.input_line}: {e}") from e
    raise UserError(f"{override.input_line}: expected choice(...), range(...), interval(...) or a,b,c")


def to_python(value):
    """A parsed value as plain Python."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [to_python(item) for item in value]
    if isinstance(value, dict):
        return {to_python(key): to_python(item) for key, item in value.items()}
    return value


def override_for(key: str, value) -> str:
    """The override `KEY=VALUE` that sets the key to this value."""
    return f"{key}={_format(value)}"


def search_override(key: str, domain: Domain) -> str:
    """The override `KEY=VALUES` that lets `nnlab sweep` search the key in this domain."""
    if isinstance(domain, Choice):
        return f"{key}={','.join(map(_format, domain.values))}"
    if isinstance(domain, Steps):
        stop = Decimal(str(domain.labels[-1])) + Decimal(str(domain.step))  # a range excludes its end
        return f"{key}=range({domain.start!r},{stop},{domain.step!r})"
    inner = f"interval({domain.low!r},{domain.high!r})"
    if domain.whole:
        inner = f"int({inner})"
    tags = ["log"] * domain.log + [f"points{domain.laid}"] * (domain.laid is not None)
    if tags:
        inner = f"tag({','.join(tags)},{inner})"
    return f"{key}={inner}"


def _range(sweep: RangeSweep) -> Domain:
    """The domain of a range, which excludes its end; tag(log, ...) takes whole numbers in steps of 1."""
    log, _ = _tags(sweep, ("log",))
    count = range_length(sweep)
    if not log:
        return Steps(sweep.start, sweep.step, count)
    if count < 2 or sweep.step != 1 or not isinstance(sweep.start, int):
        raise UserError("tag(log, range(...)) takes two or more whole numbers in steps of 1")
    return Interval(sweep.start, sweep.start + count - 1, True, True)


def _tags(sweep, allowed: tuple[str, ...]) -> tuple[bool, int | None]:
    """From tag(log, points5, ...): whether the domain is logarithmic, and its number of grid points."""
    points = None
    for tag in sorted(sweep.tags):
        count = tag.removeprefix("points")
        if tag.startswith("points") and count.isdigit() and "points" in allowed:
            points = int(count)
        elif tag not in allowed or tag == "points":
            tag_names = {"log": "log", "points": "points5 (or another number)"}
            names = " and ".join(tag_names[name] for name in allowed) or "none here"
            raise UserError(f"unknown tag '{tag}'; allowed: {names}")
    return "log" in sweep.tags, points


def _format(value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(map(_format, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{_format(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return value if _reads_as_itself(value) else quote_text(value)
    return repr(value)


def _reads_as_itself(text: str) -> bool:
    """Whether Hydra parses the unquoted text as that text: not as a number, null, a list, or nothing."""
    try:
        parser = OverridesParser.create()
        single, in_list = (parser.parse_override(f"key={value}") for value in (text, f"[{text}]"))
        is_same = single.value() == text and in_list.value() == [text]
        return text != "" and is_same and to_hydra_spelling(f"key={text}") == f"key={text}"
    except HydraException:
        return False
