"""Compares the schedules that halve the learning rate with a constant rate, paired over seeds.

    python scripts/schedules_beside_constant.py [--seeds 10] [--repeats 1] [--optimizers adam,sgd]
        [--tolerances 0,0.05,0.1] [--metric val_loss] [--stop-below 0.001]

Every other setting is at its default. For each data set, the mean over seeds of the test accuracy (of
diabetes, RMSE) at the constant rate, and by how much each schedule is better (points; diabetes: in its own
unit), with the largest loss last. Without --tolerances the schedules are as they come.
"""

import argparse
from dataclasses import replace

import numpy as np

import nnlab
from nnlab.data.sources import SOURCES
from nnlab.data.splits import Holdout
from nnlab.optimizers import OPTIMIZERS
from nnlab.schedules import Constant, HalveAndGoBack, HalveOnRise
from nnlab.statistics.student import t_quantile

SETS = ("digits", "iris", "wine", "breast_cancer", "moons", "spirals", "diabetes")


def variants(asked) -> dict[str, nnlab.schedules.Schedule]:
    """Name -> schedule; the constant rate first."""
    found = {"constant": Constant()}
    for kind in (HalveOnRise, HalveAndGoBack):
        if asked.tolerances is None:
            found[kind.name] = kind()
            continue
        for tolerance in map(float, asked.tolerances.split(",")):
            schedule = kind(metric=asked.metric, tolerance=tolerance, stop_below=asked.stop_below)
            found[f"{kind.name} {tolerance:g}"] = schedule
    return found


def measured(data: str, optimizer: str, schedules, asked) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy in percent, or minus the RMSE, and epochs trained, (schedules, seeds) each."""
    base = nnlab.Experiment(
        data=SOURCES[data](), optimizer=OPTIMIZERS[optimizer](), seeds=asked.seeds,
        split=Holdout(repeats=asked.repeats),
    )  # fmt: skip
    fit = nnlab.fit(*(replace(base, schedule=schedule) for schedule in schedules.values()))
    for _ in fit:
        pass
    of_rows = [100 * r.test["accuracy"] if "accuracy" in r.test else -r.test["rmse"] for r in fit.results]
    shape = (len(schedules), asked.repeats, asked.seeds)
    return np.reshape(of_rows, shape).mean(1), np.reshape([r.epochs for r in fit.results], shape).mean(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--optimizers", default="adam")
    parser.add_argument("--tolerances")
    parser.add_argument("--metric", default="val_loss")
    parser.add_argument("--stop-below", type=float, default=1e-3)
    asked = parser.parse_args()
    schedules = variants(asked)
    half = t_quantile(asked.seeds - 1) / np.sqrt(asked.seeds)
    for optimizer in asked.optimizers.split(","):
        worst = np.full(len(schedules) - 1, np.inf)
        print(f"| {optimizer} | constant | " + " | ".join(list(schedules)[1:]) + " |")
        print("|---" * (len(schedules) + 1) + "|")
        for data in SETS:
            scores, epochs = measured(data, optimizer, schedules, asked)
            better = scores[1:] - scores[0]
            if data != "diabetes":
                worst = np.minimum(worst, better.mean(1))
            cells = [
                f"{d.mean():+.2f} ± {half * d.std(ddof=1):.2f} ({e.mean():.0f} epochs)"
                for d, e in zip(better, epochs[1:], strict=True)
            ]
            print(f"| {data} | {abs(scores[0].mean()):.2f} | " + " | ".join(cells) + " |", flush=True)
        print("| worst of the classes | | " + " | ".join(f"{w:+.2f}" for w in worst) + " |\n", flush=True)


if __name__ == "__main__":
    main()
