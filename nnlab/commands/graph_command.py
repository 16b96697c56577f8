"""Execution of `nnlab graph`: prints the boxes of a job's network, and draws them.

This module imports torch, so graph.py imports it only after the command line has been validated.
"""

from __future__ import annotations

from dataclasses import asdict

from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.command_settings import GraphSettings, checkpoint_settings, recording, refuse_resume
from nnlab.commands.composing import ComposedRun
from nnlab.commands.pictures import refuse_picture_words
from nnlab.commands.run_folders import PreparedRun, run_each
from nnlab.experiment import Experiment
from nnlab.records.graph_nodes import ShownGraph, shown_graph
from nnlab.records.graph_svg import graph_svg
from nnlab.records.graph_table import table_lines, total_lines
from nnlab.records.run_folder import RunFolder
from nnlab.records.terminal import Terminal
from nnlab.records.text_columns import labelled_lines
from nnlab.records.titles import experiment_title

PICTURE_FILE, NODES_FILE = "graph.svg", "graph.json"


def run(runs: list[ComposedRun]) -> int:
    """Show the graphs of the runs one after the other; returns the exit code."""
    for one in runs:
        refuse_picture_words("graph", one.overrides)
    return run_each("graph", runs, prepare, execute)


def prepare(settings: dict) -> ShownGraph:
    """The graph of the job that the settings describe, for its data; raises `UserError`."""
    refuse_resume(settings)
    recording(settings)
    checkpoint_settings(settings)
    order = int(GraphSettings(gradient=settings["gradient"]).gradient)
    experiment = Experiment.from_config(experiment_settings(settings, "graph"))
    spec = experiment.load().spec
    return shown_graph(experiment, spec, order, experiment_title(experiment, spec, searched=("optimizer",)))


def execute(run: PreparedRun) -> None:
    """Print the table of boxes, and write the picture and graph.json."""
    graph: ShownGraph = run.prepared
    screen = Terminal()
    with RunFolder(run.folder) as folder:
        folder.start(run.settings, run.command)
        folder.write(NODES_FILE, asdict(graph))
        folder.write_text(PICTURE_FILE, graph_svg(graph))
    screen.title(graph.title)
    picture = labelled_lines("picture", run.folder / PICTURE_FILE)
    for line in ["", *table_lines(graph), "", *total_lines(graph), *picture]:
        screen.line(line)
