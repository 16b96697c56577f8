"""The line that says what a run trains, and the advice on settings that change nothing in its network."""

import warnings

import pytest

from nnlab.data.sources import Digits
from nnlab.errors import Advice, UserError
from nnlab.experiment import Experiment
from nnlab.models import CNN, MLP, GraphModel, Linear
from nnlab.records.titles import experiment_title
from nnlab.regularizers import Regularizer

SPEC = Digits().load().spec
PLAIN = GraphModel(boxes={"flat": {"box": "flatten"}, "out": {"box": "affine", "units": "outputs"}})
DROPPING = GraphModel(boxes={
    "in": {"box": "dropout", "rate": "input_dropout"}, "flat": {"box": "flatten"}, "drop": {"box": "dropout"},
    "out": {"box": "affine", "units": "outputs", "weight": {"box": "dropconnect"}},
})  # fmt: skip
MIXED = ({"channels": 8, "kernel": 5}, "pool", {"dropout": 0.2}, "global_pool")


@pytest.mark.parametrize(("model", "words"), [
    (MLP(), "mlp 64-64-10"),
    (Linear(), "linear 64-10"),
    (CNN(), "cnn 32-pool-64-pool-128-10"),
    (CNN(blocks=MIXED, hidden=()), "cnn 8-pool-dropout-global_pool-10"),
    (CNN(blocks=(*range(1, 12), "pool")), "cnn 1-2-3-4-5-6-7-8-...-pool-128-10"),
    (PLAIN, "graph of 2 boxes"),
])  # fmt: skip
def test_a_title_says_what_the_model_is(model, words):
    title = experiment_title(Experiment(data=Digits(), model=model), SPEC)
    assert title == f"digits (1797 x 1 x 8 x 8, 10 classes), {words}, adam"


@pytest.mark.parametrize(("model", "unread"), [
    (MLP(), set()),
    (MLP(hidden=()), {"dropout", "dropconnect"}),
    (Linear(), {"dropout", "dropconnect"}),
    (CNN(), set()),
    (CNN(blocks=({"dropout": 0.2},), hidden=()), {"dropout", "dropconnect"}),
    (PLAIN, {"dropout", "input_dropout", "dropconnect"}),
    (DROPPING, set()),
], ids=["mlp", "mlp-flat", "linear", "cnn", "cnn-flat", "graph", "graph-dropout"])  # fmt: skip
def test_a_rate_that_no_box_reads_is_advised_of(model, unread):
    rates = dict.fromkeys(("dropout", "input_dropout", "dropconnect"), 0.25)
    experiment = Experiment(data=Digits(), model=model, regularizer=Regularizer(**rates))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        experiment.advise(SPEC)
    assert all(warning.category is Advice for warning in caught)
    texts = [str(warning.message) for warning in caught]
    assert {text.split()[0].removeprefix("regularizer.") for text in texts} == unread
    assert all(f"= 0.25 has no effect on model={model.name}, " in text for text in texts)


def test_without_rates_there_is_no_advice():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Experiment(data=Digits(), model=PLAIN).advise(SPEC)


@pytest.mark.parametrize(("box", "words"), [
    ({"box": "stochastic_pool", "size": 2001, "padding": 1000}, "padding = 1000 is more than the 8 x 8"),
    ({"box": "noise", "numbers": 10**12, "input": "flat"}, "numbers = 1000000000000 are the first of a vec"),
    ({"box": "noise", "numbers": 1}, "numbers = 1 are the first of a vector, .* shape .1, 8, 8."),
], ids=["pool", "vector", "image"])  # fmt: skip
def test_boxes_that_would_take_any_amount_of_memory_are_refused(box, words):
    model = GraphModel(boxes={
        "flat": {"box": "flatten", "input": "input"}, "one": {"input": "input"} | box,
        "end": {"box": "flatten"}, "both": {"box": "concatenate", "input": ("flat", "end")},
        "out": {"box": "affine", "units": "outputs"},
    })  # fmt: skip
    with pytest.raises(UserError, match=f"model.boxes.one, .*{words}"):
        model.graph((1, 8, 8), 10)
