"""Reads the command line of `nnlab sweep` into a `SweepRequest`; resume= adds stored overrides."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from nnlab.commands import continued_sweep, graph_file, sweep_definition
from nnlab.commands.command_keys import CHANGEABLE_ON_RESUME
from nnlab.commands.command_line import CommandLine
from nnlab.commands.command_settings import SweepSettings, recording
from nnlab.commands.passwords import without_passwords
from nnlab.commands.sweep_definition import SweepDefinition
from nnlab.errors import UserError
from nnlab.records.hparams import flatten
from nnlab.records.stored_sweep import read_sweep
from nnlab.search.settings import Search
from nnlab.search.storage import Storage


@dataclass(frozen=True)
class SweepRequest:
    """What a sweep's command line asks for."""

    line: CommandLine  # with the overrides of the sweep to resume or to refine
    definition: SweepDefinition
    settings: dict  # all of them, with the space as text
    search: Search
    resume_folder: Path | None  # of the sweep to resume
    sweep_json: dict  # contents of the sweep.json of the sweep to resume, else {}
    database: Storage | None  # that holds the study; None if that is a file in the folder
    may_create: bool  # whether a missing study may be created: not in a database that only sweep.json names


def read(line: CommandLine) -> SweepRequest:
    """The request of this command line, or with `resume=` of the stored sweep's. Raises `UserError`."""
    folder_text, sweep_json = continued_sweep.typed_value("resume", line), {}
    names_storage = continued_sweep.typed_value("storage", line) is not None
    refines = continued_sweep.typed_value("refine", line) is not None
    if folder_text:
        line, definition, sweep_json = _read_resumed(line, Path(folder_text))
    else:
        definition = sweep_definition.read(line)
    settings = definition.settings()
    if folder_text or refines:  # the user has seen them when that sweep began
        definition = replace(definition, left_out=())
    search = search_from(settings)
    if search.batch == "auto" and "batch" in sweep_json:
        search = replace(search, batch=sweep_json["batch"])
    SweepSettings(**{field.name: settings[field.name] for field in fields(SweepSettings)})
    recording(settings)
    database = database_from(settings["storage"], line)
    may_create = database is None or names_storage or not folder_text
    folder = Path(folder_text) if folder_text else None
    return SweepRequest(line, definition, settings, search, folder, sweep_json, database, may_create)


def search_from(settings: dict) -> Search:
    """The `Search` that a sweep's settings describe. Raises `UserError`."""
    return Search.from_config({field.name: settings[field.name] for field in fields(Search)})


def database_from(url: str | None, line: CommandLine) -> Storage | None:
    """The database of `storage=`, with the password that was typed."""
    return Storage.from_url(url, line.storage) if url else None


def _read_resumed(line: CommandLine, folder: Path) -> tuple[CommandLine, SweepDefinition, dict]:
    """The command line, definition and sweep.json of the sweep to resume. Raises `UserError`."""
    sweep_json, stored_settings = read_sweep(folder)
    given_keys = line.keys()
    line = continued_sweep.resumed_line(line, sweep_json)
    graph_file.use_stored(sweep_json.get("graph_files", {}))
    stored_settings |= {"storage": sweep_definition.masked_storage(stored_settings)}
    definition = sweep_definition.read(line)
    settings = definition.settings()
    pinned = continued_sweep.pinned_settings(stored_settings, settings, given_keys, CHANGEABLE_ON_RESUME)
    pinned |= continued_sweep.pinned_choice_settings(sweep_json, definition, given_keys)
    if pinned:
        line = line.with_overrides([*line.overrides, *pinned.values()])
        definition = sweep_definition.read(line)
    # nnlab 0.1.0 searched regularizer.l2 as well as an optimiser's own decay, and its trials must not change.
    if definition.trials.decayed_once and not sweep_json.get("decayed_once", False):
        definition = replace(definition, trials=replace(definition.trials, decayed_once=False))
    _refuse_changed_settings(stored_settings, definition.settings(), given_keys, pinned)
    shown, _ = without_passwords([str(word) for word in sweep_json["words"]])  # 0.1.0 kept passwords too
    return line, definition, sweep_json | {"words": shown}


def _refuse_changed_settings(
    stored_settings: dict, current_settings: dict, given_keys: set[str], pinned: dict
) -> None:
    """Raise `UserError` if the settings of a resumed sweep have changed, except for the number of trials.

    Settings that are `pinned`, and those that nnlab did not have then, are not compared.
    """
    old, new = dict(flatten(stored_settings)), dict(flatten(current_settings))
    groups = {"space", *(key.partition(".")[0] for key in given_keys)}
    new_keys = [key for key in new if key not in old and key.partition(".")[0] in groups]
    for key in [*old, *new_keys]:
        is_fixed = key.split(".")[0] not in CHANGEABLE_ON_RESUME and key not in pinned
        if is_fixed and old.get(key) != new.get(key):
            old_value, new_value = (str(flat_settings.get(key, "not there")) for flat_settings in (old, new))
            raise UserError(
                f"{key} = {new_value}: the sweep to go on with has {old_value}; of its settings only trials "
                f"may change (another search around its best: refine=FOLDER)"
            )
