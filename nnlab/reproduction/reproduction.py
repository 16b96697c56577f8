"""A reproduction: a published table beside what nnlab measured in its cells, as reproduction.json keeps it.

The file is written before anything trains, with what is to be trained, and again with the results. So a
killed one can be resumed and judged by its folder alone, even if the shipped table has changed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from nnlab.errors import UserError
from nnlab.records.files import RECORDING_KEYS, write_json
from nnlab.reproduction.published import REPRODUCTION_FILE, VERSIONS, PublishedTable, key_of, merged
from nnlab.reproduction.table_file import table_from
from nnlab.reproduction.verdicts import (
    CellVerdict,
    ClaimVerdict,
    Ours,
    judge_cell,
    judge_claim,
)
from nnlab.untrusted import is_number, read_json, unlinked_file

# Words that leave a full job the published one: where the data are, how many seeds, where it is computed.
HARMLESS = {"data.path", "seeds", "seed", "device", "threads", *RECORDING_KEYS}


@dataclass(frozen=True)
class Plan:
    """What is trained of a table: a version, with the words of the command line, in some cells."""

    table: PublishedTable
    version: str
    given: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()

    @property
    def runs(self) -> list[tuple[str, ...]]:
        """The words of each run: cells with the same words share one."""
        return [*dict.fromkeys(words for cell in self.cells for words in self.runs_of(cell))]

    @property
    def best_of(self) -> tuple[str, ...]:
        """The words of which every cell has the best; (): the cells have theirs alone."""
        return self.table.versions[self.version].tried(self.given)

    def words(self, cell: str) -> tuple[str, ...]:
        """Those of all runs of the cell."""
        return self.table.words(cell, self.version, self.given)

    def runs_of(self, cell: str) -> list[tuple[str, ...]]:
        """The words of its runs: one, or one for each of `best_of`."""
        words = self.words(cell)
        return [merged(words, [choice]) for choice in self.best_of] or [words]

    @property
    def changed(self) -> list[str]:
        """The words that make the full job another one than the published."""
        return [
            w for w in self.given if key_of(w) not in HARMLESS and key_of(w).split(".")[0] not in HARMLESS
        ]

    @property
    def is_published_job(self) -> bool:
        return self.version == "full" and not self.changed

    @property
    def label(self) -> str:
        """What no number of it stands without."""
        if self.is_published_job:
            return "full, the published job"
        is_quick = self.version == "quick"
        of_version = self.table.versions[self.version].all_words(self.given) if is_quick else ()
        keys = {key_of(word) for word in of_version}
        given = [word for word in self.given if word in self.changed or key_of(word) in keys]
        data = [word for word in self.words(self.cells[0]) if word.startswith("data=")]
        words = merged(data if of_version else (), of_version, given)
        return f"{self.version}, not the published job{': ' * bool(words)}{' '.join(words)}"


@dataclass(frozen=True)
class Reproduction:
    """`values` of a cell has one for each seed, in the table's unit, not finite where it diverged."""

    plan: Plan
    command: str
    machine: str
    values: Mapping[str, np.ndarray] = field(default_factory=dict)  # of the cells that were trained
    commands: Mapping[str, str] = field(default_factory=dict)  # cell -> the line that repeats its run
    folders: Mapping[str, str] = field(default_factory=dict)  # cell -> the folder of its run
    chosen: Mapping[str, str] = field(default_factory=dict)  # cell -> which of plan.best_of its values are of
    seconds: float | None = None  # of the processor, all together; None where it was interrupted
    shares: Mapping[str, float] = field(default_factory=dict)  # of the seconds, by cell

    @property
    def table(self) -> PublishedTable:
        return self.plan.table

    def ours(self, cell: str) -> Ours | None:
        return Ours.of(self.values[cell]) if cell in self.values else None

    def cell_seconds(self, cell: str) -> float | None:
        return self.seconds * self.shares[cell] if self.seconds is not None and cell in self.shares else None

    def cell_verdict(self, cell: str) -> CellVerdict:
        """On a value there is one only of the published job."""
        ours = self.ours(cell)
        if ours is None:
            return CellVerdict("not run")
        if not self.plan.is_published_job:
            return CellVerdict("diverged" if ours.mean is None else "not judged")
        return judge_cell(self.table.cells[cell].published, ours)

    def claim_verdicts(self) -> list[ClaimVerdict]:
        return [judge_claim(claim, self.values) for claim in self.table.claims]


# ---- reproduction.json


def write_reproduction(folder: Path, reproduction: Reproduction) -> None:
    write_json(folder / REPRODUCTION_FILE, to_json(reproduction))


def to_json(reproduction: Reproduction) -> dict:
    plan, table = reproduction.plan, reproduction.table
    cells = [_cell_json(reproduction, name) for name in table.cells]
    verdicts = zip(table.claims, reproduction.claim_verdicts(), strict=True)
    claims = [{"claim": claim.text} | asdict(verdict) for claim, verdict in verdicts]
    return {
        "name": table.name,
        "version": plan.version,
        "label": plan.label,
        "command": reproduction.command,
        "words": list(plan.given),
        "picked": list(plan.cells),
        "machine": reproduction.machine,
        "seconds": reproduction.seconds,
        "cells": cells,
        "claims": claims if reproduction.values else [],
        "table": table.tree,
    }


def _cell_json(reproduction: Reproduction, name: str) -> dict:
    cell, ours = reproduction.table.cells[name], reproduction.ours(name)
    tree = {
        "cell": name,
        "measure": cell.measure,
        "published": asdict(cell.published) if cell.published else None,
        "verdict": asdict(reproduction.cell_verdict(name)),
    }
    if ours is None:
        return tree
    if name in reproduction.chosen:
        tree["chosen"] = reproduction.chosen[name]
    return tree | {
        "ours": asdict(ours),
        "values": reproduction.values[name].tolist(),
        "seconds": reproduction.cell_seconds(name),
        "share": reproduction.shares.get(name),
        "folder": reproduction.folders.get(name),
        "command": reproduction.commands.get(name),
    }


def read_reproduction(file: Path) -> Reproduction:
    """What the file says, which somebody else may have written. Raises `UserError`."""
    tree = read_json(unlinked_file(file))
    where = f"'{file}'"
    if not isinstance(tree, dict) or not all(
        isinstance(tree.get(k), str) for k in ("name", "command", "machine")
    ):
        raise UserError(f"{where} is not the file of a reproduction")
    plan = _plan_of(tree, where)
    listed = tree.get("cells")
    if not isinstance(listed, list) or not all(isinstance(cell, dict) for cell in listed):
        raise UserError(f"{where}: cells: expected a list of what was measured")
    cells = {cell["cell"]: cell for cell in listed if cell.get("cell") in [*plan.table.cells]}
    measured = {name: c for name, c in cells.items() if isinstance(c.get("values"), list)}
    for name, cell in measured.items():
        if not cell["values"] or not all(v is None or is_number(v) for v in cell["values"]):
            raise UserError(f"{where}: the values of {name} are not numbers")
    seconds = tree.get("seconds")
    return Reproduction(
        plan, tree["command"], tree["machine"],
        values={name: np.array(c["values"], float) for name, c in measured.items()},  # None: NaN
        commands={name: str(c.get("command")) for name, c in measured.items()},
        folders={name: str(c.get("folder")) for name, c in measured.items()},
        chosen={name: c["chosen"] for name, c in measured.items() if c.get("chosen") in plan.best_of},
        seconds=seconds if is_number(seconds) else None,
        shares={name: c["share"] for name, c in measured.items() if is_number(c.get("share"))},
    )  # fmt: skip


def _plan_of(tree: dict, where: str) -> Plan:
    table, version = table_from(tree["name"], tree.get("table"), where), tree.get("version")
    words, picked = tree.get("words"), tree.get("picked")
    if version not in VERSIONS:
        raise UserError(f"{where}: version = {version!r}: expected {' or '.join(VERSIONS)}")
    for key, value in {"words": words, "picked": picked}.items():
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise UserError(f"{where}: {key}: expected a list of words")
    if unknown_cells := {*picked} - table.cells.keys():
        raise UserError(f"{where}: the table has no cell '{min(unknown_cells)}'")
    return Plan(table, version, tuple(words), tuple(picked))
