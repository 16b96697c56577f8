"""`model=cnn`: its blocks are torch's layers; what trains, stores and exports a model works for it."""

import numpy as np
import onnxruntime
import pytest
import torch
from model_cases import EXAMPLES
from torch import nn

import nnlab
from nnlab.autodiff.box import Site
from nnlab.cli import main
from nnlab.equation import equation
from nnlab.testing.rows import Bumps

IMAGES = Bumps(shape=(1, 6, 6), n=90)
SMALL = dict(blocks=(4, "pool"), hidden=(5,))


def boxes(model, shape=(1, 8, 8)):
    """The name of each box, and its shape."""
    graph = model.graph(shape, 3)
    return {node.name: node.shape for node in graph.nodes if node.box and node.per_example}


# ---- what the blocks are


def test_the_default_is_torchs_network():
    """With torch's layers on the same weights."""
    graph = nnlab.CNN().graph((2, 9, 8), 3)
    layout, x = graph.layout(), torch.from_numpy(np.random.default_rng(0).normal(size=(1, 2, 9, 8, 5)))
    theta = torch.from_numpy(np.random.default_rng(1).normal(size=(1, layout.size)))
    rates = nnlab.Regularizer().rates()
    site = Site(1, 5, False, theta, {n: torch.tensor([[p]]) for n, p in rates.items()})
    y = graph.bind(theta, torch.zeros_like(theta), site).fprop(x)[0].T
    torchs = nn.Sequential(
        nn.Conv2d(2, 32, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64 * 2 * 2, 128), nn.ReLU(), nn.Linear(128, 3),
    ).double()  # fmt: skip
    named = {name: leaf.view(theta)[0] for name, leaf in layout.parameters.items()}
    layers = ("conv1", "conv2", "hidden1", "output")
    names = [f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")]
    with torch.no_grad():
        for parameter, name in zip(torchs.parameters(), names, strict=True):
            parameter.copy_(named[name].reshape(parameter.shape))
        assert torch.allclose(torchs(x[0].movedim(-1, 0)), y, rtol=1e-10)


OWN = {"channels": 6, "kernel": [1, 2], "stride": 2, "normalization": "none", "activation": "tanh"}


def test_a_block_has_the_models_settings_or_its_own():
    model = nnlab.CNN(
        blocks=(8, OWN, "pool"), kernel=5, normalization="batch", activation="silu", pooling="l2",
        pool_size=(1, 2), hidden=(),
    )  # fmt: skip
    graph = model.graph((1, 8, 8), 3)
    of = {node.name: node.box for node in graph.nodes}
    assert of["conv1"].kernel == 5 and of["conv2"].kernel == (1, 2) and of["conv2"].stride == 2
    assert list(boxes(model)) == [
        "input_dropout", "conv1", "conv1_batch_norm", "conv1_silu", "conv2", "conv2_tanh", "pool1", "flatten",
        "dropout", "output",
    ]  # fmt: skip
    assert of["pool1"].name == "l2_pool" and of["pool1"].size == (1, 2)
    assert boxes(model)["pool1"] == (6, 4, 2)


POOLED = {
    "max": (4, 4, 4),
    "average": (4, 4, 4),
    "stride": (4, 4, 4),
    "stochastic": (4, 4, 4),
    "none": (4, 8, 8),
}


@pytest.mark.parametrize("pooling", POOLED)
def test_every_pooling(pooling):
    assert list(boxes(nnlab.CNN(**SMALL, pooling=pooling)).values())[-6] == POOLED[pooling]


def test_a_stride_pools_as_a_convolution_of_that_stride_does():
    """Inside: where the padding of `same` is the same at both strides."""
    models = (
        nnlab.CNN((3, "pool"), padding=1, pooling="stride", hidden=()),
        nnlab.CNN(({"channels": 3, "stride": 2},), padding=1, hidden=()),
    )
    one, another = (nnlab.fit(nnlab.Experiment(data=IMAGES, model=m, epochs=2)).run() for m in models)
    for name, weight in one.results[0].weights.items():
        assert np.allclose(weight, another.results[0].weights[name], atol=1e-5), name


def test_sequences_have_convolutions_of_one_axis():
    shapes = boxes(nnlab.CNN(blocks=(4, "pool", {"channels": 3, "stride": 3}, "global_pool")), (2, 40))
    assert shapes["conv1"] == (4, 40) and shapes["pool1"] == (4, 20) and shapes["conv2"] == (3, 7)
    assert shapes["global_pool"] == (3,) and "flatten" not in shapes


WRONG = {
    "vectors": (SMALL, (64,), r"model=cnn needs images .* an example is \[64\]: data=digits"),
    "nothing is left": (
        dict(blocks=(4, "pool") * 4),
        (1, 8, 8),
        r"model.blocks: block 8 .pool. reads \(4, 1, 1\): max_pool: its size",
    ),
    "an unknown word": (
        dict(blocks=(4, "pol")),
        (1, 8, 8),
        "model.blocks = .*pool, global_pool, dropout.*did you mean 'pool'",
    ),
    "an unknown key": (
        dict(blocks=({"channels": 4, "kernal": 3},)),
        (1, 8, 8),
        "model.blocks: block 1: kernal: block 'convolution' has no such key; did you mean 'kernel'",
    ),
    "no kind": (
        dict(blocks=({"chanels": 4},)),
        (1, 8, 8),
        "block 1 .{chanels: 4}.: expected one key of .*did you mean 'channels'",
    ),
    "two kinds": (
        dict(blocks=({"channels": 4, "pool": "max"},)),
        (1, 8, 8),
        "block 1 .*: expected one key of",
    ),
    "a wrong value": (
        dict(blocks=(4, {"dropout": 1.5})),
        (1, 8, 8),
        "block 2: dropout = 1.5: expected a number at least 0 and below 1",
    ),
    "no channels": (dict(blocks=(0,)), (1, 8, 8), "model.blocks = .*a whole number at least 1"),
    "a kernel that does not fit": (
        dict(blocks=(4,), kernel=9, padding=0),
        (1, 8, 8),
        "block 1 .4. reads .1, 8, 8.: .* 9 x 9",
    ),
    "three axes": (dict(blocks=(4,), kernel=(3, 3, 3)), (1, 8, 8), "block 1 .4. reads .*has 3 numbers"),
    "a convolution of vectors": (
        dict(blocks=("global_pool", 4)),
        (1, 8, 8),
        "block 2 .4. reads .1,.: a convolution reads images",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_one_sentence(kind):
    settings, shape, sentence = WRONG[kind]
    with pytest.raises(nnlab.UserError, match=sentence):
        nnlab.CNN(**settings).graph(shape, 3)


# ---- what there is for all models


def test_max_norm_and_small_are_of_the_kernels_of_a_channel():
    e = nnlab.Experiment(
        data=IMAGES,
        model=nnlab.CNN(**SMALL),
        regularizer=nnlab.Regularizer(max_norm=0.5, small=0.1),
        epochs=2,
    )
    result = nnlab.fit(e).run().results[0]
    weights = {name: w for name, w in result.weights.items() if name.endswith("weight")}
    for name, w in weights.items():
        assert (np.linalg.norm(w.reshape(len(w), -1), axis=1) <= 0.5 * (1 + 1e-5)).all(), name
    assert weights["conv1.weight"].shape == (4, 1, 3, 3)


@pytest.mark.parametrize("blocks", [(4,), (4, "dropout"), ("pool",)], ids=str)
@pytest.mark.parametrize("hidden", [(), (5,)], ids=str)
def test_rates_of_dropout_have_a_place_in_every_network(blocks, hidden):
    def weights(**rates):
        model, regularizer = nnlab.CNN(blocks=blocks, hidden=hidden), nnlab.Regularizer(**rates)
        e = nnlab.Experiment(data=IMAGES, model=model, regularizer=regularizer, epochs=1)
        return str([w.tolist() for w in nnlab.fit(e).run().results[0].weights.values()])

    rates = ["dropout", "input_dropout", *["dropconnect"] * (4 in blocks or bool(hidden))]
    learnt = [weights(), *(weights(**{rate: 0.3}) for rate in rates)]
    assert len(set(learnt)) == len(learnt)


def test_a_cnn_has_no_equation_but_a_linear_network_of_an_image_has():
    def learnt(**settings):
        model = nnlab.CNN(hidden=(), **settings)
        fit = nnlab.fit(nnlab.Experiment(data=Bumps(shape=(1, 6, 6)), model=model, epochs=1)).run()
        return equation(fit, fit.rows[0], fit.results[0])

    assert learnt(blocks=("pool",)) is None
    assert learnt(blocks=()).weight.shape == (3, 36)


def test_the_command_line_does_all_with_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = "model.blocks=[3,pool,{channels:4,kernel:2,normalization:batch},{pool:stochastic}]"
    rates = [f"regularizer.{rate}=0.1" for rate in ("dropout", "dropconnect", "small", "max_norm")]
    words = ["model=cnn", blocks, "model.hidden=[6]", *rates, "epochs=2", "seeds=2", "histograms=1"]
    assert main(["train", *words, "refit=true", "hydra.run.dir=run"]) == 0
    digits = nnlab.Digits().load()
    probabilities, head = nnlab.load("run").predict_proba(digits.x[:20]), ",".join(digits.features)
    np.savetxt("new.csv", digits.x[:20], delimiter=",", header=head, comments="", fmt="%g")
    assert main(["predict", "run", "new.csv", "output=answers.csv"]) == 0
    assert main(["export", "run", "output=net.onnx"]) == 0
    images = digits.x[:20].reshape(-1, 1, 8, 8).astype("float32")
    _, answers = onnxruntime.InferenceSession("net.onnx").run(None, {"input": images})
    assert np.abs(answers - probabilities).max() < 1e-5
    assert main(["train", "model=cnn", "data=wine", "epochs=1"]) == 2
    assert "model=cnn needs images" in capsys.readouterr().err


def test_its_settings_are_searched():
    space = {
        "model.blocks": [[2, "pool"], [3, {"channels": 2, "kernel": 2}]],
        "model.pooling": ["max", "stochastic"],
    }
    e = nnlab.Experiment(data=IMAGES, model=nnlab.CNN(hidden=(4,)), epochs=1)
    search = nnlab.Search(sampler="grid", trials=4)
    table = nnlab.Sweep(space, search, e).run().table
    assert list(table["state"]) == ["complete"] * 4


def test_estimators_take_images():
    digits = nnlab.Digits().load()
    images, classes = digits.x.reshape(-1, 1, 8, 8), digits.y
    for model in (nnlab.CNN(blocks=(4, "pool"), hidden=(9,)), EXAMPLES["graph"]):
        estimator = nnlab.Classifier(model=model, epochs=2, lr=0.02).fit(images, classes)
        assert estimator.score(images, classes) > 0.5
    with pytest.raises(nnlab.UserError, match=r"an example is \[64\].*arrays \(N, C, H, W\)"):
        nnlab.Classifier(model="cnn").fit(digits.x, classes)
