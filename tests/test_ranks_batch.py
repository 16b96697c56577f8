"""Ranks that share every batch train what one process trains, and stop where one of them is lost."""

import os
import signal
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from networks import DOUBLE, Points, one_thread  # noqa: F401
from rank_processes import run_ranks

import nnlab
from nnlab import CNN, MLP, Experiment, Regularizer, UserError, interruption
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box, Buffer, Site
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.reductions import RepeatExamples, SumExamples
from nnlab.data.batches import Batches
from nnlab.errors import MachineFault
from nnlab.experiment import stack_graph
from nnlab.runtime import ranks as ranks_module
from nnlab.runtime.ranks import Ranks, ranks
from nnlab.runtime.shares import Share
from nnlab.training.agreement import Agreement
from nnlab.training.population import Population
from nnlab.training.step import Noise
from nnlab.training.training import Training, never

IMAGES = Points(n=95, d=16, shape=(1, 4, 4))
BASE = Experiment(
    data=Points(n=95), model=MLP(hidden=(9,), activation="tanh"), batch_size=16, epochs=3, dtype="float64",
    optimizer=nnlab.Adam(lr=0.01), regularizer=Regularizer(),
)  # fmt: skip
SMALL_CNN = CNN(blocks=({"channels": 4, "kernel": 3}, "pool"), hidden=(6,))
# Some 76 examples are trained on, so that the last batch is short; 3 does not divide 16, nor does 2 divide 7.
# Batch normalisation leaves the bias before it without a gradient, of whose rounding Adam would make steps.
PLAIN = nnlab.Momentum(lr=0.1)
CASES = {
    "mlp": {},
    "odd batch": {"batch_size": 7},
    "full batch": {"batch_size": "full"},
    "as many ranks as examples": {"batch_size": 3},
    "several rows": {"seeds": 3},
    "dropout": {"regularizer": Regularizer(dropout=0.3, input_dropout=0.1, dropconnect=0.2)},
    "batch norm": {"model": MLP(hidden=(9, 5), normalization="batch"), "optimizer": PLAIN},
    "batch norm, odd batch": {"model": MLP(hidden=(9,), normalization="batch"), "batch_size": 5,
                              "optimizer": PLAIN},
    "layer norm": {"model": MLP(hidden=(9,), normalization="layer")},
    "cnn": {"data": IMAGES, "model": SMALL_CNN, "regularizer": Regularizer(dropout=0.3)},
    "cnn, batch norm": {"data": IMAGES, "model": replace(SMALL_CNN, normalization="batch"), "epochs": 2,
                        "optimizer": PLAIN},
    "stochastic pooling": {"data": IMAGES, "model": replace(SMALL_CNN, pooling="stochastic"), "epochs": 2},
    "augmentation": {"data": IMAGES, "model": SMALL_CNN,
                     "regularizer": Regularizer(shift=1, flip=0.5, cutout=1, input_noise=0.1)},
    "class weights": {"class_weight": "balanced"},
    "smoothing, clipping": {"regularizer": Regularizer(label_smoothing=0.1, l1=1e-3, max_norm=1.0),
                            "optimizer": nnlab.SGD(lr=0.3, clip_norm=0.5)},
    "activity": {"regularizer": Regularizer(activity_l1=1e-2, activity_l2=1e-2)},
    "numbers": {"data": Points(n=95, classes=0)},
    "goes back": {"schedule": nnlab.HalveAndGoBack(), "optimizer": nnlab.SGD(lr=3.0)},
}  # fmt: skip


def begun(e: Experiment, **how) -> Training:
    fit = nnlab.fit(e)
    return Training(fit.rows, fit.cache.examples(fit.rows[0]), 1, **how)


def trained(e: Experiment):
    """What each row ends with and all records, of this process or of its ranks; and theta on the way."""
    training, records, results, thetas = begun(e, ranks=ranks()), [], [], []
    while len(training):
        record, ended = training.epoch()
        records.append(record.metrics)
        results += ended
        thetas += [training.population.state.theta.numpy().tobytes()] if len(training) else []
    return [r.weights for r in results], [r.test for r in results], records, thetas


def distance(weights: dict, others: dict) -> float:
    """The largest difference of a row's weights, relative to the largest of them."""
    assert weights.keys() == others.keys()
    largest = max(np.abs(w).max() for w in others.values())
    return max(np.abs(weights[name] - others[name]).max() for name in others) / largest


@pytest.mark.parametrize(
    "case, size", [(case, 3) for case in CASES] + [("mlp", 2), ("batch norm, odd batch", 2)]
)
def test_weights_are_those_of_one_process(case, size):
    e = replace(BASE, **CASES[case])
    weights, tests, records, _ = trained(e)
    first, *others = run_ranks(size, trained, e)
    assert all(other[3] == first[3] for other in others)  # every bit of theta, after every epoch
    for ours, wanted in zip(first[0], weights, strict=True):
        assert distance(ours, wanted) < 1e-11
    for ours, wanted in zip(first[2], records, strict=True):
        assert ours.keys() == wanted.keys()
        for name in wanted:
            np.testing.assert_allclose(ours[name], wanted[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert [t["loss"] for t in first[1]] == pytest.approx([t["loss"] for t in tests], rel=1e-9)


def test_one_process_alone_counts_no_examples_of_others():
    training = begun(replace(BASE, **CASES["batch norm"]))
    training.epoch()
    assert [ctx.count for ctx in training.step.network.masked] == [None, None]


def test_float32_differs_by_rounding():
    e = replace(BASE, data=nnlab.Digits(limit=400), model=MLP(), dtype="float32", batch_size=64)
    weights, *_ = trained(e)
    for ours, *_ in run_ranks(2, trained, e)[:1]:
        assert distance(ours[0], weights[0]) < 1e-5


def drawn(e: Experiment, part: Ranks | None) -> tuple[dict, np.ndarray]:
    """The uniforms of every box in all steps of an epoch, and the inputs, of one rank."""
    fit = nnlab.fit(e)
    rows, examples = fit.rows, fit.cache.examples(fit.rows[0])
    batches, graph = Batches(examples, rows, part), stack_graph(rows, examples.spec)
    population = Population.create(rows, graph, examples.template)
    theta = population.state.theta
    rates = population.experiment.regularizer.rates()
    site = Site(len(rows), batches.batch, True, theta, rates, share=batches.share)
    network = graph.bind(theta, torch.zeros_like(theta), site, population.state.buffers)
    values = {name: [] for name, _ in network.stochastic}
    for name, ctx in network.stochastic:
        noise = Noise(name, ctx, population, batches.chunk_steps)
        for s in range(batches.steps):
            noise.draw(1, 0, s, batches.steps)
            noise.provide(s)
            values[name].append(ctx.uniforms[..., : batches.share.count] if ctx.per_example else ctx.uniforms)
    x = next(batches.epoch(1)).x[..., : batches.share.count]
    return {name: torch.stack(each).clone() for name, each in values.items()}, x.clone()


@pytest.mark.parametrize(
    "batch", [4, 16, 7]
)  # 4 channels are 4 examples: the layout is that of the whole batch
def test_masks_are_those_of_one_process(batch):
    regularizer = Regularizer(dropout=0.3, dropconnect=0.2, shift=1, input_noise=0.1)
    model = replace(SMALL_CNN, pooling="stochastic")
    e = replace(BASE, data=IMAGES, model=model, regularizer=regularizer, batch_size=batch)
    (whole, x), parts = drawn(e, None), [drawn(e, Ranks(r, 3, r)) for r in range(3)]
    assert len(whole) >= 5 and torch.equal(torch.cat([p[1] for p in parts], -1), x)
    for name, values in whole.items():
        per_example = [p[0][name] for p in parts]
        if values.shape == per_example[0].shape:  # DropConnect's are of a batch, on all ranks alike
            assert all(torch.equal(part, values) for part in per_example)
        else:
            assert torch.equal(torch.cat(per_example, -1), values)


def test_shares_are_all_of_a_batch():
    for batch in range(2, 12):
        for size in range(2, batch + 1):
            shares = [Share(batch, Ranks(r, size, r)) for r in range(size)]
            order = np.arange(3 * batch)
            parts = [share.of_order(order).reshape(3, -1)[:, : share.count] for share in shares]
            assert (np.concatenate(parts, 1) == order.reshape(3, batch)).all()
            whole = torch.arange(1, 2 * batch + 1).view(2, batch)
            for axis, values in ((-1, whole), (0, whole.T)):
                taken = [share.of(values, axis) for share in shares]
                assert {t.shape[axis] for t in taken} == {shares[0].width}
                assert sum(t.sum() for t in taken) == whole.sum()  # and zeros
            assert all(share.count for share in shares)


# ---- what ranks cannot share


@dataclass(frozen=True)
class Counted(Box):
    """y = x; it counts the batches, and knows nothing of ranks."""

    name: ClassVar[str] = "counted"

    def leaves(self, shape):
        return {"batches": Buffer((1, 1))}


@dataclass(frozen=True)
class Masked(Counted):
    needs_valid: ClassVar[bool] = True

    def leaves(self, shape):
        return {}


def with_box(*boxes) -> Graph:
    graph = Graph((7,))
    h = graph.add("hidden", Affine(6), graph.input)
    for n, box in enumerate(boxes):
        h = graph.add(f"box{n}", box, h)
    return graph


def test_what_sums_over_a_batch_is_not_shared():
    assert with_box().unshared_node() is None
    assert with_box(nnlab.autodiff.BatchNorm()).unshared_node() is None
    for box in (Counted(), Masked(), SumExamples()):
        assert with_box(box, *[RepeatExamples()] * isinstance(box, SumExamples)).unshared_node().box == box


def stopped_by_a_signal_to_rank_1() -> tuple[bool, int]:
    own = ranks()
    together = Agreement(own, interruption.stop_requested, never)
    with interruption.raise_on_signals(), interruption.stop_at_epoch_end(b""):
        if own.rank == 1:
            interruption.request_stop(signal.SIGTERM)
        return together.should_stop(), interruption.exit_code()


def test_ranks_that_stop_together_know_of_which_signal():
    assert run_ranks(2, stopped_by_a_signal_to_rank_1) == [(True, 143)] * 2


def test_too_few_examples_are_refused():
    with pytest.raises(UserError, match=r"batch_size=2 has fewer examples than there are ranks, 3"):
        begun(replace(BASE, batch_size=2), ranks=Ranks(0, 3, 0))


def test_a_box_that_knows_no_ranks_is_refused(monkeypatch):
    monkeypatch.setattr(nnlab.autodiff.BatchNorm, "shares_batch", None)
    e = replace(BASE, model=MLP(hidden=(9,), normalization="batch"))
    with pytest.raises(
        UserError, match=r"\(batch_norm\) computes with all examples of a batch, which 2 ranks"
    ):
        begun(e, ranks=Ranks(0, 2, 0))


# ---- processors that round otherwise


def rounding_otherwise(e: Experiment):
    """Rank 1 has other last digits after each epoch."""
    training, thetas, advice = begun(e, ranks=ranks()), [], []
    validate = training.begin().evaluator.validate

    def validate_others():
        theta = training.population.state.theta
        if ranks().rank == 1:
            theta.mul_(1 + 1e-15)
        return validate()

    training.evaluator.validate = validate_others
    for _ in range(2):
        with pytest.warns(nnlab.Advice) as given:
            training.epoch()
        advice.append(str(given[0].message))
        thetas.append(training.population.state.theta.numpy().tobytes())
    return thetas, advice


def test_ranks_whose_processors_round_otherwise_go_on_from_the_first():
    (first, advice), (second, _) = run_ranks(2, rounding_otherwise, BASE)
    assert first == second and len(set(first)) == 2
    assert advice[0].startswith("the weights of ranks differ in their last digits")


# ---- pausing, and losing a rank


def paused(e: Experiment):
    """The state within the second epoch, which a rank asked for, and the weights at the end."""
    together, done = ranks(), 0
    training = begun(e, ranks=together)
    training.epoch()

    def should_pause():
        nonlocal done
        done += 1
        return together.any(together.rank == 1 and done == 2)

    assert training.epoch(should_pause) is None
    state = training.state()
    while len(training):
        _, results = training.epoch() or (None, [])
    return state, results[0].weights


def goes_on(e: Experiment, state):
    training = begun(e, ranks=ranks()).restore(state)
    while len(training):
        _, results = training.epoch()
    return results[0].weights


@pytest.mark.parametrize("activity", [0.0, 1e-2])
def test_a_state_within_an_epoch_goes_on_with_other_ranks(monkeypatch, activity):
    monkeypatch.setattr("nnlab.data.batches.CHUNK_ELEMENTS", 16 * 7)  # a chunk is a step
    e = replace(BASE, regularizer=Regularizer(dropout=0.2, activity_l2=activity))
    weights, _, records, _ = trained(e)
    (state, ours), (other, _) = run_ranks(2, paused, e)
    assert state.values["steps"] == 2 and (state.arrays["sums"] == other.arrays["sums"]).all()
    three = run_ranks(3, goes_on, e, state)
    for end in (ours, three[0], goes_on(e, state)):
        assert distance(end, weights[0]) < 1e-11


def die_in_an_epoch(e: Experiment, victim: int, step: int):
    ranks_module.ROLL_CALL_SECONDS = 0.5
    training, steps = begun(e, ranks=ranks()), 0
    training.epoch()

    def should_pause():
        nonlocal steps
        steps += 1
        if ranks().rank == victim and steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    with pytest.raises(MachineFault) as fault:
        training.epoch(should_pause)
    state = training.state()
    return str(fault.value), state, training.end_rows(training.row_numbers, "interrupted")


def test_where_a_rank_is_lost_the_state_is_that_of_the_last_epoch(monkeypatch):
    monkeypatch.setattr("nnlab.data.batches.CHUNK_ELEMENTS", 16 * 7)
    e = replace(BASE, regularizer=Regularizer(dropout=0.2))
    weights, *_ = trained(e)
    said, state, (result,) = run_ranks(3, die_in_an_epoch, e, 2, 3)[0]
    assert said.startswith("rank 2 of 3 is gone")
    assert (state.values["epochs"], state.values["steps"]) == (1, 0)
    assert result.epochs == 1 and result.status == "interrupted"
    alone, two = goes_on(e, state), run_ranks(2, goes_on, e, state)[0]
    for end in (alone, two):
        assert distance(end, weights[0]) < 1e-11
