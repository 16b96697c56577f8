"""Renders the HTML page of a sweep's report: figures as JSON, plotly's code, the table of trials."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from plotly.offline import get_plotlyjs

from nnlab.errors import visible
from nnlab.records.files import atomic_write
from nnlab.records.graph_svg import graph_svg
from nnlab.records.report_data import WINNER_PLACEHOLDER, ReportData
from nnlab.records.report_figures import figures, importances
from nnlab.records.text import metric_formatter, metric_label, plus_minus
from nnlab.search.optuna_conversion import without_optuna_warnings
from nnlab.search.trial import Trial, rank_trials

TRIALS_LISTED = 200
MARKUP_PATTERN = re.compile(r"<(?!br>|/?extra>|/?b>)")  # all markup except for what Optuna writes
PLAIN_LAYOUT = {"template": "plotly_white", "font": {"family": "system-ui, sans-serif", "size": 13}}


def write_report(path: Path | None, data: ReportData) -> dict[str, float]:
    """Write the report to `path`, if given; return the parameters' importances for the first objective."""
    with without_optuna_warnings():
        importance_of = importances(data)
        if path is not None:
            with atomic_write(path) as temporary:
                temporary.write_text(render_page(data, figures(data, importance_of)), encoding="utf-8")
    return importance_of


def render_page(data: ReportData, figure_of_heading: dict[str, object]) -> str:
    """The HTML of the page, from its figures by heading."""
    divs, scripts = [], []
    for n, (heading, figure) in enumerate(figure_of_heading.items()):
        figure.update_layout(title=None, margin={"t": 20}, width=None, autosize=True, **PLAIN_LAYOUT)
        divs.append(f'<h2>{_escape(heading)}</h2><div class="figure" id="figure{n}"></div>')
        scripts.append(f"draw('figure{n}', {_script_json(figure.to_json())});")
    lines = "".join(f"<p><code>{_escape(line)}</code></p>" for line in data.lines)
    return PAGE_TEMPLATE.format(
        title=_escape(data.title), lines=lines, winner=WINNER_PLACEHOLDER, network=_network(data),
        figures="\n".join(divs),
        table=_table(data), plotly=get_plotlyjs(), scripts="\n".join(scripts),
    )  # fmt: skip


def _network(data: ReportData) -> str:
    """The picture of the best trial's network, in the colours of the page."""
    if data.network is None:
        return ""
    picture = graph_svg(data.network, dark=False, name="network")
    return f'<h2>The network of the best trial</h2><div class="network">{picture}</div>'


def _table(data: ReportData) -> str:
    """The HTML table of trials: ranked ones, the best first, then the pruned and the failed."""
    ranked = rank_trials(data.trials, data.directions)
    ranked += [t for t in data.trials if t not in ranked]
    keys = list(dict.fromkeys(key for trial in data.trials for key in trial.params))
    objectives = [metric_label(name, data.task) for name in data.objectives]
    headings = ["trial", "state", *objectives, "epochs", *keys, "note"]
    rows = ["".join(f"<th>{_escape(head)}</th>" for head in headings)]
    for trial in ranked[:TRIALS_LISTED]:
        rows.append("".join(f"<td>{_escape(cell)}</td>" for cell in _cells(trial, keys, data)))
    table = "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
    more = len(ranked) - TRIALS_LISTED
    if more > 0:
        table += f"<p>and {more} more, in trials.csv</p>"
    table += "<p>The best first; a trial of which a row diverged has failed and has no rank.</p>"
    if any(t.rows > 1 for t in ranked):
        table += "<p>± is the standard deviation over a trial's rows.</p>"
    return table


def _cells(trial: Trial, keys: list[str], data: ReportData) -> list[str]:
    values = [""] * len(data.objectives)
    if trial.values:
        numbers = zip(trial.values, trial.spread, data.objectives, strict=True)
        values = [plus_minus(value, std, metric_formatter(name, data.task)) for value, std, name in numbers]
    params = [_format_param(trial.params.get(key, "")) for key in keys]
    return [str(trial.number), trial.state, *values, str(trial.epochs), *params, trial.reason]


def _format_param(label) -> str:
    return f"{label:.4g}" if isinstance(label, float) else str(label)


def _escape(text: str) -> str:
    return html.escape(visible(text))


def _script_json(text: str) -> str:
    """A figure's JSON, made safe inside a script element.

    Nothing in it can end the script, and no text in it is a link or other markup, except for what Optuna
    writes itself: plotly turns <a href=...> in a label into a link.
    """
    text = json.dumps(_without_markup(json.loads(text)), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _without_markup(value):
    if isinstance(value, dict):
        return {key: _without_markup(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_without_markup(v) for v in value]
    if isinstance(value, str):
        return MARKUP_PATTERN.sub("&lt;", visible(value))
    return value


PAGE_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 70rem; margin: 2rem auto }}
body {{ padding: 0 1rem }}
h1 {{ font-size: 1.4rem }} h2 {{ font-size: 1.1rem; margin-top: 2rem }}
code {{ background: #f4f4f4; padding: .2rem .4rem; overflow-wrap: anywhere }}
.figure {{ height: 27rem }}
.network svg {{ max-width: 100%; height: auto }}
table {{ border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto }}
th, td {{ padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }}
</style></head><body>
<h1>{title}</h1>
{lines}
{winner}
{figures}
{network}
<h2>Trials</h2>
{table}
<script>{plotly}</script>
<script>
function draw(id, figure) {{ Plotly.newPlot(id, figure.data, figure.layout, {{responsive: true}}); }}
{scripts}
</script>
</body></html>
"""
