"""Time `nnlab sweep` beside other libraries' random searches on equal work, as whole processes on the CPU.

    python -m pip install -r scripts/bench-requirements.txt
    python scripts/bench_sweep.py                              # 64 trials, every rival, three rounds
    python scripts/bench_sweep.py --rivals a,d --rounds 7
    python scripts/bench_sweep.py --growth                     # 16, 64, 256 and 1024 trials: time and memory
    python scripts/bench_sweep.py --growth --full              # nothing extrapolated
    python scripts/bench_sweep.py --quick                      # a try: 8 trials of 5 epochs
    python scripts/bench_sweep.py --device cuda --trials 256   # on a GPU: rivals (a) and (d)

The rivals (sweep_rivals.py): (a) Optuna and bench_train's tuned plain-torch loop, (b) Optuna and Lightning,
(c) scikit-learn's RandomizedSearchCV over MLPClassifier in two processes, (d) JAX, trials vmapped and epochs
in lax.scan, (e) Ray Tune and the loop of (a), two trials at a time. An absent one is skipped with a line.

Equal work: the 1797 digits, 60% to train on and 20% to validate, standardised; a relu perceptron 64-64-10,
float32, Adam, batches of 64 with the short last one kept; lr from 1e-4 to 1e-1 and l2 from 1e-6 to 1e-2 by
their logarithms, dropout from 0 to 0.6; validation loss after every epoch, and the trial with the lowest
wins. It is unequal where it cannot be otherwise: (c) has no dropout and validates once, at the end; (d) keeps
no study; the rivals write nothing, and find the digits in a file (nnlab loads and splits them itself, another
60/20/20, keeps its study and every trial on disk, and tests the winner).

A process counts from its start to its end, imports and compiling included. The rivals take turns, for a busy
machine changes speed from minute to minute: only the ratios inside one table mean anything. "steady" is a
trial's share of the training alone: no compiling, and no imports but those of (a)'s and (b)'s first step and
of the processes that (c) and (e) start. Memory is the most that a process
and its children held at once: proportional set sizes, sampled, but no less than the peak of the largest,
nor than what this process held when it started them.
"""

import argparse
import csv
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
from bench_train import digits_work, take_turns

from nnlab import StoredRun

ROOT = Path(__file__).resolve().parent.parent
RIVALS = {"a": "torch", "b": "lightning", "c": "sklearn", "d": "jax", "e": "ray"}
SPACE = (
    "optimizer.lr=tag(log,interval(1e-4,1e-1))",
    "regularizer.l2=tag(log,interval(1e-6,1e-2))",
    "regularizer.dropout=interval(0,0.6)",
)
TOLERANCE = 1.5  # points between the accuracies of best trials; of 360 examples one is 0.3
AFFORDABLE = 120  # seconds; in a growth table what would take longer is extrapolated


@dataclass
class Runs:
    """What the runs of one rival at one size told, besides their time."""

    memory: list[float] = field(default_factory=list)  # MB
    results: list[dict] = field(default_factory=list)  # loss, accuracy, epochs, seconds by part

    def part(self, name, otherwise=np.nan):
        """The median seconds of a part."""
        return np.median([result["seconds"].get(name, otherwise) for result in self.results])


# A process: its output, and the memory of its tree


def children(pid):
    """The processes that a process has started, by any of its threads."""
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, listed.read_text().split())


def tree_mb(pid):
    """The proportional set size of a process and of all below it; 0 where there is no /proc."""
    total, pids = 0.0, [pid]
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1]) / 2**10
            pids += children(pid)
        except (OSError, TypeError):  # it has just ended
            continue
    return total


@contextmanager
def watching(pid):
    """A list that fills with the sizes of a process's tree, five a second."""
    sizes, done = [0.0], threading.Event()

    def watch():
        while not done.wait(0.2):
            sizes.append(tree_mb(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield sizes
    finally:
        done.set()
        watcher.join()


def measured(line, folder):
    """Run a command to its end: its output, and the peak of its tree in MB."""
    paths = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    with tempfile.TemporaryFile("w+") as out:
        streams = {"stdout": out, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(line, cwd=folder, env=env, start_new_session=True, **streams)
        with watching(process.pid) as sizes:
            status, usage = wait(process)
        out.seek(0)
        if status:
            raise RuntimeError(f"{' '.join(line)} failed:\n{out.read()}")
        largest = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        return out.read(), max(*sizes, largest)


def wait(process):
    """The exit status and resource usage of a process; nothing of its session is left behind."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return status, usage
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)  # let it stop what it started, and clear up
        process.wait(10)
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


# The jobs: run(seed) -> accuracy of the best trial


def rival_job(name, args, folder, trials, runs):
    """Run a rival of sweep_rivals.py; ImportError if its package is absent."""

    def run(seed):
        line = [sys.executable, str(ROOT / "scripts" / "sweep_rivals.py"), name, "--data", "work.npz"]
        numbers = {"trials": trials, "epochs": args.epochs, "seed": seed, "threads": args.threads}
        numbers["device"] = args.device
        line += [f"--{key}={value}" for key, value in numbers.items()]
        out, memory = measured(line, folder)
        result = json.loads(next(line for line in reversed(out.splitlines()) if line.startswith("{")))
        if "absent" in result:
            raise ImportError(result["absent"])
        return note(runs, result, memory)

    return run


def nnlab_job(args, trials, runs):
    """Run the command in an empty folder, and read what its sweep left there."""

    def run(seed):
        with tempfile.TemporaryDirectory() as folder:
            words = (f"device={args.device}", "sampler=random", f"trials={trials}", f"epochs={args.epochs}")
            words += (f"seed={seed}", *SPACE)
            _, memory = measured([sys.executable, "-m", "nnlab", "sweep", *words], folder)
            (summary,) = Path(folder).glob("outputs/sweep/*/sweep.json")
            return note(runs, nnlab_result(summary.parent, args.epochs), memory)

    return run


def nnlab_result(sweep, epochs):
    """A sweep folder in the words of the rivals."""
    with open(sweep / "trials.csv", newline="") as file:
        trials = len(list(csv.DictReader(file)))
    best = StoredRun(sweep / "best").summary["metrics"]
    seconds = json.loads((sweep / "sweep.json").read_text())["seconds"]
    accuracy = 1 - best["val_error"]["mean"]
    return {
        "loss": best["val_loss"]["mean"],
        "accuracy": accuracy,
        "epochs": trials * epochs,
        "seconds": seconds,
    }


def note(runs, result, memory):
    """Keep what a run told; its accuracy."""
    runs.results.append(result)
    runs.memory.append(memory)
    return result["accuracy"]


def has_sweep():
    """Does this checkout know the command?"""
    out, _ = measured([sys.executable, "-m", "nnlab", "--help"], None)
    return re.search(r"^\s+sweep\b", out, re.MULTILINE) is not None


def present(args, folder):
    """The jobs of those that are there: {name: job(trials, runs)}, each tried with two trials."""
    jobs = {}
    if has_sweep():
        jobs["nnlab"] = partial(nnlab_job, args)
    else:
        print("nnlab: skipped, `nnlab --help` lists no command sweep")
    for letter in args.rivals:
        name = RIVALS[letter]
        jobs[f"({letter}) {name}"] = partial(rival_job, name, args, folder)
    for name, job in list(jobs.items()):
        try:
            job(2, Runs())(0)
        except ImportError as absent:
            print(f"{name}: skipped, {absent}")
            del jobs[name]
    return jobs


# The tables


def compare(jobs, args, trials):
    """Let the jobs take turns at one size: {name: median seconds}."""
    runs = {name: Runs() for name in jobs}
    turns = {name: (job(trials, runs[name]), 1) for name, job in jobs.items()}
    times, _ = take_turns(turns, args.rounds, 0)
    print(f"\ndigits, {trials} trials of {args.epochs} epochs, whole processes, {args.rounds} round(s)")
    print_table(times, runs, trials, args.epochs)
    return {name: float(np.median(seconds)) for name, seconds in times.items()}


def print_table(times, runs, trials, epochs):
    """Time, ratios to nnlab and to (a), steady time of a trial, memory, best accuracy, and the parts."""
    bases = [np.median(times.get(base, np.nan)) for base in ("nnlab", "(a) torch")]
    print(f"{'rival':15}{'median s':>9}  {'min..max':14}{'/nnlab':>7}{'/(a)':>7}", end="")
    print(f"{'steady ms':>11}{'peak MB':>9}{'accuracy %':>12}  parts, s")
    accuracies = {name: 100 * np.mean([r["accuracy"] for r in run.results]) for name, run in runs.items()}
    for name, seconds in times.items():
        run, middle = runs[name], np.median(seconds)
        ratios = "".join(f"{middle / base:7.2f}" for base in bases)
        parts = ", ".join(f"{part} {run.part(part):.2f}" for part in run.results[0]["seconds"])
        print(f"{name:15}{middle:9.2f}  {f'{min(seconds):.2f}..{max(seconds):.2f}':14}{ratios}", end="")
        print(f"{1e3 * run.part('training') / trials:11.1f}{np.median(run.memory):9.0f}", end="")
        print(f"{accuracies[name]:12.2f}  {parts}")
    print_warnings(runs, accuracies, trials * epochs)


def print_warnings(runs, accuracies, epochs):
    """Who did other work, and Optuna's share of the sweep."""
    middle = np.median(list(accuracies.values()))
    for name, run in runs.items():
        if abs(accuracies[name] - middle) > TOLERANCE:
            print(
                f"{name}: UNEQUAL, its best trial is {accuracies[name] - middle:+.2f} points off the median"
            )
        if any(result["epochs"] != epochs for result in run.results):
            print(
                f"{name}: UNEQUAL, {run.results[0]['epochs']:g} epochs in all where {epochs} were asked for"
            )
    if "nnlab" in runs:
        share = 100 * runs["nnlab"].part("search") / runs["nnlab"].part("total")
        print(f"nnlab: Optuna's share of the sweep {share:.1f}%{'' if share < 10 else ', OVER 10%'}")


def extrapolate(known, trials):
    """The time of so many trials by the slope between the two largest sizes; 0 with fewer than two."""
    if len(known) < 2:
        return 0.0
    (n, begin), (m, end) = sorted(known.items())[-2:]
    return end + (trials - m) * (end - begin) / (m - n)


def grow(jobs, args):
    """Ever more trials; then the times side by side, those extrapolated marked with a ~."""
    known, guesses = {name: {} for name in jobs}, {}
    for trials in args.sizes:
        guess = {name: extrapolate(known[name], trials) for name in jobs}
        dear = {name for name in jobs if not args.full and guess[name] > AFFORDABLE}
        guesses |= {(name, trials): guess[name] for name in dear}
        affordable = {name: job for name, job in jobs.items() if name not in dear}
        for name, seconds in compare(affordable, args, trials).items():
            known[name][trials] = seconds
    print("\ngrowth: seconds, and their ratio to nnlab's; ~ by the slope between the two sizes before")
    print(f"{'rival':15}" + "".join(f"{f'{trials} trials':>20}" for trials in args.sizes))
    for name in jobs:
        print(f"{name:15}" + "".join(cell(known, guesses, name, trials) for trials in args.sizes))


def cell(known, guesses, name, trials):
    """One time of the growth table."""
    guess = guesses.get((name, trials))
    seconds = known[name][trials] if guess is None else guess
    base = known.get("nnlab", {}).get(trials, np.nan)
    shown, ratio = f"{'' if guess is None else '~'}{seconds:.2f}", f"({seconds / base:.1f})"
    return f"{shown:>13}{ratio:>7}"


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, help="default: 64; not for --growth, which has its own")
    parser.add_argument("--epochs", type=int, help="default: 20")
    parser.add_argument("--rounds", type=int, help="default: 3, and 1 with --growth")
    parser.add_argument("--rivals", help=f"letters of {RIVALS}; default: all, and a,c,d with --growth")
    parser.add_argument(
        "--threads", type=int, default=1, help="of torch; 1 is quickest on so small a network"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--growth", action="store_true", help="16, 64, 256 and 1024 trials")
    parser.add_argument("--full", action="store_true", help="with --growth: extrapolate nothing")
    parser.add_argument("--quick", action="store_true", help="a try: few trials of 5 epochs, one round")
    args = parser.parse_args()
    usual = "a,c,d" if args.growth else ",".join(RIVALS)
    args.rivals = (args.rivals or ("a,d" if args.device == "cuda" else usual)).split(",")
    if wrong := set(args.rivals) - set(RIVALS):
        parser.error(f"--rivals takes the letters {','.join(RIVALS)}, not {','.join(sorted(wrong))}")
    args.trials = args.trials or (8 if args.quick else 64)
    args.epochs = args.epochs or (5 if args.quick else 20)
    args.rounds = args.rounds or (1 if args.quick or args.growth else 3)
    args.sizes = (4, 8, 16) if args.quick else (16, 64, 256, 1024)
    return args


def main():
    """Try every rival, then one table, or a table for each size."""
    args = parse()
    found = {found.name.lower(): found.version for found in metadata.distributions()}
    names = ("torch", "optuna", "lightning", "scikit-learn", "jax", "ray")
    print(f"python {platform.python_version()}; {os.cpu_count()} cores;", end=" ")
    print(*(f"{name} {found.get(name, 'absent')}" for name in names), sep=", ")
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "work.npz", *digits_work(args, args.epochs).arrays)
        jobs = present(args, folder)
        grow(jobs, args) if args.growth else compare(jobs, args, args.trials)


if __name__ == "__main__":
    main()
