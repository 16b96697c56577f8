"""The base classes of the contracts: tests on one thread, and row independence in a real fit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from typing import ClassVar
from unittest import mock

import numpy as np
import torch

from nnlab.data.batches import Batches
from nnlab.data.dataset import Data, Dataset
from nnlab.data.gpu_batches import GpuBatches
from nnlab.errors import Advice, UserError
from nnlab.experiment import Experiment
from nnlab.hyperparameters import kind, static
from nnlab.models import MLP
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import one_thread
from nnlab.streams import uniforms
from nnlab.testing.fake_cuda import fake_gpu
from nnlab.training import step
from nnlab.training.fit import fit

STACK_ROWS = 3


class Contract:
    """Base class of the contracts: every `test_*` is a property. Runs on one thread, like the engine."""

    def setup_method(self):
        self._contexts = ExitStack()
        self._contexts.enter_context(one_thread())
        # Rows differ in rates of dropout that a part under test need not read, which advice would say.
        self._contexts.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", Advice)

    def teardown_method(self):
        self._contexts.close()

    @classmethod
    def properties(cls) -> list[str]:
        """The names of its tests."""
        return [name for name in dir(cls) if name.startswith("test_")]


def run(contract: type[Contract], test: str) -> None:
    """Run one test of a contract, as pytest would."""
    case = contract()
    case.setup_method()
    try:
        getattr(case, test)()
    finally:
        case.teardown_method()


class RowIndependence(Contract):
    """A row of a stack equals itself alone, bit for bit on the CPU: curves, weights, test report.

    And the rows train on a GPU: on a fake one, which refuses what a real one would (`fake_gpu`).
    `experiments` are the rows: experiments that differ in everything that may differ within a stack.
    """

    def experiments(self) -> list[Experiment]:
        raise NotImplementedError

    def test_a_row_of_a_stack_equals_itself_alone(self):
        self.assert_rows_equal_themselves_alone(self.experiments())

    @staticmethod
    def assert_rows_equal_themselves_alone(experiments: list[Experiment]) -> None:
        together, first = trained(experiments), 0
        for k, experiment in enumerate(experiments):
            # Of several seeds or folds an experiment is as many rows, which stand together in the stack.
            alone = trained([experiment])
            in_stack = together[first : first + len(alone)]
            assert alone == in_stack, f"row {k} differs from it alone"
            first += len(alone)

    def test_a_fit_is_deterministic(self):
        experiments = self.experiments()[:1]
        assert trained(experiments) == trained(experiments), "the same experiment gave other bits"

    def test_the_rows_share_a_stack(self):
        experiments = self.experiments()
        if experiments:
            structures = {row.structure for row in fit(*experiments).rows}
            assert len(structures) == 1, "the rows differ in static fields, so that nothing was compared"

    def test_it_trains_on_a_gpu(self):
        """It meets no tensor of the CPU there, and given the random numbers of the CPU it learns alike."""
        experiments = self.experiments()
        cpu_results = _fit_results(experiments, "cpu")
        with fake_gpu(), draws_of_the_cpu():
            on_gpu = _fit_results(experiments, "cuda")
        assert [r.status for r, _ in on_gpu] == [r.status for r, _ in cpu_results]
        for (result, curve), (expected, cpu_curve) in zip(on_gpu, cpu_results, strict=True):
            _assert_close(curve, cpu_curve, "the curves")
            for name, weights in expected.weights.items():
                _assert_close(result.weights[name], weights, name)


@contextmanager
def draws_of_the_cpu() -> Iterator[None]:
    """Boxes get the random numbers of the CPU, whichever device they are on: a GPU's would be others.

    They are drawn anew for each chunk, so chunks have as many steps as on the CPU too.
    """

    def drawn(shape, template, *name):
        return uniforms(shape, torch.empty(0, dtype=template.dtype), *name).to(template)

    with (
        mock.patch.object(step, "uniforms", drawn),
        mock.patch.object(GpuBatches, "_chunk_size", Batches._chunk_size),
    ):
        yield


def trained(experiments: list[Experiment]) -> list[tuple]:
    """The results of each row on the CPU: status, the bytes of its metrics and weights, its test report."""
    return [
        (r.status, list(map(_bits, curve)), {n: _bits(w) for n, w in r.weights.items()}, repr(r.test))
        for r, curve in _fit_results(experiments, "cpu")
    ]


def _fit_results(experiments: list[Experiment], device: str) -> list[tuple]:
    """Each row's `Result`, and its metrics by epoch."""
    if not experiments:
        return []
    run = fit(*[replace(e, device=device) for e in experiments])
    curves = {row.number: [] for row in run.rows}
    for record in run:
        for i, row in enumerate(record.rows):
            curves[int(row)].append(np.array([record.metrics[m][i] for m in sorted(record.metrics)]))
    return [(r, curves[r.row]) for r in sorted(run.results, key=lambda r: r.row)]


def _assert_close(gpu_values, cpu_results, what: str) -> None:
    message = f"{what} on a GPU are not those on the CPU: was something written into a copy?"
    np.testing.assert_allclose(gpu_values, cpu_results, rtol=1e-4, atol=1e-6, err_msg=message)


def _bits(array) -> bytes:
    """The bytes of an array, with all NaNs alike."""
    return np.where(np.isnan(array), np.nan, array).tobytes()


@dataclass(frozen=True)
class Bumps(Data):
    """A data set of `n` examples of `shape` in noisy clusters: 3 classes, or 2 numbers as targets."""

    name: ClassVar[str] = "bumps"
    n: int = static(60)
    classes: int = static(3)
    shape: tuple[int, ...] = static((5,), low=1)
    target_normalization: str = static("standard", choices=("standard", "none"))

    def read(self):
        random = np.random.default_rng(3)
        y = random.integers(3, size=self.n)
        d = math.prod(self.shape)
        x = 3 + random.standard_normal((self.n, d)) + random.standard_normal((3, d))[y]
        if self.classes:
            return Dataset(x, y, ("a", "b", "c"), shape=self.shape)
        return Dataset(x, 100 * np.sin(x[:, :2]) + 50 * y[:, None], (), shape=self.shape)


def experiments(**parts) -> list[Experiment]:
    """Rows with different penalty, dropout and seed; `parts[group]` is one part for all rows, or a list."""
    model = MLP(hidden=(9,), activation="tanh")
    base = Experiment(data=Bumps(), model=model, batch_size=13, epochs=3, threads=1)
    rows = []
    for k in range(STACK_ROWS):
        overrides = {group: part[k] if isinstance(part, list) else part for group, part in parts.items()}
        variation = {"regularizer": Regularizer(l2=1e-3 * k, dropout=0.2 * (k % 2))}
        rows.append(replace(base, seed=k % 2, **variation | overrides))
    return rows


def varied(part) -> list:
    """`part` and variations of it whose columns and controls differ, within their allowed ranges."""
    tunable_fields = [f for f in fields(part) if kind(f) in ("column", "control")]
    rows = []
    for k in range(STACK_ROWS):
        row = part
        for f in tunable_fields:
            row = _with(row, f.name, _vary(f, getattr(part, f.name), k))
        rows.append(row)
    return rows


def _with(part, name: str, value):
    """`part` with another value of a field, or as it is where it refuses that."""
    try:
        return replace(part, **{name: value})
    except UserError:
        return part


def _vary(f, value, k: int):
    if not k or value is None:
        return value
    if isinstance(value, tuple):
        return tuple(_vary(f, item, k) for item in value)
    candidates = [1.0 / k] if value == np.inf else [value * (1 - 0.1 * k), value * (1 + 0.1 * k)]
    candidates = candidates if value else [0.05 * k]
    if isinstance(value, int):
        candidates = [value + k, value - k]
    return next((x for x in candidates if f.metadata["allowed"].allows(x)), value)
