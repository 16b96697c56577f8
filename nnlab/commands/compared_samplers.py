"""`nnlab sweep sampler=grid,random,gp`: the same search by several samplers, of as many trials each.

Every sampler has a sweep of its own, in a folder within that of all of them: each can be resumed, and has its
report. At the end come a table and the picture search.png.
"""

from __future__ import annotations

from nnlab.commands import grammar
from nnlab.commands.command_line import CommandLine, by_key, key_of
from nnlab.commands.composing import Composer, open_composer
from nnlab.commands.sweep_request import SweepRequest
from nnlab.errors import UserError

ONE_SWEEP_ONLY = {
    "resume": "goes on with one sweep: name the folder of one of them",
    "storage": "holds sweeps by the names of their folders, and these are named after their samplers",
    "study": "names one sweep",
}


def split(line: CommandLine) -> dict[str, CommandLine]:
    """Sampler -> the command line of its sweep; a line with one sampler is not split, and its name is "".

    Raises `UserError`.
    """
    word = by_key(line.overrides).get("sampler")
    if word is None:
        return {"": line}
    with open_composer(line) as composer:
        (override,) = composer.read([word], allow_several=True, for_search=True)
        if not override.is_sweep_override():
            return {"": line}
        samplers = [str(value) for value in grammar.domain_of(override).values]
        keys = {sampler: _keys_of(sampler, composer) for sampler in samplers}
    for key, why in ONE_SWEEP_ONLY.items():
        if key in line.keys():
            raise UserError(f"{key}= {why}; {word} makes {len(samplers)} sweeps")
    return {sampler: _line_of(line, sampler, keys) for sampler in samplers}


def _keys_of(sampler: str, composer: Composer) -> set[str]:
    return {f"sampler.{key}" for key in composer.compose_groups((f"sampler={sampler}",)).sampler}


def _line_of(line: CommandLine, sampler: str, keys: dict[str, set[str]]) -> CommandLine:
    """The line of one sampler, without the keys that others alone have, and the folder of all."""
    of_others = set().union(*keys.values()) - keys[sampler]
    dropped = {"sampler", "hydra.run.dir", *of_others}
    overrides = [o for o in line.overrides if key_of(o) not in dropped]
    return line.with_overrides([*overrides, f"sampler={sampler}"])


def with_equal_budget(
    lines: dict[str, CommandLine], requests: dict[str, SweepRequest]
) -> dict[str, CommandLine]:
    """The lines with the same number of trials each: as many as a grid among them has cells. Raises
    `UserError` where another number is asked for."""
    for sampler, request in requests.items():
        search = request.search
        count = search.sampler.count(request.definition.trials.space)
        if count is None:  # it draws; or it is a grid without points, which is refused later
            continue
        if search.trials not in ("auto", count):
            raise UserError(
                f"trials = {search.trials}: the {sampler} has {count} cells, and all samplers try as many: "
                f"leave trials out, or lay other points, as sampler.points=5 does"
            )
        return {s: line.with_overrides([*line.overrides, f"trials={count}"]) for s, line in lines.items()}
    return lines
