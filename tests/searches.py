"""Helpers for tests of `nnlab sweep`: search spaces, searches without training, and whole sweeps."""

import contextlib
import csv
import io
import json
import os
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from in_process import said

from nnlab.cli import main
from nnlab.search.samplers import SAMPLERS
from nnlab.testing.samplers import (  # noqa: F401
    RATE,
    SPACES,
    TWELVE,
    bowl,
    complete_trial,
    is_in_domain,
    run_search,
    search,
)

ROOT = Path(__file__).parent.parent


def small_sampler(name, **overrides):
    """The sampler of that name, with few random trials before it learns."""
    names = {f.name for f in fields(SAMPLERS[name])}
    settings = {"points": 3, "startup": 5, "population": 4} | overrides
    return SAMPLERS[name](**{k: v for k, v in settings.items() if k in names})


# ---- sweeps

IRIS = ("data=iris", "epochs=3", "report=false", "model.hidden=[8]")


def sweep(folder, *overrides, code=0) -> Path:
    """Run `nnlab sweep` in this process, into that folder."""
    said("sweep", *overrides, f"hydra.run.dir={folder}", code=code)
    return Path(folder)


def resume(folder, *overrides, code=0) -> str:
    """Run `nnlab sweep resume=FOLDER`; returns its output."""
    return said("sweep", f"resume={folder}", *overrides, code=code)


def resume_error(folder, *overrides) -> str:
    """The one-line error message of a `resume=` that must fail."""
    message = resume(folder, *overrides, code=2)
    assert message.startswith("nnlab sweep: ") and message.count("\n") == 1, message
    return message


def cached_sweeps(tmp_path_factory):
    """A function: overrides -> the folder of a complete sweep, which is run only once."""
    folders = {}

    def folder(*overrides):
        if overrides not in folders:
            folders[overrides] = sweep(tmp_path_factory.mktemp("whole") / "s", *overrides)
        return folders[overrides]

    return folder


def train(line: str, folder) -> Path:
    """Run a printed `nnlab train ...` line, into that folder."""
    program, *arguments = shlex.split(line)
    assert program == "nnlab"
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(output):
        main([*arguments, f"hydra.run.dir={folder}"])
    assert (Path(folder) / "summary.json").exists(), output.getvalue()
    return Path(folder)


def nnlab(cwd, *argv, **options):
    """Run `nnlab` in its own process, and wait for its end."""
    line, environment = process_arguments(*argv)
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, **options)


def process_arguments(*argv):
    """The command line and the environment of an nnlab process."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    return [sys.executable, "-m", "nnlab", *argv], environment


def trials_csv(folder) -> list[dict]:
    with open(folder / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def json_lines(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def sweep_json(folder) -> dict:
    return json.loads((folder / "sweep.json").read_text())


def curves(folder) -> dict[int, dict]:
    """Trial number -> its line of curves.jsonl."""
    return {line.pop("trial"): line for line in json_lines(folder / "curves.jsonl")}


def journal_trials(folder) -> list[dict]:
    """The trials in the journal, in the order in which they were written."""
    return [op for op in json_lines(folder / "study.journal") if op["op_code"] == 4]


def reproducible_content(folder) -> dict[str, bytes]:
    """The files that must be equal in two equal sweeps: trials, curves, the best run."""
    numbers = {n: json.dumps(c) for n, c in sorted(curves(folder).items())}
    return {
        "trials": (folder / "trials.csv").read_bytes(), "curves": numbers, "best": sweep_json(folder)["best"],
        **{name: (folder / "best" / name).read_bytes() for name in ("metrics.jsonl", "model.safetensors")},
    }  # fmt: skip


# ---- the sweep that tests kill, resume and store

LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"
L2 = "regularizer.l2=interval(0,0.01)"
SPACE = (
    LR, L2, "model.hidden=choice([4],[6])", "stopping=patience", "stopping.patience=int(interval(2,9))",
)  # fmt: skip
USUAL = (*IRIS, *SPACE, "trials=12", "batch=4")
SAMPLED = {
    name: (f"sampler={name}", *(["sampler.points=2"] if name == "grid" else []),
           *(["sampler.startup=3"] if name in ("tpe", "gp") else []),
           *(["sampler.population=4"] if name == "cmaes" else []))
    for name in SAMPLERS
}  # fmt: skip
