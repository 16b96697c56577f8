"""The contract of an optimiser: steps like the engine's, on rows with different hyperparameters."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from nnlab.hyperparameters import stack
from nnlab.runtime.layout import ALIGNED_FLOATS
from nnlab.testing.components import PartContract
from nnlab.testing.numeric import assert_near, assert_same

UPDATE_STEPS, P, WEIGHT_COUNT = 20, 2 * ALIGNED_FLOATS, ALIGNED_FLOATS
USED_PARAMETERS = 100  # the columns after these are padding


class OptimizerContract(PartContract):
    """`optimizer` is the class; `parts` are its rows.

    reference   (optimizer, parameters) -> the same optimiser of `torch.optim`: if given, theta is compared
                with it after every step, for the hyperparameters of `parts`
    """

    optimizer: type
    reference = None

    @property
    def part(self):
        return self.optimizer

    # ---- a step

    def test_factors_are_columns(self):
        """(K, 1) or (K, S) float64; computed for many steps at once they equal those of single steps."""
        optimizer, (lr, t) = stack(self.parts()), self._schedule_inputs(len(self.parts()))
        all_columns = optimizer.factors(lr, t)
        for name, column in all_columns.items():
            fits = column.dtype == torch.float64 and column.shape in (lr[:, :1].shape, lr.shape)
            assert fits, f"{name}: {column.dtype} {tuple(column.shape)}, not float64 (K, 1) or (K, S)"
        for s in (0, 1, 17, lr.shape[1] - 1):
            single_column = optimizer.factors(lr[:, s : s + 1], t[:, s : s + 1])
            for name, column in all_columns.items():
                column_part = column.expand_as(lr)[:, s : s + 1]
                torch.testing.assert_close(
                    column_part, single_column[name].expand_as(column_part), rtol=1e-12, atol=0
                )

    def test_padding_stays_zero(self):
        for dtype in (torch.float32, torch.float64):
            for parts in (self.parts(), [self.optimizer()] * 3):
                for theta in self._run_steps(parts, dtype):
                    assert not theta[:, USED_PARAMETERS:].any(), (
                        "a padded parameter, with gradient zero, has moved"
                    )
                    assert theta.isfinite().all(), "theta is not finite"

    def test_a_step_is_in_place_and_leaves_the_gradient(self):
        """Theta and the slots stay the same tensors, and g keeps its values."""
        self._run_steps(self.parts(), checked=True)

    def test_scratch_brings_nothing(self):
        clean, dirty = (self._run_steps(self.parts(), scratch=value) for value in (0.0, torch.nan))
        for a, b in zip(clean, dirty, strict=True):
            assert_same(a, b, "a step depends on what scratch held")

    def test_a_row_of_a_step_equals_itself_alone(self):
        parts = self.parts()
        for dtype in (torch.float32, torch.float64):
            together = self._run_steps(parts, dtype)
            for k in range(len(parts)):
                alone = self._run_steps(parts, dtype, [k])
                for step, (theta_alone, theta_stacked) in enumerate(
                    zip(alone, together, strict=True), start=1
                ):
                    assert_same(
                        theta_alone, theta_stacked[k : k + 1], f"row {k} differs from it alone at step {step}"
                    )

    def test_an_elementwise_step_in_parts_is_the_whole_step(self):
        """If the optimiser declares itself elementwise: the engine then makes its steps in blocks of
        columns."""
        if not self.optimizer.elementwise:
            return
        for whole, parts in zip(
            self._run_steps(self.parts()), self._run_steps(self.parts(), cut=True), strict=True
        ):
            assert_same(whole, parts, "not elementwise: a step looks at more of a row than one parameter")

    def test_a_step_is_deterministic(self):
        for a, b in zip(self._run_steps(self.parts()), self._run_steps(self.parts()), strict=True):
            assert_same(a, b, "the same steps gave other bits")

    def test_it_goes_downhill(self):
        """On |theta|^2 / 2 with the default hyperparameters: the gradient is theta."""
        first, *_, last = self._run_steps([self.optimizer()], bowl=True)
        assert last.norm() < first.norm(), f"|theta| went from {first.norm():.6g} to {last.norm():.6g}"

    def test_equals_the_reference(self):
        if self.reference is None:
            return
        parts, theta = self.parts(), _start(len(self.parts()), torch.float64)
        leaves = [row.clone().requires_grad_() for row in theta]
        torch_optimizers = [self.reference(part, [leaf]) for part, leaf in zip(parts, leaves, strict=True)]
        for step, theta_after in enumerate(self._run_steps(parts, constant=True, decay=slice(None)), start=1):
            g = _gradient(torch.stack([leaf.detach() for leaf in leaves]), step, range(len(parts)))
            for leaf, row_gradient, optimizer in zip(leaves, g, torch_optimizers, strict=True):
                leaf.grad = row_gradient.clone()
                optimizer.step()
            assert_near(
                theta_after, torch.stack([leaf.detach() for leaf in leaves]), 10, f"theta after step {step}"
            )

    # ---- steps

    def _run_steps(
        self, parts, dtype=torch.float64, row_indices=None, scratch=0.0, bowl=False, constant=False,
        checked=False, decay=slice(WEIGHT_COUNT), cut=False,
    ) -> list[torch.Tensor]:  # fmt: skip
        """theta (K, P) after every step, of all rows or of those in `row_indices`."""
        row_indices = range(len(parts)) if row_indices is None else row_indices
        optimizer, theta = (
            stack([parts[k] for k in row_indices]),
            _start(len(parts), dtype)[list(row_indices)],
        )
        slots = SimpleNamespace(**{name: torch.zeros_like(theta) for name in optimizer.slots})
        scratch_tensor, thetas = torch.full_like(theta, scratch), []
        lr, t = self._schedule_inputs(len(parts), constant)
        rates = optimizer.lr * lr[list(row_indices)]
        columns = optimizer.factors(rates, t[list(row_indices)]) | optimizer.limits()
        for step in range(1, UPDATE_STEPS + 1):
            f = SimpleNamespace(**{name: _column_at(column, step, dtype) for name, column in columns.items()})
            g = theta.clone() if bowl else _gradient(theta, step, row_indices)
            optimizer.clip(g, f)
            optimizer.decay(theta[:, decay], f)
            gradient_before, slots_before = g.clone(), dict(vars(slots))
            for c in (slice(ALIGNED_FLOATS), slice(ALIGNED_FLOATS, P)) if cut else (slice(P),):
                slot_views = (
                    SimpleNamespace(**{name: slot[:, c] for name, slot in slots_before.items()})
                    if cut
                    else slots
                )
                optimizer.update(theta[:, c], g[:, c], slot_views, f, scratch_tensor[:, c])
            if checked:
                assert_same(g, gradient_before, "update changed the gradient")
                same = vars(slots).keys() == slots_before.keys() and all(
                    vars(slots)[n] is v for n, v in slots_before.items()
                )
                assert same, "update must change the slots in place, and add none"
            thetas.append(theta.clone())
        return thetas

    @staticmethod
    def _schedule_inputs(rows: int, constant=False):
        """The factors of lr, and the numbers of the steps: (K, S) each, as in the engine."""
        t = torch.arange(1, ALIGNED_FLOATS + 1, dtype=torch.float64).expand(rows, -1).clone()
        return (torch.ones_like(t) if constant else 1 / (1 + 0.1 * t)), t


def _column_at(column, step: int, dtype):
    if column is None:
        return None
    return column[:, [step - 1 if column.shape[1] > 1 else 0]].to(dtype)


def _start(rows: int, dtype) -> torch.Tensor:
    theta = torch.randn(rows, P, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theta[:, USED_PARAMETERS:] = 0
    return theta.to(dtype)


def _gradient(theta, step: int, row_indices) -> torch.Tensor:
    """The gradient of a bumpy bowl, with noise that depends on row and step; zero in the padding."""
    noise = [torch.randn(P, generator=torch.Generator().manual_seed(100 * step + k)) for k in row_indices]
    g = (theta + torch.sin(3 * theta) + torch.stack(noise).to(theta)) * torch.logspace(-3, 1, P).to(theta)
    g[:, USED_PARAMETERS:] = 0
    return g
