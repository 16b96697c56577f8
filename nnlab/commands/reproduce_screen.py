"""What `nnlab reproduce` shows of tables without training: all of them, or one."""

from __future__ import annotations

from nnlab.commands.reproduce_request import ReproduceRequest
from nnlab.errors import UserError
from nnlab.records.terminal import Terminal
from nnlab.records.text import shell_line
from nnlab.records.text_columns import command_lines, labelled_lines, table, wrap_line
from nnlab.reproduction.published import VERSIONS, PublishedTable, read_table, table_names
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
        own = " ".join(cell.words)
        rows.append([name, published_text(cell.published, unit), sd_text(cell.published), str(n or ""), own])
    headings = ["", "published", "sd", "n", ""]
    used = [i for i, heading in enumerate(headings) if i in (0, 1) or any(row[i] for row in rows)]
    if max(len(row[-1]) for row in rows) > 40:  # on lines of their own, whole
        used.remove(4)
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
    for version in VERSIONS:
        words = " ".join(published.words(cells[0], version, given))
        lines += ["", *labelled_lines(f"{version}, {cells[0]}", words)]
        if tried := published.versions[version].tried(given):
            lines += labelled_lines("the best of", " ".join(tried))
        path = ["data.path=FOLDER"] * (version == "full" and published.needs_path and not given)
        lines += command_lines("", shell_line(["nnlab", "reproduce", published.name, version, *given, *path]))
    return [*lines, *([""] if published.notes else []), *(f"  - {note}" for note in published.notes)]
