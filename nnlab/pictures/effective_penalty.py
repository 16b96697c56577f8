"""The L2 penalty that dropout of the inputs comes to in logistic regression, for each input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nnlab.data.examples import Examples
from nnlab.losses import Loss
from nnlab.pictures.base import ShownRun
from nnlab.pictures.last_training import last_training
from nnlab.runtime.threads import computing

MOST_EXAMPLES = 2000  # of a row's training set, for the means over it


@dataclass(frozen=True)
class Penalized:
    """What a run of logistic regression did to the weights of each input; means over its rows.

    mean_square  (d,) of the inputs x_j as the network reads them: of 0 and 1, how frequent 1 is
    size         (d,) |w_j|, the norm over the outputs
    dropout      (d,) lambda_j: to second order, dropout penalises by lambda_j / 2 |w_j|^2
    l2, p        the run's own: regularizer.l2, regularizer.input_dropout
    """

    name: str
    mean_square: np.ndarray
    size: np.ndarray
    dropout: np.ndarray
    l2: float
    p: float
    metrics: dict[str, dict]  # of its summary, by name
    norm: float
    test_losses: dict[tuple, float]  # of each row: (seed, repeat, fold) -> loss


def penalized(run: ShownRun) -> Penalized:
    """The penalties of a run, from its folder; all of its rows that did not diverge are averaged."""
    e, rows = run.stored.experiment, run.model.rows_for(None)
    examples = Examples(e.data, run.dataset, torch.empty(0, dtype=torch.float64))
    loss, p = e.loss_for(run.model.spec), e.regularizer.input_dropout
    each = []
    with computing():
        for row in rows:
            fold, _ = last_training(run, row.number)
            x, _ = examples.gather(fold, fold.train[:MOST_EXAMPLES])
            W, b = (row.weights[f"output.{name}"].astype(np.float64) for name in ("weight", "bias"))
            x = x.numpy()
            penalty = dropout_penalty(x, W, b, p, loss)
            sizes = np.linalg.norm(W, axis=0)
            each.append((np.square(x).mean(1), sizes, penalty, np.linalg.norm(sizes)))
    mean_square, size, dropout, norm = (np.mean(values, axis=0) for values in zip(*each, strict=True))
    tests = {
        (row["seed"], row.get("repeat", 0), row.get("fold", 0)): row["test"]["loss"]
        for row in run.stored.rows
        if row["status"] != "diverged" and "loss" in row["test"]
    }
    settings = e.regularizer.l2, p, run.stored.summary["metrics"]
    return Penalized(run.name, mean_square, size, dropout, *settings, float(norm), tests)


def dropout_penalty(x: np.ndarray, W: np.ndarray, b: np.ndarray, p: float, loss: Loss) -> np.ndarray:
    """lambda (d,) for dropout with probability p of inputs x (d, n); weights W (m, d) and biases b (m, 1).

    Inverted dropout leaves the mean of x and gives x_ij the variance p / (1 - p) x_ij^2. So to second order

        E loss(W x~ + b) = loss(W x + b) + 1/2 sum_j lambda_j |w_j|^2
        lambda_j = p / (1 - p) mean_i (u_j' H_i u_j) x_ij^2,   u_j = w_j / |w_j|

    with the Hessian of the loss in z, H = q (1 - q) for one output with q = sigmoid(z), and diag(q) - q q'
    for softmax. That is the diagonal of the Fisher information: an input that is rarely there, or only where
    the prediction is sure, is hardly penalised. Wager, Wang and Liang 2013.
    """
    q = loss.predict(torch.from_numpy(W @ x + b)).numpy()  # (m, n)
    if len(W) == 1:
        curvature = q * (1 - q)  # (1, n), of every weight
    else:
        squares = np.square(W).sum(0)[:, None]  # (d, 1)
        curvature = np.square(W).T @ q - np.square(W.T @ q)
        curvature = np.divide(curvature, squares, out=np.zeros_like(curvature), where=squares > 0)
    return p / (1 - p) * (curvature * np.square(x)).mean(1)


def best(runs: list[Penalized]) -> Penalized | None:
    """The run with the least mean validation loss, or training loss where nothing validates."""

    def loss(run: Penalized) -> float:
        metric = run.metrics.get("val_loss", run.metrics.get("train_loss"))
        return np.inf if metric is None or metric["mean"] is None else metric["mean"]

    return min(runs, key=loss, default=None)
