"""The norm of a run's weights, and the share that is 0 or small: in summary.json and on the screen."""

import json

import numpy as np
import pytest

from nnlab import Regularizer
from nnlab.cli import main
from nnlab.records.weight_summary import shown_weight_metrics, summarize_weights, weight_notes
from nnlab.training.results import Result


def result(seed, weights, status="finished"):
    return Result(seed, seed, 0, 0, status, 1, 1, {}, {}, weights, {})


def of_seed(seed, shape=(30, 7)):
    """Weights of two layers, half of them 0, and biases that must not be counted."""
    random = np.random.default_rng(seed)
    layers = {f"layer{n}.weight": random.standard_normal(shape).astype(np.float32) for n in (1, 2)}
    for W in layers.values():
        W[random.random(shape) < 0.5] = 0
    return layers | {"layer1.bias": np.full((30, 1), 100.0, np.float32)}


NAMES = ("layer1.weight", "layer2.weight")


def test_weights_are_counted_without_biases_and_diverged_rows():
    rows = [of_seed(seed) for seed in range(4)]
    results = [result(seed, weights) for seed, weights in enumerate(rows)]
    diverged = result(9, {name: np.full((30, 7), np.nan, np.float32) for name in NAMES}, "diverged")
    entry = summarize_weights([*results, diverged], NAMES, Regularizer(l1=0.1, small=0.25))
    flat = np.array([np.concatenate([w[name].ravel() for name in NAMES]) for w in rows], float)
    expected = {
        "weight_norm": np.linalg.norm(flat, axis=1),
        "zero_weights": np.mean(flat == 0, axis=1),
        "small_weights": np.mean(abs(flat) <= 0.25, axis=1),
    }
    assert entry["count"] == 420 and entry["penalties"] == {"l2": 0.0, "l1": 0.1}
    assert list(entry["metrics"]) == list(expected)
    for name, values in expected.items():
        metric = entry["metrics"][name]
        assert (metric["mean"], metric["std"]) == pytest.approx((values.mean(), values.std(ddof=1)))
        assert metric["n"] == 4 and metric["low"] < metric["mean"] < metric["high"]
    assert weight_notes([{}, {"weights": entry}]) == ["  small weights: their size is at most 0.25"]
    plain = summarize_weights(results, NAMES, Regularizer())
    assert "small" not in plain and weight_notes([{"weights": plain}]) == []
    assert summarize_weights([diverged], NAMES, Regularizer()) == {}


L1, L2, NONE = ({"l2": 0.0, "l1": 0.1}, {"l2": 0.1, "l1": 0.0}, {"l2": 0.0, "l1": 0.0})
SHOWN = [
    ([L1], ["weight_norm", "zero_weights"]),
    ([L2], []),  # a norm says something beside another
    ([L2, L2], []),
    ([NONE, L2], ["weight_norm"]),
    ([NONE, L1], ["weight_norm", "zero_weights"]),
]


@pytest.mark.parametrize("penalties, names", SHOWN)
def test_weights_are_shown_where_a_penalty_is_compared_or_makes_zeros(penalties, names):
    summaries = [{"weights": {"penalties": p, "metrics": {}}} for p in penalties]
    assert shown_weight_metrics([*summaries, {}]) == names
    summaries[0]["weights"]["metrics"]["small_weights"] = {}
    assert shown_weight_metrics(summaries) == ["weight_norm", "zero_weights", "small_weights"]


def test_the_share_of_zeros_is_on_the_screen(tmp_path, capsys):
    job = [
        "train",
        "data=moons",
        "data.n=100",
        "model.hidden=[8]",
        "optimizer=sgd",
        "metric=last",
        "epochs=60",
    ]
    job += ["regularizer.proximal=true", "picture=false"]
    assert main([*job, "regularizer.l1=0.05", f"hydra.run.dir={tmp_path / 'one'}"]) == 0
    weights = json.loads((tmp_path / "one" / "summary.json").read_text())["weights"]
    zeros = weights["metrics"]["zero_weights"]["mean"]
    assert weights["count"] == 2 * 8 + 8 * 2 and zeros > 0.2
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "weights at 0" in line]
    assert line.split() == ["weights", "at", "0", f"{zeros:.2%}"]
    assert main([*job, "-m", "regularizer.l1=0,0.05", f"hydra.sweep.dir={tmp_path / 'two'}"]) == 0
    rows = capsys.readouterr().out.splitlines()
    without, with_l1 = sorted(line.split() for line in rows if line.startswith("  regularizer.l1="))
    assert without[-1] == "0.00%" and with_l1[-1] == f"{zeros:.2%}"
    assert float(with_l1[-2]) < float(without[-2])  # the norm
