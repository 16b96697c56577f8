"""Spaces, searches by hand and whole sweeps for the tests of `nnlab sweep`."""

import contextlib
import csv
import io
import json
import math
import os
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from nnlab.cli import main
from nnlab.search.samplers import SAMPLERS
from nnlab.search.space import Choice, Interval, Space, Steps
from nnlab.search.study import Chooser
from nnlab.search.trial import COMPLETE, Trial

ROOT = Path(__file__).parent.parent

# ---- spaces

RATE, SHARE = Interval(1e-4, 1.0, log=True), Interval(0.0, 1.0)
OWN = {"optimizer.gamma": "momentum", "optimizer.beta": "adam"}
SPACES = {  # with at least two numbers in every trial, which cmaes wants
    "numbers": Space(
        {"lr": RATE, "l2": SHARE, "n": Interval(1, 3, whole=True), "d": Steps(0.0, 0.1, 6),
         "e": Steps(5, -2, 3), "w": Interval(1, 9, log=True, whole=True)}
    ),
    "choices": Space(
        {"a": Choice((None, True, 2, 0.5, "x", [1, 2])), "lr": RATE, "b": Choice(("u", "v")), "l2": SHARE}
    ),
    "conditional": Space(
        {"optimizer.gamma": SHARE, "optimizer": Choice(("sgd", "momentum", "adam")), "lr": RATE,
         "optimizer.beta": Steps(0.5, 0.1, 4), "l2": SHARE},
        frozenset({"optimizer"}),
        lambda key, chosen: key not in OWN or chosen["optimizer"] == OWN[key],
    ),
}  # fmt: skip
TWELVE = Space({"a": Interval(1, 4, whole=True), "b": Steps(0.0, 0.5, 3)})


def small(name, **given):
    """The sampler of that name, with few trials before it learns."""
    own = {f.name for f in fields(SAMPLERS[name])}
    usual = {"points": 3, "startup": 5, "population": 4}
    return SAMPLERS[name](**{k: v for k, v in (usual | given).items() if k in own})


def is_in(label, domain) -> bool:
    if isinstance(domain, Interval):
        return domain.low <= label <= domain.high and isinstance(label, int if domain.whole else float)
    return any(label == x and type(label) is type(x) for x in domain.labels)


def bowl(params) -> float:
    """Least, 0, at lr = 0.01, l2 = 0.3 and, if they are there, n = 2 and w = 3."""
    far = (math.log10(params["lr"]) + 2) ** 2 + (params["l2"] - 0.3) ** 2
    return far + (params.get("n", 2) - 2) ** 2 + math.log10(params.get("w", 3) / 3) ** 2


def search(space, sampler, f=bowl, count=24, batch=4, signs=(1,), distinct=True, told=()) -> list[Trial]:
    """Trials by ask and tell, batch by batch; those `told` before are known, as when a sweep goes on."""
    chooser, trials = Chooser(space, sampler, signs, distinct), []
    for start in range(0, count, batch):
        known = [t for t in told if start <= t.number < start + batch]
        if len(known) == batch and not sampler.remembers:
            for trial in known:
                chooser.know(trial)
            trials += known
            continue
        asked = {n: chooser.ask(n) for n in range(start, min(start + batch, count))}
        new = [a_trial(n, params, f) for n, params in asked.items() if params is not None]
        for trial in new:
            chooser.tell(trial)
        trials += new
    return trials


def a_trial(number, params, f=bowl) -> Trial:
    values = f(params)
    values = values if isinstance(values, tuple) else (values,)
    return Trial(
        number, params, COMPLETE, values, (None,) * len(values), 1, 1, intermediate_values={1: values[0]}
    )


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
