"""Text of the comparison between a search's winner and its baseline, for the screen and the report."""

from __future__ import annotations

from collections.abc import Callable

from nnlab.commands.baseline import DEFAULT_VALUES, Comparison, Outcome
from nnlab.records import text_columns
from nnlab.records.text import metric_formatter, metric_label, plus_minus
from nnlab.training.results import MAIN_METRICS

COLUMN_WIDTH = 17  # characters; wide enough that the columns of most tables align
WINNER_AND_BASELINE = {"winner": "winner", "baseline": "default"}  # their keys in the comparison


def lines(comparison: Comparison, task: str, baseline_command: str) -> list[str]:
    """The verdict, the metrics of both, and the command of the baseline."""
    if "reason" in comparison:
        return [f"  not compared with the baseline: {comparison['reason']}"]
    verdict = [f"  {text}" for text in sentences(comparison)]
    if "metric" not in comparison:
        return verdict
    return [
        *verdict,
        *_table(comparison, task),
        *_seed_lines(comparison),
        *_diverged_lines(comparison),
        *text_columns.command_lines("the baseline", baseline_command),
    ]


def sentences(comparison: Comparison) -> list[str]:
    """The verdict as a sentence, in one line or two."""
    outcome = comparison["validation"]["verdict"]
    if outcome == Outcome.WINNER_IS_BASELINE:
        return ["the search's winner is the baseline: no trial was better"]
    if outcome == Outcome.SAME_RESULTS:
        return ["the search's winner and the baseline have identical results"]
    if outcome == Outcome.DIVERGED:
        return _diverged_sentences(comparison)
    if outcome == Outcome.UNDECIDED:
        return [
            "whether the search's winner is better than the baseline",
            f"is undecided: {_undecided_reason(comparison)}",
        ]
    sentence = f"the search's winner is {outcome} than the baseline"
    if outcome == Outcome.BETTER and comparison["test"]["verdict"] == Outcome.WORSE:
        return [f"{sentence} on the", "validation set, which chose it, and worse on the test set"]
    return [sentence]


def _diverged_sentences(comparison: Comparison) -> list[str]:
    winner, baseline = (comparison[key]["rows"] for key in WINNER_AND_BASELINE.values())
    if baseline["diverged"] == baseline["total"] and not winner["diverged"]:
        return ["the baseline diverges; the search's winner does not"]
    return [
        "the search's winner cannot be trusted:",
        f"{winner['diverged']} of its {winner['total']} rows diverged, "
        f"against {baseline['diverged']} of the baseline's",
    ]


def _undecided_reason(comparison: Comparison) -> str:
    if not comparison["chosen"]:
        return "too few pairs of rows to estimate a spread"
    seeds = comparison["seeds"]
    return "one seed each, which chose the winner" if seeds == 1 else f"{seeds} seeds each chose the winner"


def _table(comparison: Comparison, task: str) -> list[str]:
    """A table of the decisive metric and those of the test set: winner, baseline, difference."""
    winner, baseline = (comparison[key]["metrics"] for key in WINNER_AND_BASELINE.values())
    decisive = comparison["metric"].partition("_")[2]
    shown = {f"test_{metric}" for metric in (*MAIN_METRICS, decisive)}
    test_metrics = [name for name in baseline if name in shown]
    rows = []
    for name in dict.fromkeys([comparison["metric"], *test_metrics]):
        estimates = (winner.get(name), baseline.get(name), comparison["differences"].get(name))
        format_value = metric_formatter(name, task)
        rows.append([metric_label(name, task), *(_cell(estimate, format_value) for estimate in estimates)])
    headers = [f"{header:<{COLUMN_WIDTH}}" for header in ("", *WINNER_AND_BASELINE, "difference")]
    return text_columns.table(headers, rows, left=len(headers))


def _seed_lines(comparison: Comparison) -> list[str]:
    """The seeds of the comparison, and what the verdict is based on."""
    seeds, first_seed = comparison["seeds"], comparison["seed"]
    if comparison["chosen"]:
        new_seeds = f"seed={first_seed + seeds} seeds={DEFAULT_VALUES}"
        return [f"  to decide it, run both commands with new seeds: {new_seeds}"]
    seed_range = f"seed {first_seed}" if seeds == 1 else f"seeds {first_seed} to {first_seed + seeds - 1}"
    basis = "  the verdict rests on the difference, paired by seed"
    if comparison["validation"]["verdict"] == Outcome.EQUAL:
        difference = comparison["validation"]["difference"]
        contains_zero = difference["low"] <= 0 <= difference["high"]
        basis += "; its interval includes 0" if contains_zero else "; it is under 0.1%"
    return [f"  both with {seed_range}, unused by the search; ± is the 95% interval", basis]


def _diverged_lines(comparison: Comparison) -> list[str]:
    counts = {name: comparison[key]["rows"]["diverged"] for name, key in WINNER_AND_BASELINE.items()}
    return [f"  {count} of the {name}'s rows diverged" for name, count in counts.items() if count]


def _cell(estimate: dict | None, format_value: Callable[[float], str]) -> str:
    if estimate is None:
        return "-"
    half_width = None if estimate["low"] is None else estimate["high"] - estimate["mean"]
    return plus_minus(estimate["mean"], half_width, format_value)
