"""The sections of a run's page, each made from the run's folder by a function of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from nnlab.records.stored_run import StoredRun
from nnlab.report.calibration import calibration_section
from nnlab.report.confusion import class_section, confusion_section
from nnlab.report.inside import inside_sections
from nnlab.report.learning_curves import curves_section
from nnlab.report.network import network_section
from nnlab.report.page import Section
from nnlab.report.repetition import repetition_section
from nnlab.report.residuals import residuals_section
from nnlab.report.results import results_section
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
    "Confusion matrix": confusion_section,
    "Classes": class_section,
    "Thresholds": thresholds_section,
    "Calibration": calibration_section,
    "Residuals": residuals_section,
}
LAST_SECTIONS = {"The network": network_section}


def run_sections(stored: StoredRun) -> Iterator[Section]:
    """The sections of a run, in order. One that cannot be made is a sentence, and costs no other."""
    first, last = (
        {heading: partial(make, stored) for heading, make in makers.items()}
        for makers in (RUN_SECTIONS, LAST_SECTIONS)
    )
    for heading, make in (first | inside_sections(stored) | last).items():
        yield from safe_sections(heading, make)
