"""What does a job cost beside its training: to make, to send, to read, and its outcome likewise?

    python scripts/bench_jobs.py                  # trials on digits: 1, 16 and 128 in a batch
    python scripts/bench_jobs.py --epochs 10 --repeats 9

Everything is timed in this process, the same batch of trials once by `Fit` and once as jobs, in turn; the
median of the repeats counts. The data are sent once for a worker, everything else once for a stack. A rung
sends the state of the stack out and back.
"""

import argparse
import os
import statistics
import time
from collections import defaultdict
from dataclasses import replace

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy comes

import nnlab
from nnlab.jobs.data_file import data_file, from_bytes
from nnlab.jobs.job import Job
from nnlab.jobs.outcome import Outcome
from nnlab.jobs.running import run
from nnlab.training.fit import Fit


class Stopwatch:
    """Seconds of activities, by their names, one entry for each repeat."""

    def __init__(self):
        self.seconds = defaultdict(list)

    def time(self, name: str, call, *args):
        start = time.perf_counter()
        value = call(*args)
        self.seconds[name].append(time.perf_counter() - start)
        return value

    def milliseconds(self, name: str, per: int = 1) -> float:
        return 1e3 * statistics.median(self.seconds[name]) / per


def trials(count: int, epochs: int) -> list[nnlab.Experiment]:
    rates = [10 ** (-4 + 3 * k / count) for k in range(count)]
    return [nnlab.Experiment(optimizer=nnlab.Adam(lr=lr), epochs=epochs, threads=1) for lr in rates]


def measure(count: int, epochs: int, repeats: int) -> None:
    watch, experiments = Stopwatch(), trials(count, epochs)
    fit = Fit(experiments, candidates=True)
    stacks, dataset = fit.stacks(), fit.datasets[fit.experiments[0].data]
    for _ in range(repeats):
        key, data = watch.time("data made", data_file, dataset)
        watch.time("data read", from_bytes, data, key)
        watch.time("here", Fit(experiments, fit.cache, candidates=True).run)
        for rung in (None, epochs // 2):
            at = "" if rung is None else " at a rung"
            for stack in stacks:
                job = watch.time("job taken" + at, Job.of_stack, fit, stack, key)
                job = replace(job, until=rung)
                content = watch.time("job made" + at, job.to_bytes)
                watch.time("job read" + at, Job.from_bytes, content)
                answer = watch.time("trained" + at, run, content, lambda key, data=data: data)
                outcome = watch.time("outcome read" + at, Outcome.from_bytes, answer)
                watch.time("outcome made" + at, outcome.to_bytes)
                watch.time("outcome judged" + at, outcome.refuse_other_job, job)
                if rung:
                    following = replace(job, until=None, state=outcome.state)
                    content = watch.time("next job made", following.to_bytes)
                    watch.time("next job read", Job.from_bytes, content)
                sizes = len(content), len(answer), len(data)
                if rung is None:
                    whole = sizes
    rows, n = len(fit.rows), len(stacks)
    here = watch.milliseconds("here") / n
    print(f"\n{count} trials of {epochs} epochs on digits: {n} stacks of {rows // n} rows")
    print(f"  data, once          {len(data):>9,} bytes, {watch.milliseconds('data made'):.1f} ms made, "
          f"{watch.milliseconds('data read'):.1f} ms read")  # fmt: skip
    names = ("job taken", "job made", "job read", "outcome made", "outcome read", "outcome judged")
    parts = {name: watch.milliseconds(name) for name in names}
    print(f"  job                 {whole[0]:>9,} bytes")
    print(f"  outcome             {whole[1]:>9,} bytes")
    print("  " + ", ".join(f"{name} {ms:.2f}" for name, ms in parts.items()) + " ms a stack")
    print(f"  training here {here:.0f} ms a stack, by `run` {watch.milliseconds('trained'):.0f} ms: "
          f"{watch.milliseconds('trained') / here:.3f} times as long")  # fmt: skip
    print(f"  all but training: {sum(parts.values()):.1f} ms, {sum(parts.values()) / here:.2%} of it")
    between = ("outcome made at a rung", "outcome read at a rung", "next job made", "next job read")
    extra = sum(watch.milliseconds(name) for name in between)
    print(f"  a rung: {sizes[1]:,} bytes there and {sizes[0]:,} back, {extra:.1f} ms, {extra / here:.2%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 16, 128])
    args = parser.parse_args()
    for count in args.trials:
        measure(count, args.epochs, args.repeats)


if __name__ == "__main__":
    main()
