"""Invalid arguments of every public name: a `UserError` of one sentence, and no other exception."""

import inspect
import os
import tempfile
import threading
import warnings
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

import nnlab
from nnlab.arguments import typed
from nnlab.exclusive import Exclusive
from nnlab.training import training

E, ROWS = nnlab.Experiment(), np.arange(2)
DATASET = nnlab.Iris().load()
TRIAL = nnlab.Trial(0, {"epochs": 1}, "complete", (0.5,))
FINDING = nnlab.Finding("pass", 0, 1, "nothing")
SPACE = nnlab.Space({"epochs": nnlab.Choice([1, 2])})


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no")


ODD = [
    None, True, 3, -1, 0.5, float("nan"), float("inf"), 10**400, 10**5000, 1j, "", "x", b"x", [], [1], [[]],
    [None], (), {}, {"x": 1}, {1: 2}, {1}, range(3), object(), Unprintable(), lambda p: 3, np.ones((3, 2)),
    np.ones(()), nnlab.Adam(), nnlab.Adam, E, nnlab.Search(), nnlab.Interval(1, 2), nnlab.Choice([1]), SPACE,
    TRIAL, DATASET, FINDING, nnlab.Budget(), nnlab.Cosine(), nnlab.Regularizer(), nnlab.Optimizer(),
    nnlab.Data(), nnlab.fit(),
]  # fmt: skip
RUN = Path(__file__).parent / "old_runs/plain"
MODEL = nnlab.load(RUN)
X, LABELS = DATASET.x[:6], ["setosa", "virginica"] * 3


def checking(estimator):
    """The estimator as a call that checks its parameters: scikit-learn wants them checked by `fit`."""

    def call(*args, **settings):
        y = LABELS if estimator is nnlab.Classifier else X
        return estimator(*args, **settings).experiment(X, y)

    call.__signature__, call.__qualname__ = inspect.signature(estimator), estimator.__name__
    return call


NEEDED = {  # what a call needs beside its defaults
    nnlab.Arrays: {"x": np.eye(4), "y": [0, 1, 0, 1]},
    nnlab.Choice: {"values": [1]},
    nnlab.Column: {"name": "age", "type": "number"},
    nnlab.DataSpec: {"shape": (2,), "outputs": 1, "task": "regression"},
    nnlab.Dataset: {"x": DATASET.x, "y": DATASET.y, "classes": DATASET.classes},
    nnlab.Finding: {"status": "pass", "number": 0, "threshold": 1, "found": "nothing"},
    nnlab.Fit: {"experiments": [E]},
    nnlab.Frame: {"frame": {"x": [1.5, 2.5, 0.5, 4.5], "y": [0, 1, 0, 1]}, "target": "y"},
    nnlab.Fold: {"train": ROWS, "validation": ROWS, "test": ROWS},
    nnlab.Interval: {"low": 1, "high": 2},
    nnlab.Space: {"domains": SPACE.domains},
    nnlab.StoredRun: {"path": RUN},
    nnlab.Steps: {"start": 0, "step": 1, "count": 3},
    nnlab.Sweep: {"space": {"epochs": [1, 2]}},
    nnlab.Trial: {"number": 0, "params": {}, "state": "complete"},
    nnlab.Verdict: {"rung": "start", "findings": (FINDING,)},
    nnlab.TrainedModel: {"experiment": MODEL.experiment, "spec": MODEL.spec, "rows": MODEL.rows},
    nnlab.check: {"experiment": E},
    nnlab.export: {"model": MODEL, "path": os.path.join(tempfile.mkdtemp(), "model.onnx")},
    nnlab.load: {"run": RUN},
    nnlab.simulate: {"schedule": nnlab.Cosine(), "epochs": 2, "steps": 2},
}
SWEEP = nnlab.Sweep({"epochs": [1, 2], "optimizer": ["adam", "sgd"], "optimizer.lr": nnlab.Interval(1, 2)})
METHODS = {
    E.from_config: {"config": {}}, E.graph: {"spec": DATASET.spec}, E.loss_for: {"spec": DATASET.spec},
    E.rows: {"dataset": DATASET}, E.split.folds: {"dataset": DATASET},
    nnlab.NoSplit().folds: {"dataset": DATASET}, nnlab.Search.from_config: {"config": {}},
    nnlab.fit().curves: {"name": "val_loss"}, nnlab.StoredRun(RUN).curves: {"name": "val_loss"},
    SPACE.values: {"params": {"epochs": 1}}, SPACE.count: {},
    SPACE.cells: {}, MODEL.predict: {"x": X}, MODEL.predict_proba: {"x": X}, MODEL.outputs: {"x": X},
    MODEL.evaluate: {"x": X, "y": LABELS}, MODEL.scoring: {}, checking(nnlab.Classifier): {},
    checking(nnlab.Regressor): {},
}  # fmt: skip
MESSAGES = nnlab.UserError, nnlab.Advice
MADE = nnlab.Record, nnlab.Result  # by training, one an epoch: nobody else makes them
FITTED = nnlab.Classifier, nnlab.Regressor
PUBLIC = [
    o
    for o in (getattr(nnlab, name) for name in nnlab.__all__)
    if callable(o) and o not in MESSAGES + MADE + FITTED
]
CALLS = {o: NEEDED.get(o, {}) for o in PUBLIC} | METHODS


def _arguments(call) -> list[str]:
    if is_dataclass(call):
        return [f.name for f in fields(call) if f.init]
    starred = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return [p.name for p in inspect.signature(call).parameters.values() if p.kind not in starred]


def _refused(call, *args, **settings) -> bool:
    """Whether it says so; what it makes must at least be fit to be shown."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            repr(call(*args, **settings))
    except nnlab.UserError as wrong:
        assert str(wrong) and "\n" not in str(wrong) and len(str(wrong)) < 600
        return True
    return False


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__qualname__)
def test_what_a_public_name_cannot_take_is_a_sentence(call):
    needed = CALLS[call]
    assert not _refused(call, **needed)
    for name in _arguments(call):
        for odd in ODD:
            _refused(call, **{**needed, name: odd})
        assert _refused(call, **{**needed, name: object()}), name
    for odd in ODD:
        for count in range(8):
            _refused(call, *[odd] * count)
    assert _refused(call, no_such_argument=1)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_whose_trial_it_is(odd):
    for given in (odd, {"epochs": odd}, {"epochs": 1, "optimizer": "adam", "optimizer.lr": odd}):
        if not isinstance(odd, (int, float)) or isinstance(odd, bool) or odd != odd:
            assert _refused(SWEEP.experiment, given)
    assert not _refused(SWEEP.experiment, {"epochs": 1, "optimizer": "adam", "optimizer.lr": 1.5})


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: nnlab.Sweep({}, nnlab.Search(), E, [], []), "Sweep: 5 arguments by position; expected"),
        (lambda: nnlab.Sweep(E, {"epochs": [1]}), "search = {'epochs': [1]}: expected a nnlab.Search"),
        (lambda: SWEEP.experiment(None), "trial = None: expected a nnlab.Trial or a dict"),
        (lambda: SWEEP.experiment({"epoch": 1}), "params: no parameter 'epoch'; did you mean 'epochs'?"),
        (lambda: SWEEP.experiment({"epochs": 5}), "params['epochs'] = 5 is not among 1, 2"),
        (lambda: SWEEP.experiment({"epochs": 1, "optimizer": "sgd"}), "optimizer.lr is missing"),
        (lambda: nnlab.Space(3), "domains = 3: expected a dict of a word -> a nnlab.Choice, a nnlab.Int"),
        (lambda: nnlab.Sweep(nnlab.Space({})), "expected a dict of key ->"),
        (lambda: nnlab.load(3), "run = 3: expected a path, a nnlab.StoredRun or a nnlab.Fit"),
        (lambda: nnlab.Fit(E), "): expected a list, each item a nnlab.Experiment"),
        (lambda: nnlab.Adam(1, lr=1), "Adam: lr is given twice"),
        (lambda: nnlab.Arrays(), "Arrays needs x and y"),
        (lambda: nnlab.Experiment(optimizer=nnlab.Optimizer()), "only a base class; the names"),
        (
            lambda: nnlab.Experiment(optimizer=nnlab.Optimizer),
            "nnlab.Optimizer: that is only a base class;",
        ),
        (lambda: nnlab.Experiment(optimizer=nnlab.Adam), "that is a class; write nnlab.Adam()"),
        (lambda: nnlab.Experiment(data=nnlab.Csv), "that is a class; write nnlab.Csv(path=..., target=...)"),
        (lambda: nnlab.Experiment(optimizer=np.float64(0.125)), "0.125"),
        (lambda: nnlab.Experiment(optimizer=torch.zeros(3, 2)), "a Tensor of the shape (3, 2): expected"),
        (lambda: nnlab.simulate(nnlab.Cosine(), 10**5, 10**5), "expected 134,217,728 updates at most"),
        (lambda: nnlab.simulate(nnlab.HalveOnRise(), 3, 2, [1]), "metrics = [1]: expected a number for each"),
    ],
)
def test_the_sentence_says_what_is_expected(call, message):
    with pytest.raises(nnlab.UserError) as error:
        call()
    assert message in str(error.value)


def test_what_annotations_may_say():
    @typed(unchecked=("free",))
    def call(one: "dict[str, int] | None", free: int = 0, *, word: str = "a"):
        return one, free, word

    assert call({"a": np.int64(1)}, "b", word="c") == ({"a": 1}, "b", "c") and call(None)[0] is None
    for args, settings in [(({"a": 1.5},), {}), ((1, 2, 3), {}), ((), {}), ((None,), {"word": 1})]:
        assert _refused(call, *args, **settings)
    with pytest.raises(TypeError, match="call has no argument 'wrod'; did you mean 'word'"):
        call(None, wrod=1)


@pytest.mark.parametrize("args, kwargs, message", [
    ((), {}, "call needs a and b"), ((1,), {}, "call needs b"), ((), {"b": 1}, "call needs a"),
])  # fmt: skip
def test_what_is_missing_is_named_keyword_only_or_not(args, kwargs, message):
    @typed
    def call(a: int, *, b: int, c: int = 0):
        return a, b, c

    assert call(1, b=2) == (1, 2, 0)
    with pytest.raises(nnlab.UserError) as error:
        call(*args, **kwargs)
    assert str(error.value) == message


@pytest.mark.parametrize("annotation, allowed, refused, expected", [
    (tuple[int, str], [(1, "a")], [("a", 1), (1,), (1, "a", "b"), [1, "a"]],
     "a tuple of a whole number, a word"),
    (tuple[int], [(1,)], [(), (1, 2), ("a",)], "a tuple of a whole number"),
    (tuple[int, ...], [(), (1,), (1, 2)], [(1, "a"), [1]], "a tuple, each item a whole number"),
    (Literal[1, "full"], [1, "full"], [2, "1", True, 1.0, [1], None], "1 or 'full'"),
    (Literal[True], [True], [1, "True"], "True"),
    (None, [None], [0, ""], "None"),
], ids=str)  # fmt: skip
def test_an_annotation_takes_the_values_that_it_names(annotation, allowed, refused, expected):
    def call(x):
        return x

    call.__annotations__["x"] = annotation
    call = typed(call)
    for x in allowed:
        assert call(x) == x
    for x in refused:
        with pytest.raises(nnlab.UserError) as error:
            call(x)
        assert str(error.value).endswith(f": expected {expected}")


def _call_in_thread(ask):
    """What comes of `ask()` there."""
    outcomes = []

    def catch():
        try:
            outcomes.append(ask())
        except Exception as e:  # whatever it is, the test wants to see it
            outcomes.append(e)

    thread = threading.Thread(target=catch)
    thread.start()
    thread.join()
    return outcomes[0]


def test_two_threads_at_once_are_a_sentence():
    """And the one that came first goes on."""

    def steps():
        for step in range(3):
            errors.append(_call_in_thread(lambda: next(exclusive)))
            yield step

    errors, exclusive = [], Exclusive("fit", steps())
    assert list(exclusive) == [0, 1, 2] and len(errors) == 3
    assert all(
        isinstance(e, nnlab.UserError) and "fit is running in another thread" in str(e) for e in errors
    )


SMALL = nnlab.Experiment(data=nnlab.Arrays(np.eye(40), np.arange(40) % 2), epochs=3, threads=1)


def _call_while_running(monkeypatch, running, calls: dict) -> dict:
    """The outcome of each of `calls` in another thread while `running` trains its first epoch."""
    outcomes, epoch = {}, training.Training.epoch

    def epoch_with_calls(self, *args):
        outcomes.update({name: _call_in_thread(call) for name, call in calls.items() if name not in outcomes})
        return epoch(self, *args)

    monkeypatch.setattr(training.Training, "epoch", epoch_with_calls)
    running.run()
    return outcomes


def test_a_fit_that_two_threads_run(monkeypatch):
    fit = nnlab.fit(SMALL)
    calls = {"run": fit.run, "next": lambda: next(iter(fit)), "stop": fit.stop}
    outcomes = _call_while_running(monkeypatch, fit, calls)
    assert len(outcomes) == 3 and all(isinstance(e, nnlab.UserError) for e in outcomes.values())
    assert all("running in another thread" in str(e) for e in outcomes.values())
    assert [r.status for r in fit.results] == ["finished"] and fit.curves("val_loss").shape == (1, 3)


def test_a_sweep_that_two_threads_run(monkeypatch):
    sweep = nnlab.Sweep({"optimizer.lr": [0.1, 0.2]}, nnlab.Search(sampler="grid"), SMALL)
    (error,) = _call_while_running(monkeypatch, sweep, {"run": sweep.run}).values()
    assert isinstance(error, nnlab.UserError) and "this sweep is running in another thread" in str(error)
    assert [trial.number for trial in sweep.trials] == [0, 1]


def test_a_sweep_that_is_begun_once_more_trains_no_trial_twice():
    search = nnlab.Search(sampler="grid", batch=1)
    sweep = nnlab.Sweep({"optimizer.lr": [0.1, 0.2, 0.3]}, search, SMALL)
    first = iter(sweep)
    next(first)
    assert [t.number for t in sweep.run().trials] == [0, 1, 2]
    with pytest.raises(nnlab.UserError, match="started again"):
        next(first)
