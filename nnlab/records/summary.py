"""What all rows of a run say together: means, standard deviations, 95% intervals. No files."""

from __future__ import annotations

import math

import numpy as np

CONFIDENCE = 0.95
BEST = ("val_loss", "val_error", "train_loss", "train_error")  # of a row's best epoch


def summarize(results: list) -> dict:
    """The summary of a run's `Result`s. Plain numbers, lists and None.

    rows            how many: total, finished, stopped, diverged
    unit            what n counts: "repeat" if the run drew several splits, else "seed"
    metrics         name -> mean, std, low, high, n (see `estimate`); test metrics are `test_<name>`
    best_epoch      min, median, max over the rows
    classification  if the rows were tested on classes: classes, confusion_matrix (true, predicted)
                    summed over rows, precision and recall of each class, means over rows

    Diverged rows are counted and otherwise left out; if all diverged, `metrics` is empty.
    """
    kept = [r for r in results if r.status != "diverged"]
    unit = "repeat" if len({r.repeat for r in results}) > 1 else "seed"
    scalars = [(r, _scalars(r)) for r in kept]
    names = dict.fromkeys(name for _, values in scalars for name in values)
    metrics = {
        name: estimate([(r, values[name]) for r, values in scalars if name in values], unit) for name in names
    }
    statuses = [r.status for r in results]
    counts = {s: statuses.count(s) for s in ("finished", "stopped", "diverged")}
    summary = {"rows": {"total": len(results), **counts}, "unit": unit, "metrics": metrics}
    epochs = [r.best_epoch for r in kept]
    if epochs:
        middle = float(np.median(epochs))
        summary["best_epoch"] = {"min": min(epochs), "median": middle, "max": max(epochs)}
    tested = [r.test for r in kept if "confusion_matrix" in r.test]
    if tested:
        summary["classification"] = _classification(tested)
    return summary


def estimate(values: list[tuple], unit: str) -> dict:
    """Mean and 95% Student t interval of `values`, pairs (Result, number), over units.

    A unit is a repeat or a seed, and its value is the mean over its rows: folds share examples, and
    folds of one seed share a seed, so they are never counted as independent. With n = 1 there is no
    std, low or high (None); several folds then give `fold_std`, which is information, no interval.
    """
    means = _group_means(values, unit)
    n, mean = len(means), float(np.mean(means))
    if n == 1:
        folds = _group_means(values, "fold")
        spread = {"fold_std": float(np.std(folds, ddof=1))} if len(folds) > 1 else {}
        return {"mean": mean, "std": None, "low": None, "high": None, "n": 1, **spread}
    std = float(np.std(means, ddof=1))
    half = t_quantile(n - 1) * std / math.sqrt(n)
    return {"mean": mean, "std": std, "low": mean - half, "high": mean + half, "n": n}


def t_quantile(dof: int, confidence: float = CONFIDENCE) -> float:
    """The t for which P(|T| <= t) = confidence; T is Student's, `dof` = 1, 2, ... its freedom.

    By bisection on the finite series in theta = atan(t / sqrt(dof)) (Abramowitz and Stegun, 1964,
    26.7.3 and 26.7.4). scipy.special.stdtrit gives the same digits, but importing it takes as long
    as training a small model.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        theta = (low + high) / 2
        low, high = (theta, high) if _t_probability(theta, dof) < confidence else (low, theta)
    return math.sqrt(dof) * math.tan(theta)


def _t_probability(theta: float, dof: int) -> float:
    """P(|T| <= sqrt(dof) tan(theta))."""
    sin, cos = math.sin(theta), math.cos(theta)
    odd = dof % 2
    term, total = (cos if odd else 1.0), 0.0
    for k in range(odd + 2, dof + 1, 2):
        total += term
        term *= (k - 1) / k * cos * cos
    return 2 / math.pi * (theta + sin * total) if odd else sin * total


def _scalars(result) -> dict[str, float]:
    """The row's numbers, the best epoch's and the test's; what is missing or NaN is left out."""
    found = {name: result.best.get(name) for name in BEST}
    found |= {f"test_{name}": value for name, value in result.test.items()}
    numbers = (int, float, np.number)
    return {k: float(v) for k, v in found.items() if isinstance(v, numbers) and not math.isnan(v)}


def _group_means(values: list[tuple], key: str) -> list[float]:
    groups: dict[int, list[float]] = {}
    for result, value in values:
        groups.setdefault(getattr(result, key), []).append(value)
    return [float(np.mean(group)) for group in groups.values()]


def _classification(tests: list[dict]) -> dict:
    return {
        "classes": list(tests[0]["classes"]),
        "confusion_matrix": np.sum([t["confusion_matrix"] for t in tests], axis=0).tolist(),
        "precision": np.mean([t["precision"] for t in tests], axis=0).tolist(),
        "recall": np.mean([t["recall"] for t in tests], axis=0).tolist(),
    }
