"""The sections of a run's page, each made from the run's folder by a function of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

from nnlab.records.stored_run import StoredRun
from nnlab.report import first_layer, histograms, layers, mistakes
from nnlab.report.calibration import calibration_section
from nnlab.report.confusion import class_section, confusion_section
from nnlab.report.inside import inside_sections
from nnlab.report.learning_curves import curves_section
from nnlab.report.network import network_section
from nnlab.report.page import Section
from nnlab.report.parts import Text
from nnlab.report.repetition import repetition_section
from nnlab.report.residuals import residuals_section
from nnlab.report.results import results_section
from nnlab.report.run_facts import early_end, or_none
from nnlab.report.safe_sections import safe_sections
from nnlab.report.shown_pictures import pictures_section
from nnlab.report.thinning import MOST_EPOCHS
from nnlab.report.two_classes import thresholds_section

# Heading -> who makes the section; None if the run is not of the kind that has it. A `UserError` says in a
# sentence what the section needs and the folder lacks.
RUN_SECTIONS: dict[str, Callable[[StoredRun], Section | None]] = {
    "Pictures": pictures_section,
    "Results": results_section,
    "How to repeat it": repetition_section,
    "Learning curves": curves_section,
}
TEST_SECTIONS: dict[str, Callable[[StoredRun], Section | None]] = {
    "Confusion matrix": confusion_section,
    "Classes": class_section,
    "Thresholds": thresholds_section,
    "Calibration": calibration_section,
    "Residuals": residuals_section,
}
LAST_SECTIONS = {"The network": network_section}
UNTESTED = "Nothing was tested: the run has no test set."


def run_sections(stored: StoredRun) -> Iterator[Section]:
    """The sections of a run, in order. One that cannot be made is a sentence, and costs no other."""
    first, tested, last = (
        {heading: partial(make, stored) for heading, make in makers.items()}
        for makers in (RUN_SECTIONS, TEST_SECTIONS, LAST_SECTIONS)
    )
    inside = inside_sections(stored)
    if end := early_end(stored):
        yield early_section(stored, end)
        first, tested = {name: make for name, make in first.items() if name != "Results"}, {}
        inside = {name: make for name, make in inside.items() if name not in _lacking(stored, end)}
    elif is_untested(stored):
        tested = {"Test set": lambda: Section("Test set", note=UNTESTED)}
        del inside[mistakes.heading_of(stored)]
    for heading, make in (first | tested | inside | last).items():
        yield from safe_sections(heading, make)


def _lacking(stored: StoredRun, end: str) -> set[str]:
    """The headings of what a run that ended early has nothing of."""
    lacking = {mistakes.heading_of(stored)}
    has_rows = os.path.lexists(stored.path / "rows.json")
    if end == "diverged" or not has_rows:
        lacking |= {layers.HEADING, first_layer.HEADING}
    if not has_rows and os.path.lexists(stored.path / "rows"):  # of which nobody knows the numbers
        lacking.add(histograms.HEADING)
    return lacking


def early_section(stored: StoredRun, end: str) -> Section:
    """What is to be said once of a run that ended early, and not in each section that it lacks."""
    epochs = or_none(lambda: int(stored.thinned_curves(MOST_EPOCHS).epochs().max()))
    if end == "interrupted":
        where = f"after epoch {epochs:,}" if epochs else "before an epoch had ended"
        return Section(
            "Interrupted",
            [Text(f"This run was interrupted {where}, or still trains; what needs its results is left out.")],
            "nnlab train resume=FOLDER goes on with it: with the folder of all runs where it is one of -m.",
        )
    rows, where = stored.summary["rows"]["total"], f" by epoch {epochs:,}" if epochs else ""
    which = "This run diverged" if rows == 1 else f"All {rows:,} rows of this run diverged"
    return Section(
        "Diverged",
        [Text(f"{which}{where}: there are no results, and what needs them is left out.")],
        "A lower learning rate may do; nnlab check only=rates with the same settings shows which do.",
    )


def is_untested(stored: StoredRun) -> bool:
    """Whether the run has ended, and no row of it was tested."""
    metrics = or_none(lambda: stored.summary["metrics"].keys())
    return metrics is not None and not any(name.startswith("test_") for name in metrics)
