"""Writes docs/search_papers.md from the files of the scripts beside this one.

    python scripts/reproduce/write_docs.py [FOLDER ...]

Takes the reproduction and the picture of each FOLDER into docs/ first; without one it writes the page
again.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from reproduction import Reproduction, read_reproduction, run_script

from nnlab.errors import UserError

DOCS = Path(__file__).parent.parent.parent / "docs"
STORED = DOCS / "reproductions" / "searches"
INTRODUCTION = """# Papers about search, and what nnlab gets

Claims of papers about the choice of hyperparameters, and one about dropout as a penalty, each by a script
of scripts/reproduce. They publish curves or orders rather than numbers, so what is compared is the claim.
Intervals are of 95%, Student's, unless something else is said; pairs are compared over the same
repetitions. The searches are those of `nnlab sweep`. All scripts have `--quick` and `--full`; the tables
say which it was, and a full version that is not here was not run.
"""


def summary(made: list[Reproduction]) -> str:
    lines = ["| paper | claim | reproduced | version |", "|---|---|---|---|"]
    for r in made:
        anchor = r.title.lower().replace(",", "").replace(" ", "-")
        lines.append(
            f"| [{r.title}](#{anchor}) | {r.claim[0].upper()}{r.claim[1:]} | {r.reproduced} | {r.version} |"
        )
    return "\n".join(lines) + "\n"


def page() -> str:
    made = [read_reproduction(file) for file in sorted(STORED.glob("*.json"))]
    return "\n".join([INTRODUCTION, summary(made), *(r.section() for r in made)])


def take(folder: Path) -> None:
    """Copy a finished reproduction into docs/."""
    try:
        name = read_reproduction(folder / "reproduction.json").name
        STORED.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "reproduction.json", STORED / f"{name}.json")
        shutil.copyfile(folder / "picture.png", DOCS / "pictures" / f"reproduce_{name}.png")
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise UserError(f"{folder} has no finished reproduction: {e}") from None


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="write_docs.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    for folder in parser.parse_args(words).folders:
        take(folder)
    (DOCS / "search_papers.md").write_text(page())


if __name__ == "__main__":
    run_script(main)
