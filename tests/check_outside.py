"""Faults from the literature on debugging networks, as `nnlab check` command lines, with healthy jobs.

AUTOTRAINER (Zhang, Zhai, Ma and Shen, ICSE 2021) trains narrow, deep networks on scikit-learn's circles and
blobs and names five training problems: vanishing and exploding gradients, dying relu, oscillating loss, slow
convergence. Depths, widths and initialisations here are those of its published models; it uses exponential
units to explode, which are none of nnlab's, so large weights take their place. DeepDiagnosis (Wardat, Cruz,
Le and Rajan, ICSE 2022) names eight symptoms and what brings them about: the learning rate, an activation,
the loss or the last layer, weights, layers, data that are not normalised, batches, epochs.

`causes` are the names that are right. They were written before nnlab was asked.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from nnlab.cli import main


@dataclass(frozen=True)
class Outside:
    name: str
    overrides: str  # the command line after `nnlab check`
    causes: tuple[str, ...] = ()  # none: it is healthy

    def findings(self, folder: Path, *more: str) -> list[dict]:
        """What check.json has of it, of every rung; a job that is refused in a sentence is told rightly."""
        with tempfile.TemporaryDirectory(dir=folder) as out, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            line = ["check", *self.overrides.replace("FOLDER", str(folder)).split(), *more]
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                code = main([*line, "picture=false", f"hydra.run.dir={out}"])
            if code == 2 and self.causes:
                return [dict(status="fail", cause=self.causes[0], rung="the command line", found="refused")]
            assert code in (0, 1), f"{self.name}: exit code {code}"
            verdicts = json.loads(Path(out, "check.json").read_text())
        return [
            dict(finding, rung=verdict["rung"]) for verdict in verdicts for finding in verdict["findings"]
        ]

    def judge(self, findings: list[dict]) -> tuple[bool, bool]:
        """Whether any finding is not a pass, and whether one of them names a right cause."""
        wrong = [finding for finding in findings if finding["status"] != "pass"]
        return bool(wrong), any(finding["cause"] in self.causes for finding in wrong)


def write(folder: Path, seed: int) -> None:
    """circles.csv and blobs.csv, as AUTOTRAINER draws them: 1,000 examples of two inputs."""
    from sklearn.datasets import make_blobs, make_circles

    x, y = make_circles(n_samples=1000, noise=0.1, random_state=seed)
    x = 2 * (x - x.min(0)) / np.ptp(x, axis=0) - 1
    _save(folder / "circles.csv", x, y)
    _save(folder / "blobs.csv", *make_blobs(n_samples=1000, centers=3, cluster_std=2, random_state=seed + 1))


def _save(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    lines = [f"{a:.6f},{b:.6f},class {c}" for (a, b), c in zip(x, y, strict=True)]
    path.write_text("\n".join(["a,b,y", *lines]) + "\n")


DATA = {
    "circles": "data=csv data.path=FOLDER/circles.csv data.target=y data.normalization=none epochs=200",
    "blobs": "data=csv data.path=FOLDER/blobs.csv data.target=y data.normalization=none epochs=200",
    "moons": "data=moons data.n=1000 epochs=200",
    "spirals": "data=spirals epochs=500",
    "digits": "data=digits",
    "wine": "data=wine batch_size=16 epochs=100",
    "diabetes": "data=diabetes batch_size=16 epochs=100",
}


def deep(layers: int, activation: str, units: int = 5) -> str:
    return f"model.hidden=[{','.join([str(units)] * layers)}] model.activation={activation}"


def autotrainer() -> Iterator[Outside]:
    for data in ("circles", "blobs", "moons"):
        for layers in (11, 13):
            overrides = f"{DATA[data]} {deep(layers, 'sigmoid')} init=he_uniform optimizer.lr=0.01"
            yield Outside(
                f"vanishing: {data}, {layers} sigmoid layers", overrides, ("vanishing", "saturated")
            )
        overrides = f"{DATA[data]} {deep(8, 'relu')} init=uniform optimizer.lr=0.01"
        yield Outside(f"vanishing: {data}, 8 relu layers, U(-0.05, 0.05)", overrides, ("vanishing", "dead"))
        for layers in (8, 10):
            overrides = f"{DATA[data]} {deep(layers, 'relu', 10)} init=normal init.std=2"
            yield Outside(f"exploding: {data}, {layers} layers", overrides, ("exploding", "large_outputs"))
        for layers in (15, 17):
            overrides = f"{DATA[data]} {deep(layers, 'relu')} init=he_uniform init.bias=-0.5"
            yield Outside(f"dying relu: {data}, {layers} layers", overrides, ("dead", "vanishing"))
        for optimizer, lr in (("sgd", 5), ("sgd", 30), ("adam", 0.5), ("rmsprop", 0.3)):
            overrides = (
                f"{DATA[data]} {deep(2, 'relu', 32)} optimizer={optimizer} optimizer.lr={lr} batch_size=8"
            )
            yield Outside(f"oscillating: {data}, {optimizer} {lr}", overrides, ("lr_high", "dead"))
        for optimizer, lr in (("sgd", 1e-4), ("sgd", 1e-5), ("adam", 1e-6), ("adadelta", 1e-4)):
            overrides = f"{DATA[data]} {deep(2, 'tanh', 32)} optimizer={optimizer} optimizer.lr={lr}"
            yield Outside(f"slow: {data}, {optimizer} {lr:g}", overrides, ("lr_low",))


def deepdiagnosis() -> Iterator[Outside]:
    scales = ("scales", "large_outputs", "saturated", "exploding")
    for data in ("digits", "wine", "moons"):
        d = DATA[data]
        yield Outside(f"dead node: {data}, bias -20", f"{d} init.bias=-20", ("dead",))
        yield Outside(
            f"dead node: {data}, rate 30", f"{d} optimizer=sgd optimizer.lr=30", ("dead", "lr_high")
        )
        for f in ("tanh", "sigmoid"):
            overrides = f"{d} {deep(2, f, 64)} init=normal init.std=4"
            yield Outside(f"saturated activation: {data}, {f}", overrides, ("saturated", "large_outputs"))
        yield Outside(f"exploding tensor: {data}", f"{d} {deep(6, 'relu', 64)} init=normal init.std=1",
                      ("exploding", "large_outputs"))  # fmt: skip
        yield Outside(
            f"exploding gradient: {data}, rate 1e4", f"{d} optimizer=sgd optimizer.lr=1e4", ("lr_high",)
        )
        yield Outside(f"vanishing gradient: {data}", f"{d} {deep(10, 'sigmoid', 32)}", ("vanishing",))
        for lr in (1e-10, 1e-7):
            yield Outside(f"unchanged weight: {data}, rate {lr:g}", f"{d} optimizer.lr={lr}", ("lr_low",))
        for init in ("zeros", "constant"):
            yield Outside(f"unchanged weight: {data}, {init}", f"{d} init={init}", ("symmetry",))
        for setting in ("l2=30", "l1=3", "dropout=0.99"):
            overrides = f"{d} regularizer.{setting}"
            yield Outside(f"loss not decreasing: {data}, {setting}", overrides, ("regularizer",))
        overrides = f"{d} epochs=2 optimizer.lr=1e-4 batch_size=full"
        yield Outside(f"loss not decreasing: {data}, 2 updates", overrides, ("lr_low", "few_updates"))
        overrides = f"{d} model.output=sigmoid loss=squared_error optimizer=sgd optimizer.lr=1e-3"
        yield Outside(
            f"accuracy not increasing: {data}, sigmoid and squared error", overrides, ("lr_low", "wrong_loss")
        )
    for data in ("circles", "spirals"):
        overrides = f"{DATA[data]} {deep(2, 'identity', 32)}"
        yield Outside(
            f"accuracy not increasing: {data}, no activation", overrides, ("no_activation", "nothing_learnt")
        )
    yield Outside("accuracy not increasing: noise", "data=noise data.n=4000 data.d=20", ("labels_unrelated",))
    for output in ("sigmoid", "softmax"):
        overrides = f"{DATA['diabetes']} model.output={output}"
        yield Outside(f"out of range: diabetes, {output}", overrides, ("out_of_range",))
    for data in ("wine", "diabetes"):
        overrides = f"{DATA[data]} data.normalization=none"
        yield Outside(f"not normalised: {data}", overrides, scales)
    overrides = f"{DATA['diabetes']} data.target_normalization=none"
    yield Outside("targets not normalised: diabetes", overrides, scales)


def healthy() -> Iterator[Outside]:
    for data in ("circles", "blobs", "moons"):
        d = DATA[data].replace(" data.normalization=none", "")  # blobs as they come are 5 to 10 large
        yield Outside(
            f"{data}, 5 tanh layers of 5", f"{d} {deep(5, 'tanh')} init=he_uniform optimizer.lr=0.01"
        )
        yield Outside(f"{data}, 2 relu layers of 32", f"{d} {deep(2, 'relu', 32)}")
        yield Outside(
            f"{data}, sgd", f"{d} {deep(2, 'tanh', 32)} optimizer=sgd optimizer.lr=0.1 batch_size=8"
        )
        yield Outside(
            f"{data}, 3 relu layers of 10", f"{d} {deep(3, 'relu', 10)} init=he_uniform optimizer.lr=0.01"
        )
    for data in ("digits", "wine", "moons", "diabetes"):
        d = DATA[data]
        yield Outside(f"{data}, as it comes", d)
        yield Outside(f"{data}, sgd", f"{d} optimizer=sgd optimizer.lr=0.1")
        yield Outside(f"{data}, 4 tanh layers", f"{d} {deep(4, 'tanh', 32)}")
        yield Outside(f"{data}, a little regularised", f"{d} regularizer.l2=1e-3 regularizer.dropout=0.2")
    yield Outside(
        "spirals, 2 relu layers of 64", f"{DATA['spirals']} {deep(2, 'relu', 64)} optimizer.lr=0.01"
    )
    for data in ("digits", "wine"):
        overrides = f"{DATA[data]} model.output=sigmoid loss=binary_cross_entropy"
        yield Outside(f"{data}, a sigmoid for each class", overrides)
