"""What `nnlab reproduce` shows of tables without training: all of them, or one."""

from __future__ import annotations

from nnlab.commands.command_line import CommandLine
from nnlab.commands.reproduce_request import ReproduceRequest
from nnlab.commands.word_lists import composed_runs_of
from nnlab.errors import UserError
from nnlab.records.terminal import Terminal
from nnlab.records.text import shell_line
from nnlab.records.text_columns import command_lines, labelled_lines, lines_below_label, table, wrap_line
from nnlab.reproduction.published import VERSIONS, PublishedTable
from nnlab.reproduction.table_file import read_table, table_names
from nnlab.reproduction.text import measure_words, published_text, sd_text


def list_tables(request: ReproduceRequest) -> int:
    """The tables; 0. Raises `UserError` where words ask for more."""
    if request.settings.version or request.given or request.cells:
        raise UserError(f"which table? Write nnlab reproduce TABLE quick, of {', '.join(table_names())}")
    screen = Terminal()
    screen.line("nnlab reproduce trains published tables anew:")
    screen.line("")
    for name in table_names():
        published = read_table(name)
        for line in labelled_lines(name, f"{published.title}; {len(published.cells)} cells"):
            screen.line(line)
    screen.line("")
    screen.line("  nnlab reproduce TABLE          what was published, and the words")
    screen.line("  nnlab reproduce TABLE quick    minutes on two cores, smaller but of the same shape")
    screen.line("  nnlab reproduce TABLE full     the published job")
    return 0


def show_table(request: ReproduceRequest) -> int:
    """What was published, the words, and the commands; 0."""
    published = read_table(request.settings.table)
    if request.given:  # refused as they would be if the table were trained
        train = CommandLine("train", config_dir=request.line.config_dir)
        composed_runs_of(train, [published.words(next(iter(published.cells)), "quick", request.given)])
    screen = Terminal()
    for line in table_lines(published, published.picked(request.cells), request.given):
        screen.line(line)
    return 0


def table_lines(published: PublishedTable, cells: list[str], given: tuple[str, ...]) -> list[str]:
    unit = published.unit
    rows = []
    for name in cells:
        cell = published.cells[name]
        n = getattr(cell.published, "n", None)
        rows.append([name, published_text(cell.published, unit), sd_text(cell.published), str(n or "")])
    headings = ["", "published", "sd", "n"]
    used = [i for i, heading in enumerate(headings) if i in (0, 1) or any(row[i] for row in rows)]
    kept = [[row[i] for i in used] for row in rows]
    lines = [
        f"{published.name}: {published.title}",
        f"  {published.source}",
        f"  {measure_words(published)}",
        "",
    ]
    lines += table([headings[i] for i in used], kept, 1)
    if published.claims:
        claims = [line for claim in published.claims for line in wrap_line(f"  - {claim.text}")]
        lines += ["", "  orders that were claimed", *claims]
    all_words = {v: {name: published.words(name, v, given) for name in cells} for v in VERSIONS}
    differing = {version: _differing_words(words) for version, words in all_words.items()}
    are_equal = len({*map(str, differing.values())}) == 1
    if are_equal and any(differing["quick"].values()):
        lines += ["", *_cell_lines(differing["quick"])]
    for version, words in all_words.items():
        lines += ["", *labelled_lines(version, " ".join(_shared_words(words)))]
        lines += [] if are_equal else _cell_lines(differing[version])
        if tried := published.versions[version].tried(given):
            lines += labelled_lines("the best of", " ".join(tried))
        path = ["data.path=FOLDER"] * (version == "full" and published.needs_path and not given)
        lines += command_lines("", shell_line(["nnlab", "reproduce", published.name, version, *given, *path]))
    return [*lines, *([""] if published.notes else []), *(f"  - {note}" for note in published.notes)]


def _shared_words(words: dict[str, tuple[str, ...]]) -> list[str]:
    """Those that all cells have."""
    first, *others = words.values()
    return [word for word in first if all(word in each for each in others)]


def _differing_words(words: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Of each cell those that not all have; of a cell alone there are none."""
    shared = _shared_words(words)
    return {name: " ".join(word for word in each if word not in shared) for name, each in words.items()}


def _cell_lines(differing: dict[str, str]) -> list[str]:
    """Each words, after the names of the cells that have them."""
    cells: dict[str, list[str]] = {}
    for name, words in differing.items():
        cells.setdefault(words, []).append(name)
    named = ((", ".join(names), words) for words, names in cells.items() if words)
    return [line for label, words in named for line in lines_below_label(label, words)]
