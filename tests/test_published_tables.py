"""Published tables: their YAML, the words of their cells, and the shipped ones, each of which trains."""

import copy
import re

import numpy as np
import pytest
from datafiles import idx_arrays, write_idx

import nnlab
from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.command_line import CommandLine
from nnlab.commands.word_lists import composed_runs_of
from nnlab.experiment import Experiment
from nnlab.reproduction.measured import VOTE_MEASURE, best_of, measure_of
from nnlab.reproduction.published import VERSIONS, merged
from nnlab.reproduction.reproduction import Plan
from nnlab.reproduction.table_file import read_table, table_from, table_names

TREE = {
    "title": "Two models of flowers",
    "source": "Nobody 2026, table 1",
    "measure": "test_error",
    "unit": "%",
    "settings": ["data=iris", "epochs=9", "optimizer=sgd", "optimizer.lr=0.1"],
    "full": {"words": ["seeds=3"]},
    "quick": {"words": ["epochs=2", "seeds=2"], "cells": ["wide"]},
    "rows": {"narrow": ["model.hidden=[2]"], "wide": ["model.hidden=[9]"]},
    "columns": {"tanh": ["model.activation=tanh"], "relu": ["model.activation=relu"]},
    "published": {"narrow": {"tanh": 5.0}, "wide": {"tanh": {"mean": 4, "sd": 0.1, "n": 5}, "relu": None}},
    "n": 1,
    "claims": ["wide/tanh, wide/relu < narrow/tanh"],
    "notes": ["Made up."],
}


def table(**changes):
    return table_from("flowers", copy.deepcopy(TREE) | changes, "flowers.yaml")


def test_cells_are_rows_by_columns_that_were_published():
    cells = table().cells
    assert [*cells] == ["narrow/tanh", "wide/tanh", "wide/relu"]
    assert cells["narrow/tanh"].words == ("model.hidden=[2]", "model.activation=tanh")
    assert cells["narrow/tanh"].published.n == 1 and cells["wide/tanh"].published.sd == 0.1
    assert cells["wide/relu"].published is None


def test_a_table_of_one_column_is_named_by_its_rows():
    tree = {key: value for key, value in TREE.items() if key != "columns"}
    one = table_from("flowers", tree | {"published": {"wide": 4}, "claims": []}, "flowers.yaml")
    assert [*one.cells] == ["wide"] and one.cells["wide"].words == ("model.hidden=[9]",)


def test_a_column_may_measure_something_else():
    columns = {"tanh": [], "relu": {"words": ["model.activation=relu"], "measure": "train_loss"}}
    cells = table(columns=columns, claims=[]).cells
    assert [cell.measure for cell in cells.values()] == ["test_error", "test_error", "train_loss"]


def test_a_row_may_have_other_words_in_a_version():
    rows = {
        "narrow": [],
        "wide": {"words": ["model.hidden=[9]", "init=zeros"], "quick": ["model.hidden=[3]"]},
    }
    mine = table(rows=rows)
    assert {"model.hidden=[3]", "init=zeros"} <= {*mine.words("wide/relu", "quick")}
    assert {"model.hidden=[9]", "init=zeros"} <= {*mine.words("wide/relu", "full")}


@pytest.mark.parametrize("text, pairs, larger", [
    ("wide/tanh < narrow/tanh", [("wide/tanh", "narrow/tanh")], False),
    ("wide/tanh > wide/relu > narrow/tanh", [("wide/tanh", "wide/relu"), ("wide/relu", "narrow/tanh")], True),
    ("wide/tanh, wide/relu<narrow/tanh", [("wide/tanh", "narrow/tanh"), ("wide/relu", "narrow/tanh")], False),
])  # fmt: skip
def test_a_claim_is_about_neighbours(text, pairs, larger):
    (claim,) = table(claims=[text]).claims
    assert claim.pairs == pairs and claim.larger_first is larger


@pytest.mark.parametrize("layers, words", [
    ([["a=1", "b=2"], ["a=3"]], ("a=3", "b=2")),
    ([["schedule=step", "schedule.every=5", "seed=9"], ["schedule=cosine"]], ("schedule=cosine", "seed=9")),
    ([["optimizer=sgd", "optimizer.lr=1"], ["optimizer.lr=2"]], ("optimizer=sgd", "optimizer.lr=2")),
    ([["data=idx"], ["data=digits", "data.normalization=none"]], ("data=digits", "data.normalization=none")),
])  # fmt: skip
def test_later_words_count_and_a_new_choice_drops_the_keys_of_the_old(layers, words):
    assert merged(*layers) == words


def test_words_of_the_command_line_go_over_all_but_the_cells():
    words = table().words("wide/relu", "quick", ["seeds=7", "data=wine", "optimizer=adam"])
    assert {*words} == {
        "seeds=7", "data=wine", "optimizer=adam", "epochs=2", "model.hidden=[9]", "model.activation=relu",
    }  # fmt: skip
    with pytest.raises(
        nnlab.UserError, match="model.hidden=.3.: the cells of flowers differ in model.hidden"
    ):
        table().words("wide/relu", "quick", ["model.hidden=[3]"])


def test_a_cells_choice_of_a_group_keeps_what_was_typed():
    columns = {"tanh": ["regularizer=dropout"], "relu": []}
    words = table(columns=columns).words("wide/tanh", "quick", ["regularizer.l2=0.1"])
    assert {"regularizer=dropout", "regularizer.l2=0.1"} <= {*words}


def test_other_data_stand_in_for_a_file_that_nobody_named():
    quick = {"words": ["epochs=2"], "with_path": ["data.limit=70"], "without_path": ["data=digits"]}
    mine = table(settings=["data=idx"], quick=quick)
    assert "data=digits" in mine.words("wide/relu", "quick")
    words = mine.words("wide/relu", "quick", ["data.path=mnist"])
    assert {"data=idx", "data.limit=70", "data.path=mnist"} <= {*words}


def test_of_a_cell_with_several_runs_each_has_the_words_of_one():
    quick = {"words": ["epochs=2"], "best_of": ["optimizer.lr=1", "optimizer.lr=2"],
             "best_of_with_path": ["optimizer.lr=3"]}  # fmt: skip
    mine = table(quick=quick, measure="val_error")
    plan = Plan(mine, "quick", (), ("wide/tanh", "wide/relu"))
    assert len(plan.runs) == 4 and plan.runs[:2] == plan.runs_of("wide/tanh")
    assert [[w for w in words if "lr" in w] for words in plan.runs] == 2 * [
        ["optimizer.lr=1"],
        ["optimizer.lr=2"],
    ]
    (words,) = Plan(mine, "quick", ("data.path=mnist",), ("wide/tanh",)).runs
    assert "optimizer.lr=3" in words
    (words,) = Plan(mine, "full", (), ("wide/tanh",)).runs
    assert "optimizer.lr=0.1" in words
    with pytest.raises(nnlab.UserError, match="the cells of flowers differ in optimizer.lr"):
        mine.words("wide/tanh", "quick", ["optimizer.lr=4"])


@pytest.mark.parametrize("quick, given, label", [
    ([], (), ""),
    ([], ("seeds=9",), ""),
    (["epochs=2", "seeds=2"], (), ": data=iris epochs=2 seeds=2"),
    (["epochs=2", "seeds=2"], ("seeds=9",), ": data=iris epochs=2 seeds=9"),
    (["epochs=2"], ("threads=2",), ": data=iris epochs=2"),
])  # fmt: skip
def test_a_label_says_what_was_trained(quick, given, label):
    plan = Plan(table(quick={"words": quick}), "quick", given, ("wide/tanh",))
    assert plan.label == f"quick, not the published job{label}"


@pytest.mark.parametrize("candidates, larger, best", [
    ([[2, 3], [1, 2], [4, 4]], False, 1), ([[2, 3], [1, 2], [4, 4]], True, 2),
    ([[np.nan, 0], [1, 2]], False, 1), ([[np.nan, 9], [1, 2]], True, 1),
    ([[np.nan, np.inf], [np.nan, 5]], False, 1), ([[np.nan, np.nan], [np.inf, np.nan]], True, 0),
])  # fmt: skip
def test_the_best_of_several_has_the_best_mean_and_diverged_least(candidates, larger, best):
    assert best_of([np.array(values, float) for values in candidates], larger) == best


@pytest.mark.parametrize("patterns, cells", [
    (["wide"], ["wide/tanh", "wide/relu"]), (["tanh"], ["narrow/tanh", "wide/tanh"]),
    (["*/r*"], ["wide/relu"]),
    (["wide/relu", "narrow"], ["narrow/tanh", "wide/relu"]), ([], ["narrow/tanh", "wide/tanh", "wide/relu"]),
])  # fmt: skip
def test_cells_are_picked_by_name_row_or_column(patterns, cells):
    assert table().picked(patterns) == cells


def test_a_cell_that_is_not_there_is_named():
    with pytest.raises(nnlab.UserError, match="unknown cell of flowers 'wid'; did you mean 'wide'"):
        table().picked(["wid"])


@pytest.mark.parametrize("changes, phrase", [
    ({"titel": "x"}, "has no key 'titel'; did you mean 'title'"),
    ({"title": ""}, "title = ''"),
    ({"unit": "percent"}, "unit = 'percent'"),
    ({"unit": ["%"]}, "unit = ['%']"),
    ({"settings": ["epochs"]}, "a list of words KEY=VALUE"),
    ({"settings": ["hydra.run.dir=/"]}, "only the command line says so"),
    ({"settings": ["+hydra.sweep.dir=/"]}, "only the command line says so"),
    ({"quick": {"words": ["resume=x"]}}, "only the command line says so"),
    ({"rows": {"wide": ["plan=true"], "narrow": []}}, "only the command line says so"),
    ({"quick": {"word": []}}, "quick has no key 'word'; did you mean 'words'"),
    ({"quick": {"cells": "wide"}}, "quick.cells"),
    ({"quick": {"best_of": ["hydra.run.dir=/"]}}, "only the command line says so"),
    ({"quick": {"best_of": "optimizer.lr=1"}}, "quick.best_of: expected a list of words"),
    ({"quick": {"best_of": ["optimizer.lr=1"]}}, "quick.best_of: narrow/tanh would have the best of"),
    ({"full": {"best_of_with_path": ["optimizer.lr=1"]}, "measure": "vote_error"}, "full.best_of_with_path"),
    ({"rows": {"a/b": []}}, "the name 'a/b'"),
    ({"rows": {}}, "rows: expected"),
    ({"published": {"broad": {"tanh": 1}}}, "published has no key 'broad'"),
    ({"published": {"wide": {"tang": 1}}}, "'tang'; did you mean 'tanh'"),
    ({"published": {"wide": {"tanh": "low"}}}, "published.wide: expected a number"),
    ({"published": {"wide": {"tanh": {"mean": 1, "sd": -1}}}}, "published.wide: expected a number"),
    ({"published": {}}, "at least one cell"),
    ({"n": 0}, "n = 0"),
    ({"n": 10**400}, "n = 1000"),
    ({"claims": ["wide/tanh"]}, "with < or > between"),
    ({"claims": ["wide/tanh < narrow/tanh > wide/relu"]}, "with < or > between"),
    ({"claims": ["wide/tanh < wide/rel"]}, "unknown cell 'wide/rel'; did you mean 'wide/relu'"),
    ({"notes": "one"}, "notes: expected a list"),
])  # fmt: skip
def test_what_is_wrong_in_a_file_is_one_sentence(changes, phrase):
    with pytest.raises(nnlab.UserError) as error:
        table(**changes)
    assert phrase in str(error.value) and str(error.value).startswith("flowers.yaml: ")


@pytest.mark.parametrize("tree", [None, 3, [], "x", {"rows": None}, {"title": "a", "published": [1]}])
def test_what_is_no_table_is_one_sentence(tree):
    with pytest.raises(nnlab.UserError, match="^flowers.yaml: "):
        table_from("flowers", tree, "flowers.yaml")


# ---- the shipped tables

TABLES = table_names()


def test_they_are_there():
    assert {"mnist1d", "double_descent"} <= {*TABLES}


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A folder with MNIST's four files, of a few random images of ten classes."""
    folder = tmp_path_factory.mktemp("mnist")
    arrays = idx_arrays(train=280, test=70, side=8)
    labels = {name: np.arange(len(array)) % 10 for name, array in arrays.items() if "labels" in name}
    write_idx(folder, arrays | labels)
    return folder


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", TABLES)
def test_every_cell_composes_and_trains_for_two_epochs(name, version, mnist):
    """On little data: what they measure is there, and finite. Of many cells nine train, of a cell's several
    runs the first."""
    published = read_table(name)
    given = ["epochs=2", "seeds=1"]
    mine = {"data=mnist1d": ["data.n=120"], "data=idx": [f"data.path={mnist}"]}
    if "model.hidden" not in published.keys_of_cells and any("model.hidden" in w for w in published.settings):
        given.append("model.hidden=[6,5]")
    given += next((more for word, more in mine.items() if word in published.settings), [])
    plan = Plan(published, version, tuple(given), tuple(published.cells))
    words = {c: plan.runs_of(c)[0] for c in plan.cells}
    words_of_runs = [*dict.fromkeys([*words.values(), *plan.runs_of(plan.cells[0])])]
    runs = composed_runs_of(CommandLine("train"), words_of_runs)
    experiments = [Experiment.from_config(experiment_settings(run.settings)) for run in runs]
    assert len({*experiments}) == len(experiments)
    assert {e.seeds for e in experiments} == {1} and all(e.epochs == 2 for e in experiments)
    cells = [name for name, each in published.cells.items() if each.measure != VOTE_MEASURE]
    cells = cells[:: max(1, len(cells) // 8)]
    for cell, result in zip(
        cells,
        nnlab.Fit([experiments[words_of_runs.index(words[c])] for c in cells]).run().results,
        strict=True,
    ):
        value = measure_of({"test": result.test, "best": result.best}, published.cells[cell].measure, cell)
        assert result.status == "finished" and np.isfinite(value), cell


@pytest.mark.parametrize("name", TABLES)
def test_what_a_table_says_is_whole(name):
    published = read_table(name)
    assert re.search(r"\b(19|20)\d\d\b", published.source) and published.notes
    quick, full = (published.versions[version] for version in VERSIONS)
    assert quick.words and any(word.startswith("seeds=") for word in (*published.settings, *full.words))
    assert published.picked(quick.cells)
    for claim in published.claims:  # a quick run judges some claim
        assert {*claim.cells} <= published.cells.keys()
    if published.claims:
        quick_cells = {*published.picked(quick.cells)}
        assert any({*claim.cells} <= quick_cells for claim in published.claims)
