"""A sweep's command line as a request: how to search, and the sweep that it goes on with, if any."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from nnlab.commands import continued_sweep, sweep_words
from nnlab.commands.command_keys import CHANGEABLE_ON_RESUME
from nnlab.commands.command_line import CommandLine
from nnlab.commands.command_settings import SweepSettings, recording
from nnlab.commands.passwords import without_passwords
from nnlab.commands.sweep_words import SweepWords
from nnlab.errors import UserError
from nnlab.records.hparams import flat
from nnlab.records.stored_sweep import begun
from nnlab.search.settings import Search
from nnlab.search.storage import Storage


@dataclass(frozen=True)
class SweepRequest:
    """What a sweep's command line asks for."""

    line: CommandLine  # as it began: with the words of the sweep to go on with, or to refine
    words: SweepWords
    settings: dict  # all of them, with the space as text
    search: Search
    resumed: Path | None  # the folder of the sweep to go on with
    about: dict  # of that sweep: its sweep.json
    database: Storage | None  # which keeps the study, if that is not a file in the folder
    may_create: bool  # a study: not in a database that only the folder to go on with names


def read(line: CommandLine) -> SweepRequest:
    """The command line; with `resume=`, that of the sweep to go on with. Raises `UserError`."""
    resumed, about = continued_sweep.value_of("resume", line), {}
    names_storage = continued_sweep.value_of("storage", line) is not None
    refines = continued_sweep.value_of("refine", line) is not None
    if resumed:
        line, words, about = _going_on(line, Path(resumed))
    else:
        words = sweep_words.read(line)
    settings = words.settings()
    if resumed or refines:  # what is searched was said when that sweep began
        words = replace(words, left_out=())
    search = search_of(settings)
    if search.batch == "auto" and "batch" in about:
        search = replace(search, batch=about["batch"])
    SweepSettings(**{field.name: settings[field.name] for field in fields(SweepSettings)})
    recording(settings)
    database = database_of(settings["storage"], line)
    may_create = database is None or names_storage or not resumed
    folder = Path(resumed) if resumed else None
    return SweepRequest(line, words, settings, search, folder, about, database, may_create)


def search_of(settings: dict) -> Search:
    """How to search, of a sweep's settings. Raises `UserError`."""
    return Search.from_config({field.name: settings[field.name] for field in fields(Search)})


def database_of(url: str | None, line: CommandLine) -> Storage | None:
    """The database of `storage=`, as it was typed with its password."""
    return Storage.from_url(url, line.storage) if url else None


def _going_on(line: CommandLine, folder: Path) -> tuple[CommandLine, SweepWords, dict]:
    """The line of the sweep in the folder, its words, and its sweep.json. Raises `UserError`."""
    about, before = begun(folder)
    given = line.keys()
    line = continued_sweep.resumed(line, about)
    before |= {"storage": sweep_words.shown_storage(before)}
    words = sweep_words.read(line)
    recorded = continued_sweep.as_recorded(before, words.settings(), given, CHANGEABLE_ON_RESUME)
    recorded |= continued_sweep.of_searched_choices(about, words, given)
    if recorded:
        line = line.with_overrides([*line.overrides, *recorded.values()])
        words = sweep_words.read(line)
    # nnlab 0.1.0 searched the penalty beside an optimiser's own decay, and its trials must not change.
    if words.trials.decayed_once and not about.get("decayed_once", False):
        words = replace(words, trials=replace(words.trials, decayed_once=False))
    _refuse_another(before, words.settings(), given, recorded)
    shown, _ = without_passwords([str(word) for word in about["words"]])  # 0.1.0 kept passwords too
    return line, words, about | {"words": shown}


def _refuse_another(before: dict, now: dict, given: set[str], recorded: dict) -> None:
    """A sweep goes on with the settings that it began with, but for the number of trials.

    Of no account: settings that were `recorded`, and those that nnlab did not have then.
    """
    old, new = dict(flat(before)), dict(flat(now))
    heads = {"space", *(key.partition(".")[0] for key in given)}
    added = [key for key in new if key not in old and key.partition(".")[0] in heads]
    for key in [*old, *added]:
        is_fixed = key.split(".")[0] not in CHANGEABLE_ON_RESUME and key not in recorded
        if is_fixed and old.get(key) != new.get(key):
            was, wanted = (f"{settings[key]}" if key in settings else "not there" for settings in (old, new))
            raise UserError(
                f"{key} = {wanted}: the sweep to go on with has {was}; of its settings only trials may "
                f"change (another search around its best: refine=FOLDER)"
            )
