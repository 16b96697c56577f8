"""Orders the boxes of each column of a graph, and gives their heights, by grandalf."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from grandalf.graphs import Edge, Vertex, graph_core
from grandalf.layouts import Layer, SugiyamaLayout

BOX_SPACE, LANE_HEIGHT = 20.0, 12.0  # between boxes of a column; of a line that passes a column
ROUNDS = 8  # of ordering the columns, forth and back

Key = Hashable  # of a place
Lanes = dict[tuple[Key, Key], dict[int, float]]  # edge -> rank -> the height at which it passes that column


@dataclass
class Place:
    """A box to be placed: its size, how much hangs below it, and how wide the label behind it is.

    x and y, its left and its middle, are set by placing it.
    """

    width: float
    height: float
    below: float = 0.0
    label: float = 0.0
    x: float = 0.0
    y: float = 0.0


def set_heights(places: dict[Key, Place], edges: list[tuple[Key, Key]], ranks: dict[Key, int]) -> Lanes:
    """Set y of every place. Returns where the edges pass the columns between their ends."""
    lanes: Lanes = {edge: {} for edge in edges}
    top = 0.0
    for keys in _components(list(places), edges):
        inside = set(keys)
        own_edges = [edge for edge in edges if edge[0] in inside]
        columns = _columns({key: places[key] for key in keys}, own_edges, ranks)
        _straighten(columns, own_edges, ranks)
        highest = min(_spread(columns))
        for rank, column in columns.items():
            for cell in column:
                y = cell.y + top - highest
                if cell.edge is None:
                    places[cell.key].y = y
                else:
                    lanes[cell.edge][rank] = y
        lowest = max(cell.y + cell.below for column in columns.values() for cell in column)
        top += lowest - highest + BOX_SPACE
    return lanes


@dataclass
class _Cell:
    """A box in a column, or an edge that passes it: its middle, and how far it extends above and below."""

    y: float
    above: float
    below: float
    key: Key = None
    edge: tuple[Key, Key] | None = None


def _straighten(columns: dict[int, list[_Cell]], edges: list[tuple[Key, Key]], ranks: dict[Key, int]) -> None:
    """Where all columns have one box, these stand in a line, and the lines that pass them are arcs above it:
    a longer one farther up. A part of several branches stays as it is."""
    for first, last in _chains(columns):
        inside = range(first, last + 1)
        boxes = [cell for rank in inside for cell in columns[rank] if cell.edge is None]
        shift = {rank: boxes[0].y - box.y for rank, box in zip(inside, boxes, strict=True)}
        for rank, cells in columns.items():  # what follows moves as the last box does
            for cell in cells:
                cell.y += shift[min(max(rank, first), last)]
        arcs = sorted(
            (edge for edge in edges if first <= ranks[edge[0]] and ranks[edge[1]] <= last),
            key=lambda edge: (ranks[edge[1]] - ranks[edge[0]], str(edge)),
        )
        heights: dict[int, float] = {rank: box.y - box.above for rank, box in zip(inside, boxes, strict=True)}
        arc_of = {}
        for edge in arcs:
            passed = range(ranks[edge[0]] + 1, ranks[edge[1]])
            if passed:
                top = min(heights[rank] for rank in passed) - (LANE_HEIGHT + BOX_SPACE) / 2
                heights |= dict.fromkeys(passed, top)
                arc_of[edge] = top
        for rank in inside:
            for cell in columns[rank]:
                cell.y = arc_of.get(cell.edge, cell.y)
            columns[rank].sort(key=lambda cell: cell.y)


def _chains(columns: dict[int, list[_Cell]]) -> list[tuple[int, int]]:
    """The first and the last rank of each run of columns that have one box."""
    chains: list[tuple[int, int]] = []
    for rank in sorted(columns):
        if sum(cell.edge is None for cell in columns[rank]) == 1:
            first = chains.pop()[0] if chains and chains[-1][1] == rank - 1 else rank
            chains.append((first, rank))
    return chains


def _spread(columns: dict[int, list[_Cell]]) -> Iterator[float]:
    """Move cells down where they would touch the one above; yield where each column begins."""
    for column in columns.values():
        for upper, lower in pairwise(column):
            space = BOX_SPACE / 2 * ((upper.edge is None) + (lower.edge is None))
            lower.y = max(lower.y, upper.y + upper.below + space + lower.above)
        yield column[0].y - column[0].above


class _View:
    """The size of a vertex as grandalf has it: its `w` is along a column."""

    def __init__(self, w: float = LANE_HEIGHT):
        self.w, self.h, self.xy = w, 1.0, (0.0, 0.0)


class _GivenRanks(SugiyamaLayout):
    """grandalf's layout of vertices whose `data` are their ranks."""

    def rank_all(self, roots, optimize=False):
        first = min(v.data for v in self.g.sV)
        self.layers = [Layer() for _ in range(1 + max(v.data for v in self.g.sV) - first)]
        for v in self.g.sV:
            self.grx[v].rank = v.data - first
            self.layers[v.data - first].append(v)


def _columns(places: dict[Key, Place], edges: list[tuple[Key, Key]], ranks) -> dict[int, list[_Cell]]:
    """rank -> the cells of that column of a connected graph, from top to bottom."""
    cells = {key: _Cell(0.0, p.height / 2, p.height / 2 + p.below, key) for key, p in places.items()}
    if not edges:
        return {ranks[key]: [cell] for key, cell in cells.items()}
    vertices = {key: Vertex(ranks[key]) for key in places}
    for key, p in places.items():
        vertices[key].view = _View(p.height + 2 * p.below)  # so that its middle is that of the box
    edge_of = {Edge(vertices[a], vertices[b]): (a, b) for a, b in edges}
    sugiyama = _GivenRanks(graph_core(list(vertices.values()), list(edge_of)))
    sugiyama.xspace, sugiyama.dw, sugiyama.dh = BOX_SPACE, LANE_HEIGHT, 1.0
    sugiyama.init_all(roots=[], inverted_edges=[])
    sugiyama.draw(N=ROUNDS)
    cell_of = {id(vertex): cells[key] for key, vertex in vertices.items()}
    for edge, control in sugiyama.ctrls.items():
        for passing in control.values():
            half = LANE_HEIGHT / 2
            cell_of.setdefault(id(passing), _Cell(0.0, half, half, edge=edge_of[edge]))
    columns = {}
    for rank, layer in enumerate(sugiyama.layers, min(ranks[key] for key in places)):
        for vertex in layer:
            cell_of[id(vertex)].y = vertex.view.xy[0]
        columns[rank] = [cell_of[id(vertex)] for vertex in layer]
    return columns


def _components(keys: list[Key], edges: list[tuple[Key, Key]]) -> list[list[Key]]:
    """The places of each connected part, in order."""
    order = {key: n for n, key in enumerate(keys)}
    part = list(range(len(keys)))

    def root(n: int) -> int:
        while part[n] != n:
            n = part[n]
        return n

    for a, b in edges:
        low, high = sorted((root(order[a]), root(order[b])))
        part[high] = low
    members = defaultdict(list)
    for key in keys:
        members[root(order[key])].append(key)
    return list(members.values())
