"""Spaces, searches by hand and whole sweeps for the tests of `nnlab sweep`."""

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

from nnlab.cli import main
from nnlab.search.samplers import SAMPLERS
from nnlab.testing.samplers import RATE, SPACES, TWELVE, a_trial, bowl, is_in, search  # noqa: F401

ROOT = Path(__file__).parent.parent


def small(name, **given):
    """The sampler of that name, with few trials before it learns."""
    own = {f.name for f in fields(SAMPLERS[name])}
    usual = {"points": 3, "startup": 5, "population": 4}
    return SAMPLERS[name](**{k: v for k, v in (usual | given).items() if k in own})


# ---- sweeps

IRIS = ("data=iris", "epochs=3", "report=false", "model.hidden=[8]")


def sweep(folder, *words, code=0) -> Path:
    """`nnlab sweep` in this process, into that folder."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        found = main(["sweep", *words, f"hydra.run.dir={folder}"])
    assert found == code, said.getvalue()
    return Path(folder)


def resume(folder, *words, code=0) -> str:
    """`nnlab sweep resume=FOLDER`; what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        found = main(["sweep", f"resume={folder}", *words])
    assert found == code, said.getvalue()
    return said.getvalue()


def refused(folder, *words) -> str:
    """The one sentence with which `resume=` refuses."""
    said = resume(folder, *words, code=2)
    assert said.startswith("nnlab sweep: ") and said.count("\n") == 1, said
    return said


def made_once(tmp_path_factory):
    """Words -> the folder of the sweep that nobody interrupted, made once."""
    made = {}

    def folder(*words):
        if words not in made:
            made[words] = sweep(tmp_path_factory.mktemp("whole") / "s", *words)
        return made[words]

    return folder


def train(line: str, folder) -> Path:
    """A printed `nnlab train ...` line, run into that folder."""
    program, *words = shlex.split(line)
    assert program == "nnlab"
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        main([*words, f"hydra.run.dir={folder}"])
    assert (Path(folder) / "summary.json").exists(), said.getvalue()
    return Path(folder)


def nnlab(cwd, *argv, **options):
    """`nnlab` in a process of its own, to its end."""
    line, environment = process(*argv)
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, **options)


def process(*argv):
    """The words and the environment of an nnlab process."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    return [sys.executable, "-m", "nnlab", *argv], environment


def trials_csv(folder) -> list[dict]:
    with open(folder / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def json_lines(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def about(folder) -> dict:
    return json.loads((folder / "sweep.json").read_text())


def curves(folder) -> dict[int, dict]:
    return {line.pop("trial"): line for line in json_lines(folder / "curves.jsonl")}


def told(folder) -> list[dict]:
    """The trials in the journal, in the order in which they were written."""
    return [op for op in json_lines(folder / "study.journal") if op["op_code"] == 4]


def lasting(folder) -> dict[str, bytes]:
    """What two equal sweeps have in common: their trials, their curves, their best."""
    numbers = {n: json.dumps(c) for n, c in sorted(curves(folder).items())}
    return {
        "trials": (folder / "trials.csv").read_bytes(), "curves": numbers, "best": about(folder)["best"],
        **{name: (folder / "best" / name).read_bytes() for name in ("metrics.jsonl", "model.safetensors")},
    }  # fmt: skip


# ---- the sweep that is killed, resumed, stored

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
