"""What trains on a CPU trains on a GPU with the same results: a fake one, or with `pytest --gpu` a real one.

On the fake one (`nnlab.testing.fake_gpu`) the numbers are those of the CPU; test_fake_gpu.py has what
it refuses, test_gpu_faults.py the faults that it is to find.
"""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from conftest import HIDES, SEEN
from gpu_cases import CASES
from gpu_runs import (
    BASE,
    CLASSES,
    NUMBERS,
    REAL,
    SHORT,
    SMALL,
    assert_same_numbers,
    curves,
    gpu,
    on_gpu,
    same_draws,  # noqa: F401
)
from networks import one_thread  # noqa: F401
from searches import IRIS, ROOT
from test_combinations import DISTINCT
from test_leaves import WithCentred

import nnlab
from nnlab import Patience, Regularizer
from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS, Tanh
from nnlab.checks import labels
from nnlab.checks.ladder import RUNGS, check
from nnlab.cli import main
from nnlab.data.normalization import NORMALIZATION_NAMES as NORMALIZATIONS
from nnlab.data.splits import SPLITS
from nnlab.initializers import INITIALIZERS
from nnlab.losses import LOSSES
from nnlab.models import MLP, MODELS
from nnlab.optimizers import OPTIMIZERS
from nnlab.schedules import SCHEDULES
from nnlab.stopping import RULES
from nnlab.testing import fake_gpu
from nnlab.training.fit import Fit
from nnlab.training.training import Training


def test_a_real_gpu_passes_these_tests(monkeypatch):
    monkeypatch.delenv(HIDES, raising=False) if SEEN is None else monkeypatch.setenv(HIDES, SEEN)
    if REAL or not torch.cuda.device_count():
        pytest.skip("there is no GPU, or these tests run on it already")
    files = sorted((ROOT / "tests").glob("test_*gpu*.py"))
    line = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--gpu", *map(str, files)]
    process = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-5000:]


def test_all_other_tests_ask_for_the_cpu():
    if not REAL:
        assert os.environ[HIDES] == "" and nnlab.runtime.devices.device("auto").type == "cpu"


# ---- whatever trains


@pytest.fixture
def few_at_once(monkeypatch):
    """Sets of other sizes are evaluated in other numbers of batches."""
    monkeypatch.setattr(nnlab.experiment, "MAX_EVALUATION_BATCH", 19)


@pytest.mark.parametrize("name", CASES)
def test_it_trains_and_learns_what_the_cpu_learns(name, few_at_once, same_draws):  # noqa: F811
    assert_same_numbers(on_gpu(CASES[name]), curves(CASES[name], "cpu"))


TABLES = {
    "optimizer": OPTIMIZERS,
    "model": MODELS,
    "init": INITIALIZERS,
    "schedule": SCHEDULES,
    "split": SPLITS,
    "stopping": RULES,
}
NOT_TRIED = {  # fields of which one value is enough, and where more are
    "device",  # is the other one
    "threads",  # test_auto_is_the_gpu_where_there_is_one_and_no_fork_is_made
    "file",  # is read by the command
    "precision",  # test_gpu_capture.py
}


def test_every_entry_of_every_table_is_tried_and_every_field_of_it():
    """With two values at least: whoever adds a hyperparameter sees here that a case of it is missing."""
    tried, experiments = {}, [e for group in CASES.values() for e in group]
    for e in experiments:
        for part in (e, e.regularizer, *(getattr(e, group) for group in TABLES)):
            for f in fields(part):
                tried.setdefault((type(part), f.name), set()).add(repr(getattr(part, f.name)))
    for group, table in TABLES.items():
        assert {type(getattr(e, group)) for e in experiments} == set(table.values()), group
    rates = {name for name, values in tried.items() if len(values) < 2 and name[1] not in NOT_TRIED}
    assert not rates, f"always the same in all cases: {rates}"
    assert {e.loss for e in experiments} >= set(LOSSES)
    assert {e.data.normalization for e in experiments} == set(NORMALIZATIONS)
    activations = {e.model.activation for e in experiments if isinstance(e.model, MLP)}
    outputs = {e.model.output for e in experiments}
    assert activations >= set(ACTIVATIONS) and outputs == {"auto", *OUTPUTS}


NOISY = ("regularizer-dropout", "regularizer-input_dropout", "regularizer-dropconnect", "regularizer-all")


@pytest.mark.parametrize("name", NOISY)
def test_a_gpu_draws_its_own_numbers(name):
    there, here = on_gpu(CASES[name]), curves(CASES[name], "cpu")
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
        again = nnlab.training.ended_rows.test_row(
            fit.rows[0], fit.results[0], fit.cache.examples(fit.rows[0]), 1
        )
    for name in ("loss", "rmse", "mae"):
        assert again.test[name] == pytest.approx(fit.results[0].test[name], rel=1e-5)


def test_a_stack_holds_as_many_rows_as_asked_for():
    experiments = CASES["folds-of-other-sizes"]
    assert_same_numbers(on_gpu(experiments, max_stack_rows=3), curves(experiments, "cpu"))


def test_tables_that_lie_example_by_example(monkeypatch):
    monkeypatch.setattr("nnlab.data.device_tables.EXAMPLE_MAJOR_ELEMENTS", 100)
    assert_same_numbers(on_gpu(CASES["numbers"]), curves(CASES["numbers"], "cpu"))


def test_arrays_that_are_on_the_gpu_already():
    """Inputs and targets, and a test set of their own: whoever has tensors there need not know."""
    data, e = CLASSES.load(), replace(SHORT, dtype="float64")
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    (here,) = nnlab.fit(e, x[:70], y[:70], x_test=x[70:], y_test=y[70:]).run().results
    with gpu():
        x, y = x.to("cuda"), y.to("cuda")
        on = replace(e, device="cuda")
        (there,) = nnlab.fit(on, x[:70], y[:70], x_test=x[70:], y_test=y[70:]).run().results
        verdicts = [*nnlab.check(replace(on, data=nnlab.Arrays(x, y)), "start")]
    assert there.test["loss"] == pytest.approx(here.test["loss"], rel=1e-5)
    assert [v.status for v in verdicts] == ["pass"]


def test_a_fit_that_is_stopped_and_gone_on_with():
    e = replace(BASE, epochs=6, seeds=2, schedule="halve_and_go_back", dtype="float64")

    def interrupted(device):
        fit = nnlab.fit(replace(e, device=device))
        for record in fit:
            if record.epoch == 2:
                break
        for record in fit:
            if record.epoch == 4:
                fit.stop()
        return fit

    here = interrupted("cpu")
    with gpu():
        there = interrupted("cuda")
    assert [r.status for r in there.results] == [r.status for r in here.results] == ["stopped"] * 2
    np.testing.assert_allclose(there.curves("val_loss"), here.curves("val_loss"), rtol=1e-4)
    for resumed, uninterrupted in zip(there.results, here.results, strict=True):
        assert resumed.epochs == uninterrupted.epochs and resumed.test["loss"] == pytest.approx(
            uninterrupted.test["loss"], rel=1e-4
        )


@pytest.mark.parametrize("first, then", [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")])
def test_training_that_is_taken_up_on_the_other_device(first, then):
    """As after the machine with the GPU is gone: but for rounding it goes on as it would have."""
    jumps = replace(BASE, epochs=5, schedule="halve_and_go_back", optimizer="adam", model=WithCentred())
    changes = [dict(seed=k, stopping=Patience(patience=2 + k), dtype="float64") for k in range(3)]
    experiments = [replace(jumps, **settings) for settings in changes]

    def training(device):
        fit = Fit([replace(e, device=device) for e in experiments])
        return Training(fit.rows, fit.cache.examples(fit.rows[0]), 1)

    def ended(training):
        results = []
        while len(training):
            results += training.epoch()[1]
        return sorted(results, key=lambda r: r.row)

    here = ended(training("cpu"))
    with gpu():
        begun = training(first)
        begun.epoch(), begun.epoch()
        there = ended(training(then).restore(begun.state()))
    assert_same_numbers((there, {}), (here, {}))


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
        fit = nnlab.fit(*[replace(BASE, batch_size=size, threads=2, device="cuda") for size in (7, 16)])
        assert fit.processes == 1 and len(fit.stacks()) == 2
        with pytest.raises(nnlab.UserError, match="cuda:7"):
            nnlab.runtime.devices.device("cuda:7")
    with fake_gpu(memory=1 << 20):  # bytes: few rows at once
        assert len(nnlab.fit(replace(BASE, seeds=64, device="cuda")).stacks()) > 1


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


CHECKED = {
    "classes": {},
    "numbers": dict(data=NUMBERS),
    "buffers": dict(model=WithCentred()),
    "none-held-back": dict(split=nnlab.NoSplit(), metric="last", batch_size="full", dtype="float64"),
}


@pytest.mark.parametrize("kind", CHECKED)
@pytest.mark.parametrize("rung", RUNGS)
def test_every_rung_of_check(rung, kind, monkeypatch, same_draws):  # noqa: F811
    monkeypatch.setattr(labels, "MIN_STEPS", 20)
    regularizer = Regularizer(l2=1e-3, dropout=0.1)
    usual = replace(BASE, model=MLP(hidden=(7, 5)), regularizer=regularizer, epochs=20)
    e = replace(usual, **CHECKED[kind])
    (here,) = check(replace(e, device="cpu"), rung, SMALL)
    with gpu():
        (there,) = check(replace(e, device="cuda"), rung, SMALL)
    assert (there.status, there.causes) == (here.status, here.causes), there.findings
    numbers = [[f.number for f in verdict.findings] for verdict in (there, here)]
    if not REAL:  # whose rounding is its own
        np.testing.assert_allclose(*numbers, rtol=1e-3, atol=1e-7, err_msg=str(there.findings))


def test_a_rung_says_the_same_of_networks_of_all_kinds():
    """The gradients of every activation, output map, loss and penalty; and where nothing is held back."""
    layers = MLP(hidden=(3,) * len(ACTIVATIONS), activation=tuple(ACTIVATIONS))
    regularizer = Regularizer(l1=0.1, l2=0.1, dropconnect=0.2, dropout=0.2)
    kinds = [replace(BASE, model=layers, regularizer=regularizer)]
    kinds += [replace(BASE, model=MLP(hidden=(3,), output=output), loss=loss) for output, loss in DISTINCT]
    kinds += [replace(BASE, split=nnlab.NoSplit(), metric="last", batch_size="full")]
    for e in kinds:
        (here,) = check(replace(e, device="cpu"), "gradients", SMALL)
        with gpu():
            (there,) = check(replace(e, device="cuda"), "gradients", SMALL)
        assert there.status == here.status == "pass", (e, there.findings)


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
    arguments = ["sweep", *IRIS, "trials=16", "device=cuda", f"hydra.run.dir={tmp_path / 's'}"]
    with fake_gpu(memory=100_000):
        assert main([*arguments, "pruner=halving", "pruner.min_epochs=1"]) == 2
        stderr = capsys.readouterr().err
        assert "16 trials needs about" in stderr and "there are 100 KB" in stderr and stderr.count("\n") == 1
        assert not list(tmp_path.iterdir())
        assert main(arguments) == 0


TRAINED = {
    "equation": ["model=linear", "data=diabetes", "picture=true"],
    "folds": ["split=kfold", "split.k=3", "seeds=2", "refit=true", "histograms=1"],
    "everything": ["split=none", "metric=last", "regularizer=[l2,dropout,max_norm]", "batch_size=full"],
    "several": ["-m", "optimizer=sgd,adam", "regularizer=l1,dropconnect", "dtype=float64"],
}


@pytest.mark.parametrize("name", TRAINED)
def test_whole_runs_of_the_command_line(tmp_path, name):
    with gpu():
        line = ["train", "data=iris", *TRAINED[name], "device=cuda", "epochs=2"]
        place = "sweep" if "-m" in line else "run"
        assert main([*line, f"hydra.{place}.dir={tmp_path / 'r'}"]) == 0
    summaries = [json.loads(file.read_text()) for file in tmp_path.glob("r/**/summary.json")]
    assert len(summaries) == (4 if name == "several" else 1)
    assert all(s["device"] == "cuda" for s in summaries)
    assert all(file.stat().st_size for file in tmp_path.glob("r/**/model.safetensors"))


COMMANDS = [
    "train",
    "train -m optimizer=sgd,nadam device=cpu,cuda",
    "check only=[start,gradients,determinism]",
    "sweep trials=4 report=false",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_command_line_picks_the_gpu(tmp_path, line, monkeypatch, capsys):
    """Without a word of a device, where the work pays for it."""
    monkeypatch.setattr("nnlab.training.placement.GPU_START_SECONDS", -1e9)
    monkeypatch.chdir(tmp_path)
    arguments = [*line.split(), "data=iris", *["epochs=2"] * ("check" not in line)]
    with gpu() as fake:
        assert main(arguments) == 0
        assert torch.cuda.max_memory_allocated() if REAL else fake.used_in
    assert "on cuda" in capsys.readouterr().out.splitlines()[0] or line.startswith("train -m")
    made_on = [json.loads(file.read_text())["device"] for file in tmp_path.glob("outputs/**/summary.json")]
    assert set(made_on) == ({"cpu", "cuda"} if "cpu" in line else {"cuda"}) or "check" in line


def test_a_command_in_a_process_of_its_own_uses_the_gpu(tmp_path):
    """Where nothing has been imported before it, and every warning is an error."""
    code = (
        "import sys, contextlib, torch\n"
        "from nnlab.cli import main\n"
        "from nnlab.testing import fake_gpu\n"
        "with contextlib.nullcontext() if torch.cuda.device_count() else fake_gpu():\n"
        "    sys.exit(main(sys.argv[1:]))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != HIDES} | ({HIDES: SEEN} if SEEN else {})
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "error"}
    line = [sys.executable, "-c", code, "train", "data=iris", "epochs=2", "device=cuda"]
    process = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "on cuda" in process.stdout.splitlines()[0]


@pytest.mark.parametrize("data", [CLASSES, NUMBERS], ids=["classes", "numbers"])
def test_a_model_predicts_on_a_gpu(data):
    """Rows of a run that was trained on a CPU, one and averaged; and those of one that was trained there."""
    e = replace(BASE, data=data, seeds=2, split=nnlab.KFold(k=3), device="cpu")
    fit = nnlab.fit(e).run()
    dataset, here = fit.datasets[e.data], nnlab.load(fit)
    y = [dataset.spec.label(number) for number in dataset.y] if dataset.classes else dataset.y
    with gpu():
        there = nnlab.load(fit, device="cuda")
        trained_there = nnlab.load(nnlab.fit(replace(e, device="cuda")).run(), device="cuda")
        for row in (None, 4):
            np.testing.assert_allclose(there.outputs(dataset.x, row), here.outputs(dataset.x, row), rtol=1e-4)
            report, expected = there.evaluate(dataset.x, y, row), here.evaluate(dataset.x, y, row)
            assert report.keys() == expected.keys() and report["loss"] == pytest.approx(
                expected["loss"], rel=1e-4
            )
            assert len(trained_there.predict(dataset.x, row)) == len(dataset.x)
