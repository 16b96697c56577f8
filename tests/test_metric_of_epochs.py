"""`metric=` and `metrics=`: what is measured after every epoch, which epoch is the best, and who listens."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest

import nnlab
from nnlab.errors import Advice, UserError
from nnlab.metrics import METRICS, recorded_name
from nnlab.training.training import Training

RANDOM = np.random.default_rng(0)


def points(targets):
    x = RANDOM.normal(size=(len(targets), 4))
    x[:, 0] += targets
    return x


TWO, SEVEN = RANDOM.random(240) < 0.25, RANDOM.integers(7, size=240)
NUMBERS = RANDOM.normal(size=240) + 3
DATA = {
    "two": nnlab.Arrays(points(TWO), np.where(TWO, "yes", "no")),
    "seven": nnlab.Arrays(points(SEVEN), SEVEN.astype(str)),
    "numbers": nnlab.Arrays(points(NUMBERS), NUMBERS),
}
CLASS_COUNTS = {"two": 2, "seven": 7, "numbers": 0}
FITTING = [
    (name, data) for name, data in itertools.product(METRICS, DATA) if METRICS[name].fits(CLASS_COUNTS[data])
]


def experiment(data, **settings):
    settings = {"epochs": 6, "threads": 1, "optimizer": nnlab.Adam(lr=0.03), "device": "cpu"} | settings
    return nnlab.Experiment(data=DATA[data], **settings)


def trained(*experiments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        return nnlab.fit(*experiments).run()


@pytest.mark.parametrize("name, data", FITTING)
def test_the_best_epoch_is_that_of_the_best_value(name, data):
    """The first of equally good ones; and its weights answer so on the validation examples, bit for bit."""
    e = experiment(data, metric=name, seeds=2)
    fit = trained(e)
    curve = METRICS[name].cost(fit.curves(f"val_{name}"))
    model, dataset = nnlab.load(fit), fit.datasets[fit.experiments[0].data]
    validation = fit.rows[0].fold.validation
    labels = dataset.y[validation]
    y = [dataset.spec.label(c) for c in labels] if dataset.classes else labels
    for row, result in enumerate(fit.results):
        assert result.best_epoch == 1 + curve[row].argmin()
        report = model.evaluate(dataset.x[validation], y, row=row)
        assert report[name] == result.best[f"val_{name}"]


@pytest.mark.parametrize("data", DATA)
def test_what_is_measured_changes_nothing_else(data):
    """Every number and weight of a run is the same without: what is measured only looks."""
    class_weight = "none" if data == "numbers" else "balanced"  # which the validation loss has too
    plain = experiment(data, seeds=3, class_weight=class_weight)
    measured = replace(plain, metrics=tuple(n for n, d in FITTING if d == data))
    a, b = trained(plain), trained(measured)
    for name, values in a.history.items():
        assert np.array_equal(values, b.history[name]), name
    for first, second in zip(a.results, b.results, strict=True):
        assert first.best.items() <= second.best.items()
        assert str(first.test) == str(second.test)
        for name, weights in first.weights.items():
            assert np.array_equal(weights, second.weights[name])


@pytest.mark.parametrize("data", DATA)
def test_a_row_measures_the_same_alone(data):
    names = tuple(n for n, d in FITTING if d == data)
    split = nnlab.KFold(k=3)
    together = trained(experiment(data, split=split, metrics=names, seeds=2))
    alone = trained(experiment(data, split=split, metrics=names, seed=1))
    rows = [i for i, row in enumerate(together.rows) if row.seed == 1]
    for name in names:
        assert np.array_equal(together.curves(f"val_{name}")[rows], alone.curves(f"val_{name}")), name


@pytest.mark.parametrize("name, data", FITTING)
def test_patience_and_plateau_listen_to_it(name, data):
    """They watch what is minimised: a rule of the epochs since the best one, whatever the direction."""
    patience = nnlab.Patience(metric=name, patience=3)
    plateau = nnlab.ReduceOnPlateau(metric=name, patience=0, factor=0.5)
    fit = trained(
        experiment(data, metric=name, epochs=25, stopping=patience),
        experiment(data, epochs=8, schedule=plateau),
    )
    cost = METRICS[name].cost(fit.curves(recorded_name(name)))
    stopped, first = fit.results[0], cost[0]
    best = np.minimum.accumulate(first[: stopped.epochs])
    waited = [stopped.epochs - 1 - int(np.flatnonzero(best == best[-1])[0])]
    assert stopped.epochs == 25 or waited == [3]
    lr, limit, expected = fit.curves("lr")[1], np.inf, [0.03]
    for value in cost[1, :7]:
        better = value < limit * (1 - plateau.threshold)
        limit = value if better else limit
        expected.append(expected[-1] * (1 if better else 0.5))
    assert lr[:8] == pytest.approx(expected)


@pytest.mark.parametrize("name, data", [c for c in itertools.product(METRICS, DATA) if c not in FITTING])
@pytest.mark.parametrize("key", ["metric", "metrics", "stopping", "schedule", "objective"])
def test_of_another_task_or_number_of_classes_it_is_refused(name, data, key):
    parts = {"stopping": nnlab.Patience, "schedule": nnlab.ReduceOnPlateau}
    with pytest.raises(UserError, match=f"'{name}' is for .*, but data 'arrays' has .*allowed with them: "):
        if key == "objective":
            nnlab.Sweep({"optimizer.lr": [0.1]}, nnlab.Search(objective=name), experiment(data))
        else:
            nnlab.fit(experiment(data, **{key: parts[key](metric=name) if key in parts else name}))


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.undefined])
def test_where_no_answer_defines_it_it_cannot_decide(name):
    """It may be measured beside: then it is NaN, left out of means, and counted."""
    x = np.random.default_rng(1).normal(size=(60, 3))
    task = METRICS[name].task
    y = np.zeros(60) if task == "regression" else np.repeat(["no", "yes"], [58, 2])
    data = nnlab.Arrays(x, y, task=task)
    splits = (nnlab.Holdout(stratify=False, validation=0.2, seed=seed) for seed in range(100))
    dataset = data.load()
    split = next(s for s in splits if not dataset.y[s.folds(dataset)[0].validation].any())
    settings = {"data": data, "epochs": 2, "split": split}
    deciding = {
        "metric": {"metric": name},
        "stopping.metric": {"stopping": nnlab.Patience(metric=name)},
        "schedule.metric": {"schedule": nnlab.ReduceOnPlateau(metric=name)},
    }
    for key, setting in deciding.items():
        with pytest.raises(UserError, match=f"^{key} = '{name}' is undefined on the 12 validation examples"):
            nnlab.fit(nnlab.Experiment(**setting, **settings))
    fit = trained(nnlab.Experiment(metrics=name, **settings))
    assert np.isnan(fit.curves(f"val_{name}")).all() == (name != "f1") and fit.results[0].best_epoch


def test_a_refit_and_no_validation():
    fit = trained(experiment("two", metric="roc_auc", refit=True))
    (result,) = fit.results
    assert result.refit.epochs == result.best_epoch and not np.isnan(result.best["val_roc_auc"])
    for wrong in ({"metric": "roc_auc"}, {"metric": "last", "metrics": ["roc_auc", "f1"]}):
        with pytest.raises(UserError, match="no validation examples, which .*roc_auc.* needs"):
            experiment("two", split=nnlab.NoSplit(), **wrong)


@pytest.mark.parametrize("names", ["roc_auc", ["roc_auc"], ("roc_auc", "roc_auc", "f1")])
def test_metrics_are_a_name_or_a_list(names):
    e = experiment("two", metrics=names, metric="f1")
    assert e.measured == ("f1", "roc_auc")


# ---- the search


@pytest.mark.parametrize("settings, search, sign", [
    ({}, {"objective": "balanced_accuracy"}, -1),
    ({"metric": "roc_auc"}, {}, -1),
    ({"metric": "brier_score"}, {}, 1),
    ({}, {"objective": ("log_loss", "f1")}, 1),
    ({"metric": "roc_auc"}, {"objective": "val_loss"}, 1),
])  # fmt: skip
def test_trials_are_ranked_in_the_direction_of_the_metric(settings, search, sign):
    base = experiment("two", epochs=4, **settings)
    sweep = nnlab.Sweep(
        {"optimizer.lr": [1e-4, 1e-2, 1e-1]}, nnlab.Search(sampler="grid", trials=3, **search), base
    ).run()
    objective = sweep.search.objectives[0]
    assert sweep.search.signs[0] == sign
    values = {trial.number: trial.values[0] for trial in sweep.trials}
    alone = [
        trained(experiment("two", epochs=4, metrics=("balanced_accuracy", "log_loss", "f1"),
                           **settings | {"optimizer": nnlab.Adam(lr=trial.params["optimizer.lr"])}))
        for trial in sweep.trials
    ]  # fmt: skip
    assert list(values.values()) == [fit.results[0].best[recorded_name(objective)] for fit in alone]
    if len(sweep.search.objectives) == 1:
        assert sweep.best.values[0] == (max if sign < 0 else min)(values.values())


def test_the_worst_may_be_asked_for():
    base, search = experiment("two"), nnlab.Search(objective="roc_auc", direction="minimize", trials=2)
    with pytest.warns(Advice, match="objective=roc_auc: the larger the better"):
        assert nnlab.Sweep({"optimizer.lr": [1e-4, 1e-1]}, search, base).search.signs == (1,)


# ---- advice


# share of the rarer class, settings -> whether it is said
SAID = [
    (0.03, {}, True),
    (0.45, {}, False),
    (0.03, {"class_weight": "balanced"}, False),
    (0.03, {"threshold": 0.6}, False),
    (0.03, {"calibrate": "temperature"}, True),
]


@pytest.mark.parametrize("share, settings, said", SAID, ids=str)
def test_no_better_than_the_most_frequent_class(share, settings, said):
    y = np.where(np.arange(600) < 600 * share, "rare", "usual")
    e = nnlab.Experiment(
        data=nnlab.Arrays(np.random.default_rng(0).normal(size=(600, 3)), y),
        epochs=2,
        **settings,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nnlab.fit(e).run()
    sentences = [str(w.message) for w in caught if "most frequent class" in str(w.message)]
    assert len(sentences) == said
    assert all("always answering 'usual'" in s and "class_weight=balanced" in s for s in sentences)


@pytest.mark.parametrize("share, is_said", [(0.1, True), (0.5, False)])
def test_weights_of_classes_work_against_a_temperature(share, is_said):
    """They raise the rare class's probability, so the calibration error stays above that without weights."""
    x = np.random.default_rng(0).normal(size=(1500, 2))
    y = np.where(x[:, 0] + np.random.default_rng(1).normal(size=1500) > np.quantile(x, 1 - share), "b", "a")
    e = nnlab.Experiment(data=nnlab.Arrays(x, y), calibrate="temperature", epochs=15, class_weight="balanced")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = nnlab.fit([e, replace(e, class_weight="none")]).run()
    said = [str(w.message) for w in caught if "cannot undo that" in str(w.message)]
    assert len(said) == is_said
    if is_said:
        errors = [result.test["calibration_error"] for result in fit.results]
        assert f"the calibration error on test examples is {errors[0]:.2%}" in said[0]
        assert errors[0] > 2 * errors[1]


def test_training_goes_on_from_its_state():
    """Best values and what listens are part of it, bit for bit."""
    stopping = nnlab.Patience(metric="f1", patience=2)
    fit = nnlab.fit(experiment("two", metric="roc_auc", stopping=stopping, epochs=12, seeds=3))
    examples = fit.cache.examples(fit.rows[0])
    whole, first = Training(fit.rows, examples, 1), Training(fit.rows, examples, 1)
    expected, records = [], []
    while len(whole):
        expected.append(whole.epoch()[0])
    for _ in range(3):
        records.append(first.epoch()[0])
    second = Training(fit.rows, examples, 1).restore(first.state())
    while len(second):
        records.append(second.epoch()[0])
    assert len(records) == len(expected) > 3
    for record, other in zip(records, expected, strict=True):
        assert record.ended == other.ended and record.improved.tolist() == other.improved.tolist()
        assert all(np.array_equal(values, other.metrics[name]) for name, values in record.metrics.items())
