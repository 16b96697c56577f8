"""Regularizers: weight penalties, dropout and augmentation. They combine: `regularizer=[l2,dropout]`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import torch

from nnlab.choices import short_repr
from nnlab.errors import UserError
from nnlab.hyperparameters import Component, column, static
from nnlab.plugins import lookup

DROPOUTS = ("dropout", "input_dropout", "dropconnect")
ACTIVITY_PENALTIES = ("activity_l1", "activity_l2")
AUGMENTATIONS = ("shift", "flip", "cutout", "input_noise")  # random changes of inputs, in this order
LARGEST_SHIFT = 10_000  # points along an axis of an image
AUTO_SMOOTHING = 0.1  # label_smoothing=auto of classes, as RealMLP has it


@dataclass(frozen=True)
class Regularizer(Component):
    """Omega(theta) = l2 / 2 sum W^2 + l1 sum |W| over the weights, never the biases; and more than penalties.

    The penalty 0.01 sum W^2 is l2 = 0.02. Every value below is the neutral one, with which it does nothing.

    proximal         l1 not by its subgradient sign(W), which never gives a weight of 0, but by a step after
                     each update that brings every weight nearer to 0 by lr l1, and no further than 0: with
                     sgd the proximal gradient method (Daubechies, Defrise and De Mol 2004);
                     beside momentum, whose steps are longer, it weighs 1 - gamma as much
    activity_l1      a penalty on hidden units instead of weights: activity_l1 sum |h| is added to the loss of
                     each example (`autodiff.activity_penalty`; Glorot, Bordes and Bengio 2011)
    activity_l2      the same of squares, activity_l2 / 2 sum h^2
    small            report the share of weights with |W| <= small as `small_weights`; null: do not
    dropout          the probability with which a hidden unit is dropped (`autodiff.dropout`)
    input_dropout    the same for inputs
    dropconnect      the same for a weight of a hidden layer, one mask for each batch
    dropconnect_inference  how a network with dropconnect is tested, and predicts. mean: with all weights;
                     gaussian: each activation is averaged over the masks (`autodiff.gaussian_inference`;
                     Wan et al. 2013). Validation after each epoch is by the mean
    shift            augmentation in training: each image is moved by up to so many points along each axis,
                     whole numbers, each as likely; the edge is repeated (`autodiff.augmentation`)
    flip             the probability with which an image is mirrored, left for right
    cutout           the side of a square of each image, at a random place, that is set to 0
    input_noise      the standard deviation of normal noise on every input that is a number, in units of the
                     normalised inputs
    max_norm         after each update, a unit's incoming weights are scaled down to this norm if theirs is
                     larger; .inf: never (Srebro and Shraibman 2005)
    label_smoothing  e: train on t <- (1 - e) t + e / m for m classes (Szegedy et al. 2016). auto: 0.1 where
                     targets are classes, 0 where they are numbers, for which other values above 0 are
                     refused. The reported losses are those of the data's own targets.
    """

    group: ClassVar[str] = "regularizer"
    l2: float = column(0.0, low=0)
    l1: float = column(0.0, low=0)
    proximal: bool = static(False)
    activity_l1: float = column(0.0, low=0)
    activity_l2: float = column(0.0, low=0)
    small: float | None = static(None, low=0)
    dropout: float = column(0.0, low=0, below=1)
    input_dropout: float = column(0.0, low=0, below=1)
    dropconnect: float = column(0.0, low=0, below=1)
    dropconnect_inference: str = static("mean", choices=("mean", "gaussian"))
    shift: int = column(0, low=0, high=LARGEST_SHIFT)
    flip: float = column(0.0, low=0, high=1)
    cutout: int = column(0, low=0, high=LARGEST_SHIFT)
    input_noise: float = column(0.0, low=0)
    max_norm: float = column(math.inf, above=0, infinite=True)
    label_smoothing: float | Literal["auto"] = column(0.0, low=0, below=1)

    @property
    def penalizes(self) -> bool:
        """Whether Omega is more than 0 somewhere: then `nnlab check` compares its gradient."""
        return type(self).penalty is not Regularizer.penalty or bool(self.l2 or self.l1)

    @property
    def penalizes_activity(self) -> bool:
        """Whether activations have a penalty: then the network of training computes it."""
        return bool(self.activity_l1 or self.activity_l2)

    def for_targets(self, classes: bool) -> Regularizer:
        """Itself, with a number instead of label_smoothing=auto: `classes` or numbers are the targets."""
        if self.label_smoothing != "auto":
            return self
        return replace(self, label_smoothing=AUTO_SMOOTHING if classes else 0.0)

    def rates(self) -> dict[str, torch.Tensor]:
        """The columns that boxes look up by name."""
        return {name: getattr(self, name) for name in (*DROPOUTS, *AUGMENTATIONS, *ACTIVITY_PENALTIES)}

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Those that do something."""
        return tuple(name for name in AUGMENTATIONS if getattr(self, name) > 0)

    def penalty(self, weights: torch.Tensor) -> torch.Tensor:
        """Omega of every row: weights (K, W) -> (K,) float64, where the weights are."""
        squares, sizes = weights.square().sum(1).double(), weights.abs().sum(1).double()
        l2, l1 = (column[:, 0].to(squares.device) for column in (self.l2, self.l1))
        return l2 / 2 * squares + l1 * sizes

    def metrics(self, weights, layers) -> dict[str, torch.Tensor]:
        """What is reported of the weights, (K,) each; `layers` are their views (K, fan_out, fan_in)."""
        found = {"penalty": self.penalty(weights)}
        if self.small is not None:
            small = sum((W.abs() <= self.small).flatten(1).sum(1) for W in layers)
            found["small_weights"] = small.double() / sum(W[0].numel() for W in layers)
        return found

    def factors(self, lr) -> dict[str, torch.Tensor]:
        """What a step uses, from the columns and lr (K, S), float64; None for what does nothing."""
        # None instead of a column of zeros: a step makes no call for what no row of the stack does.
        subgradient, shrinks = (self.l1 > 0).any(), self.proximal and (self.l1 > 0).any()
        return {
            "l2": self.l2 if (self.l2 > 0).any() else None,
            "l1": self.l1 if subgradient and not self.proximal else None,
            "shrink": lr * self.l1 if shrinks else None,
            "minus_shrink": -lr * self.l1 if shrinks else None,
            "max_norm": self.max_norm if self.max_norm.isfinite().any() else None,
        }

    def add_gradient(self, weights, grad, columns, scratch) -> None:
        """grad += l2 W + l1 sign(W), all (K, W); columns.l2 and columns.l1 (K, 1)."""
        if columns.l2 is not None:
            grad.addcmul_(weights, columns.l2)
        if columns.l1 is not None:
            grad.addcmul_(torch.sign(weights, out=scratch), columns.l1)

    def project(self, weights, layers, columns, scratch) -> None:
        """Change the weights in place after the update: W <- sign(W) max(|W| - lr l1, 0), then max_norm."""
        if columns.shrink is not None:
            weights.sub_(torch.clamp(weights, columns.minus_shrink, columns.shrink, out=scratch))
        if columns.max_norm is not None:
            for W in layers:
                scale_down(W, columns.max_norm[:, :, None])

    def smooth(self, t: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """The targets to train on, for targets t (S, K, m, B): in `out`, if that is given, or t itself."""
        if not self.smooths:
            return t
        e = self.label_smoothing[:, :, None]
        return torch.mul(t, (1 - e).to(t), out=out).add_((e / t.shape[2]).to(t))

    @property
    def smooths(self) -> bool:
        """Whether targets are changed; with auto that is not known before the data are."""
        return self.label_smoothing != "auto" and bool((torch.as_tensor(self.label_smoothing) > 0).any())


def scale_down(W: torch.Tensor, norm: torch.Tensor) -> None:
    """Divide each unit's weights, W (K, fan_out, fan_in), in place so that their norm is at most `norm`."""
    excess = torch.linalg.vector_norm(W, dim=2, keepdim=True).div_(norm)
    W.div_(torch.fmax(excess, excess.new_ones(())))  # fmax ignores a NaN, as of an infinite norm over .inf


# What the names mean that configs/regularizer/ has; `auto` is for the experiment to decide.
SETTINGS = {
    "none": {},
    "l2": {"l2": 1e-3},
    "l1": {"l1": 1e-4, "small": 1e-3},
    "activity_l1": {"activity_l1": 1e-3},
    "activity_l2": {"activity_l2": 1e-3},
    "dropout": {"dropout": 0.2},
    "input_dropout": {"input_dropout": 0.1},
    "dropconnect": {"dropconnect": 0.2},
    "shift": {"shift": 2},
    "flip": {"flip": 0.5},
    "cutout": {"cutout": 8},
    "input_noise": {"input_noise": 0.1},
    "max_norm": {"max_norm": 3.0},
    "label_smoothing": {"label_smoothing": 0.1},
}
REGULARIZERS = {name: partial(Regularizer, **settings) for name, settings in SETTINGS.items()}


def combined(names) -> Regularizer | None:
    """`["l2", "dropout"]` as one regulariser; None if it is not a list. Raises `UserError` for other words.

    One of them may be of an installed package: its class has the keys of all others too.
    """
    if not isinstance(names, (list, tuple)):
        return None
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"regularizer = {short_repr(names)}: expected names, {', '.join(SETTINGS)}")
    classes = {name: lookup(SETTINGS, "regularizer", name) for name in names if name not in SETTINGS}
    if len(classes) > 1:
        both = " and ".join(classes)
        raise UserError(f"regularizer = {short_repr(names)}: {both} do not combine; take one of them")
    make = next(iter(classes.values()), Regularizer)
    return make(**{key: value for name in names for key, value in SETTINGS.get(name, {}).items()})
