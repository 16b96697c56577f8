"""What a search has gained: its winner beside the experiment as it stands without the search, seed by seed.

The rows of both train in the fit that makes `best/`, so that they cost little: where structures agree they
are rows of the winner's own stack. A row's result does not depend on its neighbours, so `best/` stays what
its own line gives.
"""

from __future__ import annotations

from dataclasses import replace

from nnlab.experiment import Experiment
from nnlab.fitting import Fit
from nnlab.records import columns
from nnlab.records.intervals import estimate, interval_of
from nnlab.records.run import about
from nnlab.records.summary import summarize
from nnlab.records.text import form, label

SEEDS = 4  # of each, where that is little beside the trials
SHARE = 0.12  # of the trials' rows: about so many are added for the comparison (15% of the time)
HELD_BACK, TESTED = ("val_loss", "val_error"), "test_loss"
DIVERGED, BETTER, EQUAL, WORSE = "diverged", "better", "no better", "worse"


def seeds_of_each(trials: int, own: int) -> int:
    """How many seeds winner and default have, where every trial had `own` of them: 4 for 64 trials."""
    return max(own, min(SEEDS, int((SHARE * trials + 1) * own / 2)))


def together(winner: Experiment, default: Experiment, trials: int) -> list[Experiment]:
    """The winner as it is, which becomes `best/`; the default with as many seeds as both shall have; and the
    winner with the seeds that it lacks."""
    count = seeds_of_each(trials, winner.seeds)
    more = count - winner.seeds
    beside = [replace(default, seeds=count, histograms=0)]
    rest = replace(winner, seed=winner.seed + winner.seeds, seeds=more, histograms=0) if more else None
    return [winner, *beside, *([rest] if rest else [])]


def not_comparable(winner: Experiment, default: Experiment, datasets: dict) -> str:
    """Why their numbers do not stand beside each other; "" if they do."""
    one, other = (about(e, datasets[e.data]) for e in (winner, default))
    for key, word in (("data", "data"), ("loss_is", "loss")):
        if one[key] != other[key]:
            return f"the winner's {word} ({one[key]}) is not the default's ({other[key]})"
    return ""


def compared(fit: Fit, objectives: tuple[str, ...]) -> dict:
    """How the winner (experiments 0 and 2 of `fit`) compares with the default (1), for sweep.json.

    metric            what the verdict is by: the objective if it is of validation examples, else val_loss
    seeds             of each
    winner, default   rows, and the means and 95% intervals of their metrics, as in summary.json
    validation, test  verdict: better, no better, worse (by the 95% interval of the difference, paired by
                      seed; by the difference alone if there is one seed), diverged; difference
    """
    results = [[r for r in fit.results if fit.owner[r.row] in own] for own in ((0, 2), (1,))]
    summaries = [summarize(each) for each in results]
    known = [name for name in objectives if name in HELD_BACK] + ["val_loss"]
    return {
        "metric": known[0],
        "seeds": len({r.seed for r in results[1]}),
        **{
            who: {"rows": s["rows"], "unit": s["unit"], "metrics": s["metrics"]}
            for who, s in zip(("winner", "default"), summaries, strict=True)
        },
        "validation": _difference(*results, known[0]),
        "test": _difference(*results, TESTED),
    }


def _difference(winner: list, default: list, metric: str) -> dict:
    """The winner's metric less the default's, over pairs of rows of one seed and fold; and what it says."""
    ours, theirs = (_values(results, metric) for results in (winner, default))
    if not ours or not theirs:
        return {"verdict": DIVERGED if any(r.status == "diverged" for r in winner + default) else EQUAL}
    pairs = [(r, value - theirs[place][1]) for place, (r, value) in ours.items() if place in theirs]
    if not pairs:
        return {"verdict": EQUAL}
    found = estimate(pairs, interval_of(metric, [r for r, _ in pairs]))
    low, high = (found["mean"] if found[end] is None else found[end] for end in ("low", "high"))
    return {"verdict": BETTER if high < 0 else WORSE if low > 0 else EQUAL, "difference": found}


def _values(results: list, metric: str) -> dict[tuple, tuple]:
    """(which of its seeds, repeat, fold) -> Result and number, of the rows that did not diverge."""
    seeds = sorted({r.seed for r in results})
    found = {}
    for r in results:
        numbers = r.best | {f"test_{name}": value for name, value in r.test.items()}
        if r.status != "diverged" and metric in numbers:
            found[seeds.index(r.seed), r.repeat, r.fold] = r, numbers[metric]
    return found


def sentences(found: dict) -> list[str]:
    """The verdict in words."""
    rows = found["default"]["rows"]
    if rows["diverged"] == rows["total"]:
        return ["what the search started from diverges; its winner does not"]
    validated, tested = found["validation"]["verdict"], found["test"]["verdict"]
    said = (
        f"the search's winner is {validated}{' than' if validated != DIVERGED else ''} what it started from"
    )
    if validated == BETTER and tested == WORSE:
        return [f"{said} on the", "validation set, which chose it, and worse on the test set"]
    return [said]


def lines(found: dict, task: str, command: str) -> list[str]:
    """What the screen and the report say of it."""
    if "reason" in found:
        return [f"  not compared with what the search started from: {found['reason']}"]
    names = [found["metric"], *(n for n in found["default"]["metrics"] if n.startswith("test_"))]
    said = [*(f"  {text}" for text in sentences(found)), f"  {'':<19}{'winner':<21}started from"]
    for name in dict.fromkeys(names):
        cells = [_cell(found[who]["metrics"].get(name), form(name, task)) for who in ("winner", "default")]
        said.append(f"  {label(name, task):<19}{cells[0]:<21}{cells[1]}")
    seeds = found["seeds"]
    over = f"{seeds} seeds each, ± the 95% interval over them" if seeds > 1 else "one seed each"
    lost = [f"  {found[w]['rows']['diverged']} of the {w}'s rows diverged" for w in ("winner", "default")]
    lost = [text for text in lost if not text.startswith("  0 ")]
    return [*said, f"  {over}", *lost, *columns.command("it started from", command)]


def _cell(metric: dict | None, written) -> str:
    if metric is None:
        return "-"
    near = "" if metric["low"] is None else f" ± {written(metric['high'] - metric['mean'])}"
    return written(metric["mean"]) + near
