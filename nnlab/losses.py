"""Losses between outputs z and targets t.

z and t are (..., m, B): m outputs, B examples. A class is one-hot over m, so `t` is a number for each
output either way; only a loss that predicts two classes by one output (`outputs`) has z (..., 1, B) beside
t (..., 2, B). `fprop` gives (..., B); `bprop` writes the gradient of the weighted sum over the
examples, weight (..., 1, B), into `out`. With weight 1/B that is the gradient of the mean loss.

Some losses have an output map built in (`map`): z are then the raw outputs of the last affine box, and the
gradient is as simple as p - t. The others take whatever the graph gives, and any map may be its last box.
Either way `predict` gives the prediction.
"""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from nnlab.autodiff.activations import Sigmoid, Softmax, Sparsemax
from nnlab.autodiff.combine import Slice
from nnlab.autodiff.elementary import Subtract, Times
from nnlab.autodiff.piecewise import Sign
from nnlab.autodiff.simplex import sparsemax, sparsemax_by_bisection, sparsemax_onnx


class Loss:
    """Base of the losses."""

    name: str
    map: str | None = None  # the output map that is built in, if any
    needs_classes = False

    # reference(self, z, t): the loss of each example (K, B), of z and t (K, m, B), in torch's own functions,
    # which autograd differentiates. With it `nnlab check` and nnlab.testing compare value and gradient.
    reference: Callable | None = None

    # vjp(self, graph, z, t): adds to `graph` boxes that compute dl / dz of each example's loss l, from the
    # numbers of z and t, and gives the number of it; see `Box.vjp`. If None, there is no gradient graph.
    vjp: Callable | None = None

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"

    def outputs(self, targets: int) -> int:
        """How many outputs the network needs for so many `targets`."""
        return targets

    def scores(self, z):
        """(..., m, B): a number for each target, from the outputs; the likeliest class has the largest."""
        return z

    def predict(self, z):
        """The prediction: the outputs z themselves, or the output map of them."""
        return z

    def probabilities(self, z):
        """(..., classes, B): a probability of each class, from the outputs of a classification.

        Here the distribution that is nearest to the prediction, which is the prediction itself where that
        is a distribution. Outputs that least squares fits to one-hot targets are probabilities but for
        errors, which may take them out of [0, 1]. The likeliest class stays the likeliest.
        """
        predictions, scores = self.predict(z), self.scores(z)
        # One output for two classes has no distribution near it.
        return sparsemax(predictions) if predictions.shape == scores.shape else torch.softmax(scores, -2)

    def onnx(self, op, z):
        """`probabilities` by ONNX's operators, which `nnlab export` writes; see `Box.onnx`. A loss that has
        `predict`, `scores` or `probabilities` of its own has this too, or its networks are not exported."""
        return sparsemax_onnx(op, z)

    def inverse_map(self, p):
        """Outputs of which the answer is p, (m, ...) probabilities: the inverse of the map."""
        return p

    def best_constant(self, t):
        """The constant output (m, 1) with the least loss on targets t (m, N)."""
        return t.mean(1, keepdim=True)

    def fprop(self, z, t):
        raise NotImplementedError

    def bprop(self, z, t, weight, out):
        raise NotImplementedError


class CrossEntropy(Loss):
    """-sum_i t_i log p_i with p = softmax(z); its gradient is p - t. Units: nats."""

    name = "cross_entropy"
    map = "softmax"
    needs_classes = True

    def predict(self, z):
        return torch.softmax(z, -2)

    def probabilities(self, z):
        return self.predict(z)

    def onnx(self, op, z):
        return op.Softmax(z, axis=-2)

    def inverse_map(self, p):
        return p.log()

    def fprop(self, z, t):
        return -(torch.log_softmax(z, -2) * t).sum(-2)

    def bprop(self, z, t, weight, out):
        torch.softmax(z, -2, out=out)
        return out.sub_(t).mul_(weight)

    def vjp(self, graph, z, t):
        return graph.apply(Subtract(), graph.apply(Softmax(), z), t)

    def reference(self, z, t):
        return F.cross_entropy(z, t, reduction="none")


class SparsemaxLoss(Loss):
    """|z - t|^2 / 2 - |z - p|^2 / 2 with p = sparsemax(z); its gradient is p - t.

    How much further the target is from z than the nearest distribution: 0 as soon as z puts the right
    class ahead of all others by 1. Martins and Astudillo 2016, eq. 22, and for targets that are
    distributions Blondel, Martins and Niculae 2020. Computed as (p - t)'(z - (p + t) / 2).
    """

    name = "sparsemax_loss"
    map = "sparsemax"
    needs_classes = True

    def predict(self, z):
        return sparsemax(z)

    def probabilities(self, z):
        return self.predict(z)

    def onnx(self, op, z):
        return sparsemax_onnx(op, z)

    def fprop(self, z, t):
        p = sparsemax(z)
        return ((p - t) * (z - (p + t) / 2)).sum(-2)

    def bprop(self, z, t, weight, out):
        sparsemax(z, out=out)
        return out.sub_(t).mul_(weight)

    def vjp(self, graph, z, t):
        return graph.apply(Subtract(), graph.apply(Sparsemax(), z), t)

    def reference(self, z, t):
        return ((z - t).square() - (z - sparsemax_by_bisection(z)).square()).sum(-2) / 2


class BinaryCrossEntropy(Loss):
    """-sum_i t_i log p_i + (1 - t_i) log(1 - p_i) with p = sigmoid(z); its gradient is p - t. Nats.

    Two classes have one output, for the second class: p is its probability, and 1 - p the first one's. More
    classes have one each, and each is its own yes or no: one against the rest.
    """

    name = "binary_cross_entropy"
    map = "sigmoid"
    needs_classes = True

    def predict(self, z):
        return torch.sigmoid(z)

    def inverse_map(self, p):
        return (p / (1 - p)).log()

    def outputs(self, targets):
        return 1 if targets == 2 else targets

    def scores(self, z):
        return torch.cat([-z, z], -2) if z.shape[-2] == 1 else z

    def probabilities(self, z):
        """Of two classes 1 - p and p. Of more, each one's p, of which the sum is made 1: through logarithms,
        so that classes that are all unlikely keep their proportions."""
        if z.shape[-2] == 1:
            return torch.sigmoid(self.scores(z))
        return torch.softmax(F.logsigmoid(z), -2)

    def onnx(self, op, z):
        if op.shapes[0] == (1,):
            return op.Sigmoid(op.Concat(op.Neg(z), z, axis=-2))
        log_p = op.Sub(op.Min(z, 0), op.Log(op.Add(op.Exp(op.Neg(op.Abs(z))), 1)))
        return op.Softmax(log_p, axis=-2)

    def fprop(self, z, t):
        return (torch.logaddexp(z, z.new_zeros(())) - _targets_of_outputs(t, z) * z).sum(-2)

    def bprop(self, z, t, weight, out):
        torch.sigmoid(z, out=out)
        return out.sub_(_targets_of_outputs(t, z)).mul_(weight)

    def vjp(self, graph, z, t):
        (outputs,), (targets,) = graph.nodes[z].shape, graph.nodes[t].shape
        if outputs < targets:
            t = graph.apply(Slice(targets - outputs, targets), t)
        return graph.apply(Subtract(), graph.apply(Sigmoid(), z), t)

    def reference(self, z, t):
        targets = t[..., -z.shape[-2] :, :]
        return F.binary_cross_entropy_with_logits(z, targets, reduction="none").sum(-2)


def _targets_of_outputs(t, z):
    """The targets that belong to the outputs z: all of them, or the second class's if there is one output."""
    return t if t.shape[-2] == z.shape[-2] else t[..., -z.shape[-2] :, :]


class SquaredError(Loss):
    """mean_i (z_i - t_i)^2, without a half; its gradient is 2 (z - t) / m."""

    name = "squared_error"

    def fprop(self, z, t):
        return (z - t).square_().mean(-2)

    def bprop(self, z, t, weight, out):
        return torch.sub(z, t, out=out).mul_(weight).mul_(2 / z.shape[-2])

    def vjp(self, graph, z, t):
        (m,) = graph.nodes[z].shape
        return graph.apply(Times(2 / m), graph.apply(Subtract(), z, t))

    def reference(self, z, t):
        return F.mse_loss(z, t, reduction="none").mean(-2)


class AbsoluteError(Loss):
    """mean_i |z_i - t_i|; its gradient is sign(z - t) / m, 0 where they are equal."""

    name = "absolute_error"

    def fprop(self, z, t):
        return (z - t).abs_().mean(-2)

    def bprop(self, z, t, weight, out):
        return torch.sub(z, t, out=out).sign_().mul_(weight).mul_(1 / z.shape[-2])

    def vjp(self, graph, z, t):
        (m,) = graph.nodes[z].shape
        return graph.apply(Times(1 / m), graph.apply(Sign(), graph.apply(Subtract(), z, t)))

    def reference(self, z, t):
        return F.l1_loss(z, t, reduction="none").mean(-2)

    def best_constant(self, t):
        return t.median(1, keepdim=True).values


LOSSES = {
    loss.name: loss for loss in (CrossEntropy, SparsemaxLoss, BinaryCrossEntropy, SquaredError, AbsoluteError)
}
LOSS_OF_MAP = {
    loss.map: name for name, loss in LOSSES.items() if loss.map
}  # output map -> the loss that has it
