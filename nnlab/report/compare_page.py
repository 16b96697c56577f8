"""The page of a comparison: which arm is better, all pairs, the curves of the arms, how it was computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnlab.errors import UserError
from nnlab.records.arm_units import arm_units
from nnlab.records.arms_table import arm_cells, further_quantities, means_of, shown_names
from nnlab.records.compared_quantity import ComparedQuantity
from nnlab.records.comparison_file import COMPARE_FILE, ComparisonFile, read_comparison
from nnlab.records.comparison_words import (
    notes,
    pairs_of_best,
    scope_note,
    seeds_to_suggest,
    sentences,
)
from nnlab.records.stored_run import StoredRun
from nnlab.records.text import shell_word
from nnlab.records.text_columns import elide_middle
from nnlab.report.columns import tables_of
from nnlab.report.compare_figures import forest_figure, matrix_figure
from nnlab.report.compare_methods import methods_section
from nnlab.report.compare_over_data import over_data_section
from nnlab.report.compare_pairs import pairs_tables
from nnlab.report.compare_tuning import tuning_section
from nnlab.report.comparison import runs_figure
from nnlab.report.page import Section
from nnlab.report.parts import Part, PlotlyFigure, Preformatted, Text
from nnlab.report.run_facts import or_none, task_of
from nnlab.report.safe_sections import safe_sections
from nnlab.report.thinning import MOST_EPOCHS
from nnlab.statistics.comparison import Comparison
from nnlab.untrusted import read_json, unlinked_file

MOST_DATA, MOST_PAIRS, MOST_CURVES = (
    12,
    66,
    40,
)  # that are shown: data sets, pairs in numbers, arms with curves
NAME_CHARACTERS = 36


@dataclass(frozen=True)
class DataPage:
    """What the page has of one data set."""

    name: str  # "" where it is the only one
    comparisons: dict[str, Comparison]  # by quantity, that of the measure first
    task: str
    runs: dict[str, list[StoredRun]]  # arm -> its runs, as far as they can be read

    @property
    def comparison(self) -> Comparison:
        return next(iter(self.comparisons.values()))

    def values(self) -> dict[str, np.ndarray]:
        """The units of each arm by the measure."""
        return arm_units(self.runs, self.quantity.name) if self.comparisons else {}

    @property
    def quantity(self) -> ComparedQuantity:
        return ComparedQuantity(next(iter(self.comparisons)), self.task)


def compare_sections(folder: Path) -> Iterator[Section]:
    """The sections of a comparison. Raises `UserError` for a folder without a compare.json."""
    file = read_comparison(folder)
    try:
        compared, fault = _stored_comparisons(folder), ""
    except UserError as e:
        compared, fault = {}, f"Not here: {e}."
    if not compared:
        go_on = f"nnlab train resume={shell_word(str(folder))} goes on with those that have not"
        note = f"Nothing is compared before all arms have ended; {go_on}."
        yield Section("Which is better", note=fault or note)
    pages = [_data_page(folder, file, data, compared.get(data, {})) for data in file.data[:MOST_DATA]]
    for page in pages:
        yield from _data_sections(page, folder)
    values = [page.values() for page in pages]
    yield from safe_sections("Over all data sets", lambda: over_data_section(compared, values))
    if len(file.data) > MOST_DATA:
        yield Section(
            "Data left out", note=f"{len(file.data) - MOST_DATA} more data sets are in {COMPARE_FILE}."
        )
    tuning = file.others.get("tuning")
    yield from safe_sections("How arms were tuned", lambda: tuning_section(tuning, pages[0].task))
    ended = [page.comparison for page in pages if page.comparisons]
    yield from safe_sections(
        "How it was computed",
        lambda: methods_section(ended, file.added_seeds, "tuning" in file.others) if ended else None,
    )
    yield Section("How to repeat it", [Preformatted(file.command, wrapped=True)])


def _data_sections(page: DataPage, folder: Path) -> Iterator[Section]:
    of_data = f" on {page.name}" if page.name else ""
    makers = {
        "Which is better": lambda: _answer_section(page, folder, of_data),
        "All pairs": lambda: _pairs_section(page, of_data),
    }
    if not page.comparisons:
        makers = {}
    for heading, make in {**makers, "Curves of the arms": lambda: _curves_section(page, of_data)}.items():
        yield from safe_sections(f"{heading}{of_data}", make)


def _stored_comparisons(folder: Path) -> dict[str, dict[str, Comparison]]:
    """Data -> quantity -> the comparison in compare.json. Raises `UserError` for what is none."""
    tree = read_json(unlinked_file(folder / COMPARE_FILE)).get("comparisons", {})
    try:
        return {
            data: {name: Comparison.from_json(each) for name, each in of_data.items()}
            for data, of_data in tree.items()
        }
    except (AttributeError, TypeError, ValueError) as e:
        raise UserError(
            f"'{folder / COMPARE_FILE}': expected comparisons as nnlab compare writes them: {e}"
        ) from e


def _data_page(folder: Path, file: ComparisonFile, data: str, comparisons: dict) -> DataPage:
    runs = {
        arm: [run for name in of_arm[data] if (run := or_none(StoredRun, folder / name))]
        for arm, of_arm in file.runs.items()
    }
    first = next((run for of_arm in runs.values() for run in of_arm), None)
    task = task_of(first) if first else "classification"
    return DataPage(data if len(file.data) > 1 else "", comparisons, task, runs)


def _answer_section(page: DataPage, folder: Path, of_data: str) -> Section:
    """The table of arms, what is shown of the best and each other one, and the forest plot."""
    comparison, quantity = page.comparison, page.quantity
    headings, cells = arm_cells(comparison, quantity)
    for name in further_quantities(page.comparisons):
        other = ComparedQuantity(name, page.task)
        headings = [*headings, other.label]
        means = means_of(comparison, other, page.comparisons[name])
        cells = [[*row, mean] for row, mean in zip(cells, means, strict=True)]
    names = [arm.name for arm in comparison.arms]
    rows = [[shown, *row] for shown, row in zip(_page_names(names), cells, strict=True)]
    body: list[Part] = []
    first, *further = tables_of(["arm", *headings], rows)
    body.append(first)
    said = [*sentences(comparison, quantity), scope_note(comparison)]
    body += [Text(as_sentence(text, names)) for text in said if text]
    if more := seeds_to_suggest(comparison):
        body.append(Preformatted(f"nnlab compare {shell_word(str(folder))} seeds=+{more}", wrapped=True))
    body.append(forest_figure(comparison, quantity, page.values(), f"{quantity.label}{of_data}"))
    body += further
    remarks = [as_sentence(note, names) for note in notes(comparison, quantity)]
    return Section(f"Which is better{of_data}", body, " ".join(remarks))


def _page_names(names: Sequence[str]) -> list[str]:
    return list(shown_names(names, NAME_CHARACTERS).values())


def as_sentence(text: str, names: Sequence[str]) -> str:
    """With a capital letter and a full stop; a name of an arm is written as it was typed."""
    first = text[0] if text.startswith(tuple(shown_names(names).values())) else text[0].upper()
    return f"{first}{text[1:]}."


def _pairs_section(page: DataPage, of_data: str) -> Section | None:
    """The matrix of differences, and every number of every pair."""
    comparison, quantity = page.comparison, page.quantity
    body: list[Part] = []
    if len(comparison.arms) > 2:
        body.append(matrix_figure(comparison, quantity, f"{quantity.label}{of_data}"))
    pairs = comparison.pairs if len(comparison.pairs) <= MOST_PAIRS else pairs_of_best(comparison)
    body += pairs_tables(comparison, quantity, list(pairs)[:MOST_PAIRS])
    note = "Row against column: positive where the row is better; coloured where the difference is shown."
    left_out = len(comparison.pairs) - min(len(pairs), MOST_PAIRS)
    more = f" {left_out:,} more pairs are in {COMPARE_FILE}." if left_out else ""
    return Section(f"All pairs{of_data}", body, (note * (len(comparison.arms) > 2) + more).strip())


def _curves_section(page: DataPage, of_data: str) -> Section | None:
    """Loss and error of every arm over the epochs, with bands of few arms."""
    order = [arm.name for arm in page.comparison.arms] if page.comparisons else list(page.runs)
    names = shown_names(order, NAME_CHARACTERS)
    curves = {names[arm]: _arm_curves(page.runs.get(arm, [])) for arm in order[:MOST_CURVES]}
    figures: list[PlotlyFigure] = []
    for quantity in ("loss", "error"):
        for part in ("val", "train"):
            recorded = f"{part}_{quantity}"
            drawn = {
                elide_middle(name, NAME_CHARACTERS): of_arm[recorded]
                for name, of_arm in curves.items()
                if recorded in of_arm
            }
            if drawn:
                figures.append(runs_figure(drawn, recorded, page.task))
                break
    if not figures:
        return None
    left_out = f" The first {MOST_CURVES} arms." if len(order) > MOST_CURVES else ""
    return Section(
        f"Curves of the arms{of_data}", figures, f"Each curve is the mean over an arm's rows.{left_out}"
    )


def _arm_curves(runs: list[StoredRun]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Recorded name -> epochs, and values (rows, epochs) of all runs of an arm, NaN where one has ended."""
    recorded = [each for run in runs if (each := or_none(run.thinned_curves, MOST_EPOCHS))]
    names = dict.fromkeys(name for each in recorded for name in each.names)
    curves = {}
    for name in names:
        of_name = [(each.epochs(), each.curve(name)) for each in recorded if name in each.names]
        epochs = np.unique(np.concatenate([of_run for of_run, _ in of_name]))
        rows = []
        for of_run, values in of_name:
            placed = np.full((len(values), len(epochs)), np.nan)
            placed[:, np.searchsorted(epochs, of_run)] = values
            rows.append(placed)
        curves[name] = epochs, np.concatenate(rows)
    return curves
