"""The picture `penalty`: dropout of the inputs as an L2 penalty of each weight."""

import numpy as np
import pytest
import torch

from nnlab.cli import main
from nnlab.losses import BinaryCrossEntropy, CrossEntropy
from nnlab.pictures import picture
from nnlab.pictures.base import shown_runs
from nnlab.pictures.effective_penalty import best, dropout_penalty, penalized
from nnlab.pictures.penalty import kind

D, N, P = 6, 5, 0.3  # inputs, examples, and the probability of dropout


@pytest.mark.parametrize(
    "loss, outputs", [(BinaryCrossEntropy(), 1), (CrossEntropy(), 2), (CrossEntropy(), 4)]
)
def test_it_is_what_dropout_adds_to_the_loss(loss, outputs):
    """Over all 2^d masks, E loss - loss = 1/2 sum_j lambda_j |w_j|^2, but for terms of w^3."""
    random = np.random.default_rng(outputs)
    x, W = random.standard_normal((D, N)), random.standard_normal((outputs, D)) / 50
    b = random.standard_normal((outputs, 1))
    t = torch.eye(max(2, outputs), dtype=torch.float64)[:, random.integers(0, max(2, outputs), N)]

    def mean_loss(inputs):
        return float(loss.fprop(torch.from_numpy(W @ inputs + b), t).mean())

    masks = np.array(np.meshgrid(*[[0, 1]] * D)).reshape(D, -1).T  # (2^d, d)
    probability = np.prod(np.where(masks, 1 - P, P), axis=1)
    expected = sum(q * mean_loss(x * m[:, None] / (1 - P)) for q, m in zip(probability, masks, strict=True))
    penalty = np.sum(dropout_penalty(x, W, b, P, loss) * np.square(W).sum(0)) / 2
    assert expected - mean_loss(x) == pytest.approx(penalty, rel=0.02)


def test_a_weight_of_0_and_a_rate_of_0_have_no_penalty():
    x, W, b = np.ones((2, 3)), np.array([[1.0, 0.0], [0.5, 0.0]]), np.zeros((2, 1))
    assert dropout_penalty(x, W, b, 0.5, CrossEntropy())[1] == 0
    assert not dropout_penalty(x, W, b, 0.0, CrossEntropy()).any()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "all"
    job = ["data=iris", "model=logistic", "regularizer=none", "epochs=2", "split.repeats=2", "show=[penalty]"]
    strengths = ["regularizer.l2=0,0.1,0.01", "regularizer.input_dropout=0,0.2"]
    assert main(["train", "-m", *job, *strengths, f"hydra.sweep.dir={folder}"]) == 0
    return shown_runs({path.name[2:]: path for path in sorted(folder.glob("[0-9]_*"))})


def test_runs_are_told_apart_and_the_best_is_chosen_by_validation_loss(runs):
    drawn = [penalized(run) for run in runs]
    assert [kind(run) for run in drawn] == ["none", "dropout", "l2", "both", "l2", "both"]
    l2 = [run for run in drawn if kind(run) == "l2"]
    losses = [run.metrics["val_loss"]["mean"] for run in l2]
    assert best(l2) is l2[int(np.argmin(losses))] and best([]) is None
    first, weights = drawn[0], [runs[0].stored.weights[row]["output.weight"] for row in (0, 1)]
    np.testing.assert_allclose(
        first.size, np.mean([np.linalg.norm(W, axis=0) for W in weights], 0), rtol=1e-6
    )
    assert len(first.test_losses) == 2 and first.mean_square == pytest.approx(np.ones(4), abs=0.2)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_of_the_runs_are_drawn(runs, count):
    assert picture("penalty").draw(runs[:count]).startswith(b"\x89PNG")
    assert (runs[0].stored.path.parent / "penalty.png").exists()


WRONG = [
    (["data=iris"], "model = 'mlp'"),
    (["data=iris", "model=logistic", "loss=squared_error"], "loss = 'squared_error'"),
    (["data=diabetes", "model=linear"], "loss = 'squared_error'"),
]


@pytest.mark.parametrize("job, said", WRONG)
def test_other_models_are_refused_before_training(job, said, tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["train", *job, "show=[penalty]", f"hydra.run.dir={folder}"]) == 2
    assert "show = 'penalty' is of" in (err := capsys.readouterr().err) and said in err
    assert not folder.exists()
