"""Batches: each training example once an epoch, in the row's own order; evaluation sets in full."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import DOUBLE

from nnlab.data import batches
from nnlab.data.batches import Batches
from nnlab.data.evaluation_batches import evaluation_batches
from nnlab.data.examples import Examples
from nnlab.data.sources import Data, Dataset
from nnlab.data.splits import Holdout, KFold
from nnlab.experiment import Experiment

N = 97
RAW = Data(normalization="none")
# An example's only input is its number, its class is the number modulo three: batches tell what is in them.
NUMBERED = Dataset(np.arange(float(N))[:, None], np.arange(N) % 3, tuple("abc"))

BASE = Experiment(split=Holdout(), batch_size=10)
CASES = {  # name: experiment, whose rows share a stack
    "one-row": BASE,
    "seeds": replace(BASE, seeds=3),
    "folds-of-two-sizes": replace(BASE, split=KFold(k=4)),  # 58 or 59 training examples
    "folds-and-seeds": replace(BASE, split=KFold(k=4, repeats=2), seeds=2),
    "full": replace(BASE, batch_size="full", seeds=2),
    "larger-than-the-data": replace(BASE, batch_size=1000),
    "one-by-one": replace(BASE, batch_size=1),
    "no-short-batch": replace(BASE, batch_size=59),
}
every_case = pytest.mark.parametrize("experiment", CASES.values(), ids=CASES)


@pytest.fixture(params=[2**20, 25], ids=["one-chunk", "chunks"])
def chunks(request, monkeypatch):
    """An epoch in one piece, or in chunks of 25 examples."""
    monkeypatch.setattr(batches, "CHUNK_ELEMENTS", request.param)


def epoch_of(experiment, number=1):
    """(rows, x (S, K, B), classes (S, K, B), weight (S, K, B)) of an epoch, in numpy."""
    rows = experiment.rows(NUMBERED)
    epoch = Batches(Examples(RAW, NUMBERED, DOUBLE), rows).epoch(number)
    parts = [replace(p, x=p.x.clone(), t=p.t.clone()) for p in epoch]  # the next chunk takes their room
    assert [p.first for p in parts] == list(np.cumsum([0, *[len(p.x) for p in parts]])[:-1])
    x, t, weight, valid = (
        torch.cat([getattr(p, name) for p in parts]) for name in ("x", "t", "weight", "valid")
    )
    steps, k, _, batch = x.shape
    weight = weight[:, :, 0].expand(steps, k, batch).numpy()
    assert np.array_equal(weight > 0, valid.expand(steps, k, batch).numpy())
    assert set(np.unique(valid)) <= {0, 1}
    return rows, x[:, :, 0].numpy(), t.argmax(2).numpy(), weight


@every_case
def test_an_epoch_visits_every_training_example_once(experiment, chunks):
    for number in (1, 2):
        rows, x, classes, weight = epoch_of(experiment, number)
        assert x.shape[1] == len(rows)
        assert np.array_equal(classes, x % 3)  # targets go with their inputs
        for k, row in enumerate(rows):
            visited = x[:, k][weight[:, k] > 0]
            assert np.array_equal(np.sort(visited), row.fold.train)
            assert np.isin(x[:, k], row.fold.train).all()  # also what fills the last batch up


@every_case
def test_weights_are_the_mean_over_the_batch(experiment, chunks):
    rows, x, _, weight = epoch_of(experiment)
    size = min(len(rows[0].fold.train), 10**9 if experiment.batch_size == "full" else experiment.batch_size)
    for k, row in enumerate(rows):
        n = len(row.fold.train)
        assert len(x) == -(-n // size) and x.shape[2] == size
        np.testing.assert_allclose(weight[:, k].sum(1), 1)
        expected = np.full((len(x), size), 1 / size)
        last = n - (len(x) - 1) * size
        expected[-1] = np.where(np.arange(size) < last, 1 / last, 0)
        np.testing.assert_allclose(weight[:, k], expected)


def test_an_order_is_the_rows_own_by_seed_and_epoch():
    rows, x, _, _ = epoch_of(replace(BASE, seeds=3))
    _, again, _, _ = epoch_of(replace(BASE, seeds=3))
    _, next_epoch, _, _ = epoch_of(replace(BASE, seeds=3), 2)
    assert np.array_equal(x, again)
    orders = [v[:, k].ravel() for v in (x, next_epoch) for k in range(3)]
    for i in range(6):
        for j in range(i):
            assert (orders[i] == orders[j]).mean() < 0.2
    for k, row in enumerate(rows):
        alone = epoch_of(replace(BASE, seed=row.seed))[1]
        assert np.array_equal(alone[:, 0], x[:, k])


def test_rows_of_one_seed_and_fold_share_their_order():
    rows = [row for seed in (4, 4, 5, 4) for row in replace(BASE, seed=seed, split=KFold(k=4)).rows(NUMBERED)]
    (chunk,) = Batches(Examples(RAW, NUMBERED, DOUBLE), rows).epoch(3)
    of = {}
    for k, row in enumerate(rows):
        of.setdefault((row.seed, row.fold.key), []).append(chunk.x[:, k])
    assert sorted(len(same) for same in of.values()) == [1] * 4 + [3] * 4
    for same in of.values():
        assert all(torch.equal(same[0], other) for other in same)


def test_orders_are_uniform():
    """Over epochs, every example is in the first batch as often as any other."""
    rows = BASE.rows(NUMBERED)
    source = Batches(Examples(RAW, NUMBERED, DOUBLE), rows)
    first = np.concatenate([next(source.epoch(e)).x[0, 0, 0].numpy() for e in range(1, 301)])
    counts = np.bincount(first.astype(int), minlength=N)[rows[0].fold.train]
    expected = len(first) / len(counts)
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < len(counts) + 5 * (2 * len(counts)) ** 0.5


def test_chunks_are_as_large_as_memory_allows(monkeypatch):
    rows, examples = BASE.rows(NUMBERED), Examples(RAW, NUMBERED, DOUBLE)
    for chunk, steps in ((10**6, [6]), (25, [2, 2, 2]), (1, [1] * 6)):
        monkeypatch.setattr(batches, "CHUNK_ELEMENTS", chunk)
        assert [len(c.x) for c in Batches(examples, rows).epoch(1)] == steps


@pytest.mark.parametrize("set_name", ["validation", "test"])
@pytest.mark.parametrize(
    "split", [Holdout(), KFold(k=3, repeats=2), Holdout(test=0.75, validation=0.1)], ids=str
)
def test_what_is_evaluated(split, set_name):
    """Every row's own set, each example once with weight 1/n, also when the set takes several batches."""
    rows = replace(BASE, split=split).rows(NUMBERED)
    parts = list(evaluation_batches(Examples(RAW, NUMBERED, DOUBLE), rows, set_name))
    x, weight = (
        torch.cat([getattr(p, name)[:, 0].expand(len(rows), -1) for p in parts], 1)
        for name in ("x", "weight")
    )
    for k, row in enumerate(rows):
        examples = getattr(row.fold, set_name)
        used = weight[k] > 0
        assert np.array_equal(x[k][used].numpy(), examples)
        np.testing.assert_allclose(weight[k][used], 1 / len(examples))
