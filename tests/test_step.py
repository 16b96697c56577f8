"""A training step: its number of torch calls, and buffers that stay in place for capture on a GPU."""

from dataclasses import replace

import pytest
from networks import Points, one_thread  # noqa: F401
from test_embedding import Categories, Embedded
from torch.utils._python_dispatch import TorchDispatchMode

import nnlab
from nnlab import MLP, Experiment, KFold, Regularizer, Tabular
from nnlab.runtime.threads import computing
from nnlab.testing import fake_gpu
from nnlab.training.step import Step
from nnlab.training.training import Training

VIEWS = {"narrow",
    "mT", "expand", "slice", "view", "unsqueeze", "unbind", "flatten", "unflatten", "view_as", "expand_as",
    "split_with_sizes",
}  # fmt: skip
BASE = Experiment(
    data=Points(), model=MLP(hidden=(6,)), optimizer=nnlab.Adam(lr=0.01), batch_size=10, epochs=2, threads=1
)


class Calls(TorchDispatchMode):
    """The names of the calls that compute something."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        self.names += [name] if name not in VIEWS else []
        return function(*args, **kwargs or {})


def training(e):
    run = nnlab.fit(e)
    return Training(run.rows, run.cache.examples(run.rows[0]), 1).begin()


@pytest.fixture
def steps(monkeypatch):
    """What happens in every step: a list that `watch(look)` fills with what `look(step, inputs)` sees."""

    def watch(look):
        seen, step = [], Step.__call__

        def watched(self, *inputs, last):
            seen.append(look(self, inputs, lambda: step(self, *inputs, last=last)))

        monkeypatch.setattr(Step, "__call__", watched)
        return seen

    return watch


# A hidden layer, relu, cross-entropy, Adam; of several rows two products more are copied (products.py).
@pytest.mark.parametrize("l2", [0.0, 1e-3])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("rows, count", [(1, 21), (5, 23)])
def test_the_calls_of_a_step_do_not_grow_with_the_rows(steps, rows, count, dropout, l2):
    def look(step, inputs, go):
        with Calls() as calls:
            go()
        return calls.names

    seen = steps(look)
    regularizer = Regularizer(l2=l2, dropout=dropout)
    digits = replace(BASE, data=nnlab.Digits(), model=MLP(), batch_size=64)
    job = training(replace(digits, regularizer=regularizer, seeds=rows))
    with computing():
        job.train_epoch(1)
    assert len(seen) == 17
    wanted = count + (l2 > 0) + 4 * (dropout > 0)
    assert [len(names) for names in seen] == 16 * [wanted] + [wanted + 1], seen[0]  # and the gradient's norm


# Forward and backward 7 and 4 of embeddings, 7 and 14 of waves, 3 and 4 to join and scale.
@pytest.mark.parametrize("rows, count", [(1, 65), (5, 66)])
def test_the_calls_of_a_step_on_a_table(steps, rows, count):
    def look(step, inputs, go):
        with Calls() as calls:
            go()
        return calls.names

    seen = steps(look)
    table = replace(BASE, data=Categories(), model=Embedded(Tabular(hidden=(64,))), batch_size=16)
    job = training(replace(table, regularizer=Regularizer(), seeds=rows))
    with computing():
        job.train_epoch(1)
    assert [len(names) for names in seen] == 3 * [count] + [count + 1], seen[0]


@pytest.mark.parametrize("seeds", [1, 3])
def test_weights_are_calls_of_a_chunk_and_not_of_a_step(steps, seeds):
    def calls_of(e):
        job = training(e)
        with computing(), Calls() as calls:
            job.train_epoch(1)
        return calls.names

    def look(step, inputs, go):
        with Calls() as calls:
            go()
        return calls.names

    e = replace(BASE, data=nnlab.Digits(), seeds=seeds)
    without, weighted = calls_of(e), calls_of(replace(e, class_weight="balanced"))
    assert 0 < len(weighted) - len(without) <= 16
    seen = steps(look)
    for weight in ("none", "balanced"):
        job = training(replace(e, class_weight=weight))
        with computing():
            job.train_epoch(1)
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


CASES = {
    "one order": {"seeds": 1},
    "orders": {"seeds": 3},
    "folds": {"split": KFold(k=3), "seeds": 2},
    "weights": {"class_weight": "balanced", "seeds": 2},
    "noise": {"regularizer": Regularizer(dropout=0.3, dropconnect=0.1, label_smoothing=0.1), "seeds": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_a_step_reads_or_writes_moves(steps, monkeypatch, case):
    """On a GPU, of chunks of four steps: the fifth, sixth ... chunk is where the first was."""

    def look(step, inputs, go):
        go()
        x, t, weight, z, f = inputs
        columns = [c for c in vars(f).values() if c is not None]
        noise = [noise.ctx.uniforms for noise in step.noise]
        return [
            x,
            t,
            weight,
            z,
            step.grad,
            step.grad_norm,
            *columns,
            *noise,
        ]  # kept: memory is not used again

    monkeypatch.setattr("nnlab.data.gpu_batches.steps_per_chunk", lambda *sizes: 4)
    with fake_gpu():
        seen = steps(look)
        job = training(replace(BASE, **CASES[case], device="cuda"))
        with computing():
            for epoch in (1, 2, 3):
                job.train_epoch(epoch)
        count, where = job.batches.steps, [[v.data_ptr() for v in step] for step in seen]
    assert len(where) == 2 * count and count % 4  # called, then recorded; the last chunk is short
    assert where[:count] == where[count:]
    assert where[0][:2] == where[4][:2] != where[1][:2]  # inputs and targets, of the next chunk too
