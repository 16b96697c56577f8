"""Batch and layer normalisation beside torch's: steps, short batches, layouts, and whole networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import DOUBLE, assert_near, bind, one_thread  # noqa: F401
from torch import nn

import nnlab
from nnlab.autodiff.layer_norm import LayerNorm
from nnlab.autodiff.normalization import BatchNorm
from nnlab.errors import UserError
from nnlab.runtime.layout import aligned
from nnlab.testing.rows import Bumps, trained

SHAPES = [(7,), (1,), (3, 4, 5), (2, 6), (1, 1, 3)]
COUNTS = [[11, 11], [11, 5], [11, 2], [11, 1]]  # real examples of each row in its last batch of 11


def batch(rows, shape, size, seed, layout="examples last"):
    x = torch.randn(rows, *shape, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return laid_out(3 + x, layout)


def laid_out(x, layout):
    """A copy of x (K, C, ..., B) with the examples last in memory, or the channels; its rows aligned."""
    if layout == "examples last":
        return aligned(len(x), tuple(x.shape[1:]), x).copy_(x)
    example_first = x.movedim(-1, 1).movedim(2, -1)  # (K, B, ..., C)
    return laid_out(example_first, "examples last").movedim(-1, 1).movedim(2, -1)


def torchs(shape, momentum):
    norm = nn.BatchNorm1d if len(shape) < 3 else nn.BatchNorm2d
    return norm(shape[0], momentum=momentum, dtype=torch.float64)


@pytest.mark.parametrize("layout", ["examples last", "channels last"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_batch_norm_is_that_of_torch_after_several_steps(shape, counts, layout):
    """Outputs, gradients, and running statistics; the examples that fill a row's last batch are left out."""
    b, size = bind(BatchNorm(momentum=0.3), [shape], 2, 11), 11
    b.theta["mean"].fill_(0)
    b.theta["variance"].fill_(1)
    twins = [torchs(shape, 0.3) for _ in counts]
    for twin, gamma, beta in zip(twins, b.theta["gamma"], b.theta["beta"], strict=True):
        twin.weight.data, twin.bias.data = gamma.flatten().clone(), beta.flatten().clone()
    for step in range(4):
        real = counts if step == 3 else [size] * 2
        x, dy = (batch(2, shape, size, seed, layout) for seed in (step, 50 + step))
        b.ctx.valid = (torch.arange(size) < torch.tensor(real)[:, None]).to(x)[:, None]
        b.ctx.padded = step == 3
        dy.mul_(b.ctx.valid.unflatten(1, (1,) * len(shape)))  # an example that does not count has no loss
        y, (dx,) = b.fprop(x).clone(), b.bprop(dy)
        for k, (twin, n) in enumerate(zip(twins, real, strict=True)):
            examples = x[k, ..., :n].movedim(-1, 0).contiguous().requires_grad_()
            single = n * np.prod(shape[1:]) == 1
            twin.train(not single).zero_grad()  # torch raises there
            expected = twin(examples)
            expected.backward(dy[k, ..., :n].movedim(-1, 0))
            for ours, other in [
                (y[k, ..., :n], expected.movedim(0, -1)),
                (dx[k, ..., :n], examples.grad.movedim(0, -1)),
                (b.grad["gamma"][k].flatten(), twin.weight.grad),
                (b.grad["beta"][k].flatten(), twin.bias.grad),
                (b.theta["mean"][k].flatten(), twin.running_mean),
                (b.theta["variance"][k].flatten(), twin.running_var),
            ]:
                assert_near(ours[None], other.detach()[None], 12)
            assert not dx[k, ..., n:].any()
    evaluating = bind(BatchNorm(momentum=0.3), [shape], 2, 11, training=False)
    for name, leaf in evaluating.theta.items():
        leaf.copy_(b.theta[name])
    y = evaluating.fprop(x)
    for k, twin in enumerate(twins):
        assert_near(y[k][None], twin.eval()(x[k].movedim(-1, 0)).movedim(0, -1).detach()[None], 12)


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (2, 6)], ids=str)
def test_layer_norm_is_that_of_torch(shape):
    """LayerNorm of vectors; of images, GroupNorm with one group."""
    b, x, dy = bind(LayerNorm(), [shape], 2, 5), batch(2, shape, 5, 0), batch(2, shape, 5, 1)
    y, (dx,) = b.fprop(x), b.bprop(dy)
    for k in range(2):
        twin = nn.LayerNorm(shape) if len(shape) == 1 else nn.GroupNorm(1, shape[0])
        twin.double()
        twin.weight.data, twin.bias.data = (b.theta[name][k].flatten() for name in ("gamma", "beta"))
        examples = x[k].movedim(-1, 0).contiguous().requires_grad_()
        expected = twin(examples)
        expected.backward(dy[k].movedim(-1, 0))
        assert_near(y[k][None], expected.movedim(0, -1)[None].detach(), 12)
        assert_near(dx[k][None], examples.grad.movedim(0, -1)[None], 12)
        assert_near(b.grad["gamma"][k].flatten()[None], twin.weight.grad[None], 12)
        assert_near(b.grad["beta"][k].flatten()[None], twin.bias.grad[None], 12)


@pytest.mark.parametrize("layout", ["examples last", "channels last"])
@pytest.mark.parametrize("box", [BatchNorm(), LayerNorm()], ids=str)
def test_a_row_has_the_same_bits_in_any_stack_and_layout_of_images(box, layout):
    for shape, size in [
        ((1, 5, 5), 3),
        ((3, 8, 8), 13),
        ((33, 4, 4), 16),
        ((64, 1, 1), 64),
        ((16, 16, 2), 1),
    ]:
        x, dy = (batch(5, shape, size, seed, layout).float() for seed in (0, 1))
        padded = torch.ones(5, 1, size)
        padded[1, :, (size + 1) // 2 :] = 0

        def results(rows, x=x, dy=dy, padded=padded, size=size, shape=shape):
            row = {"row": rows.start} if rows.stop - rows.start == 1 else {}
            b = bind(box, [shape], 5, size, dtype=torch.float32, **row)
            b.ctx.valid, b.ctx.padded = padded[rows], bool((padded[rows] == 0).any())
            y = b.fprop(laid_out(x[rows], layout)).clone()
            dx = b.bprop(laid_out(dy[rows], layout))[0]
            return [y, dx, *b.grad.values(), *b.theta.values()]

        together = results(slice(0, 5))
        for k in range(5):
            for ours, alone in zip(together, results(slice(k, k + 1)), strict=True):
                assert torch.equal(ours[k : k + 1], alone), f"{shape}, {size} examples, row {k}"


@pytest.mark.parametrize("box", [BatchNorm(), LayerNorm()], ids=str)
def test_a_small_variance_around_a_large_mean_keeps_its_digits(box):
    x = 4096 + batch(1, (200,), 300, 0).float()
    b = bind(box, [(200,)], 1, 300, dtype=torch.float32)
    exact = bind(box, [(200,)], 1, 300)
    for name in ("gamma", "beta"):
        b.theta[name].copy_(exact.theta[name])
    # One pass, the mean of squares less the square of the mean, has no digit left: 4096^2 is rounded to 2.
    assert (b.fprop(x) - exact.fprop(x.double())).abs().max() < 0.01


# ---- networks

JOB = nnlab.Experiment(
    data=Bumps(), model=nnlab.MLP(hidden=(9, 9), normalization="batch", activation="sigmoid"), epochs=3,
    batch_size=13, regularizer="none", dtype="float64",
)  # fmt: skip


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def by_torch(e, residual):
    """The same training by torch.nn and torch.optim: the network, and the examples of each fold."""
    fit = nnlab.fit(e)
    examples, (row,) = fit.cache.examples(fit.rows[0]), fit.rows
    kind = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[e.model.normalization]
    hidden = [nn.Sequential(nn.Linear(9 if n else 5, 9), kind(9), nn.Sigmoid()) for n in range(2)]
    if residual:
        hidden[1] = Residual(*hidden[1])
    net = nn.Sequential(*hidden, nn.Linear(9, 3)).double()
    named = dict(zip(("hidden1", "hidden2", "output"), (hidden[0][0], hidden[1][0], net[2]), strict=True))
    for name, layer in named.items():
        shape = layer.weight.shape
        random = nnlab.streams.stream(row.seed, "init", f"{name}.weight")
        activation = "identity" if name == "output" else "sigmoid"
        layer.weight.data = torch.from_numpy(e.init.weights(random, tuple(shape), *shape[::-1], activation))
        layer.bias.data.zero_()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for epoch in range(1, e.epochs + 1):
        order = nnlab.streams.stream(row.seed, "order", epoch).permutation(row.fold.train)
        for first in range(0, len(order), e.batch_size):
            x, t = examples.gather(row.fold, order[first : first + e.batch_size])
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x.T), t.T).backward()
            optimizer.step()
    x, t = examples.gather(row.fold, row.fold.validation)
    return net.eval(), float(nn.functional.cross_entropy(net(x.T), t.T).detach())


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_an_mlp_trains_as_torchs_modules_do(normalization, residual):
    """Weights, running statistics and the validation loss after three epochs with a short last batch."""
    model = replace(JOB.model, normalization=normalization, residual=residual)
    e = replace(JOB, model=model, optimizer=nnlab.SGD(lr=0.5), metric="last")
    fit = nnlab.fit(e).run()
    (result,), (net, val_loss) = fit.results, by_torch(e, residual)
    assert result.examples["train"] % 13
    assert fit.curves("val_loss")[0, -1] == pytest.approx(val_loss, rel=1e-12)
    for name, layer in zip(("hidden1", "hidden2", "output"), (net[0][0], net[1][0], net[2]), strict=True):
        assert np.allclose(result.weights[f"{name}.weight"], layer.weight.detach(), rtol=1e-11)
    norm = net[1][1]
    statistics = {"gamma": norm.weight, "beta": norm.bias}
    if normalization == "batch":
        statistics |= {"mean": norm.running_mean, "variance": norm.running_var}
    for name, expected in statistics.items():
        ours = result.weights[f"{normalization}_norm2.{name}"]
        assert np.allclose(ours[:, 0], expected.detach(), rtol=1e-10, atol=1e-13)


def test_the_boxes_of_an_mlp():
    graph = nnlab.MLP(hidden=(8, 8, 4), normalization="layer", residual=True).graph((8,), 2)
    names = [node.name for node in graph.nodes if node.box and node.box.name != "dropconnect"]
    assert names == [
        "input_dropout", "hidden1", "layer_norm1", "relu1", "dropout1",
        "hidden2", "layer_norm2", "relu2", "dropout2", "residual2",
        "hidden3", "layer_norm3", "relu3", "dropout3", "output",
    ]  # fmt: skip
    assert graph.nodes[graph["residual2"]].inputs == (graph["dropout1"], graph["dropout2"])


@pytest.mark.parametrize("settings, message", [
    (dict(hidden=(8, 4), residual=True), r"model.residual=true: .* model.hidden = \[8, 4\] has no such"),
    (dict(hidden=(), normalization="batch"), r"model.normalization=batch: .* model.hidden=\[\] has none"),
    (dict(normalization="bach"), "expected one of none, batch, layer; did you mean"),
])  # fmt: skip
def test_settings_without_effect_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        nnlab.MLP(**settings)


@pytest.mark.parametrize("split", [nnlab.Holdout(), nnlab.KFold(k=3)])
def test_rows_with_batch_statistics_are_independent(split):
    """Of folds with unequal last batches too, and of rows that leave the stack before others."""
    base = replace(JOB, split=split, dtype="float32", epochs=8, stopping=nnlab.Patience(patience=1))
    experiments = [
        replace(base, optimizer=nnlab.SGD(lr=lr), seed=s)
        for lr in (0.1, 1.0) for s in (0, 1)
    ]  # fmt: skip
    together = trained(experiments)
    alone = [row for e in experiments for row in trained([e])]
    assert sorted(map(str, together)) == sorted(map(str, alone))


def test_one_example_has_no_variance():
    with pytest.raises(UserError, match="batch_size=1: batch_norm1 needs at least 2 examples"):
        nnlab.fit(replace(JOB, batch_size=1))
    (result,) = (
        nnlab.fit(replace(JOB, model=replace(JOB.model, normalization="layer"), batch_size=1)).run().results
    )
    assert result.status == "finished"
    examples = result.examples["train"]
    single = nnlab.fit(replace(JOB, batch_size=examples - 1)).run()  # the last batch is of one
    assert single.results[0].status == "finished" and np.isfinite(single.curves("val_loss")).all()
    assert all(np.isfinite(w).all() for w in single.results[0].weights.values())


def test_normalization_is_checked():
    for normalization in ("batch", "layer"):
        e = replace(
            JOB, model=replace(JOB.model, normalization=normalization, residual=True), dtype="float32"
        )
        verdicts = {v.rung: v for v in nnlab.check(e, only=("gradients", "determinism"))}
        assert [v.status for v in verdicts.values()] == ["pass"] * 2
