"""`nnlab sweep refine=FOLDER`: a new sweep on narrower ranges, around the best trials of an earlier one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from nnlab.commands import continued_sweep, sweep_definition
from nnlab.commands.command_keys import CHANGEABLE_ON_RESUME
from nnlab.commands.command_line import CommandLine
from nnlab.commands.messages import advice_on_stderr
from nnlab.commands.sweep_definition import SweepDefinition
from nnlab.commands.sweep_request import database_from, search_from
from nnlab.records.stored_sweep import read_sweep
from nnlab.records.sweep_folder import SweepFolder
from nnlab.search.ledger import Ledger, check_trials
from nnlab.search.refine import refine_space
from nnlab.search.samplers import Grid
from nnlab.search.settings import Search
from nnlab.search.space import Space
from nnlab.search.trial import Trial


def refined_command_line(line: CommandLine) -> CommandLine:
    """The command line of the sweep that refines the one in `refine=`. Raises `UserError`."""
    folder = Path(continued_sweep.typed_value("refine", line))
    sweep_json, stored_settings = read_sweep(folder)
    sweep_json.pop("count", None)  # the number of trials is not inherited
    definition, given_keys = sweep_definition.read_stored(sweep_json), line.keys()
    # The new sweep may search in another way: sampler, pruner and the like are not pinned.
    changeable = CHANGEABLE_ON_RESUME | {field.name for field in fields(Search)}
    settings, given_or_space = definition.settings(), given_keys | {"space"}
    pinned = continued_sweep.pinned_settings(stored_settings, settings, given_or_space, changeable)
    pinned |= continued_sweep.pinned_choice_settings(sweep_json, definition, given_keys)
    space = _narrowed_space(folder, line, sweep_json, stored_settings["storage"], definition)
    line = continued_sweep.refined_line(line, sweep_json, space, set(definition.trials.domains))
    return line.with_overrides([*line.overrides, *pinned.values()])


def _narrowed_space(
    folder: Path, line: CommandLine, sweep_json: dict, url: str | None, definition: SweepDefinition
) -> Space:
    """The space of the earlier sweep, narrowed around its best trials."""
    space, settings = definition.trials.space, definition.run.settings
    signs = search_from(settings).for_metric(settings["metric"]).signs
    trials = _trials(folder, line, sweep_json, url, space, signs)
    sampler = definition.run.settings["sampler"]
    is_grid = (continued_sweep.typed_value("sampler", line) or sampler["name"]) == "grid"
    points = _grid_points(continued_sweep.typed_value("sampler.points", line)) if is_grid else None
    earlier_points = _grid_points(sampler.get("points")) if sampler["name"] == "grid" else points
    with advice_on_stderr("sweep"):
        return refine_space(space, trials, signs, is_grid, earlier_points, points)


def _trials(
    folder: Path, line: CommandLine, sweep_json: dict, url: str | None, space: Space, signs: tuple[int, ...]
) -> list[Trial]:
    """The trials of the earlier sweep. Raises `UserError`."""
    with SweepFolder(folder):  # locks it: opening a ledger may repair its journal
        database = database_from(url, line)
        ledger = Ledger(folder, database, sweep_json["study"], sweep_json["id"], signs, resumed=True)
        trials = ledger.trials()
        ledger.close()
        check_trials(trials, space, signs)
        return trials


def earlier_search(line: CommandLine) -> tuple[Space, list[Trial], Search]:
    """The space, the trials and the settings of the sweep in `refine=`. Raises `UserError`."""
    folder = Path(continued_sweep.typed_value("refine", line))
    sweep_json, stored_settings = read_sweep(folder)
    definition = sweep_definition.read_stored(sweep_json)
    settings = definition.run.settings
    search, space = search_from(settings).for_metric(settings["metric"]), definition.trials.space
    return space, _trials(folder, line, sweep_json, stored_settings["storage"], space, search.signs), search


def _grid_points(value) -> int | None:
    """`sampler.points` of a grid; raises `UserError`."""
    return Grid(points=int(value) if str(value).isdigit() else value).points
