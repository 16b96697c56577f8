"""Are labels wrong, or do the classes overlap? Where they overlap, those that differ are near the boundary.

Order the examples by how far they are from it, q from 0 to 1: by how far the answer of a network that did not
learn them is ahead of the next one. Let the share of labels that differ from the answer be

    P(q) = w + (h - w) 2 / (1 + exp(s sin(q pi / 2))).

It begins with h, a half or, where several classes meet, more, and falls towards w; how steeply, s says.
Classes that overlap have w = 0: with the distance the answer becomes certain. Labels that were changed at
random are as wrong far from the boundary as near it: w > 0. So w is the share of wrong labels, and twice the
gain in log-likelihood over w = 0 says how sure that is; its root counts standard errors. (In psychometric
functions w is the lapse rate: Wichmann and Hill 2001.)

How the distances grow with q is not known. The sine lets them grow fast and then hardly, as where the log
odds are bounded: of the ways to overlap that is most like wrong labels. If they grow otherwise, w = 0 is
seldom refused.

No more can be known from a table. Where each answer is right in three cases of four and never in more, the
labels may be wrong, or the inputs may lack what decides. And where little is left of the classes,
a slow fall and none look alike.
"""

from __future__ import annotations

import numpy as np

BINS = 50
STEEP = np.geomspace(0.05, 50, 40)
WRONG = np.linspace(0, 0.9, 91)
MEETING = (0.5, 0.6, 0.7, 0.8, 0.9)


def wrong_labels(margin: np.ndarray, differs: np.ndarray, classes: int) -> tuple[float, float]:
    """The share w and by how many standard errors it is more than 0.

    margin   (N,) how far the answer is ahead of the next one
    differs  (N,) bool: the label is another one
    """
    n = len(margin)
    q = (np.argsort(np.argsort(margin, kind="stable")) + 0.5) / n
    bins = np.minimum((q * BINS).astype(int), BINS - 1)
    total = np.bincount(bins, minlength=BINS)
    wrong = np.bincount(bins, weights=differs, minlength=BINS)
    middle = (np.arange(BINS) + 0.5) / BINS
    falling = 2 / (1 + np.exp(STEEP[:, None] * np.sin(np.pi / 2 * middle)))  # (steepness, bins)
    likelihood = np.full(len(WRONG), -np.inf)
    for h in MEETING:
        for k in np.flatnonzero(WRONG < h) if h <= 1 - 1 / classes else ():
            p = np.clip(WRONG[k] + (h - WRONG[k]) * falling, 1e-4, 1 - 1e-4)
            fit = (wrong * np.log(p) + (total - wrong) * np.log(1 - p)).sum(-1).max()
            likelihood[k] = max(likelihood[k], fit)
    best = int(likelihood.argmax())
    return float(WRONG[best]), float(np.sqrt(2 * (likelihood[best] - likelihood[0])))
