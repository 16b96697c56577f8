"""The page of a sweep: Optuna's figures, the best trial's network, the table of trials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nnlab.records.files import atomic_write
from nnlab.records.graph_svg import graph_svg
from nnlab.records.text import metric_formatter, metric_label, plus_minus
from nnlab.report.figure_json import from_plotly
from nnlab.report.page import Section, render_page
from nnlab.report.parts import Preformatted, Svg, Table, Text
from nnlab.report.sweep_data import WINNER_PLACEHOLDER, ReportData
from nnlab.report.sweep_figures import figures, importances, width_of
from nnlab.search.optuna_conversion import without_optuna_warnings
from nnlab.search.trial import Trial, rank_trials

TRIALS_LISTED = 200


def write_report(path: Path | None, data: ReportData) -> dict[str, float]:
    """Write the report to `path`, if given; return the parameters' importances for the first objective."""
    with without_optuna_warnings():
        importance_of = importances(data)
        if path is not None:
            page = render_page(data.title, _sections(data, importance_of), WINNER_PLACEHOLDER)
            with atomic_write(path) as temporary:
                temporary.write_text(page, encoding="utf-8")
    return importance_of


def sweep_sections(data: ReportData) -> list[Section]:
    """The sections of a sweep."""
    with without_optuna_warnings():
        return list(_sections(data, importances(data)))


def _sections(data: ReportData, importance_of: dict[str, float]) -> Iterator[Section]:
    yield Section("Commands", [Preformatted(line, wrapped=True) for line in data.lines])
    for heading, figure in figures(data, importance_of).items():
        drawn = from_plotly(figure, label=heading, height=400, min_width=width_of(figure))
        yield Section(heading, [drawn])
    if data.network is not None:
        picture = graph_svg(data.network, name="network")
        yield Section("The network of the best trial", [Svg(picture, data.network.title)])
    yield Section("Trials", _trials(data))


def _trials(data: ReportData) -> Iterator[Table | Text]:
    """The table of trials: ranked ones, the best first, then the pruned and the failed."""
    ranked = rank_trials(data.trials, data.directions)
    numbers = {t.number for t in ranked}
    ranked += [t for t in data.trials if t.number not in numbers]
    keys = list(dict.fromkeys(key for trial in data.trials for key in trial.params))
    objectives = [metric_label(name, data.task) for name in data.objectives]
    headings = ["trial", "state", *objectives, "epochs", *keys, "note"]
    yield Table(headings, [_cells(trial, keys, data) for trial in ranked[:TRIALS_LISTED]], labels=2)
    more = len(ranked) - TRIALS_LISTED
    if more > 0:
        yield Text(f"and {more} more, in trials.csv")
    yield Text("The best first; a trial of which a row diverged has failed and has no rank.", muted=True)
    if any(t.rows > 1 for t in ranked):
        yield Text("± is the standard deviation over a trial's rows.", muted=True)


def _cells(trial: Trial, keys: list[str], data: ReportData) -> list[str]:
    values = [""] * len(data.objectives)
    if trial.values:
        numbers = zip(trial.values, trial.spread, data.objectives, strict=True)
        values = [plus_minus(value, std, metric_formatter(name, data.task)) for value, std, name in numbers]
    params = [_format_param(trial.params.get(key, "")) for key in keys]
    return [str(trial.number), trial.state, *values, str(trial.epochs), *params, trial.reason]


def _format_param(label) -> str:
    return f"{label:.4g}" if isinstance(label, float) else str(label)
