"""Tables of files with a group, a time, a weight, a part of a split, or a test file of their own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_structured_splits import parts_of

import nnlab
from nnlab import Holdout, KFold, NoSplit
from nnlab.cli import main

pytestmark = [
    pytest.mark.filterwarnings("ignore:the accuracy:nnlab.Advice"),  # of a few epochs
    pytest.mark.filterwarnings("ignore:.*data.group=patient keeps the rows:nnlab.Advice"),
]


def written_visits(folder, name, patients, seed=0):
    """A table of visits: some of each patient, whose two measurements are alike."""
    rng, lines = np.random.default_rng(seed), ["patient,date,a,b,site,w,part,ill"]
    for patient in patients:
        mean = rng.normal(size=2)
        for _ in range(rng.integers(3, 9)):
            a, b = mean + 0.4 * rng.normal(size=2)
            day = np.datetime64("2021-01-01") + rng.integers(900)
            site, w = "NSW"[rng.integers(3)], rng.random()
            part = ("train", "training", "val", "test")[rng.integers(4)]
            ill = "yes" if a > 0.5 else "no"
            second = "" if rng.random() < 0.1 else f"{b:.3f}"
            lines.append(f"P{patient:03d},{day},{a:.3f},{second},{site},{w:.2f},{part},{ill}")
    lines[1:] = rng.permutation(lines[1:]).tolist()
    (folder / name).write_text("\n".join(lines))
    return str(folder / name)


def test_a_table_says_what_a_split_respects(tmp_path):
    path = written_visits(tmp_path, "visits.csv", range(40))
    table = nnlab.Table(path, target="ill", drop=("part",))
    dataset = replace(table, group="patient").load()
    assert len(np.unique(dataset.groups)) == 40 and "patient" not in str(dataset.spec.features)
    for fold in KFold(k=4).folds(dataset):
        groups = [set(dataset.groups[part].tolist()) for part in parts_of(fold)]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 40
    dated = replace(table, time="date").load()
    (fold,) = Holdout().folds(dated)
    assert dated.times[fold.train].max() < dated.times[fold.validation].min()
    assert dated.times[fold.validation].max() < dated.times[fold.test].min()
    given = nnlab.Table(path, target="ill", part="part").load()
    (fold,) = Holdout().folds(given)
    assert [len(part) for part in parts_of(fold)] == np.bincount(given.parts).tolist()
    e = nnlab.Experiment(data=replace(table, weight="w"), class_weight="balanced", epochs=2, seeds=2)
    with pytest.warns(nnlab.Advice, match="data.group=patient keeps the rows of each together"):
        results = nnlab.fit(e).run().results
    assert {result.status for result in results} == {"finished"}


def test_weights_and_groups_are_read_as_the_other_columns(tmp_path):
    lines = [
        "x;w;patient;y",
        *[f"{i},5;1,{i:03d};{-999 if i % 5 == 0 else i // 3};{'ab'[i % 2]}" for i in range(40)],
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table = nnlab.Table(
        str(tmp_path / "t.csv"), "y", weight="w", group="patient", decimal="comma", missing=("-999",)
    )
    dataset = table.load()
    np.testing.assert_allclose(dataset.weights, 1 + np.arange(40) / 1000)
    alone = dataset.groups[::5]  # without a group: each of its own
    assert len(np.unique(alone)) == 8 and not np.isin(np.delete(dataset.groups, np.s_[::5]), alone).any()


@pytest.mark.parametrize("structure", [{}, {"group": "patient"}, {"time": "date"}, {"weight": "w"}])
def test_a_table_brings_its_own_test_file(tmp_path, structure):
    path = written_visits(tmp_path, "visits.csv", range(30))
    test_path = written_visits(tmp_path, "later.csv", range(25, 40), seed=1)
    table = nnlab.Table(path, target="ill", test_path=test_path, drop=("part",), **structure)
    dataset, tests = table.load(), len((tmp_path / "later.csv").read_text().splitlines()) - 1
    assert np.array_equal(dataset.test, np.arange(len(dataset.x))[-tests:])
    for fold in (*Holdout().folds(dataset), *KFold(k=3).folds(dataset), *NoSplit().folds(dataset)):
        assert np.array_equal(fold.test, dataset.test)
    if "group" in structure:
        (verdict,) = nnlab.check(nnlab.Experiment(data=table), only="data")
        found = {finding.cause: finding for finding in verdict.findings}
        assert found["groups_in_test"].number == 5 and "groups_in_validation" not in found
    results = nnlab.fit(nnlab.Experiment(data=table, epochs=1)).run().results
    assert results[0].fixed_test and results[0].examples["test"] == tests
    assert len(replace(table, limit=60).load().test) < tests


def test_the_command_line_of_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written_visits(tmp_path, "visits.csv", range(40))
    line = ["data=table", "data.path=visits.csv", "data.target=ill", "data.drop=[part]", "epochs=1"]
    assert main(["train", *line, "data.group=patient", "split=kfold", "split.k=3"]) == 0
    (folder,) = (tmp_path / "outputs/train").iterdir()
    patients = np.array([line.partition(",")[0] for line in Path("visits.csv").read_text().splitlines()][1:])
    sets = [
        [{*patients[split[part]]} for part in ("validation", "test")]
        for split in nnlab.StoredRun(folder).splits
    ]
    for validation, test in sets:
        assert not validation & test and test == sets[0][1]
    assert len(set.union(*(validation for validation, _ in sets))) + len(sets[0][1]) == 40
    groups = len(set.union(*(validation for validation, _ in sets)))
    for words, sentence in (
        ("data.group=patient data.time=date", "the data have groups and times, and a split keeps groups"),
        ("data.group=patient split=kfold split.k=70", f"only {groups} groups to divide into folds; allowed"),
        ("data.time=date split.repeats=3", "split.repeats = 3: a split by time is the same in every repeat"),
    ):
        capsys.readouterr()
        assert main(["train", *line, *words.split()]) == 2
        assert sentence in capsys.readouterr().err
