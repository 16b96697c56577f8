"""The determinism rung of `nnlab check`, at the sizes of the job itself."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.graph import Graph
from nnlab.checks import determinism
from nnlab.checks.subject import Budget, Subject
from nnlab.data.splits import NoSplit
from nnlab.data.synthetic import Noise
from nnlab.hyperparameters import static
from nnlab.models import MLP, Model

LARGE = 300  # examples in a batch from which the planted products go wrong


@dataclass(frozen=True)
class Divided(Affine):
    """W x as a sum of two halves in a large batch: if there are several threads, or several rows."""

    by: str = static("threads")

    def settle(self, ctx, shape):
        super().settle(ctx, shape)
        half = shape[0] // 2
        if ctx.site.batch >= LARGE and getattr(ctx.site, self.by) > 1:
            ctx.to_y = lambda W, x: torch.bmm(W[:, :, :half], x[:, :half], out=ctx.y).add_(
                torch.bmm(W[:, :, half:], x[:, half:])
            )


@dataclass(frozen=True)
class Planted(Model):
    name: ClassVar[str] = "planted"
    by: str = "threads"

    def graph(self, shape, outputs, output="identity"):
        graph = Graph(shape)
        graph.add("output", Affine(outputs), graph.add("hidden", Divided(40, by=self.by), graph.input))
        return graph


JOB = nnlab.Experiment(data=Noise(n=600), model=Planted(), batch_size="full", seed=3)
CAUSES = {"threads": "threads_differ", "rows": "rows_mixed"}


def verdict(experiment, work=2e9):
    return determinism.check(Subject(experiment, Budget(work=work)))


@pytest.mark.parametrize("by", CAUSES)
@pytest.mark.parametrize("threads", ["auto", 1, 4])
def test_what_differs_at_large_sizes_only_is_found(by, threads):
    planted = replace(JOB, model=Planted(by=by), threads=threads)
    assert verdict(planted).causes == [CAUSES[by]]
    assert verdict(replace(planted, batch_size=256)).status == "pass"  # and is not there at others


@pytest.mark.parametrize("rows, threads, several", [(5, 3, 3), (12, 1, 2)])
def test_it_looks_at_the_stack_that_is_trained(rows, threads, several, monkeypatch):
    stack_sizes, trained = [], determinism.train
    monkeypatch.setattr(
        determinism,
        "train",
        lambda *a: (stack_sizes.append((len(a[1]), a[1][0].batch, a[3])), trained(*a))[1],
    )
    result = verdict(replace(JOB, model=MLP(hidden=(30,)), seeds=rows, threads=threads), work=2e10)
    assert result.status == "pass" and result.details["rows"] == rows
    batch = len(Subject(JOB).fold.train)
    assert stack_sizes == [(rows, batch, 1), (rows, batch, several), (1, batch, several)]


def test_large_jobs_get_fewer_steps_rows_and_examples():
    job = replace(JOB, model=MLP(hidden=(30,)))
    size, batch = Subject(job).graph.parameter_count, len(Subject(job).fold.train)

    def bounded(passes):
        """What is done if the budget is so many passes of one row over one batch."""
        sample, rows, steps = determinism.fit_to_budget(
            Subject(job, Budget(work=passes * size * batch * 10)), "cpu"
        )
        return rows, steps, sample.rows(1)[0].batch

    assert [bounded(n) for n in (1000, 50, 10.1, 6.1)] == [
        (5, 25, batch), (5, 10, batch), (5, 2, batch), (3, 2, batch)
    ]  # fmt: skip
    rows, steps, examples = bounded(1)
    assert (rows, steps) == (2, 2) and batch / 5 < examples < batch / 3


def test_where_nothing_is_held_back():
    job = nnlab.Experiment(data=Noise(n=60), model=MLP(hidden=(8,)), split=NoSplit(), metric="last")
    assert verdict(job).status == "pass"
