"""The network of a run, as `nnlab graph` draws it."""

from __future__ import annotations

from nnlab.errors import UserError
from nnlab.records.graph_nodes import ShownGraph, shown_graph
from nnlab.records.stored_run import StoredRun
from nnlab.records.titles import experiment_title
from nnlab.report.page import Section
from nnlab.report.parts import Svg


def network_section(stored: StoredRun) -> Section:
    """The drawing: boxes with their formulas and shapes."""
    graph = network_of(stored)
    # It needs grandalf, which is imported late.
    from nnlab.records.graph_svg import graph_svg

    drawing = Svg(graph_svg(graph, name="network"), graph.title)
    return Section("The network", [drawing], f"{graph.parameter_count:,} parameters.")


def network_of(stored: StoredRun) -> ShownGraph:
    """The boxes of the network. Raises `UserError` for a folder without spec.json."""
    experiment, spec = stored.experiment, stored.spec
    if spec is None:
        raise UserError("the folder, of an early version, has no spec.json, which says what the inputs are")
    return shown_graph(experiment, spec, title=experiment_title(experiment, spec, searched=("optimizer",)))
