"""What the scripts of this folder share: their arguments, the file they write, and its section of the
docs.

A reproduction is a JSON file: what was claimed and where, the command, tables as lists of texts, and a
verdict in words. docs/reproductions/searches/NAME.json are those of docs/search_papers.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from nnlab.errors import UserError
from nnlab.statistics.comparison import Pair, compare_arms
from nnlab.statistics.scores import Scores
from nnlab.statistics.student import moments, student_interval

MINUS = "−"


@dataclass
class Table:
    """A table of texts; the first column is to the left."""

    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    caption: str = ""

    def add(self, *cells: object) -> None:
        self.rows.append([str(cell) for cell in cells])

    def markdown(self) -> str:
        lines = [self.columns, ["---", *["--:"] * (len(self.columns) - 1)], *self.rows]
        text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"{self.caption}\n\n{text}" if self.caption else text

    def screen(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        padded = (
            [
                f"{c:<{w}}" if i == 0 else f"{c:>{w}}"
                for i, (c, w) in enumerate(zip(line, widths, strict=True))
            ]
            for line in lines
        )
        return "\n".join([self.caption] * bool(self.caption) + ["  " + "  ".join(line) for line in padded])


@dataclass
class Reproduction:
    """One claim of a paper, and what came of it. `version` is quick or full."""

    name: str
    title: str
    source: str
    claim: str
    settings: str
    command: str
    version: str
    tables: list[Table] = field(default_factory=list)
    verdict: str = ""
    reproduced: str = ""  # yes, partly or no
    findings: list[str] = field(default_factory=list)
    seconds: float | None = None  # of the processor
    values: dict = field(default_factory=dict)  # the numbers behind the tables

    def section(self) -> str:
        """Its part of docs/search_papers.md."""
        parts = [f"## {self.title}", f"{self.source}. Claim: {self.claim}", self.settings]
        parts += [table.markdown() for table in self.tables]
        parts += [f"![{self.title}](pictures/reproduce_{self.name}.png)"]
        parts += [f"**Reproduced: {self.reproduced}.** {self.verdict}", *self.findings]
        took = "" if self.seconds is None else f", {self.seconds:,.0f} seconds of the processor"
        parts += [f"The {self.version} version{took}:", f"    {self.command}"]
        return "\n\n".join(parts) + "\n"


def read_reproduction(file: Path) -> Reproduction:
    tree = json.loads(file.read_text())
    return Reproduction(**tree | {"tables": [Table(**table) for table in tree["tables"]]})


# ---- arguments and ends


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The arguments that every script has."""
    made = argparse.ArgumentParser(
        prog=f"{name}.py", description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    version = made.add_mutually_exclusive_group()
    version.add_argument("--quick", action="store_true", help="minutes on two cores (the default)")
    version.add_argument("--full", action="store_true", help="the published size, as far as it goes here")
    made.add_argument("--seed", type=at_least(0), default=0, help="of everything that is drawn; default 0")
    made.add_argument(
        "--out", type=Path, metavar="FOLDER", default=Path("outputs/reproduce") / name,
        help="for reproduction.json and picture.png; default outputs/reproduce/" + name,
    )  # fmt: skip
    return made


def at_least(least: int) -> Callable[[str], int]:
    """An argument that is a whole number no smaller than this."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text}: expected a whole number, at least {least}")
        return int(text)

    return whole_number


def names_among(allowed: Iterable[str]) -> Callable[[str], list[str]]:
    """An argument that lists some of these names, with commas."""
    allowed = list(allowed)

    def names(text: str) -> list[str]:
        given = [name.strip() for name in text.split(",")]
        for name in given:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"{name}: expected some of {', '.join(allowed)}")
        return list(dict.fromkeys(given))

    return names


def command_of(name: str, words: Sequence[str]) -> str:
    return " ".join([f"python scripts/reproduce/{name}.py", *words])


def show_progress(text: str) -> None:
    """One line on a terminal, which the next one goes over."""
    if sys.stdout.isatty():
        print(f"  {text}", end="\r", flush=True)


def finish(reproduction: Reproduction, folder: Path, picture: bytes) -> None:
    """Print the tables and the verdict; write reproduction.json and picture.png."""
    reproduction.seconds = sum(os.times()[:4])  # with those of worker processes
    for table in reproduction.tables:
        print("\n" + table.screen())
    print(f"\nReproduced: {reproduction.reproduced}. {reproduction.verdict}")
    for finding in reproduction.findings:
        print(f"\n{finding}")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(reproduction), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "reproduction.json").write_text(text + "\n")
    (folder / "picture.png").write_bytes(picture)
    print(f"\n  {folder / 'reproduction.json'}, {folder / 'picture.png'}")


def run_script(main: Callable[[list[str]], None]) -> None:
    """Call main with the words of the command line; a `UserError` is one sentence and exit code 2."""
    try:
        main(sys.argv[1:])
    except UserError as e:
        print(f"{Path(sys.argv[0]).name}: {e}", file=sys.stderr)
        raise SystemExit(2) from None


# ---- numbers


def mean_interval(values) -> tuple[float, float]:
    """The mean and half of Student's 95% interval; nan for one value."""
    mean, std = moments(np.asarray(values, float))
    if std is None:
        return mean, math.nan
    low, high = student_interval(mean, std, len(values))
    return mean, (high - low) / 2


def paired(values: dict[str, Sequence[float]], larger_is_better: bool = True) -> Pair:
    """The comparison of two arms, measured in the same repetitions."""
    arms = {name: np.reshape(each, (-1, 1, 1)).astype(float) for name, each in values.items()}
    return compare_arms(Scores(arms, larger_is_better)).pairs[0]


def plus_minus(mean: float, half: float, digits: int, sign: bool = False) -> str:
    text = f"{mean:+.{digits}f}" if sign else f"{mean:.{digits}f}"
    text = text.replace("-", MINUS)
    return text if math.isnan(half) else f"{text} ± {half:.{digits}f}"
