"""Images keep their shape in the data's description, and inputs stay lines of pixels, in old folders too."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab.cli import main
from nnlab.data.image_shapes import example_axes

OLD = Path(__file__).parent / "old_images"  # runs that an earlier version began, of 6 epochs
# The validation losses by which that version ended them.
OLD_LOSSES = {
    "digits": [2.6418, 2.6118, 2.5868, 2.5664, 2.5477, 2.5305],
    "grey": [1.5371, 1.4977, 1.4603, 1.4249, 1.3916, 1.3604],
    "colour": [1.2320, 1.2015, 1.1728, 1.1439, 1.1157, 1.0888],
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(capsys, *words, code=0) -> str:
    """What a command prints; its errors, where it ends with a code other than 0."""
    capsys.readouterr()
    assert main([*words]) == code, capsys.readouterr().err
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def coloured() -> tuple[np.ndarray, np.ndarray]:
    """60 images (4, 5, 3) of three classes."""
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (60, 4, 5, 3), dtype=np.uint8), random.integers(0, 3, 60)
    x[..., 0] = np.minimum(255, x[..., 0] // 4 + 60 * y[:, None, None])
    return x, y


@pytest.mark.parametrize("name", OLD_LOSSES)
def test_runs_of_an_earlier_version_go_on(capsys, name):
    """They knew images as lines of pixels: what was begun so ends so."""
    shutil.copytree(OLD / name, "run")
    x, y = coloured()
    np.savez("colour.npz", X=x, y=y)
    np.savez("grey.npz", X=x[..., 0], y=y)
    command(capsys, "train", "resume=run")
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [record["val_loss"] for record in records] == pytest.approx(OLD_LOSSES[name], abs=1e-4)


def test_a_run_of_an_earlier_version_predicts_images(capsys):
    shutil.copytree(OLD / "digits", "run")
    command(capsys, "train", "resume=run")
    shutil.copy(OLD / "digits/spec.json", "run")  # as if that version had ended it
    model, digits = nnlab.load("run"), nnlab.Digits().load()
    assert model.spec.shape == (64,) and digits.spec.shape == (1, 8, 8)
    few = digits.x[:20]
    for x in (few.reshape(20, 8, 8), few.reshape(20, 1, 8, 8)):
        assert np.array_equal(model.predict_proba(x), model.predict_proba(few))
    command(capsys, "predict", "run", "data=digits")
    command(capsys, "evaluate", "run", "data=digits")


IMAGES = np.random.default_rng(1).integers(0, 256, (12, 5, 6, 3))  # rows, columns, channels


@pytest.mark.parametrize("axes, channels, shape, is_last", [
    ((28, 28), "auto", (1, 28, 28), False),
    ((28, 28, 1), "auto", (1, 28, 28), True),
    ((1, 28, 28), "auto", (1, 28, 28), False),
    ((3, 32, 32), "auto", (3, 32, 32), False),
    ((32, 32, 3), "auto", (3, 32, 32), True),
    ((32, 32, 4), "auto", (4, 32, 32), True),
    ((32, 32, 5), "last", (5, 32, 32), True),
    ((4, 4, 4), "last", (4, 4, 4), True),
    ((2, 40), "first", (2, 40), False),
    ((40, 9), "last", (9, 40), True),
    ((28, 28), "none", (784,), False),
    ((7,), "auto", (7,), False),
    ((7,), "none", (7,), False),
    ((7,), "first", (1, 7), False),
    ((7,), "last", (1, 7), False),
    ((1, 7), "first", (1, 7), False),
    ((7, 1), "last", (1, 7), True),
])  # fmt: skip
def test_channels_are_at_one_end(axes, channels, shape, is_last):
    found = example_axes(axes, channels, "X")
    assert (found.shape, found.channels_last) == (shape, is_last)
    x = np.arange(2 * int(np.prod(axes))).reshape(2, *axes)
    expected = np.moveaxis(x, -1, 1) if is_last else x
    assert np.array_equal(found.flat(x).reshape(2, *shape), expected.reshape(2, *shape))
    if len(axes) > 1:  # the names say where in the array a number is
        places = [tuple(map(int, name.split("_")[1:])) for name in found.features]
        assert [x[(1, *place)] for place in places] == found.flat(x)[1].tolist()


@pytest.mark.parametrize("axes, words", [
    ((3, 8, 3), "both ends may be the channels"),
    ((4, 4, 1), "both ends may be the channels"),
    ((5, 6, 7), "neither end is 1 to 4"),
    ((3, 5, 6, 7), "the 3x5x6x7 numbers of an example are 630 inputs"),
])  # fmt: skip
def test_what_is_no_image_is_a_vector_and_says_so(axes, words):
    with pytest.warns(nnlab.Advice, match=words):
        assert example_axes(axes, "auto", "X").shape == (int(np.prod(axes)),)


def test_channels_that_an_array_cannot_have():
    with pytest.raises(nnlab.UserError, match="channels = 'first' is for images, three axes an example"):
        example_axes((2, 3, 4, 5), "first", "X")


@pytest.mark.parametrize("axes, word", [((1, 48), "channels=first"), ((48, 1), "channels=last")])
def test_examples_of_one_row_are_signals_and_say_so(axes, word):
    with pytest.warns(nnlab.Advice, match=f"signals of one channel, as data.{word} says"):
        assert example_axes(axes, "auto", "X").shape == (1, 48)


def test_one_image_in_every_order():
    """(N, H, W, C), (N, C, H, W) and vectors are the same examples, in files, arrays and predictions."""
    y, front = np.arange(12) % 2, np.moveaxis(IMAGES, -1, 1)
    np.savez("last.npz", X=IMAGES, y=y)
    np.savez("first.npz", X=front, y=y)
    last, first = (nnlab.Npz(path=f"{name}.npz").load() for name in ("last", "first"))
    arrays = [nnlab.Arrays(x, y) for x in (IMAGES, front)]
    assert last.spec.shape == first.spec.shape == (3, 5, 6)
    for dataset in (first, *(data.load() for data in arrays)):
        assert np.array_equal(dataset.x, last.x) and dataset.spec.shape == last.spec.shape
    assert arrays[0] == arrays[1] != nnlab.Arrays(front.reshape(12, -1), y)
    assert replace(arrays[0], normalization="standard").load().spec.shape == (3, 5, 6)
    model = nnlab.load(nnlab.fit(nnlab.Experiment(data=arrays[0], epochs=1, batch_size=4)).run())
    answers = model.predict_proba(front)
    for x in (IMAGES, front.reshape(12, -1), front.astype(float)):
        assert np.array_equal(model.predict_proba(x), answers)
    for wrong in (IMAGES.transpose(0, 2, 1, 3), IMAGES.reshape(12, 10, 9), IMAGES[..., :2]):
        with pytest.raises(nnlab.UserError, match="the model was trained on examples of 3 x 5 x 6"):
            model.predict(wrong)


def test_commands_take_images_in_every_order(capsys):
    y = np.arange(12) % 2
    np.savez("last.npz", X=IMAGES, y=y)
    np.savez("first.npz", X=np.moveaxis(IMAGES, -1, 1), y=y)
    command(capsys, "train", "data=npz", "data.path=last.npz", "epochs=1", "hydra.run.dir=run")
    files = []
    for name in ("last", "first"):
        command(capsys, "predict", "run", f"data={name}.npz", f"output={name}.csv")
        files.append(Path(f"{name}.csv").read_text())
        assert json.loads(Path("run/spec.json").read_text())["shape"] == [3, 5, 6]
    assert files[0] == files[1]
    scores = [
        command(capsys, "evaluate", "run", f"data={name}.npz").split("report")[0]
        for name in ("last", "first")
    ]
    assert scores[0] == scores[1]


def test_ambiguous_images_are_read_as_they_were_trained():
    x, y = IMAGES[:, :3, :3], np.arange(12) % 2  # (3, 3, 3)
    np.savez("cubes.npz", X=x, y=y)
    e = nnlab.Experiment(
        data=nnlab.Npz(path="cubes.npz", channels="last"), epochs=1, split=nnlab.NoSplit(), metric="last"
    )
    fit = nnlab.fit(e).run()
    model = nnlab.load(fit)
    assert np.array_equal(model.predict_proba(x), model.predict_proba(fit.datasets[e.data].x))
    assert not np.array_equal(model.predict_proba(np.moveaxis(x, -1, 1)), model.predict_proba(x))


@pytest.mark.parametrize("channels_last", [False, True])
def test_estimators_take_images(channels_last):
    digits = nnlab.Digits().load()
    x = digits.x[:300].reshape(300, 1, 8, 8)
    x = np.moveaxis(x, 1, -1) if channels_last else x
    flat = nnlab.Classifier(epochs=3).fit(digits.x[:300], digits.y[:300])
    images = nnlab.Classifier(epochs=3).fit(x, digits.y[:300])
    assert images.model_.spec.shape == (1, 8, 8) and flat.model_.spec.shape == (64,)
    assert np.array_equal(images.predict_proba(x), flat.predict_proba(digits.x[:300]))
    assert np.array_equal(
        images.predict_proba(digits.x[:300]), images.predict_proba(x[..., 0] if channels_last else x[:, 0])
    )
    with pytest.raises(ValueError, match="examples of 1 x 8 x 8"):
        images.predict(x[:, :, :4])


def signals() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(3).normal(size=(60, 48)).astype(np.float32)
    y = np.arange(60) % 2
    x[y == 1, :9] += np.sin(np.arange(9))
    return x, y


CONV = ("model=cnn", "model.blocks=[4,pool]", "model.hidden=[]", "epochs=2")


@pytest.mark.filterwarnings("ignore:.*signals of one channel:nnlab.Advice")
def test_signals_of_one_channel_in_every_way(capsys):
    """(N, L) with channels=first, (N, 1, L) and (N, L, 1) are the same examples, and so are new ones."""
    x, y = signals()
    np.save("y.npy", y)
    for name, each in {"flat": x, "one": x[:, None], "last": x[..., None]}.items():
        np.savez(f"{name}.npz", X=each, y=y)
        np.save(f"{name}.npy", each)
    runs = {
        "flat": ("data=npz", "data.path=flat.npz", "data.channels=first"),
        "one": ("data=npz", "data.path=one.npz"),
        "last": ("data=npz", "data.path=last.npz"),
        "npy": ("data=npy", "data.path=flat.npy", "data.target=y.npy", "data.channels=first"),
    }
    for name, words in runs.items():
        command(capsys, "train", *words, *CONV, "data.normalization=standard", f"hydra.run.dir={name}")
        assert json.loads(Path(name, "spec.json").read_text())["shape"] == [1, 48]
    model = nnlab.load("flat")
    answers = model.predict_proba(x)
    for name in runs:
        for each in (x, x[:, None], x[..., None]):
            assert np.allclose(nnlab.load(name).predict_proba(each), answers, atol=1e-6)
    command(capsys, "predict", "flat", "data=one.npz", "output=a.csv")
    command(capsys, "predict", "one", "data=flat.npz", "output=b.csv")
    assert Path("a.csv").read_text() == Path("b.csv").read_text()


def test_estimators_and_arrays_take_signals():
    x, y = signals()
    cnn = nnlab.CNN(blocks=(4, "pool"), hidden=())
    a = nnlab.Classifier(model=cnn, epochs=2).fit(x[:, None], y)
    assert a.model_.spec.shape == (1, 48)
    assert np.array_equal(a.predict_proba(x), a.predict_proba(x[:, None]))
    data = nnlab.Arrays(x, y, channels="first")
    assert data == nnlab.Arrays(x[:, None], y, channels="first") == replace(data, seed=0)
    assert data.load().spec.shape == (1, 48)


def test_vectors_and_images_of_one_row_say_what_to_do(capsys):
    """The word that their errors name is one that works."""
    x, y = signals()
    np.savez("flat.npz", X=x, y=y)
    np.savez("image.npz", X=x[:, None, None], y=y)
    error = command(capsys, "train", "data=npz", "data.path=flat.npz", *CONV, code=2)
    assert "data.channels=first makes a signal" in error and "[48]" in error
    error = command(capsys, "train", "data=npz", "data.path=image.npz", *CONV, code=2)
    assert "1 x 48" in error and "(N, 1, 48) with data.channels=first" in error


def test_columns_of_a_text_file_are_pixels(capsys):
    """As Kaggle has MNIST: the same network as of the images, and its predictions of such a file."""
    digits = nnlab.Digits().load()
    x, y = digits.x[:200].astype(int), digits.y[:200]
    header = ",".join(["label", *(f"pixel{i}" for i in range(64))])
    np.savetxt("train.csv", np.column_stack([y, x]), "%d", ",", header=header, comments="")
    np.savez("train.npz", X=x.reshape(200, 1, 8, 8), y=y)
    csv = ("data=csv", "data.path=train.csv", "data.target=label")
    command(capsys, "train", *csv, "data.shape=[1,8,8]", *CONV, "hydra.run.dir=text")
    command(capsys, "train", "data=npz", "data.path=train.npz", *CONV, "hydra.run.dir=array")
    text, array = nnlab.load("text"), nnlab.load("array")
    assert text.spec.shape == (1, 8, 8)
    assert np.array_equal(text.predict_proba(x), array.predict_proba(x.reshape(200, 8, 8)))
    command(capsys, "predict", "text", "data=train.csv", "output=a.csv")
    for shape, size in (("[1,8,7]", "56 numbers"), ("[64]", "64 numbers"), ("[0,8]", "at least 1")):
        error = command(capsys, "train", *csv, f"data.shape={shape}", *CONV, code=2)
        assert "data.shape" in error and size in error
    assert "data=csv takes data.shape" in command(capsys, "train", *csv, *CONV, code=2)
