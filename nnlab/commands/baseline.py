"""What a search has gained: its winner beside the experiment as it stands without the search, seed by seed.

The winner was chosen by its result with the trials' seed, so that result is optimistic. Both therefore train
again with seeds that the search has not used, in the fit that makes `best/`: where structures agree they are
rows of the winner's own stack. A row's result does not depend on its neighbours, so `best/` stays what its
own line gives.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import StrEnum

from nnlab.allowed import LARGEST_EXACT
from nnlab.data.splits import Fold
from nnlab.experiment import Experiment
from nnlab.records.intervals import estimate, interval_of
from nnlab.records.summary import summarize
from nnlab.records.titles import about
from nnlab.search.comparable import examples_digest
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit
from nnlab.training.results import Result

USUAL_VALUES = 4  # of each metric: seeds on splits
FEWEST_VALUES = 3  # whose interval can say anything
MOST_OF_ROWS = 0.25  # of the trials' rows: more are not added, unless they are quick
QUICK_WORK = 2e11  # parameters x examples seen: some seconds, up to a minute
NEGLIGIBLE_GAIN = 1e-3  # of the default's value: a difference that nobody would call a gain
VALIDATION_METRICS = ("val_loss", "val_error")


class Verdict(StrEnum):
    """What the comparison says, as sweep.json has it."""

    BETTER = "better"
    EQUAL = "no better"
    WORSE = "worse"
    DIVERGED = "diverged"
    IDENTICAL = "identical"
    ITSELF = "itself"
    UNDECIDED = "cannot be told"


def fresh_seeds(winner: Experiment, trials: int, folds: list[Fold], work: float) -> int:
    """How many seeds winner and default are compared on, where a row is so much `work`; 0 where they would
    take too long: beyond a quarter of the trials' rows, and more than a minute too.

    As many as make four values, or as every trial had; repeats of the split give values too.
    """
    repeats = len({fold.repeat for fold in folds})
    usual, fewest = (math.ceil(values / repeats) for values in (USUAL_VALUES, FEWEST_VALUES))
    for count in (max(usual, winner.seeds), usual, fewest):
        rows = 2 * count * len(folds)
        if 2 * count <= MOST_OF_ROWS * trials * winner.seeds or rows * work <= QUICK_WORK:
            return count
    return 0


def together(
    winner: Experiment, default: Experiment, trials: int, cache: DataCache, seeds_used: int = 0
) -> list[Experiment]:
    """The winner as it is, which becomes `best/`; the default and the winner with seeds that are new to both,
    and beyond those that the search has used.

    Without these the default alone, with the winner's seeds; and alone the winner that is the default.
    """
    if winner == default:
        return [winner]
    folds = cache.folds(winner)
    size = max(e.graph(cache.load_data(e).spec).parameter_count for e in (winner, default))
    work = size * len(folds[0].train) * max(winner.epochs, default.epochs)
    count = fresh_seeds(winner, trials, folds, work)
    if not count:
        return [winner, replace(default, seed=winner.seed, seeds=winner.seeds, histograms=0)]
    first = max(seeds_used, *(e.seed + e.seeds for e in (winner, default)))
    if first + count > LARGEST_EXACT:
        first = 0
    return [winner, *(replace(e, seed=first, seeds=count, histograms=0) for e in (default, winner))]


def not_comparable(winner: Experiment, default: Experiment, cache: DataCache) -> str:
    """Why their numbers do not stand beside each other; "" if they do."""
    its, others = (about(e, cache.load_data(e).spec) for e in (winner, default))
    for key, word in (("data", "data"), ("loss_is", "loss")):
        if its[key] != others[key]:
            return f"the winner's {word} ({its[key]}) is not the default's ({others[key]})"
    part, words = "train", "training"
    if winner.split.validates and default.split.validates:
        part = words = "validation"
    if len({examples_digest(e, part, cache) for e in (winner, default)}) > 1:
        return f"their {words} examples are not the same"
    return ""


def compared(fit: Fit, objectives: tuple[str, ...], signs: tuple[int, ...]) -> dict:
    """How the winner (of `fit`, made of `together`) compares with the default, for sweep.json.

    metric            what the verdict is by: the objective if it is of validation examples, else val_loss;
                      without any, of training
    seed, seeds       the first seed, and how many of each
    chosen            whether the search has used them
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
        **{who: {key: s[key] for key in ("rows", "unit", "metrics")} for who, s in summaries.items()},
        "differences": {name: each for name, each in differences.items() if each},
        "validation": _verdict(winner, default, metric, chosen, sign),
        "test": _verdict(winner, default, "test_loss", chosen, sign),
    }


def _results(fit: Fit, place: int) -> list[Result]:
    """Those of the experiment at this place of the fit."""
    return [result for result in fit.results if fit.experiment_of_row[result.row] == place]


def _decisive_metric(objectives: tuple[str, ...], names: list[str]) -> str:
    """The metric that the verdict is by, of those that were measured."""
    held_out = [name for name in objectives if name in VALIDATION_METRICS]
    order = [*held_out, "val_loss", *objectives, "train_loss"]
    return next(name for name in order if name in (names or order))


def _verdict(winner: list[Result], default: list[Result], metric: str, chosen: bool, sign: int) -> dict:
    """What the paired differences of a metric say, where `sign` times it is to be minimised."""
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
        verdict = _by_interval(difference, sign)
    return {"verdict": verdict} | ({"difference": difference} if difference else {})


def _by_interval(difference: dict, sign: int) -> Verdict:
    """A gain or loss is one whose whole interval lies on its side of 0, and whose mean is worth a word."""
    least = NEGLIGIBLE_GAIN * abs(difference["default"])
    is_less = difference["high"] < 0 and difference["mean"] < -least
    is_more = difference["low"] > 0 and difference["mean"] > least
    if is_less or is_more:
        return Verdict.BETTER if is_less == (sign > 0) else Verdict.WORSE
    return Verdict.EQUAL


def _difference(winner: list[Result], default: list[Result], metric: str) -> dict | None:
    """The winner's metric less the default's, over pairs of rows of one seed and fold; and the default's."""
    values = [(a, _value(a, metric), _value(b, metric)) for a, b in _pairs(winner, default)]
    pairs = [(result, a, b) for result, a, b in values if a is not None and b is not None]
    if not pairs:
        return None
    how = interval_of(metric, [result for result, _, _ in pairs])
    difference = estimate([(result, a - b) for result, a, b in pairs], how)
    return difference | {"default": sum(b for _, _, b in pairs) / len(pairs)}


def _pairs(winner: list[Result], default: list[Result]) -> list[tuple[Result, Result]]:
    """Rows of one seed, repeat and fold, of which neither diverged."""

    def by_place(results: list[Result]) -> dict[tuple, Result]:
        return {(r.seed, r.repeat, r.fold): r for r in results if r.status != "diverged"}

    others = by_place(default)
    return [(result, others[place]) for place, result in by_place(winner).items() if place in others]


def _value(result: Result, metric: str) -> float | None:
    numbers = result.best | {f"test_{name}": value for name, value in result.test.items()}
    value = numbers.get(metric)
    return None if value is None or math.isnan(value) else value
