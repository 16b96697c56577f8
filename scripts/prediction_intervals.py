"""How many new examples prediction intervals hold, and how much a temperature helps, on simulated data.

    python scripts/prediction_intervals.py [--draws 40]

Each line is a mean over so many draws of training data, with its 95% interval (Student's): the share of 2,000
new examples within the intervals, and their mean width; the log loss of new examples before and after.
"""

import argparse
import warnings
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

import nnlab

NEW = 2000
SETTINGS = nnlab.Experiment(model=nnlab.MLP(hidden=(32,)), epochs=60, optimizer=nnlab.Adam(lr=0.01))
SPLITS = {
    "holdout": {"split": nnlab.Holdout(test=0.0)},
    "5 folds": {"split": nnlab.KFold(k=5, test=0.0)},
    "5 folds x 3 seeds": {"split": nnlab.KFold(k=5, test=0.0), "seeds": 3},
    "refit of holdout": {"split": nnlab.Holdout(test=0.0), "refit": True},
}


def numbers(rng, n):
    """Noise with long tails, wider on one side."""
    x = rng.uniform(-2, 2, (n, 3))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] + (0.2 + 0.2 * (x[:, 2] > 0)) * rng.standard_t(4, n)


def classes(rng, n):
    x = rng.uniform(-2, 2, (n, 3))
    p = 1 / (1 + np.exp(-3 * np.sin(2 * x[:, 0]) - x[:, 1]))
    return x, np.where(rng.uniform(size=n) < p, "yes", "no")


def mean_text(values) -> str:
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.4f} ± {half:.4f}"


def intervals(n: int, settings: dict, coverage: float, draws: int) -> None:
    shares, widths = [], []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        model = nnlab.load(nnlab.fit(replace(SETTINGS, **settings), *numbers(rng, n)).run())
        x, y = numbers(rng, NEW)
        lower, upper = model.predict_interval(x, coverage)
        shares.append(np.mean((lower <= y) & (y <= upper)))
        widths.append(np.mean(upper - lower))
    print(f"covered {mean_text(shares)}, width {mean_text(widths)}", flush=True)


def temperatures(n: int, settings: dict, metric: str, draws: int) -> None:
    before, after = [], []
    e = replace(SETTINGS, **settings, metric=metric, calibrate="temperature", epochs=200)
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        model = nnlab.load(nnlab.fit(e, *classes(rng, n)).run())
        report = model.evaluate(*classes(rng, NEW))
        before.append(report["log_loss_uncalibrated"])
        after.append(report["log_loss"])
    difference = np.subtract(after, before)
    print(f"{np.mean(before):.4f} -> {np.mean(after):.4f}, {mean_text(difference)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=40, help="how many draws of training data")
    draws = parser.parse_args().draws
    warnings.simplefilter("ignore", nnlab.Advice)
    print("prediction intervals: examples, rows, coverage asked for")
    for n in (100, 500):
        for name, settings in SPLITS.items():
            for coverage in (0.8, 0.9):
                print(f"{n:>5}  {name:<18} {coverage:<5}", end=" ")
                intervals(n, settings, coverage, draws)
    print("log loss before and after a temperature: examples, rows, metric")
    for n in (200, 1000):
        for name in ("holdout", "5 folds", "5 folds x 3 seeds"):
            for metric in ("val_loss", "last"):
                print(f"{n:>5}  {name:<18} {metric:<9}", end=" ")
                temperatures(n, SPLITS[name], metric, draws)


if __name__ == "__main__":
    main()
