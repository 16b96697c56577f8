"""How far the weights of ranks that share every batch are from those of one process.

    python scripts/ranks_beside_one.py --ranks 2 3 --epochs 10

Networks on digits, in both precisions; torchrun starts the ranks, which sum by gloo. A number is the largest
difference of a weight, relative to the largest weight of the row, after the last epoch.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import nnlab
from nnlab import CNN, MLP, Experiment, Regularizer
from nnlab.runtime.ranks import ranks
from nnlab.training.training import Training

SGD = nnlab.Momentum(lr=0.05)
BASE = Experiment(data=nnlab.Digits(), device="cpu", threads=1, regularizer=Regularizer())
CASES = {
    "perceptron, Adam": {},
    "perceptron, momentum": {"optimizer": SGD},
    "dropout, DropConnect": {"regularizer": Regularizer(dropout=0.3, dropconnect=0.1)},
    "batches of 50": {"batch_size": 50},
    "class weights": {"class_weight": "balanced"},
    "batch normalisation": {"model": MLP(normalization="batch"), "optimizer": SGD},
    "network of convolutions": {"model": CNN(blocks=(8, "pool", 16, "pool"), hidden=(32,)), "optimizer": SGD,
                                "regularizer": Regularizer(dropout=0.3, shift=1)},
}  # fmt: skip
DTYPES = ("float64", "float32")


def experiments(epochs: int) -> dict[str, Experiment]:
    return {
        f"{name}, {dtype}": replace(BASE, dtype=dtype, epochs=epochs, metric="last", **settings)
        for name, settings in CASES.items()
        for dtype in DTYPES
    }


def trained(e: Experiment) -> np.ndarray:
    """All weights in one line, of this process alone or of its ranks."""
    fit, results = nnlab.fit(e), []
    training = Training(fit.rows, fit.cache.examples(fit.rows[0]), 1, ranks=ranks())
    while len(training):
        results += training.epoch()[1]
    return np.concatenate([w.ravel() for w in results[0].weights.values()])


def by_ranks(size: int, epochs: int) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        start = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={size}", __file__]
        words = [f"--epochs={epochs}", "--train", f"{folder}/weights.npz"]
        subprocess.run([*start, *words], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
        with np.load(Path(folder) / "weights.npz") as file:
            return dict(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--train", help=argparse.SUPPRESS)
    args = parser.parse_args()
    weights = {name: trained(e) for name, e in experiments(args.epochs).items()}
    if args.train:
        if ranks().is_first:
            np.savez(args.train, **weights)
        return
    others = {size: by_ranks(size, args.epochs) for size in args.ranks}
    print(f"{'':36}" + "".join(f"{size} ranks".rjust(12) for size in args.ranks))
    for name, wanted in weights.items():
        apart = [np.abs(others[size][name] - wanted).max() / np.abs(wanted).max() for size in args.ranks]
        print(f"{name:36}" + "".join(f"{distance:12.1e}" for distance in apart))


if __name__ == "__main__":
    main()
