"""What a person reads of a sweep, before it begins and at its end; the lines between are the console's."""

from __future__ import annotations

from pathlib import Path

from nnlab.commands import baseline_text
from nnlab.commands.sweep_request import SweepRequest
from nnlab.commands.winner import Winner
from nnlab.records.console import board_line
from nnlab.records.report import REPORT, Story
from nnlab.records.run import titled
from nnlab.records.sweep_console import SweepConsole, test_lines
from nnlab.records.text import label, shell_line, summary_lines
from nnlab.records.text_columns import command, labelled
from nnlab.search.sweep import Sweep


def sweep_title(sweep: Sweep) -> str:
    """digits (1797 x 64, 10 classes), mlp 64-64-10, adam: tpe, for the least validation loss"""
    experiment, search, space = sweep.first.experiment, sweep.search, sweep.space
    spec = sweep.cache.datasets[experiment.data].spec
    searched = {key.partition(".")[0] for key in space.domains if key in space.groups or "model." in key}
    method = search.sampler.name
    if search.pruner.prunes:
        method = f"{method}, pruned by {search.pruner.name}"
    goals = [
        f"{'least' if sign > 0 else 'largest'} {label(name, spec.task)}"
        for sign, name in zip(search.signs, search.objectives, strict=True)
    ]
    return f"{titled(experiment, spec, searched)}: {method}, for the {' and the '.join(goals)}"


def space_lines(sweep: Sweep, left_out: tuple[str, ...] = ()) -> list[str]:
    """A line for each parameter, and which of the default space are `left_out`; how many trials there are, if
    that is not what was asked for."""
    width = max(map(len, sweep.space.domains))
    lines = [f"  {key:<{width}}  {domain}" for key, domain in sweep.space.domains.items()]
    if left_out:
        lines.append("  only the keys that were named are searched; space=default would add")
        lines.append(f"  {', '.join(left_out)}")
    if sweep.judged_by:
        lines.append(f"  {sweep.judged_by}")
    sampler = sweep.search.sampler
    if sampler.enumerates:
        lines.append(_grid_line(sweep))
    elif sweep.count < sweep.wanted:
        lines.append(f"  {sweep.count} trials, not {sweep.wanted}: this space has no others, and a trial")
        lines.append("  repeated gives the same again; seeds=10 would train each with 10 seeds")
    if sampler.slow_after and sweep.count > sampler.slow_after:
        name, after = sampler.name, sampler.slow_after
        lines.append(
            f"  sampler={name} takes half a second a trial after {after}, and longer and longer: tpe is quick"
        )
    return lines


def _grid_line(sweep: Sweep) -> str:
    count, impossible = sweep.search.sampler.count(sweep.space), sweep.impossible()
    line = f"  {count} cells in the grid"
    if sweep.count < count:
        line += f", of which the first {sweep.count} are trained"
    if impossible:
        line += f"; {impossible} cannot be trained or ranked, and fail with the reason"
    return line


def story(asked: SweepRequest, sweep: Sweep, curves: dict, winners_line: str, task: str) -> Story:
    """What the report is about."""
    return Story(
        title=sweep_title(sweep),
        lines=[asked.words.run.command, *([winners_line] if winners_line else [])],
        trials=sweep.trials,
        distributions=sweep.chooser.distributions,
        signs=sweep.search.signs,
        objectives=sweep.search.objectives,
        curves=curves,
        task=task,
    )


def report_lines(asked: SweepRequest, winner: Winner | None, task: str) -> list[str]:
    """What is added to the report once the winner has trained: it is drawn meanwhile."""
    if winner is None:
        return []
    lines = ["  the winner's own run, in best/", *summary_lines(winner.summary, task)]
    return [*lines, "", *comparison_lines(asked, winner, task)]


def comparison_lines(asked: SweepRequest, winner: Winner, task: str) -> list[str]:
    """How the winner compares with what the search started from."""
    return baseline_text.lines(winner.comparison, task, shell_line(asked.words.trials.line({})))


def result_lines(
    asked: SweepRequest, sweep: Sweep, console: SweepConsole, winner: Winner | None, importances: dict
) -> list[str]:
    """The best trials, what mattered, and the line to go on from."""
    lines = [*console.table(), ""]
    if importances:
        lines += labelled("importance", ", ".join(f"{key} {share:.0%}" for key, share in importances.items()))
    if winner is None:
        return [*lines, *test_lines({}, console.task), *_way_out(asked, sweep), ""]
    lines += test_lines(winner.summary, console.task)
    lines += [*command("to repeat it", winner.command), ""]
    return [*lines, *comparison_lines(asked, winner, console.task), ""]


def _way_out(asked: SweepRequest, sweep: Sweep) -> list[str]:
    """What to do where no trial came to its end: if they diverged, look for a rate that works."""
    diverged = [trial for trial in sweep.trials if "diverged" in trial.reason]
    if 2 * len(diverged) < len(sweep.trials) or not diverged:
        return []
    line = shell_line(asked.words.trials.line(diverged[0].params))
    line = line.replace("nnlab train", "nnlab check only=rates", 1)
    return command("for a rate that works, search below what this says:", line)


def file_lines(path: Path, has_report: bool, no_report: str) -> list[str]:
    """Where everything is; `no_report` says why the report was not drawn, if that failed."""
    lines = labelled("sweep folder", path)
    if has_report:
        lines += labelled("report", no_report or f"{REPORT} in it")
    return [*lines, *command("its curves", board_line(path))]
