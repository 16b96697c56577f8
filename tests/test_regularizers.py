"""Every regularizer, alone and combined, against a loop of torch.autograd."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from networks import Points, assert_near, one_thread  # noqa: F401
from test_row_independence import assert_same, blobs, curves
from torch.nn import functional as F

import nnlab
from nnlab import MLP, SGD, Adam, Experiment, Momentum, Regularizer, UserError
from nnlab.checks.subject import Subject
from nnlab.hyperparameters import stack
from nnlab.regularizers import scale_down
from nnlab.runtime.threads import computing
from nnlab.streams import stream, uniforms
from nnlab.training.population import initial_theta
from nnlab.training.training import Training

NO_PENALTIES = {
    "proximal", "small", "activity_l1", "activity_l2", "dropout", "input_dropout", "dropconnect", "max_norm",
    "label_smoothing", "shift", "flip", "cutout", "input_noise", "dropconnect_inference",
}  # fmt: skip
BASE = Experiment(
    data=Points(), model=MLP(hidden=(9,), activation="tanh"), optimizer=SGD(lr=0.3), batch_size=10,
    epochs=3, dtype="float64",
)  # fmt: skip
CASES = {  # the regularisers of a stack's rows
    "l1": [dict(l1=0.003), dict(l1=0.0), dict(l1=0.03)],
    "proximal": [dict(l1=v, proximal=True) for v in (0.003, 0.0, 0.03)],
    "input_dropout": [dict(input_dropout=v) for v in (0.3, 0.0, 0.6)],
    "dropconnect": [dict(dropconnect=v) for v in (0.3, 0.0, 0.6)],
    "max_norm": [dict(max_norm=v) for v in (0.9, math.inf, 0.5)],
    "label_smoothing": [dict(label_smoothing=v) for v in (0.1, 0.0, 0.4)],
    "activity_l1": [dict(activity_l1=v) for v in (0.01, 0.0, 0.1)],
    "activity_l2": [dict(activity_l2=v) for v in (0.1, 0.0, 0.3)],
    "all": [
        dict(l2=0.01, l1=0.002, proximal=True, small=1e-3, dropout=0.2, input_dropout=0.1, dropconnect=0.3,
             max_norm=1.1, label_smoothing=0.1, activity_l1=0.02, activity_l2=0.1),
        dict(proximal=True, small=1e-3),
        dict(l1=0.01, proximal=True, small=1e-3, dropconnect=0.1, max_norm=0.7),
    ],
}  # fmt: skip
every_case = pytest.mark.parametrize("regularizers", CASES.values(), ids=CASES)


def rows_of(regularizers, base=BASE):
    return [replace(base, regularizer=Regularizer(**r), seed=k) for k, r in enumerate(regularizers)]


def by_torch(row):
    """Weights by name and the penalty after every epoch of `row`, by torch.autograd in float64."""
    e, r, dataset = row.experiment, row.experiment.regularizer, row.experiment.data.load()
    x = torch.from_numpy(dataset.x)
    x = (x - x[row.fold.train].mean(0)) / x[row.fold.train].std(0, correction=0)
    t, graph = torch.from_numpy(dataset.y), e.graph(dataset.spec)
    theta, leaf_slices = initial_theta([row], graph), graph.layout().parameters
    p = {name: leaf_slice.view(theta)[0].clone().requires_grad_() for name, leaf_slice in leaf_slices.items()}
    weights = [w for name, w in p.items() if name.endswith("weight")]

    def kept(rate, name, shape, epoch, step):
        if not rate:
            return 1
        u = uniforms((row.steps, *shape), x, row.seed, "noise", name, epoch, 0)[step]
        return (u >= rate).double() / (1 - rate)

    def outputs(x, at):
        B, (n, d) = row.batch, p["hidden1.weight"].shape
        x = F.pad(x.T, (0, B - len(x))) * kept(r.input_dropout, "input_dropout", (d, B), *at)
        W = p["hidden1.weight"] * kept(r.dropconnect, "hidden1", (n, d), *at)
        h = torch.tanh(W @ x + p["hidden1.bias"])
        activity = r.activity_l1 * h.abs().sum(0) + r.activity_l2 / 2 * h.square().sum(0)
        h = h * kept(r.dropout, "dropout1", (n, B), *at)
        return (p["output.weight"] @ h + p["output.bias"]).T, activity

    def omega():
        return sum(r.l2 / 2 * W.square().sum() + r.l1 * W.abs().sum() for W in weights)

    for epoch in range(1, e.epochs + 1):
        order, activities = stream(row.seed, "order", epoch).permutation(row.fold.train), []
        for step in range(row.steps):
            batch = order[step * row.batch : (step + 1) * row.batch]
            z, activity = (v[: len(batch)] for v in outputs(x[batch], (epoch, step)))
            activities.append(activity)
            loss = F.cross_entropy(z, t[batch], label_smoothing=r.label_smoothing) + activity.mean()
            penalty = omega() if not r.proximal else sum(r.l2 / 2 * W.square().sum() for W in weights)
            for w, g in zip(p.values(), torch.autograd.grad(loss + penalty, p.values()), strict=True):
                w.data -= e.optimizer.lr * g
            for W in weights:
                if r.proximal:
                    W.data = F.softshrink(W.data, e.optimizer.lr * r.l1)
                W.data *= (r.max_norm / W.data.norm(dim=1, keepdim=True)).clamp_max(1)
        yield (
            {name: w.detach().numpy().copy() for name, w in p.items()},
            (omega() + torch.cat(activities).mean()).item(),
        )


@every_case
def test_training_equals_a_loop_of_torch(regularizers):
    run = nnlab.fit(*[replace(e, metric="val_loss") for e in rows_of(regularizers)])
    records = list(run)
    for row, result in zip(run.rows, run.results, strict=True):
        epochs = list(by_torch(row))
        for record, (_, penalty) in zip(records, epochs, strict=True):
            assert record.penalty[row.number] == pytest.approx(penalty, rel=1e-9, abs=1e-12)
        weights, _ = epochs[result.best_epoch - 1]
        for name, w in weights.items():
            np.testing.assert_allclose(result.weights[name], w, rtol=1e-9, atol=1e-10, err_msg=name)


STACKS = [(90, 7, 3, (13, 6), 16), (83, 9, 4, (17,), 7), (60, 1, 2, (1,), 11), (120, 33, 5, (), 64)]


@pytest.mark.filterwarnings("ignore:regularizer.(drop|activity)")  # in a network without hidden layers
@pytest.mark.parametrize("shape", STACKS, ids=str)
@every_case
def test_a_row_equals_itself_alone(regularizers, shape):
    """Bit for bit, and beside rows that have the neutral value and others that do not."""
    n, d, classes, hidden, batch = shape
    base = Experiment(data=blobs(n, d, classes), model=MLP(hidden=hidden), optimizer=Adam(), batch_size=batch,
                      epochs=2)  # fmt: skip
    rows = rows_of(regularizers + regularizers[:2], base)
    together = curves(rows)
    for k in (0, 1, 4):
        assert_same([together[k]], curves([rows[k]]), f"row {k}")


# ---- l1


def test_proximal_l1_gives_exact_zeros_and_the_subgradient_none():
    l1 = dict(l1=0.02, small=0.0)
    *_, subgradient = nnlab.fit(replace(BASE, epochs=20, regularizer=Regularizer(**l1)))
    run = nnlab.fit(replace(BASE, epochs=20, regularizer=Regularizer(**l1, proximal=True)))
    *_, proximal = run
    assert subgradient.small_weights[0] == 0 and 0.3 < proximal.small_weights[0] < 1
    assert proximal.val_loss[0] < 0.9 * math.log(3)


def test_small_weights_are_counted_without_the_gaps():
    run = nnlab.fit(replace(BASE, epochs=1, regularizer=Regularizer(small=0.1)))
    (record,) = run
    weights = [w.ravel() for name, w in run.results[0].weights.items() if name.endswith("weight")]
    assert record.small_weights[0] == (np.abs(np.concatenate(weights)) <= 0.1).mean() > 0
    (plain,) = nnlab.fit(replace(BASE, epochs=1))
    assert "small_weights" not in plain.metrics


def test_beside_momentum_a_proximal_step_weighs_less():
    """By 1 - gamma, as the gradient's step is longer by it: with l1 / (1 - gamma) it ends where sgd does."""
    random = np.random.default_rng(0)
    X = random.standard_normal((60, 5))
    y = X @ [2, -1, 0.5, 0, 0.1] + 0.3 * random.standard_normal(60)
    settings = dict(model="linear", split="none", metric="last", batch_size="full", init="zeros", epochs=300)
    base = Experiment(data=(X, y), dtype="float64", **settings)

    def learnt(optimizer, l1):
        e = replace(base, optimizer=optimizer, regularizer=Regularizer(l1=l1, proximal=True))
        return nnlab.fit(e).run().results[0].weights["output.weight"].ravel()

    by_sgd = learnt(SGD(lr=0.1), 0.2)
    np.testing.assert_allclose(learnt(Momentum(lr=0.02, gamma=0.75), 0.8), by_sgd, atol=1e-6)
    assert (by_sgd == 0).sum() == 2


def test_proximal_steps_reach_the_lasso_of_orthogonal_inputs():
    """min mean (x'w - t)^2 + l1 |w| with X'X = N I has the solution softshrink(X't / N, l1 / 2)."""
    X = torch.linalg.qr(torch.randn(40, 6, generator=torch.Generator().manual_seed(1)).double())[0] * 40**0.5
    t = torch.randn(40, 1, generator=torch.Generator().manual_seed(2)).double() + X[:, :1]
    r = stack([Regularizer(l1=0.3, proximal=True)])
    w, scratch = torch.zeros(2, 1, 6, dtype=torch.float64)
    f = SimpleNamespace(**r.factors(torch.full((1, 1), 0.05).double()))
    for _ in range(400):
        w -= 0.05 * (2 / 40 * X.T @ (X @ w[0][:, None] - t)).T
        r.project(w, [], f, scratch)
    assert_near(w, F.softshrink(X.T @ t / 40, 0.15).T, 8)
    assert (w == 0).any() and (w != 0).any()


# ---- max_norm


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_max_norm_holds_after_every_step(dtype, monkeypatch):
    """For a rate at which it binds, and the layers that it scales keep their directions."""
    seen, project = [], Regularizer.project

    def spied(self, weights, layers, f, scratch):
        before = [W.clone() for W in layers]
        project(self, weights, layers, f, scratch)
        for W, old in zip(layers, before, strict=True):
            norms, was = (torch.linalg.vector_norm(v, dim=2) for v in (W, old))
            seen.append((norms.max().item(), was.max().item()))
            assert_near(W * was[..., None], old * norms[..., None], 5)
            free = was <= 0.8
            assert torch.equal(W[free], old[free])

    monkeypatch.setattr(Regularizer, "project", spied)
    list(nnlab.fit(replace(BASE, dtype=dtype, regularizer=Regularizer(max_norm=0.8))))
    assert max(norm for norm, _ in seen) < 0.8 * (1 + 1e-6)
    assert max(was for _, was in seen) > 0.9


def test_scaling_down_by_hand():
    W = torch.tensor([[[3.0, 4], [0, 0], [0.3, 0.4]], [[3, 4], [math.inf, 1], [1e30, 0]]])
    scale_down(W, torch.tensor([[[1.0]], [[math.inf]]]))
    expected = [[[0.6, 0.8], [0, 0], [0.3, 0.4]], [[3, 4], [math.inf, 1], [1e30, 0]]]
    assert torch.equal(W, torch.tensor(expected))


# ---- dropconnect and input_dropout


@pytest.mark.parametrize("name", ["dropconnect", "input_dropout", "dropout"])
def test_the_mean_over_masks_is_the_network_without_them(name):
    """For a linear network it is exact: the mean output over masks tends to that of mean weights."""
    e = replace(BASE, model=MLP(hidden=(9,), activation="identity"), regularizer=Regularizer(**{name: 0.4}))
    run = nnlab.fit(e)
    examples = run.cache.examples(run.rows[0])
    training = Training(run.rows, examples, 1).begin()
    chunk, step, many = next(iter(training.batches.epoch(1))), training.step, []
    with computing():
        for epoch in range(1, 700):
            for s in range(len(chunk.x)):
                for noise in step.noise:
                    noise.draw(epoch, chunk.first, s, len(chunk.x))
                    noise.provide(s)
                many.append(step.network.fprop(chunk.x[0]).clone())
        plain = [replace(row, experiment=replace(e, regularizer=Regularizer())) for row in run.rows]
        expected = Training(plain, examples, 1).begin().step.network.fprop(chunk.x[0])
    many = torch.stack(many)
    error = many.std(0) / len(many) ** 0.5
    assert len(many) > 3000 and ((many.mean(0) - expected).abs() < 5 * error).all()
    assert (many.std(0) > 0.01).all()


def test_noise_of_a_layer_larger_than_a_chunk_is_drawn_in_parts(monkeypatch):
    """The parts have streams of their own, so whatever is drawn at once is what the row alone would draw."""
    # 63 weights: three steps at once, six an epoch
    monkeypatch.setattr("nnlab.training.step.CHUNK_ELEMENTS", 200)
    rows = rows_of(CASES["dropconnect"])
    together = curves(rows)
    assert_same([together[2]], curves([rows[2]]), "in parts")


# ---- label smoothing


def test_label_smoothing_is_trained_and_not_reported():
    one_step = replace(BASE, batch_size="full", epochs=1)
    (plain,) = nnlab.fit(one_step)
    (smooth,) = nnlab.fit(replace(one_step, regularizer=Regularizer(label_smoothing=0.5)))
    assert plain.train_loss == smooth.train_loss  # of the outputs before the only step
    assert plain.grad_norm != smooth.grad_norm and plain.val_loss != smooth.val_loss


def test_label_smoothing_of_numbers_is_refused():
    wrong = replace(BASE, data=Points(classes=0), regularizer=Regularizer(label_smoothing=0.1))
    with pytest.raises(UserError, match="label_smoothing above 0 needs classes"):
        nnlab.fit(wrong)


@pytest.mark.parametrize(("classes", "value"), [(3, 0.1), (0, 0.0)], ids=["classes", "numbers"])
def test_auto_label_smoothing_is_for_classes(classes, value):
    base = replace(BASE, data=Points(classes=classes), epochs=2)
    auto, explicit = (replace(base, regularizer=Regularizer(label_smoothing=v)) for v in ("auto", value))
    assert_same(curves([auto]), curves([explicit]), "auto")
    fit, other = nnlab.fit(auto).run(), nnlab.fit(explicit).run()
    x = auto.load().x
    assert nnlab.load(fit).outputs(x).tobytes() == nnlab.load(other).outputs(x).tobytes()
    assert Subject(auto).experiment.regularizer == explicit.regularizer


def test_auto_label_smoothing_shares_a_stack_with_numbers():
    regularizers = [dict(label_smoothing=v) for v in ("auto", 0.0, 0.3)]
    together = nnlab.fit(*rows_of(regularizers)).run().results
    for one, row in zip(together, rows_of(regularizers), strict=True):
        (alone,) = nnlab.fit(row).run().results
        assert one.test == alone.test and one.best_epoch == alone.best_epoch
