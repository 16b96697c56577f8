"""Advice where a network is no better than always answering the most frequent class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnlab.data.loss_weights import NO_CLASS_WEIGHT
from nnlab.experiment import Experiment
from nnlab.metrics import is_unbalanced

METRIC = "balanced_accuracy"


def majority_advice(tests: Sequence[dict], e: Experiment) -> str:
    """The sentence, from the test reports of an experiment's rows; "" if there is nothing to say.

    Classes that have weights already are meant to cost accuracy, so nothing is said of them.
    """
    tests = [test for test in tests if test.get("support")]
    if not tests or e.class_weight != NO_CLASS_WEIGHT:
        return ""
    support = np.sum([test["support"] for test in tests], 0)
    accuracy = np.mean([test["accuracy"] for test in tests])
    majority = support.max() / support.sum()
    if not is_unbalanced(support.tolist()) or accuracy > majority + 1e-9:
        return ""
    frequent = tests[0]["classes"][support.argmax()]
    metric = "" if e.metric == METRIC else f", and metric={METRIC} to choose the epoch by it"
    return (
        f"the accuracy {accuracy:.2%} on test examples is no better than always answering '{frequent}', the "
        f"most frequent class ({majority:.2%}); take class_weight=balanced{metric}"
    )
