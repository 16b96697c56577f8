"""Metrics that people read: one error per row while training; on the test set, and on demand, all of a table.

METRICS (table.py) has each metric with its task, direction and formula. The formulas are functions of
`ClassAnswers` (classes.py) or `NumberAnswers` (numbers.py), in numpy. `TASKS` (tasks.py) has for each task
the error of a batch, in torch, and the report of a test set; it is not imported here, since screens name
metrics without waiting for torch.
"""

from nnlab.metrics.classes import MAX_MATRIX_CLASSES, ClassAnswers, ProbabilityScores, is_unbalanced
from nnlab.metrics.numbers import NumberAnswers
from nnlab.metrics.table import METRICS, Metric, cost, larger_is_better, recorded_name

__all__ = [
    "MAX_MATRIX_CLASSES",
    "METRICS",
    "ClassAnswers",
    "Metric",
    "NumberAnswers",
    "ProbabilityScores",
    "cost",
    "is_unbalanced",
    "larger_is_better",
    "recorded_name",
]
