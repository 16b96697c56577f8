"""Ranks with a card each share a batch: steps whose sums are captured and replayed, or called.

Cards are fake, and gloo makes the sums that nccl would make. Of a captured sum the fake card makes the same
call again, as it does of every other.
"""

from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import pytest
import torch
from networks import one_thread  # noqa: F401
from rank_processes import run_ranks
from test_ranks_batch import BASE, IMAGES, PLAIN, SMALL_CNN, begun, distance

from nnlab import MLP, Regularizer
from nnlab.runtime.cuda_graphs import CudaGraphs
from nnlab.runtime.ranks import Ranks, ranks
from nnlab.testing import fake_gpu

CASES = {
    "mlp": {"regularizer": Regularizer(dropout=0.2, dropconnect=0.1, activity_l2=1e-2), "seeds": 2},
    "odd batch": {"batch_size": 7, "class_weight": "balanced"},
    "batch norm": {"model": MLP(hidden=(9,), normalization="batch"), "optimizer": PLAIN},
    "cnn": {"data": IMAGES, "model": replace(SMALL_CNN, normalization="batch"), "optimizer": PLAIN,
            "regularizer": Regularizer(dropout=0.2)},
}  # fmt: skip


class Done:
    """Stands for an event of a card that has ended its work."""

    def record(self):
        pass

    def query(self):
        return True


@contextmanager
def own_card(captures: bool):
    """A fake card, on which sums are captured as nccl's are."""
    all_reduce = Ranks.all_reduce

    def captured(self, tensor):
        if fake.graph is None:
            return all_reduce(self, tensor)
        assert tensor.is_cuda  # what is on the host would be summed once
        fake.graph.add(lambda: all_reduce(self, tensor), [tensor], tensor)
        return tensor

    replaced = {"Event": Done, "device_count": lambda: 2, "set_device": lambda device: None}
    with fake_gpu() as fake, mock.patch.multiple(torch.cuda, **replaced):
        with mock.patch.multiple(Ranks, captures=captures, all_reduce=captured):
            yield


def trained(e, captures: bool, fused: bool):
    """The weights of each row, theta's bits after each epoch, and how often a captured graph was replayed."""
    results, thetas, replays, run = [], [], 0, CudaGraphs.run

    def counted(self, key, calls):
        nonlocal replays
        replays += self.capturing and self.graphs.get(key) is not None and key[-1:] == (0,)
        run(self, key, calls)

    with own_card(captures), mock.patch.object(CudaGraphs, "run", counted):
        training = begun(replace(e, device="cuda"), ranks=ranks(), fused=fused)
        while len(training):
            _, ended = training.epoch()
            results += ended
            if len(training):
                thetas.append(training.population.state.theta.cpu().numpy().tobytes())
    return [result.weights for result in results], thetas, replays


WAYS = [(case, True, True) for case in CASES] + [("mlp", True, False), ("odd batch", False, False)]


@pytest.mark.parametrize("case, captures, fused", WAYS)
def test_weights_are_those_of_one_card(monkeypatch, case, captures, fused):
    monkeypatch.setattr("nnlab.data.gpu_batches.steps_per_chunk", lambda *sizes: 3)
    e = replace(BASE, epochs=5, **CASES[case])
    weights, _, _ = trained(e, captures, fused)
    first, second = run_ranks(2, trained, e, captures, fused)
    assert first[1] == second[1] and (first[2] > 0) == captures
    for ours, wanted in zip(first[0], weights, strict=True):
        assert distance(ours, wanted) < 1e-11


def kinds_of_batches() -> list[str]:
    """How the batches are made where only the card of rank 0 has room for the tables."""
    own, kinds = ranks(), []
    with own_card(True), mock.patch("nnlab.training.training.free_memory") as free_memory:
        for free in ([1e12, 1e12], [1e12, 1e2]):
            free_memory.return_value = free[own.rank]
            kinds.append(type(begun(replace(BASE, device="cuda"), ranks=own).begin().batches).__name__)
    return kinds


def test_cards_with_different_memory_gather_alike():
    assert run_ranks(2, kinds_of_batches) == [["GpuBatches", "Batches"]] * 2
