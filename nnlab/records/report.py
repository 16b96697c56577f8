"""report.html: a sweep on one page, which needs no network. Optuna's figures, curves, a table.

Optuna's figures need plotly, whose import takes a second: `Artist` does it in a process of its own while
the sweep is under way.
"""

from __future__ import annotations

import contextlib
import html
import json
import math
import multiprocessing
import re
import signal
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from nnlab.errors import visible
from nnlab.records.files import aside, replacing
from nnlab.records.text import form, label, spread
from nnlab.search.study import frozen, quiet
from nnlab.search.trial import COMPLETE, FAILED, Trial, best

REPORT = "report.html"
CURVES, LISTED = 10, 200  # trials whose curves are drawn; trials in the table
ENOUGH = 10  # complete trials from which an importance says something
MARKUP = re.compile(r"<(?!br>|/?extra>|/?b>)")
PLAIN = {"template": "plotly_white", "font": {"family": "system-ui, sans-serif", "size": 13}}


@dataclass(frozen=True)
class Story:
    """What the report is about. Plain data, so that it can be told in another process."""

    title: str
    lines: list[str]  # what was asked for, the winner's line
    trials: list[Trial]
    distributions: dict
    signs: tuple[int, ...]
    objectives: tuple[str, ...]
    curves: dict[int, dict[str, list[float]]]
    task: str = "classification"


def _rehearsal() -> Story:
    """Something to draw while there is nothing yet."""
    from optuna.distributions import FloatDistribution

    trials = [
        Trial(n, {"x": n / 4}, COMPLETE, (n / 4,), (None,), 1, 1, intermediate_values={1: n / 4})
        for n in range(4)
    ]
    curves = {trial.number: {"val_loss": [1.0, 0.5]} for trial in trials}
    return Story("", [], trials, {"x": FloatDistribution(0, 1)}, (1,), ("val_loss",), curves)


class Artist:
    """Draws the report in a process of its own, which begins to import what it needs at once.

    Without forks (not on Linux), or if it may not (`apart`), it draws where it stands, when it is asked.
    """

    def __init__(self, apart: bool = True):
        self._pipe = self._process = self._work = None
        if apart and sys.platform.startswith("linux"):
            fork = multiprocessing.get_context("fork")
            self._pipe, there = fork.Pipe()
            self._process = fork.Process(target=_draw_in_time, args=(there, self._pipe), daemon=True)
            self._process.start()
            there.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process:
            self._pipe.close()
            self._process.terminate()
            self._process.join()
            if self._work:  # ended while it wrote
                aside(self._work[0], self._process.pid).unlink(missing_ok=True)

    def begin(self, path: Path, story: Story) -> None:
        """Begin to draw the page at `path`."""
        self._work = path, story
        if self._pipe:
            with contextlib.suppress(OSError):  # `end` will say that nobody is there
                self._pipe.send(self._work)

    def end(self) -> tuple[dict[str, float], str]:
        """Wait until it is there; the parameters' importances, and why there is no page, if there is none.

        No sweep is lost for a picture: whatever goes wrong in drawing is a note.
        """
        try:
            found = self._pipe.recv() if self._pipe else _drawn(*self._work)
        except (EOFError, OSError):
            found = "its process was killed"
        return ({}, f"{REPORT} was not drawn: {found}") if isinstance(found, str) else (found, "")


def _draw_in_time(pipe, parents_end) -> None:
    """The artist's process: import, wait for the story, draw it, send what was found."""
    parents_end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent ends it
    try:
        # Optuna imports these for figures and importances of other kinds, and does without if it must.
        for unused in ("sklearn", "matplotlib"):
            sys.modules.setdefault(unused, None)
        with quiet():
            for name in ("optuna.importance", "optuna.visualization", "plotly.graph_objects"):
                import_module(name)
            story = _rehearsal()
            page(story, figures(story, {"x": 1.0}))  # the second time takes half as long
        pipe.send(_drawn(*pipe.recv()))
    except (EOFError, ConnectionError):
        pass  # the sweep ended before it had something to draw
    except Exception as e:
        pipe.send(f"{type(e).__name__}: {e}")


def _drawn(path: Path, story: Story) -> dict[str, float] | str:
    """The importances, once the page is drawn; or why it could not be."""
    try:
        return draw(path, story)
    except Exception as e:
        return f"{type(e).__name__}: {e}"


def draw(path: Path | None, story: Story) -> dict[str, float]:
    """Write the report to `path`; the importances of the parameters for the first objective."""
    with quiet():
        importances = _importances(story)
        if path is not None:
            with replacing(path) as there:
                there.write_text(page(story, figures(story, importances)), encoding="utf-8")
    return importances


def figures(story: Story, importances: dict) -> dict[str, object]:
    """Heading -> plotly figure; those that have something to show. All but the front are of the first
    objective, and are the same whether there are others beside it or not."""
    from optuna import visualization as v

    words = [label(o, story.task) for o in story.objectives]
    complete = [t for t in story.trials if t.state != FAILED]
    first, found = _study(of_first(story)), {}
    if complete and 1 < len(words) < 4:
        found["Pareto front"] = v.plot_pareto_front(_study(story), target_names=words)
    if complete:
        found["Optimisation history"] = v.plot_optimization_history(first, target_name=words[0])
        found["Learning curves of the best trials"] = _learning(story)
        found["Parallel coordinates"] = v.plot_parallel_coordinate(first, target_name=words[0])
        found["Slices"] = v.plot_slice(first, target_name=words[0])
    if importances:
        found["Importance of the parameters"] = _bars(importances, words[0])
    return found


def page(story: Story, drawn: dict[str, object]) -> str:
    """The page: plotly's code, once, and each figure as data."""
    from plotly.offline import get_plotlyjs

    parts, scripts = [], []
    for n, (heading, figure) in enumerate(drawn.items()):
        _plain_ticks(figure)
        figure.update_layout(title=None, margin={"t": 20}, width=None, autosize=True, **PLAIN)
        parts.append(f'<h2>{_escaped(heading)}</h2><div class="figure" id="figure{n}"></div>')
        scripts.append(f"draw('figure{n}', {_safe(figure.to_json())});")
    lines = "".join(f"<p><code>{_escaped(line)}</code></p>" for line in story.lines)
    return _PAGE.format(
        title=_escaped(story.title), lines=lines, later=_LATER, figures="\n".join(parts),
        table=_table(story), plotly=get_plotlyjs(), scripts="\n".join(scripts),
    )  # fmt: skip


def add_lines(path: Path, lines: list[str]) -> None:
    """Put lines below those of the page that is drawn: what is known only when the winner has been tested."""
    text = "\n".join(line.removeprefix("  ") for line in lines)
    drawn = path.read_text(encoding="utf-8")
    with replacing(path) as there:
        told = f"<pre>{_escaped(text)}</pre>" if lines else ""
        there.write_text(drawn.replace(_LATER, told, 1), encoding="utf-8")


def of_first(story: Story) -> Story:
    """The same sweep with its first objective alone, in its own direction: Optuna takes any `target` that it
    is asked about for one to minimise. A trial whose objective is not finite says nothing of it."""
    trials = [
        replace(t, values=t.values[:1], spread=t.spread[:1])
        for t in story.trials
        if t.state == FAILED or math.isfinite(t.values[0])
    ]
    return replace(story, trials=trials, signs=story.signs[:1], objectives=story.objectives[:1])


def _study(story: Story):
    """The trials as a study, for Optuna to draw."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["minimize" if s > 0 else "maximize" for s in story.signs])
    study.add_trials([frozen(trial, story.distributions) for trial in story.trials])
    return study


def _importances(story: Story) -> dict[str, float]:
    """Share of each parameter in how the first objective varies (PED-ANOVA, Watanabe et al. 2023); those
    that every complete trial has. Nothing where there are too few trials to say, or all gave the same."""
    from optuna.importance import get_param_importances

    first = of_first(story)
    values = [t.values[0] for t in first.trials if t.state == COMPLETE]
    if len(values) < ENOUGH or min(values) == max(values):
        return {}
    try:
        found = get_param_importances(_study(first))
    except (ValueError, RuntimeError, ZeroDivisionError):
        return {}
    return {key: float(share) for key, share in found.items() if share == share}


def _learning(story: Story):
    from plotly.graph_objects import Figure, Scatter

    figure, ranked = Figure(), best(story.trials, story.signs)[:CURVES]
    held_back = any(v == v for t in ranked for v in story.curves.get(t.number, {}).get("val_loss", []))
    loss = "val_loss" if held_back else "train_loss"
    for trial in ranked:
        values = story.curves.get(trial.number, {}).get(loss, [])
        epochs = list(range(1, len(values) + 1))
        figure.add_trace(Scatter(x=epochs, y=values, mode="lines", name=f"trial {trial.number}"))
    figure.update_layout(
        xaxis_title="epoch", yaxis_title="validation loss" if held_back else "training loss", yaxis_type="log"
    )
    return figure


def _plain_ticks(figure) -> None:
    """Ticks on logarithmic axes as numbers, not the 5 of 0.0005, and few; names of choices without quotes."""
    figure.update_yaxes(tickformat="~g", selector={"type": "log"})
    for trace in figure.select_traces("scatter"):
        axis = figure.layout[f"xaxis{(trace.xaxis or 'x')[1:]}"]
        if axis.type == "log":
            ticks = _decades([x for x in trace.x if isinstance(x, int | float) and x > 0])
            axis.update(tickvals=ticks, ticktext=[f"{tick:.2g}" for tick in ticks])
        elif axis.categoryarray:
            axis.categoryarray = [_unquoted(name) for name in axis.categoryarray]
            trace.x = [_unquoted(x) for x in trace.x]


def _decades(values: list[float]) -> list[float]:
    """Up to four powers of ten among the values; if there is one at most, the smallest and the largest."""
    if not values:
        return []
    low, high = math.ceil(math.log10(min(values))), math.floor(math.log10(max(values)))
    powers = [10.0**n for n in range(low, high + 1, 1 + max(0, high - low) // 4)]
    return powers if len(powers) > 1 else sorted({min(values), max(values)})


def _unquoted(name):
    return name.strip("'") if isinstance(name, str) else name


def _bars(importances: dict[str, float], name: str):
    from plotly.graph_objects import Bar, Figure

    keys = list(importances)[::-1]
    figure = Figure(Bar(x=[importances[key] for key in keys], y=keys, orientation="h"))
    return figure.update_layout(xaxis_title=f"importance for {name}")


def _table(story: Story) -> str:
    """The trials, the best first, then the pruned and the failed."""
    ranked = best(story.trials, story.signs)
    ranked += [t for t in story.trials if t not in ranked]
    keys = list(dict.fromkeys(key for trial in story.trials for key in trial.params))
    objectives = [label(name, story.task) for name in story.objectives]
    heads = ["trial", "state", *objectives, "epochs", *keys, "note"]
    rows = ["".join(f"<th>{_escaped(h)}</th>" for h in heads)]
    for t in ranked[:LISTED]:
        params = [_short(t.params.get(key, "")) for key in keys]
        each = zip(t.values, t.spread, story.objectives, strict=True) if t.values else ()
        values = [spread(v, s, form(name, story.task)) for v, s, name in each] or [""] * len(objectives)
        cells = [str(t.number), t.state, *values, str(t.epochs), *params, t.reason]
        rows.append("".join(f"<td>{_escaped(c)}</td>" for c in cells))
    more = len(ranked) - LISTED
    note = f"<p>and {more} more, in trials.csv</p>" if more > 0 else ""
    note += "<p>The best first; a trial of which a row diverged has failed and has no rank.</p>"
    if any(t.rows > 1 for t in ranked):
        note += "<p>± is the standard deviation over a trial's rows.</p>"
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + f"</table>{note}"


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def _short(label) -> str:
    return f"{label:.4g}" if isinstance(label, float) else str(label)


def _safe(text: str) -> str:
    """A figure's JSON inside a script: nothing in it can end the script, and no text in it is a link or other
    markup, but for what Optuna writes itself: plotly takes <a href=...> in a label for a link."""
    text = json.dumps(_without_markup(json.loads(text)), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _without_markup(value):
    if isinstance(value, dict):
        return {key: _without_markup(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_without_markup(v) for v in value]
    return MARKUP.sub("&lt;", visible(value)) if isinstance(value, str) else value


_LATER = "<!-- the winner beside what the search started from -->"
_PAGE = """<!doctype html>
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
