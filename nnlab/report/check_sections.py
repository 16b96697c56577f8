"""The page of a check: every rung with its verdict, its sentences, its advice and its figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nnlab.errors import UserError
from nnlab.records.stored_check import StoredVerdict, read_command, read_verdicts
from nnlab.records.text import format_duration
from nnlab.report.check_figures import RUNG_FIGURES
from nnlab.report.page import Section
from nnlab.report.parts import Image, Part, Preformatted, Table, Text
from nnlab.report.stored_png import stored_png

WORDS = {"pass": "passed", "warn": "warned", "fail": "failed"}


def check_sections(folder: Path) -> Iterator[Section]:
    """An overview of the verdicts, then a section for each rung. Raises `UserError` for a folder without
    verdicts."""
    verdicts = read_verdicts(folder)
    yield overview(folder, verdicts)
    for verdict in verdicts:
        yield rung_section(folder, verdict)


def overview(folder: Path, verdicts: list[StoredVerdict]) -> Section:
    """How many rungs passed, how each ended, and the command that repeats the check."""
    counts = {status: sum(v.status == status for v in verdicts) for status in WORDS}
    words = ", ".join(f"{count} {WORDS[status]}" for status, count in counts.items() if count)
    rows = [[v.rung, v.status, "" if v.seconds is None else format_duration(v.seconds)] for v in verdicts]
    body: list[Part] = [Text(f"{words}."), Table(["rung", "verdict", "time"], rows, labels=2)]
    try:
        command = read_command(folder)
    except UserError as e:
        return Section("Verdicts", body, f"The command is not known: {e}.")
    return Section("Verdicts", [*body, Preformatted(command, wrapped=True)] if command else body)


def rung_section(folder: Path, verdict: StoredVerdict) -> Section:
    """What a rung said, and its figures; its picture, if these cannot be drawn of its measurements."""
    body: list[Part] = []
    for finding in verdict.findings:
        other = finding.status != verdict.status
        body.append(Text(f"{finding.status}: {finding.found}" if other else finding.found))
        if finding.advice:
            body.append(Text(f"→ {finding.advice}"))
    heading = f"{verdict.rung}: {verdict.status}"
    try:
        figures = RUNG_FIGURES.get(verdict.rung, lambda _: [])(verdict.details) if verdict.details else []
    except Exception:  # a stranger's measurements may be anything
        figures = []
    if figures:
        return Section(heading, [*body, *figures])
    try:
        return Section(heading, [*body, *_picture(folder, verdict.rung)])
    except UserError as e:
        return Section(heading, body, f"Its picture is not here: {e}.")


def _picture(folder: Path, rung: str) -> list[Image]:
    """The picture in the folder that has the name of the rung, if there is one."""
    png = stored_png(folder / f"{rung}.png") if rung.isidentifier() else None
    return [Image(png, f"the picture of {rung}")] if png else []
