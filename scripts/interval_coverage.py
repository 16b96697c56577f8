"""Coverage of 95% intervals over splits: corrected for overlapping training sets, and Student's.

    python scripts/interval_coverage.py [--tables 200] [--only NAME]

Every design is trained on many tables drawn from one distribution. An interval of one table is right if it
holds the mean over all tables, so that of 95% should be right for 95% of them. Student's, without the
correction, takes splits that share most of their examples for independent ones.
"""

import argparse
from dataclasses import replace

import numpy as np

import nnlab
from nnlab.data.splits import Holdout, KFold
from nnlab.data.synthetic import Line, Moons
from nnlab.records.intervals import Interval, choose_interval, estimate
from nnlab.records.summary import summarize

METRICS = ("test_loss", "test_accuracy", "test_rmse", "val_loss", "val_error")
REPEATS = 10
LOGISTIC = nnlab.Experiment(
    split=Holdout(repeats=REPEATS), model=nnlab.Logistic(), epochs=12, optimizer=nnlab.Adam(lr=0.05),
    regularizer=nnlab.Regularizer(), threads=2,
)  # fmt: skip
LINEAR = replace(LOGISTIC, model=nnlab.Linear())
MLP = replace(LOGISTIC, model=nnlab.MLP(hidden=(16,)))


def moons(n):
    return lambda seed: Moons(n=n, noise=0.3, seed=seed)


def lines(n):
    return lambda seed: Line(n=n, noise=0.1, seed=seed)


DESIGNS = {  # table of a seed, experiment
    "10 holdouts, logistic, 100 moons": (moons(100), LOGISTIC),
    "the same, 300 moons": (moons(300), LOGISTIC),
    "the same, half of them tested": (moons(100), replace(LOGISTIC, split=Holdout(0.5, repeats=REPEATS))),
    "the same, 3 splits": (moons(100), replace(LOGISTIC, split=Holdout(repeats=3))),
    "the same, 3 seeds each": (moons(100), replace(LOGISTIC, seeds=3)),
    "the same, refitted": (moons(100), replace(LOGISTIC, refit=True)),
    "10 holdouts, MLP, 100 moons": (moons(100), MLP),
    "10 holdouts, linear regression": (lines(100), LINEAR),
    "10 times 5 folds, logistic": (moons(100), replace(LOGISTIC, split=KFold(repeats=REPEATS))),
    "10 times 5 folds, MLP": (moons(100), replace(MLP, split=KFold(repeats=REPEATS))),
    "10 times 5 folds, linear regression": (lines(100), replace(LINEAR, split=KFold(repeats=REPEATS))),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    print(f"{'':37}{'metric':16}{'corrected':>10}{'Student':>9}{'mean width':>12}")
    for name, (table, experiment) in DESIGNS.items():
        if args.only in name:
            for metric, (corrected, students, width) in coverage(table, experiment, args.tables).items():
                print(f"{name:37}{metric:16}{corrected:10.1%}{students:9.1%}{width:12.3f}", flush=True)
                name = ""


def coverage(table, experiment, tables: int) -> dict[str, tuple[float, float, float]]:
    """Metric -> the share of tables whose interval holds the mean over tables, corrected and Student's, and
    the corrected one's mean width."""
    fit = nnlab.fit(*(replace(experiment, data=table(seed + 1)) for seed in range(tables)))
    for _ in fit:
        pass
    results = [[] for _ in range(tables)]
    for result in fit.results:
        results[fit.experiment_of_row[result.row]].append(result)
    names = summarize(results[0])["metrics"]
    return {name: _coverage(results, name) for name in METRICS if name in names}


def _coverage(results: list[list], metric: str) -> tuple[float, float, float]:
    interval = choose_interval(metric, results[0])
    values = [[(r, _number(r, metric)) for r in own] for own in results]
    student = Interval("student", ("repeat",))
    corrected, students = ([estimate(own, how) for own in values] for how in (interval, student))
    truth = np.mean([m["mean"] for m in corrected])
    held = [np.mean([m["low"] <= truth <= m["high"] for m in each]) for each in (corrected, students)]
    return *map(float, held), float(np.mean([m["high"] - m["low"] for m in corrected]))


def _number(result, metric: str) -> float:
    of, name = metric.split("_")
    return result.test[name] if of == "test" else result.best[metric]


if __name__ == "__main__":
    main()
