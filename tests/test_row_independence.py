"""Row independence: a row's bits depend on its own configuration and seed alone, on the CPU.

Every case trains a stack of rows that differ in everything that may differ inside a stack (rates,
penalties, dropout, seeds, epochs, patience), with every stochastic feature on; then some of them alone.
"""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from nnlab.data.sources import Data, Dataset
from nnlab.data.splits import Holdout, KFold
from nnlab.experiment import Experiment
from nnlab.models import MLP
from nnlab.optimizers import SGD, Adam, Momentum, RMSProp
from nnlab.regularizers import Regularizer
from nnlab.schedules import Cosine, HalveAndGoBack
from nnlab.stopping import Patience
from nnlab.training.fit import fit

# Random jobs have rates of dropout that a network without hidden layers does not read.
pytestmark = pytest.mark.filterwarnings("ignore::nnlab.errors.Advice")


class Blobs(Data):
    """Classes or numbers from a few noisy bumps, of any size."""

    name = "blobs"
    n, d, classes = 90, 7, 3
    target_normalization = "standard"

    def load(self):
        rng = np.random.default_rng(3)
        y = rng.integers(max(self.classes, 2), size=self.n)
        x = rng.standard_normal((self.n, self.d)) + 2 * rng.standard_normal((max(self.classes, 2), self.d))[y]
        if self.classes:
            return Dataset(x, y, tuple("abcdefghij"[: self.classes]))
        return Dataset(x, (x[:, :1] ** 2 + y[:, None]) * 100, ())


def blobs(n, d, classes):
    kind = type("Blobs", (Blobs,), {"n": n, "d": d, "classes": classes})
    return kind(normalization="standard")


def varied(base: Experiment, optimizer, k: int) -> Experiment:
    """The k-th row: its own rate, penalty, dropout, seed, number of epochs."""
    return replace(
        base,
        optimizer=optimizer(lr=optimizer().lr * (0.3 + 0.2 * k)),
        regularizer=Regularizer(l2=1e-3 * (k % 3), dropout=0.1 * (k % 5)),
        seed=k % 4,
        epochs=2 + k % 3,
    )


def curves(experiments):
    """Per experiment: its records' metrics and its weights."""
    run = fit(*experiments)
    epochs_of_row = {row.number: [] for row in run.rows}
    for record in run:
        for i, row in enumerate(record.rows):
            epochs_of_row[int(row)].append([record.metrics[m][i] for m in sorted(record.metrics)])
    return [
        (bits(np.array(epochs_of_row[r.row])), {n: bits(w) for n, w in r.weights.items()}, r.test)
        for r in run.results
    ]


def bits(array):
    """The bytes of an array, with one kind of NaN."""
    return np.where(np.isnan(array), np.nan, array).tobytes()


def assert_same(a, b, what):
    for (curve, weights, test), (curve2, weights2, test2) in zip(a, b, strict=True):
        assert curve == curve2, what
        assert weights == weights2, what
        assert repr(test) == repr(test2), what


CASES = [
    # n, d, classes, hidden, activation, batch, optimizer
    (90, 7, 3, (5,), "relu", 16, Adam),
    (90, 7, 3, (13, 11), "sigmoid", 7, Momentum),
    (150, 17, 2, (33,), "tanh", 33, RMSProp),
    (83, 3, 0, (19,), "tanh", 10, Adam),
    (60, 1, 0, (), "identity", 11, SGD),
    (200, 64, 10, (64,), "relu", 64, Adam),
    (77, 5, 5, (1, 9), "sigmoid", 1, SGD),
    (300, 130, 4, (257,), "relu", 100, Momentum),
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, (*c[:-1], c[-1].name))))
def test_a_row_equals_itself_alone(case, threads):
    n, d, classes, hidden, activation, batch, optimizer = case
    base = Experiment(
        data=blobs(n, d, classes), model=MLP(hidden=hidden, activation=activation),
        batch_size=batch, threads=threads, schedule=Cosine(), dtype="float32",
    )  # fmt: skip
    rows = [varied(base, optimizer, k) for k in range(17)]
    together = curves(rows)
    alone = {k: curves([rows[k]])[0] for k in (0, 5, 11)}
    assert_same([together[k] for k in alone], list(alone.values()), "17 rows and 1")
    assert_same([together[5], together[6]], curves(rows[5:7]), "17 rows and 2")


@pytest.mark.parametrize("seed", range(12))
def test_random_shapes(seed):
    r = random.Random(seed)
    base = Experiment(
        data=blobs(r.randint(40, 160), r.randint(1, 70), r.choice([0, 2, 3, 10])),
        model=MLP(hidden=tuple(r.randint(1, 70) for _ in range(r.randint(0, 2))),
                  activation=r.choice(["relu", "tanh", "sigmoid"])),
        batch_size=r.choice(["full", 1, 3, 16, 31, 64]), threads=r.choice([1, 2]),
        dtype=r.choice(["float32", "float64"]),
    )  # fmt: skip
    optimizer = r.choice([SGD, Momentum, RMSProp, Adam])
    rows = [varied(base, optimizer, k) for k in range(6)]
    together = curves(rows)
    for k in r.sample(range(6), 2):
        assert_same([together[k]], curves([rows[k]]), f"row {k} of {base}")


def test_permuted_rows_give_permuted_results():
    rows = [varied(Experiment(data=blobs(90, 7, 3)), Adam, k) for k in range(7)]
    order = [3, 6, 0, 2, 5, 1, 4]
    together = curves(rows)
    assert_same([together[k] for k in order], curves([rows[k] for k in order]), "permuted")


def test_folds_and_seeds_equal_themselves_alone():
    base = Experiment(data=blobs(101, 6, 3), split=KFold(k=4, repeats=2), seeds=2, seed=5, epochs=3,
                      regularizer=Regularizer(dropout=0.3), model=MLP(hidden=(9,)))  # fmt: skip
    run = fit(base)
    list(run)
    by_row = {(r.seed, r.repeat, r.fold): r.weights for r in run.results}
    assert len(by_row) == 16
    for seed, repeat, fold in [(5, 0, 0), (6, 1, 3), (5, 1, 2)]:
        alone = fit(replace(base, split=KFold(k=4, fold=fold, seed=repeat), seed=seed, seeds=1))
        list(alone)
        (result,) = alone.results
        for name, weight in result.weights.items():
            assert np.array_equal(weight, by_row[seed, repeat, fold][name]), (seed, repeat, fold, name)


def test_experiments_with_other_splits_share_a_fit():
    base = Experiment(data=blobs(90, 7, 3), model=MLP(hidden=(5,)), epochs=3, threads=1)
    both = [replace(base, split=Holdout(seed=s)) for s in (0, 1)]
    together = curves(both)
    for k, experiment in enumerate(both):
        assert_same([together[k]], curves([experiment]), f"split seed {k}")


def test_rows_that_stop_and_go_back_leave_the_others_alone():
    base = Experiment(
        data=blobs(120, 5, 4), schedule=HalveAndGoBack(metric="val_loss"), stopping=Patience(patience=2),
        split=Holdout(), model=MLP(hidden=(12,)), batch_size=9, epochs=12,
    )  # fmt: skip
    rows = [
        replace(base, optimizer=Momentum(lr=0.02 * 1.8**k), seed=k, stopping=Patience(patience=1 + k % 4))
        for k in range(9)
    ]
    together = curves(rows)
    lengths = {len(curve) for curve, _, _ in together}
    assert len(lengths) > 1, "the case must have rows that leave at different epochs"
    for k in range(9):
        assert_same([together[k]], curves([rows[k]]), f"row {k}")


def test_a_diverging_row_changes_no_other():
    good = Experiment(data=blobs(90, 7, 0), optimizer=SGD(lr=0.01), epochs=6)
    bad = replace(good, optimizer=SGD(lr=1e12))
    run = fit(good, bad, good)
    list(run)
    assert [r.status for r in run.results] == ["finished", "diverged", "finished"]
    together, alone = curves([good, bad, good]), curves([good])
    assert_same([together[0], together[2]], alone * 2, "beside a diverging row")


def test_threads_of_the_caller_are_left_as_they_were():
    before = torch.get_num_threads()
    for _ in fit(Experiment(data=blobs(40, 3, 2), epochs=2)):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_large_tables_that_lie_example_by_example(monkeypatch):
    monkeypatch.setattr("nnlab.data.device_tables.EXAMPLE_MAJOR_ELEMENTS", 100)
    base = Experiment(data=blobs(130, 20, 3), model=MLP(hidden=(24,)), batch_size=17)
    rows = [varied(base, Adam, k) for k in range(6)]
    together = curves(rows)
    for k in (0, 3, 5):
        assert_same([together[k]], curves([rows[k]]), f"row {k}")


def test_large_rows_have_the_same_bits_on_one_and_two_threads():
    base = Experiment(data=blobs(90, 70, 3), model=MLP(hidden=(1000,)), batch_size=64)
    rows = [varied(base, Adam, k) for k in range(3)]
    alone = curves([replace(rows[1], threads=1)])
    assert_same(alone, curves([replace(rows[1], threads=2)]), "two threads")
    assert_same(alone, [curves([replace(row, threads=1) for row in rows])[1]], "in a stack")
