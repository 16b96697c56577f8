"""Compares a search's winner with its baseline, the experiment without the searched keys, seed by seed.

The winner was chosen by its result with the trials' seed, so that result is optimistic. Both therefore train
again with seeds that the search has not used, in the fit that makes `best/`: where structures agree they are
rows of the winner's own stack. A row's result does not depend on its neighbours, so `best/` is the same as
without the comparison.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import StrEnum
from typing import NotRequired, TypedDict

from nnlab.allowed import LARGEST_EXACT_INTEGER
from nnlab.data.splits import Fold
from nnlab.experiment import WITHOUT_RECORDS, Experiment
from nnlab.metrics import recorded_name
from nnlab.records.intervals import choose_interval, estimate
from nnlab.records.summary import summarize
from nnlab.records.titles import describe_run
from nnlab.training.data_cache import DataCache
from nnlab.training.fingerprints import examples_digest
from nnlab.training.fit import Fit
from nnlab.training.results import Result

DEFAULT_VALUES = 4  # of each metric: seeds x repeats of the split
MIN_VALUES = 3  # for a useful interval
MAX_ROW_FRACTION = 0.25  # comparison rows / trial rows, unless the rows are quick
QUICK_WORK = 2e11  # parameters x examples seen: some seconds, up to a minute
NEGLIGIBLE_GAIN = 1e-3  # relative to the baseline's value


class Outcome(StrEnum):
    """Outcome of the comparison by one metric, as written to sweep.json."""

    BETTER = "better"
    EQUAL = "no better"
    WORSE = "worse"
    DIVERGED = "diverged"
    SAME_RESULTS = "identical"
    WINNER_IS_BASELINE = "itself"
    UNDECIDED = "cannot be told"


class MetricVerdict(TypedDict):
    """The outcome by one metric, and the paired difference that it rests on, if there is one."""

    verdict: Outcome
    difference: NotRequired[dict]


class Comparison(TypedDict, total=False):
    """The comparison in sweep.json: `reason` alone if there is none; `validation` alone if the winner is the
    baseline.

    metric            decides the verdict: the objective if it is measured on validation examples, else
                      val_loss; without validation examples a training metric
    seed, seeds       the first seed, and the number of seeds of each
    chosen            whether the search has used these seeds, and so chose the winner by them
    winner, default   the winner's and the baseline's rows, and the means and 95% intervals of their metrics,
                      as in summary.json
    differences       the winner's metrics minus the baseline's, paired by seed and fold
    validation, test  the outcome by `metric`, and by the test loss
    """

    reason: str
    metric: str
    seed: int
    seeds: int
    chosen: bool
    winner: dict
    default: dict
    differences: dict[str, dict]
    validation: MetricVerdict
    test: MetricVerdict


def comparison_seeds(winner: Experiment, trials: int, folds: list[Fold], work: float) -> int:
    """On how many new seeds winner and baseline are compared; 0 if that would take too long.

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
    winner: Experiment, baseline: Experiment, trials: int, cache: DataCache, seeds_used: int = 0
) -> list[Experiment]:
    """The experiments to compare: the winner, which becomes `best/`; baseline and winner with new seeds.

    If new seeds would take too long: winner and baseline with the winner's seeds. If winner and baseline are
    equal: the winner only.
    """
    if winner == baseline:
        return [winner]
    folds = cache.folds(winner)
    size = max(e.graph(cache.load_data(e).spec).work for e in (winner, baseline))
    work = size * len(folds[0].train) * max(winner.epochs, baseline.epochs)
    count = comparison_seeds(winner, trials, folds, work)
    if not count:
        return [winner, replace(baseline, seed=winner.seed, seeds=winner.seeds, **WITHOUT_RECORDS)]
    first = max(seeds_used, *(e.seed + e.seeds for e in (winner, baseline)))
    if first + count > LARGEST_EXACT_INTEGER:
        first = 0
    return [winner, *(replace(e, seed=first, seeds=count, **WITHOUT_RECORDS) for e in (baseline, winner))]


def reason_not_comparable(winner: Experiment, baseline: Experiment, cache: DataCache) -> str:
    """Why the metrics of winner and baseline cannot be compared; "" if they can."""
    winner_run, baseline_run = (describe_run(e, cache.load_data(e).spec) for e in (winner, baseline))
    for key, noun in (("data", "data"), ("loss_is", "loss")):
        if winner_run[key] != baseline_run[key]:
            return f"the winner's {noun} ({winner_run[key]}) is not the baseline's ({baseline_run[key]})"
    part, part_name = "train", "training"
    if winner.split.validates and baseline.split.validates:
        part = part_name = "validation"
    if len({examples_digest(e, part, cache) for e in (winner, baseline)}) > 1:
        return f"their {part_name} examples are not the same"
    return ""


def compare(fit: Fit, objectives: tuple[str, ...], signs: tuple[int, ...]) -> Comparison:
    """The comparison of winner and baseline; `fit` has trained the `comparison_experiments`.

    "Better" and "worse" need the whole 95% interval of the paired difference on one side of 0, and a mean of
    at least 0.1% of the baseline's. The sign of an objective is -1 if it is to be maximised.
    """
    if len(fit.experiments) == 1:
        return {"validation": {"verdict": Outcome.WINNER_IS_BASELINE}}
    # Without fresh seeds there are two experiments, and the winner's numbers are those it was chosen by.
    chosen = len(fit.experiments) == 2
    winner = _results(fit, 0 if chosen else 2)
    baseline = _results(fit, 1)
    summaries = {"winner": summarize(winner), "default": summarize(baseline)}
    names = list(dict.fromkeys(name for summary in summaries.values() for name in summary["metrics"]))
    objectives = tuple(map(recorded_name, objectives))
    metric = _decisive_metric(objectives, names)
    sign = dict(zip(objectives, signs, strict=True)).get(metric, 1)
    differences = {name: _difference(winner, baseline, name) for name in names}
    return {
        "metric": metric,
        "seed": fit.experiments[1].seed,
        "seeds": fit.experiments[1].seeds,
        "chosen": chosen,
        **{side: {key: s[key] for key in ("rows", "unit", "metrics")} for side, s in summaries.items()},
        "differences": {name: each for name, each in differences.items() if each},
        "validation": _verdict(winner, baseline, metric, chosen, sign),
        "test": _verdict(winner, baseline, "test_loss", chosen, sign),
    }


def _results(fit: Fit, index: int) -> list[Result]:
    """The results of one experiment of the fit, by its index."""
    return [result for result in fit.results if fit.experiment_of_row[result.row] == index]


def _decisive_metric(objectives: tuple[str, ...], names: list[str]) -> str:
    """The metric that decides the verdict, among those that were measured."""
    held_out = [name for name in objectives if name.startswith("val_")]
    order = [*held_out, "val_loss", *objectives, "train_loss"]
    return next(name for name in order if name in (names or order))


def _verdict(
    winner: list[Result], baseline: list[Result], metric: str, chosen: bool, sign: int
) -> MetricVerdict:
    """The verdict by the paired differences of a metric; `sign` times the metric is to be minimised."""
    difference = _difference(winner, baseline, metric)
    diverged = [sum(result.status == "diverged" for result in each) for each in (winner, baseline)]
    if diverged[0] > diverged[1] or diverged[1] == len(baseline):
        verdict = Outcome.DIVERGED
    elif not difference:
        verdict = Outcome.UNDECIDED
    elif all(a.best == b.best and a.test == b.test for a, b in _pairs(winner, baseline)):
        verdict = Outcome.SAME_RESULTS
    elif chosen or difference["low"] is None:
        verdict = Outcome.UNDECIDED
    else:
        verdict = _verdict_by_interval(difference, sign)
    return {"verdict": verdict} | ({"difference": difference} if difference else {})


def _verdict_by_interval(difference: dict, sign: int) -> Outcome:
    """Better or worse only if the whole interval lies on one side of 0 and the mean is not negligible."""
    negligible = NEGLIGIBLE_GAIN * abs(difference["default"])
    is_less = difference["high"] < 0 and difference["mean"] < -negligible
    is_more = difference["low"] > 0 and difference["mean"] > negligible
    if is_less or is_more:
        return Outcome.BETTER if is_less == (sign > 0) else Outcome.WORSE
    return Outcome.EQUAL


def _difference(winner: list[Result], baseline: list[Result], metric: str) -> dict | None:
    """The winner's metric minus the baseline's, over pairs of rows; and the baseline's mean."""
    values = [(a, _value(a, metric), _value(b, metric)) for a, b in _pairs(winner, baseline)]
    pairs = [(result, a, b) for result, a, b in values if a is not None and b is not None]
    if not pairs:
        return None
    interval = choose_interval(metric, [result for result, _, _ in pairs])
    difference = estimate([(result, a - b) for result, a, b in pairs], interval)
    return difference | {"default": sum(b for _, _, b in pairs) / len(pairs)}


def _pairs(winner: list[Result], baseline: list[Result]) -> list[tuple[Result, Result]]:
    """Pairs of rows with the same seed, repeat and fold, of which neither diverged."""

    def by_seed_and_fold(results: list[Result]) -> dict[tuple, Result]:
        return {(r.seed, r.repeat, r.fold): r for r in results if r.status != "diverged"}

    baseline_results = by_seed_and_fold(baseline)
    winner_results = by_seed_and_fold(winner)
    return [(winner_results[key], baseline_results[key]) for key in winner_results if key in baseline_results]


def _value(result: Result, metric: str) -> float | None:
    metrics = result.best | {f"test_{name}": value for name, value in result.test.items()}
    value = metrics.get(metric)
    return None if value is None or math.isnan(value) else value
