"""Features of the GPU alone: CUDA graphs, ended rows, precision, compiled steps, and `device=auto`."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from gpu_runs import BASE, NUMBERS, REAL, assert_same_numbers, curves, gpu
from networks import one_thread  # noqa: F401

import nnlab
from nnlab import Experiment, KFold, Patience, Regularizer
from nnlab.checks.ladder import check
from nnlab.cli import main
from nnlab.data.batches import Batches
from nnlab.optimizers import OPTIMIZERS
from nnlab.runtime import compiling
from nnlab.runtime.cuda_graphs import CudaGraphs
from nnlab.runtime.threads import computing
from nnlab.testing import fake_gpu
from nnlab.training import placement
from nnlab.training.fit import Fit
from nnlab.training.placement import Work, duration_text, estimate_work

EXACT = replace(BASE, dtype="float64", epochs=5)


def fitted(experiments, device="cuda", compiled=False, **options):
    """The fit, trained, and each row's numbers, as `curves`."""
    fit = Fit([replace(e, device=device) for e in experiments], **options)
    fit.compiles = dict.fromkeys(fit.compiles, compiled)
    seen = {}
    for record in fit:
        for i, row in enumerate(record.rows):
            seen.setdefault(int(row), []).append([float(v[i]) for _, v in sorted(record.metrics.items())])
    return fit, seen


# ---- CUDA graphs


@pytest.fixture
def replays(monkeypatch):
    """The keys of what was replayed."""
    seen, run = [], CudaGraphs.run

    def watched(self, name, calls):
        seen.append((name, self.graphs.get(name, "new")))
        run(self, name, calls)

    monkeypatch.setattr(CudaGraphs, "run", watched)
    return seen


def test_steps_and_validation_are_called_once_and_then_replayed(replays):
    with gpu():
        fitted([EXACT])
    named = {}
    for name, before in replays:
        named.setdefault(name, []).append(before)
    assert len(named) == 3 and "validation" in named  # steps, what they put out, validation
    assert all(before[:2] == ["new", None] and None not in before[2:] for before in named.values())


def test_on_a_cpu_nothing_is_recorded(replays):
    fitted([EXACT], "cpu")
    assert {before for _, before in replays} == {"new"}


def test_recordings_take_what_changes_from_step_to_step(monkeypatch):
    """Rates, moments' corrections, examples, and chunks of an epoch."""
    monkeypatch.setattr("nnlab.data.gpu_batches.steps_per_chunk", lambda *sizes: 4)
    jobs = [replace(EXACT, schedule=name, optimizer="nadam", seeds=2) for name in ("cosine", "exponential")]
    folds = replace(EXACT, split=KFold(k=3), seeds=2, regularizer=Regularizer(l2=0.01, max_norm=2.0))
    for experiments in (jobs, [folds], [replace(EXACT, data=NUMBERS, regularizer=Regularizer(l1=0.01))]):
        with gpu():
            fit, there = fitted(experiments)
        assert_same_numbers((fit.results, there), curves(experiments, "cpu"))


@pytest.mark.parametrize("seeds", [1, 3])
def test_tables_too_large_for_the_gpu_are_gathered_fold_by_fold(seeds, monkeypatch):
    """And lie in one place all the same, so that what is recorded stays true."""
    monkeypatch.setattr("nnlab.training.training.TABLES_SHARE", 0.0)
    monkeypatch.setattr("nnlab.data.batches.steps_in_chunk", lambda *sizes: 2)
    jobs = [replace(EXACT, seeds=seeds, split=KFold(k=3) if seeds > 1 else EXACT.split)]
    with gpu():
        fit, there = fitted(jobs)
        batches = Batches(fit.cache.examples(fit.rows[0]), fit.rows)
        with computing():
            chunks = [chunk for epoch in (1, 2) for chunk in batches.epoch(epoch)]  # no memory is used again
    assert_same_numbers((fit.results, there), curves(jobs, "cpu"))
    assert len(chunks) > 2 and len({chunk.x.data_ptr() for chunk in chunks}) == 1


@pytest.mark.skipif(REAL, reason="a test of the fake GPU")
def test_a_fake_capture_computes_nothing_and_goes_on_with_what_is_there():
    with fake_gpu(), computing():
        a, total = torch.ones(3, device="cuda"), torch.zeros(3, device="cuda")
        graph = torch.cuda.CUDAGraph()
        with pytest.raises(RuntimeError, match="preceding successful capture"):
            graph.replay()
        with torch.cuda.graph(graph):
            total.add_(a * 2)
        assert total.tolist() == [0.0] * 3
        graph.replay()
        a.fill_(5)
        graph.replay()
        assert total.tolist() == [12.0] * 3
        with pytest.raises(RuntimeError, match="capturing"), torch.cuda.graph(torch.cuda.CUDAGraph()):
            float(total.sum())


# ---- rows that have ended


LEAVING = [replace(EXACT, epochs=3 + 2 * k, seed=k) for k in range(5)]


def test_a_row_that_has_ended_stays_until_half_of_the_stack_has():
    shapes = []
    with gpu():
        fit = Fit([replace(e, device="cuda") for e in LEAVING])
        for record in fit:
            (training,) = fit.trainings
            held = len(training.population) if training.population else 0
            shapes.append((len(record.rows), held))
    assert shapes == [(5, 5)] * 3 + [(4, 5)] * 2 + [(3, 5)] * 2 + [(2, 2)] * 2 + [(1, 1)] * 2 or shapes[
        2::2
    ] == [(5, 5), (4, 5), (3, 2), (2, 1), (1, 0)]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "halve_and_go_back"])
def test_who_stays_and_who_leaves_have_the_numbers_of_the_cpu(schedule):
    jobs = [replace(e, schedule=schedule, histograms=2) for e in LEAVING]
    jobs += [replace(e, refit=True, stopping=Patience(patience=1)) for e in jobs]
    with gpu():
        fit, there = fitted(jobs)
    here, expected = fitted(jobs, "cpu")
    assert_same_numbers((fit.results, there), (here.results, expected))


def test_a_row_that_diverges_changes_nothing_of_its_neighbours():
    """The same shape of a stack, another neighbour in another place."""
    sound = [replace(EXACT, seed=k, dtype="float32") for k in range(3)]
    lost = replace(sound[0], optimizer=nnlab.Adam(lr=1e38))
    with gpu():
        fit, there = fitted([*sound, lost])
        other, again = fitted([lost, sound[2], sound[1], sound[0]])
    assert {r.status for r in fit.results} == {"finished", "diverged"}
    assert [there[k] for k in range(3)] == [again[k] for k in (3, 2, 1)]


# ---- precision


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_products_are_rounded_and_nothing_else(precision):
    jobs = [replace(EXACT, dtype="float32", precision=precision, regularizer=Regularizer(l2=0.01))]
    with gpu():
        fit, there = fitted(jobs)
        plain, exact = fitted([replace(e, precision="float32") for e in jobs])
    assert fit.results[0].weights["output.weight"].dtype == np.float32
    np.testing.assert_allclose(there[0], exact[0], rtol=0.05, atol=0.02)
    assert there[0] != exact[0] or (precision == "tf32" and not REAL)


def test_two_precisions_are_two_stacks():
    with gpu():
        jobs = [replace(BASE, precision=p, device="cuda") for p in ("float32", "tf32")]
        assert len(Fit(jobs).stacks()) == 2


@pytest.mark.skipif(REAL, reason="there it is")
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_a_precision_that_is_not_there_is_refused(precision, monkeypatch):
    e = replace(BASE, precision=precision)
    for device in ("cpu", "auto"):
        with pytest.raises(nnlab.UserError, match=f"'{precision}' is for a GPU.*allowed there: float32"):
            Fit([replace(e, device=device)])
    with pytest.raises(nnlab.UserError, match="float64"):
        replace(e, dtype="float64")
    with fake_gpu():
        assert Fit([e]).experiments[0].device == "cuda"  # who asks for it asks for a GPU
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 0))
        with pytest.raises(nnlab.UserError, match="does not have it; allowed on it: float32"):
            Fit([e])


# ---- the compiled tail


REGULARIZED = Regularizer(l2=0.01, l1=0.001, max_norm=2.0)


@pytest.mark.parametrize("bias_lr_factor", [1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_compiled_tail_is_the_tail(name, bias_lr_factor):
    """On the fake GPU not compiled, but of the same calls; the numbers of the GPU's other tail."""
    clipped = dict(clip_norm=1.0, clip_value=0.5)
    try:
        optimizer = OPTIMIZERS[name](**clipped, bias_lr_factor=bias_lr_factor)
    except nnlab.UserError:  # not elementwise
        optimizer = OPTIMIZERS[name](**clipped)
    job = replace(EXACT, optimizer=optimizer, regularizer=REGULARIZED)
    with gpu():
        fit, there = fitted([job], compiled=True)
        plain, expected = fitted([job])
    assert fit.compiled and not plain.compiled
    np.testing.assert_allclose(there[0], expected[0], rtol=1e-7)


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Of kernels for a CPU, where nnlab itself never compiles; g++ reads few headers, once."""
    from torch._inductor import config

    monkeypatch.setenv(compiling.CACHE_VARIABLE, str(tmp_path))
    with config.patch({"cpp_cache_precompile_headers": False, "compile_threads": 1, "cpp.simdlen": 1}):
        yield


@pytest.mark.filterwarnings("ignore")  # what a compiler says of itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler")
def test_a_function_that_is_really_compiled(compiler):
    """An update in place, as of a step with momentum."""

    def update(theta, grad, velocity):
        velocity.mul_(0.9).add_(grad + 0.01 * theta)
        theta.sub_(0.1 * velocity)

    given = [torch.randn(2, 24, dtype=torch.float64) for _ in range(3)]
    fused, expected = ([v.clone() for v in given] for _ in range(2))
    compiling.compiled(update, tuple(given))(*fused)
    update(*expected)
    for a, b in zip(fused, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler")
def test_a_tail_that_is_really_compiled(compiler, request):
    if not request.config.getoption("gpu"):
        pytest.skip("takes half a minute; --gpu tries it")
    job = replace(EXACT, optimizer="momentum", regularizer=Regularizer(l2=0.01))
    fit, there = fitted([job], "cpu", compiled=True)
    _, expected = fitted([job], "cpu")
    assert fit.compiled
    np.testing.assert_allclose(there[0], expected[0], rtol=1e-9)


@pytest.mark.parametrize("fails", ["while it is traced", "at its first call"])
def test_where_it_cannot_be_compiled_it_is_called(fails, monkeypatch):
    def refuses(*args):
        raise OSError("no compiler\nto be found")

    monkeypatch.setattr(compiling, "compiled", refuses if "traced" in fails else lambda *args: refuses)
    with pytest.warns(nnlab.Advice, match="could not be compiled, and is made call by call: no compiler$"):
        fit, there = fitted([EXACT], "cpu", compiled=True)
    _, expected = fitted([EXACT], "cpu")
    assert not fit.compiled and there == expected


def test_the_same_calls_for_the_same_shapes_are_compiled_once(monkeypatch):
    made = []
    monkeypatch.setattr(torch, "compile", lambda calls, **options: made.append(calls) or calls)
    monkeypatch.setattr(compiling, "_compiled", {})
    one, two = torch.ones(3), torch.ones(4)
    for example, scale in ((one, 2.0), (one, 2.0), (two, 2.0), (one, 3.0)):

        def scaled(x, *, scale=scale):
            return x * scale

        assert compiling.compiled(partial(scaled, scale=scale), (example,))(example)[0] == scale
    assert len(made) == 3


# ---- `device: auto`


WIDE = replace(Experiment(), model=nnlab.MLP(hidden=(2000, 2000)), epochs=2000)


def test_auto_is_the_cpu_for_little_work_and_the_gpu_for_much():
    small, large = Experiment(), replace(WIDE, threads=1)
    if not REAL:
        assert Fit([large]).experiments[0].device == "cpu" and not Fit([large]).placements["auto"].reason
    with gpu():
        assert Fit([small]).experiments[0].device == "cpu" and Fit([small]).on_cpu
        fit = Fit([large])
        assert fit.experiments[0].device == fit.rows[0].experiment.device == "cuda"
        assert "on the CPU" in fit.placements["auto"].reason and not fit.on_cpu
        assert Fit([small], repeats=10_000).experiments[0].device == "cuda"


def test_work_is_counted():
    (row,) = Fit([Experiment(epochs=10)]).rows
    datasets = Fit([Experiment()]).datasets
    one = estimate_work([row], datasets)
    assert (
        one.operations == 6 * one.parameter_updates * 64
        and one.parameter_updates % (17 * 10) == 0
        and one.cpu_stacks == 1
    )
    two = estimate_work([row, replace(row, seed=1)], datasets)
    assert two.operations == 2 * one.operations and two.gpu_steps == one.gpu_steps == 170
    assert estimate_work([row], datasets, 3).operations == 3 * one.operations
    assert isinstance(one, Work) and one.cpu_seconds(1) > one.cpu_seconds(4)


def test_a_compiler_is_called_where_it_pays():
    with gpu():
        assert not any(Fit([Experiment(device="cuda")]).compiles.values())
        assert all(Fit([replace(WIDE, device="cuda", seeds=20)]).compiles.values())
    assert not any(Fit([replace(WIDE, device="cpu")]).compiles.values())


@pytest.mark.parametrize(
    "seconds, message", [(0.34, "0.3 s"), (42.2, "42 s"), (720, "12 min"), (9000, "2.5 h")]
)
def test_estimates_in_words(seconds, message):
    assert duration_text(seconds) == message


def test_the_command_line_says_where_and_why(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with gpu():
        assert main(["train", "data=iris", "epochs=2", "hydra.run.dir=small"]) == 0
        small = capsys.readouterr().out.splitlines()[0]
        monkeypatch.setattr(placement, "GPU_START_SECONDS", -1e9)
        assert main(["train", "data=iris", "epochs=2", "precision=tf32", "hydra.run.dir=large"]) == 0
        large = capsys.readouterr().out.splitlines()[0]
    assert "on cpu" in small and "on cuda" in large and "tf32" in large
    small, large = (json.loads((tmp_path / d / "summary.json").read_text()) for d in ("small", "large"))
    assert small["device"] == "cpu" and "on the GPU" in small["device_because"] and "compiled" not in small
    assert large["device"] == "cuda" and large["precision"] == "tf32" and large["compiled"] is False


@pytest.mark.skipif(REAL, reason="there is one")
def test_without_a_gpu_nothing_is_said_of_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "data=iris", "epochs=2", "hydra.run.dir=r"]) == 0
    assert " on " not in capsys.readouterr().out.splitlines()[0]
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert not {"precision", "compiled", "device_because"} & summary.keys()


def test_a_sweep_decides_once_for_all_its_trials(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ["sweep", "data=iris", "trials=4", "epochs=2", "report=false", "sampler=random"]
    with gpu():
        assert main([*line, "plan=true"]) == 0
        plan = capsys.readouterr().out
        monkeypatch.setattr(placement, "GPU_START_SECONDS", -1e9)
        assert main([*line, "hydra.run.dir=large"]) == 0
    assert "on cpu" in plan and "device=auto: about" in plan and "on the GPU" in plan
    stdout = capsys.readouterr().out
    assert "on cuda" in stdout.splitlines()[0] and "device=cuda" in stdout
    best = json.loads((tmp_path / "large" / "best" / "summary.json").read_text())
    record = json.loads((tmp_path / "large" / "sweep.json").read_text())
    assert best["device"] == "cuda" and "device=cuda" in record["best"]["command"]


def test_a_sweep_in_python_has_its_trials_where_the_work_of_all_pays():
    space = {"optimizer.lr": nnlab.Interval(1e-4, 1e-1, log=True)}
    with gpu():
        small = nnlab.Sweep(space, nnlab.Search(trials=4), Experiment(epochs=2))
        many = nnlab.Search(trials=100_000, sampler="random")
        large = nnlab.Sweep(space, many, Experiment(epochs=50))
        assert small.placement.device.type == "cpu" and large.placement.device.type == "cuda"
        assert (
            large.first_candidate.experiment.device
            == large.experiment({"optimizer.lr": 0.01}).device
            == "cuda"
        )
        assert large.plan().because and large.batch_size == 128


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_a_check_of_a_job_in_another_precision(precision):
    """Gradients are looked at in float64, where there is but one."""
    job = replace(BASE, precision=precision, device="cuda")
    with gpu():
        verdicts = [*check(job, only=["start", "gradients"])]
    assert [v.status for v in verdicts] == ["pass", "pass"]
