"""`nnlab sweep`: a search over settings, its trials trained as stacks; the winner in a run folder."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from nnlab.commands import continued_sweep, hydra_entry, train, variants
from nnlab.errors import UserError
from nnlab.search.storage import Storage, masked

OWN = (*train.OWN, *variants.OWN)  # settings of this command, of which an experiment knows nothing
MAY_DIFFER = {"trials", "resume", "refine", "plan", "report"}  # settings that a sweep may go on with changed
OF_SEARCH = ("trials", "sampler", "pruner", "objective", "direction", "batch", "rows", "distinct")


def main(argv: list[str]) -> int:
    return hydra_entry.guarded("sweep", argv, act, seen)


def seen(args: Namespace) -> Namespace:
    """The command line without what is searched, for --cfg and --help."""
    continued_sweep.quote_folders(args)
    return variants.fixed_words(args)


@dataclass
class Asked:
    """A sweep's command line, read."""

    variants: variants.Variants
    settings: dict  # all of them, with the space as text
    search: object  # nnlab.search.settings.Search
    resumed: Path | None
    about: dict  # of a sweep to go on with: its sweep.json
    database: Storage | None  # which keeps the study, if that is not a file in the folder
    may_create: bool  # a study: not in a database that only the folder to go on with names


def act(args: Namespace) -> int:
    """Search; 1 if no trial was trained to its end."""
    from nnlab.records.report import Artist

    continued_sweep.quote_folders(args)
    with ExitStack() as until_the_end:
        until_the_end.enter_context(hydra_entry.advice("sweep"))
        with hydra_entry.one_sentence():
            asked = read(args)
        settings, artist = asked.settings, None
        if settings["report"] and not settings["plan"]:  # it imports plotly while this process imports torch
            artist = until_the_end.enter_context(Artist())
        sweep, plan = prepared(asked)
        hydra_entry.advise("sweep", asked.variants.notes())
        hydra_entry.imported()
        from nnlab.commands.running import Running

        running = Running(sweep, asked, args, artist, plan)
        if not settings["plan"]:
            return running.run()
        return show_plan(asked, sweep, running.plan_of_rest() if asked.resumed else plan)


def read(args: Namespace) -> Asked:
    """The command line; with `resume=`, that of the sweep to go on with. Raises `UserError`."""
    from nnlab.records.sweep_folder import begun
    from nnlab.search.settings import Search

    resumed, about = continued_sweep.value_of("resume", args), {}
    named_here = not resumed or continued_sweep.value_of("storage", args) is not None
    refines = refine_first(args)
    if resumed:
        about, before = begun(Path(resumed))
        given = {*continued_sweep.last(args.overrides)}
        continued_sweep.go_on(args, about)
    found = variants.read(args)
    if resumed:
        before |= {"storage": _masked(before["storage"])}
        recorded = continued_sweep.as_recorded(before, _settings(found), given, MAY_DIFFER)
        recorded |= continued_sweep.of_searched_choices(about, found, given)
        if recorded:
            args.overrides += recorded.values()
            found = variants.read(args)
        found.decayed_once &= about.get("decayed_once", False)  # not so in nnlab 0.1.0
        _refuse_another(before, _settings(found), given, recorded)
    settings = _settings(found)
    if resumed or refines:  # what is searched was said when that sweep began
        found.left_out = ()
    search = Search.from_config({key: settings[key] for key in OF_SEARCH})
    if search.batch == "auto" and "batch" in about:
        search = replace(search, batch=about["batch"])
    _check_own(settings)
    database = _database(settings["storage"], args.storage)
    may_create = database is None or named_here
    return Asked(found, settings, search, Path(resumed) if resumed else None, about, database, may_create)


def _masked(url):
    return masked(url) if isinstance(url, str) else url


def _database(url: str | None, typed: str | None) -> Storage | None:
    """The database of `storage=`, as it was `typed` with its password."""
    return Storage.of(url, typed) if url else None


def _settings(found: variants.Variants) -> dict:
    """All settings, with the space as text."""
    settings = found.cell.settings
    return settings | {"space": found.texts, "storage": _masked(settings["storage"])}


def _refuse_another(before: dict, now: dict, given: set[str], recorded: dict) -> None:
    """A sweep goes on with the settings that it began with, but for the number of trials.

    Of no account: settings that were `recorded`, and those that nnlab did not have then.
    """
    from nnlab.records.hparams import flat

    old, new = dict(flat(before)), dict(flat(now))
    heads = {"space", *(key.partition(".")[0] for key in given)}
    for key in [*old, *(key for key in new if key not in old and key.partition(".")[0] in heads)]:
        if key.split(".")[0] not in MAY_DIFFER and key not in recorded and old.get(key) != new.get(key):
            was, is_ = (f"{s[key]}" if key in s else "not there" for s in (old, new))
            raise UserError(
                f"{key} = {is_}: the sweep to go on with has {was}; of its settings only trials may change "
                f"(another search around its best: refine=FOLDER)"
            )


def _check_own(settings: dict) -> None:
    from dataclasses import fields

    from nnlab.commands.command_keys import OfSweep

    OfSweep(**{f.name: settings[f.name] for f in fields(OfSweep)})
    train.wants_picture(settings, rows=1)


def prepared(asked: Asked):
    """The sweep, not begun, its data loaded and its space checked from end to end; and its plan.

    Raises `UserError`.
    """
    from nnlab.experiment import Experiment
    from nnlab.runtime.devices import device
    from nnlab.search.storage import available
    from nnlab.search.study import RULES
    from nnlab.search.sweep import Sweep
    from nnlab.training.memory import refuse_too_large

    if not asked.variants.space.domains:
        raise UserError(
            "nothing to search: give a key several values, 'optimizer.lr=tag(log,interval(1e-4,1e-1))', or "
            "take a space, space=default"
        )

    def experiment_of(values: dict) -> Experiment:
        settings = asked.variants.of_values(values)
        train.wants_picture(settings, rows=1)  # the winner's own run would refuse it, at the end
        return Experiment.from_config(train.of_experiment(settings))

    rules = asked.about.get("rules", 1) if asked.resumed else RULES
    if rules > RULES:
        raise UserError(f"'{asked.resumed}' was begun by a newer nnlab: go on with it by that one")
    sweep = Sweep(asked.variants.space, asked.search, experiment_of, rules=rules)
    if "data" in asked.about and asked.about["data"] != sweep.cache.fingerprints():
        raise UserError(
            f"the data are not those that the sweep in '{asked.resumed}' began with: the same file, and the "
            f"same working directory if its path is relative"
        )
    plan = sweep.plan()
    batch, instead = f"a batch of {plan.batch} trials", "set a smaller batch=, rows= or model"
    refuse_too_large(plan.memory, batch, instead, device(sweep.first.experiment.device))
    if asked.database and not asked.settings["plan"]:
        name = asked.settings["study"]
        new = asked.resumed is None and name != "auto"
        available(asked.database, name if new else None, existing=not asked.may_create)
    return sweep, plan


def refine_first(args: Namespace) -> bool:
    """With `refine=`: this command line becomes that of the sweep to refine, on ranges around its best."""
    from nnlab.records.sweep_folder import SweepFolder, begun
    from nnlab.search.ledger import Ledger, check
    from nnlab.search.refine import refined
    from nnlab.search.settings import Search

    folder = continued_sweep.value_of("refine", args)
    if folder is None:
        return False
    about, before = begun(Path(folder))
    about.pop("count", None)  # how many that sweep has says nothing of this one
    other = variants.of_folder(about)
    given = {*continued_sweep.last(args.overrides)}
    recorded = continued_sweep.as_recorded(
        before, _settings(other), given | {"space"}, MAY_DIFFER | {*OF_SEARCH}
    )
    recorded |= continued_sweep.of_searched_choices(about, other, given)
    signs = Search.from_config({key: other.cell.settings[key] for key in OF_SEARCH}).signs
    with SweepFolder(Path(folder)):  # a ledger mends its journal, in which nobody may write meanwhile
        database = _database(before["storage"], args.storage)
        ledger = Ledger(Path(folder), database, about["study"], about["id"], signs, resumed=True)
        trials = ledger.trials()
        ledger.close()
        check(trials, other.space, signs)
    sampler = other.cell.settings["sampler"]
    grid = (continued_sweep.value_of("sampler", args) or sampler["name"]) == "grid"
    now = _points(continued_sweep.value_of("sampler.points", args)) if grid else None
    before = _points(sampler.get("points")) if sampler["name"] == "grid" else now
    with hydra_entry.advice("sweep"):
        narrowed = refined(other.space, trials, signs, grid, before, now)
    continued_sweep.search_around(args, about, narrowed, set(other.space.domains))
    args.overrides += recorded.values()
    return True


def _points(given) -> int | None:
    """`sampler.points` of a grid; raises `UserError`."""
    from nnlab.search.samplers import Grid

    return Grid(points=int(given) if str(given).isdigit() else given).points


def show_plan(asked: Asked, sweep, plan) -> int:
    from nnlab.commands.running import space_lines, sweep_title
    from nnlab.records.sweep_console import plan_lines
    from nnlab.records.terminal import Terminal

    for line in [sweep_title(sweep), *space_lines(sweep, asked.variants.left_out), *plan_lines(plan)]:
        Terminal().line(line)
    return 0
