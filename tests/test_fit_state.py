"""A fit that is paused anywhere and resumed from its saved state gives the same bits as without a pause."""

import json
from dataclasses import replace

import numpy as np
import pytest
from networks import Points, one_thread  # noqa: F401
from safetensors.numpy import load, save
from test_leaves import WithCentred
from test_training_state import bits

from nnlab import MLP, SGD, Experiment, HalveAndGoBack, KFold, Patience, Regularizer, interruption
from nnlab.errors import UserError
from nnlab.testing import fake_gpu
from nnlab.training.fit import Fit
from nnlab.training.fit_state import FitState
from nnlab.training.results import Record

# Every stochastic feature; several batches in an epoch, and chunks of one step, so that it is paused within.
NOISY = Regularizer(
    l1=1e-3, l2=1e-2, dropout=0.3, input_dropout=0.1, dropconnect=0.2, max_norm=2.0, activity_l1=0.01
)
BASE = Experiment(
    data=Points(n=150), model=MLP(hidden=(7,)), regularizer=NOISY, batch_size=10,
    epochs=4, histograms=2, record=("theta", "effective_step", "update_norm", "weight_norm"), threads=1,
)  # fmt: skip
EXPERIMENTS = {
    "seeds": [replace(BASE, seeds=3)],
    "folds, going back": [
        replace(BASE, split=KFold(k=3), schedule=HalveAndGoBack(), optimizer=SGD(lr=3.0),
                regularizer=Regularizer())
    ],
    "refit": [
        replace(BASE, seeds=2, refit=True, schedule=HalveAndGoBack(), stopping=Patience(patience=1),
                optimizer=SGD(lr=1.0)),
        replace(BASE, refit=True, epochs=2),
        replace(BASE, epochs=3),
    ],
    "stacks": [
        replace(BASE, seeds=2), replace(BASE, model=MLP(hidden=(5, 4))), replace(BASE, dtype="float64")
    ],
    "buffers": [replace(BASE, model=WithCentred())],
    "batch normalisation": [
        replace(BASE, model=MLP(hidden=(4, 4), normalization="batch", residual=True), seeds=2, batch_size=11,
                schedule=HalveAndGoBack(), optimizer=SGD(lr=3.0), refit=True)
    ],
    "regression": [replace(BASE, data=Points(n=150, classes=0), seeds=2)],
}  # fmt: skip


@pytest.fixture
def chunks_of_a_step(monkeypatch):
    monkeypatch.setattr("nnlab.data.batches.CHUNK_ELEMENTS", 1)


def on_disk(state: FitState) -> FitState:
    arrays, values = state.to_arrays()
    return FitState.from_arrays(load(save(arrays)), json.loads(json.dumps(values)))


def read(fit: Fit, every: int):
    """All that it says, and its states: one is due after so many looks at whether one is."""
    looks, lines, states = 0, [], []

    def due() -> bool:
        nonlocal looks
        looks += 1
        return looks >= every

    for event in fit.events(due):
        if isinstance(event, Record):
            lines.append(event)
        else:
            states.append((len(lines), event))
            looks = 0
    return lines, states


def by_row(records: list[Record]):
    """What is said of every row and epoch: stacks may come in another order."""
    record_of_epoch = {}
    for record in records:
        for i, row in enumerate(record.rows.tolist()):
            record_of_epoch[record.refit, row, record.epoch] = (
                bits({name: values[i] for name, values in record.metrics.items()}),
                {n: (h.counts[i].tolist(), h.edges[i].tolist()) for n, h in record.histograms.items()},
            )
    return record_of_epoch


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_from_any_moment(name, chunks_of_a_step):
    experiments = EXPERIMENTS[name]
    whole = Fit(experiments)
    lines, states = read(whole, every=5)
    moments = {event.stacks[0].snapshot.values["steps"] for _, event in states if event.stacks[0].snapshot}
    assert len(states) > 5 and len(moments) > 2  # within epochs
    assert bits(whole.results) == bits(Fit(experiments).run().results)  # pauses change nothing
    for before, state in states[:: max(1, len(states) // 6)]:
        again = Fit(experiments).resume(on_disk(state))
        rest = list(again)
        assert bits(again.results) == bits(whole.results)
        assert by_row(lines[:before]) | by_row(rest) == by_row(lines)
        assert not by_row(lines[:before]).keys() & by_row(rest).keys()
    if name == "refit":
        assert {state.refit for _, state in states} == {False, True}


@pytest.mark.parametrize("name", ["folds, going back", "refit"])
def test_from_any_moment_on_a_gpu(name, monkeypatch):
    """On the fake one, where the steps of a chunk are captured."""
    monkeypatch.setattr("nnlab.data.gpu_batches.MAX_CHUNK_STEPS", 4)
    experiments = [replace(e, device="cuda") for e in EXPERIMENTS[name]]
    with fake_gpu():
        whole = Fit(experiments)
        lines, states = read(whole, every=1)
        assert any(s.snapshot and s.snapshot.values["steps"] for _, state in states for s in state.stacks)
        for _, state in states[:: max(1, len(states) // 4)]:
            again = Fit(experiments).resume(on_disk(state)).run()
            assert bits(again.results) == bits(whole.results)


def test_stacks_in_several_processes(monkeypatch, chunks_of_a_step):
    experiments = [replace(e, threads=2, epochs=20) for e in EXPERIMENTS["stacks"]]
    monkeypatch.setattr("nnlab.training.checkpointing.POLL_SECONDS", 0.0)
    whole = Fit(experiments)
    assert whole.processes == 2 and len(whole.stacks()) > 2
    lines, states = read(whole, every=2)
    assert len(states) > 3 and bits(whole.results) == bits(Fit(experiments).run().results)
    assert any(None in [stack.snapshot for stack in state.stacks] for _, state in states)
    assert any(stack.snapshot and not stack.snapshot.values["left"] for _, s in states for stack in s.stacks)
    for before, state in states[:: max(1, len(states) // 2)]:
        for threads in (2, 1):  # another machine may have fewer
            again = Fit([replace(e, threads=threads) for e in experiments]).resume(on_disk(state))
            rest = list(again)
            assert bits(again.results) == bits(whole.results)
            assert by_row(lines[:before]) | by_row(rest) == by_row(lines)


@pytest.mark.parametrize("threads", [1, 2])
def test_interrupted_within_an_epoch(threads, chunks_of_a_step):
    """The state comes before the rows leave, and their best weights so far are results."""
    experiments = [replace(e, threads=threads, epochs=15) for e in EXPERIMENTS["stacks"]]
    whole = Fit(experiments).run()
    fit, lines, states = Fit(experiments), [], []
    with interruption.stop_at_epoch_end():
        for event in fit.events(lambda: False):
            if isinstance(event, Record):
                lines.append(event)
                if len(lines) == 5:
                    interruption.request_stop()
            else:
                states.append(event)
                assert "interrupted" not in {r.status for r in fit.results}
    (state,) = states
    assert "interrupted" in {r.status for r in fit.results}
    again = Fit(experiments).resume(on_disk(state)).run()
    assert bits(again.results) == bits(whole.results)


def test_others_are_refused(chunks_of_a_step):
    _, ((_, state), *_) = read(Fit([replace(BASE, seeds=2)]), every=5)
    with pytest.raises(UserError, match="other rows than the 3 of these"):
        Fit([replace(BASE, seeds=3)]).resume(state)
    with pytest.raises(UserError, match="a state of another network"):
        Fit([replace(BASE, seeds=2, model=MLP(hidden=(8,)))]).resume(state).run()


def trees(value, path=()):
    """Every place in a tree of plain values."""
    yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in below:
        yield from trees(inner, (*path, key))


def put(tree, path, value):
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = put(copy[path[0]], path[1:], value)
    return copy


def test_a_state_that_somebody_else_wrote(chunks_of_a_step):
    """Whatever stands in any place of it: a fit that goes on, or a sentence."""
    random = np.random.default_rng(0)
    experiments = [
        replace(BASE, epochs=2, refit=True, seeds=2, batch_size=30)
    ]  # four steps an epoch, for time
    _, states = read(Fit(experiments), every=3)
    values_of = [None, True, -1, 10**30, 1.5, "text", [], {}, [[]], [0], float("nan")]
    seen = set()
    *_, last = chosen = [state for _, state in states[1:8:5]]
    for turn, state in enumerate(chosen):
        arrays, values = state.to_arrays()
        values = json.loads(json.dumps(values))
        for path in list(trees(values))[turn :: len(chosen)]:  # they have the same places, nearly
            wrong = put(values, path, values_of[random.integers(len(values_of))])
            seen.add(outcome(experiments, arrays, wrong))
        for name, array in arrays.items() if state is last else ():
            for other in (array[..., None], array.astype(np.float16), np.atleast_1d(array)[:0], None):
                changed = {n: a for n, a in {**arrays, name: other}.items() if a is not None}
                seen.add(outcome(experiments, changed, values))
    assert len(seen) > 20


def outcome(experiments, arrays, values) -> str:
    try:
        Fit(experiments).resume(FitState.from_arrays(arrays, values)).run()
    except UserError as e:
        return str(e)
    return "it goes on"
