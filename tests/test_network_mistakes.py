"""What newcomers type for images and networks of their own: each mistake with what its sentence must say."""

import shlex

import numpy as np
import pytest
import yaml
from PIL import Image

import nnlab
from nnlab import suggestions
from nnlab.autodiff.boxes import BOXES
from nnlab.cli import main
from nnlab.models.blocks import BLOCKS, WORDS

MISTAKES = """
train data=photos | data=images data.path=photos
train data=./photos/ | data=images data.path=./photos/
train photos/cat/ | data=images data.path=photos/cat/
train data=mnist_files | data=idx data.path=mnist_files
train data=csv data.path=photos | data=images data.path=photos
train data=table data.path=photos | data=images data.path=photos | *.csv
train data=npz data.path=photos | data=images data.path=photos
train data=idx data.path=photos | data=images data.path=photos
train data=idx data.path=empty | no file empty/train-images | data=images
train data=table data.path=empty | 'empty/*.csv' | data=images
data photos | data=images data.path=photos
train data=npz data.path=other.npz | it has images, labels; expected X and y
train model=cnn model.padding=valid | valid, without zeros, is padding 0
train model=cnn model.padding=sames | 'same'
train model=cnn model.stride=2 | {channels: 32, stride: 2}
train model=cnn model.strides=2 | {channels: 32, stride: 2}
train model=cnn model.channels=16 | {channels: 32, stride: 2}
train model=cnn model.filters=16 | {channels: 32, stride: 2}
train model=cnn model.kernel_size=5 | 'model.kernel'
train model=cnn model.batch_norm=true | 'model.normalization'
train model=cnn model.blocks=[8,max] | model.pooling=
train model=cnn model.blocks=[8,MaxPool2d] | model.pooling=
train model=cnn model.blocks=[8,conv] | {channels: 32, kernel: 5}
train model=cnn model.blocks=[8,flatten] | model.hidden
train model=cnn model.blocks=[8,gap] | 'global_pool'
train model=cnn 'model.blocks=[{filters: 8}]' | block 1 ({filters: 8}) | allowed
train model=cnn 'model.blocks=[{filters: 8}]' | 'channels' | allowed
train model=cnn 'model.blocks=[{channels: 8, kernel_size: 3}]' | 'kernel' | allowed
train model=cnn 'model.blocks=[{channels: 8, padding: valid}]' | is padding 0
train model=cnn 'model.blocks=[8,{pool: max, window: 3}]' | 'size' | allowed
train model=cnn data=digits model.blocks=[8,32] model.kernel=7 model.padding=0 | block 2 (32) reads (8, 2, 2)
train model=net.yaml | model=graph model.file=net.yaml
train model=lenet | 'cnn'
train model=resnet | model=graph model.file=net.yaml
train regularizer=batch_norm | model.normalization=batch | there is no batch
"""
LINES = [line for line in MISTAKES.strip().splitlines()]
BOX_WORDS = {  # of torch, then of Keras
    "Linear": "affine", "Conv2d": "convolution", "MaxPool2d": "max_pool",
    "AvgPool2d": "average_pool", "BatchNorm2d": "batch_norm", "LayerNorm": "layer_norm", "ReLU": "relu",
    "LeakyReLU": "leaky_relu", "AdaptiveAvgPool2d": "global_average_pool", "Dropout2d": "dropout",
    "cat": "concatenate", "sub": "subtract", "Dense": "affine", "Conv2D": "convolution",
    "MaxPooling2D": "max_pool", "AveragePooling2D": "average_pool",
    "BatchNormalization": "batch_norm", "LayerNormalization": "layer_norm", "Concatenate": "concatenate",
    "GlobalAveragePooling2D": "global_average_pool", "SpatialDropout2D": "dropout", "swish": "silu",
}  # fmt: skip
KEY_WORDS = {
    "convolution": {"filters": "units", "channels": "units", "out_channels": "units", "kernel_size": "kernel",
                    "strides": "stride", "dilation_rate": "dilation", "use_bias": "bias", "inputs": "input"},
    "affine": {"out_features": "units", "neurons": "units", "act": "activation"},
    "max_pool": {"kernel_size": "size", "pool_size": "size", "strides": "stride"},
    "batch_norm": {"eps": "epsilon", "decay": "momentum"}, "dropout": {"p": "rate", "dropout_rate": "rate"},
}  # fmt: skip
NOT_YAML = {
    "boxes:\n  a: {box: affine, units: 8\n  b: {box: relu}\n": (3, "bracket"),
    "boxes:\n\ta: {box: affine}\n": (2, "indent by spaces"),
    "boxes:\n  a: {box: affine, units: !foo 3}\n": (2, "only plain values"),
    "boxes:\n  a: {box: affine, units: !!python/object:os.system 3}\n": (2, "only plain values"),
    "boxes:\n  a: {box: affine, units: *x}\n": (2, "nothing above has"),
    "boxes:\n  a: {box: relu}\n b: {box: relu}\n": (3, "indentation"),
    "boxes:\n  a: box: relu\n": (2, "second colon"),
    "boxes:\n  a: {box: 'relu}\n": (3, "quote is not closed"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(tmp_path / "photos" / label / "1.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mnist_files").mkdir()
    (tmp_path / "mnist_files" / "train-images-idx3-ubyte.gz").touch()
    np.savez(tmp_path / "other.npz", images=np.zeros((4, 2, 2)), labels=np.arange(4))
    return tmp_path


def sentence(capsys, *words):
    """What the command says of wrong words, in one line, leaving nothing behind."""
    assert main([*words]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1, stderr
    return stderr


@pytest.mark.parametrize("line", LINES)
def test_a_mistake(line, here, capsys):
    before = sorted(here.rglob("*"))
    typed, expected, *misleading = line.split(" | ")
    said = sentence(capsys, *shlex.split(typed))
    assert expected in said and not any(word in said for word in misleading), said
    assert sorted(here.rglob("*")) == before


def said_of(capsys, here, box):
    (here / "net.yaml").write_text(
        yaml.safe_dump({"boxes": {"a": box, "out": {"box": "affine", "units": 2}}})
    )
    return sentence(capsys, "train", "model=graph", "model.file=net.yaml")


@pytest.mark.parametrize("word", BOX_WORDS)
def test_a_box_by_another_librarys_name(word, here, capsys):
    said = said_of(capsys, here, {"box": word})
    assert f"model.boxes.a: unknown box '{word}'; did you mean '{BOX_WORDS[word]}'?" in said


@pytest.mark.parametrize("box", KEY_WORDS)
def test_a_key_of_a_box_by_another_librarys_name(box, here, capsys):
    for word, meant in KEY_WORDS[box].items():
        said = said_of(capsys, here, {"box": box, word: 3})
        assert f"model.boxes.a.{word}: box '{box}' has no such key; did you mean '{meant}'?" in said


def test_what_the_table_proposes_for_boxes_and_blocks_is_there():
    """And no name of nnlab's own is taken for another's."""
    within, values = suggestions._table()["within"], suggestions._table()["values"]
    for kind, classes in (("box", BOXES), ("block", BLOCKS)):
        names = {name for cls in classes.values() for name in cls.__dataclass_fields__}
        keys = names | {"input", "box"}
        assert {meant for meant in within[kind].values() if suggestions.is_name(meant)} <= keys
    for key, names in (("box", BOXES), ("model.blocks", WORDS)):
        words = suggestions._split(values[key])
        assert {meant for meant in words.values() if suggestions.is_name(meant)} <= {*names}
        assert not {*words} & {*names}


@pytest.mark.parametrize("text", NOT_YAML, ids=range(len(NOT_YAML)))
def test_a_graph_file_that_is_not_yaml(text, here, capsys):
    line, expected = NOT_YAML[text]
    (here / "net.yaml").write_text(text)
    said = sentence(capsys, "train", "model=graph", "model.file=net.yaml")
    assert f"'net.yaml', line {line}, is not YAML" in said and expected in said, said
    assert "unicode string" not in said and "constructor" not in said and "token" not in said


def test_a_models_setting_given_to_an_estimator():
    with pytest.raises(nnlab.UserError, match=r"model=nnlab\.CNN\(pooling=\.\.\.\)"):
        nnlab.Classifier(model="cnn", pooling="average")
