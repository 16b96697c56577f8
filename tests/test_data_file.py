"""Data that go through bytes: equal fingerprint, spec and folds, for every source and every kind of array."""

import warnings
from dataclasses import fields, replace

import numpy as np
import pytest
from datafiles import WRITERS
from networks import Points
from test_jobs import DATA

import nnlab
from nnlab import Advice, Dataset, UserError
from nnlab.data.sources import SOURCES
from nnlab.jobs.data_file import ARRAYS, data_file, from_bytes, hash_key, is_sent, to_bytes
from nnlab.jobs.executor import KEY_NAME
from nnlab.runtime.packed import pack, unpack

NOT_SENT = {"keys", "key_name"}  # what identifies examples to people
POINTS = Points(n=60).load()


def assert_survives(dataset: Dataset) -> bytes:
    key, content = data_file(dataset)
    other = from_bytes(content, key)
    assert is_sent(key) and KEY_NAME.fullmatch(key) and key == hash_key(content)
    assert data_file(other) == (key, content) == data_file(replace(dataset))
    assert other.fingerprint() == dataset.fingerprint()
    assert other.spec == dataset.spec and other.spec.to_json() == dataset.spec.to_json()
    for name in ARRAYS:
        one, two = getattr(dataset, name), getattr(other, name)
        assert (one is None) == (two is None), name
        if one is not None:
            assert one.dtype == two.dtype and one.tobytes() == two.tobytes(), name
            assert columns_lie_together(one) == columns_lie_together(two)
    assert {f.name for f in fields(Dataset)} == {
        *ARRAYS, *NOT_SENT, "classes", "features", "labels", "target_names", "shape", "columns",
    }  # fmt: skip
    return content


def columns_lie_together(array: np.ndarray) -> bool:
    """Not the rows: a sum over a table depends on the order of its numbers in memory."""
    return array.ndim == 2 and 1 not in array.shape and array.strides[0] < array.strides[1]


def assert_same_folds(dataset: Dataset):
    for split in (nnlab.Holdout(repeats=2), nnlab.KFold(k=3), nnlab.NoSplit()):
        other = from_bytes(*reversed(data_file(dataset)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Advice)
            try:
                folds = split.folds(dataset)
            except UserError:  # of data that bring a validation set
                continue
            for one, two in zip(folds, split.folds(other), strict=True):
                for part in ("train", "validation", "test"):
                    assert np.array_equal(getattr(one, part), getattr(two, part))


@pytest.mark.filterwarnings("ignore::nnlab.Advice")
@pytest.mark.parametrize("name", SOURCES)
def test_every_source(name, tmp_path):
    settings = WRITERS[name](tmp_path) if name in WRITERS else {"n": 200} if name == "mnist1d" else {}
    dataset = SOURCES[name](**settings).load()
    if name == "npy":
        key, content = data_file(dataset)
        assert KEY_NAME.fullmatch(key) and not is_sent(key) and content == b""
        vectors = SOURCES[name](**settings, channels="none").load()  # the same numbers
        assert vectors.fingerprint() == dataset.fingerprint() and data_file(vectors)[0] != key
        assert data_file(SOURCES[name](**settings).load())[0] == key
        return
    assert_survives(dataset)
    assert_same_folds(dataset)


@pytest.mark.filterwarnings("ignore::nnlab.Advice")
@pytest.mark.parametrize("name", DATA)
def test_arrays_beside_x_and_y(name):
    dataset = DATA[name]().load()
    assert_survives(dataset)
    assert_same_folds(dataset)


def test_every_array_and_every_dtype():
    dataset = replace(
        POINTS, noisy=POINTS.y[::-1], numbers=np.arange(60) * 3, weights=np.arange(60.0),
        groups=np.arange(60) // 7, times=np.linspace(-1, 1, 60), test=np.arange(3, 59, 4),
        parts=np.zeros(60, np.uint8),
        target_names=("kind",), labels="integer", classes=("1", "2", "3"), features=tuple("abcdefg"),
    )  # fmt: skip
    content = assert_survives(dataset)
    assert {*unpack(content)[0]} == {*ARRAYS}
    for dtype in "?bBhHiIlLefd":
        assert_survives(replace(POINTS, x=POINTS.x.astype(dtype)))
    with pytest.raises(UserError, match="x has the dtype >f8, which no data file has"):
        to_bytes(replace(POINTS, x=POINTS.x.astype(">f8")))
    with pytest.raises(UserError, match="x has the dtype <U32, which"):
        to_bytes(replace(POINTS, x=POINTS.x.astype(str)))


def test_the_order_in_memory():
    x = POINTS.x
    for array in (np.asfortranarray(x), x[::3, ::2], np.asfortranarray(x)[::2], x[:, :1], x.T.copy().T[5:9]):
        assert_survives(replace(POINTS, x=array, y=POINTS.y[: len(array)]))


def test_what_identifies_examples_stays_here():
    keys = np.array([f"secret{i}" for i in range(60)])
    content = assert_survives(replace(POINTS, keys=keys, key_name="who"))
    assert b"secret" not in content and b"who" not in content


WRONG = {
    "y of no class": lambda a, v: a["y"].__setitem__(3, 3),
    "y below 0": lambda a, v: a["y"].__setitem__(3, -1),
    "noisy of no class": lambda a, v: a["noisy"].__setitem__(3, 7),
    "short noisy": lambda a, v: a.update(noisy=a["noisy"][1:]),
    "test outside": lambda a, v: a["test"].__setitem__(-1, 60),
    "test not sorted": lambda a, v: a.update(test=a["test"][::-1].copy()),
    "test of numbers": lambda a, v: a.update(test=a["test"] * 1.0),
    "short weights": lambda a, v: a.update(weights=np.ones(3)),
    "weights below 0": lambda a, v: a.update(weights=-np.ones(60)),
    "all test": lambda a, v: a.update(test=np.arange(60)),
    "short numbers": lambda a, v: a.update(numbers=np.arange(3)),
    "complex": lambda a, v: a.update(x=a["x"].astype("c8")),
    "no y": lambda a, v: a.pop("y"),
    "more": lambda a, v: a.update(more=a["x"]),
    "narrow x": lambda a, v: a.update(x=a["x"][:, 1:].copy()),
    "flat x": lambda a, v: a.update(x=a["x"][:, 0].copy()),
    "short y": lambda a, v: a.update(y=a["y"][1:]),
    "no examples": lambda a, v: a.update(x=a["x"][:0], y=a["y"][:0]),
    "other kind": lambda a, v: v.update(kind="job"),
    "turned": lambda a, v: v.update(turned=["test"]),
    "turned x": lambda a, v: v.update(turned=["x"]),
    "turned z": lambda a, v: v.update(turned=[["z"]]),
    "no spec": lambda a, v: v.update(spec=None),
    "other spec": lambda a, v: v["spec"].update(shape=[7, 2]),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused(what):
    dataset = replace(POINTS, noisy=POINTS.y, test=np.arange(3, 59, 4), numbers=np.arange(60))
    arrays, values = unpack(to_bytes(dataset))
    arrays = {name: array.copy() for name, array in arrays.items()}
    assert pack(arrays, values) == to_bytes(dataset)
    WRONG[what](arrays, values)
    content = pack(arrays, values)
    with pytest.raises(UserError, match="^the data .* cannot be read: "):
        from_bytes(content, hash_key(content))


def test_any_other_byte_is_another_key():
    key, content = data_file(POINTS)
    for at in (0, 8, len(content) // 2, len(content) - 1):
        changed = bytearray(content)
        changed[at] ^= 1
        for wrong in (bytes(changed), content[:at], content + b" "):
            with pytest.raises(UserError, match="its content is not that of its key"):
                from_bytes(wrong, key)
