"""A trained model by ONNX's operators, from inputs as the data have them to what is predicted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.graph import Graph, Node
from nnlab.autodiff.operators import Operators
from nnlab.errors import UserError
from nnlab.losses import Loss
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.portable_inputs import PortableInputs
from nnlab.prediction.trained_rows import TrainedRow, mean_threshold
from nnlab.training.calibration import temperatures
from nnlab.training.population import stack_experiments
from nnlab.training.thresholds import thresholds_of_classes


@dataclass(frozen=True)
class PortableModel:
    """Some rows of a model, which `outputs` describes in operators: the inputs, the networks of all rows as
    one stack (K, units, B), probabilities, and their mean over the rows.

    dtype  of inputs and outputs, float32 or float64; the network computes in the run's
    """

    model: TrainedModel
    rows: list[TrainedRow]
    dtype: str

    @cached_property
    def graph(self) -> Graph:
        return self.model.experiment.graph(self.model.spec)

    @cached_property
    def loss(self) -> Loss:
        return self.model.experiment.loss_for(self.model.spec)

    @property
    def network_dtype(self) -> str:
        return self.model.experiment.dtype

    def refuse_missing_rules(self) -> None:
        """Raise `UserError` for a box or a loss that does not say what it is in operators."""
        if self.model.experiment.averages_masks:
            raise UserError(
                "a run with regularizer.dropconnect_inference = 'gaussian' averages over masks, which is not "
                "exported; allowed: a run with dropconnect_inference=mean"
            )
        for box in {type(node.box): node.box for node in self.graph.nodes if node.box is not None}.values():
            if not _has_rule(type(box), ("fprop",)):
                raise UserError(_no_rule(f"the box '{box.name}'", type(box)))
        answers = ("probabilities", "predict", "scores")
        if self.model.spec.classes and not _has_rule(type(self.loss), answers):
            raise UserError(_no_rule(f"the loss '{self.loss.name}'", type(self.loss)))

    def outputs(self, op: Operators, x) -> dict:
        """x (B, *shape) -> prediction, and of a classification probabilities (B, classes)."""
        x = op.Transpose(op.Flatten(x, axis=1), perm=[1, 0])  # (d_raw, B)
        normalizers = [row.normalizer for row in self.rows]
        inputs = PortableInputs(self.model.spec.encoding, normalizers, self.network_dtype).inputs(op, x)
        z = op.Cast(self._network(op, inputs), to="float64")  # (K, m, B)
        temperature = temperatures([row.calibration for row in self.rows])
        if temperature is not None:
            z = op.Div(z, op.constant(temperature, name="temperature"))
        return self._classes(op, z) if self.model.spec.classes else self._numbers(op, z)

    def _network(self, op: Operators, x):
        """The last value of the graph, (K, m, B)."""
        nodes, values, op.rows = self.graph.nodes, [], len(self.rows)
        for node in nodes:
            if node.box is None:
                values.append(self._leaf(op, node, x))
                continue
            operands = [values[i] for i in node.operands]
            op.shapes = tuple(nodes[i].shape for i in node.operands)
            values.append(operands[0] if node.box.is_identity(self._site) else node.box.onnx(op, *operands))
        op.shapes = (nodes[-1].shape,)
        return values[-1]

    def _leaf(self, op: Operators, node: Node, x):
        if node.leaf is not None:
            return self._constant(op, np.stack([row.weights[node.name] for row in self.rows]), node.name)
        return x if len(node.shape) == 1 else op.Reshape(x, shape=[0, *node.shape, -1])

    @cached_property
    def _site(self) -> Site:
        """That of a network which does not train."""
        count, template = len(self.rows), torch.empty(0)
        rates = stack_experiments([self.model.experiment] * count).regularizer.rates()
        return Site(count, 1, False, template, rates)

    def _classes(self, op: Operators, z) -> dict:
        p = op.ReduceMean(self.loss.onnx(op, z), axes=[0], keepdims=0)  # (classes, B)
        # Among rounded probabilities of one row, two may both be the largest; its scores are not rounded.
        is_ranked = len(self.rows) == 1 and type(self.loss).scores is Loss.scores
        scores = op.ReduceMean(z, axes=[0], keepdims=0) if is_ranked else p
        threshold = mean_threshold(self.rows)
        if threshold is not None:  # see `above_threshold`
            thresholds = thresholds_of_classes(threshold, self.model.spec)
            scores = op.Sub(p, op.constant(thresholds, name="threshold"))
        return {
            "prediction": op.ArgMax(scores, axis=0, keepdims=0),
            "probabilities": op.Cast(op.Transpose(p, perm=[1, 0]), to=self.dtype),
        }

    def _numbers(self, op: Operators, z) -> dict:
        """Predictions in the target's unit: (B,), or (B, m) of several targets."""
        z = op.Mul(z, self._of_targets(op, "target_scale"))
        z = op.ReduceMean(op.Add(z, self._of_targets(op, "target_mean")), axes=[0], keepdims=0)
        z = op.Cast(op.Transpose(z, perm=[1, 0]), to=self.dtype)
        return {"prediction": op.Reshape(z, shape=[-1]) if self.model.spec.outputs == 1 else z}

    def _of_targets(self, op: Operators, name: str):
        """A statistic of the targets of every row, (K, m, 1)."""
        arrays = np.stack([row.normalizer[name] for row in self.rows])
        return op.constant(arrays[:, :, None].astype(np.float64), name=name)

    def _constant(self, op: Operators, array: np.ndarray, name: str = ""):
        return op.constant(array.astype(self.network_dtype), name=name)


def _has_rule(part: type, computed: tuple[str, ...]) -> bool:
    """Whether the class has `onnx`, and no class below the one that has it computes something else."""
    rule, *others = (
        next((n for n, cls in enumerate(part.__mro__) if name in vars(cls)), len(part.__mro__))
        for name in ("onnx", *computed)
    )
    return getattr(part, "onnx", None) is not None and all(rule <= other for other in others)


def _no_rule(what: str, part: type) -> str:
    return (
        f"{what} ({part.__module__}.{part.__name__}) cannot be exported: it has no method onnx, which "
        f"docs/extending.md describes"
    )
