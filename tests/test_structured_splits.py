"""Splits of data with groups, times or parts of their own: their properties, and scikit-learn's splits."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, TimeSeriesSplit
from test_example_arrays import Given

import nnlab
from nnlab import Dataset, Holdout, KFold, NoSplit
from nnlab.cli import main
from nnlab.data.example_arrays import PARTS
from nnlab.errors import Advice, UserError

pytestmark = pytest.mark.filterwarnings("ignore:the accuracy:nnlab.Advice")  # of a few epochs

SPLITS = {
    "holdout": Holdout(), "kfold": KFold(), "no test": Holdout(test=0), "kfold, no test": KFold(test=0),
    "unequal": Holdout(test=0.1, validation=0.3), "3 folds": KFold(k=3, test=0.3),
}  # fmt: skip
every_split = pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)


def dataset_of(y, classes=2, **arrays):
    x = np.random.default_rng(0).normal(size=(len(y), 2))
    names = tuple("abcdefghij"[:classes])
    return Dataset(x, y, names, **arrays) if classes else Dataset(x, y.astype(float)[:, None], **arrays)


def grouped(seed, groups=60, classes=2, kind="mixed"):
    """Groups of many sizes, each with classes of its own: about half the examples are of the first class."""
    rng = np.random.default_rng(seed)
    sizes = {"equal": np.full(groups, 7), "mixed": rng.geometric(0.1, groups), "one": np.ones(groups, int)}
    group = np.repeat(np.arange(groups), sizes.get(kind, sizes["mixed"]))
    p = rng.dirichlet(np.full(classes or 1, 0.5), groups)
    y = np.array([rng.choice(classes, p=p[g]) for g in group]) if classes else rng.normal(size=len(group))
    if kind == "pure":
        y = group % classes
    order = rng.permutation(len(group))
    return dataset_of(y[order], classes, groups=100 - group[order])


def parts_of(fold):
    return [part for part in (fold.train, fold.validation, fold.test) if len(part)]


# ---- groups


@every_split
@pytest.mark.parametrize("kind, classes", [("mixed", 2), ("equal", 3), ("pure", 2), ("one", 2), ("mixed", 0)])
def test_no_group_is_in_two_parts_and_sizes_are_near_their_shares(split, kind, classes):
    for seed in range(6):
        dataset = grouped(seed, 60, classes, kind)
        n, largest = len(dataset.x), max(Counter(dataset.groups.tolist()).values())
        folds = replace(split, seed=seed).folds(dataset)
        for fold in folds:
            parts = parts_of(fold)
            assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
            groups = [set(dataset.groups[part].tolist()) for part in parts]
            assert sum(map(len, groups)) == len(set.union(*groups)) == 60
            assert abs(len(fold.test) - split.test * n) <= max(largest, 1)
        if isinstance(split, Holdout):
            assert abs(len(fold.validation) - split.validation * n) <= max(largest, 1)
        else:
            sizes = [len(fold.validation) for fold in folds]
            assert max(sizes) - min(sizes) <= 1.5 * largest
            validated = np.concatenate([fold.validation for fold in folds])
            assert len(np.unique(validated)) == len(validated) == n - len(folds[0].test)


def spread(folds, y, classes):
    """How unevenly classes and sizes are divided over the validation sets."""
    counts = np.array([np.bincount(y[fold], minlength=classes) for fold in folds])
    return (((counts - counts.mean(0)) ** 2) / counts.mean(0)).sum(), np.ptp(counts.sum(1))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", ["mixed", "equal", "pure"])
def test_classes_and_sizes_are_as_even_as_those_of_scikit_learn(kind, classes):
    ours, stratified, by_size = [], [], []
    for seed in range(15):
        dataset = grouped(seed, 40, classes, kind)
        y, groups = dataset.y, dataset.groups
        ours.append(spread([f.validation for f in KFold(test=0, seed=seed).folds(dataset)], y, classes))
        peer = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        stratified.append(spread([test for _, test in peer.split(y, y, groups)], y, classes))
        by_size.append(spread([test for _, test in GroupKFold(5).split(y, y, groups)], y, classes))
    (uneven, sizes), (their_uneven, their_sizes) = np.mean(ours, 0), np.mean(stratified, 0)
    assert uneven < 2 * their_uneven + 1 and sizes < 1.5 * their_sizes + 1
    assert uneven < np.mean(by_size, 0)[0] or kind == "equal"


def test_repeats_and_seeds_are_other_divisions_and_every_group_tests():
    dataset = grouped(1, 20)
    folds = Holdout(repeats=40).folds(dataset)
    tested = [frozenset(dataset.groups[fold.test].tolist()) for fold in folds]
    assert len(set(tested)) > 30
    counts = Counter(group for groups in tested for group in groups)
    small = [g for g, size in Counter(dataset.groups.tolist()).items() if size < 15]
    assert all(counts[group] for group in small)
    assert [f.test.tolist() for f in Holdout(repeats=40).folds(dataset)] == [f.test.tolist() for f in folds]


def test_a_share_below_any_group_gets_one_and_says_so():
    dataset = dataset_of(np.arange(120) % 2, groups=np.arange(120) // 12)
    with pytest.warns(Advice, match="split.test = 0.01: the test set has 10% of the examples, since groups"):
        (fold,) = Holdout(test=0.01).folds(dataset)
    assert len(fold.test) == 12 and len(fold.validation) == 24


# ---- times


@every_split
@pytest.mark.parametrize("ties", [1, 3, 10])
def test_the_past_trains_what_follows_validates_and_the_last_tests(split, ties):
    rng = np.random.default_rng(3)
    times = rng.permutation(np.arange(300) // ties).astype(float)
    dataset = dataset_of(rng.integers(2, size=300), times=times)
    folds = split.folds(dataset)
    for fold in folds:
        for before, after in zip(parts_of(fold), parts_of(fold)[1:], strict=False):
            assert times[before].max() < times[after].min()
            assert (np.diff(before) > 0).all() and (np.diff(after) > 0).all()
        assert abs(len(fold.test) - split.test * 300) <= ties / 2
        assert np.array_equal(fold.test, folds[0].test)
    if isinstance(split, Holdout):
        assert abs(len(fold.validation) - split.validation * 300) <= ties
        assert sum(map(len, parts_of(fold))) == 300
    for first, second in zip(folds, folds[1:], strict=False):  # windows one after another
        assert np.array_equal(np.union1d(first.train, first.validation), second.train)


@pytest.mark.parametrize("n, k", [(100, 5), (97, 5), (23, 7), (12, 11)])
def test_windows_are_those_of_scikit_learn(n, k):
    dataset = dataset_of(np.arange(n) % 2, times=np.arange(n) * 3.5)
    folds = KFold(k=k, test=0).folds(dataset)
    for fold, (train, test) in zip(folds, TimeSeriesSplit(k).split(dataset.x), strict=True):
        assert np.array_equal(fold.train, train) and np.array_equal(fold.validation, test)


# ---- parts, and test sets of the data's own


@pytest.mark.parametrize("given", [("validation", "test"), ("validation",), ("test",)])
@pytest.mark.parametrize("structure", ["none", "groups", "times"])
def test_given_parts_are_kept_and_others_drawn(given, structure):
    rng = np.random.default_rng(2)
    parts = np.zeros(200, np.int64)
    for part in given:
        parts[rng.choice(np.flatnonzero(parts == 0), 30, replace=False)] = PARTS.index(part)
    structures = {"groups": np.arange(200) // 5, "times": rng.permutation(200).astype(float)}
    arrays = {name: values for name, values in structures.items() if name == structure}
    dataset = dataset_of(rng.integers(2, size=200), parts=parts, **arrays)
    (fold,) = Holdout().folds(dataset)
    assert sum(map(len, parts_of(fold))) == 200 and len(parts_of(fold)) == 3
    for part in given:
        assert np.array_equal(getattr(fold, part), np.flatnonzero(parts == PARTS.index(part)))
    drawn = {"validation", "test"} - set(given)
    for part in drawn:
        assert abs(len(getattr(fold, part)) - 40) <= 2
        if structure == "groups":
            others = np.setdiff1d(np.flatnonzero(parts == 0), getattr(fold, part))
            assert not {*dataset.groups[getattr(fold, part)]} & {*dataset.groups[others]}
        if structure == "times" and part == "validation":
            assert dataset.times[fold.train].max() < dataset.times[fold.validation].min()
    if "test" in given:
        (none,) = NoSplit().folds(dataset)
        assert np.array_equal(none.test, fold.test) and len(none.train) == 170


def test_folds_divide_what_a_given_test_set_leaves():
    parts = np.where(np.arange(100) % 10 == 0, 2, 0)
    for arrays in ({}, {"groups": np.arange(100) // 4}):
        for fold in KFold(k=4, repeats=2).folds(dataset_of(np.arange(100) % 2, parts=parts, **arrays)):
            assert np.array_equal(fold.test, np.arange(0, 100, 10)) and len(fold.train) > 60


# ---- what does not go together


Y = np.arange(60) % 2
ONE = np.zeros(60, np.int64)
GIVEN = np.arange(60) % 3
WRONG = {
    "groups and times": (Holdout(), {"groups": Y, "times": Y}, "the data have groups and times, and a split"),
    "one group": (Holdout(), {"groups": ONE}, "all 60 examples for training, validation and test are of one"),
    "two groups, three parts": (
        Holdout(stratify=False), {"groups": Y}, "all 30 examples for training and validation are of one group"
    ),
    "folds of one group": (KFold(test=0), {"groups": ONE}, "split.k = 5: only 1 group to .*; leave"),
    "more folds than groups": (
        KFold(test=0), {"groups": np.arange(60) // 20}, "split.k = 5: only 3 groups to .*; allowed: at most 3"
    ),
    "a class in one group": (
        Holdout(), {"groups": np.where(Y == 0, 0, np.arange(60))},
        "split.stratify = true: class 'a' is in 1 group, which cannot be in two sets",
    ),
    "one time": (Holdout(), {"times": ONE}, "all 60 examples .* are of one time, and"),
    "more folds than times": (
        KFold(test=0), {"times": np.arange(60) // 15}, "split.k = 5: only 4 times to .*; allowed: at most 3"
    ),
    "many of one time": (
        KFold(test=0), {"times": np.maximum(np.arange(60) - 50, 0)}, "split.k = 5: so many .* the same time"
    ),
    "repeats by time": (Holdout(repeats=2), {"times": np.arange(60)}, "split.repeats = 2: a split by time"),
    "repeats of parts": (Holdout(repeats=2), {"parts": GIVEN}, "split.repeats = 2: the data say which"),
    "more than is left": (
        Holdout(test=0.5), {"parts": (np.arange(60) < 40).astype(int)},
        "split.test = 0.5 is 30 of the 60 examples, and only 20 are left to divide; choose a smaller share",
    ),
    "folds of parts": (KFold(), {"parts": GIVEN}, "split=kfold: the data say which examples validate"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::nnlab.Advice")
@pytest.mark.parametrize("split, arrays, sentence", WRONG.values(), ids=WRONG)
def test_what_cannot_be_divided_is_one_sentence(split, arrays, sentence):
    with pytest.raises(UserError, match=sentence):
        split.folds(dataset_of(Y, **arrays))


WRONG_PARTS = {
    "nothing trains": ({"parts": 1 + Y}, "no example trains: all validate or test"),
    "two test sets": ({"parts": 2 * Y, "test": np.array([2])}, "a test set of their own, and other examples"),
    "a test example validates": ({"parts": Y, "test": np.array([1])}, "in it examples whose part is valid"),
}


@pytest.mark.parametrize("arrays, sentence", WRONG_PARTS.values(), ids=WRONG_PARTS)
def test_parts_that_contradict_each_other_are_refused(arrays, sentence):
    with pytest.raises(UserError, match=sentence):
        Given(dataset_of(Y, **arrays)).load()


# ---- limit, refit, files


@pytest.mark.parametrize("classes", [0, 2])
def test_a_limit_keeps_whole_groups_about_so_many(classes):
    dataset = grouped(5, 80, classes)
    sizes = Counter(dataset.groups.tolist())
    for limit in (100, 300):
        limited = Given(dataset, limit=limit).load()
        assert all(sizes[g] == count for g, count in Counter(limited.groups.tolist()).items())
        assert abs(len(limited.x) - limit) <= max(sizes.values())
        if classes:
            assert abs(limited.y.mean() - dataset.y.mean()) < 0.1


def test_a_limit_does_not_divide_the_only_group():
    dataset = dataset_of(np.arange(20) % 2, groups=np.zeros(20, int))
    with pytest.raises(UserError, match="data.limit = 10: all 20 examples are of one group"):
        Given(dataset, limit=10).load()
    assert len(Given(dataset, limit=20).load().x) == 20


def test_a_limit_keeps_the_parts_in_proportion():
    dataset = dataset_of(np.arange(200) % 2, parts=np.repeat([0, 1, 2], [100, 60, 40]))
    limited = Given(dataset, limit=50).load()
    assert np.bincount(limited.parts).tolist() == [25, 15, 10]
    with pytest.raises(UserError, match="data.limit = 2: too few for a training set and a"):
        Given(dataset, limit=2).load()


def test_a_refit_trains_on_the_past_and_the_window_alone():
    dataset = dataset_of(np.arange(80) % 2, times=np.arange(80.0))
    e = nnlab.Experiment(data=Given(dataset), split=KFold(k=3), refit=True, epochs=2)
    results = nnlab.fit(e).run().results
    sizes = [(r.examples["train"], r.examples["validation"], r.refit.examples) for r in results]
    assert sizes == [(16, 16, 32), (32, 16, 48), (48, 16, 64)]


def test_a_run_by_time_writes_which_examples_are_unused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    times = rng.permutation(90)
    np.savez("data.npz", X=rng.normal(size=(90, 3)), y=rng.integers(2, size=90), times=times)
    line = ["data=npz", "data.path=data.npz", "split=kfold", "split.k=2", "split.test=0.1", "epochs=1"]
    assert main(["train", *line, "data.limit=60"]) == 0
    (folder,) = (tmp_path / "outputs/train").iterdir()
    splits = nnlab.StoredRun(str(folder)).splits
    lines = [json.loads(line) for line in (folder / "splits.jsonl").read_text().splitlines()]
    assert (
        len(splits) == 2
        and "unused" not in splits[1]
        and [*lines[1]] == ["repeat", "fold", "validation", "test"]
    )
    for split in splits:
        later = times[split["test"]].min()
        assert times[split["validation"]].max() < later
    assert np.array_equal(np.sort(splits[0]["unused"]), np.sort(splits[1]["validation"]))
    rows = json.loads((folder / "rows.json").read_text())
    assert [row["examples"]["train"] for row in rows] == [18, 36]
    assert json.loads((folder / "summary.json").read_text())["windows"] == 2
    said = capsys.readouterr().out  # repeats would be refused
    assert (
        "mean over 2 windows of time; for an interval over seeds: seeds=10" in said and "repeat" not in said
    )


# ---- what `nnlab check` says of them


def verdict_of(dataset, **settings):
    e = nnlab.Experiment(data=Given(dataset), **settings)
    (verdict,) = nnlab.check(e, only="data")
    return {finding.cause: finding for finding in verdict.findings}


@pytest.mark.filterwarnings("ignore::nnlab.Advice")
def test_groups_in_two_parts_are_found_where_data_bring_them():
    dataset = grouped(3, 40)
    assert not {"groups_in_test", "groups_in_validation"} & verdict_of(dataset).keys()
    parts = np.arange(len(dataset.x)) % 3
    found = verdict_of(replace(dataset, parts=parts))
    for part in ("validation", "test"):
        groups = dataset.groups[parts == PARTS.index(part)]
        known = dataset.groups[parts < PARTS.index(part)]
        shared = len({*groups} & {*known})
        finding = found[f"groups_in_{part}"]
        assert finding.status == "warn" and finding.number == shared > 0
        assert finding.found.startswith(f"{shared} of the {len({*groups})} groups of the {part} set")
    own_test = replace(dataset, test=np.flatnonzero(parts == 2))
    assert {"groups_in_test"} == {cause for cause in verdict_of(own_test) if cause.startswith("groups")}


@pytest.mark.filterwarnings("ignore::nnlab.Advice")
def test_rare_classes_have_the_advice_of_class_weights_once():
    dataset = dataset_of((np.arange(400) % 20 == 0).astype(int))
    finding = verdict_of(dataset)["imbalance"]
    assert finding.status == "warn" and "class_weight=balanced" in finding.advice
    assert "imbalance" not in verdict_of(dataset, class_weight="balanced")
