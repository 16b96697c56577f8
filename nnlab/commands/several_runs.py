"""Screen output of several runs that train together (`-m`): their progress, and a comparison at the end."""

from __future__ import annotations

from nnlab.checks.proposal import propose_check_for_runs
from nnlab.commands.messages import print_advice
from nnlab.commands.recorders import Recorders
from nnlab.commands.run_folders import PreparedRun
from nnlab.experiment import Experiment
from nnlab.metrics import METRICS, recorded_name
from nnlab.records import comparison_table
from nnlab.records.console import Console, ParallelRuns
from nnlab.records.rate_text import idle_note
from nnlab.records.run import RunWriter
from nnlab.records.run_summaries import BRIEF_CHARACTERS, brief_names, kind_of_loss
from nnlab.records.text_columns import elide_middle
from nnlab.records.titles import describe_run
from nnlab.search.comparable import why_not_comparable
from nnlab.training.fit import Fit
from nnlab.training.unbalanced import unbalanced_advice

IDLE_RUNS_NAMED = 3  # of those whose learning rate became too small


def make_console(runs: list[PreparedRun], recorders: Recorders, fit: Fit) -> Console:
    """The screen that shows how many runs have ended, and which is the best so far."""
    names = tuple(elide_middle(name, BRIEF_CHARACTERS) for name in brief_names([run.name for run in runs]))
    stacks = len(fit.stacks())
    counts = {"run": len(runs), "row": len(fit.rows), "stack": stacks}
    counted = {noun: f"{count} {noun}{'s' * (count != 1)}" for noun, count in counts.items()}
    title = f"{counted['run']}: {counted['row']} in {counted['stack']}"
    metric = ""
    if not _ranking_caveats(runs):
        metric = _comparable_metric(recorders.writers)
    epochs, task = max(experiment.epochs for experiment in fit.experiments), recorders.writers[0].task
    parallel = ParallelRuns(names, fit.experiment_of_row, metric)
    measured = metric if metric.removeprefix("val_") in METRICS else ""
    return Console(title, len(fit.rows), epochs, task, parallel=parallel, metric=measured)


def conclude(console: Console, runs: list[PreparedRun], recorders: Recorders) -> None:
    """Print what to check next, judged by the worst of the runs."""
    fit = recorders.writers[0].fit
    tests = [[] for _ in fit.experiments]
    for result in fit.results:
        tests[fit.experiment_of_row[result.row]].append(result.test)
    sentences = filter(None, map(unbalanced_advice, tests, fit.experiments))
    if sentence := next(sentences, ""):
        print_advice("train", [sentence])
    idle = {run.name: idle_note(recorders.summaries.get(i, {})) for i, run in enumerate(runs)}
    for name, sentence in list({name: text for name, text in idle.items() if text}.items())[:IDLE_RUNS_NAMED]:
        console.note(f"{name}: {sentence}")
    console.note(propose_check_for_runs(recorders.outcomes(runs)))


def compare(runs: list[PreparedRun]) -> None:
    """Print the table of all runs, the best first."""
    comparison_table.compare({run.name: run.folder for run in runs}, _ranking_caveats(runs))


def _comparable_metric(writers: list[RunWriter]) -> str:
    """The metric by which unfinished runs are compared; "" if they train on different data."""
    validates = any(writer.experiment.split.validates for writer in writers)
    part = "val" if validates else "train"
    if len({writer.description["data"] for writer in writers}) > 1:
        return ""
    metrics = {writer.experiment.metric for writer in writers}
    if len(metrics) == 1 and metrics <= METRICS.keys():
        return recorded_name(metrics.pop())
    is_one_loss = len({kind_of_loss(writer.description) for writer in writers}) == 1
    return f"{part}_loss" if is_one_loss else f"{part}_error"


def _ranking_caveats(runs: list[PreparedRun]) -> list[str]:
    """Reasons why the runs on one data set may not be comparable with each other."""
    fits = [run.prepared for run in runs]
    by_data: dict[str, list[Experiment]] = {}
    for fit in fits:
        experiment = fit.experiments[0]
        data_title = describe_run(experiment, fit.datasets[experiment.data].spec)["data"]
        by_data.setdefault(data_title, []).append(experiment)
    caveats = (why_not_comparable(experiments, fits[0].cache) for experiments in by_data.values())
    return [caveat for caveat in caveats if caveat]
