"""Folders of images by class: what is read, and one sentence for each thing that is wrong."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab.cli import main

Image = pytest.importorskip("PIL.Image", reason="pip install pillow")
RANDOM = np.random.default_rng(0)
ROWS, COLUMNS = 6, 5
CLASSES = ("cats", "dogs")


def pixels(channels=3, rows=ROWS, columns=COLUMNS) -> np.ndarray:
    shape = (rows, columns) if channels == 1 else (rows, columns, channels)
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def save(file: Path, array: np.ndarray, **settings) -> np.ndarray:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(file, **settings)
    return array


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch) -> Path:
    """cats and dogs of 6 x 5 pixels, 12 each."""
    monkeypatch.chdir(tmp_path)
    for name in CLASSES:
        for i in range(12):
            array = pixels()
            array[..., 0] = array[..., 0] // 4 + 150 * (name == "dogs")
            save(Path("photos", name, f"{i + 10}.png"), array)
    return Path("photos")


def read(path="photos", **settings) -> nnlab.Dataset:
    return nnlab.Images(path=str(path), **settings).load()


def table(file) -> list[dict]:
    return list(csv.DictReader(Path(file).read_text().splitlines()))


def as_shown(dataset, i) -> np.ndarray:
    """Example i as (rows, columns, channels)."""
    return np.moveaxis(dataset.x[i].reshape(dataset.spec.shape), 0, -1)


def test_images_are_read_channel_after_channel(photos):
    dataset = read()
    assert dataset.spec.shape == (3, ROWS, COLUMNS) and dataset.x.dtype == np.uint8
    assert dataset.classes == ("cats", "dogs") and dataset.y.tolist() == [0] * 12 + [1] * 12
    assert (
        dataset.keys[:2].tolist() == ["cats/10.png", "cats/11.png"] and dataset.test is dataset.parts is None
    )
    for i in (0, 13):
        file = photos / dataset.keys[i]
        assert np.array_equal(as_shown(dataset, i), np.asarray(Image.open(file)))
    assert (
        dict(zip(dataset.features, dataset.x[0], strict=True))["pixel_2_3_1"] == as_shown(dataset, 0)[2, 3, 1]
    )


def test_parts_of_a_split_are_folders(photos):
    for part, count in (("train", 12), ("valid", 4), ("test", 3)):
        for name in CLASSES:
            for file in sorted((photos / name).iterdir())[:count]:
                Path("split", part, name).mkdir(parents=True, exist_ok=True)
                shutil.copy(file, Path("split", part, name))
    dataset = read("split")
    assert np.bincount(dataset.parts).tolist() == [24, 8, 6] and dataset.keys[-1] == "test/dogs/12.png"
    fold = nnlab.Holdout().folds(dataset)[0]
    assert [len(part) for part in (fold.train, fold.validation, fold.test)] == [24, 8, 6]
    assert main(["train", "data=images", "data.path=split", "epochs=2", "hydra.run.dir=run"]) == 0
    assert main(["evaluate", "run", "data=split"]) == 0
    tested = json.loads(Path("run/summary.json").read_text())["metrics"]["test_loss"]["mean"]
    found = json.loads(next(Path("outputs").rglob("evaluation.json")).read_text())
    assert found["examples"] == 6 and tested == pytest.approx(found["test"]["loss"], rel=1e-6)


def test_a_class_may_be_called_train():
    shutil.move("photos/cats", "photos/train")
    assert read().classes == ("dogs", "train")


GREY, ALPHA = pixels(1), pixels(4)
WHITE = np.full(3, 255)
ON_WHITE = ALPHA[..., :3] * (ALPHA[..., 3:] / 255) + WHITE * (1 - ALPHA[..., 3:] / 255)
FILES = {  # name -> (array to be saved, settings of the file, mode, what is read, how near)
    "grey": (GREY, {}, "grey", GREY[..., None], 0),
    "grey as rgb": (GREY, {}, "rgb", np.repeat(GREY[..., None], 3, -1), 0),
    "deep grey": (GREY.astype(np.uint16) * 257, {}, "grey", GREY[..., None], 0),
    "binary": (GREY > 128, {}, "grey", 255 * (GREY > 128)[..., None], 0),
    "alpha on white": (ALPHA, {}, "rgb", ON_WHITE, 1.5),
    "alpha kept": (ALPHA, {}, "rgba", ALPHA, 0),
}


@pytest.mark.filterwarnings("ignore:.*transparent, and laid on white")
@pytest.mark.parametrize("name", FILES)
def test_modes(name, photos):
    array, settings, mode, expected, near = FILES[name]
    save(photos / "cats/0.png", array, **settings)
    dataset = read(mode=mode)
    assert np.abs(as_shown(dataset, 0).astype(float) - expected).max() <= near


def test_auto_is_grey_where_all_are(photos):
    assert read().spec.shape[0] == 3
    for file in photos.rglob("*.png"):
        Image.open(file).convert("L").save(file)
    assert read().spec.shape[0] == 1
    save(photos / "dogs/x.png", pixels())
    assert read().spec.shape[0] == 3
    save(photos / "dogs/y.png", pixels(4))
    with pytest.warns(nnlab.Advice, match="1 of 26 images is transparent, and laid on white"):
        read()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_their_exif_says(orientation, photos):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    array = pixels(rows=COLUMNS, columns=ROWS) if orientation > 4 else pixels()
    save(photos / "cats/0.png", array, exif=exif)
    dataset = read()
    expected = np.asarray(ImageOps.exif_transpose(Image.open(photos / "cats/0.png")))
    assert dataset.spec.shape == (3, ROWS, COLUMNS) and np.array_equal(as_shown(dataset, 0), expected)


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_other_sizes_are_resized_where_asked(fit, photos):
    from PIL import ImageOps

    save(photos / "dogs/wide.png", pixels(columns=20))
    with pytest.raises(nnlab.UserError, match=r"24 of 6 x 5, 1 of 6 x 20; data.size=\[6,5\] resizes all"):
        read()
    dataset = read(size=(8, 4), filter="box", fit=fit)
    image = Image.open(photos / "dogs/wide.png")
    fitted = ImageOps.fit(image, (4, 8), Image.Resampling.BOX)
    expected = fitted if fit == "crop" else image.resize((4, 8), Image.Resampling.BOX)
    assert dataset.spec.shape == (3, 8, 4) and np.array_equal(as_shown(dataset, -1), np.asarray(expected))
    assert read(size=7).spec.shape == (3, 7, 7)


def test_hidden_files_and_others_are_left_out(photos):
    for name in (".hidden.png", "Thumbs.db", ".DS_Store"):
        (photos / "cats" / name).write_text("x")
    assert len(read().x) == 24
    (photos / "cats/notes.txt").write_text("x")
    with pytest.warns(nnlab.Advice, match="cats/notes.txt has no name of an image, and is left out"):
        assert len(read().x) == 24
    os.remove(photos / "cats/notes.txt")
    save(photos / "dogs/more/z.png", pixels())
    assert len(read().x) == 25  # folders below that of a class belong to it
    save(photos / "lost.png", pixels())
    with pytest.warns(nnlab.Advice, match="'lost.png' lie in no folder of a class"):
        assert len(read().x) == 25


def damaged(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:90])


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
WRONG = {  # what is done to the folder -> what is said
    "truncated": (
        lambda p: damaged(p / "cats/13.png"),
        "13.png' cannot be read as an image: .*truncated",
    ),
    "text": (lambda p: (p / "cats/13.png").write_text("x"), "13.png' is not an image, or it is damaged"),
    "empty file": (lambda p: (p / "cats/13.png").write_bytes(b""), "13.png' is not an image"),
    "postscript": (lambda p: (p / "cats/a.png").write_bytes(POSTSCRIPT), "a.png' is not an image"),
    "bomb": (lambda p: Image.new("1", (9000, 9000)).save(p / "cats/a.png"), "has 81,000,000 pixels; allowed"),
    "pipe": (lambda p: os.mkfifo(p / "cats/a.png"), "a.png is a pipe, expected a file"),
    "folder of nothing": (lambda p: (p / "birds").mkdir(), "there are no images in 'birds'"),
    "one class": (lambda p: shutil.rmtree(p / "cats"), "one class alone, 'dogs'"),
    "nothing": (lambda p: [shutil.rmtree(p / n) for n in CLASSES], "nothing, and no folders"),
    "a part": (lambda p: [shutil.copytree(p / n, p / "train" / n) for n in CLASSES], "'cats' is none"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence(name, photos):
    spoil, words = WRONG[name]
    spoil(photos)
    with pytest.raises(nnlab.UserError, match=words) as raised:
        read()
    assert "\n" not in str(raised.value)


def test_a_class_of_the_test_set_alone():
    for part, names in (("train", ("cats", "dogs")), ("test", ("cats", "birds"))):
        for name in names:
            save(Path("split", part, name, "a.png"), pixels())
    with pytest.raises(nnlab.UserError, match="the class 'birds' is in test alone, and not in train"):
        read("split")


def test_images_that_do_not_fit_into_memory(monkeypatch, photos):
    from nnlab.data import image_folders

    monkeypatch.setattr(image_folders, "available_memory", lambda: 24 * 90)
    with pytest.raises(nnlab.UserError, match="photos does not fit into memory"):
        read()


def test_new_images_are_predicted_by_name(capsys, photos):
    assert main(["train", "data=images", "data.path=photos", "epochs=3", "hydra.run.dir=run"]) == 0
    dataset, model = read(), nnlab.load("run")
    assert main(["predict", "run", "data=photos", "output=all.csv"]) == 0
    rows = table("all.csv")
    assert [row["file"] for row in rows] == dataset.keys.tolist()
    assert [row["prediction"] for row in rows] == model.predict(dataset.x).tolist()
    assert main(["predict", "run", "data=photos/dogs/13.png", "output=one.csv"]) == 0
    assert table("one.csv") == [rows[15] | {"file": "13.png"}]
    save(Path("new/a.png"), pixels(rows=9))
    for data, words in (("new", "9 x 5 pixels, expected 6 x 5"), ("run", "there are no images in 'run'")):
        capsys.readouterr()
        assert main(["predict", "run", f"data={data}"]) == 2
        assert words in capsys.readouterr().err
    tested = table("run/test_predictions.csv")
    assert {row["file"] for row in tested} < set(dataset.keys.tolist())


def test_a_run_that_resized_resizes_new_images(photos):
    save(photos / "dogs/wide.png", pixels(columns=20))
    assert (
        main(["train", "data=images", "data.path=photos", "data.size=8", "epochs=1", "hydra.run.dir=run"])
        == 0
    )
    assert main(["predict", "run", "data=photos", "output=all.csv"]) == 0
    x = read(size=8).x
    predicted = [row["prediction"] for row in table("all.csv")]
    assert predicted == nnlab.load("run").predict(x).tolist()


@pytest.mark.parametrize("settings", [{"filter": "box"}, {"fit": "crop"}], ids=str)
def test_how_to_resize_without_a_size_is_advised_of(settings):
    ((key, value),) = settings.items()
    with pytest.warns(nnlab.Advice, match=f"data.{key} = '{value}' has no effect: without data.size"):
        read(**settings)
