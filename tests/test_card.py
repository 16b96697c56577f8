"""Everything that trains on a CPU trains on a GPU: on a pretended one, and with `pytest --gpu` on a real one.

The pretended one (`nnlab.testing.card`) is only as good as what it refuses: what it is asked here, a real one
is asked too, and the faults that it is to find are planted.
"""

import json
import operator
import os
import re
import subprocess
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
import torchgen
import yaml
from conftest import HIDES, SEEN
from networks import Points, one_thread  # noqa: F401
from searches import IRIS, ROOT
from test_combinations import GOOD, REGULARIZERS

import nnlab
from nnlab import SGD, Experiment, KFold, Linear, Logistic, Patience, Regularizer
from nnlab.autodiff.activations import ACTIVATIONS, ReLU, Tanh
from nnlab.autodiff.box import Box
from nnlab.checks import labels
from nnlab.checks.ladder import RUNGS, check
from nnlab.checks.subject import Budget
from nnlab.cli import main
from nnlab.data.normalization import CHOICES as NORMALIZATIONS
from nnlab.initializers import INITIALIZERS
from nnlab.losses import SquaredError
from nnlab.models import MLP
from nnlab.optimizers import OPTIMIZERS
from nnlab.schedules import SCHEDULES
from nnlab.testing import BoxContract, LossContract, OptimizerContract, pretended_card, run
from nnlab.testing.card import ON_CPUS_ONLY, WITH_NUMBER, on_card
from nnlab.testing.rows import varied
from nnlab.training.evaluation import Evaluator
from nnlab.training.fitting import Fit
from nnlab.training.population import Population
from nnlab.training.step import Columns

REAL = torch.cuda.device_count() > 0  # of which `--gpu` leaves one in sight


@contextmanager
def gpu():
    """A real one if there is one, else a pretended one."""
    if REAL:
        yield
    else:
        with pretended_card():
            yield


def test_a_real_gpu_passes_these_tests(monkeypatch):
    monkeypatch.delenv(HIDES) if SEEN is None else monkeypatch.setenv(HIDES, SEEN)
    if REAL or not torch.cuda.device_count():
        pytest.skip("there is no GPU, or these tests run on it already")
    line = [sys.executable, "-m", "pytest", "-q", "--gpu", __file__]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]


def test_all_other_tests_ask_for_the_cpu():
    if not REAL:
        assert os.environ[HIDES] == "" and nnlab.runtime.devices.device("auto").type == "cpu"


# ---- whatever trains

CLASSES, NUMBERS = Points(), Points(classes=0)
BASE = Experiment(
    data=CLASSES, model=MLP(hidden=(9,), activation="tanh"), regularizer=Regularizer(), batch_size=16,
    epochs=3,
)  # fmt: skip
LIMITS = dict(clip_norm=0.5, clip_value=0.1)
NOISY = ("dropout", "input_dropout", "dropconnect", "all")  # a GPU draws its own numbers


def rows_of(group, parts) -> list[Experiment]:
    return [replace(BASE, seed=k, **{group: part}) for k, part in enumerate(parts)]


def cases():
    for name, optimizer in OPTIMIZERS.items():
        yield f"optimizer-{name}", rows_of("optimizer", varied(optimizer()))
        yield f"optimizer-{name}-clipped", rows_of("optimizer", [replace(optimizer(), **LIMITS), optimizer()])
        if hasattr(optimizer, "epsilon_inside_root"):
            yield f"optimizer-{name}-outside", rows_of("optimizer", [optimizer(epsilon_inside_root=False)])
    after = {"proximal": dict(l1=0.01, proximal=True), "max_norm": dict(max_norm=0.7)}
    for name, keys in (REGULARIZERS | after | {"small": dict(small=0.1)}).items():
        nothing = Regularizer(proximal="proximal" in keys, small=keys.get("small"))
        yield f"regularizer-{name}", rows_of("regularizer", [Regularizer(**keys), nothing])
    for name in ACTIVATIONS:
        yield f"activation-{name}", rows_of("model", [MLP(hidden=(9, 4), activation=name)] * 2)
    for output, loss in GOOD:
        yield f"output-{output}-{loss}", [replace(BASE, model=MLP(hidden=(9,), output=output), loss=loss)]
    for name, init in INITIALIZERS.items():
        yield f"init-{name}", rows_of("init", varied(init()))
    for name in ("halve_on_rise", "halve_and_go_back"):  # at other epochs in each row
        schedule = SCHEDULES[name](metric="val_loss", tolerance=0.0)
        yield (
            f"listening-{name}",
            [replace(BASE, schedule=schedule, optimizer=SGD(lr=1.5), epochs=12, seeds=3)],
        )
    for name, schedule in SCHEDULES.items():  # rows leave one after the other
        schedules = rows_of("schedule", varied(schedule(warmup=0.5)))
        yield (
            f"schedule-{name}",
            [
                replace(e, optimizer=SGD(lr=0.5), epochs=8, stopping=Patience(patience=1 + k))
                for k, e in enumerate(schedules)
            ],
        )
    for name in NORMALIZATIONS:
        yield f"normalization-{name}", [replace(BASE, data=replace(CLASSES, normalization=name))]
    yield "label-noise", [replace(BASE, data=nnlab.Digits(limit=100, label_noise=0.2))]
    yield "folds-of-other-sizes", [replace(BASE, split=KFold(k=4, repeats=2), seeds=2, batch_size="full")]
    yield "refit", [replace(BASE, refit=True, seeds=2, stopping=Patience(patience=1))]
    yield "last", [replace(BASE, metric="last", batch_size=1)]
    yield "histograms", [replace(BASE, histograms=1, seeds=3)]
    yield "float64", [replace(BASE, dtype="float64", regularizer=Regularizer(l2=0.1, max_norm=0.5))]
    yield "numbers", [replace(BASE, data=NUMBERS, loss=loss) for loss in ("auto", "absolute_error")]
    yield "linear", [replace(BASE, data=NUMBERS, model=Linear(), optimizer=SGD(lr=0.05))]
    yield "logistic", [replace(BASE, model=Logistic())]
    yield "structures", [replace(BASE, batch_size=size) for size in (7, 16, "full")]
    yield "diverges", [replace(BASE, optimizer=SGD(lr=lr)) for lr in (0.1, 1e30)]


CASES = dict(cases())


def curves(experiments, device, **options):
    """In float64 beside a real GPU, whose rounding is its own."""
    exact = {"dtype": "float64"} if REAL else {}
    fit, seen = Fit([replace(e, device=device, **exact) for e in experiments], **options), {}
    for record in fit:
        for i, row in enumerate(record.rows):
            seen.setdefault(int(row), []).append([record.metrics[m][i] for m in sorted(record.metrics)])
    return fit.results, seen


def on_gpu(experiments, **options):
    with gpu():
        return curves(experiments, "cuda", **options)


def assert_same_numbers(there, here):
    """But for rounding: of a real GPU in float32."""
    (results, seen), (expected, curve) = there, here
    assert [(r.status, r.row) for r in results] == [(r.status, r.row) for r in expected]
    for row in curve:
        np.testing.assert_allclose(seen[row], curve[row], rtol=2e-3, atol=1e-5)
    for mine, other in zip(results, expected, strict=True):
        assert mine.weights.keys() == other.weights.keys() and mine.test.keys() == other.test.keys()
        for name, weights in other.weights.items():
            np.testing.assert_allclose(mine.weights[name], weights, rtol=2e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_it_trains_and_learns_what_the_cpu_learns(name):
    there, here = on_gpu(CASES[name]), curves(CASES[name], "cpu")
    if name.partition("-")[2] not in NOISY:
        return assert_same_numbers(there, here)
    assert {r.status for r in there[0]} == {"finished"} and np.isfinite([*there[1].values()]).all()
    assert there[1][0] != here[1][0]  # the row that draws


@pytest.mark.parametrize("name", ["halve_on_rise", "halve_and_go_back"])
def test_rows_do_listen_in_those_cases(name):
    _, seen = curves(CASES[f"listening-{name}"], "cpu")
    rates = [{epoch[1] for epoch in curve} for curve in seen.values()]
    assert min(map(len, rates)) > 1 and sum(map(len, rates)) > 6


def test_the_same_stack_twice_has_the_same_bits():
    """What a GPU promises: the same shape of a stack, the same seeds, the same numbers."""
    noisy = CASES["regularizer-all"]
    (first, a), (second, b) = on_gpu(noisy), on_gpu(noisy)
    assert a == b
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(w, other.weights[name]) for name, w in one.weights.items())


def test_weights_are_tested_again():
    """As those of a row whose refit diverged are."""
    (e,) = CASES["numbers"][:1]
    with gpu():
        fit = Fit([replace(e, device="cuda")])
        list(fit)
        again = nnlab.training.evaluation.tested(
            fit.rows[0], fit.results[0].weights, fit.library.examples(fit.rows[0]), 1
        )
    for name in ("loss", "rmse", "mae"):
        assert again[name] == pytest.approx(fit.results[0].test[name], rel=1e-5)


def test_a_stack_holds_as_many_rows_as_asked_for():
    experiments = CASES["folds-of-other-sizes"]
    assert_same_numbers(on_gpu(experiments, most=3), curves(experiments, "cpu"))


def test_tables_that_lie_example_by_example(monkeypatch):
    monkeypatch.setattr("nnlab.data.batches.WIDE", 100)
    assert_same_numbers(on_gpu(CASES["numbers"]), curves(CASES["numbers"], "cpu"))


def test_both_devices_in_one_fit():
    """In either order: the memory that is asked after is that of the GPU."""
    for devices in (("cpu", "cuda"), ("cuda:0", "cpu", "cuda")):
        with gpu():
            run = nnlab.fit(*[replace(BASE, device=device) for device in devices])
            list(run)
        assert len(run.results) == len(devices) and {r.status for r in run.results} == {"finished"}


def test_auto_is_the_gpu_where_there_is_one_and_no_fork_is_made():
    with gpu():
        assert nnlab.runtime.devices.device("auto").type == "cuda"
        fit = nnlab.fit(*[replace(BASE, batch_size=size, threads=2) for size in (7, 16)])
        assert fit.processes == 1 and len(fit.stacks()) == 2
        with pytest.raises(nnlab.UserError, match="cuda:7"):
            nnlab.runtime.devices.device("cuda:7")
    with pretended_card(memory=1 << 20):  # bytes: few rows at once
        assert len(nnlab.fit(replace(BASE, seeds=64)).stacks()) > 1


class Repeats(Tanh):
    """On the CPU it does; on a GPU it draws from the generator of everybody."""

    def fprop(self, ctx, x):
        return super().fprop(ctx, x).add_(torch.rand(x.shape[1:], device=x.device) * x.is_cuda)


def test_determinism_says_what_a_gpu_promises(monkeypatch):
    """The same bits twice: on the GPU. That a row equals itself alone: on the CPU."""
    with gpu():
        (sound,) = check(replace(BASE, device="cuda"), "determinism")
        monkeypatch.setitem(ACTIVATIONS, "tanh", Repeats)
        (drawn,) = check(replace(BASE, device="cuda"), "determinism")
    assert sound.status == "pass" and sound.worst.found.startswith("on the CPU the same bits twice")
    assert sound.worst.found.endswith("; on the GPU the same bits twice")
    assert drawn.causes == ["not_deterministic"] and drawn.worst.found.startswith("on the GPU ")
    (here,) = check(replace(BASE, device="cpu"), "determinism")
    assert here.status == "pass" and "GPU" not in here.worst.found


# ---- commands

SMALL = Budget(
    seeds=2, parameters=500, sample=20, examples=10, steps=50, rates=8, rate_seeds=2, rate_steps=20
)


@pytest.mark.parametrize("data", [CLASSES, NUMBERS], ids=["classes", "numbers"])
@pytest.mark.parametrize("rung", RUNGS)
def test_every_rung_of_check(rung, data, monkeypatch):
    monkeypatch.setattr(labels, "STEPS", 20)
    regularizer = Regularizer(l2=1e-3, dropout=0.1)
    e = replace(BASE, data=data, model=MLP(hidden=(7, 5)), regularizer=regularizer, epochs=20)
    (here,) = check(replace(e, device="cpu"), rung, SMALL)
    with gpu():
        (there,) = check(replace(e, device="cuda"), rung, SMALL)
    assert there.status in ("pass", "warn", here.status), there.findings


SWEEPS = {
    "rungs": ["trials=8", "pruner=halving", "pruner.min_epochs=1"],
    "grid": ["sampler=grid", "optimizer=sgd,adam", "optimizer.lr=choice(0.1,0.01)", "seeds=2"],
    "folds": ["trials=4", "split=kfold", "split.k=3", "refit=true", "histograms=2"],
}


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps(tmp_path, name):
    with gpu():
        code = main(["sweep", *IRIS, *SWEEPS[name], "device=cuda", f"hydra.run.dir={tmp_path / 's'}"])
        assert code == 0 and (tmp_path / "s" / "best" / "model.safetensors").exists()
        resume = ["sweep", f"resume={tmp_path / 's'}", "trials=10"]
        assert name == "grid" or main(resume) == 0


def test_a_sweep_is_planned_by_the_memory_of_the_gpu(tmp_path, capsys):
    """Stacks that wait for each other at rungs are there at once; others one after another."""
    words = ["sweep", *IRIS, "trials=16", "device=cuda", f"hydra.run.dir={tmp_path / 's'}"]
    with pretended_card(memory=100_000):
        assert main([*words, "pruner=halving", "pruner.min_epochs=1"]) == 2
        said = capsys.readouterr().err
        assert "16 trials needs about" in said and "there are 100 KB" in said and said.count("\n") == 1
        assert not list(tmp_path.iterdir())
        assert main(words) == 0


COMMANDS = [
    "train",
    "train -m optimizer=sgd,nadam device=cpu,cuda",
    "check only=[start,gradients,determinism]",
    "sweep trials=4 report=false",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_command_line_picks_the_gpu(tmp_path, line):
    """In a process of its own, without a word of a device."""
    code = (
        "import sys, torch, contextlib\n"
        "from nnlab.cli import main\n"
        "from nnlab.testing import pretended_card\n"
        "real = torch.cuda.device_count()\n"
        "with contextlib.nullcontext() if real else pretended_card() as card:\n"
        "    code = main(sys.argv[1:])\n"
        "    assert torch.cuda.max_memory_allocated() if real else card.used_in\n"
        "sys.exit(code)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != HIDES} | ({HIDES: SEEN} if SEEN else {})
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    words = [*line.split(), "data=iris", *["epochs=2"] * ("check" not in line)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on cuda" in done.stdout.splitlines()[0] or line.startswith("train -m")
    made_on = [json.loads(file.read_text())["device"] for file in tmp_path.glob("outputs/**/summary.json")]
    assert set(made_on) == ({"cpu", "cuda"} if "cpu" in line else {"cuda"}) or "check" in line


# ---- what a card refuses, and what it allows


def tensors():
    """On the card, on the CPU, and numbers of both."""
    there = torch.arange(12.0, device="cuda").view(3, 4)
    here = torch.arange(12.0).view(3, 4)
    return SimpleNamespace(
        there=there, here=here, number=torch.tensor(2.0), number_there=there[0, 1], row=here[0],
        index=torch.tensor([0, 2]), index_there=torch.tensor([0, 2], device="cuda"),
        mask=here[:, 0] > 3, mask_there=there[:, 0] > 3,
    )  # fmt: skip


REFUSED = {
    "add": lambda v: v.there + v.here,
    "add-in-place": lambda v: v.there.add_(v.row),
    "add-to-the-host": lambda v: v.here.add_(v.there),
    "iadd": lambda v: v.there.__iadd__(v.row),
    "number-in-place": lambda v: v.number.add_(v.number_there),
    "number-of-the-card": lambda v: v.here * v.number_there,
    "out": lambda v: torch.mul(v.there, v.there, out=torch.empty(3, 4)),
    "out-on-the-card": lambda v: torch.mul(v.here, v.here, out=torch.empty(3, 4, device="cuda")),
    "matmul": lambda v: v.there @ v.here.T,
    "by-keyword": lambda v: torch.add(input=v.there, other=v.here),
    "bmm": lambda v: torch.bmm(v.there[None], v.here.T[None]),
    "addcmul": lambda v: v.there.addcmul_(v.there, v.row),
    "lerp": lambda v: v.there.lerp(v.there, v.row),
    "where": lambda v: torch.where(v.there > 0, v.there, v.here),
    "where-condition": lambda v: torch.where(v.here > 0, v.there, v.there),
    "cat": lambda v: torch.cat([v.there, v.here]),
    "stack": lambda v: torch.stack([v.there, v.here]),
    "stack-numbers": lambda v: torch.stack([v.number_there, v.number]),
    "clamp-number": lambda v: torch.clamp(v.there, v.number, v.there),
    "clamp": lambda v: torch.clamp(v.there, -v.row, v.row),
    "logaddexp-number": lambda v: torch.logaddexp(v.there, v.number),
    "equal": lambda v: torch.equal(v.there, v.here),
    "index-of-the-card": lambda v: v.here[v.index_there],
    "mask-of-the-card": lambda v: v.here[v.mask_there],
    "index-select": lambda v: v.there.index_select(0, v.index),
    "gather": lambda v: v.there.gather(0, v.index[None]),
    "put-value": lambda v: v.there.__setitem__(v.index, v.here[:2]),
    "put-value-by-mask": lambda v: v.there.__setitem__(v.mask, v.here[v.mask]),
    "put-on-the-host": lambda v: v.here.__setitem__(v.index, v.there[:2]),
    "put-by-index-of-the-card": lambda v: v.here.__setitem__(v.index_there, 1.0),
    "index_put": lambda v: v.there.index_put_((v.index,), v.here[:2]),
    "index-add": lambda v: v.there.index_add_(0, v.index_there, v.here[:2]),
    "index-copy": lambda v: v.there.index_copy_(0, v.index, v.there[:2]),
    "scatter": lambda v: v.there.scatter_(0, v.index_there[None], v.here[:1]),
    "masked-fill": lambda v: v.there.masked_fill_(v.here > 0, 1.0),
    "numpy": lambda v: v.there.numpy(),
    "asarray": lambda v: np.asarray(v.there),
    "numpy-function": lambda v: np.isfinite(v.there),
    "numpy-assign": lambda v: np.zeros((3, 4)).__setitem__(slice(None), v.there),
    "numpy-of-a-list": lambda v: np.array([v.number_there, v.number_there]),
    "from-numpy": lambda v: v.there + torch.from_numpy(np.ones((3, 4))),
    "as-tensor": lambda v: v.there + torch.as_tensor(np.ones((3, 4))),
    "generator-of-the-host": lambda v: torch.rand(3, generator=torch.Generator(), device="cuda"),
    "generator-of-the-card": lambda v: torch.rand(3, generator=torch.Generator("cuda")),
    "generator-in-place": lambda v: v.there.normal_(generator=torch.Generator()),
    "randperm": lambda v: torch.randperm(3, generator=torch.Generator("cuda")),
    "pin-memory": lambda v: v.there.pin_memory(),
    "histogram": lambda v: torch.histogram(v.there, 3),
    "apply": lambda v: v.there.apply_(abs),
    "other-card": lambda v: v.here.to("cuda:31"),
    "grad": lambda v: setattr(v.there.detach(), "grad", v.here),
    "loss": lambda v: torch.nn.functional.mse_loss(v.there, v.here),
}  # fmt: skip
ALLOWED = {  # and where the result is
    "to": (lambda v: v.there.to(v.here), "cpu"),
    "to-the-card": (lambda v: v.here.to(v.there), "cuda"),
    "to-dtype": (lambda v: v.there.to(torch.float64), "cuda"),
    "to-both": (lambda v: v.here.to("cuda", torch.float64), "cuda"),
    "to-device": (lambda v: v.there.to(device=torch.device("cpu")), "cpu"),
    "to-number": (lambda v: v.here.to(0), "cuda"),
    "cuda": (lambda v: v.here.cuda(), "cuda"),
    "cpu": (lambda v: v.there.cpu(), "cpu"),
    "double": (lambda v: v.there.double(), "cuda"),
    "type-as": (lambda v: v.here.type_as(v.there), "cuda"),
    "copy": (lambda v: v.there.copy_(v.here), "cuda"),
    "copy-to-the-host": (lambda v: v.here.copy_(v.there), "cpu"),
    "copy-a-row": (lambda v: v.there.copy_(v.row), "cuda"),
    "slice": (lambda v: v.there.__setitem__(slice(1, 3), v.here[:2]) or v.there, "cuda"),
    "row": (lambda v: v.there.__setitem__(1, v.row) or v.there, "cuda"),
    "slice-of-the-host": (lambda v: v.here.__setitem__((..., slice(2)), v.there[:, :2]) or v.here, "cpu"),
    "index": (lambda v: v.there[v.index], "cuda"),
    "index-of-numpy": (lambda v: v.there[np.array([0, 2])], "cuda"),
    "index-by-list": (lambda v: v.there[[0, 2], :], "cuda"),
    "mask": (lambda v: v.there[v.mask], "cuda"),
    "index-of-the-card-that-is-a-number": (lambda v: v.here[v.index_there[1]], "cpu"),
    "index-that-is-a-number": (lambda v: v.there[v.index[1]], "cuda"),
    "put": (lambda v: v.there.__setitem__(v.mask, v.there[v.mask]) or v.there, "cuda"),
    "put-number": (lambda v: v.there.__setitem__(v.index, v.number) or v.there, "cuda"),
    "index_put": (lambda v: v.there.index_put_((v.index,), v.there[:2].clone()), "cuda"),
    "number": (lambda v: v.there * v.number, "cuda"),
    "number-by-keyword": (lambda v: torch.add(input=v.there, other=v.number), "cuda"),
    "tensor-by-keyword": (lambda v: torch.tensor(data=[1.0], device="cuda"), "cuda"),
    "number-first": (lambda v: v.number - v.there, "cuda"),
    "number-in-place": (lambda v: v.there.mul_(v.number), "cuda"),
    "number-out": (lambda v: torch.add(v.there, v.number, out=torch.empty(3, 4, device="cuda")), "cuda"),
    "number-compared": (lambda v: v.there > v.number, "cuda"),
    "numbers-of-both": (lambda v: v.number + v.number_there, "cuda"),
    "clamp-min-number": (lambda v: torch.clamp_min(v.there, v.number), "cuda"),
    "lerp-number": (lambda v: v.there.lerp(v.there, v.number), "cuda"),
    "where-number": (lambda v: torch.where(v.there > 3, v.there, v.number), "cuda"),
    "masked-fill-number": (lambda v: v.there.masked_fill(v.there > 3, v.number), "cuda"),
    "fill-number": (lambda v: v.there.fill_(v.number), "cuda"),
    "full-like-number": (lambda v: torch.full_like(v.there, v.number), "cuda"),
    "expand-as": (lambda v: v.row.expand_as(v.there), "cpu"),
    "empty-like": (lambda v: torch.empty_like(v.there), "cuda"),
    "zeros-like-on-the-host": (lambda v: torch.zeros_like(v.there, device="cpu"), "cpu"),
    "new-zeros": (lambda v: v.there.new_zeros(2), "cuda"),
    "new-tensor": (lambda v: v.there.new_tensor([1.0, 2.0]), "cuda"),
    "tensor-of-numbers": (lambda v: torch.tensor([v.number_there, v.number_there]), "cpu"),
    "as-tensor-of-numpy": (lambda v: torch.as_tensor(np.ones(3), device=v.there.device), "cuda"),
    "as-tensor-of-the-host": (lambda v: torch.as_tensor(v.here, device="cuda"), "cuda"),
    "generator": (lambda v: torch.rand(3, generator=torch.Generator("cuda"), device="cuda"), "cuda"),
    "generator-seeded": (lambda v: v.there.normal_(generator=torch.Generator("cuda").manual_seed(1)), "cuda"),
    "randperm": (lambda v: torch.randperm(3, generator=torch.Generator()), "cpu"),
    "sort": (lambda v: v.there.sort(1).indices, "cuda"),
    "max": (lambda v: v.there.max(1).values, "cuda"),
    "unbind": (lambda v: list(v.there)[1], "cuda"),
    "split": (lambda v: v.there.split(2, 1)[1], "cuda"),
    "transposed": (lambda v: v.there.T.mT[0, :2], "cuda"),
    "nonzero": (lambda v: v.there.nonzero(), "cuda"),
    "under-a-device": (lambda v: _under(v.there.device), "cuda"),
}  # fmt: skip


def _under(device):
    with device:
        return torch.zeros(3)


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_refused(call):
    with gpu():
        v = tensors()
        with pytest.raises((RuntimeError, TypeError, NotImplementedError)):
            call(v)


@pytest.mark.parametrize("call, where", ALLOWED.values(), ids=ALLOWED)
def test_allowed(call, where):
    """And the numbers are those of the CPU alone, if they are not random."""
    with gpu():
        result = call(tensors())
        assert result.device.type == where and result.is_cuda == (where == "cuda")
        assert (result + 1).device == result.device and result.get_device() == (0 if where == "cuda" else -1)


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
             operator.pow, operator.lt, operator.ge, operator.eq, operator.and_, operator.or_, operator.xor,
             operator.lshift]  # fmt: skip


@pytest.mark.parametrize("act", OPERATORS)
def test_operators_take_one_number_of_the_host_and_change_none(act):
    in_place = getattr(operator, f"i{act.__name__.strip('_')}", None)
    with gpu():
        there, number = torch.arange(1, 4, device="cuda"), torch.tensor(2)
        assert act(there, number).is_cuda and act(number, there).is_cuda
        with pytest.raises(RuntimeError):
            act(there, number[None])
        if in_place and act is not operator.truediv:  # which makes no whole numbers
            assert in_place(there.clone(), number).is_cuda
            with pytest.raises(RuntimeError):
                in_place(number, there[0])


def test_numbers_may_be_read():
    with gpu():
        v = tensors()
        assert v.there.tolist() == v.here.tolist() and float(v.number_there) == v.there[0, 1].item() == 1
        assert bool((v.there >= 0).all()) and len(v.there) == 3 and int(v.number_there) == 1
        assert v.there.numpy(force=True).sum() == v.there.cpu().numpy().sum() == 66 and "cuda" in str(
            v.there.device
        )


def test_a_copy_is_one():
    """Between the memories and from numpy: what is written into it is not written elsewhere."""
    with gpu():
        numbers, host = np.zeros(3), torch.zeros(3)
        there = torch.as_tensor(numbers, device="cuda")
        for copy in (there, there.cpu(), host.to("cuda"), host.cuda(), torch.from_numpy(numbers).to("cuda")):
            copy.add_(1)
        assert not numbers.any() and not host.any() and there.tolist() == [1, 1, 1]
        assert there.to("cuda") is there and host.cpu() is host and there.to(there) is there


def test_a_generator_repeats_itself():
    with gpu():
        a, b, c = (
            torch.rand(5, generator=torch.Generator("cuda").manual_seed(seed), device="cuda").tolist()
            for seed in (3, 3, 4)
        )
    assert a == b != c


def test_a_fork_cannot_use_a_card_that_was_used():
    if REAL:
        pytest.skip("torch itself says so of a real one")
    with pretended_card() as card:
        assert _in_a_fork(lambda: torch.zeros(3, device="cuda")) == ""
        there = torch.zeros(3, device="cuda")
        assert card.used_in == os.getpid() and _in_a_fork(lambda: torch.zeros(3) + 1) == ""
        for call in (lambda: torch.zeros(3, device="cuda"), lambda: there + 1, there.cpu):
            assert "forked subprocess" in _in_a_fork(call)


def _in_a_fork(call) -> str:
    """What it raises in a fork of this process, if anything."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings(action="ignore"):
        child = os.fork()
    if not child:
        try:
            call()
        except BaseException as e:
            os.write(theirs, str(e).encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours) as file:
        return file.read()


def test_what_is_refused_is_what_torch_says_of_itself():
    """By the list that torch is generated from: these leave it to TensorIterator to check devices."""
    packaged = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    unchecked, by_name = set(), {}
    for entry in yaml.load(packaged.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        name = entry["func"].partition("(")[0].partition(".")[0]
        by_name.setdefault(name, []).append(entry)
        if entry.get("device_check") == "NoCheck":
            unchecked.add(name.strip("_"))
    assert WITH_NUMBER <= unchecked, WITH_NUMBER - unchecked
    assert {"clamp", "addcmul"} <= unchecked - WITH_NUMBER  # without `allow_cpu_scalars`, says their source
    for name in ("histogram", "_histogramdd_bin_edges"):
        assert not any("CUDA" in key for e in by_name[name] for key in e["dispatch"])
    assert "histogram" in ON_CPUS_ONLY


# ---- faults that are planted


def penalty(self, weights):
    """As it was: columns on the CPU meet sums on the card."""
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
    def of_the_host(self):
        self.placed = self.table
        return views(self)

    return of_the_host


ENGINE_FAULTS = {
    "columns-meet-sums": (Regularizer, "penalty", penalty, "same device"),
    "numpy": (Evaluator, "validate", validate, "numpy"),
    "generator": (nnlab.training.step, "uniforms", uniforms, "generator"),
    "put": (Population, "create", best_on_the_host(Population.create), "same device|indices"),
    "columns-of-a-step": (Columns, "_views", views_of_the_host(Columns._views), "same device"),
}


@pytest.mark.parametrize("owner, name, fault, said", ENGINE_FAULTS.values(), ids=ENGINE_FAULTS)
def test_a_fault_planted_in_the_engine_raises(monkeypatch, owner, name, fault, said):
    monkeypatch.setattr(owner, name, fault)
    regularizer = Regularizer(l2=1e-3, dropout=0.2)
    e = replace(BASE, regularizer=regularizer, optimizer=SGD(lr=1.0), seeds=4, epochs=20)
    curves([e], "cpu")  # where nobody notices
    with pytest.raises((RuntimeError, TypeError), match=said):
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
    (contract(BoxContract, box=PutsPieces), "both_passes_on_a_gpu", "same device"),
    (contract(LossContract, loss=StacksBoth), "it_trains_on_a_gpu", "same device"),
]


@pytest.mark.parametrize("contract, test, said", CONTRACT_FAULTS)
def test_a_contract_finds_a_fault_of_a_plug_in(contract, test, said):
    for other in contract.properties():
        if "gpu" not in other and "reference" not in other:
            run(contract, other)  # on the CPU nobody notices
    with pytest.raises((RuntimeError, TypeError, AssertionError), match=re.compile(said)):
        run(contract, f"test_{test}")


def test_nothing_is_pretended_afterwards():
    with pretended_card():
        assert on_card(torch.zeros(3, device="cuda"))
    assert not on_card(torch.zeros(3)) and torch.Generator is torch._C.Generator
