"""Snoek, Larochelle and Adams 2012, section 4.2: a Gaussian process beside random search, on logistic
regression.

    python scripts/reproduce/gaussian_process.py [--quick | --full] [--mnist FOLDER]

Four parameters: learning rate by its logarithm, L2 in [0, 1], batch size from 20 and epochs from 5. The
samplers are those of `nnlab sweep`, one trial at a time as in the paper. Of every repetition, with data
split anew, the best validation error after each trial is kept. Quick: 10 repetitions of 30 trials,
six batch sizes up to 1,000 and up to 100 epochs, on digits (or on 2,000 of MNIST's). Full: 10 of 100 on all
of MNIST, up to 2,000 and 2,000, as published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from reproduction import (
    Reproduction,
    Table,
    at_least,
    command_of,
    finish,
    names_among,
    paired,
    parser,
    plus_minus,
    run_script,
    show_progress,
)

import nnlab
from nnlab.errors import UserError
from nnlab.search.samplers import SAMPLERS
from nnlab.search.space import Space
from nnlab.search.study import Chooser
from nnlab.search.trial import COMPLETE, FAILED, Trial
from nnlab.statistics.holm import holm_adjusted

NAME = "gaussian_process"
DRAWING = [name for name, sampler in SAMPLERS.items() if not sampler.enumerates]
STARTUP = 5  # random trials before a sampler learns: of few dimensions, one more than there are
RATES = (1e-4, 1.0)  # the published (0, 1) by its logarithm, which has no end at 0
QUICK_BATCHES = (20, 50, 100, 200, 500, 1000)  # few sizes: those of one size train as one stack
BUDGETS = (5, 10, 20, 30, 50, 100)


@dataclass(frozen=True)
class Problem:
    """Logistic regression on `data`, with these batch sizes, in ascending order, and up to so many epochs."""

    data: object
    batch_sizes: tuple[int, ...] | range
    most_epochs: int

    @property
    def space(self) -> Space:
        return Space(
            {
                "lr": nnlab.Interval(*RATES, log=True),
                "l2": nnlab.Interval(0.0, 1.0),
                "batch": nnlab.Interval(0, len(self.batch_sizes) - 1, whole=True),  # its place among them
                "epochs": nnlab.Interval(5, self.most_epochs, whole=True),
            }
        )

    def experiment(self, params: dict, repeat: int) -> nnlab.Experiment:
        """One trial of one repetition, judged by its last epoch: the number of epochs is a parameter."""
        return nnlab.Experiment(
            data=self.data,
            split=nnlab.Holdout(seed=repeat),
            model=nnlab.Logistic(),
            init="zeros",
            optimizer=nnlab.SGD(lr=params["lr"]),
            regularizer=nnlab.Regularizer(l2=params["l2"]),
            batch_size=self.batch_sizes[params["batch"]],
            epochs=params["epochs"],
            metric="last",
            seed=repeat,
        )


def sampler_of(name: str, seed: int):
    settings = {"startup": STARTUP} if hasattr(SAMPLERS[name], "startup") else {}
    settings |= {"population": STARTUP} if name == "cmaes" else {}
    return SAMPLERS[name](seed=seed, **settings)


def searches(
    problem: Problem, names: list[str], repeats: int, trials: int, seed: int
) -> dict[str, np.ndarray]:
    """Sampler -> (repeats, trials): validation errors, inf of what diverged.

    The searches go side by side: the next trial of every one of them trains in one fit.
    """
    choosers = {
        (name, repeat): Chooser(problem.space, sampler_of(name, seed + repeat), signs=(1,))
        for name in names
        for repeat in range(repeats)
    }
    errors = {name: np.full((repeats, trials), np.inf) for name in names}
    for number in range(trials):
        asked = {key: chooser.ask(number) for key, chooser in choosers.items()}
        distinct = {(repeat, *params.values()): (params, repeat) for (_, repeat), params in asked.items()}
        fit = nnlab.fit(*(problem.experiment(params, repeat) for params, repeat in distinct.values())).run()
        error_of = {
            key: result.best.get("val_error", np.inf) if result.status != "diverged" else np.inf
            for key, result in zip(distinct, fit.results, strict=True)
        }
        for (name, repeat), params in asked.items():
            error = errors[name][repeat, number] = error_of[(repeat, *params.values())]
            state, values = (COMPLETE, (float(error),)) if np.isfinite(error) else (FAILED, ())
            choosers[name, repeat].tell(Trial(number, params, state, values))
        show_progress(f"trial {number + 1} of {trials}")
    return errors


# ---- output


def table_of(best: dict[str, np.ndarray], budgets: list[int]) -> Table:
    table = Table(
        ["sampler", *[f"{b} trials" for b in budgets]],
        caption=(
            "Least validation error in percent after so many trials, mean and standard error over repetitions"
        ),
    )
    for name, course in best.items():
        at = [100 * course[:, b - 1] for b in budgets]
        table.add(name, *[plus_minus(v.mean(), v.std(ddof=1) / np.sqrt(len(v)), 2) for v in at])
    return table


def verdict(best: dict[str, np.ndarray]) -> tuple[str, str]:
    """Which samplers differ from random search: the error after all trials, and the mean over trials."""
    summaries = {
        "after all trials": lambda course: course[:, -1],
        "on average over the trials": lambda c: c.mean(1),
    }
    compared = [(when, name) for when in summaries for name in best if name != "random"]
    pairs = [
        paired({name: summaries[when](best[name]), "random": summaries[when](best["random"])}, False)
        for when, name in compared
    ]
    sentences, gp_is_better = [], []
    for (when, name), pair, p in zip(compared, pairs, holm_adjusted([pair.p for pair in pairs]), strict=True):
        half = float("nan") if pair.low is None else 50 * (pair.high - pair.low)
        gain = 100 * abs(pair.difference) * (1 if pair.a == name else -1)
        shown = p is not None and p <= 0.05
        word = ("better" if gain > 0 else "worse") if shown else "no difference shown"
        text = "" if p is None else f", p = {p:.2g}"
        sentences.append(f"{name} {when}: {word} ({plus_minus(gain, half, 2, sign=True)} points{text})")
        if name == "gp":
            gp_is_better.append(shown and gain > 0)
    reproduced = "yes" if gp_is_better and all(gp_is_better) else "partly" if any(gp_is_better) else "no"
    return reproduced, "Beside random search " + "; ".join(sentences) + ". (p by Holm.)"


def beside_tpe(best: dict[str, np.ndarray]) -> tuple[bool, list[str]]:
    """(whether gp is shown to be better than tpe over all trials; that in words)."""
    if not {"gp", "tpe"} <= best.keys():
        return True, []
    pair = paired({name: best[name].mean(1) for name in ("gp", "tpe")}, False)
    gain = 100 * abs(pair.difference) * (1 if pair.a == "gp" else -1)
    half = float("nan") if pair.low is None else 50 * (pair.high - pair.low)
    shown = pair.verdict == "better" and gain > 0
    better = "is better than TPE" if shown else "beside TPE: no advantage shown"
    p = "" if pair.p is None else f", p = {pair.p:.2g}"
    points = plus_minus(gain, half, 2, sign=True)
    return shown, [f"The Gaussian process {better}, on average over the trials ({points} points{p})."]


def draw(best: dict[str, np.ndarray], title: str) -> bytes:
    """Mean and standard error of the least error after each trial (as their figure 3)."""
    from matplotlib.figure import Figure
    from pictures import COLOURS, finished, line_with_band

    figure = Figure(figsize=(7, 3.6), dpi=100)
    ax = figure.subplots()
    for name, course in best.items():
        error = 100 * course.std(0, ddof=1) / np.sqrt(len(course))
        line_with_band(
            ax, np.arange(1, course.shape[1] + 1), 100 * course.mean(0), error, name, COLOURS[name]
        )
    late = np.concatenate([100 * course[:, STARTUP - 1 :].mean(0) for course in best.values()])
    ax.set_ylim(late.min() - 0.05 * np.ptp(late) - 0.1, late.max() + 0.3 * np.ptp(late) + 0.1)
    ax.set(xlabel="trials", ylabel="least validation error (%)", title=title)
    return finished(figure, [ax])


def problem_of(asked) -> tuple[Problem, str]:
    """The problem, and the name of its data."""
    if asked.mnist:
        data = nnlab.Idx(path=asked.mnist, limit=None if asked.full else 2000)
        label = "MNIST" if asked.full else "2,000 digits of MNIST"
    elif asked.full:
        raise UserError("--full is logistic regression on MNIST: give its folder, --mnist FOLDER")
    else:
        data, label = nnlab.Digits(), "digits"
    return (Problem(data, range(20, 2001), 2000) if asked.full else Problem(data, QUICK_BATCHES, 100)), label


def main(words: list[str]) -> None:
    made = parser(NAME, __doc__)
    made.add_argument("--mnist", metavar="FOLDER", help="MNIST's four files; without it quick takes digits")
    made.add_argument(
        "--samplers",
        type=names_among(DRAWING),
        default=["random", "tpe", "gp"],
        help="default: random,tpe,gp",
    )
    made.add_argument("--repeats", type=at_least(2), default=10, help="default 10, as published")
    made.add_argument("--trials", type=at_least(2), help="quick 30, full 100")
    asked = made.parse_args(words)
    problem, label = problem_of(asked)
    trials, names = (
        asked.trials or (100 if asked.full else 30),
        list(dict.fromkeys(["random", *asked.samplers])),
    )
    print(
        f"logistic regression on {label}: {asked.repeats} repetitions of {trials} trials by "
        f"{', '.join(names)}"
    )
    errors = searches(problem, names, asked.repeats, trials, asked.seed)
    worst = max(each[np.isfinite(each)].max() for each in errors.values())
    best = {name: np.minimum.accumulate(np.minimum(each, worst), 1) for name, each in errors.items()}
    reproduced, in_words = verdict(best)
    beats_tpe, findings = beside_tpe(best)
    if reproduced == "yes" and not beats_tpe:
        reproduced = "partly"
    finish(
        Reproduction(
            NAME,
            "A Gaussian process beside random search",
            "Snoek, Larochelle and Adams 2012, Practical Bayesian optimization of machine learning "
            "algorithms",
            "on logistic regression of MNIST a Gaussian process with expected improvement reaches a "
            "lower error than "
            "random search and than TPE, in fewer trials.",
            f"Logistic regression on {label}, {asked.repeats} repetitions with data split anew, one "
            f"trial at a time; "
            f"learning rate from {RATES[0]:g} to {RATES[1]:g} by its logarithm, L2 from 0 to 1, "
            f"batches of 20 to "
            f"{problem.batch_sizes[-1]:,}, 5 to {problem.most_epochs:,} epochs. The first {STARTUP} "
            f"trials are random, "
            f"the same for all samplers.",
            command_of(NAME, words),
            "full" if asked.full else "quick",
            [table_of(best, [b for b in BUDGETS if b < trials] + [trials])],
            in_words,
            reproduced,
            findings,
            values={"least error": {name: course.tolist() for name, course in best.items()}},
        ),
        asked.out,
        draw(best, f"logistic regression on {label}"),
    )


if __name__ == "__main__":
    run_script(main)
