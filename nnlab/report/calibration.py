"""Whether the probabilities of a classifier can be believed: its reliability diagram on the test set."""

from __future__ import annotations

import numpy as np

from nnlab.metrics.classes import BINS, confidence_bins
from nnlab.records.stored_run import StoredRun
from nnlab.report.page import Section
from nnlab.report.parts import PlotlyFigure
from nnlab.report.run_facts import averaged_note, task_of
from nnlab.report.test_set import tested_classes


def calibration_section(stored: StoredRun) -> Section | None:
    """Accuracy over confidence, the largest probability, and how many examples have which confidence."""
    if task_of(stored) != "classification":
        return None
    tested = tested_classes(stored)
    confidence = tested.probabilities.max(1)
    is_correct = tested.probabilities.argmax(1) == tested.target
    counts, means, accuracies = reliability(confidence, is_correct)
    error = expected_calibration_error(counts, means, accuracies)
    layout = {
        "xaxis": {"title": "confidence (mean of a bin)", "range": [0, 1.02], "tickformat": ".0%"},
        "yaxis": {"title": "accuracy", "range": [0, 1.02], "tickformat": ".0%"},
        "showlegend": True,
    }
    diagonal = {"x": [0, 1], "y": [0, 1], "mode": "lines", "name": "calibrated", "hoverinfo": "skip",
                "line": {"color": "--muted", "dash": "dot", "width": 1}}  # fmt: skip
    is_used = counts > 0
    points = {
        "x": means[is_used], "y": accuracies[is_used], "mode": "lines+markers", "name": "test set",
        "customdata": counts[is_used], "line": {"color": "--series0"}, "marker": {"size": 7},
        "hovertemplate": "confidence %{x:.1%}<br>accuracy %{y:.1%}<br>%{customdata} examples<extra></extra>",
    }  # fmt: skip
    label = "reliability diagram: accuracy over confidence"
    diagram = PlotlyFigure([diagonal, points], layout, label)
    note = (
        f"Expected calibration error {error:.2%}: the mean distance from the dotted line, over {BINS} bins "
        f"of equal width, weighted by their counts. Confidence is the largest probability of an example."
    )
    return Section("Calibration", [diagram, _counts_figure(counts)], note + averaged_note(tested.rows))


def reliability(confidence: np.ndarray, is_correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(BINS,) each: how many examples, their mean confidence, their accuracy; of bins open below, NaN where
    a bin is empty."""
    bins = confidence_bins(confidence)
    counts = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, values, minlength=BINS) for values in (confidence, is_correct.astype(float)))
    means, accuracies = (
        np.divide(total, counts, out=np.full(BINS, np.nan), where=counts > 0) for total in sums
    )
    return counts, means, accuracies


def expected_calibration_error(counts: np.ndarray, means: np.ndarray, accuracies: np.ndarray) -> float:
    """sum_b n_b / N |accuracy_b - confidence_b|."""
    is_used = counts > 0
    distances = np.abs(accuracies - means)[is_used]
    return float((counts[is_used] * distances).sum() / counts.sum())


def _counts_figure(counts: np.ndarray) -> PlotlyFigure:
    edges = np.linspace(0, 1, BINS + 1)
    trace = {
        "type": "bar", "x": (edges[1:] + edges[:-1]) / 2, "y": counts, "width": 0.95 / BINS,
        "marker": {"color": "--series0/0.7"}, "hovertemplate": "%{y} examples<extra></extra>",
    }  # fmt: skip
    layout = {
        "xaxis": {"title": "confidence", "range": [0, 1.02], "tickformat": ".0%"},
        "yaxis": {"title": "test examples in the bin"},
    }
    return PlotlyFigure([trace], layout, label="how many test examples have which confidence")
