"""Places the boxes of a graph: columns from left to right, in rows that are wrapped as text is.

grandalf orders the boxes of a column and gives their heights (Sugiyama, Tagawa and Toda 1981; Brandes and
Koepf 2001): graph_columns.py. Rows, columns and the lines are decided here. All lengths are points, y
downwards.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from nnlab.records.graph_columns import LANE_HEIGHT, Lanes, Place, set_heights

BEND_SPACE, ARROW_SPACE = 30.0, 14.0  # between columns: where lines part or meet; elsewhere
ROW_SPACE, TURN_SPACE = 30.0, 10.0  # between rows; between lines that turn into the next row
PORT_SPACE = 9.0  # between lines that end at one box
# What a value more that crosses the end of a row costs, a line more of one, and a row that is too wide by
# less than a tenth, all in rows.
CROSSING_COST, BRANCH_COST, STRETCH_COST, STRETCH = 2.0, 0.25, 1.5, 1.1

Pair = tuple[int, int]  # the numbers of two places


@dataclass(frozen=True)
class Corner:
    """Where a line goes: straight, or in a bend that begins and ends horizontally."""

    x: float
    y: float
    bend: bool = False


@dataclass(frozen=True)
class Line:
    """A line from a box, or from where it enters a row; it has an arrow if it ends at a box."""

    source: int
    corners: list[Corner]
    ends: bool


@dataclass(frozen=True)
class Layout:
    """The lines, and the size of all; the places have got x and y."""

    lines: list[Line]
    width: float
    height: float


def place(places: list[Place], edges: Iterable[Pair], ranks: list[int], widest: float) -> Layout:
    """Place the boxes, each in the column of its rank; edges lead to higher ranks. A row is no wider than
    `widest`, if that can be helped."""
    edges = sorted(set(edges))
    rows = [_Row(places, edges, ranks, first, last) for first, last in _cuts(places, edges, ranks, widest)]
    most_turning = max((len(row.leaving) for row in rows), default=0)
    left, top, lines = TURN_SPACE * (most_turning + bool(most_turning)), 0.0, []
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        row.move(left, top)
        lines += row.lines()
        top = row.bottom + ROW_SPACE + TURN_SPACE * len(row.leaving)
        if following:
            following.move(left, top)
            lines += row.turns(following, left)
            following.move(-left, -top)
    right = max(row.right + TURN_SPACE * (len(row.leaving) + bool(row.leaving)) for row in rows)
    return Layout(lines, right, rows[-1].bottom)


def ranks_of(early: list[bool], edges: list[Pair]) -> list[int]:
    """The column of each box, for edges that lead from a smaller number to a larger one: behind its last
    input, if it is `early`, else before its first reader."""
    before, after = defaultdict(list), defaultdict(list)
    for a, b in edges:
        before[b].append(a)
        after[a].append(b)
    ranks = [0] * len(early)
    for n in range(len(early)):
        ranks[n] = max((ranks[a] + 1 for a in before[n]), default=0)
    for n in reversed(range(len(early))):
        if not early[n] and after[n]:
            ranks[n] = min(ranks[b] for b in after[n]) - 1
    lowest = min(ranks, default=0)
    return [rank - lowest for rank in ranks]


def _cuts(places: list[Place], edges: list[Pair], ranks: list[int], widest: float) -> list[Pair]:
    """The first and the last rank of each row: few rows, cut where one value goes on to one box if possible,
    about equally wide. The best rows up to each rank follow from those up to the ranks before."""
    columns = [[p for p, r in zip(places, ranks, strict=True) if r == k] for k in range(max(ranks) + 1)]
    gaps = _gaps(edges, ranks)
    widths = [
        max(p.width for p in column) + max(p.label for p in column) + gaps.get(k, ARROW_SPACE)
        for k, column in enumerate(columns)
    ]
    best: list[tuple[float, float, list[Pair]]] = [(0.0, 0.0, [])]  # cost, how uneven the rows are, the rows
    for last in range(len(widths)):
        rows, width, end = [], 0.0, _cost(edges, ranks, last)
        for first in range(last, -1, -1):
            width += widths[first]
            if width > STRETCH * widest and first < last:
                break
            cost, uneven, before = best[first]
            cost += end + STRETCH_COST * (width > widest)
            rows.append((cost, uneven + width**2, [*before, (first, last)]))
        best.append(min(rows))
    return best[-1][2]


def _cost(edges: list[Pair], ranks: list[int], rank: int) -> float:
    """Of a row's end behind this column."""
    branches = sum(ranks[a] <= rank < ranks[b] for a, b in edges)
    values = len(_across(edges, ranks, rank))
    return 1.0 + CROSSING_COST * max(values - 1, 0) + BRANCH_COST * max(branches - values, 0)


def _gaps(edges: list[tuple], ranks) -> dict[int, float]:
    """Behind each column where lines part, or meet in the next one, by its rank."""
    leaving, entering = Counter(a for a, _ in edges), Counter(b for _, b in edges)
    parting = {ranks[a] for a, count in leaving.items() if count > 1}
    meeting = {ranks[b] - 1 for b, count in entering.items() if count > 1}
    return dict.fromkeys(parting | meeting, BEND_SPACE)


def _across(edges: list[Pair], ranks: list[int], rank: int) -> list[int]:
    """The sources of the lines that go on behind the column."""
    return sorted({a for a, b in edges if ranks[a] <= rank < ranks[b]})


class _Row:
    """Columns of some ranks, with lines that enter at the left and leave at the right.

    `places` has the boxes of the row by their numbers, and two small places for each line that passes an end
    of it: (source, "in") and (source, "out").
    """

    def __init__(self, places: list[Place], edges: list[Pair], ranks: list[int], first: int, last: int):
        def row_of(number: int) -> int:
            return (ranks[number] > last) - (ranks[number] < first)

        entering, leaving = _across(edges, ranks, first - 1), _across(edges, ranks, last)
        self.places = {(a, "in"): Place(0.0, LANE_HEIGHT) for a in entering}
        self.places |= {n: place for n, place in enumerate(places) if row_of(n) == 0}
        self.places |= {(a, "out"): Place(0.0, LANE_HEIGHT) for a in leaving}
        self.ranks = {(a, "in"): first - 1 for a in entering} | {(a, "out"): last + 1 for a in leaving}
        self.ranks |= {n: ranks[n] for n in range(len(places)) if row_of(n) == 0}
        self.edges = sorted({
            (a if row_of(a) == 0 else (a, "in"), b if row_of(b) == 0 else (a, "out"))
            for a, b in edges if row_of(a) <= 0 <= row_of(b)
        }, key=str)  # fmt: skip
        self.lanes: Lanes = set_heights(self.places, self.edges, self.ranks)
        self.leaving = sorted(leaving, key=lambda a: -self.places[a, "out"].y)  # the lowest turns first
        self._set_columns()
        ys = [(p.y - p.height / 2, p.y + p.height / 2 + p.below) for p in self.places.values()]
        ys += [
            (y - LANE_HEIGHT / 2, y + LANE_HEIGHT / 2) for lane in self.lanes.values() for y in lane.values()
        ]
        self.top, self.bottom = min(y for y, _ in ys), max(y for _, y in ys)
        self.left = 0.0
        self.move(0.0, -self.top)

    def _set_columns(self) -> None:
        self.column_left, self.column_right, x = {}, {}, 0.0
        gaps = _gaps(self.edges, self.ranks)
        for rank in sorted(set(self.ranks.values())):
            column = [p for key, p in self.places.items() if self.ranks[key] == rank]
            width = max(p.width for p in column)
            for p in column:
                p.x = x + (width - p.width) / 2
            self.column_left[rank] = x
            self.column_right[rank] = x = x + width + max(p.label for p in column)
            self.right, x = x, x + gaps.get(rank, ARROW_SPACE)

    def move(self, x: float, y: float) -> None:
        for p in self.places.values():
            p.x, p.y = p.x + x, p.y + y
        for rank in self.column_left:
            self.column_left[rank] += x
            self.column_right[rank] += x
        self.lanes = {edge: {r: h + y for r, h in lane.items()} for edge, lane in self.lanes.items()}
        self.right, self.top, self.bottom = self.right + x, self.top + y, self.bottom + y

    def lines(self) -> list[Line]:
        ports = self._ports()
        return [
            Line(_number(edge[0]), self._corners(edge, ports[edge]), ends=not isinstance(edge[1], tuple))
            for edge in self.edges
        ]

    def _ports(self) -> dict:
        """The height at which each line ends: beside each other, in the order in which they come."""
        ending = defaultdict(list)
        for edge in self.edges:
            ending[edge[1]].append(edge)
        ports = {}
        for target, group in ending.items():
            p, rank = self.places[target], self.ranks[target] - 1
            group.sort(key=lambda edge, rank=rank: (self._height(edge, rank), str(edge)))
            space = min(PORT_SPACE, p.height / (len(group) + 1)) * (not isinstance(target, tuple))
            ports |= {edge: p.y + space * (i - (len(group) - 1) / 2) for i, edge in enumerate(group)}
        return ports

    def _height(self, edge, rank: int) -> float:
        """Of a line in one of the columns that it passes, or in that of its source."""
        return self.lanes[edge].get(rank, self.places[edge[0]].y)

    def _corners(self, edge, port: float) -> list[Corner]:
        source, target = (self.places[key] for key in edge)
        first, last = (self.ranks[key] for key in edge)
        corners = [Corner(source.x + source.width, source.y)]
        for rank in range(first, last):
            after = port if rank + 1 == last else self._height(edge, rank + 1)
            corners.append(Corner(self.column_right[rank], self._height(edge, rank)))
            corners.append(Corner(self.column_left[rank + 1], after, bend=True))
        return [*corners, Corner(target.x, port)]

    def turns(self, following: _Row, left: float) -> list[Line]:
        """The lines around the end of this row and the beginning of the next."""
        lines = []
        for lane, a in enumerate(self.leaving):
            start, end = self.places[a, "out"], following.places[a, "in"]
            outer, gutter = self.right + TURN_SPACE * (lane + 1), self.bottom + TURN_SPACE * (lane + 1)
            inner = left - TURN_SPACE * (len(self.leaving) - lane)
            turn = [
                (start.x, start.y),
                (outer, start.y),
                (outer, gutter),
                (inner, gutter),
                (inner, end.y),
                (end.x, end.y),
            ]
            lines.append(Line(a, [Corner(x, y) for x, y in turn], ends=False))
        return lines


def _number(key) -> int:
    return key[0] if isinstance(key, tuple) else key
