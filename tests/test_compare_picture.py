"""compare.png: where its marks are, that no text leaves it, and that everything can be drawn."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from compared_arms import random_comparison, random_values
from matplotlib.backends.backend_agg import FigureCanvasAgg
from test_comparison_words import DESIGNS, NAMES, OPTIMIZERS

from nnlab.pictures.compared_arms import MOST_ARMS, MOST_DATA, ComparedArms, draw, figure_of
from nnlab.records.compared_quantity import ComparedQuantity
from nnlab.statistics.comparison import compare_arms
from nnlab.statistics.scores import Scores

ERROR = ComparedQuantity("test_error")


def panel_of(values, quantity=ERROR, data="", larger=False, overlap=0.0) -> ComparedArms:
    scores = Scores(values, larger, overlap)
    return ComparedArms(compare_arms(scores), quantity, {arm: scores.units_of(arm) for arm in values}, data)


def random_panel(names, data="", **options) -> ComparedArms:
    """As `random_comparison`, which is not computed again."""
    overlap = options.pop("overlap", 0.0)
    scores = Scores(random_values([str(n) for n in range(len(names))], **options), overlap=overlap)
    values = {name: scores.units_of(str(n)) for n, name in enumerate(names)}
    return ComparedArms(random_comparison(names, overlap=overlap, **options), ERROR, values, data)


def marks(axes, marker):
    return [line for line in axes.lines if line.get_marker() == marker]


@pytest.mark.parametrize("larger", [False, True])
def test_the_marks_are_where_the_numbers_are(larger):
    values = random_values(OPTIMIZERS)
    values[OPTIMIZERS[4]][:3] = np.nan
    panel = panel_of(values, larger=larger)
    arms, differences = figure_of([panel]).axes
    order = [arm.name for arm in panel.comparison.arms]
    dots, means = marks(arms, "o"), marks(arms, "D")
    for y, name in enumerate(order):
        kept = values[name][np.isfinite(values[name])]
        np.testing.assert_allclose(sorted(dots[y].get_xdata()), sorted(100 * kept))
        np.testing.assert_allclose(means[y].get_xdata()[0], 100 * kept.mean())
        assert means[y].get_ydata()[0] == y
    assert [label.get_text().split(" ")[0] for label in arms.get_yticklabels()] == order
    assert "(3 of 10 diverged)" in arms.get_yticklabels()[-1].get_text()
    best = np.ravel(values[order[0]])
    for y, (name, dot) in enumerate(zip(order[1:], marks(differences, "o"), strict=True), 1):
        worse_by = 100 * np.nanmean(best - np.ravel(values[name])) * (1 if larger else -1)
        np.testing.assert_allclose(dot.get_xdata()[0], worse_by)
        pair = panel.comparison.pair(order[0], name)
        filled = dot.get_color() != "white"
        assert dot.get_ydata()[0] == y and filled == (pair.verdict in ("better", "diverged"))


def test_a_difference_far_from_the_others_is_an_arrow_with_its_number():
    values = random_values(OPTIMIZERS)
    values[OPTIMIZERS[2]] += 0.85
    arms, differences = figure_of([panel_of(values)]).axes
    assert len(marks(differences, ">")) == 1 and differences.get_xlim()[1] < 10
    assert "86" in {text.get_text() for text in differences.texts}
    assert arms.get_xscale() == "log"


def test_arms_without_a_difference_or_equal_have_rows():
    values = random_values(OPTIMIZERS[:4])
    values[OPTIMIZERS[1]] = values[OPTIMIZERS[0]].copy()
    values[OPTIMIZERS[3]][:] = np.nan
    arms, differences = figure_of([panel_of(values)]).axes
    assert len(arms.get_yticklabels()) == 4 and len(marks(arms, "D")) == 3
    assert "the same" in {text.get_text() for text in differences.texts}


@pytest.mark.parametrize(
    "count, name", [*((n, name) for n in (2, 7) for name in NAMES), (MOST_ARMS + 2, "long")]
)
def test_no_text_leaves_the_picture(count, name):
    names = [NAMES[name].format(n) for n in range(count)]
    figure = figure_of([random_panel(names, data="digits $x$", diverged=0.3, seeds=4)])
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    width, height = figure.get_size_inches() * figure.dpi
    texts = [
        *figure.texts,
        *(t for axes in figure.axes for t in (*axes.texts, *axes.get_yticklabels(), axes.title)),
    ]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    assert len(boxes) >= min(count, MOST_ARMS)
    left_out = f"the first {MOST_ARMS} of {count} arms" in {text.get_text() for text in figure.texts}
    assert left_out == (count > MOST_ARMS)
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)


@pytest.mark.parametrize("design", DESIGNS)
def test_everything_can_be_drawn(design):
    with warnings.catch_warnings(action="error"):
        png = draw([random_panel(OPTIMIZERS[:3], **DESIGNS[design])])
    assert png.startswith(b"\x89PNG") and png[16:20] == (1200).to_bytes(4, "big")


def test_without_values_there_are_no_dots():
    panel = random_panel(OPTIMIZERS[:3])
    arms, _ = figure_of([replace(panel, values={})]).axes
    assert not any(len(line.get_xdata()) for line in marks(arms, "o")) and len(marks(arms, "D")) == 3


def test_many_data_sets_are_left_out_and_said_to_be():
    panel = random_panel(OPTIMIZERS[:2], data="digits")
    figure = figure_of([panel] * (MOST_DATA + 2))
    assert len(figure.axes) == 2 * MOST_DATA
    assert f"the first {MOST_DATA} of {MOST_DATA + 2} data sets" in {text.get_text() for text in figure.texts}
