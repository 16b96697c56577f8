"""How often `nnlab compare` is right: simulated arms whose true differences are known.

    python scripts/compare_simulations.py [--count 2000] [--only coverage winners looks power splits]

coverage  how many intervals of 95% hold the true difference of two arms: Student's, and BCa's
winners   arms that are all equal: in how many comparisons is any pair called better (by Holm, and by each p)
looks     the same, where as many seeds are added as `nnlab compare` suggests, until a difference is shown
power     arms that differ: how often a difference is shown with as many seeds as `more_seeds` says
splits    two ridge regressions of equal skill on overlapping splits of one table: Nadeau and Bengio's
          interval, Student's, and false winners; the truth is a mean over tables

A share of 2,000 has a standard error of 0.5 points at 95% and at 5%, of 0.9 at 80%. docs/reliability.md has
the results; tests/test_statistics_simulated.py tries a part.
"""

import argparse
from collections.abc import Callable
from itertools import combinations

import numpy as np

from nnlab.records.comparison_words import seeds_to_suggest
from nnlab.statistics import resampling
from nnlab.statistics.comparison import Comparison, compare_arms
from nnlab.statistics.evidence import evidence_of
from nnlab.statistics.holm import holm_adjusted
from nnlab.statistics.paired import pair_values
from nnlab.statistics.power import more_units
from nnlab.statistics.scores import Scores
from nnlab.statistics.student import moments, student_interval

ERRORS_OF = 360  # test examples, of which a discrete arm has k wrong
ERROR_RATE = 0.05


def normal(random, shape):
    return random.normal(size=shape)


def skewed(random, shape):
    """Every second arm has a long tail: then the differences have one too."""
    noise = random.normal(size=shape)
    noise[:, 1::2] = 2 * (random.exponential(size=noise[:, 1::2].shape) - 1)
    return noise


def heavy_tailed(random, shape):
    return random.standard_t(3, size=shape)


NOISE = {"normal": normal, "skewed": skewed, "heavy-tailed": heavy_tailed}
KINDS = (*NOISE, "discrete")


def draw(random, kind: str, seeds: int, shifts: np.ndarray, shared: bool) -> np.ndarray:
    """(seeds, arms): values whose means are the shifts. Shared: a seed is good or bad for all arms, as far as
    for each by itself."""
    shape = (seeds, len(shifts))
    of_seed = random.normal(size=(seeds, 1)) * shared
    if kind == "discrete":
        rates = (ERROR_RATE + shifts / ERRORS_OF) * (1 + np.clip(of_seed, -2, 2) / 4)
        return random.binomial(ERRORS_OF, rates, size=shape) / ERRORS_OF
    return shifts + of_seed + NOISE[kind](random, shape)


def unit_of(kind: str) -> float:
    """What a shift of 1 is worth: one example for errors."""
    return 1 / ERRORS_OF if kind == "discrete" else 1.0


def compared(values: np.ndarray) -> Comparison:
    """values (seeds, arms)."""
    return compare_arms(Scores({str(i): column[:, None, None] for i, column in enumerate(values.T)}))


def deciding_p(values: np.ndarray) -> list[float | None]:
    """What `compared` has its verdicts of, without all else that it computes."""
    scores = Scores({str(i): column[:, None, None] for i, column in enumerate(values.T)})
    return [evidence_of(pair_values(scores, a, b)).decisive_p for a, b in combinations(scores.values, 2)]


def percent(hits) -> str:
    return f"{100 * np.mean(hits):.1f}"


def repeated(count: int, trial: Callable) -> np.ndarray:
    """(count, ...): what the trial gives with generators of seeds 0, 1, ...."""
    return np.array([trial(np.random.default_rng(seed)) for seed in range(count)], float)


def coverage(count: int, kind: str, seeds: int, shared: bool) -> tuple[np.ndarray, np.ndarray]:
    """(count,): whether Student's interval and BCa's hold the difference, which is 1."""
    truth = unit_of(kind)

    def trial(random):
        pair = compared(draw(random, kind, seeds, np.array([0.0, 1.0]), shared)).pair("0", "1")
        sign = 1 if pair.a == "1" else -1
        low, high, p_low, p_high = pair.low, pair.high, pair.bootstrap_low, pair.bootstrap_high
        student = low is None or low <= sign * truth <= high
        return student, p_low <= sign * truth <= p_high if p_low is not None else np.nan

    return tuple(repeated(count, trial).T)


def false_winners(count: int, kind: str, seeds: int, arms: int, shared: bool, diverge: float = 0.0):
    """(count,) twice: whether any of equal arms is shown to differ by Holm, and by p alone."""

    def trial(random):
        values = draw(random, kind, seeds, np.zeros(arms), shared)
        values[random.random(values.shape) < diverge] = np.nan
        p_values = deciding_p(values)
        adjusted = holm_adjusted(p_values)
        return [any(p is not None and p <= 0.05 for p in each) for each in (adjusted, p_values)]

    return tuple(repeated(count, trial).T)


def winners_by_looks(count: int, kind: str, arms: int, looks: int, seeds: int = 10) -> np.ndarray:
    """(count, looks): whether any of equal arms has been shown to differ by this look. After each that shows
    nothing, the seeds are added that `nnlab compare` suggests."""

    def trial(random):
        values, is_shown = draw(random, kind, seeds, np.zeros(arms), True), []
        for _ in range(looks):
            comparison = compared(values)
            is_shown.append(any(pair.verdict == "better" for pair in comparison.pairs))
            more = seeds_to_suggest(comparison)
            if is_shown[-1] or not more:
                break
            values = np.concatenate([values, draw(random, kind, more, np.zeros(arms), True)])
        return is_shown + is_shown[-1:] * (looks - len(is_shown))

    return repeated(count, trial)


def power(count: int, kind: str, effect: float, arms: int, pilot: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(count,): whether the last arm, worse by `effect` standard deviations of a difference, is shown to be
    worse than the first; and with how many seeds.

    Seeds: as `more_units` says for the true effect, or, of comparisons of `pilot` seeds that left it open,
    as their `more_seeds` says (which takes the observed effect for the true one).
    """
    pairs = arms * (arms - 1) // 2
    random = np.random.default_rng(99)
    step = 0.0
    for _ in range(5):  # errors spread more where they are more frequent
        sample = draw(random, kind, 100_000, np.array([0.0, step]), True)
        step = effect * np.std(sample[:, 1] - sample[:, 0]) / unit_of(kind)
    shifts = np.where(np.arange(arms) == arms - 1, step, 0.0)
    needed = more_units(effect, 0, 0.05 / pairs)

    def trial(random):
        values, seeds = draw(random, kind, pilot or needed, shifts, True), needed
        first = compared(values).pair("0", str(arms - 1))
        if pilot:
            if first.verdict == "better" or first.more_seeds is None or first.more_seeds > 500:
                return np.nan, np.nan
            seeds = pilot + first.more_seeds
            values = np.concatenate([values, draw(random, kind, first.more_seeds, shifts, True)])
            first = compared(values).pair("0", str(arms - 1))
        return first.verdict == "better" and first.a == "0", seeds

    return tuple(repeated(count, trial).T)


def ridge_errors(random, examples: int, train: np.ndarray, test: np.ndarray, tables: int) -> np.ndarray:
    """(tables, splits, 2): test MSE of two ridge regressions on tables of y = x_1 + ... + x_6 + noise.

    The first sees three of the inputs, the second the other three, so neither is better over tables.
    """
    x = random.normal(size=(tables, examples, 6))
    y = x.sum(2) + random.normal(size=(tables, examples))
    errors = np.empty((tables, len(train), 2))
    for split, (fit, held) in enumerate(zip(train, test, strict=True)):
        for learner in range(2):
            own = x[:, :, 3 * learner : 3 * learner + 3]
            a, b = own[:, fit], y[:, fit, None]
            slope = np.linalg.solve(a.mT @ a + np.eye(3), a.mT @ b)
            errors[:, split, learner] = ((y[:, held, None] - own[:, held] @ slope) ** 2).mean((1, 2))
    return errors


def splits_of(random, examples: int, design: str) -> tuple[list, list, float]:
    """Indices to train and to test on, and n_test / n_train."""
    if design.endswith("folds"):
        count = int(design.split()[0])
        folds = np.array_split(random.permutation(examples), count)
        return [np.concatenate(folds[:i] + folds[i + 1 :]) for i in range(count)], folds, 1 / (count - 1)
    orders = [random.permutation(examples) for _ in range(int(design.split()[0]))]
    tested = examples // 5
    return [o[tested:] for o in orders], [o[:tested] for o in orders], tested / (examples - tested)


def overlapping_splits(count: int, design: str, examples: int = 100):
    """(count,) four times: whether the corrected and Student's interval of the difference, and the corrected
    one of an arm's mean, hold the truth; and whether a winner is named where there is none."""
    random = np.random.default_rng(5)
    train, test, overlap = splits_of(random, examples, design)
    errors = ridge_errors(random, examples, train, test, count)
    mean = errors.mean()
    hits = []
    for of_table in errors:
        shape = (1, len(of_table), 1)
        scores = Scores({str(i): of_table[:, i].reshape(shape) for i in range(2)}, overlap=overlap)
        comparison = compare_arms(scores)
        pair, arm = comparison.pairs[0], comparison.arms[0]
        low, high = student_interval(*moments(of_table[:, 0] - of_table[:, 1]), len(of_table))
        hits.append(
            (
                pair.low <= 0 <= pair.high,
                low <= 0 <= high,
                arm.low <= mean <= arm.high,
                pair.verdict == "better",
            )
        )
    return tuple(np.array(hits, float).T)


def print_coverage(count: int) -> None:
    print("\n| noise | a seed's part shared | seeds | Student | BCa |\n|---|---|--:|--:|--:|")
    for kind in KINDS:
        for shared, counts in ((True, (3, 6, 10, 30)), (False, (10,))):
            for seeds in counts:
                student, bca = coverage(count, kind, seeds, shared)
                bca_text = percent(bca[~np.isnan(bca)]) if np.isfinite(bca).any() else ""
                print(
                    f"| {kind} | {'yes' if shared else 'no'} | {seeds} | {percent(student)} | {bca_text} |",
                    flush=True,
                )


def print_winners(count: int) -> None:
    print("\n| noise | arms | seeds | diverged | by Holm | by each p alone |\n|---|--:|--:|--:|--:|--:|")
    designs = [(kind, arms, seeds, 0.0) for kind in KINDS for arms, seeds in
               ((2, 5), (2, 10), (2, 30), (5, 5), (5, 10))]  # fmt: skip
    designs += [("normal", 5, 30, 0.0), ("normal", 10, 10, 0.0), ("discrete", 10, 10, 0.0)]
    designs += [("normal", arms, seeds, 0.3) for arms, seeds in ((2, 10), (2, 30), (5, 10))]
    for kind, arms, seeds, diverge in designs:
        holm, single = false_winners(count, kind, seeds, arms, True, diverge)
        cells = (kind, arms, seeds, f"{diverge:.0%}", percent(holm), percent(single))
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_looks(count: int) -> None:
    resampling.RESAMPLE_COUNT = 10
    print("\n| noise | arms | first look | second | third | fifth |\n|---|--:|--:|--:|--:|--:|")
    for kind, arms in (("normal", 2), ("discrete", 2), ("normal", 5)):
        shown = winners_by_looks(count, kind, arms, looks=5)[:, [0, 1, 2, 4]]
        print(f"| {kind} | {arms} | {' | '.join(map(percent, shown.T))} |", flush=True)


def print_power(count: int) -> None:
    resampling.RESAMPLE_COUNT = 10
    print("\n| noise | arms | effect | pilot | seeds (median) | open after the pilot | shown |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    with_two = ((2, 0.5, 0), (2, 1.0, 0), (2, 0.7, 10))
    with_five = ((5, 0.5, 0), (5, 1.0, 0), (5, 0.7, 10))
    for kind in ("normal", "discrete", "heavy-tailed"):
        for arms, effect, pilot in with_two + with_five * (kind == "normal"):
            shown, seeds = power(count, kind, effect, arms, pilot)
            asked = np.isfinite(shown)
            cells = (kind, arms, effect, pilot or "", f"{np.median(seeds[asked]):.0f}",
                     percent(asked) if pilot else "", percent(shown[asked]))  # fmt: skip
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_splits(count: int) -> None:
    print("\n| splits of 100 examples | corrected | Student | an arm's mean, corrected | false winners |")
    print("|---|--:|--:|--:|--:|")
    for design in ("3 holdouts", "10 holdouts", "30 holdouts", "5 folds", "10 folds"):
        print(f"| {design} | {' | '.join(map(percent, overlapping_splits(count, design)))} |", flush=True)


PARTS = {
    "coverage": print_coverage, "winners": print_winners, "looks": print_looks, "power": print_power,
    "splits": print_splits,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    for name in args.only:
        PARTS[name](args.count)


if __name__ == "__main__":
    main()
