"""The contract of an initialiser: shape, generator and moments of the weights that it draws."""

from __future__ import annotations

import random

import numpy as np
import torch

from nnlab.experiment import Experiment, Row
from nnlab.models import perceptron
from nnlab.streams import stream
from nnlab.testing.components import PartContract
from nnlab.training.population import initial_theta


class InitContract(PartContract):
    """`init` is the class.

    random       whether it draws random numbers at all
    fans         (fan_in, fan_out) of the tests
    activations  activations after the layer, of the tests
    moments      (fan_in, fan_out, activation) -> the mean and the standard deviation of a weight, at the
                 default hyperparameters: if given, the drawn weights are compared with them
    """

    init: type
    random = True
    fans = ((300, 100), (100, 300), (1, 2000))
    activations = ("relu", "tanh", "identity")
    moments = None

    @property
    def part(self):
        return self.init

    def test_draws_numbers_of_the_shape(self):
        for fan_in, fan_out in (*self.fans, (1, 1)):
            for activation in self.activations:
                weights = self._draw(fan_in, fan_out, activation)
                assert weights.shape == (fan_out, fan_in), f"shape {weights.shape}"
                assert weights.dtype == np.float64, f"{weights.dtype}, expected float64"
                assert np.isfinite(weights).all(), "a weight is not finite"

    def test_draws_from_the_given_generator_alone(self):
        """Neither the global generators of numpy, torch and Python nor earlier draws have any influence."""
        before = np.random.get_state(), torch.get_rng_state(), random.getstate()
        try:
            weights = []
            for seed in (0, 1, 1):
                np.random.seed(seed)
                torch.manual_seed(seed)
                random.seed(seed)
                weights.append(self._draw(30, 20, "tanh"))
        finally:
            np.random.set_state(before[0])
            torch.set_rng_state(before[1])
            random.setstate(before[2])
        same = all(np.array_equal(weights[0], other) for other in weights[1:])
        assert same, "the weights depend on more than the generator that is given"

    def test_the_seed_decides(self):
        a, b = (self._draw(30, 20, "tanh", seed) for seed in (0, 1))
        assert np.array_equal(a, b) != self.random, "random = True means: other seeds, other weights"

    def test_initial_weights_depend_on_seed_and_name_alone(self):
        """In a stack and alone; two layers of the same shape get different weights."""
        init, other = self.init(), self.init(bias=0.25)
        stacked, alone = self._initial((init, 0), (other, 1), (init, 0)), self._initial((other, 1))
        for name, p in stacked.items():
            assert torch.equal(p[0], p[2]), f"{name}: two rows of one seed differ"
            assert torch.equal(p[1], alone[name][0]), f"{name}: a row differs from it alone"
        differs = not torch.equal(stacked["hidden1.weight"], stacked["hidden2.weight"])
        assert differs == self.random, "two layers of one shape have the same weights"

    def test_mean_is_added_and_biases_are_constant(self):
        shifted = self.init(mean=0.5).weights(stream(0, "test"), (20, 30), 30, 20, "tanh")
        weights = self.init().weights(stream(0, "test"), (20, 30), 30, 20, "tanh")
        np.testing.assert_allclose(shifted, weights + 0.5, atol=1e-12, err_msg="init.mean is not added")
        for name, p in self._initial((self.init(bias=-1.5), 0)).items():
            assert not name.endswith("bias") or (p == -1.5).all(), f"{name} is not init.bias"

    def test_moments(self):
        for fan_in, fan_out in self.fans if self.moments is not None else ():
            for activation in self.activations:
                weights, n = self._draw(fan_in, fan_out, activation), fan_in * fan_out
                mean, std = self.moments(fan_in, fan_out, activation)
                case = f"fan_in {fan_in}, fan_out {fan_out}, before {activation}"
                mean_error = abs(weights.mean() - mean)
                assert mean_error <= 5 * std / n**0.5 + 1e-12, f"{case}: the mean is off by {mean_error:.3g}"
                std_error = abs(weights.std() - std)
                assert std_error <= 8 * std / n**0.5, (
                    f"{case}: the standard deviation is off by {std_error:.3g}"
                )

    def _draw(self, fan_in, fan_out, activation, seed=0) -> np.ndarray:
        return self.init().draw(stream(seed, "test"), (fan_out, fan_in), fan_in, fan_out, activation)

    def _initial(self, *rows) -> dict[str, torch.Tensor]:
        """Initial parameters by name, (K, *shape), of rows (init, seed): two hidden layers of one shape."""
        graph = perceptron(9, (9, 9), 3, "tanh")
        theta = initial_theta([Row(Experiment(init=init), seed, None) for init, seed in rows], graph)
        return {name: leaf_slice.view(theta) for name, leaf_slice in graph.layout().parameters.items()}
