"""Which classes of the test set are taken for which: the confusion matrix, and a table of the classes."""

from __future__ import annotations

import numpy as np

from nnlab.errors import UserError
from nnlab.records.stored_run import StoredRun
from nnlab.records.text_columns import elide_middle
from nnlab.report.colours import SCALE
from nnlab.report.page import Section
from nnlab.report.parts import PlotlyFigure, Table
from nnlab.report.run_facts import task_of

MOST_COUNTED_CLASSES = 20  # up to which each cell has its count
LABEL_CHARACTERS = 20
CLASSES_LISTED = 200
CELL, FRAME = 26, 150  # pixels of a cell's height, and of labels and margins
LOWEST, HIGHEST, WIDEST = 320, 900, 520  # pixels of the figure
CHARACTER, NARROW_CELL, BAR, PHONE = 7, 12, 120, 360  # pixels across: of a label, a cell, the bar, a phone


def confusion_section(stored: StoredRun) -> Section | None:
    """The matrix, coloured by the share of each true class."""
    if task_of(stored) != "classification":
        return None
    tested = _tested(stored)
    classes = [elide_middle(str(name), LABEL_CHARACTERS) for name in tested["classes"]]
    counts = np.asarray(tested.get("confusion_matrix", []), dtype=float)
    if counts.shape != (len(classes), len(classes)):
        raise UserError("the run has no confusion matrix, as of more than 100 classes")
    figure = _matrix_figure(counts, classes)
    note = "Row: true class; column: predicted; colour: share of the true class."
    total = stored.summary["rows"]["total"]
    return Section("Confusion matrix", [figure], note + " Counts are sums over the rows." * (total > 1))


def class_section(stored: StoredRun) -> Section | None:
    """Precision, recall and F1 of each class."""
    if task_of(stored) != "classification":
        return None
    tested = _tested(stored)
    columns = {"test examples": ("support", "{:,.0f}"), "precision": ("precision", "{:.2%}"),
               "recall": ("recall", "{:.2%}"), "F1": ("f1_each", "{:.2%}")}  # fmt: skip
    columns = {heading: pair for heading, pair in columns.items() if pair[0] in tested}
    rows = [
        [str(name), *(_cell(tested[key][number], form) for key, form in columns.values())]
        for number, name in enumerate(tested["classes"][:CLASSES_LISTED])
    ]
    more = len(tested["classes"]) - len(rows)
    note = "Means over the rows; test examples are summed." * (stored.summary["rows"]["total"] > 1)
    note += f" The first {len(rows)} classes; rows.json has the other {more:,}." * (more > 0)
    return Section("Classes", [Table(["class", *columns], rows, note=note.strip())])


def _tested(stored: StoredRun) -> dict:
    """The entry of summary.json on the classes. Raises `UserError` where there is none."""
    tested = stored.summary.get("classification")
    if not isinstance(tested, dict) or not isinstance(tested.get("classes"), list):
        raise UserError("the run was not tested on classes")
    return tested


def _cell(value, form: str) -> str:
    return "undefined" if value is None else form.format(value)


def _matrix_figure(counts: np.ndarray, classes: list[str]) -> PlotlyFigure:
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(100 * counts, totals, out=np.zeros_like(counts), where=totals > 0)
    labels = [f"{number}: {name}" if classes.count(name) > 1 else name for number, name in enumerate(classes)]
    trace = {
        "type": "heatmap", "x": labels, "y": labels, "z": shares, "text": counts.astype(int),
        "colorscale": SCALE, "zmin": 0, "zmax": 100, "xgap": 1, "ygap": 1,
        "colorbar": {"ticksuffix": "%", "len": 0.85, "y": 0.43},  # below the buttons
        "hovertemplate": "true %{y}<br>predicted %{x}<br>%{text} examples, %{z:.1f}%<extra></extra>",
    }  # fmt: skip
    if len(classes) <= MOST_COUNTED_CLASSES:
        trace |= {"texttemplate": "%{text}", "textfont": {"size": 11}}
    axis = {"type": "category", "showgrid": False, "ticks": "", "constrain": "domain"}
    layout = {
        "xaxis": {"title": "predicted class", **axis},
        "yaxis": {"title": "true class", "autorange": "reversed", **axis},
    }
    height = min(HIGHEST, max(LOWEST, FRAME + CELL * len(classes)))
    needed = BAR + CHARACTER * max(map(len, labels)) + NARROW_CELL * len(classes)
    return PlotlyFigure(
        [trace],
        layout,
        label="confusion matrix of the test set",
        height=height,
        min_width=needed if needed > PHONE else 0,
        max_width=max(WIDEST, height + BAR, needed),
    )
