"""Writes the tables of docs/reproductions.md between its marks, from the shipped tables and what is kept of
reproductions in docs/reproductions: NAME_quick.json and NAME_full.json, the reproduction.json of a folder.

    python scripts/write_reproductions.py                     # after a table has changed
    python scripts/write_reproductions.py FOLDER [FOLDER ...]  # keep these reproductions, too

tests/test_reproductions.py compares. What is outside of the marks is written by hand, and stays.
"""

import sys
from pathlib import Path

from nnlab.records.files import write_json
from nnlab.reproduction.published import REPRODUCTION_FILE, VERSIONS, PublishedTable
from nnlab.reproduction.reproduction import Plan, Reproduction, read_reproduction, to_json
from nnlab.reproduction.table_file import read_table, table_names
from nnlab.reproduction.text import markdown_results

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT, FOLDER = ROOT / "docs" / "reproductions.md", ROOT / "docs" / "reproductions"
BEGIN, END = "<!-- tables: written by scripts/write_reproductions.py -->", "<!-- end of tables -->"


def main(folders: list[str]) -> None:
    for folder in folders:
        keep(Path(folder))
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text("utf-8")), "utf-8")


def keep(folder: Path) -> None:
    """Copy the file of a reproduction; a part of a table does not take the place of the whole."""
    new = read_reproduction(folder / REPRODUCTION_FILE)
    file = FOLDER / f"{new.table.name}_{new.plan.version}.json"
    if not new.values:
        sys.exit(f"{folder} has no results")
    FOLDER.mkdir(exist_ok=True)
    write_json(file, to_json(new))


def rewritten(text: str) -> str:
    """The document with the tables as they are now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert rest and after, f"{DOCUMENT} has no marks"
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def tables() -> str:
    return "\n\n".join(section(read_table(name)) for name in table_names())


def section(table: PublishedTable) -> str:
    kept = {version: kept_of(table, version) for version in VERSIONS}
    full = kept["full"] or not_run(table)
    parts = [f"### {table.name}: {table.title}", f"{table.source}.", markdown_results(full)]
    if full is not kept["full"] and (cost := table.versions["full"].cost):
        parts[-1] += f"\n\nNot run here: it would take {cost}."
    if kept["quick"]:
        parts.append(markdown_results(kept["quick"]))
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in table.notes)])


def kept_of(table: PublishedTable, version: str) -> Reproduction | None:
    file = FOLDER / f"{table.name}_{version}.json"
    return read_reproduction(file) if file.exists() else None


def not_run(table: PublishedTable) -> Reproduction:
    command = f"nnlab reproduce {table.name} full" + " data.path=FOLDER" * table.needs_path
    return Reproduction(Plan(table, "full", (), tuple(table.cells)), command, "")


if __name__ == "__main__":
    main(sys.argv[1:])
