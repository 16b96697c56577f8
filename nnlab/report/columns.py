"""Tables of many columns as several of fewer, each as wide as the page."""

from __future__ import annotations

from collections.abc import Sequence

from nnlab.report.parts import Table

PAGE_CHARACTERS = 145  # of a table on the page, the gaps between its columns counted
GAP_CHARACTERS = 3


def tables_of(headings: Sequence[str], rows: Sequence[Sequence[str]], labels: int = 1) -> list[Table]:
    """The table in as many as are needed that no column is off the page; each has the `labels`, the first
    columns. A single column that is too wide scrolls.

    >>> [len(table.headings) for table in tables_of(["arm", *["x" * 40] * 5], [])]
    [4, 3]
    """
    widths = [GAP_CHARACTERS + max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    room = PAGE_CHARACTERS - sum(widths[:labels])
    groups: list[list[int]] = [[]]
    for at in range(labels, len(headings)):
        if groups[-1] and sum(widths[i] for i in (*groups[-1], at)) > room:
            groups.append([])
        groups[-1].append(at)
    tables = []
    for group in groups:
        columns = [*range(labels), *group]
        cells = [[row[i] for i in columns] for row in rows]
        tables.append(Table([headings[i] for i in columns], cells, labels=labels))
    return tables
