"""The Python interface, as a notebook uses it: accepted arguments, and messages for the others."""

import ast
import doctest
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections import defaultdict
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import nnlab
from nnlab.cli import main
from nnlab.hyperparameters import Settings, column
from nnlab.regularizers import SETTINGS

ROOT = Path(__file__).parent.parent
RANDOM = np.random.default_rng(0)
X = RANDOM.random((60, 4))
CLASSES = np.arange(60) % 3
AMOUNTS = RANDOM.random(60)


class Frame:
    """What pandas and polars have in common: columns with names, and a way to numpy."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self.values = list(columns.values())

    def to_numpy(self):
        return np.column_stack([np.asarray(v, object) for v in self.values])


NAMES = [
    ({"optimizer": "adam"}, {"optimizer": nnlab.Adam()}),
    ({"model": "mlp", "data": "digits"}, {}),
    ({"schedule": "cosine", "init": "he_normal"}, {"schedule": nnlab.Cosine(), "init": nnlab.HeNormal()}),
    ({"split": "kfold", "stopping": "patience"}, {"split": nnlab.KFold(), "stopping": nnlab.Patience()}),
    ({"stopping": "none"}, {}),
    ({"regularizer": "dropout"}, {"regularizer": nnlab.Regularizer(dropout=0.2)}),
    ({"regularizer": ["l2", "dropout"]}, {"regularizer": nnlab.Regularizer(l2=1e-3, dropout=0.2)}),
    ({"regularizer": "auto"}, {}),
    ({"regularizer": None}, {}),
    ({"regularizer": "none", "seed": np.int64(3)}, {"regularizer": nnlab.Regularizer(), "seed": 3}),
    ({"optimizer": nnlab.SGD(np.float64(0.5))}, {"optimizer": nnlab.SGD(0.5)}),
    ({"model": nnlab.MLP(np.array([8, 8]))}, {"model": nnlab.MLP((8, 8))}),
    ({"data": nnlab.Csv(Path("a.csv"), "left")}, {"data": nnlab.Csv(path="a.csv", target="left")}),
    ({"data": (X, CLASSES)}, {"data": nnlab.Arrays(X, CLASSES)}),
]


@pytest.mark.parametrize("given, meant", NAMES)
def test_a_name_means_the_choice_with_its_defaults(given, meant):
    e = nnlab.Experiment(**given)
    assert e == nnlab.Experiment(**meant) and hash(e) == hash(nnlab.Experiment(**meant))
    assert replace(e, epochs=3).epochs == 3 and replace(e, epochs=3).optimizer == e.optimizer


def test_names_of_a_search():
    search = nnlab.Search(sampler="random", pruner="halving")
    assert search == nnlab.Search(sampler=nnlab.Random(), pruner=nnlab.Halving())


def test_a_name_of_a_regularizer_means_what_its_file_says():
    for file in (ROOT / "configs" / "regularizer").glob("*.yaml"):
        if file.stem != "auto":
            from_file = nnlab.Regularizer(**OmegaConf.load(file))
            assert (
                from_file == nnlab.Regularizer(**SETTINGS[file.stem]) != nnlab.Regularizer()
                or file.stem == "none"
            )
    assert len(SETTINGS) == len(list((ROOT / "configs" / "regularizer").glob("*.yaml"))) - 1


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nnlab.Experiment(optimizer="adm"), "unknown optimizer 'adm'; did you mean 'adam'?"),
        (lambda: nnlab.Experiment(optimizer=nnlab.Adam), "optimizer = nnlab.Adam: that is a class; write nn"),
        (lambda: nnlab.Experiment(optimizer=torch.optim.Adam), "optimizer = Adam: that is a class; expected"),
        (lambda: nnlab.Experiment(optimizer=nnlab.Cosine()), "that belongs in schedule="),
        (lambda: nnlab.Experiment(optimizer=3), "optimizer = 3: expected a name or a nnlab.Optimizer; the n"),
        (lambda: nnlab.Experiment(optimizer=None), "optimizer = None: expected a name"),
        (lambda: nnlab.Experiment(optimizer={"name": "adam"}), "expected a name or a nnlab.Optimizer"),
        (lambda: nnlab.Experiment(model=torch.nn.Linear(2, 2)), "model = Linear(in_features=2, out_features"),
        (lambda: nnlab.Experiment(split=0.2), "split = 0.2: expected a name or a nnlab.Split; the names are"),
        (lambda: nnlab.Experiment(regularizer=["l2", "dropuot"]), "'dropuot'; did you mean"),
        (lambda: nnlab.Experiment(regularizer=["l2", 3]), "regularizer = ['l2', 3]: expected names, none, l"),
        (lambda: nnlab.Experiment(data="churn.csv"), "data = 'churn.csv': data in a file are nnlab.Csv(path"),
        (lambda: nnlab.Experiment(data=X), "data = an array of the shape (60, 4): write nnlab.Arrays(x, y)"),
        (lambda: nnlab.Experiment(data=nnlab.Iris().load()), "data = Dataset(150 x 4, 3 classes): write nnl"),
        (lambda: nnlab.Experiment(data=[X, CLASSES, X]), "write nnlab.Arrays(x, y)"),
        (lambda: nnlab.Experiment(lr=0.1), "no setting 'lr': it is one of optimizer, write optimizer=Adam(l"),
        (lambda: nnlab.Experiment(hidden=[3]), "write model=MLP(hidden=...)"),
        (lambda: nnlab.Experiment(dropout=0.1), "write regularizer=Regularizer(dropout=...)"),
        (lambda: nnlab.Experiment(optimiser="adam"), "no setting 'optimiser'; did you mean 'optimizer'?"),
        (lambda: replace(nnlab.Experiment(), epoch=3), "no setting 'epoch'; did you mean 'epochs'?"),
        (lambda: nnlab.Adam(beta3=1), "Adam has no setting 'beta3'; did you mean 'beta"),
        (lambda: nnlab.Stopping(patience=3), "'patience'; write stopping=nnlab.Patience(patience=3)"),
        (lambda: nnlab.Adam(lr=np.float64(-1)), "optimizer.lr = -1.0: expected a number above 0"),
        (lambda: nnlab.Adam(lr=np.array([0.1, 0.2])), "optimizer.lr = [0.1, 0.2]: expected a number above 0"),
        (lambda: nnlab.Experiment(epochs="5"), "epochs = '5': expected a whole number at least 1"),
        (lambda: nnlab.Search(sampler="randm"), "unknown sampler 'randm'; did you mean 'random'?"),
        (lambda: nnlab.Search(pruner=nnlab.TPE()), "that belongs in sampler="),
    ],
)  # fmt: skip
def test_what_stands_for_no_part_is_a_sentence(make, message):
    with pytest.raises(nnlab.UserError) as error:
        make()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_setting_is_a_type_error_as_ever():
    with pytest.raises(TypeError):
        nnlab.Adam(learning_rate=0.1)


ARRAYS = {  # (x, y) -> sizes, classes
    "numpy, whole numbers": ((X, CLASSES), (4, 3), ("0", "1", "2")),
    "floats": ((X, AMOUNTS), (4, 1), ()),
    "a column of floats": ((X, AMOUNTS[:, None]), (4, 1), ()),
    "several outputs": ((X, X[:, :2]), (4, 2), ()),
    "text": ((X, list("abc") * 20), (4, 3), ("a", "b", "c")),
    "text as objects": ((X, np.array(list("abc") * 20, object)), (4, 3), ("a", "b", "c")),
    "bytes": ((X, np.array([b"a", b"b"] * 30)), (4, 2), ("a", "b")),
    "truth values": ((X, CLASSES == 1), (4, 2), ("0", "1")),
    "one-hot": ((X, np.eye(3)[CLASSES]), (4, 3), ("0", "1", "2")),
    "one-hot of 30 classes": ((X, np.eye(30, dtype=int)[np.arange(60) % 30]), (4, 30), None),
    "one-hot with names": ((X, Frame(b=CLASSES == 0, a=CLASSES != 0)), (4, 2), ("a", "b")),
    "lists": ((X.tolist(), CLASSES.tolist()), (4, 3), ("0", "1", "2")),
    "tensors": ((torch.tensor(X), torch.tensor(CLASSES)), (4, 3), ("0", "1", "2")),
    "bfloat16 with a gradient": ((torch.tensor(X).bfloat16().requires_grad_(), CLASSES), (4, 3), None),
    "lists of tensors": ((list(torch.tensor(X)), list(torch.tensor(CLASSES))), (4, 3), None),
    "truth values as inputs": ((X > 0.5, CLASSES), (4, 3), None),
    "half precision": ((X.astype(np.float16), CLASSES), (4, 3), None),
    "the other byte order": ((X.astype(">f8"), CLASSES.astype(">i4")), (4, 3), None),
    "images": ((X.reshape(60, 2, 2), CLASSES), (4, 3), None),
    "a data frame": ((Frame(age=[30, 20, 50] * 20, old=[True, False] * 30), CLASSES), (2, 3), None),
    "whole numbers as objects": ((X, np.array(CLASSES, object)), (4, 3), ("0", "1", "2")),
}


@pytest.mark.parametrize("given, sizes, classes", ARRAYS.values(), ids=ARRAYS)
def test_arrays_are_data(given, sizes, classes):
    data = nnlab.Arrays(*given)
    dataset = data.load()
    assert (dataset.spec.inputs, dataset.spec.outputs) == sizes and len(dataset.x) == 60
    assert classes is None or dataset.classes == classes
    assert dataset.x.dtype.isnative and dataset.x.dtype.kind in "iuf"
    again = nnlab.Arrays(*given)
    assert data == again and hash(data) == hash(again) and data is not again
    assert replace(data, limit=30).load().spec == dataset.spec
    assert replace(data, x=data.x + 1.0) != data


X_WITH_NAN, X_WITH_INF = X.copy(), X.copy()
X_WITH_NAN[3, 2], X_WITH_INF[0, 1] = np.nan, -np.inf


@pytest.mark.parametrize(
    "given, message",
    [
        ((X, CLASSES[:50]), "x has 60 examples, and y has 50"),
        ((X[:, 0], CLASSES), "x has the shape (60,), expected (examples, inputs); one input is x.reshape(-1"),
        ((X_WITH_NAN, CLASSES), "x[3, 2] is missing (nan); expected a finite number"),
        ((X_WITH_INF, CLASSES), "x[0, 1] is -inf; expected a finite number"),
        ((np.ma.masked_equal(np.eye(60), 1), CLASSES), "x[0, 0] is masked"),
        ((Frame(age=[1.0, np.nan] * 30, b=[True] * 60), CLASSES), "x[1], column 'age', is missing; expected"),
        ((Frame(age=range(60), city=["Rome"] * 60), CLASSES), "x[0], column 'city', is 'Rome'; expected a n"),
        ((X, np.append(AMOUNTS[1:], np.inf)), "y[59] is inf; expected a finite number"),
        ((X, ["a", None, "b"] * 20), "y[1] is missing; expected text, like the others"),
        ((X, np.array(["a", 1, "b"] * 20, object)), "y[1] is 1; expected text, like the others"),
        ((X, [None] * 60), "y[0] is missing; expected a number"),
        ((X, [{}] * 60), "y[0] is {}; expected a number"),
        (([[1, 2], [3]], [0, 1]), "x is ragged: its rows differ in length"),
        (([["1.5"], ["2"]], [0, 1]), "x[0, 0] is '1.5'; expected a number"),
        ((X.astype(complex), CLASSES), "x has the dtype complex128, expected real numbers or text"),
        ((np.array([["2020-01-01"]] * 60, "M8[D]"), CLASSES), "x has the dtype datetime64[D], expected real"),
        ((X, np.arange(60)), "y has 60 different whole numbers, which may be classes or amounts"),
        ((X, CLASSES * 0), "y has only one class, '0'"),
        ((X, CLASSES.reshape(-1, 1, 1) * np.ones((60, 2, 2))), "y has the shape (60, 2, 2), expected (examp"),
        (([], []), "x has the shape (0,): there are no examples in it"),
        (("age", CLASSES), "x = 'age': expected an array, a table or a list, one item an example"),
        ((X, "left"), "y = 'left': expected an array"),
        ((Frame(age=CLASSES, left=CLASSES), "left"), "y = 'left': that is a column of x; write x.drop("),
        ((X, None), "y = None: expected an array"),
        ((X, 3), "y = 3: expected an array"),
        (({"a": [1]}, CLASSES), "x = {'a': [1]}: expected an array"),
        ((zip(X, X, strict=True), CLASSES), "x = a zip: expected an array"),
        ((X, CLASSES, X[:5]), "y_test is missing: a test set is x_test and y_test, both or neither"),
        ((X, CLASSES, None, CLASSES[:5]), "x_test is missing"),
        ((X, CLASSES, X[:5, :2], CLASSES[:5]), "x_test has 2 inputs, and x has 4"),
        ((X, CLASSES, X[:5], CLASSES[:4]), "x_test has 5 examples, and y_test has 4"),
        ((X, CLASSES, X[:5], CLASSES[:5] + 5), "y_test has the class '5', which y does not have"),
        ((X, CLASSES, X[:5], ["a"] * 5), "y_test has text, and y has numbers"),
        ((X, AMOUNTS, X[:5], X[:5, :2]), "y_test has the shape (5, 2), expected that of y, (60,)"),
    ],
)  # fmt: skip
def test_what_is_no_data_is_a_sentence(given, message):
    with pytest.raises(nnlab.UserError) as error:
        nnlab.Arrays(*given)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_other_settings_of_arrays():
    ids = np.arange(60)
    assert nnlab.Arrays(X, ids, task="regression").load().classes == ()
    assert len(nnlab.Arrays(X, ids // 2, task="classification").load().classes) == 30
    assert nnlab.Arrays(X, np.eye(3)[CLASSES], task="regression").load().spec.outputs == 3
    with pytest.raises(nnlab.UserError, match="y is text, 'a', and task='regression' takes numbers"):
        nnlab.Arrays(X, ["a", "b"] * 30, task="regression")
    with pytest.raises(nnlab.UserError, match=r"features has 2 names, and x has 4 columns"):
        nnlab.Arrays(X, CLASSES, features=["a", "b"])
    with pytest.warns(nnlab.Advice, match="y has only the floats 0, 1, 2 and is trained as numbers"):
        assert nnlab.Arrays(X, CLASSES * 1.0).load().classes == ()


def test_a_test_set_of_its_own_and_names():
    frame = Frame(age=X[:, 0], height=X[:, 1])
    data = nnlab.Arrays(frame, CLASSES, frame, CLASSES)
    assert data.features == ("age", "height") and data.load().test.tolist() == list(range(60, 120))
    assert repr(data) == "Arrays(120 x 2, 3 classes, 60 of them to test)"
    with pytest.raises(nnlab.UserError, match="x_test has the column 'height' where x has 'age'"):
        nnlab.Arrays(frame, CLASSES, Frame(height=X[:, 1], age=X[:, 0]), CLASSES)


def test_arrays_do_not_change_with_what_was_given():
    x = X.copy()
    data = nnlab.Arrays(x, CLASSES)
    x[:] = 0
    assert (data.x == X).all() and data == nnlab.Arrays(X, CLASSES)
    with pytest.raises(ValueError, match="read-only"):
        data.x[0] = 1


def test_arrays_of_other_libraries():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"age": [30, 20, 50] * 20, "tall": [1.5, 2.0] * 30, "member": [True, False] * 30}
    )
    for y in (pandas.Series(["a", "b"] * 30), pandas.Series(["a", "b"] * 30, dtype="category")):
        data = nnlab.Arrays(frame.convert_dtypes(), y)
        assert data.load().classes == ("a", "b") and data.features == ("age", "tall", "member")
    with pytest.raises(nnlab.UserError, match=r"x\[1\], column 'age', is missing"):
        nnlab.Arrays(frame.convert_dtypes().mask(frame["age"] == 20), CLASSES)


def test_data_with_other_numbers_do_not_share_a_stack():
    both = [nnlab.Experiment(data=nnlab.Arrays(X, y), epochs=2) for y in (CLASSES, CLASSES[::-1])]
    together, alone = nnlab.fit(*both).run(), nnlab.fit(both[1]).run()
    assert together.results[1].best == alone.results[0].best != together.results[0].best


SMALL = nnlab.Experiment(data=nnlab.Arrays(X, CLASSES), epochs=6, seeds=4)
SLOW = nnlab.Experiment(epochs=100_000, seeds=4)


def several_stacks(*networks) -> nnlab.Fit:
    """Rows of two networks cannot share a stack."""
    return nnlab.fit([replace(SMALL, model=nnlab.MLP((units,))) for units in networks or (8, 16)])


def test_a_fit_before_a_break_and_after():
    fit = nnlab.fit(SMALL)
    assert repr(fit) == "<Fit: 4 rows, not begun: fit.run(), or iterate over it>"
    assert fit.results == [] and len(fit.history["epoch"]) == 0
    for call in (lambda: fit.results[0], lambda: fit.results[-1]):
        with pytest.raises(IndexError, match="no row has ended yet; fit.run.. trains to the end"):
            call()
    seen = []
    for record in fit:
        seen.append(record.epoch)
        if record.epoch == 2:
            break
    assert fit.results == [] and repr(fit) == "<Fit: 4 rows, epoch 2>"
    assert fit.run() is fit and [r.row for r in fit.results] == [0, 1, 2, 3]
    assert list(fit) == [] and repr(fit) == "<Fit: 4 rows, 4 finished>"
    whole = nnlab.fit(SMALL).run()
    assert [r.best for r in fit.results] == [r.best for r in whole.results]
    for name, values in whole.history.items():
        assert np.array_equal(values, fit.history[name], equal_nan=True), name


@pytest.mark.parametrize("begin", [nnlab.fit, lambda e: several_stacks()], ids=["one", "stacks"])
def test_a_fit_that_is_stopped_has_the_best_so_far(begin):
    fit = begin(SMALL)
    for record in fit:
        if record.epoch == 3:
            break
    assert fit.stop() is fit and fit.stop() is fit and list(fit) == []
    ended = {result.row: result for result in fit.results}
    assert set(record.rows.tolist()) <= set(ended)
    whole = nnlab.fit(*fit.experiments)
    losses, sofar = whole.run().curves("val_loss"), fit.curves("val_loss")
    for row, result in ended.items():
        assert result.status in ("stopped", "finished") and 3 <= result.epochs
        assert result.best_epoch == 1 + np.argmin(losses[row, : result.epochs])
        assert set(result.test) >= {"loss", "accuracy"} and np.isfinite(result.test["loss"])
        assert np.array_equal(losses[row, : result.epochs], sofar[row, : result.epochs])


def test_the_test_numbers_of_a_stopped_row_are_those_of_its_weights():
    fit, short = nnlab.fit(replace(SMALL, metric="last")), nnlab.fit(replace(SMALL, metric="last", epochs=2))
    for record in fit:
        if record.epoch == 2:
            break
    assert [r.test for r in fit.stop().results] == [r.test for r in short.run().results]


def test_stopped_in_the_second_training():
    fit = nnlab.fit(replace(SMALL, refit=True, epochs=5))
    for record in fit:
        if record.refit:
            break
    assert len(fit.stop().results) == 4
    assert all(r.test["loss"] > 0 and not r.past for r in fit.results)


def test_stopped_before_it_began():
    fit = nnlab.fit(SMALL).stop()
    assert fit.results == [] and list(fit) == []


@pytest.mark.parametrize("experiments", [[SLOW], [SLOW, replace(SLOW, model="linear", loss="squared_error")]])
def test_an_interrupted_fit_keeps_the_best_so_far(experiments, capfd):
    fit = nnlab.fit(experiments)
    next(iter(fit))
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        fit.run()
    interrupt.join()
    assert fit.results and {r.status for r in fit.results} == {"interrupted"}
    assert all(r.best_epoch and r.test["accuracy"] > 0.5 for r in fit.results)
    assert "finishing this epoch" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_fit_in_a_thread_and_quiet(capfd):
    fit = several_stacks()
    thread = threading.Thread(target=fit.run)
    thread.start()
    thread.join()
    assert len(fit.results) == 8 and capfd.readouterr() == ("", "")


def test_two_fits_side_by_side():
    one, other = nnlab.fit(SMALL), nnlab.fit(SMALL)
    for a, b in zip(one, other, strict=True):
        assert (a.val_loss == b.val_loss).all()
        if a.epoch == 3:
            other.stop()
            break
    assert {r.status for r in other.results} == {"stopped"}
    assert {r.status for r in one.run().results} == {"finished"}


def test_history_and_curves():
    fit = several_stacks().run()
    table, curves = fit.history, fit.curves("val_loss")
    assert curves.shape == (8, 6) and {len(column) for column in table.values()} == {48}
    assert table["row"].tolist() == np.repeat(range(8), 6).tolist()
    assert table["epoch"].tolist() == [1, 2, 3, 4, 5, 6] * 8
    assert table["seed"].tolist() == np.repeat([0, 1, 2, 3] * 2, 6).tolist()
    assert table["experiment"].tolist() == np.repeat([0, 1], 24).tolist()
    assert (table["val_loss"].reshape(8, 6) == curves).all() and np.isfinite(curves).all()
    for result in fit.results:
        assert curves[result.row, result.best_epoch - 1] == result.best["val_loss"]
    with pytest.raises(KeyError, match="no curve 'val_los'; did you mean 'val_loss'"):
        fit.curves("val_los")


def test_history_of_rows_that_measure_different_things():
    without = replace(SMALL, split=nnlab.NoSplit(), metric="last", seeds=1)
    table = nnlab.fit(without, replace(SMALL, seeds=1, refit=True)).run().history
    missing = np.isnan(table["val_loss"])
    assert (missing == ((table["experiment"] == 0) | table["refit"])).all() and table["refit"].any()


def test_a_history_is_a_data_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(nnlab.fit(SMALL).run().history)
    assert frame.groupby("row").val_loss.min().shape == (4,)


def test_histograms_stay_in_the_record():
    assert all(r.histograms for r in nnlab.fit(replace(SMALL, histograms=1, epochs=2)))


def test_what_is_shown_is_short():
    fit = nnlab.fit(SMALL)
    record = next(iter(fit))
    shown = [record, fit.run(), *fit.results, nnlab.Iris().load(), SMALL.data]
    assert all(len(repr(one)) < 250 and "\n" not in repr(one) for one in shown)
    assert repr(record).startswith("<Record: epoch 1, means of 4 rows: train_loss ")
    assert repr(fit.results[0]).startswith(
        "<Result: row 0, seed 0: finished after 6 epochs, the best 6, val_"
    )
    assert "val_loss" in dir(record)


def test_a_verdict_is_shown_short():
    (verdict,) = nnlab.check(SMALL, only="start")
    assert repr(verdict).startswith("<Verdict: start pass: loss ") and len(repr(verdict)) < 200


@pytest.mark.parametrize(
    "part, shown",
    [
        (nnlab.Adam(), "Adam()"),
        (nnlab.Adam(lr=0.01), "Adam(lr=0.01)"),
        (nnlab.MLP((32,), activation="tanh"), "MLP(hidden=(32,), activation='tanh')"),
        (nnlab.Experiment(optimizer=nnlab.SGD(0.5), seeds=3, regularizer="none"),
         "Experiment(regularizer=Regularizer(), optimizer=SGD(lr=0.5), seeds=3)"),
        (nnlab.Search(sampler="random"), "Search(sampler=Random())"),
    ],
)  # fmt: skip
def test_a_part_shows_what_is_not_at_its_default(part, shown):
    assert (
        repr(part) == shown
        and eval(repr(part), vars(nnlab) | {n: getattr(nnlab, n) for n in dir(nnlab)}) == part
    )


@pytest.mark.parametrize("only", ["start", ["start"], ("start",)])
def test_one_rung(only):
    assert [verdict.rung for verdict in nnlab.check(SMALL, only)] == ["start"]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: nnlab.check("digits"), "experiment = 'digits': expected a nnlab.Experiment"),
        (lambda: nnlab.check(nnlab.Experiment), "expected a nnlab.Experiment"),
        (lambda: nnlab.check(SMALL, budget={"seeds": 3}), "budget = {'seeds': 3}: expected a nnlab.Budget"),
        (lambda: nnlab.check(SMALL, "strat"), "only = 'strat': expected one of start, gradients"),
        (lambda: nnlab.check(SMALL, 3), "only = 3: expected one of start, gradients"),
        (lambda: nnlab.check(SMALL, []), "only = []: expected null for all rungs"),
        (lambda: nnlab.Budget(seed=3), "Budget has no setting 'seed'; did you mean 'seeds'?"),
    ],
)
def test_what_cannot_be_checked_is_a_sentence(call, message):
    with pytest.raises(nnlab.UserError) as error:
        call()
    assert message in str(error.value)


def test_fit_takes_arrays():
    by_data = nnlab.fit(SMALL).run()
    by_hand = nnlab.fit(replace(SMALL, data="iris"), X, CLASSES).run()
    assert [r.test for r in by_data.results] == [r.test for r in by_hand.results]
    limited = nnlab.fit(
        nnlab.Experiment(data=nnlab.Iris(limit=30), epochs=1), X, CLASSES, x_test=X, y_test=CLASSES
    )
    assert limited.experiments[0].data.limit == 30
    assert (
        repr(nnlab.fit(X, CLASSES))
        == repr(nnlab.fit())
        == repr(nnlab.fit([SMALL])).replace("4 rows", "1 row")
    )


@pytest.mark.parametrize(
    "given, message",
    [
        ((X,), "two arrays, x and y; got an array of the shape (60, 4)"),
        ((SMALL, X), "expected experiments, and after them nothing or two arrays, x and y; got an array"),
        ((SMALL, X, CLASSES, X), "two arrays, x and y; got an array of the shape (60, 4), an array of"),
        (("adam",), "two arrays, x and y; got 'adam'"),
        ((nnlab.Adam(),), "two arrays, x and y; got Adam()"),
        (({"epochs": 3},), "two arrays, x and y; got {'epochs': 3}"),
        ((SMALL, X, CLASSES[:3]), "x has 60 examples, and y has 3"),
        ((replace(SMALL, loss="cross_entropy"), X, AMOUNTS), "loss = 'cross_entropy' needs classes, but dat"),
    ],
)
def test_what_cannot_be_fitted_is_a_sentence(given, message):
    with pytest.raises(nnlab.UserError) as error:
        nnlab.fit(*given)
    assert message in str(error.value)


MODULES = [m.name for m in pkgutil.walk_packages(nnlab.__path__, "nnlab.") if not m.name.endswith("__main__")]
EXAMPLES = [m for m in MODULES if ">>> " in Path(importlib.util.find_spec(m).origin).read_text()]


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_of_docstrings_are_true(module):
    """Every one of them: those of what is nested too deep for doctest to look at would be missed."""
    done = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    text = Path(importlib.util.find_spec(module).origin).read_text()
    assert done.attempted == len(re.findall(r"^ *>>> ", text, re.M)) and not done.failed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_pages_are_true(page):
    assert not doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS).failed


def test_the_readme_is_true(capsys, tmp_path, monkeypatch):
    """Its blocks of Python, one after another in one session."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^From Python[^\n]*:\n\n((?:    .*\n|\n)+)", text, re.M)
    assert len(blocks) == 4
    folder = f"{tmp_path}/run"
    main(["train", "data=iris", "split=kfold", "split.k=2", "seeds=2", "epochs=2", f"hydra.run.dir={folder}"])
    session = {"x": X, "y": CLASSES, "x_test": X[:9], "y_test": CLASSES[:9]}
    iris, labels = nnlab.Iris().load().x, ["setosa"] * 50 + ["virginica"] * 100
    for block in blocks:
        inputs = {"x": iris, "y": labels} if "nnlab.load(" in block else {}
        session |= {"x": X, "y": CLASSES} | inputs
        exec(textwrap.dedent(block).replace("outputs/train/FOLDER", folder), session)  # noqa: S102
    stdout = capsys.readouterr().out.splitlines()
    assert any(line.startswith("start pass loss ") for line in stdout) and stdout[-1].startswith(
        "Trial(number="
    )
    assert session["fit"].results and session["run"].ended


def test_help_says_what_every_setting_means():
    for name in nnlab.__all__:
        cls = getattr(nnlab, name)
        if isinstance(cls, Settings):
            text = inspect.getdoc(cls)
            wanted = [
                f.name for f in fields(cls) if f.init and ("kind" in f.metadata or "choices" in f.metadata)
            ]
            assert text and all(re.search(rf"^{key}( = .+)?$", text, re.M) for key in wanted), name
    doc = inspect.getdoc(nnlab.Experiment)
    assert re.search(r"^epochs = 50\n    .*a whole number at least 1", doc, re.M | re.S)
    assert "initial weights, batch order" in " ".join(doc.split())
    assert "optimizer = Adam()\n    a nnlab.Optimizer, or by name adadelta, adagrad, adam," in doc
    assert "m <- beta1 m + (1 - beta1) g" in inspect.getdoc(nnlab.Adam)


def test_help_of_a_class_of_your_own():
    @dataclass(frozen=True)
    class Mine(nnlab.Optimizer):
        """theta <- theta."""

        name = "mine"
        pace: float = column(0.5, above=0)

    assert inspect.getdoc(Mine).startswith("theta <- theta.\n\nSettings\n\nlr = 0.001\n    ")
    assert inspect.getdoc(Mine).endswith("pace = 0.5\n    a number above 0")

    @dataclass(frozen=True)
    class Bare(nnlab.Optimizer):
        name = "bare"

    assert inspect.getdoc(Bare).startswith("Bare\n\nSettings")


def test_an_editor_sees_the_names():
    stub = (ROOT / "nnlab" / "__init__.pyi").read_text()
    homes = defaultdict(set)
    for home, listed in re.findall(r"^from ([\w.]+) import (\([^)]*\)|.*)$", stub, re.M):
        if listed == "*":
            homes[home.rpartition(".")[0]] |= set(importlib.import_module(home).__all__)
        else:
            homes[home] = set(re.findall(r"\b(\w+) as \1\b", listed))
    assert homes == {home: set(listed) for home, listed in nnlab._HOMES.items()}
    assert set().union(*homes.values()) | {"__version__"} == set(nnlab.__all__) == set(dir(nnlab))
    assert re.search(r"^__version__: str$", stub, re.M)


@pytest.mark.parametrize("cls", [nnlab.Experiment, nnlab.Search])
def test_an_editor_sees_the_fields(cls):
    """`__init__` as type checkers have it: the fields in their order, since parts may be given by name."""
    tree = ast.parse(Path(inspect.getsourcefile(cls)).read_text())
    (init,) = (
        node
        for class_node in ast.walk(tree)
        if isinstance(class_node, ast.ClassDef) and class_node.name == cls.__name__
        for node in ast.walk(class_node) if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )  # fmt: skip
    assert [a.arg for a in init.args.args] == ["self", *(f.name for f in fields(cls))]
    for argument, f in zip(init.args.args[1:], fields(cls), strict=True):
        if "choices" in f.metadata:
            assert "| str" in ast.unparse(argument.annotation), f.name


def test_the_import_is_lazy():
    code = "import nnlab, sys; dir(nnlab); assert not {'torch', 'numpy', 'optuna', 'yaml'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nnlab.Arrays([[10**400]] * 80, [0, 1] * 40),
        lambda: nnlab.Arrays(np.zeros((80, 2)), [10**400] * 80),
        lambda: nnlab.Arrays(np.zeros((4, 2)), ["a", float("nan"), "b", "a"]),
        lambda: nnlab.Arrays(np.ndarray, [0, 1]),
        lambda: nnlab.Arrays(np, [0, 1]),
        lambda: nnlab.Arrays(type("Odd", (), {"shape": None})(), [0, 1]),
        lambda: nnlab.Arrays(type("Odd", (), {"__array__": lambda *_: {}[0], "shape": (2, 2)})(), [0, 1]),
        lambda: nnlab.Interval(0, 10**400),
        lambda: nnlab.Search(objective=[]),
        lambda: nnlab.Experiment(dtype=np.float32),
    ],
)
def test_what_no_library_makes_a_number_of_is_a_sentence(make):
    with pytest.raises(nnlab.UserError) as error:
        make()
    assert "\n" not in str(error.value) and str(error.value)


def test_bytes_that_are_not_utf8_are_labels_of_their_own():
    x, y = np.zeros((80, 2)) + np.arange(80)[:, None] % 7, np.array([b"\xff", b"\xfe", b"a", b"a"] * 20)
    assert len(nnlab.Arrays(x, y).read().classes) == 3


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="numpy has no such text")
def test_numpys_own_strings_are_labels():
    y = np.array(["a", "b"] * 40, dtype=np.dtypes.StringDType())
    assert nnlab.Arrays(np.zeros((80, 2)) + np.arange(80)[:, None] % 7, y).read().classes == ("a", "b")


def test_rows_of_another_order_are_not_paired_in_silence():
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame({"a": np.random.default_rng(0).normal(size=40)})
    y = (x["a"] > 0).sample(frac=1, random_state=1)
    with pytest.raises(nnlab.UserError, match="different indexes"):
        nnlab.Arrays(x, y)
    assert nnlab.Arrays(x, y.loc[x.index]).y.tolist() == (x["a"] > 0).tolist()
    nnlab.Arrays(x, y.to_numpy())
