"""Text of the comparison between a search's winner and the default, for the screen and the report."""

from __future__ import annotations

from nnlab.commands.baseline import DEFAULT_VALUES, Verdict
from nnlab.records import text_columns
from nnlab.records.text import metric_formatter, metric_label, plus_minus

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
        *text_columns.command_lines("it started from", command),
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
    winner_diverged, default_rows = comparison["winner"]["rows"]["diverged"], comparison["default"]["rows"]
    if default_rows["diverged"] == default_rows["total"] and not winner_diverged:
        return [f"{STARTED_FROM} diverges; the search's winner does not"]
    return [
        f"the search's winner is not to be trusted: of {default_rows['total']} rows with other seeds",
        f"{winner_diverged} diverged, and {default_rows['diverged']} of {STARTED_FROM}",
    ]


def _too_few(comparison: dict) -> str:
    if not comparison["chosen"]:
        return "too few pairs of rows to estimate a spread"
    seeds = comparison["seeds"]
    each = "one seed" if seeds == 1 else f"{seeds} seeds"
    return f"{each} each, by which the winner was chosen"


def _table(comparison: dict, task: str) -> list[str]:
    """A table of the decisive metric and those of the test set: winner, default, difference."""
    winner, default = (comparison[side]["metrics"] for side in ("winner", "default"))
    tested = [name for name in default if name.startswith("test_")]
    rows = []
    for name in dict.fromkeys([comparison["metric"], *tested]):
        means = (winner.get(name), default.get(name), comparison["differences"].get(name))
        formatter = metric_formatter(name, task)
        rows.append([metric_label(name, task), *(_cell(mean, formatter) for mean in means)])
    heads = [f"{head:<{COLUMN_LETTERS}}" for head in ("", "winner", "started from", "difference")]
    return text_columns.table(heads, rows, left=len(heads))


def _seed_lines(comparison: dict) -> list[str]:
    """The seeds of the comparison, and what the verdict is based on."""
    seeds, first = comparison["seeds"], comparison["seed"]
    if comparison["chosen"]:
        return [f"  to decide it, run both lines with seed={first + seeds} seeds={DEFAULT_VALUES}"]
    seed_range = f"seed {first}" if seeds == 1 else f"seeds {first} to {first + seeds - 1}"
    basis = "  the verdict is by the difference, in pairs of one seed"
    if comparison["validation"]["verdict"] == Verdict.EQUAL:
        difference = comparison["validation"]["difference"]
        contains_zero = difference["low"] <= 0 <= difference["high"]
        basis += ", which holds 0" if contains_zero else ", which is under 0.1%"
    return [f"  {seed_range} for both, which the search has not used; ± the 95% interval", basis]


def _diverged_lines(comparison: dict) -> list[str]:
    counts = {side: comparison[side]["rows"]["diverged"] for side in ("winner", "default")}
    return [f"  {count} of the {side}'s rows diverged" for side, count in counts.items() if count]


def _cell(metric: dict | None, number_format) -> str:
    if metric is None:
        return "-"
    half_width = None if metric["low"] is None else metric["high"] - metric["mean"]
    return plus_minus(metric["mean"], half_width, number_format)
