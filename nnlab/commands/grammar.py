"""Hydra's grammar of several values, as domains of a search: choice, range, interval, tag, a,b,c."""

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
from nnlab.commands.overrides import length
from nnlab.commands.quoting import as_hydra_reads, quoted
from nnlab.errors import UserError
from nnlab.search.domains import Choice, Domain, Interval, Steps


def domain(override: Override) -> Domain:
    """What the word `KEY=VALUES` lets the key be. Raises `UserError`."""
    sweep = override.value()
    try:
        if getattr(sweep, "shuffle", False):
            raise UserError("shuffle changes nothing here: the sampler chooses the order")
        if isinstance(sweep, ChoiceSweep):
            _tags(sweep, ())
            return Choice(tuple(plain(value) for value in sweep.list))
        if isinstance(sweep, RangeSweep):
            return _range(sweep)
        if isinstance(sweep, IntervalSweep):
            log, points = _tags(sweep, ("log", "points"))
            whole = isinstance(sweep.start, int) and isinstance(sweep.end, int)
            if not whole and declarations.takes_whole(override.key_or_group):
                meant = re.sub(r"(interval\([^()]*\))", r"int(\1)", override.input_line)
                raise UserError(f"{override.key_or_group} takes whole numbers; write {meant}")
            return Interval(sweep.start, sweep.end, log, whole, points)
    except UserError as e:
        raise UserError(f"{override.input_line}: {e}") from e
    raise UserError(f"{override.input_line}: expected choice(...), range(...), interval(...) or a,b,c")


def plain(value):
    """A value of the grammar as plain Python."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return value


def word(key: str, value) -> str:
    """`KEY=VALUE` as the command line has it: the line that sets the key to this value."""
    return f"{key}={_written(value)}"


def searched(key: str, domain: Domain) -> str:
    """`KEY=VALUES`: the word that lets the key be what the domain says."""
    if isinstance(domain, Choice):
        return f"{key}={','.join(map(_written, domain.values))}"
    if isinstance(domain, Steps):
        stop = Decimal(str(domain.labels[-1])) + Decimal(str(domain.step))  # a range is without its end
        return f"{key}=range({domain.start!r},{stop},{domain.step!r})"
    inner = f"interval({domain.low!r},{domain.high!r})"
    if domain.whole:
        inner = f"int({inner})"
    tags = ["log"] * domain.log + [f"points{domain.laid}"] * (domain.laid is not None)
    if tags:
        inner = f"tag({','.join(tags)},{inner})"
    return f"{key}={inner}"


def _range(sweep: RangeSweep) -> Domain:
    """As in Python and in Hydra, without its end; with tag(log, ...) of whole numbers in steps of 1."""
    log, _ = _tags(sweep, ("log",))
    count = length(sweep)
    if not log:
        return Steps(sweep.start, sweep.step, count)
    if count < 2 or sweep.step != 1 or not isinstance(sweep.start, int):
        raise UserError("tag(log, range(...)) takes two or more whole numbers in steps of 1")
    return Interval(sweep.start, sweep.start + count - 1, True, True)


def _tags(sweep, allowed: tuple[str, ...]) -> tuple[bool, int | None]:
    """Whether it is logarithmic, and its number of points, of tag(log, points5, ...)."""
    points = None
    for tag in sorted(sweep.tags):
        count = tag.removeprefix("points")
        if tag.startswith("points") and count.isdigit() and "points" in allowed:
            points = int(count)
        elif tag not in allowed or tag == "points":
            known = {"log": "log", "points": "points5 (or another number)"}
            names = " and ".join(known[name] for name in allowed) or "none here"
            raise UserError(f"unknown tag '{tag}'; allowed: {names}")
    return "log" in sweep.tags, points


def _written(value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return value if _is_plain_word(value) else quoted(value)
    return repr(value)


def _is_plain_word(text: str) -> bool:
    """Whether Hydra reads the word as itself, and not as nothing, a number, null, or a list."""
    try:
        parser = OverridesParser.create()
        alone, listed = (parser.parse_override(f"key={words}") for words in (text, f"[{text}]"))
        is_itself = alone.value() == text and listed.value() == [text]
        return text != "" and is_itself and as_hydra_reads(f"key={text}") == f"key={text}"
    except HydraException:
        return False
