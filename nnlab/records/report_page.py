"""The page of a sweep's report: its figures as data, plotly's code once, the table of trials."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from plotly.offline import get_plotlyjs

from nnlab.errors import visible
from nnlab.records.files import replacing
from nnlab.records.report_figures import figures, importances
from nnlab.records.report_story import PLACE_OF_WINNER, Story
from nnlab.records.text import form, label, spread
from nnlab.search.optuna_conversion import without_optuna_warnings
from nnlab.search.trial import Trial, rank_trials

TRIALS_LISTED = 200
MARKUP_PATTERN = re.compile(r"<(?!br>|/?extra>|/?b>)")  # all but what Optuna writes itself
PLAIN_LAYOUT = {"template": "plotly_white", "font": {"family": "system-ui, sans-serif", "size": 13}}


def draw(path: Path | None, story: Story) -> dict[str, float]:
    """Write the report to `path`; the importances of the parameters for the first objective."""
    with without_optuna_warnings():
        shares = importances(story)
        if path is not None:
            with replacing(path) as aside:
                aside.write_text(page(story, figures(story, shares)), encoding="utf-8")
    return shares


def page(story: Story, drawn: dict[str, object]) -> str:
    """The page as HTML."""
    places, scripts = [], []
    for n, (heading, figure) in enumerate(drawn.items()):
        figure.update_layout(title=None, margin={"t": 20}, width=None, autosize=True, **PLAIN_LAYOUT)
        places.append(f'<h2>{_escaped(heading)}</h2><div class="figure" id="figure{n}"></div>')
        scripts.append(f"draw('figure{n}', {_safe(figure.to_json())});")
    lines = "".join(f"<p><code>{_escaped(line)}</code></p>" for line in story.lines)
    return PAGE_TEMPLATE.format(
        title=_escaped(story.title), lines=lines, later=PLACE_OF_WINNER, figures="\n".join(places),
        table=_table(story), plotly=get_plotlyjs(), scripts="\n".join(scripts),
    )  # fmt: skip


def _table(story: Story) -> str:
    """The trials, the best first, then the pruned and the failed."""
    ranked = rank_trials(story.trials, story.signs)
    ranked += [t for t in story.trials if t not in ranked]
    keys = list(dict.fromkeys(key for trial in story.trials for key in trial.params))
    objectives = [label(name, story.task) for name in story.objectives]
    heads = ["trial", "state", *objectives, "epochs", *keys, "note"]
    rows = ["".join(f"<th>{_escaped(head)}</th>" for head in heads)]
    for trial in ranked[:TRIALS_LISTED]:
        rows.append("".join(f"<td>{_escaped(cell)}</td>" for cell in _cells(trial, keys, story)))
    table = "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
    more = len(ranked) - TRIALS_LISTED
    if more > 0:
        table += f"<p>and {more} more, in trials.csv</p>"
    table += "<p>The best first; a trial of which a row diverged has failed and has no rank.</p>"
    if any(t.rows > 1 for t in ranked):
        table += "<p>± is the standard deviation over a trial's rows.</p>"
    return table


def _cells(trial: Trial, keys: list[str], story: Story) -> list[str]:
    values = [""] * len(story.objectives)
    if trial.values:
        numbers = zip(trial.values, trial.spread, story.objectives, strict=True)
        values = [spread(value, std, form(name, story.task)) for value, std, name in numbers]
    params = [_short(trial.params.get(key, "")) for key in keys]
    return [str(trial.number), trial.state, *values, str(trial.epochs), *params, trial.reason]


def _short(label) -> str:
    return f"{label:.4g}" if isinstance(label, float) else str(label)


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def _safe(text: str) -> str:
    """A figure's JSON inside a script: nothing in it can end the script, and no text in it is a link or other
    markup, except for what Optuna writes itself: plotly takes <a href=...> in a label for a link."""
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
table {{ border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto }}
th, td {{ padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }}
</style></head><body>
<h1>{title}</h1>
{lines}
{later}
{figures}
<h2>Trials</h2>
{table}
<script>{plotly}</script>
<script>
function draw(id, figure) {{ Plotly.newPlot(id, figure.data, figure.layout, {{responsive: true}}); }}
{scripts}
</script>
</body></html>
"""
