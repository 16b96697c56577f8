"""Class and example weights: factors on the losses, against repeated examples, scikit-learn and numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import Points, one_thread  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

import nnlab
from nnlab.checks.chance_level import measure_chance
from nnlab.cli import main
from nnlab.data.batches import Batches
from nnlab.data.examples import Examples
from nnlab.data.loss_weights import loss_weights
from nnlab.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:the accuracy:nnlab.Advice")  # of a few epochs

RANDOM = np.random.default_rng(0)
X, LABELS = RANDOM.standard_normal((40, 3)), np.array(["a", "b", "b", "c", "b"] * 8)
NUMBERS = RANDOM.standard_normal((40, 2))
COUNTS = RANDOM.integers(0, 4, 40)  # how often an example is there
FULL = nnlab.Experiment(
    model=nnlab.MLP(hidden=(5,), activation="tanh"), split=nnlab.NoSplit(), metric="last", batch_size="full",
    optimizer=nnlab.Momentum(lr=0.1), epochs=20, dtype="float64", threads=1,
)  # fmt: skip
PLAIN = {"normalization": "none"}


def trained(e, *arrays, **settings):
    if len(arrays[1]) and arrays[1].ndim == 2:
        settings["target_normalization"] = "none"
    return nnlab.fit(replace(e, data=nnlab.Arrays(*arrays, **PLAIN, **settings))).run().results[0]


# ---- what a weight is


LOSSES = {
    "cross_entropy": LABELS, "sparsemax_loss": LABELS, "binary_cross_entropy": LABELS,
    "squared_error": NUMBERS, "absolute_error": NUMBERS,
}  # fmt: skip


@pytest.mark.parametrize("scale", [1.0, 0.01, 1e6, 1e307])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_of_n_is_the_example_n_times(loss, scale):
    """With gradients of all examples, whatever the weights are multiplied by."""
    e, y = replace(FULL, loss=loss), LOSSES[loss]
    weighted = trained(e, X, y, weights=scale * COUNTS)
    repeated = trained(e, X.repeat(COUNTS, 0), y.repeat(COUNTS, 0))
    for name, array in repeated.weights.items():
        np.testing.assert_allclose(weighted.weights[name], array, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(weighted.best["train_loss"], repeated.best["train_loss"], rtol=1e-9)


def test_class_weights_are_weights_of_their_examples():
    named = trained(replace(FULL, class_weight={"a": 4, "c": 0.5}), X, LABELS)
    by_example = trained(FULL, X, LABELS, weights=np.select([LABELS == "a", LABELS == "c"], [4, 0.5], 1.0))
    balanced = trained(replace(FULL, class_weight="balanced"), X, LABELS)
    as_sklearn = trained(FULL, X, LABELS, weights=compute_sample_weight("balanced", LABELS))
    for first, second in ((named, by_example), (balanced, as_sklearn)):
        for name, array in first.weights.items():
            np.testing.assert_allclose(second.weights[name], array, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("class_weight", ["none", "balanced", {"a": 1e308, "b": 1e308, "c": 1e300}])
def test_only_ratios_of_weights_matter(class_weight):
    """To the bit, where they are powers of two; however large their sum would be."""
    weights = np.random.default_rng(2).uniform(0.5, 1, 40)
    dataset = nnlab.Arrays(X, LABELS).load()
    (fold,) = nnlab.Holdout().folds(dataset)
    each = [
        loss_weights(replace(dataset, weights=np.ldexp(weights, power)), class_weight, fold)
        for power in (0, -900, 1024)
    ]
    assert all(np.array_equal(each[0], other) for other in each)
    assert each[0][fold.train].mean() == pytest.approx(1)


@pytest.mark.parametrize("class_weight, weighted", [("balanced", True), ({"b": 5.0}, False)])
def test_logistic_regression_of_scikit_learn(class_weight, weighted):
    """At convergence: C counts the sum of losses, our penalty is beside their weighted mean."""
    weights = np.random.default_rng(1).uniform(0.5, 2, 40) if weighted else np.ones(40)
    factors = class_weight
    if class_weight == "balanced":  # by the weights of the classes, not their counts
        total = [weights[LABELS == c].sum() for c in "abc"]
        factors = {c: weights.sum() / (3 * t) for c, t in zip("abc", total, strict=True)}
    each = weights * [factors.get(label, 1) for label in LABELS]
    peer = LogisticRegression(C=1 / (0.02 * each.sum()), class_weight=factors, tol=1e-10, max_iter=10000)
    peer.fit(X, LABELS, weights)
    e = replace(
        FULL, model=nnlab.Logistic(), regularizer=nnlab.Regularizer(l2=0.02),
        class_weight=class_weight, epochs=1000, optimizer=nnlab.Nesterov(lr=0.6),
    )  # fmt: skip
    data = nnlab.Arrays(X, LABELS, **PLAIN, weights=weights if weighted else None)
    model = nnlab.load(nnlab.fit(replace(e, data=data)).run())
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-6)


def test_balanced_is_that_of_scikit_learn_on_the_training_examples_of_the_row():
    data = nnlab.Arrays(X, LABELS)
    dataset = data.load()
    for fold in nnlab.KFold(k=3, stratify=False).folds(dataset):
        weights = loss_weights(dataset, "balanced", fold)
        expected = compute_class_weight("balanced", classes=np.arange(3), y=dataset.y[fold.train])
        np.testing.assert_allclose(weights, expected[dataset.y], rtol=1e-12)
        assert weights[fold.train].mean() == pytest.approx(1, abs=1e-12)


# ---- batches, records


BASE = nnlab.Experiment(data=Points(n=97), model=nnlab.MLP(hidden=(6,)), batch_size=10, epochs=3, threads=1)
CASES = {  # experiments, whose rows share a stack
    "one": [replace(BASE, class_weight="balanced")],
    "seeds": [replace(BASE, class_weight={"a": 7}, seeds=3)],
    "folds": [replace(BASE, class_weight="balanced", split=nnlab.KFold(k=4), seeds=2)],
    "mixed": [replace(BASE, class_weight=w, seeds=2) for w in ("none", "balanced", {"c": 9}, {"a": 0})],
    "full": [replace(BASE, class_weight=w, batch_size="full") for w in ("balanced", "none")],
    "example weights": [
        replace(BASE, data=nnlab.Arrays(X, LABELS, weights=COUNTS), class_weight=w, split=nnlab.KFold(k=3))
        for w in ("none", "balanced")
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_a_loss_counts_by_its_weight_in_the_mean_of_its_batch(name):
    run = nnlab.fit(CASES[name])
    (rows,) = run.stacks()
    dataset = run.datasets[rows[0].experiment.data]
    numbered = replace(dataset, x=np.arange(float(len(dataset.x)))[:, None], shape=None)
    examples = Examples(nnlab.Data(**PLAIN), numbered, torch.empty(0, dtype=torch.float64))
    (chunk,) = Batches(examples, rows).epoch(2)
    for k, row in enumerate(rows):
        expected = loss_weights(dataset, row.experiment.class_weight, row.fold)
        number = chunk.x[:, k, 0].long()
        weight, valid, factor = (
            v.expand(-1, len(rows), *v.shape[2:])[:, k]
            for v in (chunk.weight[:, :, 0], chunk.valid, chunk.loss_weight)
        )
        np.testing.assert_allclose(factor, expected[number])
        np.testing.assert_allclose(weight, expected[number] * (valid / valid.sum(1, keepdim=True)).numpy())


@pytest.mark.parametrize("name", CASES)
def test_a_row_equals_itself_alone(name):
    """Bit for bit, weighted or beside rows that are."""
    together = nnlab.fit([replace(e, refit=True) for e in CASES[name]]).run()
    assert len(together.stacks()) == 1
    for row, result in zip(together.rows, together.results, strict=True):
        e = replace(row.experiment, seed=row.seed, seeds=1)
        if isinstance(e.split, nnlab.KFold):
            e = replace(e, split=replace(e.split, fold=row.fold.number))
        (alone,) = nnlab.fit(e).run().results
        assert alone.best == result.best and alone.test == result.test
        for leaf, array in alone.weights.items():
            assert array.tobytes() == result.weights[leaf].tobytes()


@pytest.mark.parametrize("name", CASES)
def test_losses_are_weighted_in_records_and_errors_are_not(name):
    """The loss of the validation set is its weighted mean, by the weights of training."""
    for e in CASES[name]:
        run = nnlab.fit(replace(e, metric="last")).run()
        model, dataset = nnlab.load(run), run.datasets[e.data]
        for row, result in zip(run.rows, run.results, strict=True):
            held_back = row.fold.validation
            outputs = torch.from_numpy(model.outputs(dataset.x[held_back], row=row.number))
            y = torch.from_numpy(dataset.y[held_back])
            losses = torch.nn.functional.cross_entropy(outputs, y, reduction="none").numpy()
            weights = loss_weights(dataset, e.class_weight, row.fold)[held_back]
            assert result.best["val_loss"] == pytest.approx(np.average(losses, weights=weights), rel=1e-4)
            assert result.best["val_error"] == pytest.approx(float((outputs.argmax(1) != y).double().mean()))


def test_the_chance_level_is_that_of_the_weighted_loss():
    """Of the best constant answer: training never gets below it where inputs say nothing."""
    inputs = np.random.default_rng(0).standard_normal((4000, 2))
    noise = nnlab.Arrays(inputs, np.arange(4000) % 10 == 0)
    e = nnlab.Experiment(data=noise, class_weight="balanced", epochs=5)
    run = nnlab.fit(e).run()
    dataset, folds = run.datasets[noise], [row.fold for row in run.rows]
    chance = measure_chance(dataset, folds, e.loss_for(dataset.spec), e.class_weight)
    assert chance.loss == pytest.approx(np.log(2), abs=0.01) and chance.error == pytest.approx(0.1)
    assert run.results[0].best["val_loss"] > 0.97 * chance.loss


# ---- as users give them


def test_missing_classes_count_once_and_keys_may_be_values():
    y = np.arange(40) % 2
    for class_weight in ({1: 3}, {"1": 3.0}):
        e = nnlab.Experiment(data=nnlab.Arrays(X, y), class_weight=class_weight)
        assert e.class_weight == {"1": 3.0} and hash(e.class_weight) == hash(replace(e).class_weight)
        (fold,) = e.split.folds(e.data.load())
        weights = loss_weights(e.data.load(), e.class_weight, fold)
        np.testing.assert_allclose(weights, np.where(y == 1, 1.5, 0.5))
    truth = nnlab.Experiment(data=nnlab.Arrays(X, y == 1), class_weight={True: 2})
    nnlab.fit(truth)
    assert nnlab.Experiment(class_weight=None).class_weight == "none"


WRONG = {
    "a word": (
        "balance",
        "class_weight = 'balance': expected none or balanced or .*; did you mean 'balanced'",
    ),
    "no class": ({"d": 1}, "class_weight: 'd' is not a class of the data; allowed: a, b, c"),
    "below 0": ({"a": -1}, r"class_weight = \{'a': -1\}: expected none or balanced or \{NAME: a number at"),
    "text": ({"a": "x"}, r"class_weight = \{'a': 'x'\}: expected"),
    "nothing left": ({"a": 0, "b": 0, "c": 0}, "all 24 examples of a training set have the weight 0"),
    "a number": (3, "class_weight = 3: expected none or balanced"),
    "infinite": ({"a": np.inf}, "class_weight = .*: expected"),
}


@pytest.mark.parametrize("class_weight, sentence", WRONG.values(), ids=WRONG)
def test_wrong_class_weights_are_one_sentence(class_weight, sentence):
    with pytest.raises(UserError, match=sentence):
        nnlab.fit(nnlab.Experiment(data=nnlab.Arrays(X, LABELS), class_weight=class_weight))


def test_numbers_have_no_class_weights():
    with pytest.raises(UserError, match="class_weight = 'balanced' needs classes, .* class_weight=none"):
        nnlab.fit(nnlab.Experiment(data="diabetes", class_weight="balanced"))


WRONG_ARRAYS = {
    "too few": ({"weights": COUNTS[1:]}, r"weights has the shape \(39,\), expected \(40,\): one for each"),
    "text": ({"weights": LABELS}, "weights is text, 'a', expected numbers"),
    "below 0": ({"weights": -COUNTS}, r"weights\[\d+\] is -\d, expected a number at least 0"),
    "missing": ({"weights": np.full(40, np.nan)}, "is missing"),
    "no time": ({"times": LABELS}, "times is text, 'a'"),
    "no date": ({"times": np.full(40, np.datetime64("NaT"))}, r"times\[0\] is missing; expected a number or"),
    "wide": ({"groups": X}, r"groups has the shape \(40, 3\), expected \(40,\)"),
}


@pytest.mark.parametrize("arrays, sentence", WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
def test_wrong_arrays_are_one_sentence(arrays, sentence):
    with pytest.raises(UserError, match=sentence):
        nnlab.Arrays(X, LABELS, **arrays)


def test_arrays_and_npz_files_say_the_same(tmp_path):
    days = np.datetime64("2024-01-01") + np.arange(40)
    given = {"weights": COUNTS + 0.5, "groups": np.repeat(list("abcdefghij"), 4), "times": days.astype(int)}
    for tests in ({}, {"X_test": X[:7], "y_test": LABELS[:7]}):
        np.savez(tmp_path / "data.npz", X=X, y=LABELS, **given, **tests)
        from_file = nnlab.Npz(str(tmp_path / "data.npz")).load()
        in_memory = nnlab.Arrays(X, LABELS, *tests.values(), **given).load()
        for name in given:
            assert np.array_equal(getattr(from_file, name), getattr(in_memory, name))
            assert len(getattr(from_file, name)) == 40 + 7 * bool(tests)
    assert len(np.unique(in_memory.groups)) == 17
    dated = nnlab.Arrays(X, LABELS, times=days)
    assert np.array_equal(np.diff(dated.load().times), np.full(39, 86400.0))
    assert dated == nnlab.Arrays(X, LABELS, times=days.tolist()) != nnlab.Arrays(X, LABELS)
    with pytest.raises(UserError, match="data.npz: weights has the shape"):
        np.savez(tmp_path / "data.npz", X=X, y=LABELS, weights=COUNTS[:5])
        nnlab.Npz(str(tmp_path / "data.npz")).load()


def test_estimators_take_sample_weights():
    x, y = np.repeat(X[:2], 30, 0), np.array([0, 1] * 30)
    weights = np.where(y == 1, 9.0, 1.0)
    estimator = nnlab.Classifier(hidden=(4,), lr=0.05, l2=0, epochs=100)
    for fitted in (estimator.fit(x, y, weights), estimator.set_params(class_weight={1: 9}).fit(x, y)):
        np.testing.assert_allclose(fitted.predict_proba(x)[:, 1], 0.9, atol=0.01)
    mean = nnlab.Regressor(hidden=(4,), lr=0.05, l2=0, epochs=200).fit(
        x, y.astype(float), sample_weight=weights
    )
    np.testing.assert_allclose(mean.predict(x), 0.9, atol=0.01)


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ["data=iris", "epochs=2", "class_weight={setosa:10,virginica:0.5}"]
    assert main(["train", *line]) == 0
    (folder,) = (tmp_path / "outputs/train").iterdir()
    run = nnlab.StoredRun(str(folder))
    assert run.experiment.class_weight == {"setosa": 10, "virginica": 0.5}
    said = " ".join(capsys.readouterr().out.split())
    weights = "class_weight={'setosa': 10.0, 'virginica': 0.5}"
    assert f"losses are weighted by {weights}; those of the test set are not" in said
    resumed = ["train", f"resume={folder}"]
    assert main([*resumed, "class_weight={setosa:10,virginica:0.5}"]) == 0
    assert main([*resumed, "class_weight=balanced"]) == 2
    assert "began with {'setosa': 10, 'virginica': 0.5}, and continues with that" in capsys.readouterr().err
    assert main(["train", "-m", "data=iris", "epochs=2", "class_weight=none,balanced"]) == 0
    said = capsys.readouterr().out
    assert "2 runs: 2 rows in 1 stack" in said
    assert "the best first: least validation error (their losses differ in kind)" in said
    assert main(["train", "data=iris", "class_weight={setos:10}"]) == 2
    assert (
        "class_weight: 'setos' is not a class of the data; did you mean 'setosa'?" in capsys.readouterr().err
    )
