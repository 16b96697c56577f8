"""The majority vote of several rows on the class of each example."""

from __future__ import annotations

import numpy as np


def majority(votes: np.ndarray, p: np.ndarray) -> np.ndarray:
    """(n,): the class that most of the K rows vote for, votes (K, n); of classes with equally many votes the
    one with the largest mean probability, p (m, n).

    >>> majority(np.array([[0, 1], [0, 2], [1, 0]]), np.array([[0.4, 0.3], [0.6, 0.2], [0.0, 0.5]]))
    array([0, 2])
    """
    counts = (votes[:, None] == np.arange(len(p))[:, None]).sum(0)  # (m, n)
    return np.where(counts == counts.max(0), np.nan_to_num(p, nan=0.0), -1.0).argmax(0)


class Votes:
    """The vote on labelled examples, block by block, and its `report`:

    accuracy, error  the shares of examples on which the vote is right and wrong
    ties             how many examples the mean probability decided
    """

    def __init__(self):
        self.examples = self.wrong = self.ties = 0

    def add(self, votes: np.ndarray, p: np.ndarray, targets: np.ndarray) -> None:
        """Take votes (K, n), mean probabilities (m, n) and the true classes (n,)."""
        counts = (votes[:, None] == np.arange(len(p))[:, None]).sum(0)
        self.examples += len(targets)
        self.wrong += int((majority(votes, p) != targets).sum())
        self.ties += int(((counts == counts.max(0)).sum(0) > 1).sum())

    def report(self) -> dict:
        error = self.wrong / self.examples
        return {"accuracy": 1 - error, "error": error, "ties": self.ties}
