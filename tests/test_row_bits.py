"""A row's bits at MNIST's sizes and beyond: in a stack, by itself, and on any number of threads.

What differed once: on processors with AVX-512, torch divides products with sums of some hundred terms by how
many threads there are. tests/test_row_independence*.py have every method, at small sizes.
"""

import json
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bits import jobs
from searches import json_lines, sweep, train
from test_row_independence import assert_same, blobs, curves, varied

from nnlab.cli import main
from nnlab.data.splits import KFold
from nnlab.experiment import Experiment
from nnlab.models import MLP
from nnlab.optimizers import OPTIMIZERS, SGD, Adam
from nnlab.optimizers.blocks import blocked_update
from nnlab.runtime.threads import computing
from nnlab.training.fit import Fit, fit

# Random jobs have rates of dropout that a network without hidden layers does not read.
pytestmark = pytest.mark.filterwarnings("ignore::nnlab.errors.Advice")

THREADS = (1, 2, 3, 8)
MNIST = Experiment(data=blobs(420, 784, 10), model=MLP(hidden=(256, 256)), batch_size=128, epochs=2)


@pytest.mark.parametrize("seed", range(6))
def test_random_jobs(seed):
    for compared, what, same in jobs(random.Random(seed)):
        assert same, (compared, what)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_network_of_mnist_whatever_the_threads_and_the_stack(dtype):
    rows = [varied(replace(MNIST, dtype=dtype), Adam, k) for k in range(3)]
    (alone,) = curves([replace(rows[1], threads=1)])
    for threads in THREADS:
        assert_same([alone], curves([replace(rows[1], threads=threads)]), f"{threads} threads")
        assert_same(
            [alone], curves([replace(row, threads=threads) for row in rows])[1:2], f"stack, {threads}"
        )


def test_as_many_rows_in_a_stack_as_one_likes():
    rows = [varied(replace(MNIST, model=MLP(hidden=(128,))), Adam, k) for k in range(17)]
    alone = weights_of(fit(rows[5]), 0)
    for most in (2, 16, 17):
        for threads in (1, 3):
            run = Fit([replace(row, threads=threads) for row in rows], max_stack_rows=most)
            assert weights_of(run, 5) == alone, f"stacks of {most} on {threads} threads"


def weights_of(run: Fit, row: int) -> dict[str, bytes]:
    """Of a row, when the fit has ended."""
    list(run)
    return {name: weight.tobytes() for name, weight in run.results[row].weights.items()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_large_updates_on_threads(name):
    """70,000 parameters are updated in parts; the averages of dead inputs become subnormal numbers."""
    base = replace(MNIST, model=MLP(hidden=(90,)), optimizer=OPTIMIZERS[name](), epochs=2)
    torch.ones(10**6).add_(1)  # torch's own threads are there before any that flushes subnormal numbers
    one, three = (weights_of(fit(replace(base, threads=threads)), 0) for threads in (1, 3))
    assert one == three


def test_folds_of_a_large_job_equal_themselves_alone():
    """Folds of 105 and 104 examples: their validation sets are of unequal sizes."""
    base = replace(MNIST, data=blobs(418, 784, 10), split=KFold(k=4), seeds=2)
    run = fit(base)
    list(run)
    for result in run.results[1::3]:
        alone = fit(replace(base, split=KFold(k=4, fold=result.fold), seed=result.seed, seeds=1))
        assert weights_of(alone, 0) == {name: weight.tobytes() for name, weight in result.weights.items()}
        assert repr(alone.results[0].test) == repr(result.test)


LINE = "nnlab train data=noise model.hidden=[128] epochs=2"


def test_lines_of_the_command(tmp_path, monkeypatch):
    """Alone, in a stack, on one thread and on several, and as a cell of -m: one and the same curve."""
    monkeypatch.chdir(tmp_path)
    more = {"alone": "", "stack": "seeds=2", "one": "threads=1", "two": "threads=2", "five": "threads=5"}
    losses_by_name = {name: losses(train(f"{LINE} {overrides}", name)) for name, overrides in more.items()}
    overrides = ["optimizer.lr=0.003,0.01", "hydra.sweep.dir=cells", "hydra.sweep.subdir=${hydra:job.num}"]
    assert main(["train", "-m", *LINE.split()[2:], *overrides]) == 0
    losses_by_name["cell"] = losses(Path("cells/0"))
    assert len(set(losses_by_name.values())) == 1, losses_by_name


def losses(folder: Path) -> tuple:
    """Of the first row, epoch by epoch."""
    return tuple(
        (e["train_loss"], e["val_loss"]) for e in json_lines(folder / "metrics.jsonl") if not e["row"]
    )


def test_the_winner_of_a_sweep_is_its_trial(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    best = json.loads(
        (sweep("swept", *LINE.split()[2:], "trials=4", "report=false") / "sweep.json").read_text()
    )["best"]
    curve = losses(Path("swept/best"))
    assert best["values"] == [min(val_loss for _, val_loss in curve)]
    assert losses(train(f"{best['command']} threads=1", "again")) == curve


class UnitStep(SGD):
    """A step of length lr, whatever the gradient's norm: an update that looks at a whole row."""

    name = "unit_step"

    def update(self, theta, g, slots, f, scratch):
        theta.addcmul_(g / torch.linalg.vector_norm(g, dim=1, keepdim=True), f.minus_lr)


def test_an_update_that_looks_at_the_whole_row_is_made_at_once():
    """Being elementwise is not inherited by whoever writes another update."""
    assert SGD.elementwise and not UnitStep.elementwise
    rows = [varied(replace(MNIST, model=MLP(hidden=(90,))), UnitStep, k) for k in range(2)]
    (alone,) = curves([replace(rows[1], threads=1)])
    assert_same([alone, alone], [curves([replace(rows[1], threads=3)])[0], curves(rows)[1]], "unit steps")
    theta = torch.ones(1, 2**17)
    f, slots = SimpleNamespace(minus_lr=torch.tensor([[-1.0]])), SimpleNamespace()
    with computing():
        blocked_update(UnitStep(), theta, torch.full_like(theta, 3.0), slots, torch.zeros_like(theta), 3)(f)
    assert torch.linalg.vector_norm(theta - 1).item() == pytest.approx(1)
