"""Bergstra and Bengio 2012: random search beside a grid of some 100 points, by resampling one big random
search.

    python scripts/reproduce/random_search.py [--quick | --full] [--data digits,wine] [--mnist FOLDER]

Random trials and grid are trained together, in the paper's space of a network with one hidden layer:
how inputs are scaled, initial weights, units, activation, batch size, learning rate, annealing, and L2
in half of the trials. The best of n random trials is the one of the least validation error; its test
accuracy is known for every set of n among those trained, so its expectation and quantiles need no
simulation. Quick: 256 trials of 20 epochs on six small data sets. Full: 512 of 100 epochs, and widths
of up to 1,024 units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from reproduction import Reproduction, Table, at_least, command_of, finish, names_among, parser, run_script

import nnlab

NAME = "random_search"
BUDGETS = (1, 2, 4, 8, 16, 32, 64)
CLAIMED_TRIALS = 8  # match the grid on half of the data sets
BAND = (0.05, 0.25, 0.75, 0.95)
QUICK_UNITS, FULL_UNITS = (18, 40, 90, 200, 450), (18, 32, 57, 102, 182, 324, 576, 1024)  # geometric
LONGER = {"wine": 8, "breast_cancer": 3}  # times as many epochs: an epoch of theirs is a step or a few
DATA = {
    "digits": lambda norm: nnlab.Digits(normalization=norm),
    "wine": lambda norm: nnlab.Wine(normalization=norm),
    "breast_cancer": lambda norm: nnlab.BreastCancer(normalization=norm),
    "mnist1d": lambda norm: nnlab.Mnist1d(normalization=norm, n=3000, train_split=1 / 3),
    "moons": lambda norm: nnlab.Moons(normalization=norm, n=2000, noise=0.25),
    "words": lambda norm: nnlab.Words(normalization=norm, n=3000, train_split=1 / 3),
}


def random_space(units: tuple[int, ...]) -> dict:
    """The paper's ranges (its section 2.4), with geometric steps of units in place of every whole number."""
    return {
        "normalization": ["none", "standard"],
        "init": ["fan_in_uniform", "glorot_uniform", "lecun_normal"],
        "units": [*units],
        "activation": ["sigmoid", "tanh"],
        "batch_size": [20, 100],
        "lr": nnlab.Interval(0.001, 10.0, log=True),
        "annealed_after": nnlab.Interval(300.0, 3000.0, log=True),  # updates: then the rate is halved
        "penalized": [False, True],
        "l2": nnlab.Interval(3.1e-7, 3.1e-5, log=True),
    }


def grid_space(units: tuple[int, ...]) -> dict:
    """96 points of the same space: what matters less has one value, that of common sense."""
    return {
        "normalization": ["standard"],
        "init": ["glorot_uniform"],
        "units": [units[0], units[len(units) // 2], units[-1]],
        "activation": ["sigmoid", "tanh"],
        "batch_size": [20, 100],
        "lr": [*nnlab.Interval(0.001, 10.0, log=True).points(4)],
        "annealed_after": [950.0],
        "penalized": [False, True],
        "l2": [3.1e-6],
    }


@dataclass(frozen=True)
class Task:
    """A data set, given how its inputs are scaled; and how long networks train on it."""

    data: object
    epochs: int
    seed: int

    def experiment(self, values: dict) -> nnlab.Experiment:
        """The experiment of one trial."""
        return nnlab.Experiment(
            data=self.data(values["normalization"]),
            init=values["init"],
            model=nnlab.MLP(hidden=[values["units"]], activation=values["activation"]),
            optimizer=nnlab.SGD(lr=values["lr"]),
            schedule=nnlab.InverseTimeDecay(decay=1 / values["annealed_after"]),
            regularizer=nnlab.Regularizer(l2=values["l2"] if values["penalized"] else 0.0),
            batch_size=values["batch_size"],
            epochs=self.epochs,
            metric="val_error",
            seed=self.seed,
        )


def chosen(space: dict, search: nnlab.Search, task: Task) -> list[nnlab.Experiment]:
    """The experiments of the trials that `nnlab sweep` would choose."""
    sweep = nnlab.Sweep(space, search, task.experiment)
    return [sweep.experiment(params) for params in sweep.choose(range(sweep.count)).values()]


@dataclass(frozen=True)
class Trials:
    """What trials reached: validation error and loss, and test accuracy, (n,) each. A network that diverged
    in its first epoch has infinite errors."""

    errors: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray

    @classmethod
    def of(cls, results) -> Trials:
        columns = [
            (r.best.get("val_error", np.inf), r.best.get("val_loss", np.inf), r.test.get("accuracy", 0.0))
            for r in results
        ]
        return cls(*np.nan_to_num(np.array(columns, float).T, nan=np.inf))

    @property
    def ranked(self) -> np.ndarray:
        """Test accuracies, that of the least validation error first; of equal ones that of the least loss."""
        return self.accuracies[np.lexsort((self.losses, self.errors))]


def chances_of_ranks(trials: int, n: int) -> np.ndarray:
    """(trials,): the chance that the best of n trials, drawn without replacement, is the one of this rank.

    C(trials - rank, n - 1) / C(trials, n), for rank = 1, 2, ...
    """
    ways = [math.comb(trials - rank, n - 1) for rank in range(1, trials + 1)]
    return np.array([way / math.comb(trials, n) for way in ways])


def best_of(ranked: np.ndarray, n: int) -> tuple[float, np.ndarray]:
    """Mean and BAND quantiles of the test accuracy of the best of n random trials."""
    chances = chances_of_ranks(len(ranked), n)
    ascending = np.argsort(ranked)
    cumulative = chances[ascending].cumsum()
    at = np.searchsorted(cumulative, np.array(BAND) * cumulative[-1])
    return float(chances @ ranked), ranked[ascending][np.minimum(at, len(ranked) - 1)]


@dataclass(frozen=True)
class Outcome:
    """Of one data set: test accuracies of the random trials by rank; that of the grid's best, and the
    standard error that its test set gives it."""

    ranked: np.ndarray
    grid: float
    error: float
    grid_size: int

    def matches(self, n: int) -> bool:
        """Whether the best of n random trials is expected to be no worse than the grid's, up to one standard
        error of the test set."""
        return best_of(self.ranked, n)[0] >= self.grid - self.error

    def chance(self, n: int) -> float:
        """The chance that the best of n random trials is at least as good on the test set as the grid's."""
        return float(chances_of_ranks(len(self.ranked), n) @ (self.ranked >= self.grid))

    @property
    def needed(self) -> int | None:
        """The fewest trials that match."""
        return next((n for n in range(1, len(self.ranked) + 1) if self.matches(n)), None)


def outcome(task: Task, units: tuple[int, ...], trials: int) -> Outcome:
    """Train the random trials and the grid of one data set, together."""
    random = chosen(
        random_space(units), nnlab.Search(sampler=nnlab.Random(seed=task.seed), trials=trials), task
    )
    grid = chosen(grid_space(units), nnlab.Search(sampler="grid"), task)
    results = nnlab.fit(*random, *grid).run().results
    of_random, of_grid = Trials.of(results[: len(random)]), Trials.of(results[len(random) :])
    accuracy = of_grid.ranked[0]
    tested = results[0].examples["test"]
    return Outcome(of_random.ranked, accuracy, math.sqrt(accuracy * (1 - accuracy) / tested), len(grid))


# ---- output


def percent(x: float) -> str:
    return f"{100 * x:.1f}"


def table_of(outcomes: dict[str, Outcome], budgets: list[int]) -> Table:
    size = next(iter(outcomes.values())).grid_size
    table = Table(
        ["data", f"grid of {size}", *[f"random, {n}" for n in budgets], "trials to match", "chance with 8"],
        caption="Test accuracy in percent of the trial with the least validation error: of the grid, with "
        "the standard error of its test set, and on average of n random trials, with the middle 90% for 8",
    )
    for data, o in outcomes.items():
        cells = []
        for n in budgets:
            mean, band = best_of(o.ranked, n)
            spread = f" ({percent(band[0])} to {percent(band[-1])})" if n == CLAIMED_TRIALS else ""
            cells.append(percent(mean) + spread)
        needed = "none" if o.needed is None else o.needed
        grid = f"{percent(o.grid)} ± {percent(o.error)}"
        table.add(data, grid, *cells, needed, f"{o.chance(CLAIMED_TRIALS):.0%}")
    return table


def verdict(outcomes: dict[str, Outcome]) -> tuple[str, str]:
    matched = [data for data, o in outcomes.items() if o.matches(CLAIMED_TRIALS)]
    missed = [data for data in outcomes if data not in matched]
    size = next(iter(outcomes.values())).grid_size
    sentence = (
        f"{CLAIMED_TRIALS} random trials are expected to match the grid of {size} on {len(matched)} of "
        f"{len(outcomes)} data sets ({', '.join(matched) or 'none'})."
    )
    if missed:
        needs = ", ".join(f"{d} needs {outcomes[d].needed or 'more than were trained'}" for d in missed)
        sentence += f" Of the others {needs}."
    return ("yes" if 2 * len(matched) >= len(outcomes) else "no"), sentence


def draw(outcomes: dict[str, Outcome]) -> bytes:
    """Of each data set the accuracy of the best of n random trials, and the grid's (as their figure 5)."""
    from matplotlib.figure import Figure
    from pictures import finished

    lines = -(-len(outcomes) // 3)
    figure = Figure(figsize=(10, 2.9 * lines), dpi=100)
    axes = np.atleast_1d(figure.subplots(lines, min(3, len(outcomes)))).ravel()
    for ax, (data, o) in zip(axes, outcomes.items(), strict=False):
        n = np.unique(np.geomspace(1, len(o.ranked) // 2, 40).astype(int))
        points = [best_of(o.ranked, k) for k in n]
        mean, bands = 100 * np.array([m for m, _ in points]), 100 * np.array([b for _, b in points])
        ax.fill_between(n, bands[:, 0], bands[:, 3], color="tab:blue", alpha=0.12, linewidth=0)
        ax.fill_between(n, bands[:, 1], bands[:, 2], color="tab:blue", alpha=0.25, linewidth=0)
        ax.plot(n, mean, color="tab:blue", label="best of n random trials")
        ax.axhspan(100 * (o.grid - o.error), 100 * (o.grid + o.error), color="gray", alpha=0.25, linewidth=0)
        ax.axhline(100 * o.grid, color="black", linestyle="--", label=f"grid of {o.grid_size}")
        ax.axvline(CLAIMED_TRIALS, color="gray", linewidth=0.8, linestyle=":")
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks := [b for b in (1, 2, 4, 8, 16, 32, 64, 128) if b <= n[-1]], map(str, ticks))
        low = min(bands[n >= 4][:, 0].min(), 100 * (o.grid - o.error)) if (n >= 4).any() else mean.min()
        ax.set_ylim(low - 2, min(100.5, max(bands.max(), 100 * (o.grid + o.error)) + 1))
        ax.set(xlabel="random trials", ylabel="test accuracy (%)", title=data)
    return finished(figure, axes)


def main(words: list[str]) -> None:
    made = parser(NAME, __doc__)
    made.add_argument("--data", type=names_among(DATA), default=[*DATA], help="with commas; default: all six")
    made.add_argument(
        "--mnist", metavar="FOLDER", help="MNIST's four files: a seventh data set (quick: 2,000 of them)"
    )
    made.add_argument("--trials", type=at_least(16), help="random trials; quick 256, full 512")
    made.add_argument("--epochs", type=at_least(1), help="quick 20, full 100")
    asked = made.parse_args(words)
    trials, epochs = asked.trials or (512 if asked.full else 256), asked.epochs or (100 if asked.full else 20)
    units = FULL_UNITS if asked.full else QUICK_UNITS
    tasks = {data: Task(DATA[data], epochs * LONGER.get(data, 1), asked.seed) for data in asked.data}
    if asked.mnist:
        limit = None if asked.full else 2000
        idx = lambda norm: nnlab.Idx(path=asked.mnist, normalization=norm, limit=limit)  # noqa: E731
        tasks["mnist"] = Task(idx, epochs, asked.seed)
    outcomes = {}
    for data, task in tasks.items():
        outcomes[data] = o = outcome(task, units, trials)
        means = ", ".join(f"{n}: {percent(best_of(o.ranked, n)[0])}" for n in (1, 8, 64) if n <= trials)
        print(f"{data}: grid {percent(o.grid)}; best of n random trials, {means}", flush=True)
    reproduced, in_words = verdict(outcomes)
    budgets = [n for n in BUDGETS if n <= trials // 2]
    finish(
        Reproduction(
            NAME,
            "Random search beside a grid",
            "Bergstra and Bengio 2012, Random search for hyper-parameter optimization",
            "8 random trials match a grid of some 100 points on half of the data sets.",
            f"{trials} random trials and the grid, each network trained once on one split, for "
            f"{epochs} epochs (wine for 8 times, breast_cancer "
            f"for 3 times as many: their epochs are a few steps); one "
            f"hidden layer of {units[0]} to {units[-1]} units in geometric steps, the other ranges as "
            f"published but "
            f"without PCA. The grid has 4 rates, 3 widths, 2 activations, 2 batch sizes, with L2 and "
            f"without, and a "
            f"sensible value of what is left.",
            command_of(NAME, words),
            "full" if asked.full else "quick",
            [table_of(outcomes, budgets)],
            in_words,
            reproduced,
            values={
                d: {"ranked": o.ranked.tolist(), "grid": o.grid, "error": o.error}
                for d, o in outcomes.items()
            },
        ),
        asked.out,
        draw(outcomes),
    )


if __name__ == "__main__":
    run_script(main)
