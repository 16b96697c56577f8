"""Jobs that go through bytes give the records of training in this process, bit for bit."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from datafiles import WRITERS
from networks import Points, one_thread  # noqa: F401
from test_as_config import BOXES
from test_row_independence_methods import LIMITS, varied
from test_training_state import bits

import nnlab
from nnlab import MLP, SGD, Arrays, Experiment, Frame, HalveAndGoBack, KFold, Patience, Regularizer, UserError
from nnlab.errors import MachineFault
from nnlab.jobs import running
from nnlab.jobs.data_file import data_file, is_sent
from nnlab.jobs.executor import KEY_NAME
from nnlab.jobs.job import Job, own_versions
from nnlab.jobs.outcome import Outcome
from nnlab.jobs.running import run
from nnlab.optimizers import OPTIMIZERS
from nnlab.regularizers import REGULARIZERS
from nnlab.runtime.packed import pack, unpack
from nnlab.schedules import SCHEDULES
from nnlab.stopping import RULES
from nnlab.testing import fake_gpu
from nnlab.training.fit import Fit
from nnlab.training.results import Record
from nnlab.training.workers import Rungs

EPOCHS, RUNGS = 5, (1, 3)
POINTS = Points(n=60).load()
NUMBERS = Points(n=60, classes=0).load()
RANDOM = np.random.default_rng(0)
BASE = Experiment(
    data=(POINTS.x, POINTS.y), model=MLP(hidden=(7,), activation="tanh"), regularizer=Regularizer(),
    batch_size=10, epochs=EPOCHS, threads=1,
)  # fmt: skip
OF_IMAGES = ("shift", "flip", "cutout")


@pytest.fixture(autouse=True)
def no_data_from_before():
    running._caches.clear()


def rows_of(base, optimizer=None, count=4):
    """Rows that differ in what may differ in a stack, their number of epochs too."""
    optimizer = optimizer or SGD(lr=0.1)
    return [
        replace(base, seed=k % 3, epochs=EPOCHS - k % 3, optimizer=varied(optimizer, k, **LIMITS[k]))
        for k in range(count)
    ]


class Worst:
    """Prunes at each rung, of the rows in training, the one with the largest training loss."""

    def __init__(self):
        self.losses = {}

    def add(self, record):
        self.losses |= dict(zip(record.rows.tolist(), record.metrics["train_loss"].tolist(), strict=True))
        for row in record.ended:
            del self.losses[row]

    def rows_to_prune(self, epoch):
        worst = max(self.losses, key=self.losses.get, default=None)
        return [] if worst is None else [worst]


def in_this_process(experiments, rungs=()):
    """The records, stack after stack up to each rung."""
    pruner, records = Worst(), []
    for record in Fit(experiments, candidates=True, rungs=Rungs(rungs, pruner.rows_to_prune)):
        pruner.add(record)
        records.append(record)
    return records


def through_bytes(experiments, rungs=()):
    """The same by jobs, each made of the bytes of the last one's outcome."""
    fit, pruner, records, files = Fit(experiments, candidates=True), Worst(), [], {}
    key, files[key] = data_file(fit.datasets[fit.experiments[0].data])
    jobs = [Job.of_stack(fit, stack, key) for stack in fit.stacks()]
    for until in (*rungs, None):
        for n, job in enumerate(jobs):
            outcome = trained(replace(job, until=until), files) if job else Outcome()
            records += outcome.records
            for record in outcome.records:
                pruner.add(record)
            jobs[n] = replace(job, state=outcome.state) if outcome.state else None
        prune = tuple(pruner.rows_to_prune(until)) if until else ()
        jobs = [job and replace(job, prune=prune) for job in jobs]
    return records


def trained(job, files) -> Outcome:
    """The outcome of a job that can be trained."""
    content = job.to_bytes()
    read = Job.from_bytes(content)
    assert read.to_bytes() == content and read.experiments == job.experiments
    outcome = Outcome.from_bytes(run(content, files.__getitem__))
    assert outcome.is_trained, outcome
    assert not outcome.state or outcome.state.values["epochs"] == job.until
    outcome.refuse_other_job(job)
    return outcome


def assert_same(experiments):
    """Divided at rungs, with a row pruned at each; gives the records."""
    records = in_this_process(experiments, RUNGS)
    assert bits(through_bytes(experiments, RUNGS)) == bits(records)
    return records


# ---- methods with a state, rows that end in every way


@pytest.mark.filterwarnings("ignore:optimizer")  # keys of a ramp have no effect without it
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    assert_same(rows_of(BASE, OPTIMIZERS[name]()))


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    rows = rows_of(replace(BASE, optimizer=SGD(lr=2.0)), SGD(lr=2.0))
    assert_same([replace(r, schedule=varied(SCHEDULES[name](), k)) for k, r in enumerate(rows)])


@pytest.mark.parametrize("name", RULES)
def test_stopping_rules(name):
    rows = rows_of(replace(BASE, metric="val_error"), SGD(lr=1.0))
    assert_same([replace(r, stopping=varied(RULES[name](), k)) for k, r in enumerate(rows)])


@pytest.mark.parametrize("name", sorted({*REGULARIZERS} - {*OF_IMAGES}))
def test_regularizers(name):
    vectors = dict.fromkeys(OF_IMAGES, 0)
    rows = enumerate(rows_of(BASE))
    assert_same(
        [replace(r, regularizer=replace(varied(REGULARIZERS[name](), k), **vectors)) for k, r in rows]
    )


def test_rows_that_end_in_every_way():
    """They diverge, stop, go back, are pruned and finish; a whole stack ends before the last rung."""
    base = replace(BASE, data=(NUMBERS.x, NUMBERS.y))
    rows = [
        replace(base, optimizer=SGD(lr=lr), seed=k, schedule=HalveAndGoBack(tolerance=0.0), epochs=7,
                stopping=Patience(patience=1 if k == 3 else 50, min_delta=1e9 if k == 3 else 0.0))
        for k, lr in enumerate([0.01, 3.0, 1e30, 0.05, 0.02, 1.0])
    ]  # fmt: skip
    rows.append(replace(rows[2], schedule="constant"))
    whole, records = in_this_process(rows), assert_same(rows)
    assert bits(through_bytes(rows)) == bits(whole)
    statuses = {status for record in records for status in record.ended.values()}
    assert {"diverged", "stopped", "finished"} == statuses
    assert any(record.metrics["went_back"].any() for record in records if "went_back" in record.metrics)
    assert sum(len(record.rows) for record in records) < sum(len(record.rows) for record in whole)


def test_on_a_gpu():
    """A fake one: where the job says so, the tail of a step is compiled."""
    with fake_gpu():
        rows = [replace(r, device="cuda", schedule=HalveAndGoBack()) for r in rows_of(BASE, nnlab.Adam())]
        records = assert_same(rows)
    assert records


# ---- rows, folds and networks


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_seeds_and_folds(dtype):
    """Experiments of several rows, which several stacks share: rows keep the numbers of the batch."""
    base = replace(BASE, split=KFold(k=3), regularizer=Regularizer(dropout=0.3, dropconnect=0.2), dtype=dtype)
    rows = [replace(base, seeds=k + 1, seed=5, optimizer=SGD(lr=0.1 + k)) for k in range(3)]
    others = [replace(r, model=MLP(hidden=(4, 3)), metrics=("accuracy",)) for r in rows[1:]]
    records = assert_same([rows[0], others[0], *rows[1:], others[1]])
    assert {row for record in records for row in record.rows.tolist()} == {*range(3 * (1 + 2 + 2 + 3 + 3))}


MODELS = {
    "linear": BASE,
    "graph": replace(BASE, model=nnlab.GraphModel(boxes=BOXES)),
    "layer norm": replace(BASE, model=MLP(hidden=(6, 6), normalization="layer")),
    "batch norm": replace(BASE, model=MLP(hidden=(6,), normalization="batch")),
    "weights by name": replace(BASE, class_weight={"0": 2.0, "1": 0.5}),
    "full batch": replace(BASE, batch_size="full"),
    "no validation": replace(BASE, split="none", metric="last"),
    "curves": replace(BASE, record=("theta", "update_norm"), histograms=2),
    "last": replace(BASE, metric="last", split=nnlab.Holdout(repeats=2, stratify=False)),
    "init": replace(BASE, init="orthogonal", loss="absolute_error", data=(NUMBERS.x, NUMBERS.y)),
}


@pytest.mark.parametrize("name", MODELS)
def test_networks_and_settings(name):
    assert_same(rows_of(MODELS[name], nnlab.Adam(), count=3))


# ---- data


def frame() -> Frame:
    """Numbers with holes, categories, truth values, dates."""
    n = 60
    numbers = RANDOM.random(n)
    columns = {
        "age": [None if v < 0.1 else round(v, 3) for v in numbers],
        "plan": [["gold", "silver", "tin", None][i % 4] for i in range(n)],
        "new": [bool(i % 2) for i in range(n)],
        "city": [f"c{i % 14}" for i in range(n)],
        "when": [f"2024-0{1 + i % 9}-{10 + 7 * i % 19}" for i in range(n)],
        "left": ["yes" if v > 0.4 else "no" for v in numbers],
    }
    return Frame(columns, "left", types={"city": "category"})


def arrays(**given) -> Arrays:
    return Arrays(POINTS.x, POINTS.y, **given)


DATA = {
    "iris with noise": lambda: nnlab.Iris(label_noise=0.3, limit=60, seed=3),
    "columns": frame,
    "test set": lambda: arrays(x_test=POINTS.x[:9], y_test=POINTS.y[:9]),
    "groups": lambda: arrays(groups=np.arange(60) // 4),
    "times and weights": lambda: arrays(times=np.arange(60) % 17, weights=RANDOM.random(60)),
    "columns first in memory": lambda: Arrays(
        np.asfortranarray(POINTS.x), POINTS.y, normalization="standard"
    ),
    "turned round": lambda: Arrays(POINTS.x[::-1, ::-2], POINTS.y[::-1], weights=RANDOM.random(60)[::-1]),
    "reconstruction": lambda: Arrays(POINTS.x, POINTS.y, reconstruct=True),
    "numbers": lambda: Arrays(NUMBERS.x, NUMBERS.y),
    "bytes": lambda: Arrays((40 * POINTS.x).astype(np.uint8), POINTS.y),
    "half numbers": lambda: Arrays(POINTS.x.astype(np.float16), POINTS.y),
    "drawn": lambda: nnlab.Moons(n=60, seed=4),
}


@pytest.mark.filterwarnings("ignore::nnlab.Advice")
@pytest.mark.parametrize("name", DATA)
def test_data(name):
    e = replace(BASE, data=DATA[name]())
    assert_same(rows_of(replace(e, split=KFold(k=2)) if name == "groups" else e, count=3))


def test_images():
    images = replace(
        BASE, data=nnlab.Digits(limit=80), batch_size=40, model=nnlab.CNN(blocks=(2, "pool"), hidden=(4,))
    )
    strengths = [{}, {"shift": 1, "flip": 0.3}, {"cutout": 3}]
    rows = zip(rows_of(images), strengths, strict=False)
    assert_same([replace(r, regularizer=Regularizer(**strength)) for r, strength in rows])


# ---- a job is a value


SMALL = Experiment(data=nnlab.Iris(), model=MLP(hidden=(3,)), epochs=3, batch_size=40, threads=1)


def job_and_files(*experiments, **changes) -> tuple[Job, dict[str, bytes]]:
    """The job of the only stack of these experiments, and its data."""
    fit = Fit([*experiments], candidates=True)
    (stack,) = fit.stacks()
    key, content = data_file(fit.datasets[fit.experiments[0].data])
    return replace(Job.of_stack(fit, stack, key), **changes), {key: content}


def test_equal_jobs_have_equal_bytes():
    """Also those that go on from another run of the same stage: no time is in a state."""
    rows = rows_of(replace(BASE, seeds=2), nnlab.Adam())
    (job, files), (again, same) = job_and_files(*rows), job_and_files(*rows)
    assert job.to_bytes() == again.to_bytes() and files == same
    stages = [replace(j, until=2) for j in (job, again)]
    states = [trained(stage, files).state for stage in stages]
    following = [replace(job, state=state, prune=(1,)).to_bytes() for state in states]
    assert following[0] == following[1] != job.to_bytes() and stages[0].to_bytes() != job.to_bytes()


def test_another_process_trains_the_same(tmp_path):
    """Elsewhere, from files, without the settings and data of this one; said by its lines of Python."""
    rows = rows_of(replace(BASE, data=frame(), regularizer=Regularizer(dropout=0.2)), nnlab.Adam())
    job, files = job_and_files(*rows)
    (key,) = files
    (tmp_path / key).write_bytes(files[key])
    (tmp_path / "job").write_bytes(job.to_bytes())
    code = """
from pathlib import Path
from nnlab.jobs.running import run
Path("outcome").write_bytes(run(Path("job").read_bytes(), lambda key: Path(key).read_bytes(), print))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    outcome = Outcome.from_bytes((tmp_path / "outcome").read_bytes())
    outcome.refuse_other_job(job)
    assert done.stdout.split() == [str(n + 1) for n in range(EPOCHS)] and not done.stderr
    assert bits(list(outcome.records)) == bits(in_this_process(rows)) and outcome.seconds > 0


def test_data_are_read_once_in_a_process_and_only_the_last_are_kept(monkeypatch):
    asked = []

    def train(e):
        job, files = job_and_files(e)
        return Outcome.from_bytes(run(job.to_bytes(), lambda key: asked.append(key) or files[key]))

    first = train(SMALL)
    assert bits(train(SMALL)) == bits(replace(first, seconds=0)) and len(asked) == 1
    train(replace(SMALL, data=nnlab.Iris(normalization="none")))
    assert len(asked) == 1  # the same examples
    for n in range(running.KEPT_DATA):
        train(replace(SMALL, data=nnlab.Moons(n=40 + n)))
    assert len(asked) == 1 + running.KEPT_DATA == 1 + len(running._caches)
    train(SMALL)
    assert asked[-1] == asked[0] and len({*asked}) == 1 + running.KEPT_DATA
    monkeypatch.setattr(running, "KEPT_BYTES", 1)  # of data that take much memory the last one is kept
    train(SMALL)
    assert len(running._caches) == 1 and len(asked) == 2 + running.KEPT_DATA


def test_data_in_place(tmp_path, monkeypatch):
    """Tables that may be larger than memory are not sent."""
    settings = WRITERS["npy"](tmp_path)
    e = replace(SMALL, data=nnlab.Npy(**settings))
    job, files = job_and_files(e)
    assert [*files.values()] == [b""] and not is_sent(job.data) and KEY_NAME.fullmatch(job.data)
    assert bits(list(trained(job, {}).records)) == bits(in_this_process([e]))
    # A path of this folder is that of the file; and a job can have no other files opened.
    monkeypatch.chdir(tmp_path)
    near = replace(e, data=nnlab.Npy(path="inputs.npy", target="targets.npy"))
    assert job_and_files(near)[0].experiments[0].data == nnlab.Npy(**settings)
    csv = replace(SMALL, data=nnlab.Csv(path="/etc/passwd", target="x"))
    assert "data 'csv' are not read in place" in refused(replace(job, experiments=(csv,)), {})
    np.save(settings["path"], np.zeros((60, 4, 4), np.float32))
    running._caches.clear()
    assert "are others than those" in refused(job, {})
    (tmp_path / "inputs.npy").unlink()
    assert "inputs.npy" in refused(job, {})


# ---- what goes wrong is said in the outcome


def refused(job, files) -> str:
    """Why a job is refused."""
    content = job if isinstance(job, bytes) else job.to_bytes()
    outcome = Outcome.from_bytes(run(content, files.__getitem__))
    assert outcome.refused and not outcome.records and not outcome.error and not outcome.fault, outcome
    return outcome.refused


def test_another_version_is_refused_in_a_sentence():
    job, files = job_and_files(SMALL, versions=own_versions() | {"torch": "1.13.1"})
    sentence = refused(job, files)
    assert "the job is of nnlab 0.1.0 and torch 1.13.1" in sentence and own_versions()["torch"] in sentence
    # Whatever else it says: its settings may have other names.
    arrays, values = unpack(job.to_bytes())
    assert refused(pack(arrays, values | {"experiments": "of another kind"}), files) == sentence
    for versions in (None, {}, {"nnlab": {"a": [1]}}, ["nnlab"], {"nnlab": "0" * 5000}):
        assert len(refused(pack(arrays, values | {"versions": versions}), files)) < 300


def test_what_a_worker_has_not_got_is_refused_in_a_sentence():
    job, files = job_and_files(SMALL)
    assert f"the data {job.data} are not here" in refused(job, {})
    assert "is not that of its key" in refused(job, {job.data: files[job.data][:-1]})
    assert "row 1 is of none of its experiments" in refused(replace(job, rows=(0, 1)), files)
    first = replace(job, until=1)
    own = trained(first, files).state
    for wrong in ({"epochs": 3}, {"epochs": 0}, {"epochs": 10**18}, {"steps": 1}):
        state = replace(own, values=own.values | wrong)
        assert "its state is not one after an epoch" in refused(replace(job, state=state), files)
    other, _ = job_and_files(replace(SMALL, model=MLP(hidden=(4,))), until=1)
    state = trained(other, files).state
    assert "a state of another network" in refused(replace(job, state=state), files)
    assert "cuda" in refused(replace(job, experiments=(replace(SMALL, device="cuda"),)), files)


def test_faults_and_errors_are_told_apart(monkeypatch):
    job, files = job_and_files(SMALL)
    for error, name in (
        (MemoryError(), "fault"), (MachineFault("it melts"), "fault"), (KeyError("bug"), "error"),
        (OSError(28, "No space left on device"), "fault"), (UserError("not so"), "refused"),
    ):  # fmt: skip

        def fails(epoch, error=error):
            raise error

        outcome = Outcome.from_bytes(run(job.to_bytes(), files.__getitem__, fails))
        said = {key for key in ("error", "fault", "refused") if getattr(outcome, key)}
        assert said == {name} and not outcome.is_trained and outcome.worker
        if name == "error":
            assert "Traceback" in outcome.error and "KeyError: 'bug'" in outcome.error

    def interrupted(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job.to_bytes(), files.__getitem__, interrupted)


def test_records_of_another_job_are_refused():
    job, files = job_and_files(replace(BASE, seeds=3))
    outcome = trained(job, files)
    first, *rest = outcome.records
    outside = replace(first, rows=first.rows + 1)
    empty = Record(1, first.rows[:0], {}, first.improved[:0])
    poor = [
        replace(r, metrics={n: m for n, m in r.metrics.items() if n != "val_loss"}) for r in outcome.records
    ]
    for wrong, until in (
        (rest, None), ([first, first], None), ([outside], None), ([empty], None), (outcome.records, 2),
        ([replace(first, ended={0: "stopped"}), *rest], None), (outcome.records[:-1], None), (poor, None),
        ([first], 1), ([*outcome.records[:-1], replace(rest[-1], ended={})], None), ((), None),
        ([*outcome.records[:-1], replace(rest[-1], ended={}), replace(rest[-1], epoch=EPOCHS + 1)], None),
    ):  # fmt: skip
        other = Outcome.from_bytes(replace(outcome, records=tuple(wrong)).to_bytes())
        with pytest.raises(UserError, match="the outcome of another job"):
            other.refuse_other_job(replace(job, until=until))
    stage = replace(job, until=2)
    part = trained(stage, files)
    later = replace(part.state, values=part.state.values | {"epochs": 3})
    fewer = replace(part.state, values=part.state.values | {"left": [0]})
    for state in (None, later, fewer):
        with pytest.raises(UserError, match="the outcome of another job"):
            replace(part, state=state).refuse_other_job(stage)
    pruned = replace(job, state=part.state, prune=(2,))
    trained(pruned, files).refuse_other_job(pruned)
    with pytest.raises(UserError, match="the outcome of another job"):
        outcome.refuse_other_job(replace(job, prune=(2,)))
