"""The penalty of activations: its box, which units it has, and what training makes of it."""

from dataclasses import replace

import pytest
from networks import Points, one_thread  # noqa: F401

import nnlab
from nnlab import CNN, MLP, Experiment, GraphModel, Linear, Regularizer, Tabular
from nnlab.autodiff.activity_penalty import ActivityPenalty, hidden_activations
from nnlab.checks import gradients
from nnlab.checks.subject import Budget, Subject
from nnlab.experiment import stack_graph
from nnlab.testing import BoxContract
from nnlab.testing.rows import Bumps

BUDGET = Budget(rates=24, rate_seeds=2, seeds=5, steps=10)
BOTH = Regularizer(activity_l1=0.05, activity_l2=0.1)
IMAGES = Bumps(shape=(1, 6, 6))
NETWORKS = {  # the model, its data, and the hidden units that are penalised
    "mlp": (MLP(hidden=(6, 5), activation=("relu", "softsign")), Points(), ["relu1", "softsign2"]),
    "normalised": (MLP(hidden=(6, 6), normalization="batch", residual=True), Points(), ["relu1", "relu2"]),
    "cnn": (CNN(blocks=(3, "pool", 4), hidden=(5,)), IMAGES, ["conv1_relu", "conv2_relu", "relu1"]),
    "tabular": (Tabular(hidden=(6, 5)), Points(), ["silu1", "silu2"]),
    "graph": (
        GraphModel(boxes={
            "a": {"box": "affine", "units": 5}, "b": {"box": "tanh"}, "c": {"box": "abs"},
            "output": {"box": "affine", "units": "outputs"},
        }),
        Points(), ["b", "c"],
    ),
}  # fmt: skip
every_network = pytest.mark.parametrize("name", NETWORKS)


class TestContract(BoxContract):
    box = ActivityPenalty()
    shapes = ((4,), (2, 3, 2))
    of_training = True

    def experiments(self, channels_last=False):
        model, data, _ = NETWORKS["cnn" if channels_last else "mlp"]
        regularizers = [BOTH, Regularizer(), Regularizer(activity_l1=0.2)]
        return [
            Experiment(data=data, model=model, regularizer=r, epochs=2, batch_size=16, seed=k)
            for k, r in enumerate(regularizers)
        ]


def experiment(name: str, regularizer=BOTH) -> Experiment:
    model, data, _ = NETWORKS[name]
    return Experiment(data=data, model=model, regularizer=regularizer, epochs=2, batch_size=16)


@every_network
def test_it_has_all_hidden_units_and_their_gradients(name):
    e, (*_, names) = experiment(name), NETWORKS[name]
    graph = e.graph(e.load().spec)
    assert [graph.nodes[n].name for n in hidden_activations(graph)] == names
    verdict = gradients.check(Subject(e, budget=BUDGET))
    assert verdict.status == "pass", verdict.worst.found
    compared = [c for c in verdict.details["boxes"] if c.startswith("activity_penalty")]
    assert len(compared) == len(names)


def test_a_network_without_it_is_the_same_as_ever():
    dataset = Points().load()
    plain, penalized = (experiment("mlp", r).rows(dataset) for r in (Regularizer(l2=0.1), BOTH))
    without, together = stack_graph(plain, dataset.spec), stack_graph(plain + penalized, dataset.spec)
    assert without.penalty is None and together.penalty is not None
    assert together.nodes[: together.penalty] == without.nodes and together.outputs == without.outputs


def test_an_l1_penalty_makes_hidden_units_zero():
    """As Glorot, Bordes and Bengio 2011 have it: more zeros, and the same accuracy."""
    x, zeros, errors = nnlab.Digits().load().x, [], []
    for strength in (0.0, 0.01):
        e = Experiment(data="digits", model=MLP(hidden=(64,)), epochs=20, batch_size=16, metric="last")
        run = nnlab.fit(replace(e, regularizer=Regularizer(activity_l1=strength)))
        *_, record = run
        W, b = (run.results[0].weights[f"hidden1.{name}"] for name in ("weight", "bias"))
        zeros.append((W @ ((x - x.mean(0)) / (x.std(0) + 1e-9)).T + b <= 0).mean())
        errors.append(record.val_error[0])
    assert zeros[0] < 0.6 and zeros[1] > 0.7 and errors[1] < errors[0] + 0.03, (zeros, errors)


def test_its_part_of_the_record_is_that_of_the_examples_own_weights():
    """With weights of classes an example's penalty has the weight of its loss, in training and the record."""
    e = replace(experiment("mlp", Regularizer(activity_l1=0.1)), class_weight="balanced", dtype="float64")
    (one, *_), (other, *_) = nnlab.fit(e), nnlab.fit(replace(e, class_weight="none"))
    assert one.penalty[0] > 0 and other.penalty[0] > 0 and one.penalty[0] != other.penalty[0]


def test_a_model_without_hidden_units_is_told_that_it_does_nothing():
    e = Experiment(data=Points(classes=0), model=Linear(), regularizer=BOTH, epochs=1)
    with pytest.warns(nnlab.Advice, match="activity_l1 = 0.05 has no effect on model=linear"):
        nnlab.fit(e).run()


def test_a_planted_fault_is_found():
    verdict = gradients.check(Subject(experiment("mlp"), budget=BUDGET, plant="activity_penalty"))
    assert verdict.status == "fail" and "activity_penalty" in verdict.worst.found
