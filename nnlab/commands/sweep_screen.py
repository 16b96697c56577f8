"""Text that `nnlab sweep` prints before and after training: title, space, plan, results, files."""

from __future__ import annotations

from pathlib import Path

from nnlab.commands import baseline_text, launching
from nnlab.commands.prepared_sweep import PreparedSweep
from nnlab.commands.winner import Winner
from nnlab.records.console import board_command
from nnlab.records.graph_nodes import ShownGraph, shown_graph
from nnlab.records.summary_text import summary_lines
from nnlab.records.sweep_console import SweepConsole, plan_lines, test_lines
from nnlab.records.text import metric_label, shell_line
from nnlab.records.text_columns import command_lines, labelled_lines, wrap_line
from nnlab.records.titles import experiment_title
from nnlab.report.renderer import REPORT_FILE, ReportData
from nnlab.search.sweep import Sweep
from nnlab.search.trial import Trial


def sweep_title(sweep: Sweep) -> str:
    """digits (1797 x 1 x 8 x 8, 10 classes), mlp 64-64-10, adam: tpe, for the least validation loss"""
    experiment, search, space = sweep.first_candidate.experiment, sweep.search, sweep.space
    spec = sweep.cache.datasets[experiment.data].spec
    searched = {key.partition(".")[0] for key in space.domains if key in space.groups or "model." in key}
    searched |= {"device", "precision"} & space.domains.keys()
    method = search.sampler.name
    if search.pruner.prunes:
        method = f"{method}, pruned by {search.pruner.name}"
    goals = [
        f"{'least' if sign > 0 else 'largest'} {metric_label(name, spec.task)}"
        for sign, name in zip(search.signs, search.objectives, strict=True)
    ]
    return f"{experiment_title(experiment, spec, searched)}: {method}, for the {' and the '.join(goals)}"


def space_lines(sweep: Sweep, left_out: tuple[str, ...] = ()) -> list[str]:
    """A line for each searched key, for the `left_out` keys of the default space, and for the number of
    trials if it differs from the requested one."""
    width = max(map(len, sweep.space.domains))
    lines = [f"  {key:<{width}}  {domain}" for key, domain in sweep.space.domains.items()]
    if left_out:
        lines.append("  only the keys that were named are searched; space=default would add")
        lines.append(f"  {', '.join(left_out)}")
    if sweep.objective_reason:
        lines.append(f"  {sweep.objective_reason}")
    sampler = sweep.search.sampler
    if sampler.enumerates:
        lines.append(_grid_line(sweep))
    elif sweep.count < sweep.requested:
        lines.append(
            f"  {sweep.count} trials, not {sweep.requested}: this space has no others, and to repeat one"
        )
        lines.append("  gives the same result; seeds=10 would train each with 10 seeds")
    if sampler.slow_after and sweep.count > sampler.slow_after:
        name, after = sampler.name, sampler.slow_after
        lines.append(
            f"  sampler={name} takes half a second a trial after {after}, and longer and longer: tpe is quick"
        )
    return lines


def _grid_line(sweep: Sweep) -> str:
    count, impossible = sweep.search.sampler.count(sweep.space), sweep.count_untrainable()
    line = f"  {count} cells in the grid"
    if sweep.count < count:
        line += f", of which the first {sweep.count} are trained"
    if impossible:
        line += f"; {impossible} cannot be trained or ranked, and fail with the reason"
    return line


def plan(job: PreparedSweep) -> list[str]:
    """The lines of plan=true: what would be trained, and how long it would take."""
    title = [sweep_title(job.sweep), *space_lines(job.sweep, job.request.definition.left_out)]
    by = launching.plan_lines(job.sweep)
    lines = plan_lines(job.remaining_plan())
    return [*title, *(lines[:-1] if by else lines), *by]


def first_lines(job: PreparedSweep, path: Path) -> list[str]:
    """The lines before training starts in this folder; for a resumed sweep also what it has already."""
    sweep, finished = job.sweep, len(job.sweep.trials)
    lines = [sweep_title(sweep), *space_lines(sweep, job.request.definition.left_out)]
    if job.request.resume_folder:
        already = f"  {finished} trials are there already"
        if finished >= sweep.count:
            already += ", as many as were asked for: nothing is trained"
        lines += wrap_line(already)
    if finished < sweep.count:
        rest = sweep.plan() if finished else job.plan
        lines += [*plan_lines(rest)[:-1], *launching.first_lines(sweep, path), ""]
    return lines


def report_data(job: PreparedSweep, curves: dict, winners: list[Trial]) -> ReportData:
    """The data of the report."""
    search = job.sweep.search
    return ReportData(
        title=sweep_title(job.sweep),
        lines=[job.request.definition.run.command, *map(job.train_line, winners)],
        trials=job.sweep.trials,
        distributions=job.sweep.chooser.distributions,
        directions=search.signs,
        objectives=search.objectives,
        curves=curves,
        task=job.task,
        network=_network(job, winners[0]) if winners else None,
    )


def _network(job: PreparedSweep, winner: Trial) -> ShownGraph:
    """The network of a trial."""
    experiment = job.sweep.experiment(winner)
    spec = job.sweep.cache.load_data(experiment).spec
    return shown_graph(experiment, spec, title=experiment_title(experiment, spec, searched=("optimizer",)))


def report_lines(job: PreparedSweep, winner: Winner | None) -> list[str]:
    """The lines that are added to the report once the winner has trained."""
    if winner is None:
        return []
    lines = ["  the winner's own run, in best/", *summary_lines(winner.summary, job.task)]
    return [*lines, "", *comparison_lines(job, winner)]


def comparison_lines(job: PreparedSweep, winner: Winner) -> list[str]:
    """How the winner compares with the baseline."""
    baseline_command = shell_line(job.request.definition.trials.shell_words({}))
    return baseline_text.lines(winner.comparison, job.task, baseline_command)


def result_lines(
    job: PreparedSweep, console: SweepConsole, winner: Winner | None, importances: dict
) -> list[str]:
    """The best trials, the importances, and the command that repeats the winner."""
    lines = [*console.table(), "", *launching.time_lines(job.sweep)]
    if importances:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in importances.items())
        lines += labelled_lines("importance", shares)
    if winner is None:
        return [*lines, *_way_out(job), ""]
    lines += test_lines(winner.summary, job.task)
    lines += [*command_lines("to repeat it", winner.command), ""]
    return [*lines, *comparison_lines(job, winner), ""]


def _way_out(job: PreparedSweep) -> list[str]:
    """Advice if no trial finished: where most diverged, how to find a learning rate that works."""
    trials = job.sweep.trials
    diverged = [trial for trial in trials if "diverged" in trial.reason]
    if 2 * len(diverged) < len(trials) or not diverged:
        return []
    line = job.train_line(diverged[0]).replace("nnlab train", "nnlab check only=rates", 1)
    return command_lines("to find a rate that works, search below the edge that this shows:", line)


def file_lines(path: Path, has_report: bool, no_report: str) -> list[str]:
    """Where the files are; `no_report` says why the report was not drawn, if that failed."""
    lines = labelled_lines("sweep folder", path)
    if has_report:
        lines += labelled_lines("report", no_report or f"{REPORT_FILE} in it")
    return [*lines, *command_lines("its curves", board_command(path))]
