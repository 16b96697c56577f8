"""Training that is saved as arrays and JSON and restored continues bit for bit."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from networks import Points, one_thread  # noqa: F401
from safetensors.numpy import load, save
from test_leaves import WithCentred
from test_row_independence_methods import LIMITS, varied

import nnlab
from nnlab import MLP, SGD, Experiment, HalveAndGoBack, KFold, Momentum, Nesterov, Patience, Regularizer
from nnlab.optimizers import OPTIMIZERS
from nnlab.optimizers.momentum import RAMPS
from nnlab.regularizers import REGULARIZERS
from nnlab.schedules import SCHEDULES
from nnlab.stopping import RULES
from nnlab.testing import fake_gpu
from nnlab.training.results import Record, Result
from nnlab.training.snapshot import Snapshot
from nnlab.training.training import Training

EPOCHS = 6
BASE = Experiment(
    data=Points(), model=MLP(hidden=(7,), activation="tanh"), regularizer=Regularizer(), batch_size=10,
    epochs=EPOCHS, histograms=2, threads=1,
)  # fmt: skip
OF_IMAGES = ("shift", "flip", "cutout")
PRUNED = {3: [1]}  # after epoch 3 row 1 is pruned


def on_disk(snapshot: Snapshot) -> Snapshot:
    """It, written and read."""
    values = json.loads(json.dumps(snapshot.values, allow_nan=False))
    return Snapshot(load(save(snapshot.arrays)), values)


def go_on(training: Training, snapshots: dict | None = None):
    """(epoch, record, results) to the end; the state after every epoch into `snapshots`."""
    records = []
    while len(training):
        record, results = training.epoch()
        results += training.end_rows(PRUNED.get(training.epochs, ()), "pruned")
        records.append((record.epoch, record, results))
        if snapshots is not None:
            snapshots[training.epochs] = training.state()
    return records


def bits(thing):
    """Anything that is said, as something that is equal only if every bit is; but for time and memory."""
    if isinstance(thing, np.ndarray):
        return thing.dtype.str, thing.shape, thing.tobytes()
    if isinstance(thing, (Record, Result)) or hasattr(thing, "__dataclass_fields__"):
        names = {f.name for f in fields(thing)} - {"seconds", "step_seconds", "tensor_bytes"}
        return {name: bits(getattr(thing, name)) for name in sorted(names)}
    if isinstance(thing, dict):
        return {name: bits(value) for name, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [bits(value) for value in thing]
    return repr(thing)


def assert_goes_on(experiments, device="cpu"):
    """From the state after any epoch, and before the first, of every stack."""
    run = nnlab.fit(*(replace(e, device=device) for e in experiments))
    for rows in run.stacks():
        examples = run.cache.examples(rows[0])
        uninterrupted, snapshots = Training(rows, examples, 1), {}
        snapshots[0] = uninterrupted.state()
        records = go_on(uninterrupted, snapshots)
        assert not uninterrupted.state().arrays
        for epoch, snapshot in snapshots.items():
            restored = Training(rows, examples, 1).restore(on_disk(snapshot))
            assert restored.state().values["seconds"] >= snapshot.values["seconds"]
            assert bits(go_on(restored)) == bits(records[epoch:]), f"after epoch {epoch}"
    return records


def rows_of(base, optimizer=None, count=5):
    """Rows that differ in what may differ in a stack, their number of epochs too."""
    optimizer = optimizer or SGD(lr=0.1)
    return [
        replace(base, seed=k % 3, epochs=EPOCHS - k % 3, optimizer=varied(optimizer, k, **LIMITS[k]))
        for k in range(count)
    ]


@pytest.mark.filterwarnings("ignore:optimizer")  # keys of a ramp have no effect without it
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    assert_goes_on(rows_of(BASE, OPTIMIZERS[name]()))


@pytest.mark.parametrize("ramp", RAMPS[1:])
@pytest.mark.parametrize("kind", [Momentum, Nesterov])
def test_a_momentum_that_changes(kind, ramp):
    """With rows that go back, and a refit."""
    rows = rows_of(replace(BASE, schedule=HalveAndGoBack(tolerance=0.0)), kind(ramp=ramp, ramp_updates=9))
    last = [replace(r.optimizer, lr=0.5, last_updates=4 * k) for k, r in enumerate(rows)]
    assert_goes_on([replace(r, optimizer=o, refit=True) for r, o in zip(rows, last, strict=True)])


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name, refit):
    rows = rows_of(replace(BASE, optimizer=SGD(lr=2.0)), SGD(lr=2.0))
    schedules = [varied(SCHEDULES[name](), k) for k in range(len(rows))]
    records = assert_goes_on(
        [
            replace(r, schedule=s, refit=refit and k != 2)
            for k, (r, s) in enumerate(zip(rows, schedules, strict=True))
        ]
    )
    assert any(result.past for _, _, results in records for result in results) == refit


@pytest.mark.parametrize("name", RULES)
def test_stopping_rules(name):
    rows = rows_of(replace(BASE, metric="val_error"), SGD(lr=1.0))
    records = assert_goes_on([replace(r, stopping=varied(RULES[name](), k)) for k, r in enumerate(rows)])
    assert records


@pytest.mark.parametrize("name", sorted(set(REGULARIZERS) - set(OF_IMAGES)))
def test_regularizers(name):
    vectors = dict.fromkeys(OF_IMAGES, 0)
    assert_goes_on([
        replace(r, regularizer=replace(varied(REGULARIZERS[name](), k), **vectors))
        for k, r in enumerate(rows_of(BASE))
    ])  # fmt: skip


@pytest.mark.parametrize("name", OF_IMAGES)
def test_augmentations(name):
    """Three rows: without it, and of two strengths."""
    strengths = {"shift": (0, 1, 2), "flip": (0.0, 0.3, 0.5), "cutout": (0, 2, 3)}[name]
    images = replace(BASE, data=nnlab.Digits(limit=120), batch_size=40)
    assert_goes_on([
        replace(r, regularizer=Regularizer(**{name: strength}))
        for r, strength in zip(rows_of(images), strengths, strict=False)
    ])  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_folds_and_seeds(dtype):
    regularizer = Regularizer(dropout=0.3, dropconnect=0.2)
    base = replace(BASE, split=KFold(k=3), seeds=2, regularizer=regularizer, dtype=dtype)
    assert_goes_on([replace(base, stopping=Patience(patience=2), optimizer=SGD(lr=1.0))])


def test_rows_that_end_in_every_way():
    """They diverge, stop, are pruned, have a rate that is too small, and finish."""
    lr = [0.01, 0.1, 4.0, 0.05, 0.02, 1.0]
    rows = [
        replace(
            BASE, data=Points(classes=0), optimizer=SGD(lr=v if k != 2 else 1e30), seed=k,
            stopping=Patience(patience=1 if k == 3 else 50, min_delta=1e9 if k == 3 else 0.0),
        )
        for k, v in enumerate(lr)
    ]  # fmt: skip
    records = assert_goes_on(rows)
    how = {result.row: result.status for _, _, results in records for result in results}
    assert how | {5: ""} == {0: "finished", 1: "pruned", 2: "diverged", 3: "stopped", 4: "finished", 5: ""}


def test_a_refit_goes_on():
    """Rows that are trained again: the past that they repeat comes with the rows."""
    base = replace(BASE, schedule=HalveAndGoBack(tolerance=0.0), optimizer=SGD(lr=2.0), refit=True, seeds=4)
    run = nnlab.fit(base)
    examples, results = run.cache.examples(run.rows[0]), []
    first = Training(run.rows, examples, 1)
    while len(first):
        results += first.epoch()[1]
    assert any(epoch.went_back for r in results for epoch in r.past)
    rows = [run.rows[r.row].refit_row(r.past) for r in results if r.status != "diverged"]
    second, snapshots = Training(rows, run.cache.examples(rows[0]), 1), {}
    records = go_on(second, snapshots)
    for epoch, snapshot in snapshots.items():
        restored = Training(rows, run.cache.examples(rows[0]), 1).restore(on_disk(snapshot))
        assert bits(go_on(restored)) == bits(records[epoch:])


def test_buffers_of_boxes():
    base = replace(BASE, model=WithCentred(), schedule=HalveAndGoBack(tolerance=0.0))
    assert_goes_on(rows_of(base, SGD(lr=3.0)))


def test_on_a_gpu():
    with fake_gpu():
        records = assert_goes_on([replace(r, schedule=HalveAndGoBack()) for r in rows_of(BASE)], "cuda")
    assert records


def test_a_state_of_something_else_is_refused():
    def training(e):
        run = nnlab.fit(e)
        return Training(run.rows, run.cache.examples(run.rows[0]), 1)

    two, other_optimizer = (
        training(replace(BASE, seeds=2)).state(),
        training(replace(BASE, seeds=2, optimizer=SGD())),
    )
    other_optimizer.epoch()
    before = other_optimizer.state()
    with pytest.raises(ValueError, match="these rows have no state.slots.m"):
        other_optimizer.restore(two)
    assert (
        bits(other_optimizer.state().arrays) == bits(before.arrays) and other_optimizer.epochs == 1
    )  # nothing has changed
    with pytest.raises(ValueError, match=r"a state of rows \[1\], which are not in this training"):
        training(BASE).restore(two)
    with pytest.raises(ValueError, match="a state of another network"):
        training(replace(BASE, seeds=2, model=MLP(hidden=(8, 80)))).restore(two)
    with pytest.raises(ValueError, match="state.theta is float32"):
        training(replace(BASE, seeds=2, dtype="float64")).restore(two)


def test_a_state_that_lacks_something_is_refused():
    run = nnlab.fit(replace(BASE, seeds=2, refit=True, schedule=HalveAndGoBack(), stopping=Patience()))
    training = Training(run.rows, run.cache.examples(run.rows[0]), 1)
    training.epoch()
    state = training.state()
    for name, array in state.arrays.items():
        rest = {n: a for n, a in state.arrays.items() if n != name}
        restored = Training(run.rows, training.examples, 1)
        with pytest.raises(ValueError, match=f"{name} is"):
            restored.restore(replace(state, arrays=rest | {name: array[:1]}))
        if not name.startswith(("past.", "best.")):
            with pytest.raises(ValueError, match=f"{name} is not there"):
                restored.restore(replace(state, arrays=rest))


def test_leaving():
    run = nnlab.fit(replace(BASE, seeds=3))
    training = Training(run.rows, run.cache.examples(run.rows[0]), 1)
    training.epoch()
    (gone,) = training.end_rows([1, 17], "pruned")
    assert (gone.row, gone.status, gone.epochs, training.row_numbers) == (1, "pruned", 1, [0, 2])
    assert training.end_rows([1], "pruned") == []
    rest = training.end_rows(training.row_numbers, "interrupted")
    assert [r.row for r in rest] == [0, 2] and not len(training) and all(r.test == {} for r in rest)
    with pytest.raises(ValueError, match="no row is left"):
        training.epoch()
