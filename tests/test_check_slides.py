"""What the lecture says of `nnlab check`: the numbers of its sentences, and that pictures show the same."""

import numpy as np
import pytest

import nnlab
from nnlab.records import check_picture

SATURATED = nnlab.Experiment(model=nnlab.MLP(activation="tanh"), init=nnlab.Normal(std=1.0))
DEEP = nnlab.Experiment(model=nnlab.MLP(hidden=(64,) * 12, activation="sigmoid"))
FEW = nnlab.Budget(seeds=2)


@pytest.fixture
def figures(monkeypatch):
    drawn = []
    monkeypatch.setattr(check_picture, "render_png", lambda figure: drawn.append(figure) or b"")
    return drawn


def checked(experiment, rung, **budget):
    (verdict,) = nnlab.check(experiment, only=rung, budget=nnlab.Budget(**budget) if budget else FEW)
    return verdict


def test_sentence_and_picture_of_saturation_say_the_same_number(figures):
    """Of the start, with the limit that was exceeded; the picture had one number, the sentence another."""
    verdict = checked(SATURATED, "saturation")
    share, start = verdict.worst.number, verdict.details["start"]["activations"]["tanh1"]["stuck"]
    assert share == start > 0.7
    assert verdict.worst.found == f"{share:.0%} of tanh1's units are saturated at the start (limit 30%)"
    check_picture.saturation(verdict.details, "digits")
    stuck = figures[0].axes[2]
    assert stuck.lines[0].get_ydata().tolist() == [share]
    texts = [text.get_text() for text in stuck.texts]
    assert f"{share:.0%}" in texts and {"limit 30%", "limit 60%"} <= set(texts)


def test_a_gradient_vanishes_through_twelve_sigmoids():
    verdict = checked(DEEP, "saturation")
    assert verdict.causes == ["vanishing"] and verdict.worst.number < 1e-6
    sizes = [layer["gradient"] for layer in verdict.details["start"]["layers"].values()]
    assert len(sizes) == 13 and (np.diff(sizes) > 0).all()  # larger at every layer nearer to the output


@pytest.mark.parametrize(
    "init, factor", [(nnlab.Normal(), (1e-4, 0.05)), (nnlab.GlorotUniform(), (0.3, 1.5))]
)
def test_the_signal_through_six_tanh_layers(init, factor):
    """Glorot's weights keep it; small ones take a part of it at every layer."""
    model = nnlab.MLP(hidden=(64,) * 6, activation="tanh")
    start = checked(nnlab.Experiment(model=model, init=init), "saturation").details["start"]["layers"]
    variances = np.array([layer["variance"] for layer in start.values()])
    assert factor[0] < (variances[-2] / variances[0]) ** 0.2 < factor[1]


def test_the_error_bounces_at_a_rate_that_is_too_large():
    experiment = nnlab.Experiment(data=nnlab.Diabetes(), optimizer=nnlab.Adam(lr=0.3))
    verdict = checked(experiment, "subset", steps=400)
    assert verdict.status == "fail" and "lower the learning rate" in verdict.worst.advice
    assert "bounces" in verdict.worst.found


def test_equal_weights_stay_equal():
    verdict = checked(nnlab.Experiment(init=nnlab.ConstantInit(value=0.1)), "start")
    assert verdict.worst.found.startswith("all units of hidden1 are alike and get the same gradient")
