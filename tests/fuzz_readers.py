"""The table of nnlab's readers of files, with valid inputs of each for fuzzing to mutate."""

import contextlib
import gzip
import io
import itertools
import json
import os
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from random import Random
from unittest.mock import patch

import datafiles
import fuzzing
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from fuzz_guard import ROOT, Reader
from xlsx_files import xlsx

import nnlab
from nnlab import commented_yaml, untrusted
from nnlab.cli import main
from nnlab.commands.hydra_private import yaml_loader
from nnlab.data.headers import header_names
from nnlab.data.sources import SOURCES
from nnlab.errors import MachineFault, UserError
from nnlab.jobs.data_file import data_file, from_bytes, hash_key
from nnlab.jobs.job import Job
from nnlab.jobs.outcome import Outcome
from nnlab.jobs.running import run as run_job
from nnlab.paths import CONFIG_DIR
from nnlab.prediction.evaluation import evaluate
from nnlab.prediction.predictions_file import predict_into
from nnlab.prediction.tables import open_examples
from nnlab.records import stored_sweep
from nnlab.records.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from nnlab.records.csv_text import CsvTable
from nnlab.records.files import to_jsonable
from nnlab.records.run_folder import RunFolder
from nnlab.records.stored_run import StoredRun
from nnlab.search.ledger import Ledger
from nnlab.tables import files as table_files
from nnlab.tables.options import ReadOptions
from nnlab.training.fit import Fit
from nnlab.training.fit_state import FitState
from nnlab.untrusted import refuse_many_references

TINY = nnlab.Experiment(data=nnlab.Iris(), model=nnlab.MLP(hidden=(3,)), epochs=3, batch_size=40, threads=1)
STATEFUL = [  # what a checkpoint can hold: slots, schedules that go back, stopping, noise, refits
    replace(TINY, seeds=2, refit=True, schedule=nnlab.HalveAndGoBack(), stopping=nnlab.Patience(patience=1)),
    replace(TINY, regularizer=nnlab.Regularizer(dropout=0.2), optimizer=nnlab.Adam()),
]
FRAME = nnlab.Frame(
    {"age": [None, *range(39)], "plan": ["gold", "tin"] * 20, "left": [0, 1, 1, 0] * 10}, "left"
)
TESTS = ROOT / "tests"


def files_of(folder: Path) -> dict[str, bytes]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def command(*argv) -> None:
    """`nnlab ...` in this process, as a reader: what it refuses is raised."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([*map(str, argv)])
    errors = [line for line in err.getvalue().splitlines() if ": advice: " not in line]
    if code == 0:
        return
    assert code in (1, 2) and len(errors) == 1, (
        f"exit code {code}: {out.getvalue()[-200:]}{err.getvalue()[-500:]}"
    )
    raise (UserError if code == 2 else MachineFault)(errors[0])


# ---- Tables, arrays and images


def tables() -> list[dict[str, bytes]]:
    x = np.random.default_rng(0).random((40, 3)).round(3).tolist()
    lines = {
        "names": ["a,b,c,left", *(f"{a},{b},{c},{'yes' if a > b else 'no'}" for a, b, c in x)],
        "numbers": [f"{a},{b},{c}" for a, b, c in x],
        "semicolons": ["Age (years);b;target", *(f"{a};{b};{round(9 * c)}" for a, b, c in x)],
        "quotes": ['"a, b","say ""hi""",y', *(f'"{a}",{b},"class {round(3 * c)}"' for a, b, c in x)],
        "pandas": [",0,1,2", *(f"{i},{a},{b},{c}" for i, (a, b, c) in enumerate(x))],
    }
    texts = {name: ("\n".join(rows) + "\n").encode() for name, rows in lines.items()}
    gzipped = [{"table.csv.gz": gzip.compress(texts[name])} for name in ("names", "numbers")]
    return [*({"table.csv": text} for text in texts.values()), *gzipped]


TARGETS = ("left", "y", "target", "2", "a", "nothing", 0, 1, 2, -1, 10**9, -3, "", None, "\n", "=1")


def read_table(folder: Path, random: Random) -> Iterator[Callable]:
    path = str(
        next((folder / name for name in ("table.csv", "table.csv.gz") if _is_there(folder / name)), folder)
    )
    target, task = random.choice(TARGETS), random.choice(("auto", "auto", "classification", "regression"))
    limit, noise = random.choice((None, None, 10)), random.choice((0.0, 0.0, 0.1))
    table = SOURCES["csv"](path=path, target=target, task=task, limit=limit, label_noise=noise)
    yield table.load
    yield lambda: header_names(path)


def _is_there(file: Path) -> bool:
    return file.is_symlink() or file.exists()


@cache
def mixed_tables() -> list[dict[str, bytes]]:
    """One table with text, numbers, dates and missing values in every format."""
    random = Random(0)
    towns = ("Köln", "Bonn", "x, y", "")
    rows = [[i, round(random.random(), 3), random.choice(towns), bool(i % 2), f"2024-01-{1 + i % 28:02}"]
            for i in range(40)]  # fmt: skip
    table = pa.table(
        dict(zip(("id", "size", "town", "left", "day"), map(list, zip(*rows, strict=True)), strict=True))
    )
    categories = table.append_column("c", table["town"].dictionary_encode()).append_column("n", pa.nulls(40))
    text = "id,size,town,left,day\n" + "".join(f'{a},{b},"{c}",{d},{e}\n' for a, b, c, d, e in rows)
    blank = "# by hand\nid size left\n" + "".join(f"{a}  {b} {d}\n" for a, b, _, d, _ in rows)
    western = text.replace(",", ";").replace(".", ",").encode("latin-1")
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
    files = [text.encode(), blank.encode(), western, text.encode("utf-16"), gzip.compress(text.encode())]
    files += [pa.compress(text.encode(), "zstd", asbytes=True), lines.encode(), gzip.compress(lines.encode())]
    files += [_written(pa.parquet.write_table, t, **k) for t in (table, categories) for k in PARQUET]
    files += [_written(pa.feather.write_feather, t, compression=c) for t in (table, categories)
              for c in ("uncompressed", "zstd")]  # fmt: skip
    files += [xlsx({"D": [[*table.column_names], *rows], "E": []}), xlsx({"D": [["title"], [], *rows]})]
    return [{"table": content} for content in files]


PARQUET = (
    {"compression": "none"},
    {"compression": "zstd", "use_dictionary": False, "row_group_size": 7, "write_page_checksum": True},
    {"compression": "snappy", "data_page_version": "2.0", "version": "1.0"},
)


def _written(write, table: pa.Table, **settings) -> bytes:
    file = io.BytesIO()
    write(table, file, **settings)
    return file.getvalue()


def read_mixed_table(folder: Path, random: Random) -> Iterator[Callable]:
    path, tables = str(folder / random.choice(("table", "table", "ta*", "*"))), []
    separator, header = (
        random.choice(("auto",) * 4 + (";", "blank")),
        random.choice(("auto", "auto", True, False)),
    )
    encoding, target = (
        random.choice(("auto",) * 4 + ("utf-16", "latin-1", "shift_jis")),
        random.choice(TARGETS),
    )
    options = ReadOptions(separator, encoding, header, target)
    yield lambda: tables.append(table_files.read_table(path, options))
    yield lambda: [batch.validate(full=True) for batch in table_files.iterate_batches(path, options)]
    for table in tables:
        table.validate(full=True)
        yield lambda table=table: table_files.place(path, random.randrange(table.num_rows), options)


def archives() -> list[dict[str, bytes]]:
    random = np.random.default_rng(0)
    x, images = random.random((30, 3)), random.integers(256, size=(20, 4, 4)).astype("u1")
    y = np.arange(30) % 3
    arrays = [
        {"X": x, "y": x.sum(1)}, {"X": x, "y": y}, {"x": x.astype("f4"), "y": np.eye(3)[y]},
        {"X_train": images, "y_train": y[:20], "X_test": images[:5], "y_test": y[:5]},
        {"X": x, "y": np.array(["a", "b", "=1"])[y], "X_test": x[:4], "y_test": np.array(["a"] * 4)},
        {"X": x, "y": x[:, :2]},
    ]  # fmt: skip
    files = []
    for named in arrays:
        for save in (np.savez, np.savez_compressed):
            file = io.BytesIO()
            save(file, **named)
            files.append({"arrays.npz": file.getvalue()})
    return files


def read_archive(folder: Path, random: Random) -> Iterator[Callable]:
    task = random.choice(("auto", "auto", "classification", "regression"))
    yield SOURCES["npz"](path=str(folder / "arrays.npz"), task=task, limit=random.choice((None, 10))).load


def image_folders() -> list[dict[str, bytes]]:
    folders = []
    for gzipped in (False, True):
        for seed, side in ((0, 4), (1, 1)):
            with tempfile.TemporaryDirectory() as folder:
                datafiles.write_idx(Path(folder), datafiles.idx_arrays(seed, side=side), gzipped)
                folders.append(files_of(Path(folder)))
    return folders


def read_images(folder: Path, random: Random) -> Iterator[Callable]:
    yield SOURCES["idx"](path=str(folder), limit=random.choice((None, None, 20))).load


# ---- New examples, for runs that were trained on such a file


@cache
def model_of(name: str, index: int) -> nnlab.TrainedModel:
    """A model trained on the valid input of that index."""
    make = {"csv": tables, "npz": archives, "idx": image_folders}[name]
    settings = {"target": TABLE_TARGETS[index]} if name == "csv" else {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file, content in make()[index].items():
            (Path(folder) / file).write_bytes(content)
        path = folder if name == "idx" else f"{folder}/{file}"
        data = SOURCES[name](path=path, **settings)
        return nnlab.load(nnlab.fit(replace(TINY, data=data, epochs=1, seeds=2)).run())


def new_examples(name: str, index: int) -> Callable:
    """The calls that predict and evaluate new examples with the model of that index."""

    def calls(folder: Path, random: Random) -> Iterator[Callable]:
        model, path = model_of(name, index), folder
        if name != "idx":
            path = next((folder / file for file in ("table.csv", "table.csv.gz", "arrays.npz")
                         if _is_there(folder / file)), folder)  # fmt: skip
        row, target = random.choice((None, None, 1)), random.choice((None, None, *TARGETS))
        open_ = partial(open_examples, str(path), model.spec, model.experiment.data)

        def predict():
            with open_() as examples:
                predict_into(CsvTable(io.StringIO()), model, examples, row)

        def evaluation():
            with open_(labelled=True, target=target) as examples:
                json.dumps(to_jsonable(evaluate(model, examples, row).as_json()), allow_nan=False)

        yield predict
        yield evaluation

    return calls


TABLE_TARGETS = ("left", 2, "target", "y", "2", "left", 2)  # of the tables, in their order


# ---- Folders of runs and sweeps


@cache
def run_folders() -> list[dict[str, bytes]]:
    """Old ones, and two of today with rows, folds and everything that is recorded: one of a normalised
    target, and one of a table with a column of every kind."""
    overrides = ["epochs=2", "model.hidden=[3]", "split=kfold", "seeds=2"]
    return [files_of(folder) for folder in sorted((TESTS / "old_runs").iterdir())] + [
        _made("train", "data=diabetes", "data.limit=60", *overrides),
        _made("train", "data=table", "data.path=people.csv", "data.target=left", *overrides, "split.k=3"),
    ]


def _people() -> str:
    lines = [
        f"{'' if i % 9 == 0 else 20 + i % 31},{('gold', 'iron', '')[i % 3]},z{i % 11},"
        f"2020-{1 + i % 12:02}-03,{('no', 'yes')[i % 2]},{('stay', 'go')[i // 2 % 2]}\n"
        for i in range(66)
    ]
    return "age,plan,zip,since,member,left\n" + "".join(lines)


@cache
def sweep_folders() -> list[dict[str, bytes]]:
    old = [TESTS / "old_sweep", *sorted((TESTS / "old_sweeps").iterdir())]
    overrides = ["data=iris", "epochs=2", "model.hidden=[3]", "trials=5", "batch=4", "report=false"]
    space = ["optimizer=sgd,adam", "optimizer.lr=tag(log,interval(1e-3,0.1))", "seed=range(0,9)"]
    return [files_of(folder) for folder in old] + [_made("sweep", *overrides, *space)]


def _made(*overrides: str) -> dict[str, bytes]:
    """The files that a command writes, but for pictures and TensorBoard's."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "people.csv").write_text(_people())
        outcome = fuzzing.run([*overrides, "hydra.run.dir=made"], Path(folder))
        assert outcome.code == 0, outcome
        files = files_of(Path(folder) / "made")
    return {
        name: data for name, data in files.items() if "tfevents" not in name and not name.endswith(".png")
    }


def read_run(folder: Path, random: Random) -> Iterator[Callable]:
    runs = []
    yield lambda: runs.append(StoredRun(folder))
    for run in runs:
        names = ["summary", "settings", "experiment", "command", "spec", "rows", "ended", "metrics"]
        names += ["curves", "refit", "weights", "normalizer"]
        for name in random.sample(names, len(names)):
            yield partial(READ_OF_RUN.get(name, attrgetter(name)), run)


READ_OF_RUN = {
    "curves": lambda run: [run.curves(name) for name in run.metrics],
    "refit": lambda run: [run.curves(name, refit=True) for name in run.metrics],
    "weights": lambda run: _arrays(run, run.weights),
    "normalizer": lambda run: _arrays(run, run.normalizer),
}


def _arrays(run: StoredRun, rows) -> None:
    """Read every row's arrays. The guard does not see how safetensors opens its file: it is checked here."""
    for row in rows:
        for array in rows[row].values():
            np.isfinite(array).sum()  # touches every element, so that a file which is too short shows
    file = run.path / "model.safetensors"
    assert not file.is_symlink() and file.stat().st_nlink == 1, "reads a link"


def read_sweep(folder: Path, random: Random) -> Iterator[Callable]:
    about = {}
    yield lambda: about.update(stored_sweep.read_sweep(folder)[0])
    if about:
        yield lambda: stored_sweep.read_curves(folder)
        signs = (1,) * random.choice((1, 1, 1, 2))
        yield lambda: Ledger(folder, None, about["study"], about["id"], signs, resumed=True).trials()


def plan_sweep(folder: Path, random: Random) -> Iterator[Callable]:
    key = random.choice(("resume", "refine"))
    yield lambda: command("sweep", f"{key}={folder}", "plan=true")


def predict(folder: Path, random: Random) -> Iterator[Callable]:
    models = []
    yield lambda: models.append(nnlab.load(folder))
    for model in models:
        encoding = model.spec.encoding
        x = np.random.default_rng(0).normal(size=(5, encoding.raw_width))
        if encoding.columns:
            x[:, list(encoding.code_positions)] = 2
        yield lambda model=model, x=x: model.predict(x)
        yield lambda model=model, x=x: model.predict_proba(x, row=model.rows[0].number)
        y = np.resize(model.classes, 5) if model.spec.classes else np.zeros((5, model.spec.outputs))
        yield lambda model=model, x=x, y=y: model.evaluate(x, y)


def states() -> list[dict[str, bytes]]:
    """Checkpoints at the beginning, within and between epochs, of a refit, of rows that have ended."""
    checkpoints = []
    for every in (1, 2, 3):
        fit = Fit(STATEFUL)
        polls = itertools.count(1)
        events = fit.events(lambda polls=polls, every=every: next(polls) % every == 0)
        fit_states = [event for event in events if isinstance(event, FitState)]
        for state in (fit_states[0], fit_states[len(fit_states) // 2], fit_states[-1]):
            with tempfile.TemporaryDirectory() as folder:
                write_checkpoint(Path(folder), Checkpoint(state, {"": {"metrics.jsonl": 100}}, ["data"]))
                checkpoints.append(files_of(Path(folder)))
    return checkpoints


def restore(folder: Path, random: Random) -> Iterator[Callable]:
    read = []
    yield lambda: read.append(read_checkpoint(folder).state)
    for state in read:
        yield lambda state=state: (state.epoch, state.epochs(), state.best_epochs())
        yield lambda state=state: Fit(STATEFUL).resume(state).run()


def killed_runs() -> list[dict[str, bytes]]:
    """Folders of a run and of -m, killed in the third epoch, with a checkpoint of the second."""
    import nnlab.records.picture  # noqa: F401  whose matplotlib makes folders of its own when it is imported

    words = ["data=iris", "epochs=4", "model.hidden=[3]", "seeds=2", "threads=1", "checkpoint.epochs=1"]
    return [_killed(*words, "hydra.run.dir=made"), _killed("-m", *words, "seed=0,7", "hydra.sweep.dir=made")]


def _killed(*words: str) -> dict[str, bytes]:
    def record(folder, epoch, real=RunFolder.record):
        if epoch.epoch == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        real(folder, epoch)

    with tempfile.TemporaryDirectory() as folder, patch.object(RunFolder, "record", record):
        made = fuzzing.run(["train", *words], Path(folder))
        assert made.code == -signal.SIGKILL, made
        return files_of(Path(folder) / "made")


def resume(folder: Path, random: Random) -> Iterator[Callable]:
    """Resume to the end of the run, which writes and shows what the checkpoint holds."""
    changes = random.choice(([], [], ["epochs=5"], ["epochs=1"]))
    yield lambda: command("train", f"resume={folder}", *changes)


# ---- Jobs

JOBS = (
    [
        replace(TINY, seed=k, optimizer=nnlab.Adam(lr=0.1 + k), stopping=nnlab.Patience(), epochs=4)
        for k in (1, 2)
    ],
    [
        replace(
            TINY, seeds=2, schedule=nnlab.HalveAndGoBack(), data=nnlab.Moons(n=40), class_weight="balanced"
        )
    ],
    [replace(TINY, data=FRAME, split=nnlab.KFold(k=2), regularizer=nnlab.Regularizer(dropout=0.2))],
)
MOST_EPOCHS = 20  # that a mutated job trains here


def job_files() -> list[dict[str, bytes]]:
    """Whole jobs, and such that go on from a state; with their data, and what comes of them."""
    inputs = []
    for experiments in JOBS:
        fit = Fit([*experiments], candidates=True)
        (stack,) = fit.stacks()
        key, data = data_file(fit.datasets[fit.experiments[0].data])
        first = Job.of_stack(fit, stack, key)
        state = Outcome.from_bytes(
            run_job(replace(first, until=1).to_bytes(), lambda key, data=data: data)
        ).state
        for job in (first, replace(first, until=2), replace(first, state=state, prune=(0,))):
            outcome = run_job(job.to_bytes(), lambda key, data=data: data)
            assert Outcome.from_bytes(outcome).is_trained
            inputs.append({"job.packed": job.to_bytes(), "data.packed": data, "outcome.packed": outcome})
    return inputs


def _content(file: Path) -> bytes:
    with untrusted.plain_file(untrusted.unlinked_file(file)) as opened:
        return opened.read()


def train_job(folder: Path, random: Random) -> Iterator[Callable]:
    """The job on its data, or on others under its key; then what the driver does with the outcome."""
    jobs, outcomes = [], []
    yield lambda: jobs.append(Job.from_bytes(_content(folder / "job.packed")))
    yield lambda: from_bytes(data := _content(folder / "data.packed"), hash_key(data))
    yield lambda: outcomes.append(Outcome.from_bytes(_content(folder / "outcome.packed")))
    for job in jobs:
        yield lambda job=job: _train(job, _content(folder / "data.packed"))
        for outcome in outcomes:
            yield lambda job=job, outcome=outcome: outcome.refuse_other_job(job)


def _train(job: Job, data: bytes) -> None:
    def end(epoch: int) -> None:
        if epoch > MOST_EPOCHS:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        job = replace(job, data=hash_key(data))
        outcome = Outcome.from_bytes(run_job(job.to_bytes(), lambda key: data, end))
        assert not outcome.error, outcome.error
        if sentence := outcome.refused or outcome.fault:
            raise UserError(sentence)
        outcome.refuse_other_job(job)


# ---- Configurations


def yaml_files() -> list[dict[str, bytes]]:
    names = [
        "train.yaml",
        "sweep.yaml",
        "optimizer/adam.yaml",
        "data/csv.yaml",
        "experiment/lecture/mlp.yaml",
    ]
    return [{"x.yaml": (CONFIG_DIR / name).read_bytes()} for name in names]


def read_yaml(folder: Path, random: Random) -> Iterator[Callable]:
    file, trees = folder / "x.yaml", []
    yield lambda: trees.append(untrusted.read_yaml(file))
    for tree in trees:
        yield lambda tree=tree: refuse_many_references(tree)
    yield lambda: untrusted.read_yaml(file, yaml_loader())
    yield lambda: commented_yaml.read.__wrapped__(file)


EXPERIMENT = b"""# @package _global_
defaults:
  - override /optimizer: adam
  - override /data: iris
epochs: 3
seed: 4
model: {hidden: [4, 4], activation: tanh}
optimizer: {lr: 0.01, clip_norm: null}
data: {limit: '${seed}0'}
"""
CHOICE = b"name: sgd\nlr: 0.1\nclip_norm: ${oc.decode:'1'}\n"


def config_folders() -> list[dict[str, bytes]]:
    return [
        {"experiment/x.yaml": EXPERIMENT},
        {"experiment/x.yaml": EXPERIMENT, "optimizer/adam.yaml": CHOICE},
    ]


def compose(folder: Path, random: Random) -> Iterator[Callable]:
    kind = random.choice((["train"], ["train"], ["sweep"], ["check"], ["train", "-m", "seed=1,2"]))
    yield lambda: command(*kind, "-cd", folder, "experiment=x", "--cfg", "job")


READERS = {
    "csv": (tables, read_table, {"follows_links": True}),
    "table": (mixed_tables, read_mixed_table, {"follows_links": True}),
    "npz": (archives, read_archive, {"follows_links": True}),
    "idx": (image_folders, read_images, {"follows_links": True}),
    "new-csv": (lambda: tables()[:1], new_examples("csv", 0), {"follows_links": True}),
    "new-numbers": (lambda: tables()[1:2], new_examples("csv", 1), {"follows_links": True}),
    "new-npz": (lambda: archives()[4:5] + archives()[8:9], new_examples("npz", 8), {"follows_links": True}),
    "new-idx": (image_folders, new_examples("idx", 0), {"follows_links": True}),
    "run": (run_folders, read_run, {}),
    "sweep": (sweep_folders, read_sweep, {"writes": True}),
    "plan": (sweep_folders, plan_sweep, {"writes": True}),
    "model": (run_folders, predict, {}),
    "checkpoint": (states, restore, {}),
    "resume": (killed_runs, resume, {"writes": True, "reads_anywhere": True}),
    "job": (job_files, train_job, {}),
    "yaml": (yaml_files, read_yaml, {"follows_links": True}),
    "config": (config_folders, compose, {"follows_links": True}),
}  # name -> a function that makes valid inputs, the calls that read one, what these may do


@cache
def reader(name: str) -> Reader:
    valid_inputs, calls, permissions = READERS[name]
    return Reader(name, valid_inputs(), calls, **permissions)
