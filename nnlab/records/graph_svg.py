"""Draws a graph as SVG: boxes with their formulas, leaves below them, shapes on the edges.

The picture depends on the graph alone. It follows a dark screen, and needs no font of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from nnlab.errors import visible
from nnlab.records.graph_colours import LEGEND, style_sheet
from nnlab.records.graph_columns import Place
from nnlab.records.graph_layout import Line, place, ranks_of
from nnlab.records.graph_nodes import ShownGraph, ShownNode
from nnlab.records.svg_shapes import CORNER_RADIUS, escape, number, svg_path, svg_rect, svg_text
from nnlab.records.text_columns import elide_middle

WIDEST = 1110.0  # points of a row of boxes, if that can be helped
CHARACTER, SMALL_CHARACTER = 7.25, 6.3  # widths of a monospaced character of 12 and of 10.5 points
LINE, SMALL_LINE = 16.0, 14.0  # points from a line of text to the next
PADDING = 9.0
CHIP_HEIGHT, CHIP_SPACE = 18.0, 3.0
MARGIN, STAGE_SPACE, TITLE_HEIGHT = 16.0, 34.0, 24.0
MOST_CHARACTERS, MOST_SMALL_CHARACTERS = 36, 44  # of the name in a box, and of a line below it
BROKEN_CHARACTERS = 24  # longer settings take several lines, broken behind commas
ARROW = 6.0
LONGEST_LINE = 4  # columns that a line of a gradient passes; what comes from farther is named instead
STAGES = (
    "the network",
    "its gradient, from the objective back to the parameters",
    "the Hessian times a vector v: the gradient of <gradient, v>",
)


@dataclass(frozen=True)
class Chip:
    """A leaf, or a value of an earlier part, that hangs below the one box that reads it."""

    text: str
    kind: str
    title: str


@dataclass(frozen=True)
class Drawn:
    """A node as it is drawn: what is written in it, its colour, and what hangs below it."""

    node: ShownNode
    lines: tuple[str, ...]
    kind: str
    chips: tuple[Chip, ...] = ()

    @property
    def height(self) -> float:
        return 2 * PADDING - 4 + LINE + SMALL_LINE * (len(self.lines) - 1)

    @property
    def width(self) -> float:
        widths = [len(self.lines[0]) * CHARACTER, *(len(line) * SMALL_CHARACTER for line in self.lines[1:])]
        chips = [len(chip.text) * SMALL_CHARACTER + 2 * PADDING + 8 for chip in self.chips]
        return max(max(widths) + 2 * PADDING, *chips, 44.0)

    @property
    def below(self) -> float:
        return (CHIP_HEIGHT + CHIP_SPACE) * len(self.chips) + 2 * bool(self.chips)


def graph_svg(graph: ShownGraph, dark: bool = True, name: str = "graph") -> str:
    """The picture; with `dark` it has other colours where the reader's screen is dark. `name` begins the ids
    in it: a page may have several."""
    bodies, top, width = [], MARGIN + TITLE_HEIGHT, 0.0
    stages = [_Stage(graph, order) for order in range(len(graph.parts))]
    for order, stage in enumerate(stages):
        if len(stages) > 1:
            bodies.append(svg_text(MARGIN, top + 4, STAGES[order], "heading"))
            top += TITLE_HEIGHT
        bodies.append(f'<g transform="translate({MARGIN:g} {number(top)})">\n{stage.svg()}</g>')
        top += stage.height + STAGE_SPACE
        width = max(width, stage.width)
    kinds = {kind for stage in stages for kind in stage.kinds()}
    legend, rows = _legend([kind for kind in LEGEND if kind in kinds], max(width, 560.0))
    bodies.append(f'<g transform="translate({MARGIN:g} {number(top - 8)})">\n{legend}</g>')
    width, height = max(width, 560.0) + 2 * MARGIN, top + rows * 20 + 6
    title = elide_middle(visible(graph.title), int(width / CHARACTER) - 4)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" class="nnlab-graph" viewBox="0 0 {number(width)} '
        f'{number(height)}" width="{number(width)}" height="{number(height)}" role="img" '
        f'style="--width:{number(width)}px" '
        f'aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{escape(graph.title)}</title>',
        f'<desc id="{name}-desc">{escape(_description(graph))}</desc>',
        f"<style>{style_sheet(dark)}</style>",
        f'<rect class="page" width="{number(width)}" height="{number(height)}"/>',
        svg_text(MARGIN, MARGIN + 8, title, "title"), *bodies, "</svg>", "",
    ])  # fmt: skip


class _Stage:
    """The network, its gradient, or the gradient of that: nodes of one order, placed."""

    def __init__(self, graph: ShownGraph, order: int):
        self.graph, self.order, self.backwards = graph, order, order == 1
        self.by_name = {node.name: node for node in graph.nodes}
        self.from_leaves = _from_leaves_alone(graph)
        readers = Counter(name for node in graph.nodes if node.order == order for name in {*node.reads})
        self.hanging = {
            node.name for node in graph.nodes
            if node.order != order or self._hangs(node) and readers[node.name] == 1
        }  # fmt: skip
        nodes = [node for node in graph.nodes if node.name not in self.hanging]
        nodes += [self._loss()] * (len(graph.outputs) == 1)
        numbers = {node.name: n for n, node in enumerate(nodes)}
        edges = [(numbers[a], n) for n, node in enumerate(nodes) for a in node.reads if a in numbers]
        early = [order == 0 and not self._hangs(node) for node in nodes]
        ranks = ranks_of(early, edges)
        far = {(a, b) for a, b in edges if order and ranks[b] - ranks[a] > LONGEST_LINE}
        self.far = {(nodes[a].name, nodes[b].name) for a, b in far}
        edges = [edge for edge in edges if edge not in far]
        self.sources = {a for a, _ in edges}
        self.drawn = [self._drawn(node) for node in nodes]
        self.places = [
            Place(
                drawn.width, drawn.height, drawn.below,
                label=len(drawn.node.shape_text) * SMALL_CHARACTER + 8 if n in self.sources else 0.0,
            )
            for n, drawn in enumerate(self.drawn)
        ]  # fmt: skip
        layout = place(self.places, edges, ranks, WIDEST)
        self.lines, self.width, self.height = layout.lines, layout.width, layout.height

    def kinds(self) -> list[str]:
        """Of all that is drawn, for the legend."""
        drawn = [drawn for drawn in self.drawn if drawn.node.name != ""]
        kinds = [kind for one in drawn for kind in (one.kind, *(chip.kind for chip in one.chips))]
        return kinds + ["result"] * any(self._is_result(one.node) for one in drawn)

    def svg(self) -> str:
        edges = map(self._line, self.lines)
        labels = [self._label(n) for n in sorted(self.sources)]
        return "".join([*edges, *(self._box(n) for n in range(len(self.drawn))), *labels])

    # ---- what is drawn

    def _drawn(self, node: ShownNode) -> Drawn:
        if not node.name:  # the loss
            return Drawn(node, tuple(self.graph.loss.split(", ")), "end")
        name = elide_middle(visible(node.name), MOST_CHARACTERS)
        lines = [name]
        if node.kind == "input" or node.is_leaf:
            lines.append(node.shape_text)
        elif node.text != node.name:
            lines += _setting_lines(visible(node.text))
        if node.formula:
            lines.append(elide_middle(visible(node.formula), MOST_SMALL_CHARACTERS))
        kind = f"gradient{node.order}" if node.order and node.box else node.kind
        return Drawn(node, tuple(lines), kind, tuple(self._chips(node, node.name)))

    def _chips(self, node: ShownNode, above: str) -> Iterator[Chip]:
        """What hangs below a box: its leaves, boxes on them, and values of earlier parts."""
        for name in dict.fromkeys(node.reads):
            if name not in self.hanging and (name, node.name) not in self.far:
                continue
            hung = self.by_name[name]
            is_value = hung.order != self.order or not self._hangs(hung)
            text = hung.text or name.removeprefix(f"{above}.")
            text = elide_middle(visible(name if is_value else text), MOST_CHARACTERS)
            kind = "value" if is_value and not (hung.is_leaf or hung.kind == "input") else hung.kind
            yield Chip(f"{text} {hung.shape_text}", kind, f"{name}: {_meaning(hung)}")
            if not is_value:
                yield from self._chips(hung, above)

    def _loss(self) -> ShownNode:
        """What follows the output of a network; with its gradient, the loss is a box."""
        return ShownNode("", "input", "", "", "", self.graph.outputs, (), True, 0, 0, 0)

    def _hangs(self, node: ShownNode) -> bool:
        """Whether it is drawn below its only reader: what comes from leaves alone, and further inputs."""
        is_further_input = node.kind == "input" and node is not self.graph.nodes[0] and node.name != ""
        return node.name in self.from_leaves or is_further_input

    def _is_result(self, node: ShownNode) -> bool:
        return node.name in self.graph.outputs and len(self.graph.outputs) > 1

    # ---- pieces of SVG

    def _x(self, x: float) -> float:
        return self.width - x if self.backwards else x

    def _box(self, n: int) -> str:
        drawn, p = self.drawn[n], self.places[n]
        left, top = min(self._x(p.x), self._x(p.x + p.width)), p.y - p.height / 2
        style = drawn.kind + " dashed" * (drawn.node.kind == "random")
        style += " result" * self._is_result(drawn.node)
        radius = p.height / 2 if drawn.node.is_leaf or drawn.kind == "end" else CORNER_RADIUS
        parts = [f"<title>{escape(f'{drawn.node.name}: {_meaning(drawn.node)}')}</title>"] * bool(
            drawn.node.name
        )
        parts.append(svg_rect(left, top, p.width, p.height, radius, style))
        middle, y = left + p.width / 2, top + PADDING + 9
        for i, line in enumerate(drawn.lines):
            font = "name" if i == 0 else "formula" if line == drawn.node.formula else "text"
            parts.append(svg_text(middle, y, line, f"{font} middle"))
            y += SMALL_LINE + (1 if i == 0 else 0)
        y = top + p.height
        for chip in drawn.chips:
            parts.append(
                f'<path class="edge leaf" d="M{number(left + 8)} {number(y)}v{number(CHIP_SPACE + 2)}"/>'
            )
            y += CHIP_SPACE
            width = len(chip.text) * SMALL_CHARACTER + 2 * PADDING
            style = f"{chip.kind} dashed" if chip.kind == "random" else chip.kind
            rect = svg_rect(left + 4, y, width, CHIP_HEIGHT, CHIP_HEIGHT / 2, style)
            text = svg_text(left + 4 + PADDING, y + 12.5, chip.text, "text")
            parts.append(f"<g><title>{escape(chip.title)}</title>{rect}{text}</g>")
            y += CHIP_HEIGHT
        return f"<g>{''.join(parts)}</g>\n"

    def _line(self, line: Line) -> str:
        corners = [replace(corner, x=self._x(corner.x)) for corner in line.corners]
        style = "edge leaf" if self.drawn[line.source].node.is_leaf else "edge"
        path = f'<path class="{style}" d="{svg_path(corners)}"/>\n'
        if not line.ends:
            return path
        end, back = corners[-1], ARROW if self.backwards else -ARROW
        head = f"M{number(end.x)} {number(end.y)}l{number(back)} -3.5v7z"
        return f'{path}<path class="head" d="{head}"/>\n'

    def _label(self, n: int) -> str:
        p, text = self.places[n], self.drawn[n].node.shape_text
        x = self._x(p.x + p.width + 5)
        return svg_text(x, p.y - 4, text, "shape end" if self.backwards else "shape")


def _setting_lines(text: str) -> list[str]:
    """`convolution 32, kernel 3` in lines of a few words."""
    lines = [""]
    for phrase in text.split(", "):
        if lines[-1] and len(f"{lines[-1]}, {phrase}") > BROKEN_CHARACTERS:
            lines[-1] += ","
            lines.append(phrase)
        else:
            lines[-1] += ", " * bool(lines[-1]) + phrase
    return [elide_middle(line, MOST_SMALL_CHARACTERS) for line in lines]


def _from_leaves_alone(graph: ShownGraph) -> set[str]:
    """The names of leaves, and of boxes that read nothing else."""
    names = set()
    for node in graph.nodes:
        if node.is_leaf or node.reads and names.issuperset(node.reads):
            names.add(node.name)
    return names


def _legend(kinds: list[str], width: float) -> tuple[str, int]:
    """The colours and what they mean, and how many lines they take."""
    parts, x, row = [], 0.0, 0
    for kind in kinds:
        needed = 26 + len(LEGEND[kind]) * SMALL_CHARACTER + 14
        if x + needed > width and x:
            x, row = 0.0, row + 1
        radius = 5.5 if kind in ("parameter", "buffer", "value") else 2.5
        style = {"random": "random dashed", "result": "plain result"}.get(kind, kind)
        parts.append(svg_rect(x, row * 20.0, 18, 11, radius, style))
        parts.append(svg_text(x + 24, row * 20.0 + 9.5, LEGEND[kind], "text"))
        x += needed
    return "".join(parts), row + 1


def _meaning(node: ShownNode) -> str:
    """`affine 64, 64, 4,160 parameters`, for who points at it or cannot see it."""
    words = [node.text or node.kind, f"shape {node.shape_text}"]
    words += [f"{node.parameters:,} parameters"] * bool(node.parameters)
    words += [f"{node.multiply_adds:,} multiply-adds"] * bool(node.multiply_adds)
    return ", ".join(words)


def _description(graph: ShownGraph) -> str:
    """The boxes in order, for who cannot see the picture."""
    boxes = [node for node in graph.nodes if not node.is_leaf]
    reads = {node.name: f" of {', '.join(node.reads)}" if node.reads else "" for node in boxes}
    return "; ".join(f"{node.name}: {_meaning(node)}{reads[node.name]}" for node in boxes)
