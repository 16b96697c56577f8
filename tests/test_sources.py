"""Data sets: those shipped equal scikit-learn's, generated ones follow their formula; limits and noise."""

import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial
from statistics import NormalDist

import numpy as np
import pytest
import sklearn.datasets
import torch
from networks import DOUBLE, Points
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

import nnlab
from nnlab.commands import hydra_entry, run_folders
from nnlab.data.batches import Batches
from nnlab.data.examples import Examples
from nnlab.data.normalization import (
    NORMALIZATIONS,
    bounded_clip_,
    column_blocks,
    robust,
    smooth_clip_,
    statistics,
)
from nnlab.data.sources import (
    SOURCES,
    Data,
    Dataset,
    Digits,
    Line,
    Moons,
    Noise,
    RarePoints,
    Ravine,
    Sine,
    Spirals,
    Words,
)
from nnlab.data.splits import Fold, Holdout, KFold
from nnlab.errors import Advice, UserError
from nnlab.experiment import Experiment

SHIPPED = ("digits", "diabetes", "wine", "iris", "breast_cancer")
DRAWN = (Line, Sine, Noise, Moons, Spirals, Words)
NOT_DRAWN = (Ravine, RarePoints)  # or only their noise

# ---- the sets themselves


def test_every_source_is_tested():
    # In test_files.py, test_tables.py, test_mnist1d.py, test_image_folders.py, test_npy.py.
    elsewhere = {"idx", "csv", "npz", "table", "mnist1d", "images", "npy"}
    assert set(SOURCES) == {*SHIPPED, *(kind.name for kind in (*DRAWN, *NOT_DRAWN))} | elsewhere
    assert all(kind.__doc__ and not hasattr(kind, kind.name) for kind in SOURCES.values())
    assert all(getattr(nnlab, kind.__name__) is kind for kind in SOURCES.values())


@pytest.mark.parametrize("name", SHIPPED)
def test_what_sklearn_ships_equals_what_it_loads(name):
    raw = {"scaled": False} if name == "diabetes" else {}
    dataset, bunch = SOURCES[name]().load(), getattr(sklearn.datasets, f"load_{name}")(**raw)
    assert dataset.x.dtype == np.float64 and np.array_equal(dataset.x, bunch.data)
    assert np.array_equal(dataset.y if dataset.classes else dataset.y[:, 0], bunch.target)
    assert list(dataset.features) == list(bunch.feature_names)
    assert dataset.classes == tuple(map(str, getattr(bunch, "target_names", ())))
    targets = dataset.targets()
    assert np.array_equal(targets if dataset.classes else targets[:, 0], bunch.target)
    shape = (1, 8, 8) if name == "digits" else dataset.x.shape[1:]
    assert (dataset.spec.shape, dataset.spec.outputs) == (shape, len(dataset.classes) or 1)


def test_nothing_imports_sklearn_or_pandas():
    code = "import sys, nnlab; nnlab.Wine().load(); print('sklearn' in sys.modules, 'pandas' in sys.modules)"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.check_output([sys.executable, "-c", code], env=env, text=True).split() == ["False"] * 2


@pytest.mark.parametrize("kind", DRAWN, ids=lambda kind: kind.name)
def test_what_is_drawn_depends_on_the_seed_alone(kind):
    dataset, same_seed, other_seed = kind(n=50).load(), kind(n=50).load(), kind(n=50, seed=1).load()
    assert np.array_equal(dataset.x, same_seed.x) and np.array_equal(dataset.y, same_seed.y)
    assert not np.array_equal(dataset.x, other_seed.x) and len(dataset.x) == 50


def test_line():
    dataset = Line().load()
    assert dataset.x.shape == dataset.y.shape == (100, 1) and dataset.spec.task == "regression"
    assert 0 <= dataset.x.min() and dataset.x.max() < 1
    np.testing.assert_allclose(dataset.y, 0.1 * dataset.x + 0.3, atol=1e-15)
    noisy = Line(n=20_000, noise=0.5).load()
    assert np.std(noisy.y - 0.1 * noisy.x) == pytest.approx(0.5, rel=0.03)


def test_noise_is_normal_and_its_labels_are_random():
    dataset = Noise().load()
    assert dataset.x.shape == (400, 784) and dataset.classes == ("0", "1")
    assert abs(dataset.x.mean()) < 0.01 and dataset.x.std() == pytest.approx(1, abs=0.01)
    assert dataset.y.mean() == pytest.approx(0.5, abs=0.1)


def test_rare_words_tell_the_class_and_common_ones_do_not():
    words = Words(n=100_000, d=30, telling=20, purity=0.9, train_split=0.12)
    dataset = words.load()
    assert set(np.unique(dataset.x)) == {0, 1} and dataset.features[:2] == ("word 1", "word 2")
    assert len(dataset.test) == 88_000 and dataset.test[0] == 12_000
    first, second = (dataset.x[dataset.y == c].mean(0) for c in (0, 1))
    np.testing.assert_allclose((first + second) / 2, words.frequencies(), rtol=0.07)
    assert words.frequencies()[[0, -1]] == pytest.approx([0.5, 0.02])
    telling = (second - first) / (second + first)
    np.testing.assert_allclose(telling, [0.0] * 10 + [-0.9, 0.9] * 10, atol=0.07)


WRONG_WORDS = [
    ({"telling": 121}, "data.telling = 121"),
    ({"least": 0.4, "most": 0.3}, "data.least = 0.4 is above data.most = 0.3"),
    ({"n": 10, "train_split": 0.05}, "data.train_split = 0.05 of data.n = 10"),
    ({"n": 10_000_000, "d": 1000}, "10,000,000,000 numbers"),
]


@pytest.mark.parametrize("settings, said", WRONG_WORDS)
def test_words_that_cannot_be_drawn(settings, said):
    with pytest.raises(UserError, match=re.escape(said)):
        Words(**settings).load()


def test_moons_lie_on_half_circles():
    dataset = Moons(noise=0.0).load()
    upper, lower = (dataset.x[dataset.y == c] for c in (0, 1))
    assert len(upper) == len(lower) == 200 and (upper[:, 1] >= 0).all() and (lower[:, 1] <= 0.5).all()
    np.testing.assert_allclose(np.hypot(*upper.T), 1)
    np.testing.assert_allclose(np.hypot(*(lower - [1, 0.5]).T), 1)


def test_sine():
    dataset = Sine(periods=3.0, noise=0.0).load()
    assert dataset.x.shape == dataset.y.shape == (200, 1) and ((0 <= dataset.x) & (dataset.x < 1)).all()
    np.testing.assert_allclose(dataset.y, np.sin(6 * np.pi * dataset.x))
    noisy = Sine(n=20_000, noise=0.5, seed=1)
    residuals = noisy.load().y - noisy.function(noisy.load().x)
    assert np.std(residuals) == pytest.approx(0.5, rel=0.02) and np.mean(residuals) == pytest.approx(
        0, abs=0.02
    )


def test_spirals_turn_as_often_as_asked():
    dataset = Spirals(noise=0.0, turns=2.0).load()
    radius, angle = np.hypot(*dataset.x.T), np.arctan2(*dataset.x.T[::-1])
    expected = 4 * np.pi * radius + np.pi * dataset.y
    np.testing.assert_allclose(np.cos(angle - expected), 1)
    assert radius.max() <= 1


# ---- limit and label noise


@pytest.mark.parametrize("limit", [100, 1796, 1797, 5000])
def test_a_limit_keeps_the_shares_of_the_classes(limit):
    everything, limited = Digits().load(), Digits(limit=limit).load()
    n = min(limit, 1797)
    assert len(limited.x) == len(limited.y) == n
    exact = np.bincount(everything.y) * n / 1797
    assert np.abs(np.bincount(limited.y) - exact).max() < 1
    rows = {row.tobytes() for row in everything.x}
    assert all(row.tobytes() in rows for row in limited.x)
    assert np.array_equal(limited.x, Digits(limit=limit, normalization="none").load().x)
    assert n == 1797 or not np.array_equal(limited.x, Digits(limit=limit, seed=1).load().x)


@pytest.mark.parametrize("d, classes, separation", [(20, 2, 4.0), (20, 10, 6.0), (3, 3, 2.5)])
def test_separated_noise_has_the_bayes_error_that_it_says(d, classes, separation):
    same = Noise(n=40_000, d=d, classes=classes).load()
    data = Noise(n=40_000, d=d, classes=classes, separation=separation).load()
    assert np.array_equal(data.y, same.y) and len(data.classes) == classes
    means = np.stack([(data.x - same.x)[data.y == c][0] for c in range(classes)])
    apart = np.linalg.norm(means[:, None] - means, axis=2)
    assert apart[~np.eye(classes, dtype=bool)] == pytest.approx(separation)
    wrong = np.mean(((data.x[:, None] - means) ** 2).sum(2).argmin(1) != data.y)
    if classes == 2:
        assert wrong == pytest.approx(NormalDist().cdf(-separation / 2), abs=0.003)
    with pytest.raises(UserError, match="need as many inputs"):
        Noise(d=1, classes=2, separation=1.0).load()


def test_label_noise_replaces_the_labels_that_train_and_validate_but_none_that_tests():
    data = Digits(label_noise=0.3)
    dataset = data.load()
    replaced = dataset.noisy != dataset.y
    assert replaced.mean() == pytest.approx(0.3, abs=0.03)
    counts = np.bincount((dataset.noisy - dataset.y)[replaced] % 10, minlength=10)
    assert counts[0] == 0 and (np.abs(counts[1:] - replaced.sum() / 9) < 30).all()

    experiment = Experiment(data=data, split=KFold(k=2, repeats=2))
    rows, examples = experiment.rows(dataset), Examples(data, dataset, DOUBLE)
    for row in rows:
        for which, y in (("validation", dataset.noisy), ("test", dataset.y)):
            t = torch.cat([b.t[0, 0] for b in examples.evaluation_batches(row, which)])
            numbers = getattr(row.fold, which)
            assert np.array_equal(t[: len(numbers)], y[numbers])
    chunk = next(Batches(examples, rows[:1]).epoch(1))
    t = chunk.t[:, 0].argmax(1).flatten()
    expected = np.bincount(dataset.noisy[rows[0].fold.train], minlength=10)
    counts = np.bincount(t[chunk.valid.flatten() > 0], minlength=10)
    assert np.array_equal(counts, expected)


def test_no_label_noise_is_none_and_full_noise_leaves_no_label():
    assert Digits().load().noisy is None
    dataset = Digits(label_noise=1.0).load()
    assert (dataset.noisy != dataset.y).all()
    with pytest.raises(UserError, match=r"data.label_noise = 0.5: the targets of data 'line' are numbers"):
        Line(label_noise=0.5).load()


# ---- normalisation

SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler, "maxabs": MaxAbsScaler}


@pytest.mark.parametrize("normalization", SCALERS)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_every_dtype_is_normalised_as_by_sklearn(normalization, dtype, monkeypatch):
    monkeypatch.setattr("nnlab.data.normalization.BLOCK_ELEMENTS", 150)  # three columns at a time
    x = np.random.default_rng(0).integers(256, size=(90, 7)).astype(dtype)
    x[:, 2] = 7  # never varies
    dataset = Dataset(x, np.arange(90) % 3, tuple("abc"))
    examples = Examples(Points(normalization=normalization), dataset, DOUBLE)
    for fold in KFold(k=3).folds(dataset):
        actual, _ = examples.gather(fold, np.arange(90))
        reference = SCALERS[normalization]().fit(x[fold.train].astype(float)).transform(x.astype(float))
        np.testing.assert_allclose(actual.T, reference, atol=1e-12)


def test_every_normalization_is_compared_and_statistics_are_those_of_the_rows():
    assert set(NORMALIZATIONS) == {*SCALERS, "robust", "none"}
    x = np.random.default_rng(0).standard_normal((50, 3))
    for normalization in NORMALIZATIONS:
        for of_all, of_training in zip(
            statistics(x, normalization, np.arange(20)), statistics(x[:20], normalization), strict=True
        ):
            assert np.array_equal(of_all, of_training)
    assert all(block.dtype == np.float64 for _, block in column_blocks(x.astype(np.float32)))


def test_large_targets_keep_their_digits_in_float32():
    z = np.random.default_rng(0).standard_normal((90, 1))
    dataset, data = Dataset(z, 1e9 + z), Points(classes=0)
    examples = Examples(data, dataset, torch.empty(0))
    fold = Holdout().folds(dataset)[0]
    _, t = examples.gather(fold, np.arange(90))
    reference = StandardScaler().fit(z[fold.train]).transform(z)
    np.testing.assert_allclose(t.T, reference, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_robust_is_standard_where_nothing_is_far_and_finite_everywhere(dtype):
    near = np.random.default_rng(0).uniform(-1.7, 1.7, (200, 4))
    far = near.copy()
    far[-1] = [1e3, -1e30, 60.0, 3.3e38]  # of the test set
    fold = Fold(np.arange(150), np.arange(150, 175), np.arange(175, 200))
    y, template = np.arange(200) % 3, torch.empty(0, dtype=dtype)
    robust, standard = (
        Examples(Points(normalization=normalization), Dataset(x, y, tuple("abc")), template)
        for normalization, x in (("robust", far), ("standard", near))
    )
    within, _ = robust.gather(fold, np.arange(199))
    assert torch.allclose(within, standard.gather(fold, np.arange(199))[0], atol=1e-5)
    beyond, _ = robust.gather(fold, [199])
    scaling = robust.scaling(fold)
    z = (np.array([1e3, -1e30, 60.0, 3.3e38]) - scaling["mean"]) / scaling["scale"]
    np.testing.assert_allclose(beyond[:, 0], np.sign(z) * (5 + np.log1p(np.abs(z) - 5)), rtol=1e-5)
    assert beyond.abs().max() < 100
    assert np.array_equal(scaling["mean"], near[:150].mean(0))
    assert np.array_equal(scaling["scale"], near[:150].std(0))


def test_far_inputs_keep_their_order_and_the_curve_is_smooth():
    z = torch.linspace(-12, 12, 4801, dtype=torch.float64)
    y = smooth_clip_(z.clone())
    far = z.abs() > 5
    assert torch.equal(y[~far], z[~far]) and (y.diff() > 0).all()
    r = z[far].abs() - 5
    np.testing.assert_allclose(y[far], z[far].sign() * (5 + (1 + r).log()), rtol=1e-12)
    farther = smooth_clip_(torch.logspace(1, 38, 1000))  # in float32, too
    assert (farther.diff() > 0).all() and farther[-1] < 100
    slope = y.diff() / z.diff()
    assert slope.max() <= 1 + 1e-9 and slope.diff().abs().max() < 0.02
    old = bounded_clip_(z.clone(), 5.0)
    assert torch.equal(old[~far], z[~far])
    np.testing.assert_allclose(old[far], z[far].sign() * (5 + r / (1 + r * r).sqrt()), rtol=1e-12)


COLUMNS = {  # of 1,000 examples each
    "normal": lambda r: r.standard_normal(1000),
    "two values": lambda r: r.integers(2, size=1000),
    "counts": lambda r: r.poisson(0.3, 1000),
    "heavy tails": lambda r: np.exp(1.5 * r.standard_normal(1000)),
    "one outlier": lambda r: np.append(r.standard_normal(999), 1e6),
    "mostly zeros, one outlier": lambda r: np.append(r.random(999) * (r.random(999) < 0.2), 1e9),
    "far from 0": lambda r: 1e9 + r.standard_normal(1000),
    "constant": lambda r: np.full(1000, 0.1),
    "one example differs": lambda r: np.append(np.zeros(999), 1.0),
}  # fmt: skip


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_kind_of_column_is_told_apart_by_the_robust_normaliser(kind, dtype):
    x = COLUMNS[kind](np.random.default_rng(1)).astype(float)[:, None]
    dataset = Dataset(x, np.arange(1000) % 2, ("a", "b"))
    every = np.arange(1000)
    examples = Examples(Points(normalization="robust"), dataset, torch.empty(0, dtype=dtype))
    z, _ = examples.gather(Fold(every, every, every), every)
    assert z.isfinite().all() and z.abs().max() <= 5 + np.log(1e10)
    bulk = np.sort(np.unique(x))[: max(2, int(0.9 * len(np.unique(x))))]
    if len(bulk) > 1:  # most values stay apart: one far value does not press the others together
        of = {v: float(z[0, np.flatnonzero(x[:, 0] == v)[0]]) for v in bulk}
        assert len(set(of.values())) == len(bulk) and max(of.values()) - min(of.values()) > 0.5
        assert list(of.values()) == sorted(of.values())
    else:
        assert z.abs().max() < 1e-12


TAILS = {
    "t1.5": lambda r: r.standard_t(1.5, 500),
    "cauchy": lambda r: r.standard_cauchy(500),
    "lognormal": lambda r: r.lognormal(0, 1.5, 500),
    "pareto": lambda r: r.pareto(1.5, 500),
}


@pytest.mark.parametrize("tail", TAILS)
def test_of_a_heavy_tail_hardly_anything_is_bent(tail):
    random = np.random.default_rng(2)
    for _ in range(20):
        x = TAILS[tail](random)
        mean, scale = robust(x[:, None])
        assert (np.abs(x - mean) > 5 * scale).mean() <= 0.02


@pytest.mark.parametrize(
    "share, value", [(0.002, 1e6), (0.01, 1e6), (0.03, -999), (0.05, -99999), (0.03, 40)]
)
def test_a_code_for_a_missing_value_is_no_tail(share, value):
    random = np.random.default_rng(3)
    x = random.standard_normal(1000)
    x[random.random(1000) < share] = value
    mean, scale = robust(x[:, None])
    assert abs(mean[0]) < 1 and 0.8 < scale[0] < 4  # the others lie as far apart as they should


class Given(Data):
    """Whatever it is given."""

    name = "given"

    def read(self):
        return self.given


def given(x, **settings):
    data = Given(**settings)
    object.__setattr__(data, "given", Dataset(x, np.arange(len(x)) % 2, ("a", "b")))
    return data


@pytest.mark.parametrize("normalization, share, width, smallest, message", [
    ("robust", 0.95, 100, 0, True), ("standard", 0.95, 100, 0, True), ("minmax", 0.95, 100, -1, True),
    ("minmax", 0.95, 100, 0, False), ("maxabs", 0.95, 100, -1, False), ("none", 0.95, 100, 0, False),
    ("standard", 0.81, 784, 0, False), ("standard", 0.95, 20, 0, False),
])  # fmt: skip
def test_advice_if_a_mean_would_fill_a_sparse_table(normalization, share, width, smallest, message):
    x = (np.random.default_rng(0).random((200, width)) > share) * 1.0
    if smallest < 0:
        x[0] = smallest
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        given(x, normalization=normalization).load()
    assert len(caught) == message and all(issubclass(w.category, Advice) for w in caught)
    if message:
        assert "95% of the inputs are zeros" in str(caught[0].message)
        assert "data.normalization=maxabs" in str(caught[0].message)


# ---- splits of awkward classes


def with_counts(*counts):
    y = np.repeat(np.arange(len(counts)), counts)
    return Dataset(np.zeros((len(y), 1)), y, tuple("abc"[: len(counts)]))


@pytest.mark.parametrize("split", [Holdout(), KFold()])
def test_a_class_of_one_example_cannot_be_stratified(split):
    with pytest.raises(UserError, match="class 'b' has 1 example, .* split.stratify=false"):
        split.folds(with_counts(30, 1))
    assert replace(split, stratify=False).folds(with_counts(30, 1))


def test_advice_if_k_is_larger_than_a_class():
    with pytest.warns(Advice, match="split.k = 5: class 'b' has 3 examples to divide"):
        KFold().folds(with_counts(30, 4))
    KFold(k=3).folds(with_counts(30, 4))


@pytest.mark.filterwarnings("default")
def test_the_command_says_advice_in_one_line(tmp_path, capsys):
    def prepare(settings):
        warnings.warn("mind the gap", Advice, stacklevel=1)

    argv = [f"hydra.run.dir={tmp_path / 'run'}"]
    run_all = partial(run_folders.run_each, "train", prepare=prepare, execute=lambda run: 0)
    assert hydra_entry.run("train", argv, run_all) == 0
    assert capsys.readouterr().err == "nnlab train: advice: mind the gap\n"
