"""`nnlab.Classifier` and `nnlab.Regressor`: scikit-learn's own checks, its tools, and nnlab's results."""

import inspect
import pickle
import warnings
from dataclasses import fields, replace

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import nnlab

IRIS, DIABETES = load_iris(return_X_y=True), load_diabetes(return_X_y=True)
QUICK = {"epochs": 5, "hidden": (8,), "lr": 0.01}


def exceptions(estimator):
    """test_loss_weights.py has this for the objective. Here the scale of inputs and targets, which is fitted
    to every example alike, differs, and so do the last digits of float32."""
    return {"check_sample_weight_equivalence_on_dense_data": "the inputs' scale counts every example once"}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [nnlab.Classifier(epochs=8, lr=0.02), nnlab.Regressor(epochs=8, lr=0.02)],
    expected_failed_checks=exceptions,
)
def test_the_checks_of_scikit_learn(estimator, check):
    """All of the installed version. `check_array_api_input` skips itself unless SCIPY_ARRAY_API=1 is set."""
    check(estimator)


# ---- parameters


def test_parameters_are_the_fields_of_an_experiment():
    names = set(nnlab.Classifier().get_params())
    assert names == set(nnlab.Regressor().get_params())
    of_experiment = {f.name for f in fields(nnlab.Experiment)} - {"data", "histograms", "record"}
    assert names - of_experiment == {"hidden", "activation", "lr", "l2", "dropout", "normalization"}
    assert of_experiment <= names
    assert is_classifier(nnlab.Classifier()) and is_regressor(nnlab.Regressor())
    for cls in (nnlab.Classifier, nnlab.Regressor):
        assert repr(cls(seeds=3)) == f"{cls.__name__}(seeds=3)"
        assert [*inspect.signature(cls).parameters] == [*inspect.signature(nnlab.Classifier).parameters]


def test_what_an_estimator_trains_is_what_nnlab_trains():
    """The same bits as of the experiment that its parameters describe."""
    x, y = IRIS
    model, parts = nnlab.MLP(hidden=(8, 4), activation="tanh"), {"epochs": 4, "seeds": 2, "batch_size": 32}
    e = nnlab.Experiment(
        data=nnlab.Arrays(x, y, normalization="standard"),
        model=model, optimizer=nnlab.NAdam(lr=0.02), regularizer=nnlab.Regularizer(l2=0.1, dropout=0.2),
        split=nnlab.NoSplit(), metric="last", loss="sparsemax_loss", seed=3, **parts,
    )  # fmt: skip
    shortcuts = nnlab.Classifier(
        hidden=(8, 4), activation="tanh", optimizer="nadam", lr=0.02, l2=0.1, dropout=0.2,
        normalization="standard", loss="sparsemax_loss", seed=3, **parts,
    )  # fmt: skip
    objects = nnlab.Classifier(
        model=model, optimizer=nnlab.NAdam(), lr=0.02, regularizer=nnlab.Regularizer(l2=0.1), dropout=0.2,
        normalization="standard", loss="sparsemax_loss", seed=3, **parts,
    )  # fmt: skip
    expected = nnlab.load(nnlab.fit(e).run()).predict_proba(x)
    for estimator in (shortcuts, objects, clone(objects)):
        assert np.array_equal(estimator.fit(x, y).predict_proba(x), expected)
        assert replace(estimator.experiment(x, y), data=e.data) == replace(e, data=e.data)


def test_splits_by_name_take_no_test_set_and_objects_are_used_as_they_are():
    x, y = IRIS
    sizes = {}
    for split in ("none", "holdout", "kfold", nnlab.Holdout(), nnlab.KFold(k=3, test=0.1)):
        estimator = nnlab.Classifier(split=split, **QUICK).fit(x, y)
        counts = [{*result.examples.values()} for result in estimator.results_]
        assert estimator.score(x, y) > 0.5
        sizes[str(split)] = len(counts), estimator.results_[0].examples
    assert sizes["none"] == (1, {"train": 150, "validation": 0, "test": 0})
    assert sizes["holdout"] == (1, {"train": 120, "validation": 30, "test": 0})
    assert sizes["kfold"] == (5, {"train": 120, "validation": 30, "test": 0})
    assert sizes["Holdout()"] == (1, {"train": 90, "validation": 30, "test": 30})
    assert sizes["KFold(test=0.1, k=3)"] == (3, {"train": 90, "validation": 45, "test": 15})


def test_rows_are_averaged():
    x, y = IRIS
    estimator = nnlab.Classifier(seeds=2, split="kfold", **QUICK).fit(x, y)
    model = estimator.model_
    assert len(model.rows) == len(estimator.results_) == 10
    each = [model.predict_proba(x, row=row) for row in range(10)]
    np.testing.assert_allclose(estimator.predict_proba(x), np.mean(each, 0), atol=1e-12)
    assert len(estimator.history_["epoch"]) == 10 * QUICK["epochs"]
    accuracy = accuracy_score(y, estimator.predict(x))
    assert model.evaluate(x, y)["accuracy"] == estimator.score(x, y) == accuracy


def test_stopping_and_refit():
    x, y = IRIS
    settings = QUICK | {"epochs": 300, "lr": 0.05}
    estimator = nnlab.Classifier(split="holdout", stopping="patience", refit=True, **settings).fit(x, y)
    (result,) = estimator.results_
    assert result.status == "stopped" and result.epochs < 300 and result.refit.examples == 150
    assert estimator.score(x, y) > 0.9


WRONG = {
    "optimizer='adma'": ({"optimizer": "adma"}, "did you mean 'adam'"),
    "epochs": ({"epochs": 0}, "epochs = 0: expected"),
    "lr": ({"lr": -1}, "lr = -1: expected"),
    "hidden": ({"model": "linear", "hidden": (3,)}, r"hidden = \(3,\): model 'linear' has no hidden"),
    "split": ({"split": "hold"}, "unknown split 'hold'; did you mean 'holdout'"),
    "split 3": ({"split": 3}, "split = 3: expected a name or a nnlab.Split"),
    "stopping": ({"stopping": "patience"}, "split=none holds back no validation examples"),
    "metric": ({"metric": "val_loss"}, "split=none holds back no validation examples"),
    "normalization": ({"normalization": "zscore"}, "normalization"),
    "refit": ({"refit": "yes"}, "refit"),
    "diverges": ({"optimizer": "sgd", "lr": 1e30}, "the loss was not finite in 1 row: lower lr"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parameters_are_sentences_at_fit(name):
    parameters, sentence = WRONG[name]
    estimator = nnlab.Classifier(**{"epochs": 2} | parameters)
    with pytest.raises(nnlab.UserError, match=sentence) as caught:
        estimator.fit(*IRIS)
    assert "\n" not in str(caught.value) and not hasattr(estimator, "model_")
    with pytest.raises(ValueError, match="Invalid parameter 'lrr'"):
        estimator.set_params(lrr=1)


@pytest.mark.parametrize(
    "name, meant",
    [("optimzer", "optimizer"), ("hidden_layer_sizes", "hidden"), ("max_iter", "epochs"),
     ("random_state", "seed"), ("learning_rate_init", "lr"), ("solver", "optimizer")],
)  # fmt: skip
def test_names_of_others_are_known(name, meant):
    for cls in (nnlab.Classifier, nnlab.Regressor):
        with pytest.raises(nnlab.UserError, match=f"{cls.__name__} has no .*did you mean '{meant}'"):
            cls(**{name: 1})


def test_rows_that_diverge_are_left_out_with_an_advice():
    x = np.linspace(-1, 1, 40)[:, None]
    estimator = nnlab.Regressor(model="linear", optimizer="sgd", lr=1.0, seeds=8, epochs=100, batch_size=4)
    for lr in np.geomspace(1, 8, 24):  # somewhere some of eight diverge
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                estimator.set_params(lr=float(lr)).fit(x, x[:, 0])
            except nnlab.UserError:
                continue
        diverged = sum(result.status == "diverged" for result in estimator.results_)
        assert len(caught) == bool(diverged)
        if diverged:
            assert str(caught[0].message) == f"{diverged} of 8 rows diverged and are left out"
            assert np.isfinite(estimator.predict(x)).all()
            return
    pytest.skip("no learning rate was on the edge")


# ---- scikit-learn's tools


def test_its_tools():
    x, y = IRIS
    quick = nnlab.Classifier(**QUICK)
    assert cross_val_score(quick, x, y, cv=3).mean() > 0.6
    assert cross_val_predict(quick, x, y, cv=3, method="predict_proba").shape == (150, 3)
    search = GridSearchCV(quick, {"lr": [1e-5, 0.02], "hidden": [(4,), (16,)]}, cv=3).fit(x, y)
    assert search.best_params_["lr"] == 0.02 and search.predict(x).shape == (150,)
    pipeline = make_pipeline(StandardScaler(), quick).set_params(classifier__lr=0.05).fit(x, y)
    assert pipeline.score(x, y) > 0.8
    assert VotingClassifier([("a", quick), ("b", clone(quick))], voting="soft").fit(x, y).score(x, y) > 0.6
    assert CalibratedClassifierCV(quick, cv=3).fit(x, y).predict_proba(x).shape == (150, 3)
    assert permutation_importance(pipeline, x, y, n_repeats=2).importances_mean.shape == (4,)
    x, y = DIABETES
    regressor = nnlab.Regressor(**QUICK | {"epochs": 20})
    transformed = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    assert cross_val_score(transformed, x, y, cv=3).mean() > 0.2
    assert regressor.fit(x, y).score(x, y) == r2_score(y, regressor.predict(x))


def test_in_threads():
    x, y = IRIS
    quick = nnlab.Classifier(**QUICK)
    alone = cross_val_score(quick, x, y, cv=2)
    with joblib.parallel_backend("threading", n_jobs=2):
        assert np.array_equal(cross_val_score(quick, x, y, cv=2), alone)


def test_names_labels_and_several_targets():
    x, y = load_iris(return_X_y=True, as_frame=True)
    names = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    texts = names, names.astype("category"), names.to_numpy().astype(object)
    for labels in (*texts, y > 0, y * 10, y.astype(float)):
        estimator = nnlab.Classifier(**QUICK).fit(x, labels)
        assert set(estimator.predict(x)) <= set(np.unique(labels))
        assert np.array_equal(estimator.classes_, np.unique(labels))
        assert estimator.model_.evaluate(x, labels)["accuracy"] == estimator.score(x, labels)
    assert list(estimator.feature_names_in_) == list(x.columns) == list(estimator.model_.spec.features)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(x[x.columns[::-1]])
    assert np.array_equal(estimator.model_.predict(x[x.columns[::-1]]), estimator.predict(x))
    both = pd.DataFrame({"width": x.iloc[:, 1], "length": x.iloc[:, 2]})
    several = nnlab.Regressor(**QUICK | {"epochs": 50}).fit(x, both)
    assert several.predict(x).shape == (150, 2) and several.score(x, both) > 0.8


def test_not_fitted_and_one_class():
    for estimator in (nnlab.Classifier(), nnlab.Regressor()):
        with pytest.raises(NotFittedError):
            estimator.predict(IRIS[0])
    with pytest.raises(nnlab.UserError, match="y has only one class, 'a'"):
        nnlab.Classifier().fit(IRIS[0], ["a"] * 150)


# ---- nothing is left behind


def test_a_pickle_has_no_training_data():
    random = np.random.default_rng(0)
    x = random.normal(size=(20_000, 10))
    estimator = nnlab.Regressor(epochs=1, hidden=(4,), batch_size="full").fit(x, x[:, 0])
    data = pickle.dumps(estimator)
    assert len(data) < 100_000 and x[0].tobytes() not in data
    assert np.array_equal(pickle.loads(data).predict(x), estimator.predict(x))
    with pytest.raises(nnlab.UserError, match="does not keep the data"):
        estimator.model_.experiment.load()


def test_no_global_state_changes():
    np.random.seed(0)
    torch.manual_seed(0)
    before = (
        torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), torch.get_default_dtype(),
    )  # fmt: skip
    estimator = nnlab.Classifier(dropout=0.5, **QUICK).fit(*IRIS)
    estimator.predict_proba(IRIS[0])
    after = (
        torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), torch.get_default_dtype(),
    )  # fmt: skip
    assert before == after


def mixed_frame(n=90):
    """A pandas frame in which only a category and a hole tell the target."""
    rng = np.random.default_rng(0)
    plan = rng.choice(["gold", "silver", "iron"], n)
    age = rng.normal(40, 10, n)
    age[rng.random(n) < 0.3] = np.nan
    when = pd.date_range("2024-01-01", periods=n, freq="D")
    frame = pd.DataFrame({"plan": plan, "age": age, "when": when, "member": rng.random(n) < 0.5})
    return frame, np.where((plan == "gold") ^ np.isnan(age), "left", "stayed")


LIBRARIES = {"pandas": lambda frame: frame, "pyarrow": pa.Table.from_pandas, "polars": pl.from_pandas}


@pytest.mark.filterwarnings("ignore::nnlab.errors.Advice")  # doubts of made-up tables
@pytest.mark.parametrize("convert", LIBRARIES.values(), ids=LIBRARIES)
def test_frames_of_words_dates_and_holes(convert):
    frame, y = mixed_frame()
    estimator = nnlab.Classifier(epochs=60, lr=0.01).fit(convert(frame), y)
    assert estimator.score(convert(frame), y) > 0.95
    assert estimator.classes_.tolist() == ["left", "stayed"] and estimator.n_features_in_ == 4
    assert list(estimator.feature_names_in_) == list(frame.columns)
    assert [column.type for column in estimator.model_.spec.columns] == [
        "category",
        "number",
        "date",
        "boolean",
    ]
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(convert(frame[["age", "plan", "when", "member"]]))
    with pytest.raises(nnlab.UserError, match="X, row 1, column 'age': 'old' is not a number"):
        estimator.predict(convert(frame.assign(age=["31", "old", *["5"] * (len(frame) - 2)])))


@pytest.mark.filterwarnings("ignore::nnlab.errors.Advice")
def test_an_estimator_says_what_training_did_not_know():
    frame, y = mixed_frame()
    estimator = nnlab.Classifier(epochs=2).fit(frame, y)
    with pytest.warns(nnlab.Advice, match="X: 3 of .* have a 'plan' that training did not know"):
        estimator.predict(frame.assign(plan=["lead"] * 3 + frame.plan.tolist()[3:]))
    with pytest.raises(nnlab.UserError, match="in another spelling: 'GOLD' is 'gold'"):
        estimator.predict(frame.assign(plan=frame.plan.str.upper()).sort_values("plan"))


@pytest.mark.filterwarnings("ignore::nnlab.errors.Advice")  # doubts of made-up tables
def test_frames_with_labels_that_are_numbers_and_weights():
    frame, y = mixed_frame()
    labels = np.where(y == "left", 10, 9)
    weighted = nnlab.Classifier(epochs=40, lr=0.01, class_weight={10: 5.0}).fit(
        frame, labels, np.ones(len(y))
    )
    assert weighted.classes_.tolist() == [9, 10] and weighted.score(frame, labels) > 0.9
    assert weighted.model_.spec.classes == ("9", "10")


@pytest.mark.filterwarnings("ignore::nnlab.errors.Advice")  # doubts of made-up tables
def test_a_regressor_on_a_frame():
    frame, _ = mixed_frame()
    y = frame.plan.map({"gold": 3.0, "silver": 1.0, "iron": -2.0}).to_numpy()
    estimator = nnlab.Regressor(epochs=60, lr=0.01).fit(frame, y)
    assert estimator.score(frame, y) > 0.9
    with pytest.raises(nnlab.UserError, match="takes one target"):
        nnlab.Regressor().fit(frame, np.column_stack([y, y]))
