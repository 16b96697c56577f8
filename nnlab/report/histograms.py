"""Histograms by epoch: how weights and activations spread while a run trained."""

from __future__ import annotations

import numpy as np

from nnlab.records.epoch_histograms import EpochHistograms
from nnlab.records.stored_run import StoredRun
from nnlab.report.colours import SCALE
from nnlab.report.page import Section
from nnlab.report.parts import PlotlyFigure, Text
from nnlab.untrusted import is_count

HEADING = "Histograms by epoch"
CELLS = 48  # in which values are counted, along the y axis
LINES = {0.05: "5%", 0.5: "median", 0.95: "95%"}
OUTERMOST = (
    0.005  # the share of values at each end that is beyond the y axis, so that no outlier makes it wide
)
FIGURES_OF_GROUP = 16
FEW_EPOCHS = 5  # fewer than these are all named
GROUPS = {"parameters": "Weights and biases", "activations": "Outputs of the boxes, on the validation set"}


def histograms_section(stored: StoredRun) -> Section:
    """A heat map for each parameter and each box, of the first row."""
    histograms = stored.histograms(0)
    if not histograms:
        return Section(HEADING, note="None were recorded: histograms=5 records them every five epochs.")
    body, notes = [], [
        "The stronger the colour, the more of the values lie there; lines: their 5%, 50% and 95% quantiles. "
        f"The outermost {OUTERMOST:.1%} at each end are left out."
    ]  # fmt: skip
    for group, words in GROUPS.items():
        names = [tag for tag in histograms if tag.startswith(f"{group}/")]
        figures = [figure for tag in names if (figure := heat_map(tag, histograms[tag]))]
        if figures:
            body += [Text(f"{words}:"), *figures[:FIGURES_OF_GROUP]]
        if len(figures) > FIGURES_OF_GROUP:
            notes.append(f"{words}: {FIGURES_OF_GROUP} of {len(figures)} are drawn.")
    epochs = next(iter(histograms.values())).epochs
    interval = stored.settings.get("histograms")
    if is_count(interval) and interval and epochs[-1] // interval > len(epochs):
        notes.append(f"Of the epochs with histograms {len(epochs)} are drawn, evenly; nnlab board has all.")
    if (stored.path / "rows").exists():
        notes.append(f"These are of row 0 of {len(stored.rows)}.")
    return Section(HEADING, body, " ".join(notes))


def heat_map(tag: str, histograms: EpochHistograms) -> PlotlyFigure | None:
    """The shares of the values in cells, by epoch, and quantiles as lines; None where no value was finite."""
    ends = histograms.quantiles([OUTERMOST, 1 - OUTERMOST])
    if not np.isfinite(ends).any():
        return None
    limits = np.linspace(np.nanmin(ends), np.nanmax(ends), CELLS + 1)
    shares = histograms.shares_between(limits)
    of_fullest = shares / np.maximum(shares.max(0), 1e-12)
    name = tag.partition("/")[2]
    heat = {
        "type": "heatmap", "x": histograms.epochs, "y": (limits[:-1] + limits[1:]) / 2,
        "z": np.round(100 * of_fullest).astype(int), "colorscale": SCALE, "showscale": False,
        "hoverinfo": "skip",
    }  # fmt: skip
    is_short = len(histograms.epochs) < FEW_EPOCHS
    lines = [
        {
            "x": histograms.epochs, "y": values, "name": words,
            "mode": "lines+markers" if is_short else "lines",
            "line": {"color": "--series1", "width": 1.8 if share == 0.5 else 1},
        }
        for (share, words), values in zip(LINES.items(), histograms.quantiles([*LINES]), strict=True)
    ]  # fmt: skip
    few = {"tickmode": "array", "tickvals": histograms.epochs} if is_short else {}
    layout = {
        "xaxis": {"title": "epoch", "tickformat": ",d", **few}, "yaxis": {"title": name},
        "showlegend": False, "hovermode": "x",
    }  # fmt: skip
    return PlotlyFigure([heat, *lines], layout, label=f"histograms of {name} by epoch", height=240)
