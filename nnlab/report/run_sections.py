"""The sections of a run's page, each made from the run's folder by a function of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from nnlab.records.stored_run import StoredRun
from nnlab.report import mistakes
from nnlab.report.calibration import calibration_section
from nnlab.report.confusion import class_section, confusion_section
from nnlab.report.inside import inside_sections
from nnlab.report.learning_curves import curves_section
from nnlab.report.network import network_section
from nnlab.report.page import Section
from nnlab.report.repetition import repetition_section
from nnlab.report.residuals import residuals_section
from nnlab.report.results import results_section
from nnlab.report.run_facts import or_none
from nnlab.report.safe_sections import safe_sections
from nnlab.report.shown_pictures import pictures_section
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
UNTESTED = "Nothing was tested: the run has no test set, or all of its rows diverged."


def run_sections(stored: StoredRun) -> Iterator[Section]:
    """The sections of a run, in order. One that cannot be made is a sentence, and costs no other."""
    first, tested, last = (
        {heading: partial(make, stored) for heading, make in makers.items()}
        for makers in (RUN_SECTIONS, TEST_SECTIONS, LAST_SECTIONS)
    )
    inside = inside_sections(stored)
    if is_untested(stored):
        tested = {"Test set": lambda: Section("Test set", note=UNTESTED)}
        del inside[mistakes.heading_of(stored)]
    for heading, make in (first | tested | inside | last).items():
        yield from safe_sections(heading, make)


def is_untested(stored: StoredRun) -> bool:
    """Whether the run has ended, and no row of it was tested."""
    metrics = or_none(lambda: stored.summary["metrics"].keys())
    return metrics is not None and not any(name.startswith("test_") for name in metrics)
