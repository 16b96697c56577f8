"""`nnlab sweep refine=FOLDER`: a new sweep, on ranges around the best trials of an earlier one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from nnlab.commands import continued_sweep, sweep_words
from nnlab.commands.command_keys import CHANGEABLE_ON_RESUME
from nnlab.commands.command_line import CommandLine
from nnlab.commands.messages import advice_on_stderr
from nnlab.commands.sweep_request import database_of, search_of
from nnlab.commands.sweep_words import SweepWords
from nnlab.records.stored_sweep import begun
from nnlab.records.sweep_folder import SweepFolder
from nnlab.search.ledger import Ledger, check_trials
from nnlab.search.refine import refine_space
from nnlab.search.samplers import Grid
from nnlab.search.settings import Search
from nnlab.search.space import Space


def around_the_best(line: CommandLine) -> CommandLine:
    """The line of a sweep around the best of that in `refine=`. Raises `UserError`."""
    folder = Path(continued_sweep.value_of("refine", line))
    about, before = begun(folder)
    about.pop("count", None)  # how many trials that sweep has says nothing of this one
    other, given = sweep_words.of_folder(about), line.keys()
    # How that sweep was searched need not be how this one is.
    free = CHANGEABLE_ON_RESUME | {field.name for field in fields(Search)}
    recorded = continued_sweep.as_recorded(before, other.settings(), given | {"space"}, free)
    recorded |= continued_sweep.of_searched_choices(about, other, given)
    space = _narrowed(folder, line, about, before["storage"], other)
    line = continued_sweep.refined(line, about, space, set(other.trials.domains))
    return line.with_overrides([*line.overrides, *recorded.values()])


def _narrowed(folder: Path, line: CommandLine, about: dict, url: str | None, other: SweepWords) -> Space:
    """The space of the other sweep, around its best trials."""
    space, signs = other.trials.space, search_of(other.run.settings).signs
    with SweepFolder(folder):  # a ledger mends its journal, in which nobody may write meanwhile
        database = database_of(url, line)
        ledger = Ledger(folder, database, about["study"], about["id"], signs, resumed=True)
        trials = ledger.trials()
        ledger.close()
        check_trials(trials, space, signs)
    sampler = other.run.settings["sampler"]
    is_grid = (continued_sweep.value_of("sampler", line) or sampler["name"]) == "grid"
    now = _grid_points(continued_sweep.value_of("sampler.points", line)) if is_grid else None
    then = _grid_points(sampler.get("points")) if sampler["name"] == "grid" else now
    with advice_on_stderr("sweep"):
        return refine_space(space, trials, signs, is_grid, then, now)


def _grid_points(given) -> int | None:
    """`sampler.points` of a grid; raises `UserError`."""
    return Grid(points=int(given) if str(given).isdigit() else given).points
