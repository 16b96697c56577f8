"""The end of `nnlab compare`: the stored rows of all arms compared, on the screen and in compare.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nnlab.commands.messages import print_advice
from nnlab.records.arm_units import arm_units
from nnlab.records.comparison_file import ComparisonFile, Comparisons, read_comparison, write_comparison
from nnlab.records.comparison_words import added_seeds_note, comparison_lines, wrapped
from nnlab.records.console import board_command
from nnlab.records.ranking_words import profile_of, ranking_lines, ranking_of
from nnlab.records.stored_comparison import StoredComparison, of_file
from nnlab.records.terminal import Terminal
from nnlab.records.text import shell_line
from nnlab.records.text_columns import command_lines, labelled_lines
from nnlab.records.tuning_text import tuned_note
from nnlab.statistics.comparison import Comparison
from nnlab.statistics.over_data import Profile, Ranking
from nnlab.untrusted import refuse_links_below


def conclude(folder: Path) -> int:
    """Compare the arms in the folder by its own measure, and write what comes of it. Returns 1 if every row
    of some arm diverged."""
    # Who only reads folders need not wait for matplotlib and TensorBoard.
    from nnlab.commands.compare_pictures import draw_comparison, draw_ranking

    refuse_links_below(folder)  # it may be a stranger's, and files are written there
    file = read_comparison(folder)
    stored = of_file(folder, file)
    comparisons = stored.comparisons(file.measure)
    ranking = ranking_of(_by_measure(comparisons))
    if ranking:
        profile = _profile(stored, comparisons, ranking)
        entry = {"ranking": ranking.to_json()} | ({"profile": profile.to_json()} if profile else {})
        file = replace(file, others=file.others | {"over_data": entry})
    write_comparison(folder, file, comparisons)
    lines = show(stored, comparisons, file.measure, folder, _notes(file))
    draw_comparison(folder, stored, comparisons, lines)
    if ranking:
        draw_ranking(folder, ranking, profile)
    return int(bool(stored.hopeless()))


def show_by(folder: Path, measure: str | None, target: float | None) -> int:
    """Print the comparison in the folder by another `measure` or `target`, and write nothing. Returns 1 if
    every row of some arm diverged."""
    file = read_comparison(folder).asked(measure, target)
    stored = of_file(folder, file)
    show(stored, stored.comparisons(file.measure), file.measure, folder, _notes(file))
    return int(bool(stored.hopeless()))


def _notes(file: ComparisonFile) -> list[str]:
    return [*tuned_note(file.others.get("tuning")), *wrapped(added_seeds_note(file.added_seeds))]


def show(
    stored: StoredComparison,
    comparisons: Comparisons,
    measure: str,
    folder: Path | None = None,
    notes: Sequence[str] = (),
) -> list[str]:
    """Print the comparison on each data set, notes, and where it is; the lines of the comparison."""
    terminal, printed = Terminal(), []
    print_advice("compare", stored.notes)
    for data, of_data in comparisons.items():
        name = data if len(comparisons) > 1 else ""
        where = str(folder) if folder else ""
        printed += comparison_lines(of_data, stored.measure(data, measure), stored.task(data), where, name)
    if ranking := ranking_of(_by_measure(comparisons)):
        printed += ranking_lines(ranking)
    printed += ["", *notes] if notes else []
    for line in printed:
        terminal.line(line)
    if folder:
        lines = ["", *labelled_lines("comparison", folder)]
        lines += command_lines("its page", shell_line(["nnlab", "report", str(folder)]))
        for line in [*lines, *command_lines("their curves", board_command(folder))]:
            terminal.line(line)
    return printed


def _profile(stored: StoredComparison, comparisons: Comparisons, ranking: Ranking) -> Profile | None:
    """The performance profile of the measure, if less of it is better."""
    if any(comparison.larger_is_better for comparison in _by_measure(comparisons).values()):
        return None
    values = [
        arm_units({arm: runs[data] for arm, runs in stored.runs.items()}, next(iter(of_data)))
        for data, of_data in comparisons.items()
    ]
    return profile_of(ranking.arms, values)


def _by_measure(comparisons: Comparisons) -> dict[str, Comparison]:
    """Data set -> the arms compared by the measure, the first quantity of each."""
    return {data: next(iter(of_data.values())) for data, of_data in comparisons.items()}
