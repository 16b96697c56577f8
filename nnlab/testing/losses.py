"""The contract of a loss: its value for each example, and the gradient of the weighted sum."""

from __future__ import annotations

import torch

from nnlab.autodiff.activations import OUTPUTS
from nnlab.autodiff.operators import TorchOperators
from nnlab.experiment import Experiment
from nnlab.losses import LOSSES, Loss
from nnlab.testing.gradient_graphs import loss_twice_by_graph
from nnlab.testing.numeric import assert_near, assert_same, central
from nnlab.testing.rows import Bumps, RowIndependence, experiments


class LossContract(RowIndependence):
    """`loss` is the class.

    shapes      of outputs and targets: (K, m, B), or (S, K, m, B) for several steps at once
    targets     test targets: one-hot classes and class probabilities, or any numbers
    reference   (z, t) -> the loss of each example (..., B), in functions that autograd knows, instead of the
                loss's own `reference`. Value and gradient are compared with it
    exact, near  digits of agreement with the reference, and of the gradient with central differences
    """

    loss: type[Loss]
    shapes = ((1, 3, 5), (3, 10, 7), (2, 2, 4), (2, 3, 4, 5))
    reference = None
    exact, near = 12, 6

    def targets(self, random: torch.Generator, shape) -> list[torch.Tensor]:
        z = 2 * torch.randn(shape, generator=random, dtype=torch.float64)
        if not self.loss.needs_classes:
            return [z]
        one_hot = torch.zeros_like(z).scatter_(-2, z.argmax(-2, keepdim=True), 1)
        return [one_hot, torch.softmax(z, -2)]

    def experiments(self):
        loss = self.loss

        class WithLoss(Experiment):
            def loss_for(self, spec):
                return loss()

        rows = experiments(data=Bumps(classes=3 if loss.needs_classes else 0))
        return [WithLoss(**vars(e)) for e in rows]

    def test_it_is_described(self):
        loss = self.loss
        assert issubclass(loss, Loss), f"{loss.__name__} is not a subclass of nnlab.losses.Loss"
        assert LOSSES.get(loss.name, loss) is loss, f"nnlab has another loss of the name {loss.name!r}"
        assert loss.name.isidentifier(), f"the name {loss.name!r} is not one word"
        maps = [None, *OUTPUTS]
        assert loss.map in maps, f"map = {loss.map!r}, expected one of {maps}"
        assert isinstance(loss.needs_classes, bool), "needs_classes is True or False"

    def test_fprop_gives_a_number_for_each_example(self):
        for z, t, _ in self._cases():
            losses = self.loss().fprop(z, t)
            expected = (*z.shape[:-2], z.shape[-1])
            assert losses.shape == expected, f"shape {tuple(losses.shape)}, expected {expected}"
            assert losses.isfinite().all(), "a loss of ordinary outputs is not finite"

    def test_an_example_does_not_know_the_others(self):
        for z, t, weight in self._cases():
            loss, subset = self.loss(), torch.arange(z.shape[-1] - 1, -1, -2)
            fewer_examples = [v[..., subset].contiguous() for v in (z, t, weight)]
            assert_near(
                loss.fprop(*fewer_examples[:2]), loss.fprop(z, t)[..., subset], 13, "the loss of fewer"
            )
            subset_gradient, expected_gradient = (
                self._gradient(*fewer_examples),
                self._gradient(z, t, weight)[..., subset],
            )
            assert_near(subset_gradient, expected_gradient, 13, "the gradient of fewer")

    def test_predict_gives_an_answer_for_each_output(self):
        for z, _, _ in self._cases():
            before = z.clone()
            answer = self.loss().predict(z)
            assert answer.shape == z.shape and answer.isfinite().all(), "predict gives (..., m, B), finite"
            assert_same(z, before, "predict changed the outputs")

    def test_probabilities_of_classes_are_a_distribution(self):
        for z, _, _ in self._cases():
            loss = self.loss()
            p, scores = loss.probabilities(z), loss.scores(z)
            assert p.shape == scores.shape, "probabilities gives one for each class, (..., classes, B)"
            assert (p >= 0).all(), "a probability is below 0"
            assert_near(p.sum(-2), torch.ones_like(p.sum(-2)), 12, "the sum of the probabilities")

    def test_gradient_equals_central_differences(self):
        """Of the sum over the examples with random weights."""
        for z, t, weight in self._cases():

            def objective(z=z, t=t, weight=weight):
                return (self.loss().fprop(z, t) * weight.squeeze(-2)).flatten(1).sum(1)

            assert_near(self._gradient(z, t, weight), central(objective, z), self.near, "the gradient")

    def test_onnx_gives_the_probabilities(self):
        """By the operators that `nnlab export` writes, in the file of a classification."""
        loss = self.loss()
        for z, t, _ in self._cases():
            p = loss.probabilities(z)
            if p.shape != t.shape:
                continue
            op = TorchOperators()
            op.shapes = ((z.shape[-2],),)
            assert_near(loss.onnx(op, z), p, self.exact, f"onnx of outputs {tuple(z.shape)}")

    def test_value_and_gradient_equal_the_reference(self):
        for z, t, weight in self._cases() if self._is_compared else ():
            leaf = z.clone().requires_grad_()
            value = self._expected(leaf, t)
            (value * weight.squeeze(-2)).sum().backward()
            assert_near(self.loss().fprop(z, t), value.detach(), self.exact, "the loss")
            assert_near(self._gradient(z, t, weight), leaf.grad, self.exact, "the gradient")

    def test_its_gradient_graph_gives_what_bprop_gives(self):
        """If it has a `vjp`; and the gradient of the gradient equals torch.autograd's."""
        for z, t, weight in self._cases() if self.loss.vjp is not None else ():
            if z.ndim == 3:
                gradient, v, second = loss_twice_by_graph(self.loss(), z, t, weight)
                assert_near(gradient, self._gradient(z, t, weight), self.exact, "vjp: the gradient")
                if self._is_compared:
                    leaf = z.clone().requires_grad_()
                    value = (self._expected(leaf, t) * weight.squeeze(-2)).sum()
                    (first,) = torch.autograd.grad(value, leaf, create_graph=True)
                    (expected,) = torch.autograd.grad((first * v).sum(), leaf, materialize_grads=True)
                    assert_near(second, expected, self.exact - 1, "the gradient of the gradient")

    def test_bprop_overwrites_out_and_nothing_else(self):
        for z, t, weight in self._cases():
            before, out = [v.clone() for v in (z, t, weight)], torch.full_like(z, torch.nan)
            returned = self.loss().bprop(z, t, weight, out=out)
            assert_same(out, self._gradient(z, t, weight), "bprop keeps something of what `out` held")
            assert returned is out or returned.data_ptr() == out.data_ptr(), "bprop returns `out`"
            for v, value in zip((z, t, weight), before, strict=True):
                assert_same(v, value, "bprop changed an argument")

    def test_an_example_of_weight_zero_has_no_gradient(self):
        for z, t, weight in self._cases():
            weight[..., -1] = 0
            assert not self._gradient(z, t, weight)[..., -1].any(), "weight 0, but a gradient"

    def test_one_weight_for_all_examples(self):
        """The weight may have K = 1 and B = 1, and is broadcast."""
        for z, t, _ in self._cases():
            shared_weight = torch.full((1, 1, 1), 1 / z.shape[-1], dtype=z.dtype)
            full_weight = shared_weight.expand(*z.shape[:-2], 1, z.shape[-1])
            assert_near(
                self._gradient(z, t, shared_weight), self._gradient(z, t, full_weight), 14, "the gradient"
            )

    @property
    def _is_compared(self) -> bool:
        return self.reference is not None or self.loss.reference is not None

    def _expected(self, z, t) -> torch.Tensor:
        if self.reference is not None:
            return self.reference(z, t)
        steps = (v.flatten(0, -3) for v in (z, t))  # several steps at once as so many rows
        return self.loss().reference(*steps).unflatten(0, z.shape[:-2])

    def _gradient(self, z, t, weight):
        return self.loss().bprop(z, t, weight, out=torch.empty_like(z))

    def _cases(self):
        for shape in self.shapes:
            random = torch.Generator().manual_seed(sum(shape))
            z = 2 * torch.randn(shape, generator=random, dtype=torch.float64)
            for t in self.targets(random, shape):
                weight = torch.rand((*shape[:-2], 1, shape[-1]), generator=random, dtype=torch.float64)
                yield z.clone(), t, weight
