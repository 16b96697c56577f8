"""The data of a sweep's report, sent to the subprocess that renders it."""

from __future__ import annotations

import html
from dataclasses import dataclass

from nnlab.errors import visible
from nnlab.records.graph_nodes import ShownGraph
from nnlab.search.trial import Trial

# A comment in the page, which `winner_html` replaces once the winner has been tested.
WINNER_PLACEHOLDER = "<!-- the winner beside what the search started from -->"


@dataclass(frozen=True)
class ReportData:
    """What report.html shows; plain data, so that it can be sent to another process."""

    title: str
    lines: list[str]  # shown below the title: the sweep's command, the winner's command
    trials: list[Trial]
    distributions: dict  # parameter -> Optuna distribution
    directions: tuple[int, ...]  # of each objective: 1 to minimise, -1 to maximise
    objectives: tuple[str, ...]
    curves: dict[int, dict[str, list[float]]]  # trial number -> metric -> value in each epoch
    task: str = "classification"
    network: ShownGraph | None = None  # of the best trial


def winner_html(lines: list[str]) -> str:
    """What replaces the placeholder in the page: lines of the screen."""
    text = "\n".join(line.removeprefix("  ") for line in lines)
    return f"<pre>{html.escape(visible(text))}</pre>" if lines else ""
