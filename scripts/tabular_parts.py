"""What each part of experiment=tabular gains on tables: the test loss without it, beside the whole.

    python scripts/tabular_parts.py churn.csv:left house.csv:price [--splits 8] [--epochs 256] [--limit 1600]

Each variant is trained on the same splits with the same seeds, one row each. Printed is the mean test loss of
the whole, and by how much that of a variant is larger, with the 95% interval over the splits (Student's, of
the logarithms; the splits overlap, so it is too narrow for new data). Last the mean over all tables.
"""

import argparse
import math
import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.stats import t as student

import nnlab
from nnlab.autodiff.graph import Graph
from nnlab.data.encoding import InputLayout
from nnlab.models import Tabular, add_layers, joined, with_waves


@dataclass(frozen=True)
class WithoutWaves(Tabular):
    """Numbers as they are."""

    name: ClassVar[str] = "without_waves"

    def graph(self, shape, outputs, output="identity", layout=None):
        layout = InputLayout(0, layout.numbers + layout.plain, layout.embedded)
        return super().graph(shape, outputs, output, layout)


@dataclass(frozen=True)
class WithoutScale(Tabular):
    """Without a learnt factor of each input."""

    name: ClassVar[str] = "without_scale"

    def graph(self, shape, outputs, output="identity", layout=None):
        graph = Graph(shape)
        below = joined(graph, with_waves(graph, layout))
        return add_layers(graph, below, self.hidden, outputs, self.activation, output)


def variants(whole: nnlab.Experiment) -> dict[str, nnlab.Experiment]:
    """The whole, and what is changed one by one."""
    changes = {
        "whole": {},
        "without waves": {"model": WithoutWaves()},
        "without learnt factors": {"model": WithoutScale()},
        "relu": {"model": Tabular(activation="relu")},
        "without dropout": {"regularizer": replace(whole.regularizer, dropout=0.0)},
        "without label smoothing": {"regularizer": replace(whole.regularizer, label_smoothing=0.0)},
        "schedule=cosine": {"schedule": "cosine"},
        "schedule=constant": {"schedule": "constant"},
        "beta2=0.999": {"optimizer": replace(whole.optimizer, beta2=0.999)},
        "lr=1e-3": {"optimizer": replace(whole.optimizer, lr=1e-3)},
        "data.one_hot=null": {"data": replace(whole.data, one_hot=None)},
    }
    mlp = nnlab.Experiment(data=whole.data, split=whole.split)
    return {name: replace(whole, **change) for name, change in changes.items()} | {"nnlab train": mlp}


def logs_of_losses(e: nnlab.Experiment) -> np.ndarray | None:
    """Of the test loss on each split; None where the task does not go with the settings."""
    try:
        return np.log([result.test["loss"] for result in nnlab.fit(e).run().results])
    except nnlab.UserError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("tables", nargs="+", help="FILE:TARGET")
    parser.add_argument("--splits", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=256)
    parser.add_argument("--limit", type=int, help="so many examples of each table")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", nnlab.Advice)
    gains: dict[str, list[float]] = {}
    for table in arguments.tables:
        path, target = table.rsplit(":", 1)
        whole = nnlab.Experiment(
            data=nnlab.Table(path=path, target=target, limit=arguments.limit),
            split=nnlab.Holdout(repeats=arguments.splits),
            regularizer=nnlab.Regularizer(dropout=0.15, label_smoothing="auto"),
            model="tabular", schedule="cosine_log",
            optimizer=nnlab.Adam(lr=3e-3, beta2=0.95), epochs=arguments.epochs, batch_size=256,
        )  # fmt: skip
        base = None
        for name, e in variants(whole).items():
            logs = logs_of_losses(e)
            if base is None:
                base = logs
                print(f"{path}: test loss {np.exp(logs).mean():.4f}", flush=True)
            elif logs is not None:
                change, n = logs - base, len(logs)
                reach = student.ppf(0.975, n - 1) * change.std(ddof=1) / math.sqrt(n)
                gains.setdefault(name, []).append(change.mean())
                print(f"  {name:<24}{math.expm1(change.mean()):+7.1%} ± {reach:.1%}", flush=True)
    print(f"mean of {len(arguments.tables)} tables")
    for name, changes in gains.items():
        print(f"  {name:<24}{math.expm1(np.mean(changes)):+7.1%}")


if __name__ == "__main__":
    main()
