"""The page of a folder: of a run, of all runs of -m, of a comparison, of a sweep or of a check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nnlab.records.stored_run import StoredRun
from nnlab.report.check_sections import check_sections
from nnlab.report.compare_page import compare_sections
from nnlab.report.comparison import comparison_sections
from nnlab.report.page import Section, render_page
from nnlab.report.parts import Text
from nnlab.report.run_facts import title_of
from nnlab.report.run_sections import run_sections
from nnlab.report.safe_sections import safe_sections
from nnlab.report.shown_pictures import CAPTION_HEADING

PAGE_FILE = "report.html"


def folder_page(kind: str, folder: Path) -> str:
    """The HTML of a folder of that kind, as `find_job` names it. Raises `UserError`."""
    match kind:
        case "run":
            stored = StoredRun(folder)
            return render_page(title_of(stored), run_sections(stored))
        case "runs":
            return render_page(f"Runs in {folder.resolve().name}", comparison_sections(folder))
        case "comparison":
            return render_page(f"Comparison in {folder.resolve().name}", compare_sections(folder))
        case "sweep":
            return render_page(f"Sweep in {folder.resolve().name}", _sweep_sections(folder))
        case "check":
            return render_page(f"Check in {folder.resolve().name}", check_sections(folder))
    raise AssertionError(f"unknown kind {kind!r}")


def _sweep_sections(folder: Path) -> Iterator[Section]:
    """The sections of the sweep, then those of its winner's run."""
    # They need optuna and plotly, a second of imports.
    from nnlab.report.stored_sweep_data import stored_sweep_data, winner_of
    from nnlab.report.sweep_page import sweep_sections

    yield from safe_sections("Trials", lambda: sweep_sections(stored_sweep_data(folder)))
    winner = winner_of(folder)
    if winner is not None:
        yield Section("The winner's run", [Text(f"What follows is of the run in {winner.path.name}/.")])
        # A caption without pictures was written for the search.
        yield from (section for section in run_sections(winner) if section.heading != CAPTION_HEADING)
