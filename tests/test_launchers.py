"""Sweeps whose stacks train as jobs: whoever trains them, in whatever order, the sweep is the local one."""

import json
from dataclasses import replace

import pytest
from in_process import outcome, said
from searches import (
    IRIS,
    journal_trials,
    reproducible_content,
    resume,
    small_sampler,
    sweep,
    sweep_json,
)
from shuffled_executor import Shuffled

import nnlab
from nnlab.errors import MachineFault, UserError
from nnlab.jobs import opening
from nnlab.jobs.executor import Finished
from nnlab.jobs.launchers import LAUNCHERS, Folder, Local, Ray, Slurm
from nnlab.jobs.outcome import Outcome
from nnlab.search.pruners import PRUNERS
from nnlab.search.settings import Search
from nnlab.search.sweep import AllTrialsFailed, BatchStarted, Sweep, TrialsFinished
from nnlab.search.trial import COMPLETE, FAILED, PRUNED
from nnlab.testing import fake_gpu
from nnlab.training.data_cache import DataCache

SPACE = {
    "optimizer.lr": nnlab.Interval(1e-4, 1e3, log=True),  # at whose upper end every trial diverges
    "regularizer.l2": nnlab.Interval(0.0, 0.01),
    "model.hidden": nnlab.Choice(((3,), (4,))),
}
BASE = nnlab.Experiment(
    data=nnlab.Iris(limit=60), optimizer=nnlab.SGD(), epochs=4, batch_size=16, refit=False
)
ROWS = {"one row": {}, "seeds": {"seeds": 2}, "folds": {"split": nnlab.KFold(k=3)}}
STACKS = (1, 3, 1000, "auto")
EAGER = {"median": {"startup": 2, "warmup": 1, "interval": 2}, "none": {}}
PRUNED_BY = {name: cls(**EAGER.get(name, {"min_epochs": 1, "factor": 2})) for name, cls in PRUNERS.items()}
CACHE = DataCache()


def prepared(
    sampler="random", pruner="none", rows="one row", executor=None, stacks="auto", trials=6, batch=3
):
    """A sweep that has not begun."""
    launcher = Folder(stacks=stacks) if executor else Local()
    search = Search(small_sampler(sampler), PRUNED_BY[pruner], trials, batch=batch, launcher=launcher)
    return Sweep(SPACE, search, replace(BASE, **ROWS[rows]), cache=CACHE, executor=executor)


def results_of(sweep) -> tuple[list, dict]:
    """The trials of a sweep, and their curves."""
    curves = {}
    for event in sweep:
        if isinstance(event, TrialsFinished) and not event.written:
            curves |= {t.number: event.batch.mean_curves(t.number) for t in event.trials if t.epochs}
    return sweep.trials, curves


@pytest.mark.parametrize("pruner", PRUNED_BY)
@pytest.mark.parametrize("number, sampler", [*enumerate(["random", "grid", "tpe", "cmaes", "qmc"])])
def test_who_trains_the_jobs_changes_nothing(number, sampler, pruner):
    number += [*PRUNED_BY].index(pruner)
    rows, stacks = [*ROWS][number % 3], STACKS[number % 4]
    expected = results_of(prepared(sampler, pruner, rows))
    executor = Shuffled(seed=number, broken=number % 3)
    assert repr(results_of(prepared(sampler, pruner, rows, executor, stacks))) == repr(expected)
    assert not executor.waiting and not executor.outcomes
    states = {trial.state for trial in expected[0]}
    assert COMPLETE in states and (pruner not in ("halving", "median") or {PRUNED, FAILED} & states)


@pytest.mark.parametrize("stacks, jobs", [(1, 2), (4, 4), (1000, 12), ("auto", 2)])
def test_batches_are_divided_as_it_is_said(stacks, jobs):
    executor = Shuffled()
    results_of(prepared(executor=executor, stacks=stacks, trials=6, batch=6, rows="seeds"))
    # Rows of two structures are two stacks at least, and no stack is without a row.
    assert jobs <= len(executor.submitted) <= min(jobs + 1, 12)


def test_on_a_gpu_stacks_are_those_of_this_machine():
    """There a row's bits depend on the shape of its stack, which the number of workers does not change."""
    search = Search("random", "halving", trials=6, batch=6, launcher=Folder())
    with fake_gpu():
        e = replace(BASE, device="cuda", seeds=2)
        local = results_of(Sweep(SPACE, replace(search, launcher="local"), e))
        executor = Shuffled(slots=5)
        assert repr(results_of(Sweep(SPACE, search, e, executor=executor))) == repr(local)
        first_stage = [name for name in executor.submitted if name.split("-")[2] == "0"]
        assert len(first_stage) == 2  # one of each structure


# ---- which batches are in flight


@pytest.mark.parametrize(
    "sampler, pruner", [("random", "none"), ("qmc", "none"), ("tpe", "none"), ("random", "halving")]
)
def test_batches_are_in_flight_ahead_where_nothing_depends_on_results(sampler, pruner):
    executor = Shuffled(slots=4)
    sweep, started, told = prepared(sampler, pruner, executor=executor, trials=8, batch=2), [], []
    for event in sweep:
        if isinstance(event, BatchStarted):
            started.append(event.batch.candidates[0].number)
            batches = {name[:6] for name in executor.submitted}
            ahead = len(batches) - len(started)
        elif isinstance(event, TrialsFinished) and event.written:
            told += [trial.number for trial in event.trials]
    assert told == list(range(8)) and started == [0, 2, 4, 6]
    independent = pruner == "none" and sampler != "tpe"
    assert ahead == 0 and (executor.most_waiting > 4) == independent


def test_what_is_in_flight_is_dropped_once_all_trials_have_failed():
    executor = Shuffled(slots=8)
    space = {"optimizer.lr": nnlab.Interval(1e8, 1e9)}
    search = Search("random", trials=60, batch=10, launcher=Folder())
    sweep = Sweep(space, search, BASE, cache=CACHE, executor=executor)
    with pytest.raises(AllTrialsFailed, match="first 20 trials all failed"):
        sweep.run()
    assert len(sweep.trials) == 20 and len(executor.submitted) > 2
    assert not executor.waiting and not executor.outcomes


# ---- what may go wrong


class Answering(Shuffled):
    """Every job comes back with this answer."""

    def __init__(self, answer: bytes = b"", fault: str = ""):
        super().__init__()
        self.answer, self.fault = answer, fault

    def _train(self, name):
        del self.waiting[name]
        return Finished(name, self.answer, self.fault)


@pytest.mark.parametrize(
    "executor, error, words",
    [
        (Answering(Outcome(error="Traceback: boom", worker="w7").to_bytes()), RuntimeError, "w7.*\n.*boom"),
        (Answering(Outcome(fault="the disk is full").to_bytes()), MachineFault, "3 times.*the disk is full"),
        (Answering(Outcome(refused="nnlab 9.9 here").to_bytes()), MachineFault, "3 times.*nnlab 9.9 here"),
        (Answering(b"?"), MachineFault, "3 times.*not the outcome of a job"),
        (Answering(Outcome().to_bytes()), MachineFault, "3 times.*other rows in training"),
        (Answering(fault="Ray lost a job"), MachineFault, "^Ray lost a job$"),
    ],
    ids=["error", "fault", "refused", "nonsense", "empty", "lost"],
)
def test_a_job_that_no_worker_trains(executor, error, words):
    with pytest.raises(error, match=words):
        prepared(executor=executor).run()


# ---- by commands


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """The executors that commands have opened; each next one is the first of `to_come`."""
    monkeypatch.chdir(tmp_path)
    executors, to_come = [], []

    def open_executor(launcher, folder=None, processes=1):
        executors.append(to_come.pop(0) if to_come else Shuffled(seed=len(executors)))
        return executors[-1]

    monkeypatch.setattr(opening, "open_executor", open_executor)
    open_executor.executors, open_executor.to_come = executors, to_come
    return open_executor


SEARCHED = (
    *IRIS, "data.limit=60", "optimizer=sgd", "optimizer.lr=tag(log,interval(1e-3,1e3))", "trials=8",
    "batch=4", "model.hidden=choice([4],[6])",
)  # fmt: skip
BY = {
    "random": ("sampler=random",),
    "tpe": ("sampler=tpe", "sampler.startup=3", "pruner=halving", "pruner.min_epochs=1", "pruner.factor=2"),
}


def study(folder) -> list[dict]:
    """The trials of its study, without dates."""
    return [
        {key: value for key, value in trial.items() if "datetime" not in key and key != "worker_id"}
        for trial in journal_trials(folder)
    ]


@pytest.mark.parametrize("sampler", BY)
def test_a_sweep_that_breaks_and_goes_on_by_another_launcher_is_the_local_one(sampler, opened, tmp_path):
    words = (*SEARCHED, *BY[sampler])
    local = sweep(tmp_path / "local", *words)
    opened.to_come.append(Shuffled(breaks_after=3))
    folder = tmp_path / "s"
    code, _, error = outcome(
        "sweep", *words, "launcher=slurm", "launcher.stacks=2", f"hydra.run.dir={folder}"
    )
    assert code == 1 and "the cluster is gone: every finished batch is kept; to go on: " in error
    assert error.strip().endswith(f"nnlab sweep resume={folder} launcher=slurm launcher.stacks=2")
    text = resume(folder, "launcher=ray", "launcher.stacks=1")
    assert "launcher=ray: 3 jobs at once, as of now" in text and "choosing" in text
    assert [executor.closed for executor in opened.executors] == [True, True]
    assert reproducible_content(folder) == reproducible_content(local) and study(folder) == study(local)
    seconds = sweep_json(folder)["seconds"]
    assert seconds["workers"] == 1 and min(seconds[key] for key in ("training", "waiting", "moving")) >= 0
    assert "workers" not in sweep_json(local)["seconds"]


def test_where_a_stored_sweep_trained_is_not_where_it_goes_on(opened, tmp_path):
    """A folder may be a stranger's: which cluster trains, the command line alone says."""
    folder = sweep(tmp_path / "s", *SEARCHED, "sampler=random", "launcher=ray", "launcher.address=a.b:1")
    about = json.loads((folder / "sweep.json").read_text())
    assert "launcher.address=a.b:1" in about["words"] and len(opened.executors) == 1
    resume(folder, "trials=12")
    refined = said("sweep", f"refine={folder}", "trials=4", "report=false", f"hydra.run.dir={tmp_path / 'r'}")
    assert "launcher" not in refined and len(opened.executors) == 1


def test_compared_samplers_train_by_a_launcher_too(opened, tmp_path):
    words = ("sampler=random,tpe", "launcher=ray", f"hydra.run.dir={tmp_path / 'two'}", "trials=4")
    said("sweep", *(word for word in SEARCHED if word != "trials=8"), *words)
    assert len(opened.executors) == 2 and all(executor.closed for executor in opened.executors)


def test_a_configuration_file_names_no_cluster(opened, tmp_path):
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher" / "mine.yaml").write_text("name: ray\naddress: evil.example:6379\n")
    words = ("sweep", "-cd", str(tmp_path), "launcher=mine", *SEARCHED)
    code, _, error = outcome(*words)
    assert code == 2 and "launcher.address = 'evil.example:6379': a configuration file may not" in error
    assert outcome(*words, "launcher.address=mine:1", "plan=true")[0] == 0 and not opened.executors


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["launcher=sulrm"], "did you mean 'slurm'"),
        (["launcher=folder", "launcher.lease=0"], "launcher.lease = 0: expected"),
        (["launcher=slurm", "launcher.partition='gpu x'"], "expected a word, as sbatch --partition takes it"),
        (["launcher=ray,folder"], "takes one value"),
        (["launcher.jobs=3"], "launcher.jobs"),
    ],
)
def test_wrong_words(words, sentence, opened, tmp_path):
    code, _, error = outcome("sweep", *SEARCHED, *words, f"hydra.run.dir={tmp_path / 's'}")
    assert code == 2 and sentence in error and error.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_an_executor_that_cannot_be_had_leaves_no_folder(monkeypatch, tmp_path):
    def refuse(*arguments):
        raise UserError("launcher = 'ray': it is not here")

    monkeypatch.setattr(opening, "open_executor", refuse)
    folder = tmp_path / "s"
    code, _, error = outcome("sweep", *SEARCHED, "launcher=ray", f"hydra.run.dir={folder}")
    assert code == 2 and error == "nnlab sweep: launcher = 'ray': it is not here\n" and not folder.exists()


def test_from_python_a_sweep_opens_the_executor_of_its_launcher(opened):
    search = Search("random", trials=4, batch=2, launcher=Ray())
    sweep = Sweep(SPACE, search, BASE, cache=CACHE).run()
    (executor,) = opened.executors
    assert executor.closed and executor.submitted and sweep.seconds.workers == 1
    assert repr(sweep.trials) == repr(Sweep(SPACE, replace(search, launcher="local"), BASE).run().trials)
    sweep.run()
    assert len(opened.executors) == 1  # nothing is left to train


def test_launchers_that_need_a_folder_say_so():
    for name in ("folder", "slurm"):
        with pytest.raises(UserError, match=f"launcher = '{name}': it needs the folder"):
            opening.open_executor(LAUNCHERS[name]())
    with pytest.raises(UserError, match="launcher.qos"):
        Slurm(qos="a\nrm -rf ~")


@pytest.mark.parametrize("launcher", ["local", "folder", "ray", "slurm"])
def test_a_plan_names_the_launcher(launcher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = said("sweep", *SEARCHED, f"launcher={launcher}", "plan=true")
    assert (f"launcher={launcher}, and the time is that of this machine alone" in text) is (
        launcher != "local"
    )
