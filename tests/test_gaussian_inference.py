"""DropConnect's inference by moments: against sampled masks, and the same bits whatever stands beside."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import Points, one_thread  # noqa: F401
from scipy.integrate import quad
from scipy.stats import norm

import nnlab
from nnlab import CNN, MLP, Experiment, Regularizer, UserError
from nnlab.autodiff.activations import ACTIVATIONS
from nnlab.autodiff.box import Site
from nnlab.autodiff.gaussian_inference import CELLS, MeanActivation, cell_means
from nnlab.autodiff.network import BoundBox
from nnlab.errors import Advice
from nnlab.prediction.portable import PortableModel
from nnlab.testing.rows import Bumps

MASKS = 4000
GAUSSIAN = Regularizer(dropconnect=0.5, dropconnect_inference="gaussian")
BASE = Experiment(
    data=Points(n=90, d=40), model=MLP(hidden=(30, 20), activation="tanh"), regularizer=GAUSSIAN, epochs=3,
    batch_size=16, dtype="float64",
)  # fmt: skip


def sampled(x, W, b, f, p, random):
    """The mean of f over masks of W, and its standard error, (units, n) each: x (n, d)."""
    total = squares = 0
    for _ in range(MASKS):
        kept = (random.random(W.shape) >= p) / (1 - p)
        h = f((W * kept) @ x.T + b)
        total, squares = total + h, squares + h**2
    mean = total / MASKS
    return mean, np.sqrt((squares / MASKS - mean**2) / MASKS)


@pytest.mark.parametrize("activation, f", [("tanh", np.tanh), ("relu", lambda u: np.maximum(u, 0)),
                                           ("sigmoid", lambda u: 1 / (1 + np.exp(-u)))])  # fmt: skip
def test_it_is_the_mean_over_sampled_masks(activation, f):
    """Layer by layer, as the paper has it: the second layer reads the mean of the first."""
    e = replace(BASE, model=replace(BASE.model, activation=activation))
    model, x = nnlab.load(nnlab.fit(e).run()), Points(n=12, d=40).load().x
    row, random = model.rows[0], np.random.default_rng(0)
    h, errors = (x - row.normalizer["mean"]) / row.normalizer["scale"], []
    for layer in ("hidden1", "hidden2"):
        mean, error = sampled(
            h, *(row.weights[f"{layer}.{name}"] for name in ("weight", "bias")), f, 0.5, random
        )
        h, errors = mean.T, [*errors, error.max()]
    z = (row.weights["output.weight"] @ h.T + row.weights["output.bias"]).T
    size = abs(row.weights["output.weight"]).sum(1).max()
    by_moments = model.outputs(x)
    by_mean = nnlab.TrainedModel(replace(e, regularizer=Regularizer()), model.spec, model.rows).outputs(x)
    assert abs(by_moments - z).max() < 4 * size * max(errors)
    assert abs(by_moments - z).max() < 0.3 * abs(by_mean - z).max()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_cells_integrate_every_activation(name):
    """Within 0.003 standard deviations of the integral by adaptive quadrature."""
    box = ACTIVATIONS[name]()
    mean, deviation = (v.flatten() for v in np.meshgrid([-2.0, -0.3, 0.0, 1.0], [0.1, 1.0, 3.0]))
    shape = (len(mean), 1)
    site = Site(1, 1, False, torch.zeros(0, dtype=torch.float64))
    if box.is_identity(site):
        return
    bound = BoundBox(MeanActivation(box), site, [(len(mean),)] * 2, shape, (None, None))
    y = bound.fprop(*(torch.from_numpy(v).view(1, *shape) for v in (mean, deviation**2))).flatten()
    plain = BoundBox(box, site, [(1,)], (1, 1), (None,))

    def f(u):
        return float(plain.fprop(torch.full((1, 1, 1), float(u), dtype=torch.float64)))

    for m, s, value in zip(mean, deviation, y.tolist(), strict=True):
        integral = quad(lambda z, m=m, s=s: f(m + s * z) * norm.pdf(z), -8, 8, points=[-m / s], limit=100)[0]
        assert value == pytest.approx(integral, abs=0.003 * s)


def test_cells_have_the_mean_and_nearly_the_variance_of_a_normal_number():
    z = np.array(cell_means(CELLS))
    assert len(z) == 64 and (np.diff(z) > 0).all() and abs(z.mean()) < 1e-12 and 0.99 < (z**2).mean() < 1


def test_training_tests_as_the_trained_model_does_and_validates_by_the_mean():
    by_mean, gaussian = (
        nnlab.fit(replace(BASE, regularizer=replace(GAUSSIAN, dropconnect_inference=how), seeds=2))
        for how in ("mean", "gaussian")
    )
    for a, b in zip(by_mean, gaussian, strict=True):
        assert a.val_loss.tolist() == b.val_loss.tolist()
    dataset, model = BASE.data.load(), nnlab.load(gaussian)
    for k, (one, other) in enumerate(zip(by_mean.results, gaussian.results, strict=True)):
        assert all((one.weights[name] == other.weights[name]).all() for name in one.weights)
        test = gaussian.rows[k].fold.test
        report = model.evaluate(dataset.x[test], model.classes[dataset.y[test]], row=k)
        assert report == other.test and one.test["loss"] != other.test["loss"]


@pytest.mark.filterwarnings("ignore:regularizer.dropconnect_inference = 'gaussian' has no effect")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_prediction_has_the_same_bits_whatever_stands_beside(dtype):
    """Of a row in a stack and alone, and of an example in any batch; where nothing is dropped too."""
    experiments = [
        replace(BASE, regularizer=replace(GAUSSIAN, dropconnect=p), seed=k, dtype=dtype)
        for k, p in enumerate((0.5, 0.0, 0.2))
    ]
    fit, x = nnlab.fit(*experiments).run(), Points(n=70, d=40).load().x
    for k, e in enumerate(experiments):
        alone = nnlab.fit(e).run()
        assert alone.results[0].test == fit.results[k].test
        model = nnlab.load(alone)
        z = model.outputs(x)
        parts = [model.outputs(x[part]) for part in (slice(0, 3), slice(3, 40), slice(40, None))]
        assert (np.concatenate(parts) == z).all()


def test_convolutions_have_it_and_normalised_layers_are_refused():
    e = Experiment(data=Bumps(shape=(1, 6, 6)), model=CNN(blocks=(3, "pool"), hidden=(5,)), epochs=1)
    run = nnlab.fit(replace(e, regularizer=GAUSSIAN)).run()
    assert np.isfinite(run.results[0].test["loss"])
    model = nnlab.load(run)
    with pytest.raises(UserError, match="averages over masks, which is not exported"):
        PortableModel(model, model.rows, "float32").refuse_missing_rules()
    with pytest.raises(UserError, match="batch_norm1 follows hidden1, a layer whose weights are dropped"):
        nnlab.fit(replace(BASE, model=MLP(hidden=(5,), normalization="batch")))


def test_where_no_weights_are_dropped_it_is_advised_against():
    with pytest.warns(Advice, match="has no effect where no weights are dropped"):
        nnlab.fit(replace(BASE, regularizer=replace(GAUSSIAN, dropconnect=0.0)))
