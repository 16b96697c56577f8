"""The sections of a run's page, each made from the run's folder by a function of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from nnlab.errors import UserError, visible
from nnlab.records.stored_run import StoredRun
from nnlab.report.inside import inside_sections
from nnlab.report.learning_curves import curves_section
from nnlab.report.page import Section

# Heading -> who makes the section; None if the run is not of the kind that has it. A `UserError` says in a
# sentence what the section needs and the folder lacks.
RUN_SECTIONS: dict[str, Callable[[StoredRun], Section | None]] = {
    "Learning curves": curves_section,
}


def run_sections(stored: StoredRun) -> Iterator[Section]:
    """The sections of a run, in order. One that cannot be made is a sentence, and costs no other."""
    makers = {heading: partial(make, stored) for heading, make in RUN_SECTIONS.items()}
    for heading, make in (makers | inside_sections(stored)).items():
        try:
            section = make()
        except UserError as e:
            section = Section(heading, note=f"Not here: {e}.")
        except Exception as e:  # a folder may be damaged in any way, and a page must not fail for one section
            section = Section(heading, note=f"Not drawn: {type(e).__name__}: {visible(str(e))}")
        if section is not None:
            yield section
