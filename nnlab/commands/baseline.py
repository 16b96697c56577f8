"""What a search has gained: its winner beside the experiment as it stands without the search, seed by seed.

The seed of the trials has chosen the winner, and would speak for it. So both train again with seeds that the
search has not used, in the fit that makes `best/`: where structures agree they are rows of the winner's own
stack. A row's result does not depend on its neighbours, so `best/` stays what its own line gives.
"""

from __future__ import annotations

import math
from dataclasses import replace

from nnlab.allowed import EXACT
from nnlab.experiment import Experiment
from nnlab.records import text_columns
from nnlab.records.intervals import estimate, interval_of
from nnlab.records.run import about
from nnlab.records.summary import summarize
from nnlab.records.text import form, label, spread
from nnlab.search.rankable import examples
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit

WIDTH = 17  # letters of a column, so that most tables look alike
VALUES, FEWEST = 4, 3  # of each, seeds on splits; the fewest whose interval can say anything
SHARE = 0.25  # of the trials' rows: more are not added, unless they are quick
QUICK_WORK = 2e11  # parameters x examples seen: some seconds, up to a minute
NEGLIGIBLE = 1e-3  # of the default's value: a difference that nobody would call a gain
HELD_BACK, TRAINED, TESTED = ("val_loss", "val_error"), ("train_loss", "train_error"), "test_loss"
BETTER, EQUAL, WORSE, DIVERGED = "better", "no better", "worse", "diverged"
UNKNOWN, IDENTICAL, ITSELF = "cannot be told", "identical", "itself"


def fresh_seeds(winner: Experiment, trials: int, folds: list, work: float) -> int:
    """How many seeds winner and default are compared on, where a row is so much `work`; 0 where they would
    take too long: beyond a quarter of the trials' rows, and no matter of a minute either.

    As many as make four values, or as every trial had; repeats of the split give values too.
    """
    repeats = len({fold.repeat for fold in folds})
    usual, fewest = (math.ceil(values / repeats) for values in (VALUES, FEWEST))
    for count in (max(usual, winner.seeds), usual, fewest):
        rows = 2 * count * len(folds)
        if 2 * count <= SHARE * trials * winner.seeds or rows * work <= QUICK_WORK:
            return count
    return 0


def together(winner: Experiment, default: Experiment, trials: int, cache: DataCache) -> list[Experiment]:
    """The winner as it is, which becomes `best/`; the default and the winner with seeds that are new to both.
    Without these the default alone, with the winner's seeds; and alone the winner that is the default."""
    if winner == default:
        return [winner]
    folds = cache.folds(winner)
    size = max(e.graph(cache.add(e).spec).parameter_count for e in (winner, default))
    work = size * len(folds[0].train) * max(winner.epochs, default.epochs)
    count = fresh_seeds(winner, trials, folds, work)
    if not count:
        return [winner, replace(default, seed=winner.seed, seeds=winner.seeds, histograms=0)]
    first = max(e.seed + e.seeds for e in (winner, default))
    if first + count > EXACT:
        first = 0
    return [winner, *(replace(e, seed=first, seeds=count, histograms=0) for e in (default, winner))]


def not_comparable(winner: Experiment, default: Experiment, cache: DataCache) -> str:
    """Why their numbers do not stand beside each other; "" if they do."""
    one, other = (about(e, cache.add(e).spec) for e in (winner, default))
    for key, word in (("data", "data"), ("loss_is", "loss")):
        if one[key] != other[key]:
            return f"the winner's {word} ({one[key]}) is not the default's ({other[key]})"
    part = "validation" if winner.split.validates and default.split.validates else "train"
    if len({examples(e, part, cache) for e in (winner, default)}) > 1:
        return f"their {'training' if part == 'train' else part} examples are not the same"
    return ""


def compared(fit: Fit, objectives: tuple[str, ...], signs: tuple[int, ...]) -> dict:
    """How the winner (of `fit`, made of `together`) compares with the default, for sweep.json.

    metric            what the verdict is by: the objective if it is of validation examples, else val_loss;
                      without any, of training
    seed, seeds       the first seed, and how many of each
    chosen            whether the search has used them
    winner, default   rows, and the means and 95% intervals of their metrics, as in summary.json
    differences       the winner's less the default's, paired by seed and fold: the same for each metric
    validation, test  verdict: better, no better, worse (by the 95% interval of the paired difference, and by
                      0.1% of the default at least), identical, diverged, cannot be told; difference. Where
                      the metric is to be maximised (`signs`), more is better
                      `itself`, and nothing else, if the winner is the default
    """
    if len(fit.experiments) == 1:
        return {"validation": {"verdict": ITSELF}}
    chosen = len(fit.experiments) == 2
    results = [[r for r in fit.results if fit.owner[r.row] == i] for i in (0 if chosen else 2, 1)]
    summaries = [summarize(each) for each in results]
    names = list(dict.fromkeys(name for s in summaries for name in s["metrics"]))
    order = (*(n for n in objectives if n in HELD_BACK), "val_loss", *objectives, "train_loss")
    known = [name for name in order if name in (names or order)]
    sign = dict(zip(objectives, signs, strict=True)).get(known[0], 1)
    differences = {name: _difference(*results, name) for name in names}
    return {
        "metric": known[0],
        "seed": fit.experiments[1].seed,
        "seeds": fit.experiments[1].seeds,
        "chosen": chosen,
        **{
            who: {"rows": s["rows"], "unit": s["unit"], "metrics": s["metrics"]}
            for who, s in zip(("winner", "default"), summaries, strict=True)
        },
        "differences": {name: found for name, found in differences.items() if found},
        "validation": _verdict(*results, known[0], chosen, sign),
        "test": _verdict(*results, TESTED, chosen, sign),
    }


def _verdict(winner: list, default: list, metric: str, chosen: bool, sign: int) -> dict:
    """What the paired differences of a metric say, where `sign` times it is to be minimised."""
    found = _difference(winner, default, metric)
    lost = [sum(r.status == "diverged" for r in each) for each in (winner, default)]
    if lost[0] > lost[1] or lost[1] == len(default):
        return {"verdict": DIVERGED} | ({"difference": found} if found else {})
    if not found:
        return {"verdict": UNKNOWN}
    if all(a.best == b.best and a.test == b.test for a, b in _pairs(winner, default)):
        verdict = IDENTICAL
    elif chosen or found["low"] is None:
        verdict = UNKNOWN
    else:
        least = NEGLIGIBLE * abs(found["default"])
        less = found["high"] < 0 and found["mean"] < -least
        more = found["low"] > 0 and found["mean"] > least
        gain, loss = (less, more) if sign > 0 else (more, less)
        verdict = BETTER if gain else WORSE if loss else EQUAL
    return {"verdict": verdict, "difference": found}


def _difference(winner: list, default: list, metric: str) -> dict | None:
    """The winner's metric less the default's, over pairs of rows of one seed and fold; and the default's."""
    values = [(r, _value(r, metric), _value(other, metric)) for r, other in _pairs(winner, default)]
    pairs = [(r, a, b) for r, a, b in values if a is not None and b is not None]
    if not pairs:
        return None
    how = interval_of(metric, [r for r, _, _ in pairs])
    found = estimate([(r, a - b) for r, a, b in pairs], how)
    return found | {"default": sum(b for _, _, b in pairs) / len(pairs)}


def _pairs(winner: list, default: list) -> list[tuple]:
    """Rows of one seed, repeat and fold, of which neither diverged."""
    theirs = {(r.seed, r.repeat, r.fold): r for r in default if r.status != "diverged"}
    ours = {(r.seed, r.repeat, r.fold): r for r in winner if r.status != "diverged"}
    return [(r, theirs[place]) for place, r in ours.items() if place in theirs]


def _value(result, metric: str) -> float | None:
    numbers = result.best | {f"test_{name}": value for name, value in result.test.items()}
    value = numbers.get(metric)
    return None if value is None or math.isnan(value) else value


def sentences(found: dict) -> list[str]:
    """The verdict in words."""
    validated, it = found["validation"]["verdict"], "what it started from"
    if validated == ITSELF:
        return [f"the search's winner is {it}: no trial was better"]
    if validated == IDENTICAL:
        return [f"the search's winner and {it} are the same: identical"]
    if validated == DIVERGED:
        lost, of = found["winner"]["rows"]["diverged"], found["default"]["rows"]
        if of["diverged"] == of["total"] and not lost:
            return [f"{it} diverges; the search's winner does not"]
        return [f"the search's winner is not to be trusted: of {of['total']} rows with other seeds",
                f"{lost} diverged, and {of['diverged']} of {it}"]  # fmt: skip
    if validated == UNKNOWN:
        return [f"whether the search's winner is better than {it}", f"cannot be told: {_too_few(found)}"]
    said = f"the search's winner is {validated} than {it}"
    if validated == BETTER and found["test"]["verdict"] == WORSE:
        return [f"{said} on the", "validation set, which chose it, and worse on the test set"]
    return [said]


def _too_few(found: dict) -> str:
    seeds = found["seeds"]
    if not found["chosen"]:
        return "too few pairs of rows to tell a spread"
    each = "one seed" if seeds == 1 else f"{seeds} seeds"
    return f"{each} each, by which the winner was chosen"


def lines(found: dict, task: str, command: str) -> list[str]:
    """What the screen and the report say of it."""
    if "reason" in found:
        return [f"  not compared with what the search started from: {found['reason']}"]
    said = [f"  {text}" for text in sentences(found)]
    if "metric" not in found:
        return said
    names = [found["metric"], *(n for n in found["default"]["metrics"] if n.startswith("test_"))]
    means = (found["winner"]["metrics"], found["default"]["metrics"], found["differences"])
    rows = [
        [label(name, task), *(_cell(each.get(name), form(name, task)) for each in means)]
        for name in dict.fromkeys(names)
    ]
    heads = [f"{head:<{WIDTH}}" for head in ("", "winner", "started from", "difference")]
    said += text_columns.table(heads, rows, left=len(heads))
    lost = [f"  {found[w]['rows']['diverged']} of the {w}'s rows diverged" for w in ("winner", "default")]
    lost = [text for text in lost if not text.startswith("  0 ")]
    return [*said, *_over(found), *lost, *text_columns.command("it started from", command)]


def _over(found: dict) -> list[str]:
    """Which seeds the numbers are over, and what the verdict is by."""
    seeds, first = found["seeds"], found["seed"]
    if found["chosen"]:
        return [f"  both lines with seed={first + seeds} seeds={VALUES} would tell"]
    which = f"seed {first}" if seeds == 1 else f"seeds {first} to {first + seeds - 1}"
    said = [
        f"  {which} for both, which the search has not used; ± the 95% interval",
        "  the verdict is by the difference, in pairs of one seed",
    ]
    verdict, difference = (found["validation"].get(key) for key in ("verdict", "difference"))
    if verdict == EQUAL:
        holds = difference["low"] <= 0 <= difference["high"]
        said[-1] += ", which holds 0" if holds else ", which is under 0.1%"
    return said


def _cell(metric: dict | None, written) -> str:
    if metric is None:
        return "-"
    half = None if metric["low"] is None else metric["high"] - metric["mean"]
    return spread(metric["mean"], half, written)
