"""The fake GPU detects the faults that only a GPU shows, planted in the engine and in plug-ins."""

import re
import threading
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from gpu_runs import BASE, REAL, assert_same_numbers, curves, gpu, on_gpu
from networks import one_thread  # noqa: F401
from test_leaves import Centred

import nnlab
from nnlab import SGD, Regularizer
from nnlab.autodiff.activations import ReLU, Tanh
from nnlab.autodiff.box import Box
from nnlab.initializers import Init
from nnlab.losses import SquaredError
from nnlab.schedules.base import Schedule
from nnlab.testing import (
    BoxContract,
    InitContract,
    LossContract,
    OptimizerContract,
    ScheduleContract,
    fake_gpu,
    run,
)
from nnlab.testing.fake_cuda_rules import is_on_gpu
from nnlab.training.evaluation import Evaluator
from nnlab.training.population import Population
from nnlab.training.step import Columns


def penalty(self, weights):
    """As it was: columns on the CPU meet sums on the GPU."""
    squares, sizes = weights.square().sum(1).double(), weights.abs().sum(1).double()
    return self.l2[:, 0] / 2 * squares + self.l1[:, 0] * sizes


def validate(self):
    return {"val_loss": self.theta[:, 0].numpy(), "val_error": self.theta[:, 0].numpy()}


def uniforms(shape, like, seed, *key):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)


def best_on_the_host(create):
    def created(*args):
        population = create(*args)
        best = population.best_weights
        population.best_weights = replace(best, theta=best.theta.cpu())
        return population

    return staticmethod(created)


def views_of_the_host(views):
    def of_the_host(self, rows):
        self.device_table = self.table
        return views(self, rows)

    return of_the_host


ENGINE_FAULTS = {
    "columns-meet-sums": (Regularizer, "penalty", penalty, "same device"),
    "numpy": (Evaluator, "validate", validate, "numpy"),
    "generator": (nnlab.training.step, "uniforms", uniforms, "generator"),
    "put": (Population, "create", best_on_the_host(Population.create), "same device|indices"),
    "columns-of-a-step": (Columns, "_views", views_of_the_host(Columns._views), "same device"),
}


@pytest.mark.parametrize("owner, name, fault, message", ENGINE_FAULTS.values(), ids=ENGINE_FAULTS)
def test_a_fault_planted_in_the_engine_raises(monkeypatch, owner, name, fault, message):
    monkeypatch.setattr(owner, name, fault)
    regularizer = Regularizer(l2=1e-3, dropout=0.2)
    e = replace(BASE, regularizer=regularizer, optimizer=SGD(lr=1.0), seeds=4, epochs=20)
    curves([e], "cpu")  # where nobody notices
    with pytest.raises((RuntimeError, TypeError), match=message):
        on_gpu([e])


@dataclass(frozen=True)
class Constant(SGD):
    name: ClassVar[str] = "constant_of_the_host"

    def update(self, theta, g, slots, f, scratch):
        theta.addcmul_(g * torch.ones(theta.shape[1]), f.minus_lr)


@dataclass(frozen=True)
class WritesACopy(SGD):
    name: ClassVar[str] = "writes_a_copy"

    def update(self, theta, g, slots, f, scratch):
        theta.cpu().addcmul_(g.cpu(), f.minus_lr.cpu())


class OwnBuffer(ReLU):
    def settle(self, ctx, shape):
        super().settle(ctx, shape)
        ctx.y = torch.zeros(ctx.y.shape, dtype=ctx.y.dtype)


class OwnMask(Tanh):
    def bprop(self, ctx, dy):
        (dx,) = super().bprop(ctx, dy)
        return (torch.where(torch.ones(dy.shape[1:], dtype=torch.bool), dx, torch.zeros_like(dx)),)


class ByNumpy(Box):
    def fprop(self, ctx, x):
        ctx.y.copy_(torch.from_numpy(np.sinh(x.numpy())))
        return ctx.y

    def bprop(self, ctx, dy):
        ctx.dx[0].copy_(dy * (ctx.y**2 + 1).sqrt())
        return ctx.dx


class Draws(Tanh):
    def fprop(self, ctx, x):
        noise = torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(0), device=x.device)
        return super().fprop(ctx, x).add_(0 * noise)


@dataclass(frozen=True)
class NoisyCopy(Box):
    """y = x + u / 10 for a uniform u, and a gradient that on a GPU is scaled in a copy only."""

    name: ClassVar[str] = "noisy_copy"

    def settle(self, ctx, shape):
        ctx.noise_shape = ctx.shape if ctx.training else None

    def fprop(self, ctx, x):
        return ctx.y.copy_(x + ctx.uniforms / 10 if ctx.training else x).mul_(2)

    def bprop(self, ctx, dy):
        ctx.dx[0].copy_(dy).cpu().mul_(2)
        return ctx.dx


class PutsPieces(Box):
    def fprop(self, ctx, x):
        ctx.y.copy_(x)
        ctx.y[:, torch.arange(2)] = torch.zeros(len(x), 2, x.shape[2], dtype=x.dtype)
        return ctx.y

    def bprop(self, ctx, dy):
        ctx.dx[0].copy_(dy)[:, :2] = 0
        return ctx.dx


class StacksBoth(SquaredError):
    name = "stacks_both"

    def fprop(self, z, t):
        nothing = torch.zeros(*z.shape[:-2], z.shape[-1], dtype=z.dtype)
        return torch.stack([super().fprop(z, t), nothing]).sum(0)


@dataclass(frozen=True)
class AsksTheLength(SGD):
    """Which is allowed, but makes the host wait in every step."""

    name: ClassVar[str] = "asks_the_length"

    def update(self, theta, g, slots, f, scratch):
        if g.norm() > 0:
            super().update(theta, g, slots, f, scratch)


@pytest.mark.skipif(REAL, reason="nothing is recorded there")
def test_a_step_that_asks_for_a_number_is_found():
    e = replace(BASE, optimizer=AsksTheLength())
    pattern = r"\(test_gpu_faults.py:\d+\) reads a number from the GPU in every step"
    with fake_gpu(), pytest.warns(nnlab.Advice, match=pattern):
        there = nnlab.fit(replace(e, device="cuda")).run()  # call by call
    assert_same_numbers((there.results, {}), (nnlab.fit(e).run().results, {}))
    with gpu(), pytest.raises(RuntimeError, match="capturing"):
        nnlab.fit(replace(e, device="cuda")).run()


@dataclass(frozen=True)
class OnTheOther(Centred):
    """Its running mean meets one of the host."""

    name: ClassVar[str] = "on_the_other"

    def fprop(self, ctx, x, running):
        if ctx.training:
            running.add_(torch.zeros(running.shape, dtype=running.dtype))
        return super().fprop(ctx, x, running)


@dataclass(frozen=True)
class KeepsACopy(Centred):
    """It writes its running mean, but not the row's."""

    name: ClassVar[str] = "keeps_a_copy"

    def fprop(self, ctx, x, running):
        return super().fprop(ctx, x, running.cpu()[:].to(running) if running.is_cuda else running)


@dataclass(frozen=True)
class CountsByItself(Centred):
    """Which examples count, on the host."""

    name: ClassVar[str] = "counts_by_itself"

    def fprop(self, ctx, x, running):
        if ctx.training:
            ctx.valid = ctx.valid * (torch.arange(x.shape[2]) >= 0)
        return super().fprop(ctx, x, running)


BEST = lambda: "cuda" if torch.cuda.is_available() else "cpu"  # noqa: E731  as whoever writes for both may say


@dataclass(frozen=True)
class DrawnThere(Init):
    name: ClassVar[str] = "drawn_there"

    def draw(self, random, shape, fan_in, fan_out, activation):
        return torch.from_numpy(random.standard_normal(shape)).to(BEST()).numpy()


@dataclass(frozen=True)
class DecaysThere(Schedule):
    name: ClassVar[str] = "decays_there"

    def scale(self, progress, state):
        return (-torch.from_numpy(progress.updates * 0.01).to(BEST())).exp().numpy()[None]


@dataclass(frozen=True)
class RemembersThere(Schedule):
    name: ClassVar[str] = "remembers_there"

    def start(self, rows):
        return {"best": np.full(rows, np.inf)}

    def scale(self, progress, state):
        return np.where(np.isinf(state["best"]), 1.0, 0.5)[:, None]

    def observe(self, state, metrics):
        value = torch.as_tensor(metrics["val_loss"], device=BEST())
        state["best"] = np.minimum(state["best"], np.asarray(value))


def contract(base, **own):
    return type("Planted", (base,), own)


CONTRACT_FAULTS = [
    (contract(OptimizerContract, optimizer=Constant), "it_trains_on_a_gpu", "same device"),
    (contract(OptimizerContract, optimizer=WritesACopy), "it_trains_on_a_gpu", "written into a copy"),
    (contract(BoxContract, box=OwnBuffer), "both_passes_on_a_gpu", "same device"),
    (contract(BoxContract, box=OwnBuffer), "it_trains_on_a_gpu", "same device"),
    (contract(BoxContract, box=OwnMask), "it_trains_on_a_gpu", "same device"),
    (contract(BoxContract, box=ByNumpy), "both_passes_on_a_gpu", "numpy"),
    (contract(BoxContract, box=Draws), "it_trains_on_a_gpu", "generator"),
    (contract(BoxContract, box=NoisyCopy), "it_trains_on_a_gpu", "written into a copy"),
    (contract(BoxContract, box=PutsPieces), "both_passes_on_a_gpu", "same device"),
    (contract(BoxContract, box=OnTheOther), "both_passes_on_a_gpu", "same device"),
    (contract(BoxContract, box=OnTheOther), "it_trains_on_a_gpu", "same device"),
    (contract(BoxContract, box=KeepsACopy), "both_passes_on_a_gpu", "on a GPU"),
    (contract(BoxContract, box=KeepsACopy), "it_trains_on_a_gpu", "written into a copy"),
    (contract(BoxContract, box=CountsByItself), "both_passes_on_a_gpu", "same device"),
    (contract(BoxContract, box=CountsByItself), "it_trains_on_a_gpu", "same device"),
    (contract(InitContract, init=DrawnThere), "it_trains_on_a_gpu", "numpy"),
    (contract(ScheduleContract, schedule=DecaysThere), "it_trains_on_a_gpu", "numpy"),
    (contract(ScheduleContract, schedule=RemembersThere), "it_trains_on_a_gpu", "numpy"),
    (contract(LossContract, loss=StacksBoth), "it_trains_on_a_gpu", "same device"),
]


@pytest.mark.filterwarnings("ignore:a part of this job:nnlab.Advice")
@pytest.mark.parametrize("contract, test, message", CONTRACT_FAULTS)
def test_a_contract_finds_a_fault_of_a_plug_in(contract, test, message):
    for other in contract.properties() if not REAL else ():
        if "gpu" not in other and "reference" not in other:
            run(contract, other)  # on the CPU nobody notices
    with pytest.raises((RuntimeError, TypeError, AssertionError), match=re.compile(message)):
        run(contract, f"test_{test}")


def test_nothing_is_pretended_afterwards():
    patched = [
        (torch, "Generator"),
        (torch.cuda, "mem_get_info"),
        (torch.nn.Parameter, "__new__"),
        (threading.Thread, "run"),
    ]
    before = [getattr(owner, name) for owner, name in patched]
    with fake_gpu():
        assert is_on_gpu(torch.zeros(3, device="cuda"))
    assert not is_on_gpu(torch.zeros(3))
    assert [getattr(owner, name) for owner, name in patched] == before
