"""Memory with many classes: one-hot targets are made for one batch at a time, never for the whole data."""

import json
import tracemalloc

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from networks import DOUBLE, Points

from nnlab.checks import chance_level
from nnlab.checks.labels import correlation
from nnlab.cli import main
from nnlab.data.batches import TARGET_TO_INPUT_RATIO, Batches, steps_in_chunk
from nnlab.data.dataset import Dataset
from nnlab.data.evaluation_batches import evaluation_batches
from nnlab.data.examples import Examples
from nnlab.data.splits import Holdout, KFold
from nnlab.experiment import Experiment
from nnlab.losses import LOSSES
from nnlab.metrics import MAX_MATRIX_CLASSES
from nnlab.metrics.tasks import Classification


def many(classes, n, d=3, noisy=False):
    random = np.random.default_rng(0)
    y = random.permutation(np.arange(n) % classes)
    x = random.normal(size=(n, d))
    return Dataset(
        x, y, tuple(map(str, range(classes))), noisy=random.integers(classes, size=n) if noisy else None
    )


@pytest.mark.parametrize("classes", [2, 7, 50])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("split", [Holdout(), KFold(k=3)], ids=["holdout", "kfold"])
def test_targets_are_one_hot_wherever_they_are_seen(classes, noisy, split):
    dataset = many(classes, 201, noisy=noisy)
    seen, table = (dataset.noisy if noisy else dataset.y), np.eye(classes)
    rows = Experiment(split=split, batch_size=16, seeds=2).rows(dataset)
    examples = Examples(Points(normalization="none"), dataset, DOUBLE)
    for true, y in ((False, seen), (True, dataset.y)):
        _, t = examples.gather(rows[0].fold, np.arange(201), true_labels=true)
        assert np.array_equal(t.T, table[y]) and t.dtype == DOUBLE.dtype
    places = {tuple(x): i for i, x in enumerate(dataset.x)}
    for batches, y in (
        (Batches(examples, rows).epoch(1), seen),
        (evaluation_batches(examples, rows, "validation"), seen),
        (evaluation_batches(examples, rows, "test"), dataset.y),
    ):
        for batch in batches:
            x, t = (v.movedim(-2, -1).flatten(0, -2).numpy() for v in (batch.x, batch.t))
            assert np.array_equal(t, table[y[[places[tuple(v)] for v in x]]])


def test_nothing_as_large_as_classes_times_examples_is_made():
    """20,000 classes of 2: a one-hot table has 3.2 GB, in float32 on the device; this stays below 100 MB."""
    dataset = many(20_000, 40_000)
    (row,) = Experiment(batch_size=8).rows(dataset)
    tracemalloc.start()
    examples = Examples(Points(), dataset, torch.empty(0))
    chunk = next(Batches(examples, [row]).epoch(1))
    batch = next(evaluation_batches(examples, [row], "validation"))
    assert tracemalloc.get_traced_memory()[1] < 1e8  # numpy's; torch's is in the shapes
    tracemalloc.stop()
    held = [
        examples.x,
        examples.t,
        examples.true_t,
        *(b.t for b in examples.evaluation_batches(row, "validation")),
    ]
    assert sum(v.numel() * v.element_size() for v in held) < 3e6
    assert chunk.t.numel() <= TARGET_TO_INPUT_RATIO * 2**20 and batch.t.shape == (
        1,
        20_000,
        row.evaluation_batch,
    )


@pytest.mark.parametrize("inputs, outputs", [(64, 10), (784, 10), (2, 2), (4, 3), (1, 8), (13, 3), (30, 2)])
def test_of_few_classes_chunks_stay_as_they_were(inputs, outputs):
    for batch in (1, 32, 64, 1000):
        for steps in (1, 17, 1000):
            assert steps_in_chunk(steps, batch, inputs, outputs) == max(
                1, min(steps, 2**20 // (batch * inputs))
            )


@pytest.mark.parametrize("m", [2, MAX_MATRIX_CLASSES, MAX_MATRIX_CLASSES + 1, 3000])
def test_a_report_is_linear_in_the_classes(m):
    random = np.random.default_rng(m)
    true, predicted = random.integers(m, size=(2, 5000))
    z = np.zeros((m, 5000))
    z[predicted, np.arange(5000)] = 1
    z[:, :50] = np.nan
    task = Classification()
    report = task.test(task.to_prediction(z), true[None], range(m))
    predicted[:50] = -1
    recall = sk.recall_score(true, predicted, labels=range(m), average=None, zero_division=np.nan)
    assert report["recall"] == pytest.approx(recall, nan_ok=True)
    assert report["accuracy"] == (true == predicted).mean()
    assert ("confusion_matrix" in report) == (m <= MAX_MATRIX_CLASSES) and len(
        json.dumps(report)
    ) < 100 * m + 10 * MAX_MATRIX_CLASSES**2


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.needs_classes])
@pytest.mark.parametrize("classes", [2, 5, 40])
def test_chance_is_that_of_one_hot_tables(name, classes):
    dataset, loss = many(classes, 300, noisy=True), LOSSES[name]()
    folds = KFold(k=3).folds(dataset)
    t = np.eye(classes)[dataset.noisy]
    errors, losses = [], []
    for fold in folds:
        p, seen = t[fold.train].mean(0), torch.from_numpy(t[fold.validation].T)
        errors.append(1 - seen[p.argmax()].mean())
        p = np.clip(p, 1e-12, 1)
        z = {"softmax": np.log(p), "sigmoid": np.log(p / (1 - p))}.get(loss.map, p)[-loss.outputs(classes) :]
        losses.append(loss.fprop(torch.from_numpy(np.tile(z[:, None], seen.shape[1])), seen).mean())
    chance = chance_level.measure_chance(dataset, folds, loss)
    assert chance.error == pytest.approx(np.mean(errors)) and chance.loss == pytest.approx(np.mean(losses))


def test_correlation_of_more_classes_than_examples_is_the_same():
    p, t = np.random.default_rng(0).normal(size=(2, 90, 40))
    q, u = (v - v.mean(1, keepdims=True) for v in (p, t))
    pp, tt = q @ q.T, u @ u.T
    scale = np.trace(pp) * np.trace(tt)
    expected = (q * u).sum() / scale**0.5, ((pp * tt).sum() / scale / 39) ** 0.5
    assert correlation(p, t) == pytest.approx(expected)


def test_three_thousand_classes_train(tmp_path, capsys):
    dataset = many(3000, 9000)
    np.savez(tmp_path / "t.npz", X=dataset.x, y=dataset.y)
    overrides = ["data=npz", f"data.path={tmp_path}/t.npz", "data.task=classification", "epochs=1"]
    assert main(["train", *overrides, "batch_size=256", f"hydra.run.dir={tmp_path}/run"]) == 0
    assert "3000 classes" in capsys.readouterr().out
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (
        "confusion_matrix" not in summary["classification"]
        and len(summary["classification"]["recall"]) == 3000
    )


def test_numbers_too_small_or_too_large_for_their_squares(tmp_path, capsys):
    """Where nothing normalises targets, their squares have to fit; inputs that are as good as 0 are said."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    for name, arrays, overrides, code in (
        ("large", {"X": x, "y": x[:, 0] * 1e30}, ["data.target_normalization=none"], 2),
        ("scaled", {"X": x, "y": x[:, 0] * 1e30}, [], 0),
        ("large64", {"X": x, "y": x[:, 0] * 1e30}, ["data.target_normalization=none", "dtype=float64"], 0),
        ("small", {"X": x * 1e-300, "y": x[:, 0]}, [], 2),
        ("small64", {"X": x * 1e-40, "y": x[:, 0]}, ["dtype=float64"], 0),
        ("zero", {"X": x * [1, 0], "y": x[:, 0]}, [], 0),
    ):  # fmt: skip
        np.savez(tmp_path / f"{name}.npz", **arrays)
        path = f"data.path={tmp_path / name}.npz"
        assert (
            main(["train", "data=npz", path, "epochs=2", f"hydra.run.dir={tmp_path}/{name}", *overrides])
            == code
        )
        captured = capsys.readouterr()
        assert "diverged" not in captured.out and captured.err.count("\n") == (code == 2), captured
