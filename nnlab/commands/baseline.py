"""Compares a search's winner with the default experiment that it started from, seed by seed.

The winner was chosen by its result with the trials' seed, so that result is optimistic. Both therefore train
again with seeds that the search has not used, in the fit that makes `best/`: where structures agree they are
rows of the winner's own stack. A row's result does not depend on its neighbours, so `best/` is the same as
without the comparison.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import StrEnum

from nnlab.allowed import LARGEST_EXACT_INTEGER
from nnlab.data.splits import Fold
from nnlab.experiment import Experiment
from nnlab.records.intervals import choose_interval, estimate
from nnlab.records.summary import summarize
from nnlab.records.titles import describe_run
from nnlab.search.comparable import examples_digest
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit
from nnlab.training.results import Result

DEFAULT_VALUES = 4  # of each metric: seeds x repeats of the split
MIN_VALUES = 3  # for a useful interval
MAX_ROW_FRACTION = 0.25  # comparison rows / trial rows, unless the rows are quick
QUICK_WORK = 2e11  # parameters x examples seen: some seconds, up to a minute
NEGLIGIBLE_GAIN = 1e-3  # relative to the default's value
VALIDATION_METRICS = ("val_loss", "val_error")


class Verdict(StrEnum):
    """Outcome of the comparison, as written to sweep.json."""

    BETTER = "better"
    EQUAL = "no better"
    WORSE = "worse"
    DIVERGED = "diverged"
    IDENTICAL = "identical"
    ITSELF = "itself"
    UNDECIDED = "cannot be told"


def comparison_seeds(winner: Experiment, trials: int, folds: list[Fold], work: float) -> int:
    """On how many new seeds winner and default are compared; 0 if that would take too long.

    Too long is more than a quarter of the trials' rows and more than a minute. `work` is that of one row. By
    default there are four values of each metric, counting repeats of the split, or as many as each trial had.
    """
    repeats = len({fold.repeat for fold in folds})
    default_count, min_count = (math.ceil(values / repeats) for values in (DEFAULT_VALUES, MIN_VALUES))
    for count in (max(default_count, winner.seeds), default_count, min_count):
        rows = 2 * count * len(folds)
        if 2 * count <= MAX_ROW_FRACTION * trials * winner.seeds or rows * work <= QUICK_WORK:
            return count
    return 0


def comparison_experiments(
    winner: Experiment, default: Experiment, trials: int, cache: DataCache, seeds_used: int = 0
) -> list[Experiment]:
    """The experiments to compare: the winner, which becomes `best/`; default and winner with new seeds.

    If new seeds would take too long: winner and default with the winner's seeds. If winner and default are
    equal: the winner only.
    """
    if winner == default:
        return [winner]
    folds = cache.folds(winner)
    size = max(e.graph(cache.load_data(e).spec).parameter_count for e in (winner, default))
    work = size * len(folds[0].train) * max(winner.epochs, default.epochs)
    count = comparison_seeds(winner, trials, folds, work)
    if not count:
        return [winner, replace(default, seed=winner.seed, seeds=winner.seeds, histograms=0)]
    first = max(seeds_used, *(e.seed + e.seeds for e in (winner, default)))
    if first + count > LARGEST_EXACT_INTEGER:
        first = 0
    return [winner, *(replace(e, seed=first, seeds=count, histograms=0) for e in (default, winner))]


def reason_not_comparable(winner: Experiment, default: Experiment, cache: DataCache) -> str:
    """Why the metrics of winner and default cannot be compared; "" if they can."""
    of_winner, of_default = (describe_run(e, cache.load_data(e).spec) for e in (winner, default))
    for key, noun in (("data", "data"), ("loss_is", "loss")):
        if of_winner[key] != of_default[key]:
            return f"the winner's {noun} ({of_winner[key]}) is not the default's ({of_default[key]})"
    part, part_name = "train", "training"
    if winner.split.validates and default.split.validates:
        part = part_name = "validation"
    if len({examples_digest(e, part, cache) for e in (winner, default)}) > 1:
        return f"their {part_name} examples are not the same"
    return ""


def compare(fit: Fit, objectives: tuple[str, ...], signs: tuple[int, ...]) -> dict:
    """The comparison of winner and default, for sweep.json; `fit` has the `comparison_experiments`.

    metric            decides the verdict: the objective if it is of validation examples, else val_loss;
                      without validation examples a training metric
    seed, seeds       the first seed, and how many of each
    chosen            whether the search has used these seeds
    winner, default   rows, and the means and 95% intervals of their metrics, as in summary.json
    differences       the winner's less the default's, paired by seed and fold: the same for each metric
    validation, test  verdict: a `Verdict`, by the 95% interval of the paired difference and by 0.1% of the
                      default at least; difference. Where the metric is to be maximised (`signs`), more is
                      better. `itself`, and nothing else, if the winner is the default
    """
    if len(fit.experiments) == 1:
        return {"validation": {"verdict": Verdict.ITSELF}}
    # Without fresh seeds there are two experiments, and the winner's numbers are those it was chosen by.
    chosen = len(fit.experiments) == 2
    winner = _results(fit, 0 if chosen else 2)
    default = _results(fit, 1)
    summaries = {"winner": summarize(winner), "default": summarize(default)}
    names = list(dict.fromkeys(name for summary in summaries.values() for name in summary["metrics"]))
    metric = _decisive_metric(objectives, names)
    sign = dict(zip(objectives, signs, strict=True)).get(metric, 1)
    differences = {name: _difference(winner, default, name) for name in names}
    return {
        "metric": metric,
        "seed": fit.experiments[1].seed,
        "seeds": fit.experiments[1].seeds,
        "chosen": chosen,
        **{side: {key: s[key] for key in ("rows", "unit", "metrics")} for side, s in summaries.items()},
        "differences": {name: each for name, each in differences.items() if each},
        "validation": _verdict(winner, default, metric, chosen, sign),
        "test": _verdict(winner, default, "test_loss", chosen, sign),
    }


def _results(fit: Fit, index: int) -> list[Result]:
    """The results of one experiment of the fit, by its index."""
    return [result for result in fit.results if fit.experiment_of_row[result.row] == index]


def _decisive_metric(objectives: tuple[str, ...], names: list[str]) -> str:
    """The metric that decides the verdict, among those that were measured."""
    held_out = [name for name in objectives if name in VALIDATION_METRICS]
    order = [*held_out, "val_loss", *objectives, "train_loss"]
    return next(name for name in order if name in (names or order))


def _verdict(winner: list[Result], default: list[Result], metric: str, chosen: bool, sign: int) -> dict:
    """The verdict by the paired differences of a metric; `sign` times the metric is to be minimised."""
    difference = _difference(winner, default, metric)
    diverged = [sum(result.status == "diverged" for result in each) for each in (winner, default)]
    if diverged[0] > diverged[1] or diverged[1] == len(default):
        verdict = Verdict.DIVERGED
    elif not difference:
        verdict = Verdict.UNDECIDED
    elif all(a.best == b.best and a.test == b.test for a, b in _pairs(winner, default)):
        verdict = Verdict.IDENTICAL
    elif chosen or difference["low"] is None:
        verdict = Verdict.UNDECIDED
    else:
        verdict = _verdict_by_interval(difference, sign)
    return {"verdict": verdict} | ({"difference": difference} if difference else {})


def _verdict_by_interval(difference: dict, sign: int) -> Verdict:
    """Better or worse only if the whole interval lies on one side of 0 and the mean is not negligible."""
    negligible = NEGLIGIBLE_GAIN * abs(difference["default"])
    is_less = difference["high"] < 0 and difference["mean"] < -negligible
    is_more = difference["low"] > 0 and difference["mean"] > negligible
    if is_less or is_more:
        return Verdict.BETTER if is_less == (sign > 0) else Verdict.WORSE
    return Verdict.EQUAL


def _difference(winner: list[Result], default: list[Result], metric: str) -> dict | None:
    """The winner's metric minus the default's, over pairs of rows; and the default's mean."""
    values = [(a, _value(a, metric), _value(b, metric)) for a, b in _pairs(winner, default)]
    pairs = [(result, a, b) for result, a, b in values if a is not None and b is not None]
    if not pairs:
        return None
    interval = choose_interval(metric, [result for result, _, _ in pairs])
    difference = estimate([(result, a - b) for result, a, b in pairs], interval)
    return difference | {"default": sum(b for _, _, b in pairs) / len(pairs)}


def _pairs(winner: list[Result], default: list[Result]) -> list[tuple[Result, Result]]:
    """Pairs of rows with the same seed, repeat and fold, of which neither diverged."""

    def by_seed_and_fold(results: list[Result]) -> dict[tuple, Result]:
        return {(r.seed, r.repeat, r.fold): r for r in results if r.status != "diverged"}

    of_default = by_seed_and_fold(default)
    of_winner = by_seed_and_fold(winner)
    return [(result, of_default[key]) for key, result in of_winner.items() if key in of_default]


def _value(result: Result, metric: str) -> float | None:
    metrics = result.best | {f"test_{name}": value for name, value in result.test.items()}
    value = metrics.get(metric)
    return None if value is None or math.isnan(value) else value
