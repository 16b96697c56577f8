"""Advice on unbalanced classes: where a network always answers the most frequent one, and where weights of
classes move its probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnlab.data.loss_weights import NO_CLASS_WEIGHT
from nnlab.experiment import DEFAULT_THRESHOLD, Experiment
from nnlab.metrics import is_unbalanced

METRIC = "balanced_accuracy"


def unbalanced_advice(tests: Sequence[dict], e: Experiment) -> str:
    """The sentence, from the test reports of an experiment's rows; "" if there is nothing to say."""
    tests = [test for test in tests if test.get("support")]
    if not tests:
        return ""
    support = np.sum([test["support"] for test in tests], 0)
    if not is_unbalanced(support.tolist()):
        return ""
    # Weights of classes and thresholds are meant to cost accuracy.
    if e.class_weight != NO_CLASS_WEIGHT:
        return _calibration_advice(tests, e)
    return "" if e.threshold != DEFAULT_THRESHOLD else _majority_advice(tests, support, e)


def _majority_advice(tests: list[dict], support: np.ndarray, e: Experiment) -> str:
    accuracy = np.mean([test["accuracy"] for test in tests])
    majority = support.max() / support.sum()
    if accuracy > majority + 1e-9:
        return ""
    frequent = tests[0]["classes"][support.argmax()]
    metric = "" if e.metric == METRIC else f", and metric={METRIC} to choose the epoch by it"
    return (
        f"the accuracy {accuracy:.2%} on test examples is no better than always answering '{frequent}', the "
        f"most frequent class ({majority:.2%}); take class_weight=balanced{metric}"
    )


def _calibration_advice(tests: list[dict], e: Experiment) -> str:
    """A loss with weights has its minimum where the probability of a class grows with its weight. A
    temperature divides all outputs by one number, and cannot take that back.
    """
    if e.calibrate == "none":
        return ""
    error = np.mean([test["calibration_error"] for test in tests])
    return (
        f"class_weight raises the probabilities of rare classes, and calibrate={e.calibrate} cannot undo "
        f"that: the calibration error on test examples is {error:.2%}; for true probabilities leave "
        f"class_weight out, and let threshold=balanced_accuracy or threshold=f1 decide between two classes"
    )
