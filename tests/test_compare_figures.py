"""Figures of the page of a comparison: their numbers are those of the comparison, whatever it is of."""

import itertools
import json
import warnings

import numpy as np
import pytest
from compared_arms import a_pair, compared, random_comparison, random_values
from test_comparison_words import DESIGNS, ERROR, NAMES, OPTIMIZERS

from nnlab.records.compared_quantity import ComparedQuantity
from nnlab.records.comparison_words import SHOWN
from nnlab.report.columns import GAP_CHARACTERS, PAGE_CHARACTERS
from nnlab.report.compare_figures import MOST_ARMS, forest_figure, matrix_figure
from nnlab.report.compare_methods import methods_section
from nnlab.report.compare_page import as_sentence
from nnlab.report.compare_pairs import pairs_tables
from nnlab.report.figure_json import figure_tree, script_json
from nnlab.statistics.comparison import compare_arms
from nnlab.statistics.scores import Scores


@pytest.mark.parametrize("larger", [False, True])
def test_a_cell_of_the_matrix_says_by_how_much_its_row_is_better(larger):
    values = random_values(OPTIMIZERS)
    comparison = compare_arms(Scores(values, larger))
    (trace,) = matrix_figure(comparison, ERROR, "x").data
    order = [arm.name for arm in comparison.arms]
    means = {name: 100 * values[name].mean() for name in order}
    for i, row in enumerate(order):
        assert np.isnan(trace["z"][i, i]) and trace["text"][i][i] == ""
        for j in {*range(5)} - {i}:
            better_by = (means[row] - means[order[j]]) * (1 if larger else -1)
            shown = comparison.pair(row, order[j]).verdict in SHOWN
            assert np.sign(trace["z"][i, j]) == (np.sign(better_by) if shown else 0)
            assert abs(trace["z"][i, j]) <= abs(better_by) + 1e-9
            assert float(trace["text"][i][j]) == pytest.approx(better_by, rel=0.3, abs=0.06)
            assert row in trace["customdata"][i][j].replace("<br>", " ")


def test_the_forest_has_every_seed_and_every_difference():
    values = random_values(OPTIMIZERS)
    values[OPTIMIZERS[4]][:3] = np.nan
    scores = Scores(values)
    comparison = compare_arms(scores)
    figure = forest_figure(comparison, ERROR, {arm: scores.units_of(arm) for arm in values}, "x")
    seeds, means, shown, rest = figure.data
    every = 100 * np.concatenate([np.ravel(each) for each in values.values()])
    np.testing.assert_allclose(np.sort(seeds["x"]), np.sort(every))
    for y, arm in enumerate(comparison.arms):
        assert means["x"][y] == pytest.approx(100 * arm.mean) and means["y"][y] == y
        assert means["error_x"]["array"][y] == pytest.approx(100 * (arm.high - arm.mean))
    best = comparison.arms[0].name
    verdicts = [comparison.pair(best, arm.name).verdict for arm in comparison.arms[1:]]
    assert len(shown["x"]) == sum(verdict in SHOWN for verdict in verdicts)
    assert len(shown["x"]) + len(rest["x"]) == 4 and (np.concatenate([shown["x"], rest["x"]]) >= 0).all()


def test_a_difference_off_the_axis_is_a_number_at_its_edge():
    values = random_values(OPTIMIZERS)
    values[OPTIMIZERS[2]] += 0.85
    layout = forest_figure(compare_arms(Scores(values)), ERROR, {}, "x").layout
    assert layout["xaxis2"]["range"][1] < 10 and layout["xaxis"]["type"] == "log"
    assert [note["text"] for note in layout["annotations"] if "→" in note["text"]] == ["86 →"]


@pytest.mark.parametrize("design", DESIGNS)
def test_everything_can_be_shown(design):
    """And says nothing that is not a number."""
    for count in (2, 3):
        comparison = random_comparison([NAMES["long"].format(n) for n in range(count)], **DESIGNS[design])
        with warnings.catch_warnings(action="error"):
            figures = [matrix_figure(comparison, ERROR, "x"), forest_figure(comparison, ERROR, {}, "x")]
            tables = pairs_tables(comparison, ComparedQuantity("val_loss"), list(comparison.pairs))
        text = "".join(script_json(figure_tree(figure)) for figure in figures)
        assert json.loads(script_json(figure_tree(figures[0]))) and "nan" not in text.lower().replace(
            "nanm", ""
        )
        headings = [heading for table in tables for heading in table.headings[table.labels :]]
        assert len(headings) == len({*headings}) == 11 - (len(comparison.pairs) == 1)
        for table in tables:
            cells = [cell for row in table.rows for cell in row]
            assert len(table.rows) == len(comparison.pairs) and not {"nan", "None", "inf"} & {*cells}
            assert all(len(row) == len(table.headings) for row in table.rows)
            columns = zip(table.headings, *table.rows, strict=True)
            wide = sum(GAP_CHARACTERS + max(map(len, column)) for column in columns)
            assert wide <= PAGE_CHARACTERS or len(table.headings) == table.labels + 1


def test_a_name_at_the_beginning_of_a_sentence_is_as_it_was_typed():
    names = ["model.activation=tanh", "relu"]
    assert as_sentence("model.activation=tanh is better", names) == "model.activation=tanh is better."
    assert as_sentence("relu is better", names) == "relu is better."
    assert as_sentence("no difference shown", names) == "No difference shown."


def test_of_many_arms_the_first_are_drawn():
    names = [f"lr={n}" for n in range(MOST_ARMS + 2)]
    comparison = compared(*(a_pair(a, b) for a, b in itertools.combinations(names, 2)))
    (trace,) = matrix_figure(comparison, ERROR, "x").data
    assert trace["x"] == names[:MOST_ARMS] and "texttemplate" not in trace
    assert len(forest_figure(comparison, ERROR, {}, "x").data[1]["x"]) == MOST_ARMS


def test_methods_are_those_that_were_used():
    by_seed, by_split = (random_comparison(OPTIMIZERS[:3], **DESIGNS[name]) for name in ("seeds", "repeats"))
    texts = [" ".join(part.text for part in methods_section([each]).body) for each in (by_seed, by_split)]
    assert "sqrt(n)" in texts[0] and "Wilcoxon" in texts[0] and "all 3 pairs" in texts[0]
    assert "n_test / n_train" in texts[1] and "Wilcoxon" not in texts[1] and "split by split" in texts[1]
    alone = methods_section([random_comparison(OPTIMIZERS[:2])])
    assert "Holm" not in " ".join(part.text for part in alone.body)
