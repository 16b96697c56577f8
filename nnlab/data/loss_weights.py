"""Weights of the examples: factors on their losses, by class and by example.

    w_i = c(y_i) s_i / mean_j c(y_j) s_j        j: the training examples of the row

c is `class_weight` and s the data's own weights. With a mean of 1 over the training examples, the loss of a
batch of B, sum_i w_i loss_i / B, is as large as without weights, so the same learning rates do. The loss of
a validation set is its weighted mean, by the same factors c and s. Errors, and the report of a test set,
count every example once.
"""

from __future__ import annotations

import numpy as np

from nnlab.errors import UserError, nearest

NO_CLASS_WEIGHT = "none"
PART_WORDS = {"train": "training", "validation": "validation"}  # parts of a split whose losses are weighted
TRUTH_NAMES = {"true": ("true", "1"), "false": ("false", "0")}  # what a class may be called for such a key


def is_weighted(dataset, class_weight) -> bool:
    """Whether some example's loss has a factor other than 1."""
    return dataset.weights is not None or class_weight != NO_CLASS_WEIGHT


def loss_weights(dataset, class_weight, fold) -> np.ndarray:
    """(N,) float64: the weight of each example's loss, with a mean of 1 over the fold's training examples.

    Raises `UserError` if nothing in its training or validation set has a weight above 0.
    """
    weights = np.ones(len(dataset.x)) if dataset.weights is None else _at_most_one(dataset.weights)
    if class_weight != NO_CLASS_WEIGHT:
        y = dataset.targets(noisy=True)
        weights = _at_most_one(weights * class_factors(class_weight, dataset, y, weights, fold.train)[y])
    for part in PART_WORDS:
        indices = getattr(fold, part)
        if len(indices) and not weights[indices].any():
            raise UserError(
                f"all {len(indices)} examples of a {PART_WORDS[part]} set have the weight 0: choose other "
                f"weights (class_weight, or those of the data), or another split"
            )
    return weights / weights[fold.train].mean()


def _at_most_one(weights: np.ndarray) -> np.ndarray:
    """Only ratios of weights matter, and sums of 1e308 would overflow. A power of two rounds nothing."""
    return np.ldexp(weights.astype(np.float64), -np.frexp(weights.max(initial=0))[1])


def refuse_zero_weights(rows: list, datasets) -> None:
    """Raise `UserError` if the training or validation examples of some row all have the weight 0."""
    for row in {(id(row.experiment), row.fold.key): row for row in rows}.values():
        dataset, class_weight = datasets[row.experiment.data], row.experiment.class_weight
        if is_weighted(dataset, class_weight):
            loss_weights(dataset, class_weight, row.fold)


def class_factors(class_weight, dataset, y, weights, train) -> np.ndarray:
    """(m,): the factor of each class.

    `balanced` gives every class the same share of the weight of the training examples, n / (m n_c) with n_c
    examples in class c of m, as scikit-learn does.
    """
    if class_weight != "balanced":
        return named_factors(class_weight, dataset.classes)
    totals = np.bincount(y[train], weights[train], minlength=len(dataset.classes))
    present = totals > 0
    factors = np.ones(len(totals))
    factors[present] = totals.sum() / (present.sum() * totals[present])
    return factors


def named_factors(class_weight: dict, classes) -> np.ndarray:
    """(m,): the factors by the names of their classes; 1 where there is none.

    Raises `UserError` for a name that is not a class.
    """
    factors, names = np.ones(len(classes)), list(classes)
    for key, factor in class_weight.items():
        name = key
        if key not in names and key.lower() in TRUTH_NAMES:
            name = next((n for n in names if n.lower() in TRUTH_NAMES[key.lower()]), key)
        if name not in names:
            raise UserError(f"class_weight: '{key}' is not a class of the data{nearest(key, names)}")
        factors[names.index(name)] = factor
    return factors
