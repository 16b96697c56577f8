"""What a regression gets wrong on its test set: residuals over predictions, and their histogram."""

from __future__ import annotations

import numpy as np

from nnlab.errors import UserError
from nnlab.records.stored_run import StoredRun
from nnlab.records.text import format_number
from nnlab.report.page import Section
from nnlab.report.parts import Part, PlotlyFigure, Text
from nnlab.report.run_facts import averaged_note, task_of
from nnlab.report.test_set import TestedNumbers, tested_numbers
from nnlab.report.thinning import spread_indices

TARGETS_SHOWN = 4
MOST_POINTS = 3000  # of all clouds together
MOST_BINS = 40


def residuals_section(stored: StoredRun) -> Section | None:
    """Two figures for each target."""
    if task_of(stored) != "regression":
        return None
    targets = tested_numbers(stored)
    body: list[Part] = []
    most_points = MOST_POINTS // min(len(targets), TARGETS_SHOWN)
    for tested in targets[:TARGETS_SHOWN]:
        is_finite = np.isfinite(tested.target) & np.isfinite(tested.prediction)
        if not is_finite.any():
            raise UserError("no prediction of the test set is finite")
        body += [Text(f"Target '{tested.name}':")] * (len(targets) > 1)
        body += _figures(tested, is_finite, most_points)
    note = "Residual: target less prediction. Where they have a pattern, the network could still learn."
    count = len(targets[0].target)
    note += f" Of {count:,} examples {most_points:,} are drawn as points." * (count > most_points)
    note += f" The first {TARGETS_SHOWN} of {len(targets)} targets." * (len(targets) > TARGETS_SHOWN)
    return Section("Residuals", body, note + averaged_note(targets[0].rows))


def _figures(tested: TestedNumbers, is_finite: np.ndarray, most_points: int) -> list[PlotlyFigure]:
    target, prediction = tested.target[is_finite], tested.prediction[is_finite]
    residuals = target - prediction
    shown = spread_indices(len(target), most_points)
    cloud = {
        "x": prediction[shown], "y": residuals[shown], "mode": "markers",
        "marker": {"color": "--series0/0.55", "size": 6 if len(shown) < 500 else 4},
        "hovertemplate": "prediction %{x}<br>residual %{y}<extra></extra>",
    }  # fmt: skip
    zero = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": 0, "y1": 0,
            "line": {"color": "--muted", "width": 1, "dash": "dot"}}  # fmt: skip
    layout = {"xaxis": {"title": "prediction"}, "yaxis": {"title": "residual"}, "shapes": [zero]}
    counts, edges = np.histogram(residuals, bins=min(MOST_BINS, max(5, int(2 * len(residuals) ** (1 / 3)))))
    bars = {
        "type": "bar", "x": (edges[1:] + edges[:-1]) / 2, "y": counts, "width": np.diff(edges),
        "marker": {"color": "--series0/0.7", "line": {"color": "--page", "width": 1}},
        "hovertemplate": "%{y} examples<extra></extra>",
    }  # fmt: skip
    spread = f"mean {format_number(residuals.mean())}, standard deviation {format_number(residuals.std())}"
    bars_layout = {"xaxis": {"title": f"residual ({spread})"}, "yaxis": {"title": "test examples"}}
    name = f" of {tested.name}" if tested.name else ""
    return [
        PlotlyFigure([cloud], layout, label=f"residuals{name} over predictions"),
        PlotlyFigure([bars], bars_layout, label=f"histogram of the residuals{name}"),
    ]
