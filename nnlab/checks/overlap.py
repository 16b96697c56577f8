"""Estimates the share of wrong labels, and tells it from an overlap of classes, which shows near the
boundary.

Order the examples by their distance from it, q from 0 to 1: by the margin of the answer of a network that was
not trained on them. Let the share of labels that differ from the answer be

    P(q) = w + (h - w) 2 / (1 + exp(s sin(q pi / 2))).

It starts at h, a half or, where several classes meet, more, and falls towards w with a steepness s. Classes
that overlap have w = 0: with the distance the answer becomes certain. Labels that were changed at random are
as wrong far from the boundary as near it: w > 0. So w is the share of wrong labels, and twice the gain in
log-likelihood over w = 0 says how sure that is; its square root counts standard errors. (In psychometric
functions w is the lapse rate: Wichmann and Hill 2001.)

How distances grow with q is not known. The sine lets them grow fast and then hardly, as where the log odds
are bounded: of all kinds of overlap that is most like wrong labels. If they grow otherwise, w = 0 is seldom
rejected.

No more can be known from a table. Where each answer is right in three cases of four and never in more, the
labels may be wrong, or the inputs may lack what decides. And where little is left of the classes, a slow fall
looks like none.
"""

from __future__ import annotations

import numpy as np

BIN_COUNT = 50  # bins of q
STEEPNESS_GRID = np.geomspace(0.05, 50, 40)  # s
WRONG_SHARES = np.linspace(0, 0.9, 91)  # w
BOUNDARY_SHARES = (0.5, 0.6, 0.7, 0.8, 0.9)  # h


def wrong_labels(margin: np.ndarray, differs: np.ndarray, classes: int) -> tuple[float, float]:
    """The share w of wrong labels, and by how many standard errors it is above 0.

    margin   (N,): the log odds of the predicted class against the second
    differs  (N,) bool: the label is not the predicted class
    """
    n = len(margin)
    q = (np.argsort(np.argsort(margin, kind="stable")) + 0.5) / n
    bins = np.minimum((q * BIN_COUNT).astype(int), BIN_COUNT - 1)
    total = np.bincount(bins, minlength=BIN_COUNT)
    wrong = np.bincount(bins, weights=differs, minlength=BIN_COUNT)
    middle = (np.arange(BIN_COUNT) + 0.5) / BIN_COUNT
    falling = 2 / (1 + np.exp(STEEPNESS_GRID[:, None] * np.sin(np.pi / 2 * middle)))  # (steepness, bins)
    likelihood = np.full(len(WRONG_SHARES), -np.inf)
    for h in BOUNDARY_SHARES:
        if h > 1 - 1 / classes:  # more than the error rate where all classes meet
            break
        for k in np.flatnonzero(WRONG_SHARES < h):
            # Clipped, so that a single label cannot make the likelihood zero.
            p = np.clip(WRONG_SHARES[k] + (h - WRONG_SHARES[k]) * falling, 1e-4, 1 - 1e-4)
            fit = (wrong * np.log(p) + (total - wrong) * np.log(1 - p)).sum(-1).max()
            likelihood[k] = max(likelihood[k], fit)
    best = int(likelihood.argmax())
    return float(WRONG_SHARES[best]), float(np.sqrt(2 * (likelihood[best] - likelihood[0])))
