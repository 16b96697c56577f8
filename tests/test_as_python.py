"""Error messages in Python: settings and arguments that nnlab does not know, such as other tools' names."""

import re

import numpy as np
import pytest

import nnlab
from nnlab import as_python, plugins, suggestions

X, Y = np.random.default_rng(0).random((60, 4)), np.arange(60) % 3
E = nnlab.Experiment(data=nnlab.Arrays(X, Y), epochs=1)
NO_OTHER = "allowed:"


@pytest.mark.parametrize("call, message", [
    (lambda: nnlab.Experiment(learning_rate=0.1), "write optimizer=nnlab.Adam(lr=...)"),
    (lambda: nnlab.Experiment(n_epochs=3), "did you mean 'epochs'?"),
    (lambda: nnlab.Experiment(momentum=0.8), "write optimizer=nnlab.Momentum(gamma=0.8)"),
    (lambda: nnlab.Experiment(patience=3), "write stopping=nnlab.Patience(patience=3)"),
    (lambda: nnlab.Experiment(cv=3), "write split=nnlab.KFold(k=3)"),
    (lambda: nnlab.Experiment(weight_decay=0.2), "nnlab.Regularizer(l2=0.2), or optimizer=nnlab.AdamW(w"),
    (lambda: nnlab.Experiment(validation_split=0.2), "write split=nnlab.Holdout(validation=...)"),
    (lambda: nnlab.Experiment(dropout_rate=0.2), "write regularizer=nnlab.Regularizer(dropout=...)"),
    (lambda: nnlab.Adam(learning_rate=0.1), "did you mean 'lr'?"),
    (lambda: nnlab.Adam(eps=1e-8), "did you mean 'epsilon'?"),
    (lambda: nnlab.SGD(momentum=0.9), "write optimizer=nnlab.Momentum(gamma=0.9)"),
    (lambda: nnlab.StepDecay(step_size=3), "did you mean 'every'?"),
    (lambda: nnlab.StepDecay(gamma=0.5), "did you mean 'factor'?"),
    (lambda: nnlab.MLP(layers=[3]), "did you mean 'hidden'?"),
    (lambda: nnlab.Holdout(test_size=0.1), "did you mean 'test'?"),
    (lambda: nnlab.TPE(n_startup_trials=3), "did you mean 'startup'?"),
    (lambda: nnlab.Search(n_trials=3), "did you mean 'trials'?"),
    (lambda: nnlab.fit(E, epochs=3), "it is a setting, nnlab.Experiment(epochs=...)"),
    (lambda: nnlab.fit(E, optimizer="sgd"), "it is a setting, nnlab.Experiment(optimizer=...)"),
    (lambda: nnlab.fit(E, lr=0.1), "optimizer=nnlab.Adam(lr=...)"),
    (lambda: nnlab.fit(E, X, Y, x_val=X), "drawn from the data, write split=nnlab.Holdout(validation=0.2)"),
    (lambda: nnlab.check(E, seeds=3), "it is a setting, nnlab.Experiment(seeds=...)"),
    (lambda: nnlab.Sweep({"epochs": [1, 2]}, trials=3), "trials = 3: expected"),
    (lambda: nnlab.Sweep({"epochs": [1, 2]}, sampler="grid"), "it is a setting, nnlab.Search(sampler=...)"),
    (lambda: nnlab.Sweep({"optimizer.learning_rate": [1, 2]}), "did you mean 'optimizer.lr'?"),
    (lambda: nnlab.Sweep({"learning_rate": [1, 2]}), "did you mean 'optimizer.lr'?"),
    (lambda: nnlab.Sweep({"max_epochs": [1, 2]}), "did you mean 'epochs'?"),
    (lambda: nnlab.Sweep({"model.layers": [[1], [2]]}, experiment_of=E), "did you mean 'model.hidden'?"),
    (lambda: nnlab.Sweep({}), "it is empty"),
    (lambda: nnlab.Experiment(data="mnist"), "write data=nnlab.Idx(path=FOLDER)"),
    (lambda: nnlab.Experiment(split="loo"), "write split=nnlab.KFold(k=N)"),
    (lambda: nnlab.Experiment(init="ones"), "write init=nnlab.ConstantInit(value=1)"),
    (lambda: nnlab.Experiment(regularizer="elastic_net"), "write regularizer=['l1', 'l2']"),
    (lambda: nnlab.Experiment(data="csv"), "write nnlab.Csv(path=..., target=...)"),
    (lambda: nnlab.Experiment(data="npz"), "write nnlab.Npz(path=...)"),
    (lambda: nnlab.Experiment(data="idx"), "write nnlab.Idx(path=...)"),
])  # fmt: skip
def test_the_sentence_says_what_it_is_here(call, message):
    with pytest.raises(nnlab.UserError) as error:
        call()
    assert message in str(error.value) and NO_OTHER not in str(error.value)
    assert not re.search(r"\b(data|optimizer|split)\.\w+=", str(error.value))  # no words of the command line


@pytest.mark.parametrize("key, domain, meant", [
    ("epochs", nnlab.Interval(1, 5), "nnlab.Interval(1, 5, whole=True)"),
    ("epochs", nnlab.Interval(1.5, 5.5, log=True), "nnlab.Interval(2, 5, log=True, whole=True)"),
    ("batch_size", nnlab.Interval(8, 32), "nnlab.Interval(8, 32, whole=True)"),
])  # fmt: skip
def test_an_interval_of_all_numbers_for_a_key_of_whole_ones(key, domain, meant):
    with pytest.raises(nnlab.UserError) as error:
        nnlab.Sweep({key: domain}, experiment_of=E)
    assert f"{key} takes whole numbers; write {meant}" in str(error.value)
    nnlab.Sweep({key: eval(meant)}, nnlab.Search(trials=1), E)


def test_every_entry_of_the_table_can_be_said_in_python():
    """None is left half in the command line's words, and what it proposes is there."""
    for meant in suggestions._table()["keys"].values():
        spelling = as_python.as_python(meant or "")
        for group, name, inside in re.findall(r"(\w+)=nnlab\.(\w+)\(([^)]*)\)", spelling):
            names = [word.partition("=")[0] for word in inside.split(", ") if word]
            cls = getattr(nnlab, name)
            assert plugins.group_of(cls) == group and {*names} <= cls.__dataclass_fields__.keys(), spelling
        if meant and suggestions.is_name(meant) and "." in meant and not meant.startswith("hydra."):
            assert as_python.python_spelling(meant), meant


def test_arrays_by_position_and_by_name():
    plain = nnlab.Experiment(epochs=1)
    by_place, by_name = nnlab.fit(plain, X, Y), nnlab.fit(plain, x=X, y=Y)
    assert by_place.experiments == by_name.experiments == nnlab.fit(E).experiments
    for arrays, named in (((X, Y), {}), ((), {"x": X, "y": Y})):
        (verdict,) = nnlab.check(plain, *arrays, only="start", **named)
        (same,) = nnlab.check(E, only="start")
        assert verdict.findings == same.findings
    for given, message in (
        ((E, X), "two arrays"),
        ((E, E), "one experiment, not 2"),
        ((X,), "expected a nnlab.Exp"),
    ):
        with pytest.raises(nnlab.UserError, match=message):
            nnlab.check(*given, only="start")


def test_parameters_of_the_best_trial_are_values():
    search = nnlab.Search(sampler="grid")
    sweep = nnlab.Sweep({"model.hidden": [[2], (3, 3)], "epochs": [1]}, search, E).run()
    assert sweep.best.params["model.hidden"] in ([2], [3, 3])
    assert list(sweep.experiment(sweep.best).model.hidden) == sweep.best.params["model.hidden"]
    assert sweep.experiment(sweep.trials[0]) == sweep.experiment({"model.hidden": [2], "epochs": 1})
