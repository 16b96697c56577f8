"""docs/reproductions.md says what docs/reproductions/*.json and the shipped tables say."""

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nnlab.reproduction.reproduction import read_reproduction, to_json
from nnlab.reproduction.table_file import read_table, table_names

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location(
    "write_reproductions", ROOT / "scripts" / "write_reproductions.py"
)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)
KEPT = sorted(script.FOLDER.glob("*.json"))
TEXT = script.DOCUMENT.read_text("utf-8")


def test_the_document_is_what_the_script_writes():
    assert script.rewritten(TEXT) == TEXT, "python scripts/write_reproductions.py"


@pytest.mark.parametrize("file", KEPT, ids=[file.stem for file in KEPT])
def test_what_is_kept_is_of_a_shipped_table_as_it_is_now(file):
    kept = read_reproduction(file)
    assert file.stem == f"{kept.table.name}_{kept.plan.version}"
    again, stored = to_json(kept), json.loads(file.read_text("utf-8"))
    for part in ("cells", "claims"):
        assert len(again[part]) == len(stored[part])
    assert [c["verdict"]["status"] for c in again["cells"]] == [
        c["verdict"]["status"] for c in stored["cells"]
    ]
    assert [c["status"] for c in again["claims"]] == [c["status"] for c in stored["claims"]]
    now = replace(kept.plan, table=read_table(kept.table.name))
    for cell in kept.values:  # else it is to be run again
        assert [*map(_trained, kept.plan.runs_of(cell))] == [*map(_trained, now.runs_of(cell))], cell
        assert kept.table.cells[cell].published == now.table.cells[cell].published
    assert "/work" not in file.read_text("utf-8") and "/home" not in file.read_text("utf-8")


def _trained(words) -> set[str]:
    """Without those of what is drawn."""
    return {word for word in words if not word.startswith("show=")}


@pytest.mark.parametrize("name", table_names())
def test_every_cell_of_every_table_is_there_with_a_verdict_or_not_run(name):
    section = TEXT.partition(f"\n### {name}: ")[2].partition("\n### ")[0]
    table = read_table(name)
    statuses = dict(
        re.findall(r"^\| ([^|]+) \|.*\| ([^|]*) \|$", section.partition("\nQuick")[0], re.MULTILINE)
    )
    for cell, each in table.cells.items():
        expected = r"not run|inside|.* outside ± .*" if each.published else r"not run|"
        assert re.fullmatch(expected, statuses[cell]), cell
    assert f"    nnlab reproduce {name} full" in section


def test_a_quick_table_has_no_published_number():
    for table in re.findall(r"^Quick, .*?\n\n(\| .*?)\n\n", TEXT, re.MULTILINE | re.DOTALL):
        assert "published" not in table.splitlines()[0]
    assert re.search("^Quick, not the published job: ", TEXT, re.MULTILINE)
