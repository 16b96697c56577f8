"""Row independence of every optimiser, initialiser and schedule: five rows, together and each by itself.

A stack's columns and controls differ as much as they may: every number of a method is a row's own.
"""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from test_row_independence import assert_same, blobs, curves

from nnlab.experiment import Experiment, Row
from nnlab.hyperparameters import kind, stack
from nnlab.initializers import INITIALIZERS
from nnlab.models import MLP
from nnlab.optimizers import OPTIMIZERS, Momentum, Nesterov
from nnlab.optimizers.momentum import RAMPS
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.schedules import SCHEDULES, Progress
from nnlab.stopping import Patience
from nnlab.training.population import initial_theta

BASE = Experiment(
    data=blobs(83, 7, 3), model=MLP(hidden=(13,), activation="tanh"), batch_size=9, epochs=4,
    regularizer=Regularizer(), dtype="float32", threads=1,
)  # fmt: skip
LIMITS = [{}, {"clip_norm": 0.05}, {"clip_value": 0.01}, {"clip_norm": 0.1, "clip_value": 0.02}, {}]


def varied(method, k: int, **keep):
    """The k-th row: each number a little further from what it is, towards its lower or upper bound."""
    changes = {}
    for f in fields(method):
        value, allowed = getattr(method, f.name), f.metadata["allowed"]
        if kind(f) == "static" or f.name in keep:
            continue
        if isinstance(value, tuple):  # a list, of another length too
            less = (item / (1 + k) if item < 1 else item // 10 + k // 2 for item in value[k // 4 :])
            changes[f.name] = tuple(less)
            continue
        if math.isinf(value):
            continue
        if isinstance(value, int):
            changes[f.name] = max(value // (1 + k), 1)
        elif f.name in ("warmup", "bias", "mean", "value"):
            changes[f.name] = 0.3 * k
        else:
            below = min(allowed.below, allowed.high)
            toward = value * 0.7**k if k % 2 or math.isinf(below) else value + (below - value) * 0.1 * k
            changes[f.name] = max(toward, allowed.low)
    return replace(method, **changes, **keep)


def assert_alone(rows):
    together = curves(rows)
    assert len({weights["output.weight"] for _, weights, _ in together}) == len(rows)
    for k in (0, 3, 4):
        assert_same([together[k]], curves([rows[k]]), f"row {k} of {rows[k]}")
    assert_same(together[1:3], curves(rows[1:3]), "5 rows and 2")


@pytest.mark.filterwarnings("ignore:optimizer")  # keys of a ramp have no effect without it
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, dtype):
    base = replace(BASE, dtype=dtype)
    assert_alone([
        replace(base, optimizer=varied(OPTIMIZERS[name](), k, **LIMITS[k]), epochs=3 + k % 2, seed=k)
        for k in range(5)
    ])  # fmt: skip


@pytest.mark.parametrize("ramp", RAMPS[1:])
@pytest.mark.parametrize("kind", [Momentum, Nesterov])
def test_a_momentum_that_rises(kind, ramp):
    assert_alone([
        replace(BASE, optimizer=varied(kind(ramp=ramp, ramp_updates=20), k, last_updates=5 * k), seed=k)
        for k in range(5)
    ])  # fmt: skip


@pytest.mark.parametrize("name", [n for n, o in OPTIMIZERS.items() if hasattr(o, "epsilon_inside_root")])
def test_optimizers_with_the_placement_of_torch(name):
    method = OPTIMIZERS[name](epsilon_inside_root=False)
    assert_alone([replace(BASE, optimizer=varied(method, k, **LIMITS[k]), seed=k) for k in range(5)])


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers(name):
    assert_alone([replace(BASE, init=varied(INITIALIZERS[name](), k), seed=k) for k in range(5)])


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_weights_do_not_know_the_threads_of_the_caller(name):
    graph, row = MLP(hidden=(300,)).graph((200,), 3), Row(replace(BASE, init=INITIALIZERS[name]()), 0, None)
    before, drawn = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with computing():
            drawn.append(initial_theta([row], graph))
    torch.set_num_threads(before)
    assert torch.equal(*drawn)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    rows = [replace(BASE, schedule=varied(SCHEDULES[name](), k), seed=k, epochs=3 + 2 * k) for k in range(5)]
    assert_alone([replace(row, optimizer=replace(row.optimizer, lr=0.05)) for row in rows])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_with_patience(name):
    """Rows leave the stack one after the other."""
    rows = [replace(BASE, schedule=varied(SCHEDULES[name](), k), seed=k, epochs=9) for k in range(5)]
    assert_alone([replace(row, stopping=Patience(patience=1 + k)) for k, row in enumerate(rows)])


@pytest.mark.parametrize("steps", [1, 3, 63, 64, 65, 200])
@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_of_a_row_alone_in_a_stack_and_asked_for_in_parts(name, steps):
    rows = [varied(SCHEDULES[name](), k) for k in range(5)]
    total = np.array([[7.0], [3], [12], [5], [100]])

    def factors(which, first=0):
        schedule, state = stack([rows[k] for k in which]), stack(rows).start(len(which))
        at = [Progress(e, np.arange(first, steps), steps, total[which]) for e in (1, 2, 3)]
        return np.stack(
            [np.broadcast_to(schedule.rate(p, state), (len(which), steps - first)) for p in at], 1
        )

    together = factors([0, 1, 2, 3, 4])
    for k in range(5):
        np.testing.assert_array_equal(factors([k])[0], together[k])
    np.testing.assert_array_equal(factors([4, 2, 1]), together[[4, 2, 1]])
    np.testing.assert_array_equal(factors([0, 1, 2, 3, 4], steps // 2), together[:, :, steps // 2 :])
