"""Measures what averaging the seeds of a run gains: accuracy and loss of the average beside those of one row.

    python scripts/averaging_gain.py [--splits 10] [--seeds 10] [--data digits ...]

Each split's seeds are tested alone, and as `nnlab predict` averages them, by their mean probabilities. The
difference is paired by split; its 95% interval is corrected for the overlap of the splits (Nadeau and Bengio
2003), so it speaks of new data like these.
"""

import argparse

import numpy as np

import nnlab
from nnlab.records.intervals import choose_interval, estimate
from nnlab.records.test_predictions import average_predictions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data", nargs="*", default=["digits", "wine", "breast_cancer", "iris"])
    args = parser.parse_args()
    for data in args.data:
        split = nnlab.Holdout(repeats=args.splits)
        fit = nnlab.fit(nnlab.Experiment(data=data, seeds=args.seeds, split=split)).run()
        y = fit.datasets[fit.experiments[0].data].y
        first, alone, together = [], [], []  # of each split: a row; (accuracy, loss) of one and of all
        for repeat in range(args.splits):
            rows = [result for result in fit.results if result.repeat == repeat]
            examples, classes, p, _ = average_predictions(rows)
            first.append(rows[0])
            alone.append([np.mean([row.test[name] for row in rows]) for name in ("accuracy", "loss")])
            of_truth = p[np.arange(len(p)), y[examples]]
            together.append([np.mean(classes == y[examples]), -np.mean(np.log(of_truth))])
        for i, (name, form) in enumerate((("accuracy", "{:.2%}"), ("loss", "{:.4f}"))):
            one, several = (form.format(np.mean(values, 0)[i]) for values in (alone, together))
            gains = np.subtract(together, alone)[:, i]
            gain = estimate(
                list(zip(first, gains.tolist(), strict=True)), choose_interval("test_loss", first)
            )
            difference, half = form.format(gain["mean"]), form.format(gain["high"] - gain["mean"])
            print(f"{data:14}{name:10}one row {one}, {args.seeds} averaged {several}: {difference} ± {half}")


if __name__ == "__main__":
    main()
