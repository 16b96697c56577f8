"""Computes the networks of several rows on new examples as one stack, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.graph import Graph
from nnlab.data.encoders import network_inputs, raw_center
from nnlab.data.normalization import centered
from nnlab.data.spec import DataSpec
from nnlab.experiment import Experiment
from nnlab.prediction.trained_rows import TrainedRow
from nnlab.runtime.layout import aligned
from nnlab.training.calibration import temperatures
from nnlab.training.population import Weights, leaf_views, stack_experiments
from nnlab.training.stacks import CACHE_ELEMENTS, CPU_STACK_ROWS


class RowStack:
    """Some rows, bound as one network without dropout. Nothing in it grows with the number of examples."""

    def __init__(
        self,
        e: Experiment,
        graph: Graph,
        spec: DataSpec,
        rows: list[TrainedRow],
        template: torch.Tensor,
        threads: int,
    ):
        self.rows, self.batch = rows, rows[0].batch
        self.inputs = RowInputs(spec, rows, template)
        weights = stacked_weights(graph, rows, template)
        rates = stack_experiments([e] * len(rows)).regularizer.rates()
        site = Site(
            len(rows), self.batch, False, weights.theta, rates, threads, e.precision, overwrites=True
        )  # fmt: skip
        inference_graph = e.inference_graph(graph)
        self.network = inference_graph.bind(weights.theta, weights.theta, site, weights.buffers)
        self.temperature = temperatures([row.calibration for row in rows])

    def outputs(self, x: np.ndarray, calibrated: bool = True) -> Iterator[tuple[slice, torch.Tensor]]:
        """(examples, outputs) of each batch of x (n, d_raw): a slice of x, and z (K, m, examples), divided by
        the row's temperature unless it is to be as before it was `calibrated`."""
        temperature = self.temperature if calibrated else None
        for start in range(0, len(x), self.batch):
            examples = slice(start, min(start + self.batch, len(x)))
            z = self.network.fprop(self.inputs(x[examples], self.batch))[..., : len(x) - start]
            yield examples, z if temperature is None else z / torch.from_numpy(temperature).to(z)


class RowInputs:
    """What the networks of some rows get of raw examples, as each row encodes and normalises them."""

    def __init__(self, spec: DataSpec, rows: list[TrainedRow], template: torch.Tensor):
        self.encoding, self.width, self.rows, self.template = spec.encoding, spec.inputs, len(rows), template
        self.normalizers, self.normalizer_of = _unique_normalizers([row.normalizer for row in rows])

    def __call__(self, x: np.ndarray, batch: int) -> torch.Tensor:
        """x (n, d_raw) as (K, d, B): zeros pad it to a full batch."""
        tables = []
        for normalizer in self.normalizers:
            table = aligned(1, (self.width, batch), self.template)
            center = raw_center(self.encoding, normalizer["center"])
            raw = centered(x.astype(np.float64), center, self.template)
            table[0, :, : len(x)] = network_inputs(raw, self.encoding, normalizer)
            tables.append(table)
        if len(tables) == 1:
            return tables[0].expand(self.rows, -1, -1)
        out = aligned(self.rows, (self.width, batch), self.template)
        for row, number in zip(out, self.normalizer_of, strict=True):
            row.copy_(tables[number][0])
        return out


def stacked_weights(graph: Graph, rows: list[TrainedRow], template: torch.Tensor) -> Weights:
    """The parameters and buffers of the rows, as a network of them reads them."""
    layout = graph.layout()
    weights = Weights(*(template.new_zeros(len(rows), n) for n in (layout.size, layout.buffers_size)))
    for name, view in leaf_views(graph, weights).items():
        for k, row in enumerate(rows):
            view[k] = torch.from_numpy(row.weights[name]).to(template)
    return weights


def bind_stacks(
    e: Experiment,
    graph: Graph,
    spec: DataSpec,
    rows: list[TrainedRow],
    template: torch.Tensor,
    threads: int,
) -> list[RowStack]:
    """The rows in stacks of equal batches, each small enough for the cache."""
    max_rows = max(1, min(CPU_STACK_ROWS, CACHE_ELEMENTS // max(1, graph.layout().size)))
    groups: dict[int, list[TrainedRow]] = {}
    for row in rows:
        groups.setdefault(row.batch, []).append(row)
    return [
        RowStack(e, graph, spec, group[first : first + max_rows], template, threads)
        for group in groups.values()
        for first in range(0, len(group), max_rows)
    ]


def _unique_normalizers(normalizers: list[dict]) -> tuple[list[dict], list[int]]:
    """The different ones among them, and for each which of these it is: seeds of a fold share theirs."""
    distinct: dict[tuple, dict] = {}
    keys = [tuple((name, array.tobytes()) for name, array in sorted(n.items())) for n in normalizers]
    for key, normalizer in zip(keys, normalizers, strict=True):
        distinct.setdefault(key, normalizer)
    indices = {key: number for number, key in enumerate(distinct)}
    return list(distinct.values()), [indices[key] for key in keys]
