"""The contract of a regulariser: its penalty, the gradient of that, and its other changes of weights."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import torch

from nnlab.experiment import Experiment
from nnlab.hyperparameters import stack
from nnlab.regularizers import Regularizer
from nnlab.runtime.layout import ALIGNED_FLOATS
from nnlab.testing.components import PartContract
from nnlab.testing.numeric import assert_near, assert_same, central
from nnlab.testing.rows import Bumps, experiments, varied

LAYER_SHAPES = ((4, 6), (3, 4))  # (fan_out, fan_in)
RATE_STEPS = ALIGNED_FLOATS


class RegularizerContract(PartContract):
    """`regularizer` is the class; `parts` are its rows."""

    regularizer: type[Regularizer]

    @property
    def part(self):
        return self.regularizer

    def parts(self):
        """Its own settings, default and varied, combined with those that every regulariser has."""
        rows = varied(self.regularizer())
        return [_combined(row, k) for k, row in enumerate(rows)]

    def experiments(self) -> list[Experiment]:
        return experiments(data=Bumps(shape=(1, 5)), regularizer=self.parts())  # augmentation wants images

    def test_the_penalty_is_a_number_of_each_row(self):
        regularizer, (weights, _) = stack(self.parts()), self._weights()
        omega = regularizer.penalty(weights)
        assert omega.shape == (len(weights),), f"penalty gives {tuple(omega.shape)}, expected (K,)"
        assert omega.dtype == torch.float64 and omega.isfinite().all() and (omega >= 0).all(), f"{omega}"

    def test_its_gradient_equals_central_differences(self):
        """`add_gradient` adds the gradient of `penalty` to `grad`, and changes nothing else."""
        regularizer, (weights, _) = stack(self.parts()), self._weights()
        grad_before = torch.randn(
            weights.shape, generator=torch.Generator().manual_seed(5), dtype=weights.dtype
        )
        grad, weights_before = grad_before.clone(), weights.clone()
        f, scratch = self._factors(regularizer), torch.full_like(weights, torch.nan)
        regularizer.add_gradient(weights, grad, f, scratch)
        assert_same(weights, weights_before, "add_gradient changed the weights")
        slope = central(lambda: regularizer.penalty(weights), weights)
        assert_near(grad - grad_before, slope, 6, "what add_gradient adds")

    def test_factors_are_columns(self):
        """(K, 1) or (K, S) float64, or None for an effect that no row has."""
        rows, lr = len(self.parts()), self._rates()
        for name, column in stack(self.parts()).factors(lr).items():
            if column is not None:
                fits = column.dtype == torch.float64 and column.shape in ((rows, 1), (rows, RATE_STEPS))
                assert fits, f"{name}: {column.dtype} {tuple(column.shape)}, not float64 (K, 1) or (K, S)"

    def test_a_row_of_it_equals_itself_alone(self):
        together = self._stepped(self.parts())
        for k in range(len(self.parts())):
            for row_result, stack_result in zip(self._stepped(self.parts(), [k]), together, strict=True):
                assert_same(row_result, stack_result[k : k + 1], f"row {k} differs from it alone")

    def test_scratch_brings_nothing(self):
        clean, dirty = (self._stepped(self.parts(), scratch=value) for value in (0.0, torch.nan))
        for a, b in zip(clean, dirty, strict=True):
            assert_same(a, b, "it depends on what scratch held")

    def _stepped(self, parts, row_indices=None, scratch=0.0) -> list[torch.Tensor]:
        """Gradient, weights after `project`, and penalty, of all rows or of those in `row_indices`."""
        row_indices = list(range(len(parts)) if row_indices is None else row_indices)
        regularizer, (weights, layers) = stack([parts[k] for k in row_indices]), self._weights(row_indices)
        grad, scratch_tensor = torch.zeros_like(weights), torch.full_like(weights, scratch)
        f = self._factors(regularizer)
        omega = regularizer.penalty(weights)
        regularizer.add_gradient(weights, grad, f, scratch_tensor)
        regularizer.project(weights, layers, f, scratch_tensor.fill_(scratch))
        return [grad, weights, omega]

    def _weights(self, row_indices=None):
        """The weights (K, W) of rows, and their layers, views (K, fan_out, fan_in)."""
        row_indices = list(range(len(self.parts()))) if row_indices is None else row_indices
        width = sum(fan_out * fan_in for fan_out, fan_in in LAYER_SHAPES)
        random = torch.Generator().manual_seed(4)
        weights = torch.randn(len(self.parts()), width, generator=random, dtype=torch.float64)[row_indices]
        weights += 0.01 * weights.sign()  # no number near the kink of |W|
        layers, first = [], 0
        for shape in LAYER_SHAPES:
            size = shape[0] * shape[1]
            layers.append(weights[:, first : first + size].unflatten(1, shape))
            first += size
        return weights, layers

    def _rates(self, rows=None) -> torch.Tensor:
        return torch.linspace(0.1, 0.01, RATE_STEPS, dtype=torch.float64).expand(
            rows or len(self.parts()), -1
        )

    def _factors(self, regularizer) -> SimpleNamespace:
        """The factors of the first step."""
        columns = regularizer.factors(self._rates(len(regularizer.l2)))
        first = {name: None if c is None else c[:, :1] for name, c in columns.items()}
        return SimpleNamespace(**first)


def _combined(row: Regularizer, k: int) -> Regularizer:
    return replace(row, l2=row.l2 + 0.05 * k, l1=row.l1 + 0.01 * (k % 2), dropout=0.2 * (k % 2))
