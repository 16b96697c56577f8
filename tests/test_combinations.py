"""Every activation with every output map, loss and regularizer: right gradients, or an error message."""

import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from networks import Points, assert_near, bind, central, one_thread  # noqa: F401
from test_row_independence import assert_same, blobs, curves

import nnlab
from nnlab import MLP, Adam, Experiment, Regularizer, UserError
from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.box import Site
from nnlab.losses import LOSS_OF_MAP, LOSSES
from nnlab.runtime.layout import aligned
from nnlab.training.population import stack_experiments

CLASSES, NUMBERS = Points(d=3, classes=4), Points(d=3, classes=0)
DATASETS = {data: data.load() for data in (CLASSES, NUMBERS)}
MAPS = ("auto", *OUTPUTS)
# What the gradient of the objective depends on. `max_norm` and `proximal` act after the update.
REGULARIZERS = {
    "none": {},
    "l2": dict(l2=0.3),
    "l1": dict(l1=0.2),
    "dropout": dict(dropout=0.4),
    "input_dropout": dict(input_dropout=0.4),
    "dropconnect": dict(dropconnect=0.4),
    "label_smoothing": dict(label_smoothing=0.2),
    "all": dict(l2=0.3, l1=0.2, dropout=0.3, input_dropout=0.2, dropconnect=0.4, label_smoothing=0.1),
}

ALONE = [kind for kind in REGULARIZERS if kind not in ("none", "all")]


def fits(output, loss):
    """A map and a loss go together if the loss has that map, or none, built in."""
    return LOSSES[loss].map in (None, output) or output == "auto"


PAIRS = [(output, loss) for loss in LOSSES for output in MAPS]
GOOD = [pair for pair in PAIRS if fits(*pair)]
DISTINCT = [(output, loss) for output, loss in GOOD if output != "auto"]

every_pair = pytest.mark.parametrize("output, loss", PAIRS, ids=map("-".join, PAIRS))
every_good_pair = pytest.mark.parametrize("output, loss", GOOD, ids=map("-".join, GOOD))
every_distinct_pair = pytest.mark.parametrize("output, loss", DISTINCT, ids=map("-".join, DISTINCT))


# ---- gradients


class Objective:
    """Mean loss plus penalty of two rows, as the engine computes them, on five examples."""

    def __init__(self, experiments, seed):
        e, self.rows, B = stack_experiments(experiments), len(experiments), 5
        dataset, like = DATASETS[CLASSES], torch.empty(0, dtype=torch.float64)
        self.loss, self.regularizer = e.loss_for(dataset.spec), e.regularizer
        graph = experiments[0].graph(dataset.spec)
        layout = graph.layout()
        self.leaf_slices, self.end, size = layout.parameters, layout.weights_end, layout.size
        self.theta, self.grad = (aligned(self.rows, (size,), like) for _ in range(2))
        self.views = {name: leaf_slice.view(self.theta) for name, leaf_slice in self.leaf_slices.items()}
        self.draws = torch.Generator().manual_seed(seed)
        for view in self.views.values():
            view[:] = self.normal(*view.shape[1:]) * 0.8
        self.x, classes = self.normal(3, B), torch.randint(4, (self.rows, B), generator=self.draws)
        t = torch.nn.functional.one_hot(classes, 4).mT.double()
        self.t = self.regularizer.smooth(t[None])[0]
        site = Site(self.rows, B, True, like, e.regularizer.rates())
        self.network = graph.bind(self.theta, self.grad, site)
        for _, ctx in self.network.stochastic:
            shape = (self.rows, *ctx.noise_shape)
            ctx.uniforms = torch.rand(shape, generator=self.draws, dtype=torch.float64)

    def normal(self, *shape):
        return torch.randn(self.rows, *shape, generator=self.draws, dtype=torch.float64)

    def value(self):
        loss = self.loss.fprop(self.network.fprop(self.x), self.t).mean(1)
        return loss + self.regularizer.penalty(self.theta[:, : self.end])

    def gradients(self):
        z, weight = self.network.fprop(self.x), torch.full((1, 1, 5), 0.2, dtype=torch.float64)
        self.network.bprop(self.loss.bprop(z, self.t, weight, torch.empty_like(z)))
        f = SimpleNamespace(**self.regularizer.factors(torch.ones(self.rows, 1)))
        weights, grad = self.theta[:, : self.end], self.grad[:, : self.end]
        self.regularizer.add_gradient(weights, grad, f, torch.empty_like(weights))
        return {name: leaf_slice.view(self.grad).clone() for name, leaf_slice in self.leaf_slices.items()}


def assert_gradients(model, loss, regularizer, seed):
    e = Experiment(data=CLASSES, model=model, loss=loss, dtype="float64")
    half = {name: value / 2 for name, value in regularizer.items()}
    objective = Objective([replace(e, regularizer=Regularizer(**r)) for r in (regularizer, half)], seed)
    by_bprop = objective.gradients()
    assert_near(
        torch.cat([g.flatten(1) for g in by_bprop.values()], 1),
        torch.cat([central(objective.value, view).flatten(1) for view in objective.views.values()], 1),
        6,
    )


@every_distinct_pair
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_of_the_objective(activation, output, loss):
    """With every regulariser, in a random network whose other layers have other activations.

    With none of them and with all together, and with one alone: each of them beside a seventh of the triples.
    """
    name = (activation, output, loss)
    alone = random.Random(repr(name)).choice(ALONE)
    for number, kind in enumerate(("none", "all", alone)):
        regularizer, r = REGULARIZERS[kind], random.Random(repr((*name, kind)))
        hidden = tuple(r.randint(1, 3) for _ in range(r.randint(1, 2)))
        others = [r.choice(sorted(ACTIVATIONS)) for _ in hidden[1:]]
        model = MLP(hidden=hidden, activation=(activation, *others), output=output)
        assert_gradients(model, loss, regularizer, seed=number)


# ---- what goes together


@every_pair
@pytest.mark.parametrize("data", DATASETS, ids=["classes", "numbers"])
def test_a_combination_trains_or_is_refused_in_one_sentence(data, output, loss):
    e = Experiment(data=data, model=MLP(hidden=(5,), output=output), loss=loss, epochs=2)
    for_classes = LOSSES[loss].needs_classes or output in ("softmax", "sparsemax")
    if fits(output, loss) and (data.classes or not for_classes):
        first, second = nnlab.fit(e)
        assert second.train_loss[0] < first.train_loss[0] * 1.1
        return
    with pytest.raises(UserError) as error:
        nnlab.fit(e)
    message = str(error.value)
    assert "\n" not in message and "allowed" in message
    assert f"loss = '{loss}'" in message or f"model.output = '{output}'" in message


@pytest.mark.parametrize("loss", LOSSES)
def test_auto_is_the_map_of_the_loss_or_none(loss):
    matching_map = LOSSES[loss].map or "identity"
    auto, named = (
        Experiment(model=MLP(output=o), loss=loss).graph(DATASETS[CLASSES].spec)
        for o in ("auto", matching_map)
    )
    assert [node.name for node in auto.nodes] == [node.name for node in named.nodes]
    assert auto.nodes[-1].name == "output"


@pytest.mark.parametrize("output", MAPS)
def test_the_usual_loss_of_an_output_map_is_the_one_that_has_it(output):
    usual = {"auto": "cross_entropy", "identity": "squared_error"} | LOSS_OF_MAP
    assert Experiment(model=MLP(output=output)).loss_for(DATASETS[CLASSES].spec).name == usual[output]


@every_good_pair
def test_predictions_and_what_is_reported_agree(output, loss):
    """Probabilities are some where a map says so, and the class reported is the one predicted."""
    e = Experiment(data=CLASSES, model=MLP(output=output), loss=loss)
    objective = Objective([e], 0)
    z = objective.network.fprop(objective.x)
    p = objective.loss.predict(z)
    assert torch.equal(p.argmax(1), z.argmax(1))
    output_map = objective.loss.map or output
    if output_map in ("softmax", "sparsemax"):
        assert_near(p.sum(1), torch.ones(1, 5).double(), 13)
    if output_map in OUTPUTS and output_map != "identity":
        assert p.min() >= 0 and p.max() <= 1
        raw = Objective([replace(e, model=MLP(output="auto"), loss="auto")], 0)
        same = bind(OUTPUTS[output_map](), [(4,)], 1, 5).fprop(raw.network.fprop(raw.x))
        assert_near(p, same, 14)


def test_one_activation_for_each_layer():
    model = MLP(hidden=[3, 4], activation=["relu", "tanh"])
    names = [node.name for node in model.graph((2,), 2).nodes]
    assert [name for name in names if name[:-1] in ACTIVATIONS] == ["relu1", "tanh2"]
    one, two = (MLP(hidden=(3, 4), activation=a) for a in ("tanh", ("tanh", "tanh")))
    assert list(one.graph((2,), 2).parameters.values()) == list(two.graph((2,), 2).parameters.values())


WRONG = [
    (dict(hidden=(64,), activation=("relu", "tanh")), ["[relu, tanh]", "model.hidden = [64] has 1, not 2"]),
    (dict(hidden=(), activation=("relu",)), ["model.activation = [relu]", "model.hidden = [] has 0"]),
    (dict(activation=("rel",)), ["model.activation = ['rel']", "one of", "leaky_relu", "or a list of them"]),
    (dict(output="softmx"), ["model.output = 'softmx'", "did you mean 'softmax'"]),
]


@pytest.mark.parametrize("keys, phrases", WRONG, ids=[phrases[0] for _, phrases in WRONG])
def test_wrong_models_are_told(keys, phrases):
    with pytest.raises(UserError) as error:
        MLP(**keys)
    message = str(error.value)
    assert all(word in message for word in phrases) and "\n" not in message, message


# ---- bits

STACKS = [(90, 7, 3, (13, 6), 16), (83, 9, 4, (17,), 7), (70, 2, 2, (1,), 11)]


def assert_rows_are_their_own(models, loss):
    """A stack of five rows that differ in everything, and some of them alone."""
    for model, (n, d, classes, hidden, batch) in zip(models, STACKS, strict=True):
        rows = [
            Experiment(
                data=blobs(n, d, classes), model=model(hidden), loss=loss, batch_size=batch, epochs=2, seed=k,
                optimizer=Adam(lr=0.002 * (k + 1)),
                regularizer=Regularizer(l2=1e-3 * (k % 2), dropout=0.1 * (k % 3), label_smoothing=0.05 * k),
            )
            for k in range(5)
        ]  # fmt: skip
        together = curves(rows)
        assert_same([together[0], together[3]], [curves([rows[k]])[0] for k in (0, 3)], "five rows and one")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rows_with_an_activation(activation):
    assert_rows_are_their_own([lambda hidden: MLP(hidden=hidden, activation=activation)] * 3, "auto")


@pytest.mark.parametrize(
    "output, loss", [p for p in GOOD if p[0] != "auto" or LOSSES[p[1]].map], ids="-".join
)
def test_rows_with_an_output_map_and_a_loss(output, loss):
    assert_rows_are_their_own([lambda hidden: MLP(hidden=hidden, output=output)] * 3, loss)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_of_odd_blocks(activation):
    """A row's value and derivative among others, and alone: tails of every length, in float32."""
    r = np.random.default_rng(0)
    for n, B in [(1, 1), (3, 5), (7, 11), (5, 13), (2, 31), (64, 1), (9, 64)]:
        like = torch.empty(0)
        x, dy = aligned(5, (n, B), like), aligned(5, (n, B), like)
        x[:], dy[:] = (torch.from_numpy(3 * r.standard_normal((5, n, B))).float() for _ in range(2))
        box, one = (bind(ACTIVATIONS[activation](), [(n,)], k, B, dtype=like.dtype) for k in (5, 1))
        y, (dx,) = box.fprop(x), box.bprop(dy)
        for k in range(5):
            assert torch.equal(one.fprop(x[k : k + 1])[0], y[k]), (n, B)
            assert torch.equal(one.bprop(dy[k : k + 1])[0][0], dx[k]), (n, B)
