"""What averaging rows gains on the test set: the mean of single rows beside their average.

    python scripts/averaging_rows.py [--mnist FOLDER] [--splits 5] [--rows "5 folds"]

Ten seeds on one split, five folds of one seed, and five folds of three seeds, each on several splits; MNIST
keeps its own test set.
Printed are means over the splits, and the 95% interval of the difference (Student's, over the splits).
"""

import argparse
import statistics
import warnings
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

import nnlab

ROWS = {
    "10 seeds": lambda n: {"seeds": 10, "split": nnlab.Holdout(seed=n)},
    "5 folds": lambda n: {"split": nnlab.KFold(k=5, seed=n)},
    "5 x 3": lambda n: {"split": nnlab.KFold(k=5, seed=n), "seeds": 3},
}
FIGURES = {"classification": ("error", "loss"), "regression": ("rmse", "loss")}


def data_sets(mnist: str | None) -> dict[str, nnlab.Experiment]:
    settings = nnlab.Experiment()
    experiments = {
        "digits": replace(settings, data=nnlab.Digits()),
        "breast_cancer": replace(settings, data=nnlab.BreastCancer()),
        "moons, noisy": replace(settings, data=nnlab.Moons(n=400, noise=0.4), epochs=200),
        "diabetes": replace(settings, data=nnlab.Diabetes()),
    }
    if mnist:
        data = nnlab.Idx(path=mnist, limit=10_000)
        experiments["MNIST, 10,000"] = replace(settings, data=data, model=nnlab.MLP(hidden=(128,)), epochs=10)
    return experiments


def on_test_set(e: nnlab.Experiment, figures: tuple[str, str]) -> list[tuple[float, float]]:
    """Of each figure (the mean of single rows, their average) on the test set of the experiment's split."""
    fit = nnlab.fit(e).run()
    dataset, test = fit.datasets[fit.experiments[0].data], fit.rows[0].fold.test
    y = dataset.y[test]
    labels = [dataset.spec.label(number) for number in y] if dataset.classes else y
    average = nnlab.load(fit).evaluate(dataset.x[test], labels)
    return [
        (statistics.mean(result.test[figure] for result in fit.results), average[figure])
        for figure in figures
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mnist", help="the folder of MNIST's four files")
    parser.add_argument("--splits", type=int, default=5, help="how many splits")
    parser.add_argument("--rows", choices=ROWS, help="only these")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", nnlab.Advice)
    print(f"{'data':<15}{'rows':<10}{'figure':<8}{'single':>10}{'average':>10}   difference")
    for name, e in data_sets(arguments.mnist).items():
        figures = FIGURES[e.load().spec.task]
        for rows, settings in ROWS.items():
            if arguments.rows not in (None, rows):
                continue
            each = [on_test_set(replace(e, **settings(n)), figures) for n in range(arguments.splits)]
            for figure, pairs in zip(figures, zip(*each, strict=True), strict=True):
                single, average = np.array(pairs).T
                difference = average - single
                half = student.ppf(0.975, len(pairs) - 1) * difference.std(ddof=1) / len(pairs) ** 0.5
                print(
                    f"{name:<15}{rows:<10}{figure:<8}{single.mean():>10.4f}{average.mean():>10.4f}   "
                    f"{difference.mean():.4f} ± {half:.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
