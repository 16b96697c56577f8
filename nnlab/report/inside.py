"""The sections that look inside a run: histograms, what flows through layers, first weights, mistakes."""

from __future__ import annotations

from collections.abc import Callable

from nnlab.records.stored_run import StoredRun
from nnlab.report import first_layer, histograms, layers, mistakes
from nnlab.report.page import Section
from nnlab.report.trained_run import TrainedRun


def inside_sections(stored: StoredRun) -> dict[str, Callable[[], Section]]:
    """Heading -> what makes the section; the networks and the data are read once, for all of them."""
    run = TrainedRun(stored)
    return {
        mistakes.heading_of(stored): lambda: mistakes.mistakes_section(run),
        histograms.HEADING: lambda: histograms.histograms_section(stored),
        layers.HEADING: lambda: layers.layers_section(run),
        first_layer.HEADING: lambda: first_layer.first_layer_section(run),
    }
