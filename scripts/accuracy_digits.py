"""Compares the default experiment with scikit-learn's MLPClassifier: test accuracy on splits of digits.

    python scripts/accuracy_digits.py [--splits 10] [--seeds 10] [key=value ...]

Two comparisons; MLPClassifier has the same hidden sizes and its own defaults, on standardised inputs. First
both train on the training examples alone; nnlab also looks at the validation examples, to choose its epoch,
and MLPClassifier never sees them. Then both train on training and validation examples: nnlab by refit=true.
Differences are paired by split, each the mean over seeds. The splits share most of their examples, so the
interval's variance is that of Nadeau and Bengio 2003, s^2 (1 / n + n_test / n_train). `key=value` are
overrides as `nnlab train` takes them.
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
from nnlab.commands.command_keys import experiment_settings
from nnlab.paths import CONFIG_DIR


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--no-rival", action="store_true")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    for refit in (False, True):
        print("trained on training and validation examples" if refit else "trained on training examples")
        beside(args, refit)


def beside(args, refit: bool) -> None:
    """One comparison, printed."""
    fit = ours(args, refit)
    table = np.empty((2, args.splits, args.seeds))
    for result in fit.results:
        table[0, result.repeat, result.seed] = result.test["accuracy"]
    trains = [trained_on(row, refit) for row in fit.rows]
    overlap = np.mean([len(row.fold.test) / len(train) for row, train in zip(fit.rows, trains, strict=True)])
    report("nnlab", table[0], overlap)
    if args.no_rival:
        return
    dataset, hidden = next(iter(fit.datasets.values())), fit.experiments[0].model.hidden
    for row, train in zip(fit.rows, trains, strict=True):
        table[1, row.fold.repeat, row.seed] = rival(dataset, row, train, hidden)
    report("MLPClassifier", table[1], overlap)
    report("difference", table[0] - table[1], overlap)


def ours(args, refit: bool):
    """The default experiment, every seed on every split."""
    own = [f"seeds={args.seeds}", f"split.repeats={args.splits}", f"refit={str(refit).lower()}"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = OmegaConf.to_container(compose("train", [*own, *args.overrides]), resolve=True)
    fit = nnlab.Fit([nnlab.Experiment.from_config(experiment_settings(config))])
    for _ in fit:
        pass
    return fit


def trained_on(row, refit: bool) -> np.ndarray:
    """The numbers of the examples that the tested networks were trained on."""
    return np.concatenate([row.fold.train, row.fold.validation]) if refit else row.fold.train


def rival(dataset, row, train, hidden) -> float:
    scaler = StandardScaler().fit(dataset.x[train])
    model = MLPClassifier(hidden, random_state=row.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reports that 200 epochs were not enough for it
        model.fit(scaler.transform(dataset.x[train]), dataset.y[train])
    return model.score(scaler.transform(dataset.x[row.fold.test]), dataset.y[row.fold.test])


def report(name: str, accuracy: np.ndarray, overlap: float) -> None:
    """Mean and interval in points, over splits."""
    means, n = 100 * accuracy.mean(1), len(accuracy)
    half = stats.t.ppf(0.975, n - 1) * means.std(ddof=1) * np.sqrt(1 / n + overlap) if n > 1 else np.nan
    std = means.std(ddof=n > 1)
    print(f"  {name:14} {means.mean():6.2f} +- {half:.2f} points over {n} splits, std {std:.2f}")


if __name__ == "__main__":
    main()
