"""Autoencoders: with data.reconstruct=true the inputs are the targets."""

import json
from dataclasses import replace

import numpy as np
import pytest
from networks import one_thread  # noqa: F401

import nnlab
from nnlab import MLP, Adam, Arrays, Digits, Experiment, Regularizer
from nnlab.cli import main
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.testing import fake_gpu

BASE = Experiment(
    model=MLP(hidden=(5,), activation="tanh"), optimizer=Adam(lr=0.01), regularizer=Regularizer(),
    batch_size=16, epochs=2, threads=1,
)  # fmt: skip
X = np.random.default_rng(0).gamma(2, size=(70, 6)) * np.arange(1, 7) + 3
Y = np.arange(70) % 2


def results(*experiments):
    return nnlab.fit(*experiments).run().results


@pytest.mark.parametrize("name", NORMALIZATION_NAMES)
def test_it_is_a_regression_on_the_inputs(name):
    """Bit for bit, and on a GPU: their targets are normalised by the same statistics."""
    as_targets = replace(BASE, data=Arrays(X, X, normalization=name, target_normalization=name))
    reconstructed = replace(BASE, data=Arrays(X, Y, normalization=name, reconstruct=True))
    (expected,), (actual,) = results(as_targets), results(reconstructed)
    assert actual.test == expected.test and actual.best == expected.best
    for part, arrays in (("weights", expected.weights), ("normalizer", expected.normalizer)):
        for key, value in arrays.items():
            np.testing.assert_array_equal(getattr(actual, part)[key], value, err_msg=key)
    with fake_gpu():
        (on_gpu,) = results(replace(reconstructed, device="cuda"))
    assert on_gpu.test["rmse"] == pytest.approx(actual.test["rmse"], rel=1e-4)


def test_pixels_between_0_and_1_for_a_sigmoid():
    """All pixels by one scale; the error is in their own unit."""
    data = Digits(limit=200, normalization="minmax", normalization_per="channel", reconstruct=True)
    run = nnlab.fit(replace(BASE, data=data, model=MLP(hidden=(9,), output="sigmoid"), epochs=3))
    run.run()
    (row,), (result,) = run.rows, run.results
    x, t = run.cache.examples(row).gather(row.fold, np.arange(200))
    dataset = run.datasets[run.experiments[0].data]
    np.testing.assert_allclose(x, dataset.x.T / 16, rtol=1e-6)
    assert (x == t).all() and not dataset.classes and dataset.target_names == dataset.features
    assert result.test["rmse"] == pytest.approx(16 * result.test["loss"] ** 0.5, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_inputs_of_any_type(tmp_path, dtype):
    x = np.round(X).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", Y)
    mapped = nnlab.Npy(path=str(tmp_path / "x.npy"), target=str(tmp_path / "y.npy"), reconstruct=True)
    for data in (Arrays(x, Y, reconstruct=True), mapped):
        y = data.load().y
        assert y.dtype.kind == "f" and (y == x).all()


def test_from_training_to_new_examples_and_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x, names = Digits().load().x[:30], Digits().load().features
    np.savez("new.npz", x=x)
    np.savetxt("new.csv", x, "%d", ",", header=",".join(names), comments="")
    words = ["data.limit=300", "data.reconstruct=true", "model.hidden=[16]", "epochs=2"]
    assert main(["train", *words]) == 0
    assert "digits (300 x 1 x 8 x 8, reconstruction)" in capsys.readouterr().out
    (run,) = tmp_path.glob("outputs/train/*")
    model = nnlab.load(run)
    expected = model.evaluate(x, x)["rmse"]
    assert expected == pytest.approx(((model.predict(x) - x) ** 2).mean() ** 0.5)
    for n, file in enumerate(("new.npz", "new.csv"), start=1):
        assert main(["evaluate", f"run={run}", f"data={file}"]) == 0
        reports = sorted(tmp_path.glob("outputs/evaluate/*/evaluation.json"))
        assert len(reports) == n
        assert json.loads(reports[-1].read_text())["test"]["rmse"] == pytest.approx(expected)
    assert main(["evaluate", f"run={run}", "data=new.csv", "target=pixel_0_0"]) == 2
    assert "target = 'pixel_0_0': of data.reconstruct=true the targets are" in capsys.readouterr().err
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "Below each, its reconstruction." in page and "residual -" in page
    assert page.count("target pixel_") == 2 * 24, "of each image one target is named, and not all 64"


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["data.label_noise=0.1"], "only a class can be replaced by another"),
        (["loss=cross_entropy"], "loss = 'cross_entropy' needs classes"),
        (["class_weight=balanced"], "needs classes, but data 'digits' has numbers as targets"),
        (
            ["data=table", "data.path=t.csv", "data.target=b"],
            "data 'table' has columns, of which each fold makes",
        ),
    ],
)
def test_what_does_not_go_with_it(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{n},{n * n % 7}.5\n" for n in range(40)))
    assert main(["train", *words, "data.reconstruct=true"]) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "outputs").exists()


def test_check_finds_no_leak_and_knows_how_a_sigmoid_reaches_the_inputs():
    healthy = Digits(limit=300, reconstruct=True, normalization="minmax")
    for data, status in ((healthy, "pass"), (replace(healthy, normalization="standard"), "fail")):
        experiment = replace(BASE, data=data, model=MLP(hidden=(16,), output="sigmoid"))
        (verdict,) = nnlab.check(experiment, only="data")
        assert verdict.status == status, verdict.worst.found
    assert verdict.worst.advice.endswith("data.normalization=minmax")
