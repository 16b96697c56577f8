"""Reads the folder of a check, which may be a stranger's or edited by hand: what each rung said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnlab.checks.verdict import STATUSES
from nnlab.errors import UserError
from nnlab.untrusted import is_number, read_json, read_text, unlinked_file

CHECK_FILE = "check.json"
COMMAND_BYTES = 2**20  # most bytes of command.txt
MOST_VERDICTS, MOST_FINDINGS = 100, 1000


@dataclass(frozen=True)
class StoredFinding:
    """One sentence of a rung, with its advice; empty if there is none."""

    status: str
    found: str
    advice: str


@dataclass(frozen=True)
class StoredVerdict:
    """What a rung said: its findings, the worst first; `details`, its measurements, are not validated."""

    rung: str
    findings: tuple[StoredFinding, ...]
    details: dict
    seconds: float | None

    @property
    def status(self) -> str:
        return self.findings[0].status


def read_verdicts(folder: Path) -> list[StoredVerdict]:
    """The verdicts in the folder, in the order of the rungs. Raises `UserError` for another content."""
    where = f"'{folder / CHECK_FILE}'"
    tree = read_json(unlinked_file(folder / CHECK_FILE))
    if not isinstance(tree, list) or not 0 < len(tree) <= MOST_VERDICTS:
        raise UserError(f"{where} is not a list of verdicts")
    return [_verdict(entry, where) for entry in tree]


def read_command(folder: Path) -> str:
    """The command that repeats the check; empty if the folder does not say."""
    file = folder / "command.txt"
    return read_text(unlinked_file(file), COMMAND_BYTES).rstrip("\n") if file.exists() else ""


def _verdict(entry, where: str) -> StoredVerdict:
    if not isinstance(entry, dict) or not isinstance(entry.get("rung"), str):
        raise UserError(f"{where} has a verdict without the name of its rung")
    where = f"{where}: {entry['rung']!r:.40}"
    findings, details = entry.get("findings"), entry.get("details")
    if not isinstance(findings, list) or not 0 < len(findings) <= MOST_FINDINGS:
        raise UserError(f"{where} has no list of findings")
    seconds = entry.get("seconds")
    return StoredVerdict(
        entry["rung"],
        tuple(_finding(finding, where) for finding in findings),
        details if isinstance(details, dict) else {},
        seconds if is_number(seconds) else None,
    )


def _finding(entry, where: str) -> StoredFinding:
    texts = [entry.get(key) if isinstance(entry, dict) else None for key in ("status", "found", "advice")]
    if not all(isinstance(text, str) for text in texts) or texts[0] not in STATUSES:
        allowed = ", ".join(STATUSES)
        raise UserError(f"{where} has a finding without a status ({allowed}), a sentence and advice")
    return StoredFinding(*texts)
