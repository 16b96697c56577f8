"""What any threshold between two classes would give: ROC curve and precision over recall on the test set."""

from __future__ import annotations

import numpy as np

from nnlab.errors import UserError
from nnlab.records.stored_run import StoredRun
from nnlab.report.page import Section
from nnlab.report.parts import PlotlyFigure
from nnlab.report.run_facts import averaged_note, or_none, task_of
from nnlab.report.test_set import TestedClasses, tested_classes
from nnlab.report.thinning import spread_indices

MOST_POINTS = 600  # of a curve


def thresholds_section(stored: StoredRun) -> Section | None:
    """The two curves, where there are two classes."""
    if task_of(stored) != "classification":
        return None
    if stored.spec is not None and len(stored.spec.classes) != 2:
        return None
    tested = tested_classes(stored)
    if len(tested.classes) != 2:
        return None
    positive = _positive_class(stored, tested)
    is_positive = tested.target == positive
    if is_positive.all() or not is_positive.any():
        raise UserError("the test set has one class alone")
    _, tp, fp = counts_by_threshold(tested.probabilities[:, positive], is_positive)
    share = is_positive.mean()
    recall, false_rate, precision = tp / tp[-1], fp / fp[-1], tp / np.maximum(tp + fp, 1)
    precision[0] = 1.0  # of no example, by convention
    roc = _curve("false positive rate", false_rate, "true positive rate", recall, [(0, 0), (1, 1)])
    prc = _curve("recall", recall, "precision", precision, [(0, share), (1, share)])
    area = np.trapezoid(recall, false_rate)
    average = float(np.sum(np.diff(recall) * precision[1:]))
    note = (
        f"Of the class '{tested.classes[positive]}': area below the ROC curve {area:.4f}, average precision "
        f"{average:.4f}. Dotted: by chance."
    )
    return Section("Thresholds", [roc, prc], note + averaged_note(tested.rows))


def counts_by_threshold(score: np.ndarray, is_positive: np.ndarray):
    """(thresholds, true positives, false positives), from above all scores to the lowest: an example is
    positive where its score is at least the threshold."""
    order = np.argsort(-score, kind="stable")
    last_of_each = np.flatnonzero(np.diff(score[order], append=-np.inf))
    tp = np.cumsum(is_positive[order])[last_of_each]
    thresholds = np.concatenate([[np.inf], score[order][last_of_each]])
    tp = np.concatenate([[0], tp])
    return thresholds, tp, np.concatenate([[0], last_of_each + 1]) - tp


def _positive_class(stored: StoredRun, tested: TestedClasses) -> int:
    """The class that precision and recall are about: the one of summary.json, or else the second."""
    summary = or_none(getattr, stored, "summary") or {}
    named = summary.get("classification", {}).get("positive_class")
    return tested.classes.index(named) if named in tested.classes else 1


def _curve(x_name: str, x: np.ndarray, y_name: str, y: np.ndarray, chance: list) -> PlotlyFigure:
    shown = spread_indices(len(x), MOST_POINTS)
    form = {"tickformat": ".0%", "range": [-0.02, 1.02]}
    layout = {"xaxis": {"title": x_name, **form}, "yaxis": {"title": y_name, **form}, "showlegend": False}
    ends = list(zip(*chance, strict=True))
    dotted = {"color": "--muted", "dash": "dot", "width": 1}
    traces = [
        {"x": list(ends[0]), "y": list(ends[1]), "mode": "lines", "line": dotted, "hoverinfo": "skip"},
        {"x": x[shown], "y": y[shown], "mode": "lines", "line": {"color": "--series0"}},
    ]
    return PlotlyFigure(traces, layout, label=f"{y_name} over {x_name}")
