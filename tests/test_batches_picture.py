"""The picture `batches`: the noise of gradients against closed forms, and what it draws."""

import numpy as np
import pytest
import torch
from test_picture import size_of

from nnlab.cli import main
from nnlab.pictures import picture
from nnlab.pictures.base import shown_runs
from nnlab.pictures.batches import batch_size, memory_of_row
from nnlab.pictures.gradient_noise import Gradients, measure
from nnlab.testing import fake_gpu


def runs_of(tmp_path, monkeypatch, *words):
    """The runs of `nnlab train`, by name."""
    monkeypatch.chdir(tmp_path)
    where = "hydra.sweep.dir=runs" if "-m" in words else "hydra.run.dir=runs"
    assert main(["train", *words, where]) == 0
    root = tmp_path / "runs"
    folders = sorted(path.parent for path in root.rglob("summary.json"))
    return shown_runs({path.name.partition("_")[2]: path for path in folders})


LINE = ["data=line", "model=linear", "epochs=3", "data.normalization=none", "data.target_normalization=none"]


def test_noise_is_that_of_the_closed_form(tmp_path, monkeypatch):
    """Of y = w x + b: the gradient of an example is 2 (w x + b - y) (x, 1), whose covariance is known."""
    (run,) = runs_of(tmp_path, monkeypatch, *LINE, "split=none", "metric=last")
    noise = measure(run, [1, 3, 10, 50, 1000])
    data, weights = run.dataset, run.stored.weights[0]
    x, y = data.x[:, 0], data.y[:, 0]
    residual = weights["output.weight"].item() * x + weights["output.bias"].item() - y
    factor = np.linalg.norm(Gradients(run, 0).of(np.arange(1)).numpy()) / np.linalg.norm(
        residual[0] * np.array([x[0], 1.0])
    )
    assert factor == pytest.approx(1) or factor == pytest.approx(2)  # of the loss
    each = factor * residual[:, None] * np.stack([x, np.ones_like(x)], 1)  # (N, 2)
    full, n = each.mean(0), len(x)
    sigma = np.sqrt(np.square(each - full).sum(1).mean())
    assert (noise.examples, [*noise.noise]) == (n, [1, 3, 10, 50])  # all examples at once have no noise
    assert noise.norm == pytest.approx(np.linalg.norm(full))
    assert noise.noise[1] == pytest.approx(sigma)  # of every example
    for size in (3, 10, 50):
        expected = sigma / np.sqrt(size) * np.sqrt((n - size) / (n - 1))
        assert noise.noise[size] == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize(
    "words",
    [
        ["data=moons", "regularizer=dropout", "regularizer.dropout=0.5"],
        ["data=moons", "model.normalization=batch", "optimizer=adam"],
        ["data=mnist1d", "data.n=80", "model=cnn", "model.pooling=stochastic", "model.blocks=[4,pool]"],
        ["data=iris", "loss=squared_error"],
    ],
)
def test_it_draws_any_network(words, tmp_path, monkeypatch):
    """Without dropout's noise: what is drawn twice is the same."""
    (run,) = runs_of(tmp_path, monkeypatch, *words, "epochs=1", "batch_size=16", "threads=1")
    gradients = Gradients(run, 0)
    batch = gradients.train[:8]
    assert torch.equal(gradients.of(batch), gradients.of(batch))
    noise = measure(run, [1, 16])
    assert (1 in noise.noise) == ("model.normalization=batch" not in words)
    assert size_of(picture("batches").draw([run])) == (1200, 500)


def test_the_gradient_is_that_of_autograd(tmp_path, monkeypatch):
    (run,) = runs_of(tmp_path, monkeypatch, "data=iris", "model.hidden=[5]", "epochs=1")
    gradients, weights = Gradients(run, 0), run.stored.weights[0]
    batch = gradients.train[:7]
    x, t = gradients.examples.gather(gradients.fold, batch)
    leaves = {name: torch.tensor(w, dtype=torch.float64, requires_grad=True) for name, w in weights.items()}
    with torch.enable_grad():
        h = torch.relu(leaves["hidden1.weight"] @ x + leaves["hidden1.bias"].reshape(-1, 1))
        z = leaves["output.weight"] @ h + leaves["output.bias"].reshape(-1, 1)
        torch.nn.functional.cross_entropy(z.T, t.argmax(0)).backward()
    gradients.of(batch)
    for name, leaf_slice in gradients.graph.layout().parameters.items():
        actual = leaf_slice.view(gradients.grad)[0].numpy()
        assert actual == pytest.approx(leaves[name].grad.numpy().reshape(actual.shape), abs=1e-12)


def test_a_gpu_beside_the_cpu(tmp_path, monkeypatch):
    """Each device has a line; and old folders, without speed.json, have none."""
    words = ["data=moons", "epochs=2", "batch_size=8,full", "device=cpu,cuda"]
    with fake_gpu():
        runs = runs_of(tmp_path, monkeypatch, "-m", *words)
        assert [batch_size(run) for run in runs] == [8, 8, 240, 240]
        devices = [run.stored.summary["device"] for run in runs]
        assert devices == ["cpu", "cuda"] * 2
        memory = np.array([memory_of_row(run) for run in runs])
        assert (memory[2:] > memory[:2]).all() and memory[0] == pytest.approx(memory[1], rel=0.3)
        both, alone = picture("batches").draw(runs), picture("batches").draw(runs[::2])
    for run in runs:
        (run.stored.path / "speed.json").unlink()
    old = shown_runs({run.name: run.stored.path for run in runs})
    assert memory_of_row(old[0]) is None
    assert len({both, alone, picture("batches").draw(old)}) == 3
