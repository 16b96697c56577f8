"""Examples that stay in a .npy file train, validate and test with the bits of those in memory."""

from dataclasses import replace

import numpy as np
import pytest
from gpu_runs import assert_same_numbers, curves, on_gpu, same_draws  # noqa: F401

import nnlab
from nnlab.cli import main
from nnlab.data import device_tables
from nnlab.data.image_shapes import example_axes
from nnlab.data.mapped import MappedTable
from nnlab.data.normalization import NORMALIZATIONS

RANDOM = np.random.default_rng(0)
N = 90
Y = np.arange(N) % 3
SHAPES = {"vectors": (10,), "grey": (6, 5), "first": (3, 6, 5), "last": (6, 5, 3)}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def saved(shape=SHAPES["last"], dtype=np.uint8, y=Y, **settings) -> nnlab.Npy:
    """Files in which the class shows in all numbers."""
    x = RANDOM.integers(0, 100, (N, *shape)) + 50 * Y.reshape(-1, *[1] * len(shape))
    np.save("x.npy", x.astype(dtype))
    np.save("y.npy", y)
    return nnlab.Npy(path="x.npy", target="y.npy", **settings)


def trained(data, **settings):
    settings = {"epochs": 2, "seeds": 2, "batch_size": 16, "split": nnlab.KFold(k=2)} | settings
    return nnlab.fit(nnlab.Experiment(data=data, **settings)).run()


def in_file(monkeypatch) -> None:
    """As if nothing fitted into memory."""
    monkeypatch.setattr(device_tables, "FILE_MEMORY_SHARE", 0.0)


def assert_same_bits(some, others):
    for one, other in zip(some.results, others.results, strict=True):
        for mine, theirs in ((one.weights, other.weights), (one.normalizer, other.normalizer)):
            assert mine.keys() == theirs.keys()
            assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
        assert one.best == other.best and one.test == other.test


@pytest.mark.parametrize("method", NORMALIZATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_trains_with_the_bits_of_memory(shape, method, monkeypatch):
    data = saved(SHAPES[shape], normalization=method)
    memory = trained(data)
    in_file(monkeypatch)
    assert_same_bits(memory, trained(data))


@pytest.mark.parametrize("settings", [
    {"dtype": ">f4"}, {"dtype": np.int16}, {"dtype": np.float64}, {"dtype": np.uint16}, {"dtype": bool},
    {"normalization_per": "input"}, {"limit": 60}, {"label_noise": 0.2}, {"y": Y + 0.5, "task": "regression"},
], ids=str)  # fmt: skip
def test_whatever_it_holds(settings, monkeypatch):
    data = saved(**settings)
    memory = trained(data)
    in_file(monkeypatch)
    assert_same_bits(memory, trained(data))


def test_large_tables_are_laid_out_alike(monkeypatch):
    monkeypatch.setattr(device_tables, "EXAMPLE_MAJOR_ELEMENTS", 100)
    data = saved(normalization="robust")
    memory = trained(data)
    in_file(monkeypatch)
    assert_same_bits(memory, trained(data))


@pytest.mark.parametrize("method", NORMALIZATIONS)
def test_inputs_have_the_statistics_of_an_npz(method):
    """Whose methods see the whole table."""
    data = saved(normalization=method, normalization_per="input")
    np.savez("a.npz", X=np.load("x.npy"), y=Y)
    npz = trained(nnlab.Npz(path="a.npz", normalization=method))
    for one, other in zip(trained(data).results, npz.results, strict=True):
        for name in ("mean", "scale"):
            assert one.normalizer[name] == pytest.approx(other.normalizer[name], rel=1e-9, abs=1e-12)


def test_a_test_set_in_files_of_its_own(monkeypatch):
    data = saved()
    np.save("tx.npy", np.load("x.npy")[:30] // 2)
    np.save("ty.npy", Y[:30])
    data = replace(data, test_path="tx.npy", test_target="ty.npy")
    dataset = data.load()
    assert dataset.test.tolist() == list(range(N, N + 30)) and dataset.spec.shape == (3, 6, 5)
    assert np.array_equal(dataset.x[N:].reshape(-1, 3, 6, 5), np.moveaxis(np.load("tx.npy"), -1, 1))
    memory = trained(data, split=nnlab.Holdout())
    in_file(monkeypatch)
    assert_same_bits(memory, trained(data, split=nnlab.Holdout()))


KEYS = (
    slice(None), slice(2, 9), slice(1, None, 2), np.array([4, 0]), [1, 2], 3, -1,
    (slice(None), slice(3, 5)), ([0, 1], slice(2)), (2, 5),
)  # fmt: skip


def test_a_mapped_table_is_indexed_as_an_array_is():
    one, two = (RANDOM.normal(size=(n, 4, 2, 3)) for n in (7, 5))
    axes = example_axes((4, 2, 3), "last", "x")
    whole = np.concatenate([axes.flat(one), axes.flat(two)])
    table = MappedTable([one, two], axes)
    rows = np.array([11, 0, 6, 7, 7])
    for x, expected in ((table, whole), (table.select(rows), whole[rows])):
        assert x.shape == expected.shape and len(x) == len(expected) and x.dtype == expected.dtype
        for key in (*KEYS, np.arange(len(x)) % 2 == 0):
            assert np.array_equal(x[key], expected[key]), key
        assert np.array_equal(np.asarray(x), expected)
    assert np.array_equal(table.select(rows).select(np.array([4, 1]))[:], whole[rows][[4, 1]])


def test_commands_read_npy_files(capsys):
    saved()
    words = ("data=npy", "data.path=x.npy", "data.target=y.npy", "epochs=2")
    assert main(["train", *words, "hydra.run.dir=run"]) == 0
    assert main(["predict", "run", "data=x.npy", "output=p.csv"]) == 0
    assert main(["evaluate", "run", "data=x.npy", "target=y.npy"]) == 0
    assert "test accuracy" in capsys.readouterr().out
    assert main(["check", *words, "only=data"]) in (0, 1)
    with open("p.csv") as file:
        assert len(file.readlines()) == N + 1


def objects() -> None:
    np.save("x.npy", np.array([[1, "a"], [None, 2]], object), allow_pickle=True)


WRONG = {
    "objects": (objects, "x.npy holds Python objects, which could run code when read"),
    "text": (lambda: np.save("x.npy", np.full((N, 2), "a")), "has the dtype <U1, expected real numbers"),
    "a vector": (lambda: np.save("x.npy", Y), r"x.npy has the shape \(90,\), expected \(examples, inputs\)"),
    "another length": (lambda: np.save("y.npy", Y[:5]), r"y.npy has the shape \(5,\), expected \(90,\)"),
    "infinite": (lambda: np.save("x.npy", np.where(np.arange(N) == 7, np.inf, 1)[:, None].repeat(3, 1)),
                 "x.npy: example 7 has a number that is not finite"),
    "csv": (lambda: open("x.npy", "w").close(), "x.npy is not a file of numpy.save, or it is damaged"),
    "cut": (lambda: cut("x.npy"), "x.npy is not a file of numpy.save, or it is damaged"),
}  # fmt: skip


def cut(path) -> None:
    with open(path, "r+b") as file:
        file.truncate(500)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence(name):
    spoil, words = WRONG[name]
    data = saved()
    spoil()
    with pytest.raises(nnlab.UserError, match=words):
        data.load()


def test_an_npz_that_is_none_names_npy():
    saved()
    with pytest.raises(nnlab.UserError, match="x.npy is a single array, of numpy.save: write data=npy"):
        nnlab.Npz(path="x.npy").load()


@pytest.mark.parametrize("settings, words", [
    ({}, "data.path = null: write data.path=FILE.npy"),
    ({"path": "x.npy"}, "data.target = null: write data.target=FILE.npy"),
    ({"path": "x.npy", "target": "z.npy"}, "there is no file z.npy"),
    ({"path": "x.npy", "target": "."}, "data.target = '.' is a folder"),
    ({"path": "x.npy", "target": "y.npy", "test_path": "x.npy"}, "data.test_target = null"),
])  # fmt: skip
def test_files_that_are_not_there(settings, words):
    saved()
    with pytest.raises(nnlab.UserError, match=words):
        nnlab.Npy(**settings).load()


def test_a_gpu_gathers_from_the_file_too(monkeypatch, same_draws):  # noqa: F811
    in_file(monkeypatch)
    e = nnlab.Experiment(data=saved(), epochs=2, batch_size=16, seeds=2, split=nnlab.KFold(k=2))
    assert_same_numbers(on_gpu([e]), curves([e], "cpu"))


@pytest.mark.parametrize("shape, outputs, wrong", [((10,), 200, "y.npy"), ((10_000,), 1, "x.npy")])
def test_what_is_kept_of_a_file_must_fit_into_memory(monkeypatch, shape, outputs, wrong):
    monkeypatch.setattr("nnlab.data.npy_files.available_memory", lambda: 60_000)
    data = saved(shape, y=np.zeros((N, outputs)))
    with pytest.raises(nnlab.UserError, match=f"^{wrong} does not fit into memory"):
        data.load()
