"""`nnlab train`: one experiment, over seeds and folds if asked, into a run folder; with -m, several."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from nnlab.commands import early_end, hydra_entry
from nnlab.records.files import OF_RECORDING

MOST_FILES, SPARE_FILES = 8192, 100  # open files that runs may share, and that others need
OWN = OF_RECORDING  # settings of this command, of which an experiment knows nothing


def main(argv: list[str]) -> int:
    return hydra_entry.run("train", argv, partial(prepare, shared={}), execute, execute_together)


def prepare(settings: dict, shared: dict | None = None):
    """The fit that the settings describe, its data loaded and split; raises `UserError`.

    The runs of `-m` load their data once: their cache is in `shared`.
    """
    from nnlab.experiment import Experiment
    from nnlab.runtime.devices import device
    from nnlab.training.data_cache import DataCache
    from nnlab.training.fit import Fit
    from nnlab.training.memory import needed, refuse_too_large

    wants_picture(settings, rows=1)
    cache = ({} if shared is None else shared).setdefault("cache", DataCache())
    experiment = Experiment.from_config(of_experiment(settings))
    fit = Fit([experiment], cache)
    experiment.schedule.advise(experiment.epochs)
    count, where = needed(fit.stacks(), fit.datasets, fit.processes), device(fit.experiments[0].device)
    refuse_too_large(count, "this run", "take a smaller model, batch_size or data", where)
    return fit


def of_experiment(settings: dict) -> dict:
    """The settings without those that are this command's own."""
    return {key: value for key, value in settings.items() if key not in OWN}


def wants_picture(settings: dict, rows: int) -> bool:
    """Whether to draw the curves: as asked, else where there are several rows. Raises `UserError`."""
    from nnlab.commands.command_keys import OfTrain

    asked = OfTrain(settings.get("picture", "auto")).picture
    return rows > 1 if asked == "auto" else asked


def execute(fit, folder: Path, settings: dict, command: str) -> int:
    """Train it and record it; 1 if every row diverged."""
    from nnlab.checks.proposal import Course, lower_rate, proposal
    from nnlab.records.console import Console
    from nnlab.records.formula import lines
    from nnlab.records.run import Run

    course, runs = Course(len(fit.rows)), []
    with early_end.naming(lambda: early_end.kept_of(runs, [folder])), ExitStack() as until_the_end:
        run = until_the_end.enter_context(Run(order(fit, folder, settings, command), fit))
        runs.append(run)
        with Console(
            run.title, len(fit.rows), run.experiment.epochs, run.task, validates=_validates(fit),
            together=_together(fit),
        ) as console:  # fmt: skip

            def read(record) -> None:
                run.record(record)
                console.record(record)
                if not record.refit:
                    course.record(record)

            early_end.train(fit, [run], read)
            summary = run.close()
            learnt = lines(run.equation, folder, len(fit.rows) > 1) if run.equation else []
            console.close(summary, folder, learnt)
            outcome = course.outcome(_chance(run), lower_rate(run.experiment.optimizer))
            console.note(proposal(outcome, command))
    return int(summary["rows"]["diverged"] == len(fit.rows))


def _together(fit) -> bool:
    """Whether all stacks train at the same time."""
    return len(fit.stacks()) <= fit.processes


def _compared_by(runs: list, validates: bool) -> str:
    """The metric that runs in training are compared by: none, if they train on different data."""
    kind = "val" if validates else "train"
    if len({run.about["data"] for run in runs}) > 1:
        return ""
    return f"{kind}_loss" if len({run.about["loss_is"] for run in runs}) == 1 else f"{kind}_error"


def _validates(fit) -> bool:
    """Whether some run has validation sets."""
    return any(e.split.validates for e in fit.experiments)


def _chance(run):
    """What chance gives on the run's validation sets, or on its training examples without any."""
    from nnlab.checks import chance_level

    dataset = run.fit.datasets[run.experiment.data]
    return chance_level.of(dataset, [row.fold for row in run.rows], run.experiment.loss_for(dataset.spec))


def order(fit, folder: Path, settings: dict, command: str):
    """Where a run goes, the first of a fit, and what is written beside its numbers."""
    from nnlab.records.run import Order

    picture = wants_picture(settings, rows=int((fit.owner == 0).sum()))
    return Order(folder, settings, of_experiment(settings), command, picture)


def _orders_beside(orders: list) -> list:
    """The same, each with the hyperparameters of all and what tells it from the others."""
    from nnlab.records.hparams import beside

    hparams, differ = beside([one.hparams for one in orders])
    return [replace(one, hparams=own, differ=differ) for one, own in zip(orders, hparams, strict=True)]


def execute_together(runs: dict[str, hydra_entry.Ready]) -> int:
    """Train the runs of `-m` as rows of the same stacks, each into its folder; then compare them.

    A run's files are complete as soon as its rows have ended. 1 if every row of some run diverged.
    """
    from nnlab.records import runs_table

    every, codes = list(runs), []
    while every:
        count = _at_once([runs[name].prepared for name in every])
        codes.append(_train_together({name: runs[name] for name in every[:count]}))
        every = every[count:]
    said = _doubts([ready.prepared for ready in runs.values()])
    runs_table.compare({name: ready.folder for name, ready in runs.items()}, said)
    return max(codes)


def _doubts(fits: list) -> list[str]:
    """What to say of the order of these fits' runs, those on each data set by themselves."""
    from nnlab.records.run import about
    from nnlab.search.rankable import doubtful

    by_data = {}
    for fit in fits:
        e = fit.experiments[0]
        by_data.setdefault(about(e, fit.datasets[e.data].spec)["data"], []).append(e)
    said = (doubtful(experiments, fits[0].cache) for experiments in by_data.values())
    return [sentence for sentence in said if sentence]


def _at_once(fits: list) -> int:
    """How many of these may be open at once: each has a few files, one for each of its first rows."""
    from itertools import accumulate

    from nnlab.records.tensorboard import ROW_FOLDERS

    try:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    except (ImportError, ValueError, OSError):
        soft = 256
    files = accumulate(2 + min(len(fit.rows), ROW_FOLDERS) for fit in fits)
    return max(1, sum(count <= min(soft, MOST_FILES) - SPARE_FILES for count in files))


def _train_together(together: dict[str, hydra_entry.Ready]) -> int:
    """1 if every row of some run diverged."""
    from nnlab.checks.proposal import Course, lower_rate, proposal_of_several
    from nnlab.records.console import Beside, Console
    from nnlab.records.run import Run
    from nnlab.records.runs_table import BRIEF, brief
    from nnlab.records.text_columns import shortened
    from nnlab.training.fit import Fit

    names = tuple(shortened(name, BRIEF) for name in brief(list(together)))
    runs = list(together.values())
    fits = [ready.prepared for ready in runs]
    fit = Fit([f.experiments[0] for f in fits], fits[0].cache)
    summaries = {}
    each, folders = [], [ready.folder for ready in runs]
    with early_end.naming(lambda: early_end.kept_of(each, folders)), ExitStack() as open_runs:
        orders = _orders_beside(
            [order(f, r.folder, r.settings, r.command) for f, r in zip(fits, runs, strict=True)]
        )
        for place, one in enumerate(orders):
            each.append(open_runs.enter_context(Run(one, fit, place)))
        courses = [Course(len(run.rows)) for run in each]
        stacks = len(fit.stacks())
        title = f"{len(each)} runs: {len(fit.rows)} rows in {stacks} stack{'s' * (stacks > 1)}"
        epochs = max(e.epochs for e in fit.experiments)
        metric = "" if _doubts(fits) else _compared_by(each, _validates(fit))
        beside = Beside(names, fit.owner, metric)
        with Console(title, len(fit.rows), epochs, each[0].task, beside=beside) as console:

            def read(record) -> None:
                console.record(record)
                for place, (run, course) in enumerate(zip(each, courses, strict=True)):
                    if place not in summaries:
                        own = run.record(record)
                        if own and not own.refit:
                            course.record(own)
                        if record.ended and run.over:
                            summaries[place] = run.close()

            early_end.train(fit, each, read)
        for place, run in enumerate(each):
            if place not in summaries:
                summaries[place] = run.close()
        found = zip(runs, each, courses, strict=True)
        outcomes = {
            ready.command: course.outcome(_chance(run), lower_rate(run.experiment.optimizer))
            for ready, run, course in found
        }
        console.note(proposal_of_several(outcomes))
    return int(any(s["rows"]["diverged"] == s["rows"]["total"] for s in summaries.values()))
