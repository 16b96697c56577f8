"""Fuzzes the command line: random invalid arguments and damaged folders, and checks of nnlab's response.

A case runs in a fork of this process, in an empty folder, with limits on time and memory. `wrong` says what
is the matter with an outcome; scripts/fuzz.py counts, test_fuzz.py tries a few of every kind.
"""

import contextlib
import json
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field, fields
from pathlib import Path
from random import Random

import yaml

from nnlab.checks.subject import Budget
from nnlab.cli import main
from nnlab.experiment import GROUPS, Experiment
from nnlab.search.settings import GROUPS as SEARCH_GROUPS
from nnlab.search.settings import Search

# What no key means, as a file of YAML or the command line may have it.
EXTREMES = (
    2**31, 2**63, 10**400, 10**5000, 1e308, -1e308, 5e-324, -1, 0, math.nan, math.inf, -math.inf, True, "",
    "x" * 5000, [], {}, None, [None], [[]], ["a", 1], [10**400], [1] * 100_000, {"a": 1}, "\x00", "\n",
    "${seed}",
)  # fmt: skip

CPU_SECONDS, WALL_SECONDS = 8, 60  # of a case; a hang is told by the first on a busy machine
MEMORY = 3 * 2**30  # bytes beside what this process has
CRASHED = 70  # exit code of a case that ended in a traceback


@dataclass
class Outcome:
    argv: list[str]
    code: int  # as a shell has it; negative: a signal
    out: str
    err: str
    seconds: float  # of the processor
    left: list[str] = field(default_factory=list)  # files that were not there before


def parts() -> list[type]:
    """Every class that has keys: the experiment's, the search's, the budget of checks."""
    tables = [*GROUPS.values(), *SEARCH_GROUPS.values()]
    classes = [c for t in tables for c in (t.values() if isinstance(t, dict) else [t])]
    return [Experiment, Search, Budget, *classes]


# ---- Folders of sweeps, edited by hand

FILES = ("sweep.json", "config.yaml", "study.journal", "curves.jsonl", "trials.csv", "command.txt")
ODD = (
    None, True, -1, 0, 2**63, 10**400, 1e308, math.inf, math.nan, "", "word", "null", "../..", "${seed}",
    "\x00", [], {}, [None], ["a", ["b"]], {"a": {"b": 1}}, {"1": 2}, "x" * 3000,
)  # fmt: skip
INSERTED = (b"\x00", b"\xff\xfe", b"\n", b",,,", b"}{", b": - [", b"'", b"1e400", b"\t", b"&a *a")


def mutate(folder: Path, random: Random, outside: Path) -> str:
    """Spoil one file of the folder; how. `outside` is a file of somebody's, to which a link may lead."""
    name = random.choice(FILES)
    mutation = random.choice((_a_value, _a_value, _a_value, _text, _another_kind))
    return f"{name}: {mutation(folder / name, random, outside)}"


def _a_value(file: Path, random: Random, outside: Path) -> str:
    """Another value somewhere in a file of JSON or YAML, or in one line of it."""
    text = file.read_text()
    if file.suffix not in (".json", ".yaml", ".jsonl", ".journal"):
        return _text(file, random, outside)
    lines = text.splitlines() if file.suffix in (".jsonl", ".journal") else [text]
    at = random.randrange(len(lines))
    tree = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(lines[at])
    change = _change(tree, random)
    if file.suffix == ".yaml":
        lines[at] = yaml.safe_dump(change[1], sort_keys=False)
    else:
        lines[at] = json.dumps(change[1], indent=2 if file.suffix == ".json" else None)
    file.write_text("\n".join(lines) + "\n")
    return f"line {at}: {change[0]}"


def _change(tree, random: Random) -> tuple[str, object]:
    """(how, the tree with one place changed)."""
    places = [([], tree)]
    for path, node in places:  # it grows
        each = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        places += [([*path, key], child) for key, child in each]
    path, node = random.choice(places)
    value = random.choice(ODD)
    if not path:
        return f"all of it is {str(value)[:20]}", value
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    if random.random() < 0.25 and isinstance(parent, dict):
        del parent[path[-1]]
        return f"without {path}", tree
    if random.random() < 0.2:
        value = [node] if random.random() < 0.5 else {"a": node}
    parent[path[-1]] = value
    return f"{path} = {str(value)[:30]}", tree


def _text(file: Path, random: Random, outside: Path) -> str:
    """Bytes changed, cut or doubled."""
    data = bytearray(file.read_bytes())
    mutation = random.choice(("cut", "flip", "insert", "double", "deep", "binary", "shuffle", "empty"))
    at = random.randrange(len(data) or 1)
    if mutation == "cut":
        data = data[:at]
    elif mutation == "flip":
        for _ in range(random.randrange(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
    elif mutation == "insert":
        data[at:at] = random.choice(INSERTED)
    elif mutation == "double":
        data = data + data
    elif mutation == "deep":
        data = bytearray(b"[" * 3000 + b"]" * 3000 + b"\n")
    elif mutation == "binary":
        data = bytearray(random.randbytes(200))
    elif mutation == "shuffle":
        lines = bytes(data).splitlines(keepends=True)
        random.shuffle(lines)
        data = bytearray(b"".join(lines))
    else:
        data = bytearray()
    file.write_bytes(data)
    return f"{mutation} at {at}"


def _another_kind(file: Path, random: Random, outside: Path) -> str:
    """Not a file of its own."""
    mutation = random.choice(("gone", "fifo", "link", "hard link", "folder", "device"))
    data = file.read_bytes()
    file.unlink()
    if mutation == "fifo":
        os.mkfifo(file)
    elif mutation in ("link", "hard link"):
        outside.write_bytes(data)
        file.symlink_to(outside) if mutation == "link" else os.link(outside, file)
    elif mutation == "folder":
        file.mkdir()
    elif mutation == "device":
        file.symlink_to("/dev/zero")
    return mutation


def sweep_to_spoil(folder: Path) -> None:
    """A sweep of seven trials, three of which are a batch told in part."""
    overrides = ["data=iris", "epochs=2", "model.hidden=[3]", "trials=7", "batch=4", "report=false"]
    space = ["optimizer=sgd,adam", "optimizer.lr=tag(log,interval(1e-3,0.1))", "seed=range(0,9)"]
    folder.parent.mkdir()
    outcome = run(["sweep", *overrides, *space, f"hydra.run.dir={folder}"], folder.parent)
    assert outcome.code == 0, outcome


GO_ON = (["resume=s"], ["resume=s", "trials=9"], ["resume=s", "plan=true"], ["refine=s", "plan=true"])


def run_on_damaged_folder(whole: Path, scratch: Path, seed: int) -> tuple[str, Outcome, str]:
    """What was done to a copy of the sweep, what going on with it gave, and what is wrong with that."""
    random = Random(seed)
    outside = scratch / "outside"
    outside.write_text("mine\n")
    shutil.copytree(whole, scratch / "s")
    mutation = mutate(scratch / "s", random, outside)
    before = outside.read_bytes()
    o = run(["sweep", *random.choice(GO_ON), "report=false"], scratch)
    complaint = wrong(o)
    if outside.read_bytes() != before:
        complaint = "wrote to a file outside"
    shutil.rmtree(scratch / "s")
    return mutation, o, complaint


def run(argv: list[str], folder: Path) -> Outcome:
    """`nnlab argv` in a fork, in `folder`."""
    before = _inside(folder)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            _become(argv, folder, out, err)
        code, seconds = _wait(child)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # workers that it left
        complaints = []
        for file in (out, err):
            file.seek(0)
            complaints.append(file.read())
    return Outcome(argv, code, *complaints, seconds, sorted(_inside(folder) - before))


def wrong(o: Outcome) -> str:
    """What is the matter with it; "" if nothing is.

    0: it ran. 1: it ran and nothing worked, a sentence says so. 2: one sentence, and nothing is left behind.
    """
    if o.code < 0 and any(name.endswith((".hydra", "config.yaml")) for name in o.left):
        return ""  # it trains, for as long as was asked for
    if o.code < 0:
        name = signal.Signals(-o.code).name
        return "takes too long" if name in ("SIGXCPU", "SIGKILL", "SIGALRM") else f"ended by {name}"
    if "Traceback" in o.err or o.code == CRASHED:
        return f"a traceback: {o.err.strip().splitlines()[-1][:200]}"
    if "not enough memory" in o.err:
        return f"takes too much memory: {o.err.strip()[:200]}"
    errors = [line for line in o.err.splitlines() if ": advice: " not in line]
    if o.code == 2 and len(errors) != 1:
        return f"{len(errors)} lines instead of a sentence: {o.err[:300]}"
    if o.code == 2 and o.left:
        return f"refused, and left {', '.join(o.left[:4])}: {errors[0][:200]}"
    if o.code not in (0, 1, 2):
        return f"exit code {o.code}: {o.err[:200]}"
    return ""


def _become(argv, folder, out, err) -> None:
    """The child: nnlab, and never back."""
    code = CRASHED
    try:
        os.setsid()
        os.chdir(folder)
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        warnings.resetwarnings()  # pytest makes errors of them; a user reads them
        warnings.simplefilter("ignore", DeprecationWarning)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        signal.alarm(WALL_SECONDS)
        null = os.open(os.devnull, os.O_RDONLY)
        for stream, number in ((null, 0), (out.fileno(), 1), (err.fileno(), 2)):
            os.dup2(stream, number)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
        try:
            code = main(argv)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wait(child: int) -> tuple[int, float]:
    end = time.monotonic() + WALL_SECONDS + 5
    while time.monotonic() < end:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    return -signal.SIGKILL, used.ru_utime + used.ru_stime


def _inside(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def warm() -> None:
    """Import once what every fork needs."""
    import optuna  # noqa: F401

    import nnlab.commands.check_command
    import nnlab.commands.sweep_command
    import nnlab.records.console
    import nnlab.search.sweep  # noqa: F401


KINDS = ("folders", "words", "keys")


def cases(what: str, scratch: Path, first: int, count: int):
    """(seed, (how, outcome, what is wrong)) of so many cases of a kind."""
    if what == "folders":
        sweep_to_spoil(scratch / "whole" / "s")
    for seed in range(first, first + count):
        folder = scratch / str(seed)
        folder.mkdir()
        if what == "folders":
            yield seed, run_on_damaged_folder(scratch / "whole" / "s", folder, seed)
        else:
            argv = (random_line if what == "words" else random_key_line)(Random(seed), seed)
            outcome = run(argv, folder)
            yield seed, ("", outcome, wrong(outcome))
        shutil.rmtree(folder)


# ---- Command lines

SMALL = ["data=iris", "epochs=1", "model.hidden=[3]"]
OF_COMMAND = {"train": [], "sweep": ["trials=2", "report=false"], "check": ["only=start"]}
LINES = """
    optimizer=sgd optimizer=adam optimizer.lr=0.1 optimizer.clip_norm=.inf schedule=cosine schedule.warmup=2
    regularizer=[l2,dropout] regularizer.dropout=0.3 split=kfold split.test=0.3 split.repeats=2
    model.hidden=[4,4]
    model.activation=tanh model.output=softmax seeds=2 seed=1 batch_size=full stopping=patience
    init=orthogonal
    loss=squared_error metric=val_error refit=true data=line data.limit=60 data.label_noise=0.1 dtype=float64
    threads=1 device=cpu histograms=1 picture=true hydra.run.dir=out hydra.output_subdir=null data.seed=3
"""
OWN_LINES = {  # of one command alone
    "train": "-m optimizer.lr=0.1,0.2 optimizer=sgd,adam seed=range(0,3) experiment=lecture/mlp --cfg job",
    "sweep": """optimizer.lr=tag(log,interval(1e-3,1)) regularizer.l2=interval(0,1) seed=range(0,3)
        optimizer=sgd,adamw
        sampler=grid sampler=qmc pruner=halving objective=[val_error,parameters] plan=true batch=2
        study=x --cfg job
        space=none space=mlp_small sampler.seed=4 distinct=false direction=maximize""",
    "check": "only=[data,start] check.seeds=2 check.work=1e6 --info",
}
PIECES = (
    """
    = == + ~ ++ @ [ ] ( ) { } ' " , : $ ${ ${seed} ${x .. . - -- # % * ? null true .inf -.nan 1e999 0x1
    interval( range(
    tag( choice( glob(*) sort( shuffle( int( str( cast( _ __ 999999999999999999999999 é
""".split()
    + ["\\", "\n", "\t", " ", "\ud7ff"]
)


def random_line(random: Random, seed: int) -> list[str]:
    """A command line of some words, one or two of which are spoiled."""
    command = random.choice(list(OF_COMMAND))
    lines = LINES.split() + 3 * OWN_LINES[command].split()
    overrides = random.sample(lines, random.randrange(1, 4))
    for _ in range(random.randrange(0, 3)):
        at = random.randrange(len(overrides))
        overrides[at] = _spoil(overrides[at], random)
    return [command, *SMALL, *OF_COMMAND[command], *overrides]


def _spoil(word: str, random: Random) -> str:
    at, piece = random.randrange(len(word) + 1), random.choice(PIECES)
    if random.random() < 0.3:
        return word[:at] + word[at + random.randrange(1, 4) :]
    if random.random() < 0.4:  # another value
        return f"{word.partition('=')[0]}={piece}{random.choice(PIECES)}"
    return word[:at] + piece + word[at:]


VALUES = (
    *"2147483648 9223372036854775808 1e308 -1e308 5e-324 1e400 -1 0 nan inf".split(),
    *"-inf .inf true null word 1.5".split(),
    *"1000000000 100000 10000 '' [] {} [null] [[]] {a:1}".split(), "1" + "0" * 400,
)  # fmt: skip


def random_key_line(random: Random, seed: int) -> list[str]:
    """One key of one choice with an extreme value, all of them in turn."""
    every = [(cls, f.name) for cls in parts() for f in fields(cls) if "kind" in f.metadata]
    # Neighbouring seeds are far from each other in the table.
    cls, key = every[seed * 101 % len(every)]
    value = VALUES[(seed + seed // len(every)) % len(VALUES)]
    group = getattr(cls, "group", "")
    overrides = list(SMALL)
    if group == "data":
        overrides = [f"data={cls.name}", "epochs=1", "model.hidden=[3]"]
    elif cls.name and group and group != "regularizer":
        overrides.append(f"{group}={cls.name}")
    of_search = cls is Search or group in SEARCH_GROUPS
    command = "sweep" if of_search else "check" if cls is Budget else "train"
    return [
        command,
        *overrides,
        *OF_COMMAND[command],
        f"{group}.{key}={value}" if group else f"{key}={value}",
    ]
