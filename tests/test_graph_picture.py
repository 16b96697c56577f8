"""Pictures of graphs: nothing overlaps, lines lead where they should, the same picture every time."""

import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnlab
from nnlab.autodiff.activations import ReLU, Sigmoid, Tanh
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.boxes import BOXES
from nnlab.autodiff.combine import Add, Concatenate, Multiply
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.autodiff.gradient_boxes import GRADIENT_BOXES
from nnlab.autodiff.graph import Graph
from nnlab.experiment import Experiment
from nnlab.models import Model
from nnlab.records.graph_columns import Place
from nnlab.records.graph_layout import place, ranks_of
from nnlab.records.graph_nodes import shape_text, shown_graph
from nnlab.records.graph_svg import graph_svg

SVG = "{http://www.w3.org/2000/svg}"
WIDEST = 700.0


@st.composite
def drawings(draw):
    """Up to 25 boxes of any size, each of which reads up to three earlier ones; some parts are separate."""
    count = draw(st.integers(1, 25))
    sizes = st.tuples(
        *(st.sampled_from(s) for s in ([44.0, 130.0, 260.0], [44.0, 58.0], [0.0, 66.0], [0.0, 60.0]))
    )
    places = [Place(*draw(sizes)) for _ in range(count)]
    early = [draw(st.booleans()) for _ in range(count)]
    edges = [
        (draw(st.integers(0, b - 1)), b) for b in range(1, count) for _ in range(draw(st.integers(0, 3)))
    ]
    return places, edges, ranks_of(early, edges)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(drawings())
def test_boxes_do_not_touch_and_lines_lead_from_box_to_box(drawing):
    places, edges, ranks = drawing
    layout = place(places, edges, ranks, WIDEST)
    boxes = [(p.x, p.y - p.height / 2, p.x + p.width, p.y + p.height / 2 + p.below) for p in places]
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    assert all(0 <= x and 0 <= y and r <= layout.width and b <= layout.height for x, y, r, b in boxes)
    ended = [line for line in layout.lines if line.ends]
    assert len(ended) == len(set(edges))
    for source in {a for a, _ in edges}:
        starts = {(line.corners[0].x, line.corners[0].y) for line in layout.lines if line.source == source}
        assert (places[source].x + places[source].width, places[source].y) in starts
    ends = {(line.corners[-1].x, line.corners[-1].y) for line in ended}
    for _, b in edges:
        heights = [y for x, y in ends if x == places[b].x and abs(y - places[b].y) <= places[b].height / 2]
        assert heights
    for line in layout.lines:  # straight lines are horizontal or vertical
        for before, corner in zip(line.corners, line.corners[1:], strict=False):
            assert corner.bend or before.x == corner.x or before.y == corner.y
            assert 0 <= corner.x <= layout.width and 0 <= corner.y <= layout.height + 1e-9


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(drawings())
def test_straight_lines_pass_no_box(drawing):
    places, edges, ranks = drawing
    layout = place(places, edges, ranks, WIDEST)
    for line in layout.lines:
        for before, corner in zip(line.corners, line.corners[1:], strict=False):
            left, right = sorted((before.x, corner.x))
            high, low = sorted((before.y, corner.y))
            for p in places:
                across = left < p.x + p.width and p.x < right
                inside = high < p.y + p.height / 2 + p.below and p.y - p.height / 2 < low
                assert corner.bend or not (across and inside), (line, p)


@given(drawings())
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
def test_what_a_box_reads_stands_in_columns_before(drawing):
    _, edges, ranks = drawing
    assert all(ranks[a] < ranks[b] for a, b in edges) and {*ranks} == {*range(max(ranks) + 1)}


def test_a_long_chain_is_wrapped():
    places = [Place(100.0, 44.0, label=20.0) for _ in range(30)]
    layout = place(places, [(n, n + 1) for n in range(29)], list(range(30)), WIDEST)
    assert layout.width < WIDEST + 100 and len({p.y for p in places}) == 6


@pytest.mark.parametrize("before", [1, 3, 5])
def test_a_block_with_its_skip_is_one_row_and_the_skip_an_arc(before):
    """The five boxes of the block in a line, over it two skips of other lengths: two arcs."""
    count = before + 8
    places = [Place(60.0, 44.0 + 14 * (n % 2), 40.0, 20.0) for n in range(count)]
    chain = [(n, n + 1) for n in range(count - 1)]
    skips = [(before - 1, before + 4), (before, before + 3)]
    layout = place(places, chain + skips, list(range(count)), WIDEST)
    block = places[before : before + 5]
    assert len({p.y for p in block}) == 1
    arcs = []
    for a, b in skips:
        (line,) = (
            line for line in layout.lines
            if line.source == a and line.ends and line.corners[-1].x == places[b].x
        )  # fmt: skip
        over = {corner.y for corner in line.corners if places[a + 1].x <= corner.x < places[b - 1].x}
        arcs += over
        assert len(over) == 1 and max(over) < min(p.y - p.height / 2 for p in places[a + 1 : b])
    assert arcs[0] < arcs[1]


def residual():
    """Skips, a shared weight, random boxes, three inputs: all that a drawing has to show."""
    graph = Graph((64,))
    embed = graph.add("embed", Affine(32), graph.input)
    first = graph.add("tanh", Tanh(), embed)
    inner = graph.add(
        "inner", Affine(32), graph.add("relu", ReLU(), first), weight=DropConnect(stream="inner")
    )
    total = graph.add("sum", Add(), graph.add("dropout", Dropout(), inner), first)
    again = graph.add("again", Affine(32), graph.input, weight=graph["embed.weight"])
    gated = graph.add("gated", Multiply(), total, graph.add("gate", Sigmoid(), again))
    graph.add("output", Affine(10), graph.add("both", Concatenate(), gated, first, embed))
    return graph


@dataclass(frozen=True)
class Fixed(Model):
    """A model that is one graph."""

    name: ClassVar[str] = "fixed"
    make: object = residual

    def graph(self, shape, outputs, output="identity"):
        return self.make()


def shown(make=residual, order=0, title="a graph", **rates):
    experiment = Experiment(model=Fixed(make), regularizer=nnlab.Regularizer(**rates))
    return shown_graph(experiment, experiment.load().spec, order, title)


def texts(svg, style=None):
    nodes = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return [node.text for node in nodes if style is None or style in node.get("class").split()]


def test_a_picture_shows_every_box_and_leaf():
    graph = residual()
    svg = graph_svg(shown(dropout=0.5, dropconnect=0.1))
    names = texts(svg, "name")
    boxes = {node.name for node in graph.nodes if node.box and node.name != "inner.weight.dropconnect"}
    assert {*names} == {*boxes, "input", "embed.weight", "cross entropy"}
    assert {"dropconnect rate 0.1 32×32", "weight 32×32", "bias 10", "bias 32"} <= {*texts(svg)}
    assert texts(svg, "shape").count("32×64") == 1  # one shared leaf, with a line to each reader
    root = ElementTree.fromstring(svg)
    dashed = [rect for rect in root.iter(f"{SVG}rect") if "dashed" in rect.get("class")]
    assert len(dashed) == 3  # dropout, DropConnect, and in the legend
    assert root.get("style") == f"--width:{root.get('width')}px" and "max-width:100%" in svg  # it scales
    labelled = root.get("aria-labelledby").split()
    assert [node.get("id") for node in root if node.get("id")] == labelled
    assert root.find(f"{SVG}title").text == "a graph" and "again: affine 32" in root.find(f"{SVG}desc").text


def test_what_does_nothing_is_left_out():
    graph = shown()
    assert graph.left_out == ("inner.weight.dropconnect", "dropout")
    assert graph["sum"].reads == ("inner", "tanh") and "inner.weight" in graph["inner"].reads
    assert "dropout" not in graph_svg(graph)
    assert graph["inner"].parameters == 32 * 32 + 32 and graph["again"].parameters == 32
    assert sum(node.parameters for node in graph.nodes if not node.is_leaf) == residual().parameter_count


def test_every_box_says_a_formula():
    boxes = BOXES | GRADIENT_BOXES
    assert {name for name, box in boxes.items() if not 0 < len(box.formula) <= 32} == set()


@pytest.mark.parametrize("dark", [True, False])
def test_the_colours_of_a_dark_screen_are_optional(dark):
    assert ("prefers-color-scheme:dark" in graph_svg(shown(), dark=dark)) == dark


def odd_names():
    graph = Graph((3,))
    graph.add("<script>&\x1b]0;", Affine(2), graph.input)
    graph.add("long" * 30, ReLU(), 3)
    return graph


def test_names_are_text():
    svg = graph_svg(shown(odd_names, title='"><b>\u202e'))
    assert "<script>&\\x1b]0;" in texts(svg, "name") and "<b>" not in svg and "\x1b" not in svg
    assert max(map(len, texts(svg, "name"))) <= 36


@pytest.mark.parametrize("order", [1, 2])
def test_the_gradient_is_drawn_as_what_computes_it(order):
    graph = shown(order=order)
    boxes = {node.name: node for node in graph.nodes if not node.is_leaf}
    drawn = [name for name in texts(graph_svg(graph), "name")]
    assert len(texts(graph_svg(graph), "heading")) == order + 1
    assert {name for name, node in boxes.items() if node.box and len(name) <= 36} <= {*drawn}
    assert "cross entropy" not in drawn and "objective" in drawn  # the loss is a box itself
    gradients = {f"d {name}" for name in residual().parameters}
    seconds = {f"d2 {name}" for name in residual().parameters} if order == 2 else set()
    assert {node.name for node in graph.parts[0]} >= {"output", "objective", "target"}
    assert gradients <= {node.name for node in graph.parts[1]} and len(graph.parts) == order + 1
    assert {*graph.outputs} >= {"objective", *gradients, *seconds}
    rects = ElementTree.fromstring(graph_svg(graph)).iter(f"{SVG}rect")
    results = [rect for rect in rects if "result" in rect.get("class").split()]
    assert len(results) == len(graph.outputs) + 1  # and in the legend


def test_what_gradients_cost():
    """Of affine boxes twice as much as forward, but for the gradient of the input, which nobody needs."""
    network, gradient = shown(order=1).parts
    forward = sum(node.multiply_adds for node in network)
    first = sum(node.multiply_adds for node in network if "input" in node.reads)
    assert sum(node.multiply_adds for node in gradient) == 2 * forward - first


def test_shapes():
    assert [shape_text(shape) for shape in ((64,), (32, 28, 28), (64, 1, 1))] == ["64", "32×28×28", "64×1×1"]
    assert [shape_text(shape, per_example=False) for shape in ((64, 1), (32, 1, 1), (1, 1), (3, 1, 2))] == [
        "64", "32", "1", "3×1×2",
    ]  # fmt: skip


def test_the_same_picture_in_every_process():
    """Not that of Python's seed of hashes, nor of addresses."""
    code = """
import hashlib, random, sys
from nnlab.records.graph_columns import Place
from nnlab.records.graph_layout import place, ranks_of
r = random.Random(3)
places = [Place(100.0, 44.0, r.choice([0.0, 40.0]), 30.0) for _ in range(60)]
edges = [(r.randrange(max(0, b - 9), b), b) for b in range(1, 60) for _ in range(2)]
layout = place(places, edges, ranks_of([True] * 60, edges), 700.0)
print(hashlib.sha256(repr((places, layout)).encode()).hexdigest())
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True
        )
        for seed in "012"
    ]  # fmt: skip
    assert len({run.stdout for run in runs}) == 1 and runs[0].stdout, runs[0].stderr
