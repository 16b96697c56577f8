"""The default experiment beside scikit-learn's MLPClassifier: test accuracy on the same splits of digits.

    python scripts/accuracy_digits.py [--splits 10] [--seeds 10] [key=value ...]

Both train on the same training examples, standardised by them; nnlab chooses its epoch by the validation
set, which MLPClassifier (same hidden sizes, its own defaults) never sees. The differences are paired by
split, each the mean over seeds; the interval is Student's over splits. `key=value` are overrides as
`nnlab train` takes them.
"""

import argparse
import warnings

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scipy import stats
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import nnlab
from nnlab.commands.train import of_experiment
from nnlab.paths import CONFIG_DIR


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--no-rival", action="store_true")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    fit = ours(args)
    table = np.empty((2, args.splits, args.seeds))
    for result in fit.results:
        table[0, result.repeat, result.seed] = result.test["accuracy"]
    report("nnlab", table[0])
    if args.no_rival:
        return
    dataset, hidden = next(iter(fit.datasets.values())), fit.experiments[0].model.hidden
    for row in fit.rows:
        table[1, row.fold.repeat, row.seed] = rival(dataset, row, hidden)
    report("MLPClassifier", table[1])
    report("difference", table[0] - table[1])


def ours(args):
    """The default experiment, every seed on every split."""
    overrides = [f"seeds={args.seeds}", f"split.repeats={args.splits}", *args.overrides]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("train", overrides), resolve=True)
    fit = nnlab.Fit([nnlab.Experiment.from_config(of_experiment(config))])
    for _ in fit:
        pass
    return fit


def rival(dataset, row, hidden):
    scaler = StandardScaler().fit(dataset.x[row.fold.train])
    model = MLPClassifier(hidden, random_state=row.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reports that 200 epochs were not enough for it
        model.fit(scaler.transform(dataset.x[row.fold.train]), dataset.y[row.fold.train])
    return model.score(scaler.transform(dataset.x[row.fold.test]), dataset.y[row.fold.test])


def report(name, accuracy):
    """Mean and interval in points, over splits."""
    means = 100 * accuracy.mean(1)
    half = stats.t.ppf(0.975, len(means) - 1) * stats.sem(means) if len(means) > 1 else float("nan")
    print(
        f"{name:14} {means.mean():6.2f} +- {half:.2f} points over {len(means)} splits, std {means.std():.2f}"
    )


if __name__ == "__main__":
    main()
