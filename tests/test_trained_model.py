"""A trained model: predictions equal to training's report and to numpy; messages for invalid input."""

import json
import pickle
import shutil
import tracemalloc
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
import torch
from safetensors.numpy import load_file, save_file
from scipy.special import expit, log_softmax, softmax

import nnlab
from nnlab.autodiff.simplex import sparsemax_by_bisection as simplex_nearest
from nnlab.cli import main
from nnlab.prediction.new_examples import validate_inputs
from nnlab.records.stored_run import StoredRun
from nnlab.testing.rows import Bumps

OLD = Path(__file__).parent / "old_runs"
SMALL = nnlab.Experiment(data=Bumps(), model=nnlab.MLP(hidden=(8,)), epochs=4, batch_size=16)
TWO = replace(SMALL, data=Bumps(classes=2))
NUMBERS = replace(SMALL, data=Bumps(classes=0))
RANDOM = np.random.default_rng(0)
X, SLOPES = RANDOM.normal(1e6, 3, (150, 4)), RANDOM.normal(size=(4, 3))
SEVERAL = nnlab.Arrays(X, (X - 1e6) @ SLOPES * [1e-6, 1, 1e9], targets=("a", "b", "c"))
FAR = nnlab.Arrays(np.where(RANDOM.random(X.shape) < 0.02, 1e12, X), ["no", "yes"] * 75)
EXPERIMENTS = {
    "seeds": replace(SMALL, seeds=3),
    "folds": replace(SMALL, split=nnlab.KFold(k=3, repeats=2), seeds=2),
    "refit": replace(SMALL, refit=True, seeds=2),
    "dropout": replace(SMALL, regularizer=["dropout", "dropconnect"]),
    "no split": replace(FAR and SMALL, data=nnlab.Arrays(X, ["a", "b"] * 75, X[:40], ["a", "b"] * 20),
                        split="none", metric="last"),
    "float64": replace(SMALL, dtype="float64", seeds=2),
    "several targets": replace(SMALL, data=SEVERAL, seeds=2, split=nnlab.KFold(k=3)),
    "absolute error": replace(NUMBERS, loss="absolute_error"),
    "sigmoid": replace(TWO, loss="binary_cross_entropy", seeds=2),
    "one against the rest": replace(SMALL, loss="binary_cross_entropy", seeds=2),
    "sparsemax": replace(SMALL, loss="sparsemax_loss", seeds=2),
    "least squares of classes": replace(SMALL, loss="squared_error", seeds=2),
    "linear": replace(NUMBERS, model="linear"),
    "logistic": replace(SMALL, model="logistic"),
    **{f"far {n}": replace(SMALL, data=replace(FAR, normalization=n))
       for n in ("robust", "standard", "minmax", "maxabs")},
    "raw": replace(SMALL, data=replace(SEVERAL, normalization="none", target_normalization="none",
                                       x=X - 1e6), optimizer=nnlab.SGD(lr=1e-19)),
    "maxabs targets": replace(SMALL, data=replace(SEVERAL, target_normalization="maxabs")),
}  # fmt: skip


def labelled(e: nnlab.Experiment, dataset, numbers):
    """Examples as a user has them: inputs, and labels or numbers."""
    y = dataset.y[numbers]
    if dataset.classes:
        return dataset.x[numbers], [dataset.spec.label(number) for number in y]
    return dataset.x[numbers], y


@pytest.fixture(scope="module")
def fits():
    trained = {}

    def fit(name):
        if name not in trained:
            trained[name] = nnlab.fit(EXPERIMENTS[name]).run()
        return trained[name]

    return fit


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_row_reports_of_its_test_set_the_bits_that_training_did(fits, name):
    fit = fits(name)
    model, dataset = nnlab.load(fit), fit.datasets[EXPERIMENTS[name].data]
    assert [row.number for row in model.rows] == [result.row for result in fit.results]
    for row, result in zip(fit.rows, fit.results, strict=True):
        x, y = labelled(row.experiment, dataset, row.fold.test)
        report = model.evaluate(x, y, row=row.number)
        assert repr(report) == repr(result.test)  # NaN equals itself
        if dataset.classes:
            assert np.mean(model.predict(x, row=row.number) == y) == result.test["accuracy"]


def test_the_bits_come_from_the_blocks_of_a_stream_too(fits):
    fit = fits("folds")
    model, dataset = nnlab.load(fit), fit.datasets[EXPERIMENTS["folds"].data]
    x, y = labelled(None, dataset, np.arange(len(dataset.x)))
    x, y = np.tile(x, (9, 1)), y * 9
    for row in (None, 3):
        scoring, batch = model.scoring(row), model.rows[0].batch
        for start in range(0, len(x), 2 * batch):
            scoring.add(x[start : start + 2 * batch], y[start : start + 2 * batch])
        assert scoring.report() == model.evaluate(x, y, row)
    with pytest.raises(nnlab.UserError, match="no examples"):
        model.scoring().report()


# ---- beside plain numpy


def normalized(x, n, normalization):
    z = (x - n["mean"]) / n["scale"]
    far = np.abs(z) > 5
    if normalization == "robust":
        z[far] = np.sign(z[far]) * (5 + np.log1p(np.abs(z[far]) - 5))
    return z


def answers(e, weights, normalizer, x):
    """What a relu network answers, and its outputs, in numpy's float64: (n, m) twice."""
    z = normalized(x, normalizer, e.data.normalization)
    if "hidden1.weight" in weights:
        z = np.maximum(z @ weights["hidden1.weight"].T + weights["hidden1.bias"].T, 0)
    z = (z @ weights["output.weight"].T + weights["output.bias"].T).astype(float)
    if "target_center" in normalizer:
        return z * normalizer["target_scale"] + normalizer["target_mean"], z
    if e.loss == "binary_cross_entropy":
        p = expit(z)
        return np.hstack([1 - p, p]) if p.shape[1] == 1 else p / p.sum(1, keepdims=True), z
    if e.loss == "sparsemax_loss" or e.loss == "squared_error":
        return simplex_nearest(torch.from_numpy(z.T)).numpy().T, z
    return softmax(z, 1), z


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_predictions_are_those_of_plain_numpy(fits, name):
    fit, e = fits(name), EXPERIMENTS[name]
    model, dataset = nnlab.load(fit), fit.datasets[e.data]
    x = dataset.x[::3]
    if name == "far standard":  # training loses digits: its center is that of all examples, far ones too
        return
    rows = [answers(e, r.weights, r.normalizer, x) for r in fit.results]
    predict = (
        model.predict_proba
        if dataset.classes
        else lambda x, row=None: model.predict(x, row).reshape(len(x), -1)
    )
    for row, (answer, z) in enumerate(rows):
        scale = np.abs(answer).max(0)
        np.testing.assert_allclose(predict(x, row) / scale, answer / scale, atol=3e-5)
        if dataset.classes:
            np.testing.assert_allclose(model.outputs(x, row), z, atol=3e-4)
    mean = np.mean([answer for answer, _ in rows], 0)
    np.testing.assert_allclose(predict(x) / np.abs(mean).max(0), mean / np.abs(mean).max(0), atol=3e-5)
    if dataset.classes:
        assert np.array_equal(model.predict(x), model.classes[predict(x).argmax(1)])
        np.testing.assert_allclose(predict(x).sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(model.outputs(x), model.outputs(x))


def test_the_report_of_averaged_rows_is_that_of_scikit_learn(fits):
    model, data = nnlab.load(fits("seeds")), fits("seeds").datasets[EXPERIMENTS["seeds"].data]
    x, y = labelled(None, data, np.arange(len(data.x)))
    report = model.evaluate(x, y)
    p, classes = model.predict_proba(x), list(model.classes)
    assert report["loss"] == pytest.approx(sk.log_loss(y, p, labels=classes), rel=1e-12)
    assert report["accuracy"] == sk.accuracy_score(y, model.predict(x))
    assert report["confusion_matrix"] == sk.confusion_matrix(y, model.predict(x), labels=classes).tolist()
    z = np.mean([softmax(model.outputs(x, row), 1) for row in range(3)], 0)
    np.testing.assert_allclose(p, z, atol=1e-12)
    np.testing.assert_allclose(log_softmax(model.outputs(x), 1), np.log(z), atol=1e-9)


def test_the_report_of_averaged_folds_of_a_regression(fits):
    model, data = nnlab.load(fits("several targets")), SEVERAL.load()
    report, predicted = model.evaluate(data.x, data.y), model.predict(data.x)
    rmse = sk.root_mean_squared_error(data.y, predicted, multioutput="raw_values")
    np.testing.assert_allclose(report["rmse_each"], rmse, rtol=1e-9)
    np.testing.assert_allclose(report["r2_each"], sk.r2_score(data.y, predicted, multioutput="raw_values"))
    scales = [row.normalizer["target_scale"] for row in model.rows]
    losses = [np.mean(((predicted - data.y) / scale) ** 2) for scale in scales]
    assert report["loss"] == pytest.approx(np.mean(losses), rel=1e-9)


def test_probabilities_that_are_0_or_1_have_a_finite_loss():
    """One row is so sure that its probability is 1 in float64: the mean of two rows has an output still."""
    x = np.linspace(-1, 1, 60)[:, None]
    for loss in ("cross_entropy", "binary_cross_entropy", "sparsemax_loss"):
        e = replace(SMALL, data=nnlab.Arrays(x, x[:, 0] > 0), loss=loss, seeds=2)
        model = nnlab.load(nnlab.fit(e).run())
        for row in model.rows:
            row.weights["output.weight"][:] *= 1e6
        far = np.array([[-1.0], [1.0]])
        assert np.isfinite(model.outputs(far)).all()
        for y in ([False, True], [True, False]):
            assert np.isfinite(model.evaluate(far, y)["loss"])
        np.testing.assert_allclose(model.predict_proba(far).sum(1), 1)


# ---- memory, threads, copies


def test_many_examples_need_no_memory_but_for_their_answers():
    e = replace(SMALL, model=nnlab.MLP(hidden=(2000,)), epochs=1, seeds=4)
    model = nnlab.load(nnlab.fit(e).run())
    x = np.zeros((20_000, model.spec.inputs), np.float32)
    model.predict(x[:1])
    tracemalloc.start()  # numpy's; torch's is that of a batch, whatever n is
    model.predict_proba(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000 * 8 * (4 * model.spec.outputs + 2 * model.spec.inputs) + 2**20


def test_a_copy_predicts_the_same(fits):
    model = nnlab.load(fits("seeds"))
    x = fits("seeds").datasets[EXPERIMENTS["seeds"].data].x
    expected = model.predict_proba(x)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(x), expected)
    assert np.array_equal(nnlab.load(fits("seeds")).predict_proba(x), expected)


def test_threads_wait_for_each_other(fits):
    from concurrent.futures import ThreadPoolExecutor

    model = nnlab.load(fits("folds"))
    x = fits("folds").datasets[EXPERIMENTS["folds"].data].x
    parts = [x[i : i + 20] for i in range(20)]
    expected = [model.predict_proba(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for actual, expected_part in zip(pool.map(model.predict_proba, parts), expected, strict=True):
            assert np.array_equal(actual, expected_part)


# ---- run folders


def train(path, *overrides) -> StoredRun:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(["train", "epochs=2", "picture=false", f"hydra.run.dir={path}", *overrides])
    return StoredRun(path)


FOLDERS = {
    "digits": lambda d: ["seeds=2"],
    "diabetes": lambda d: ["data=diabetes", "split=kfold", "split.k=3"],
    "csv": lambda d: ["data=csv", f"data.path={table(d)}", "data.target=kind", "seeds=2", "data.limit=90"],
    "npz": lambda d: ["data=npz", f"data.path={npz(d)}", "loss=binary_cross_entropy", "dtype=float64"],
    "refit": lambda d: ["data=iris", "refit=true", "stopping=patience", "data.label_noise=0.1"],
}


def table(folder) -> Path:
    frame = pd.DataFrame(RANDOM.normal(1e9, 1, (120, 2)), columns=["width (cm)", "height"])
    frame["kind"] = (frame.height > 1e9).astype(float)
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def npz(folder) -> Path:
    x = RANDOM.integers(0, 255, (200, 25)).astype(np.uint8)
    np.savez(folder / "d.npz", X=x, y=x[:, 0] > 100)
    return folder / "d.npz"


def test_averaged_rows_predict_what_the_folder_lists(tmp_path):
    run = train(tmp_path / "run", "data=wine", "seeds=3")
    listed = pd.read_csv(tmp_path / "run/test_predictions.csv", dtype={"prediction": str})
    x = run.experiment.load().x[listed.example]
    model = nnlab.load(run.path)
    assert list(model.predict(x)) == list(listed.prediction)
    columns = [f"probability_{name}" for name in run.spec.classes]
    np.testing.assert_allclose(model.predict_proba(x), listed[columns], rtol=1e-7)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_predicts_what_its_training_reported(tmp_path, name):
    run = train(tmp_path / "run", *FOLDERS[name](tmp_path))
    model, dataset = nnlab.load(run.path), run.experiment.load()
    for row, fold in zip(
        run.rows,
        [f for f in run.experiment.split.folds(dataset) for _ in range(run.experiment.seeds)],
        strict=True,
    ):
        x, y = labelled(None, dataset, fold.test)
        assert json.loads(json.dumps(model.evaluate(x, y, row["row"]))) == row["test"]
    assert repr(model).endswith("rows>" if len(run.rows) > 1 else "row>")


def test_what_is_not_finite_in_a_report_is_null_in_the_folder(tmp_path):
    run = train(tmp_path / "run", "data=diabetes", "data.limit=3")
    model, dataset = nnlab.load(run), run.experiment.load()
    (fold,) = run.experiment.split.folds(dataset)
    report = model.evaluate(dataset.x[fold.test], dataset.y[fold.test])
    assert run.rows[0]["test"]["r2"] is None and np.isnan(report["r2"])


def test_old_folders(tmp_path):
    x = nnlab.Iris().load().x
    for name in ("plain", "rows"):
        run = StoredRun(OLD / name)
        model, dataset = nnlab.load(OLD / name), run.experiment.load()
        folds = [fold for fold in run.experiment.split.folds(dataset) for _ in range(run.experiment.seeds)]
        for row, fold in zip(run.rows, folds, strict=True):
            report = model.evaluate(*labelled(None, dataset, fold.test), row["row"])
            assert report["loss"] == pytest.approx(row["test"]["loss"], rel=1e-6)
            assert report["confusion_matrix"] == row["test"]["confusion_matrix"]
        assert set(model.predict(x)) <= {"setosa", "versicolor", "virginica"}
    with pytest.raises(nnlab.UserError, match="no spec.json, which says .* train it again"):
        nnlab.load(OLD / "first")


# ---- a stranger's folder

WRONG = {
    "another name": (lambda a, r: a.update({"rows/0/hiden1.weight": a.pop("rows/0/hidden1.weight")}),
                     "has the array 'hiden1.weight', which its.* not; did you mean 'hidden1.weight'"),
    "none": (lambda a, r: a.pop("rows/0/output.bias"), "row 0 has no array 'output.bias'"),
    "shape": (lambda a, r: a.update({"rows/0/output.bias": np.zeros((4, 1), np.float32)}),
              r"'output.bias' has the shape \(4, 1\), and its experiment needs \(3, 1\)"),
    "nan": (lambda a, r: a["rows/0/hidden1.weight"].__setitem__((0, 0), np.nan),
            "'hidden1.weight' has numbers that are not finite"),
    "no normalizer": (lambda a, r: a.pop("rows/0/normalizer/mean"), "normalizer has no array 'mean'"),
    "another normalizer": (lambda a, r: a.update({"rows/0/normalizer/maen": np.zeros(4)}), "'maen'.*'mean'"),
    "scale 0": (lambda a, r: a["rows/0/normalizer/scale"].__setitem__(0, 0), "'scale' has .* not above"),
    "inf": (lambda a, r: a["rows/0/normalizer/mean"].__setitem__(0, np.inf), "'mean' has .* not finite"),
    "linear": (lambda a, r: a.update({"rows/0/normalizer/linear": np.array(1e308)}), "is 1e.308, far"),
    "a row less": (lambda a, r: r.append(r[0] | {"row": 7}), "no weights of row 7, which rows.json has"),
    "no rows": (lambda a, r: r.clear(), "has no rows"),
    "fold": (lambda a, r: r[0].update(fold="../x"), "row 0 has a repeat or a fold that is not a"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_folder_that_contradicts_itself(tmp_path, name):
    shutil.copytree(OLD / "plain", tmp_path / "run")
    change, sentence = WRONG[name]
    arrays, rows = (
        load_file(tmp_path / "run/model.safetensors"),
        json.loads((tmp_path / "run/rows.json").read_text()),
    )
    arrays = {key: array.copy() for key, array in arrays.items()}
    change(arrays, rows)
    save_file(arrays, tmp_path / "run/model.safetensors")
    (tmp_path / "run/rows.json").write_text(json.dumps(rows))
    with pytest.raises(nnlab.UserError, match=sentence) as caught:
        nnlab.load(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_an_experiment_of_another_size_allocates_nothing(tmp_path):
    shutil.copytree(OLD / "plain", tmp_path / "run")
    config = (tmp_path / "run/config.yaml").read_text()
    config = config.replace("- 4\n", "- 9000000\n")
    assert "9000000" in config
    (tmp_path / "run/config.yaml").write_text(config)
    with pytest.raises(
        nnlab.UserError, match=r"has the shape \(\d+, 4\), and its experiment needs \(9000000, 4\)"
    ):
        nnlab.load(tmp_path / "run")


def test_examples_of_rows_json_that_are_nonsense_change_nothing_but_the_batch(tmp_path):
    shutil.copytree(OLD / "plain", tmp_path / "run")
    rows = json.loads((tmp_path / "run/rows.json").read_text())
    for examples in (None, [], "x", {"validation": -1}, {"validation": 10**30}, {"train": True}, {}):
        (tmp_path / "run/rows.json").write_text(json.dumps([rows[0] | {"examples": examples}]))
        assert nnlab.load(tmp_path / "run").rows[0].batch <= 512


def test_a_run_that_did_not_end_is_used_with_an_advice(tmp_path):
    shutil.copytree(OLD / "plain", tmp_path / "run")
    (tmp_path / "run/summary.json").unlink()
    with pytest.warns(nnlab.Advice, match="did not end"):
        assert len(nnlab.load(tmp_path / "run").predict(np.zeros((2, 4)))) == 2
    (tmp_path / "run/model.safetensors").unlink()
    with pytest.raises(nnlab.UserError, match="has no weights yet: .*to go on with it, nnlab train resume="):
        nnlab.load(tmp_path / "run")


# ---- rows


def test_rows_that_diverged_are_left_out():
    e = replace(SMALL, data=nnlab.Arrays(X, ["a", "b"] * 75))
    fit = nnlab.fit(replace(e, seeds=2)).run()
    good = nnlab.load(fit)
    fit.results[1] = replace(fit.results[1], status="diverged", best_epoch=0)
    model = nnlab.load(fit)
    assert np.array_equal(model.predict_proba(X), good.predict_proba(X, row=0))
    with pytest.raises(nnlab.UserError, match="row 1 diverged in its first epoch"):
        model.predict(X, row=1)
    with pytest.raises(nnlab.UserError, match="row = 2: the model has the rows 0 to 1"):
        model.predict(X, row=2)
    fit.results[0] = replace(fit.results[0], status="diverged")
    with pytest.raises(nnlab.UserError, match="all rows diverged"):
        nnlab.load(fit).predict(X)
    assert len(nnlab.load(fit).predict(X, row=0)) == len(X)


def test_which_fits_can_be_loaded():
    fit = nnlab.fit(SMALL)
    with pytest.raises(nnlab.UserError, match="no row has ended yet; fit.run"):
        nnlab.load(fit)
    for _ in fit:
        fit.stop()
    assert len(nnlab.load(fit).rows) == 1
    two = nnlab.fit(replace(SMALL, seeds=2), TWO).run()
    with pytest.raises(nnlab.UserError, match="2 experiments: say which one, experiment=0 to 1"):
        nnlab.load(two)
    assert [len(nnlab.load(two, experiment=i).rows) for i in (0, 1)] == [2, 1]
    assert nnlab.load(two, experiment=1).rows[0].number == 0
    with pytest.raises(nnlab.UserError, match="experiment = 2"):
        nnlab.load(two, experiment=2)
    with pytest.raises(nnlab.UserError, match="one experiment; leave it out"):
        nnlab.load(OLD / "plain", experiment=0)
    for wrong in (3, None, [OLD / "plain"]):
        with pytest.raises(nnlab.UserError, match="run = "):
            nnlab.load(wrong)
    with pytest.raises(nnlab.UserError, match="there is no folder"):
        nnlab.load("no/such/folder")
    with pytest.raises(nnlab.UserError, match="device = 'gpu'"):
        nnlab.load(OLD / "plain", device="gpu")


# ---- a wrong x or y


@pytest.fixture(scope="module")
def iris():
    frame = pd.DataFrame(nnlab.Iris().load().x, columns=["length", "width", "petal length", "petal width"])
    y = np.repeat(["setosa", "versicolor", "virginica"], 50)
    e = replace(SMALL, data=nnlab.Arrays(frame, pd.Series(y, name="species")))
    return nnlab.load(nnlab.fit(e).run()), frame, y


def test_columns_are_matched_by_name(iris):
    model, frame, y = iris
    expected = model.predict_proba(frame)
    assert np.array_equal(model.predict_proba(frame[frame.columns[::-1]]), expected)
    assert np.array_equal(model.predict_proba(frame.to_numpy()), expected)
    assert np.array_equal(model.predict_proba(frame.to_numpy().tolist()), expected)
    assert np.array_equal(model.predict_proba(frame.assign(species=y)), expected)
    nameless = pd.DataFrame(frame.to_numpy())
    assert np.array_equal(model.predict_proba(nameless), expected)
    with pytest.warns(
        nnlab.Advice, match="does not know the columns 'id', 'note', and ignores them"
    ) as caught:
        actual = model.predict_proba(frame.assign(id=range(150), note="text", species=y))
    assert len(caught) == 1 and np.array_equal(actual, expected)


def test_an_advice_points_at_the_line_that_called(iris, tmp_path):
    model, frame, y = iris
    shutil.copytree(OLD / "plain", tmp_path / "run")
    (tmp_path / "run/summary.json").unlink()
    further = frame.assign(note="text")
    calls = [
        lambda: model.predict(further),
        lambda: model.evaluate(further, y),
        lambda: nnlab.load(tmp_path / "run"),
        lambda: nnlab.Arrays(frame.assign(id=range(150)), y).load(),
        lambda: nnlab.fit(nnlab.Experiment(data=nnlab.Iris(), epochs=2, schedule=nnlab.Cosine(warmup=9))),
    ]
    for call in calls:
        with pytest.warns(nnlab.Advice) as caught:
            call()
        lines = {(warning.filename, warning.lineno) for warning in caught}
        assert lines == {(__file__, call.__code__.co_firstlineno)}


WRONG_INPUTS = {
    "renamed": (lambda f: f.rename(columns={"width": "widht"}), "no column 'width'; did you mean 'widht'"),
    "missing": (lambda f: f[["length"]], "no column 'width', nor 2 others .*; it has 'length'"),
    "twice": (lambda f: pd.concat([f, f[["width"]]], axis=1), "two columns 'width'"),
    "nan": (lambda f: f.assign(length=f.length.where(f.index != 7)), r"x\[7\], column 'length'.*missing"),
    "inf": (lambda f: f.replace(f.iloc[3, 1], np.inf), "is inf; expected a finite number"),
    "text": (lambda f: f.astype(object).map(lambda v: "?"), r"'length', is '\?'; .*trained on numbers"),
    "a column of text": (lambda f: f.assign(width="red"), r"column 'width', is 'red'; .*trained on numbers"),
    "an array of text": (lambda f: f.to_numpy().astype(str), r"x\[0, 0\] is '5.1'; .* trained on"),
    "bytes": (lambda f: f.to_numpy().astype("S"), r"x\[0, 0\] is '5.1'; .* trained on numbers there"),
    "a series": (lambda f: f["width"], r"one example is x.reshape\(1, -1\)"),
    "one example": (lambda f: f.to_numpy()[0], r"one example is x.reshape\(1, -1\)"),
    "narrow": (lambda f: f.to_numpy()[:, :3], r"shape \(150, 3\).*trained on examples of 4"),
    "too many axes": (lambda f: f.to_numpy()[:, :, None, None][..., [0, 0]], r"shape \(150, 4, 1, 2\)"),
    "empty": (lambda f: f[:0], "there are no examples"),
    "no table": (lambda f: 3, "x = 3"),
    "words": (lambda f: "iris.csv", "x = 'iris.csv'"),
    "ragged": (lambda f: [[1, 2], [3]], "ragged"),
    "a dict": (lambda f: {"length": [1]}, "x = "),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_a_wrong_x(iris, name):
    model, frame, _ = iris
    change, sentence = WRONG_INPUTS[name]
    for method in (model.predict, model.predict_proba, model.outputs):
        with pytest.raises(nnlab.UserError, match=sentence):
            method(change(frame))


def test_an_example_whose_outputs_are_not_finite(iris):
    model, frame, y = iris
    model = nnlab.load(nnlab.fit(replace(SMALL, data=nnlab.Arrays(frame, y, normalization="standard"))).run())
    far = frame.to_numpy().copy()
    far[5, 1] = 1e39
    with pytest.raises(nnlab.UserError, match=r"x\[5\].*not finite; its column 'width' is 1e\+39.*scale of"):
        model.predict(far)
    assert model.evaluate(far, y)["error"] >= 1 / 150


def test_labels_and_numbers_of_all_kinds(iris):
    model, frame, y = iris
    x, report = frame.to_numpy(), model.evaluate(frame, y)
    one_hot = pd.get_dummies(y).to_numpy()
    for labels in (list(y), pd.Series(y), y.astype(object), y[:, None], one_hot, one_hot.astype(float)):
        assert model.evaluate(x, labels) == report
    wrong = y.copy()
    wrong[3] = "virginca"
    with pytest.raises(
        nnlab.UserError,
        match=r"y\[3\] is 'virginca', a class that the model does not know; did you mean 'virginica'",
    ):
        model.evaluate(x, wrong)
    for labels, sentence in (
        (y[:3], "x has 150 examples, and y has 3"),
        (np.zeros((150, 2)), r"y has the shape \(150, 2\)"),
        (pd.Series(y, index=range(1, 151)), "different indexes"),
        (np.arange(150), "'0', a class that the model does not know; it knows setosa"),
    ):
        with pytest.raises(nnlab.UserError, match=sentence):
            model.evaluate(frame, labels)
    for kind, given in (
        (
            np.array([0, 1] * 75),
            [[0, 1] * 75, [0.0, 1.0] * 75, ["0", "1"] * 75, ["0.0", "1.0"] * 75, [False, True] * 75],
        ),
        (np.array([False, True] * 75), [[False, True] * 75, [0, 1] * 75]),
    ):
        numbered = nnlab.load(nnlab.fit(replace(SMALL, data=nnlab.Arrays(x, kind))).run())
        assert numbered.predict(x).dtype.kind == kind.dtype.kind
        first, *others = [numbered.evaluate(x, labels) for labels in given]
        assert all(report == first for report in others)


def test_targets_of_a_regression_are_matched_by_name(fits):
    model, data = nnlab.load(fits("several targets")), SEVERAL.load()
    frame = pd.DataFrame(data.y, columns=["a", "b", "c"])
    assert model.evaluate(data.x, frame[["c", "a", "b"]]) == model.evaluate(data.x, data.y)
    with pytest.raises(nnlab.UserError, match=r"expected \(examples, 3\)"):
        model.evaluate(data.x, data.y[:, 0])
    with pytest.raises(nnlab.UserError, match="is a regression, which has no probabilities"):
        model.predict_proba(data.x)
    assert model.classes is None


def test_images_in_the_shapes_that_people_have_them():
    images = np.random.default_rng(0).normal(size=(60, 1, 4, 6))
    spec = nnlab.DataSpec((1, 4, 6), 2, "classification", ("a", "b"))
    for x in (images, images[:, 0], images.reshape(60, 24), images[:, 0, :, :, None]):
        assert np.array_equal(validate_inputs(x, spec), images.reshape(60, 24))
    for x in (images[:, 0].swapaxes(1, 2), images[:, :, :3], images.reshape(60, 6, 4)):
        with pytest.raises(nnlab.UserError, match="the model was trained on examples of 1 x 4 x 6"):
            validate_inputs(x, spec)
