"""What the screen and the report say of a search's winner beside what the search started from."""

from __future__ import annotations

from nnlab.commands.baseline import USUAL_VALUES, Verdict
from nnlab.records import text_columns
from nnlab.records.text import form, label, spread

COLUMN_LETTERS = 17  # wide enough that most tables look alike
STARTED_FROM = "what it started from"


def lines(comparison: dict, task: str, command: str) -> list[str]:
    """The verdict, the numbers, and the line that the search started from."""
    if "reason" in comparison:
        return [f"  not compared with what the search started from: {comparison['reason']}"]
    verdict = [f"  {text}" for text in sentences(comparison)]
    if "metric" not in comparison:
        return verdict
    return [
        *verdict,
        *_table(comparison, task),
        *_seed_lines(comparison),
        *_diverged_lines(comparison),
        *text_columns.command("it started from", command),
    ]


def sentences(comparison: dict) -> list[str]:
    """The verdict in words, in one line or two."""
    verdict = comparison["validation"]["verdict"]
    if verdict == Verdict.ITSELF:
        return [f"the search's winner is {STARTED_FROM}: no trial was better"]
    if verdict == Verdict.IDENTICAL:
        return [f"the search's winner and {STARTED_FROM} are the same: identical"]
    if verdict == Verdict.DIVERGED:
        return _diverged_sentences(comparison)
    if verdict == Verdict.UNDECIDED:
        return [
            f"whether the search's winner is better than {STARTED_FROM}",
            f"is not decided: {_too_few(comparison)}",
        ]
    sentence = f"the search's winner is {verdict} than {STARTED_FROM}"
    if verdict == Verdict.BETTER and comparison["test"]["verdict"] == Verdict.WORSE:
        return [f"{sentence} on the", "validation set, which chose it, and worse on the test set"]
    return [sentence]


def _diverged_sentences(comparison: dict) -> list[str]:
    lost, of = comparison["winner"]["rows"]["diverged"], comparison["default"]["rows"]
    if of["diverged"] == of["total"] and not lost:
        return [f"{STARTED_FROM} diverges; the search's winner does not"]
    return [
        f"the search's winner is not to be trusted: of {of['total']} rows with other seeds",
        f"{lost} diverged, and {of['diverged']} of {STARTED_FROM}",
    ]


def _too_few(comparison: dict) -> str:
    if not comparison["chosen"]:
        return "too few pairs of rows to estimate a spread"
    seeds = comparison["seeds"]
    each = "one seed" if seeds == 1 else f"{seeds} seeds"
    return f"{each} each, by which the winner was chosen"


def _table(comparison: dict, task: str) -> list[str]:
    """The metric that the verdict is by and all of the test set: of both, and their difference."""
    winner, default = (comparison[who]["metrics"] for who in ("winner", "default"))
    tested = [name for name in default if name.startswith("test_")]
    rows = []
    for name in dict.fromkeys([comparison["metric"], *tested]):
        means = (winner.get(name), default.get(name), comparison["differences"].get(name))
        rows.append([label(name, task), *(_cell(mean, form(name, task)) for mean in means)])
    heads = [f"{head:<{COLUMN_LETTERS}}" for head in ("", "winner", "started from", "difference")]
    return text_columns.table(heads, rows, left=len(heads))


def _seed_lines(comparison: dict) -> list[str]:
    """Which seeds the numbers are over, and what the verdict is by."""
    seeds, first = comparison["seeds"], comparison["seed"]
    if comparison["chosen"]:
        return [f"  to decide it, run both lines with seed={first + seeds} seeds={USUAL_VALUES}"]
    which = f"seed {first}" if seeds == 1 else f"seeds {first} to {first + seeds - 1}"
    by = "  the verdict is by the difference, in pairs of one seed"
    if comparison["validation"]["verdict"] == Verdict.EQUAL:
        difference = comparison["validation"]["difference"]
        holds_zero = difference["low"] <= 0 <= difference["high"]
        by += ", which holds 0" if holds_zero else ", which is under 0.1%"
    return [f"  {which} for both, which the search has not used; ± the 95% interval", by]


def _diverged_lines(comparison: dict) -> list[str]:
    counts = {who: comparison[who]["rows"]["diverged"] for who in ("winner", "default")}
    return [f"  {count} of the {who}'s rows diverged" for who, count in counts.items() if count]


def _cell(metric: dict | None, written) -> str:
    if metric is None:
        return "-"
    half = None if metric["low"] is None else metric["high"] - metric["mean"]
    return spread(metric["mean"], half, written)
