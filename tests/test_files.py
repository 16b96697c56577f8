"""Data sets from IDX, CSV and npz files: what is read, and the error message for an invalid file."""

import gzip
import warnings
from dataclasses import replace

import numpy as np
import pytest
from datafiles import WRITERS, idx_arrays, idx_bytes, write_idx

import nnlab
from nnlab.data.sources import SOURCES, Csv, Idx, Npz
from nnlab.data.splits import Holdout, KFold
from nnlab.errors import Advice, UserError


def assert_refused(data, *phrases):
    """Loading fails with one sentence that has these words."""
    with pytest.raises(UserError) as error:
        data.load()
    message = str(error.value)
    assert all(word in message for word in phrases) and "\n" not in message, message


@pytest.mark.parametrize("name", WRITERS)
def test_a_path_that_is_missing_is_told(name, tmp_path):
    kind = SOURCES[name]
    assert_refused(kind(), "data.path = null", "write data.path=")
    assert_refused(kind(path=""), "data.path = ''")
    assert_refused(kind(path=str(tmp_path / "none" / "there")), "there is no file", "there is no folder")


# ---- idx


@pytest.mark.parametrize("packed", [False, True])
def test_idx(packed, tmp_path):
    arrays = idx_arrays()
    write_idx(tmp_path, arrays, packed)
    dataset = Idx(path=str(tmp_path)).load()
    assert dataset.x.dtype == np.uint8 and dataset.x.shape == (80, 16)
    both = [np.concatenate([arrays[f"{part}-{rest}"] for part in ("train", "t10k")])
            for rest in ("images-idx3-ubyte", "labels-idx1-ubyte")]  # fmt: skip
    assert np.array_equal(dataset.x, both[0].reshape(80, 16)) and np.array_equal(dataset.y, both[1])
    assert dataset.classes == ("0", "1", "2") and dataset.features[5] == "pixel_1_1"
    assert np.array_equal(dataset.test, np.arange(60, 80))


@pytest.mark.parametrize("split", [Holdout(repeats=2), KFold(k=3), KFold(k=3, stratify=False)])
@pytest.mark.parametrize("limit", [None, 40])
def test_the_test_set_of_the_data_is_held_out(split, limit, tmp_path):
    write_idx(tmp_path)
    dataset = Idx(path=str(tmp_path), limit=limit).load()
    n = limit or 80
    assert len(dataset.test) == n // 4 and len(dataset.x) == n
    for fold in split.folds(dataset):
        assert np.array_equal(fold.test, dataset.test)
        everything = np.concatenate([fold.train, fold.validation, fold.test])
        assert np.array_equal(np.sort(everything), np.arange(n)) and len(fold.validation)


def test_splits_and_limits_that_leave_nothing(tmp_path):
    write_idx(tmp_path)
    with pytest.raises(UserError, match="split.validation = 0.8 leaves nothing.*75% of the examples"):
        Holdout(validation=0.8).folds(Idx(path=str(tmp_path)).load())
    assert_refused(Idx(path=str(tmp_path), limit=1), "data.limit = 1", "of the 80")


TRAIN, LABELS, TEST = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"
WRONG_IDX = {  # name: (file, its content from the right one, words)
    "truncated": (TRAIN, lambda b: b[:-5], ["971 bytes", "announces 976 (60x4x4)", TRAIN]),
    "too-long": (LABELS, lambda b: b + b"1", ["69 bytes", "announces 68", LABELS]),
    "header-only": (TRAIN, lambda b: b[:9], [TRAIN, "9 bytes"]),
    "empty": (TRAIN, lambda b: b"", [TRAIN, "begins with nothing"]),
    "magic": (TRAIN, lambda b: b"\x89PNG" + b[4:], [TRAIN, "begins with 89 50 4e 47", "00 00 08 03"]),
    "labels-for-images": (TRAIN, lambda b: idx_bytes([1, 2]), [TRAIN, "expected 00 00 08 03"]),
    "number": (LABELS, lambda b: idx_bytes([1, 2]), ["has 60 images", "has 2 labels", TRAIN, LABELS]),
    "other-size": (TEST, lambda b: idx_bytes(np.zeros((20, 3, 5))), ["4x4 and 3x5 pixels"]),
    "no-pixels": (TRAIN, lambda b: idx_bytes(np.zeros((60, 0, 4))), [TRAIN, "no examples", "60x0x4"]),
    "gzip-cut": (TRAIN, lambda b: gzip.compress(b)[:-20], [TRAIN, "damaged gzip"]),
    "gzip-changed": (TRAIN, lambda b: gzip.compress(b)[:20] + b"?" * 30, [TRAIN, "damaged gzip"]),
    "missing": (LABELS, None, ["there is no file", LABELS]),
}


@pytest.mark.parametrize("file, change, phrases", WRONG_IDX.values(), ids=WRONG_IDX)
def test_idx_files_that_are_wrong(file, change, phrases, tmp_path):
    write_idx(tmp_path)
    if change is None:
        (tmp_path / file).rename(tmp_path / file.replace("-", "."))
        phrases = [*phrases, f"did you mean '{file.replace('-', '.')}'"]
    else:
        content = change((tmp_path / file).read_bytes())
        (tmp_path / file).write_bytes(content)
    assert_refused(Idx(path=str(tmp_path)), *phrases)


def test_idx_of_one_class_and_a_file_for_a_folder(tmp_path):
    arrays = idx_arrays()
    write_idx(tmp_path, {name: array * ("labels" not in name) for name, array in arrays.items()})
    assert_refused(Idx(path=str(tmp_path)), "all labels are '0'")
    assert_refused(Idx(path=str(tmp_path / TRAIN)), "is a file", "FOLDER")


# ---- csv


def table(folder, text, name="t.csv", **settings):
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    return Csv(path=str(folder / name), **{"target": -1, **settings})


READ = {  # name: (file, settings, x, y, classes, features)
    "header": ("a,b,t\n1,2,.5\n3,4,6\n", {"target": "t"}, [[1, 2], [3, 4]], [[0.5], [6]], (), ("a", "b")),
    "no-header": ("1;2;x\n3;4;y\n", {}, [[1, 2], [3, 4]], [0, 1], ("x", "y"), ("0", "1")),
    "first-column": ("1\t2.5\n0\t4\n", {"target": 0}, [[2.5], [4]], [1, 0], ("0", "1"), ("1",)),
    "whole-numbers": ("a,t\n1,-1\n2,1\n", {"target": "t"}, [[1], [2]], [0, 1], ("-1", "1"), ("a",)),
    "regression": ("a,t\n1,3\n2,7\n", {"task": "regression"}, [[1], [2]], [[3], [7]], (), ("a",)),
    "classification": ("a,t\n1,.5\n2,7\n", {"task": "classification"},
                       [[1], [2]], [0, 1], ("0.5", "7"), ("a",)),
    "numbers-and-text": ("a,t\n1,1\n2,b\n", {}, [[1], [2]], [0, 1], ("1", "b"), ("a",)),
    "quotes": ('"a, b","t ""x"""\r\n" 1 ","no, never"\r\n"2","yes"\r\n', {"target": 't "x"'},
               [[1], [2]], [0, 1], ("no, never", "yes"), ("a, b",)),
    "blank-lines-and-bom": ("\ufeff\n\nä,t\n1,0\n\n  \n2,1\n\n", {}, [[1], [2]], [0, 1], ("0", "1"), ("ä",)),
    "gz": (gzip.compress(b"a,t\n1,0\n2,1\n"), {}, [[1], [2]], [0, 1], ("0", "1"), ("a",)),
    "index-without-name": (",a,t\n0,1,0\n1,2,1\n", {},
                           [[0, 1], [1, 2]], [0, 1], ("0", "1"), ("column 0", "a")),
}  # fmt: skip


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_csv(case, tmp_path):
    text, settings, x, y, classes, features = case
    dataset = table(tmp_path, text, **settings).load()
    assert np.array_equal(dataset.x, x) and np.array_equal(dataset.y, y)
    assert dataset.classes == classes and dataset.features == features


def test_whole_numbers_are_classes_up_to_twenty(tmp_path):
    for n, task in ((20, "classification"), (21, "regression")):
        text = "\n".join(f"{i / 2},{i % n}" for i in range(3 * n))
        assert table(tmp_path, text).load().spec.task == task


NUMBERS = "".join(f"{i},{i}\n" for i in range(25))
WRONG_CSV = {  # name: (file, settings, words besides the file's name)
    "empty": ("", {}, ["is empty"]),
    "blank": ("\n \n", {}, ["is empty"]),
    "header-only": ("a,t\n", {}, ["no examples"]),
    "one-column": ("a\n1\n2\n", {}, ["only one column, 'a'"]),
    "no-target": ("age,left\n1,2\n", {"target": None}, ["data.target = null", "age, left"]),
    "unknown-target": ("age,left\n1,2\n", {"target": "lefd"}, ["data.target = 'lefd'", "mean 'left'"]),
    "target-number": ("a,b\n1,2\n", {"target": 2}, ["data.target = 2", "allowed: a, b"]),
    "name-without-header": ("1,2\n3,4\n", {"target": "t"}, ["'t'", "no header", "0 to 1"]),
    "target-twice": ("t,a,t\n1,2,3\n", {"target": "t"}, ["several columns"]),
    "text": ("a,b,t\n1,2,0\n1,x,1\n", {}, ["line 3, column 'b'", "'x' is not a number"]),
    "empty-cell": ("a,b,t\n1,2,0\n\n,2,1\n", {}, ["line 4, column 'a'", "is empty"]),
    "nan": ("a,t\n1,0\nNaN,1\n", {}, ["line 3, column 'a'", "missing"]),
    "inf": ("a,t\n-inf,0\n1,1\n", {}, ["line 2, column 'a'", "not finite"]),
    "empty-target": ("a,t\n1,x\n2,\n3,y\n", {}, ["line 3, column 't'", "is empty"]),
    "nan-target": ("a,t\n1,0\n2,nan\n", {}, ["line 3, column 't'", "missing"]),
    "text-target": ("a,t\n1,0\n2,x\n", {"task": "regression"}, ["line 3, column 't'", "'x' is not a number"]),
    "typo-in-numbers": ("a,t\n" + NUMBERS + "3,1o\n", {}, ["line 27, column 't'", "'1o' is not a number"]),
    "ragged": ("a,b,t\n1,2,0\n1,2\n", {}, ["line 3: 2 cells", "first line has 3"]),
    "ragged-long": ("1,2\n1,2,3\n", {}, ["line 2: 3 cells"]),
    "one-class": ("a,t\n1,0\n2,0\n", {}, ["column 't' has only one class, '0'"]),
    "latin-1": ("a,t\n1,é\n".encode("latin-1"), {}, ["not text in UTF-8"]),
    "gzip-cut": (gzip.compress(b"a,t\n" + b"1,2\n" * 99)[:-9], {}, ["damaged gzip"]),
    "decimal-comma": ("a;t\n1,5;0\n", {}, ["line 2, column 'a'", "'1,5' is not a number"]),
    "huge-cell": (
        "a,t\n" + "x" * 200_000 + ",1\n",
        {},
        ["xx ... xx", "(200,000 characters)' is not a number"],
    ),
}


@pytest.mark.parametrize("text, settings, phrases", WRONG_CSV.values(), ids=WRONG_CSV)
def test_csv_files_that_are_wrong(text, settings, phrases, tmp_path):
    assert_refused(table(tmp_path, text, **settings), "t.csv", *phrases)


def test_a_file_is_missing_or_a_folder(tmp_path):
    (tmp_path / "churn.csv").write_text("a,t\n1,0\n")
    assert_refused(Csv(path=str(tmp_path / "churm.csv")), "no file", "did you mean 'churn.csv'")
    assert_refused(Csv(path=str(tmp_path)), "is a folder")


# ---- npz

X = np.arange(12.0).reshape(4, 3)


def npz(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return Npz(path=str(folder / "a.npz"))


@pytest.mark.parametrize("y, expected, classes", [
    ([0, 1, 1, 0], [0, 1, 1, 0], ("0", "1")),
    ([True, False, False, True], [1, 0, 0, 1], ("0", "1")),
    (["b", "a", "c", "b"], [1, 0, 2, 1], ("a", "b", "c")),
    ([0.5, 1, 2, 3], [[0.5], [1], [2], [3]], ()),
    ([[7], [8], [8], [7]], [0, 1, 1, 0], ("7", "8")),
    (X[:, :2], X[:, :2], ()),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "bool"])
def test_npz(y, expected, classes, dtype, tmp_path):
    dataset = npz(tmp_path, X=X.astype(dtype), y=np.array(y)).load()
    assert np.array_equal(dataset.x, X.astype(dtype)) and dataset.x.dtype == dtype
    assert np.array_equal(dataset.y, expected) and dataset.classes == classes


ONE_HOT = np.eye(4)[[0, 3, 1, 0]]


@pytest.mark.parametrize("dtype", ["float64", "int8", "bool", "float32"])
@pytest.mark.parametrize(
    "task, advice", [("auto", "y is one-hot and is read as classes"), ("classification", "")]
)
def test_one_hot_targets_are_classes(task, advice, dtype, tmp_path):
    data = replace(npz(tmp_path, X=X, y=ONE_HOT.astype(dtype)), task=task)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = data.load()
    assert dataset.classes == ("0", "1", "3") and dataset.y.tolist() == [0, 2, 1, 0]
    assert [str(w.message).partition(": ")[2][: len(advice)] for w in caught] == [advice] * bool(advice)
    numbers = replace(data, task="regression").load()
    assert not numbers.classes and np.array_equal(numbers.y, ONE_HOT)


CODES = {
    "-1 and 1": (-1, 1),
    "0 and 255": (0, 255),
    "0.03333 and 0.9333": (1 / 30, 1 - 2 / 30),
    "2 and 7": (2, 7),
}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int16"])
def test_one_hot_in_other_numbers_is_classes_too(code, dtype, tmp_path):
    low, high = CODES[code]
    if np.dtype(dtype).kind != "f" and low != int(low) or dtype == "uint8" and low < 0:
        pytest.skip("the numbers do not exist in it")
    random = np.random.default_rng(0)
    number = np.arange(30) % 3
    x, y = random.random((30, 2)), np.where(np.eye(3)[number] == 1, high, low).astype(dtype)
    data = npz(tmp_path, X=x, y=y)
    with pytest.warns(
        Advice, match=f"y is one-hot in {code} and is read as classes, .* data.task=regression"
    ):
        dataset = data.load()
    assert dataset.classes == ("0", "1", "2") and np.array_equal(dataset.y, number)
    assert np.array_equal(replace(data, task="regression").load().y, y)
    assert replace(data, task="classification").load().classes == ("0", "1", "2")
    with pytest.warns(Advice, match=f"y is one-hot in {code}"):
        assert nnlab.Arrays(x, y).load().classes == ("0", "1", "2")
    assert nnlab.Arrays(x, y, task="regression").load().classes == ()


@pytest.mark.parametrize("change", ["two high", "none high", "a third number", "one low"])
def test_a_row_that_is_otherwise_makes_them_numbers(change, tmp_path):
    y = 2 * np.eye(3)[np.arange(30) % 3] - 1
    y[7] = {"two high": [1, 1, -1], "none high": -1, "a third number": [0, -1, 1], "one low": y[7]}[change]
    y = -y if change == "one low" else y
    dataset = npz(tmp_path, X=np.random.default_rng(0).random((30, 2)), y=y).load()
    assert dataset.classes == () and np.array_equal(dataset.y, y)


@pytest.mark.parametrize("y, advice", [
    (np.eye(4)[[0, 3, 1, 0]] + np.eye(4)[[1, 1, 3, 2]], "a.npz: y has 4 columns of 0s and 1s"),  # two 1s
    (np.eye(4)[:, :3], "a.npz: y has 3 columns"),  # the last row has none
    (2 * ONE_HOT, ""), (ONE_HOT - 0.5, ""), (np.where(ONE_HOT == 1, 0.9, 0.1 / 3), ""), (-ONE_HOT, ""),
])  # fmt: skip
def test_columns_that_are_not_one_hot_are_numbers(y, advice, tmp_path):
    data = npz(tmp_path, X=X, y=y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert np.array_equal(data.load().y, y) and not data.load().classes
    assert len(caught) == 2 * bool(advice) and all(advice in str(w.message) for w in caught)
    assert_refused(replace(data, task="classification"), "one-hot rows: a single 1 among 0s")


def test_one_hot_of_one_class_is_told(tmp_path):
    with pytest.warns(Advice):
        assert_refused(npz(tmp_path, X=X, y=np.eye(3)[[1, 1, 1, 1]]), "y, one-hot, has only one class, '1'")


NAN = np.where(X == 7, np.nan, X)
WRONG_NPZ = {
    "missing": ({"X": X, "Y_": X}, ["no array y", "did you mean 'Y_'?"]),
    "no-arrays": ({}, ["no array X"]),
    "shape": ({"X": X[0], "y": X[0]}, ["X has the shape (3,)", "(examples, inputs)"]),
    "length": ({"X": X, "y": X[0]}, ["y has the shape (3,)", "(4,)"]),
    "empty": ({"X": X[:0], "y": X[:0, 0]}, ["X has the shape (0, 3)"]),
    "objects": ({"X": X, "y": np.array([1, None, "a", 2], object)}, ["y holds Python objects", "run code"]),
    "text": ({"X": X.astype(str), "y": X[:, 0]}, ["X has the dtype <U32", "real numbers"]),
    "complex": ({"X": X * 1j, "y": X[:, 0]}, ["complex128"]),
    "nan": ({"X": NAN, "y": X[:, 0]}, ["X[2, 1] is nan"]),
    "nan-target": ({"X": X, "y": NAN[:, 1]}, ["y[2] is nan"]),
    "one-class": ({"X": X, "y": X[:, 0] * 0}, ["y has only one class, '0'"]),
}


@pytest.mark.parametrize("arrays, phrases", WRONG_NPZ.values(), ids=WRONG_NPZ)
def test_npz_files_that_are_wrong(arrays, phrases, tmp_path):
    assert_refused(npz(tmp_path, **arrays), "a.npz", *phrases)


def test_files_that_are_no_npz(tmp_path):
    data = npz(tmp_path, X=X, y=X[:, 0])
    whole = (tmp_path / "a.npz").read_bytes()
    np.save(tmp_path / "b.npy", X)
    changed, one = whole[:99] + b"?" * 99 + whole[198:], (tmp_path / "b.npy").read_bytes()
    for content in (b"", b"a,b\n", whole[:-40], changed):
        (tmp_path / "a.npz").write_bytes(content)
        assert_refused(data, "a.npz is not a file of numpy.savez")
    (tmp_path / "a.npz").write_bytes(one)
    assert_refused(data, "a.npz is a single array, of numpy.save: write data=npy")
