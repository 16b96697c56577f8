"""What 10,000 trials cost the driver of a sweep, where training takes no time. docs/scale.md has tables.

    python scripts/simulate_scale.py samplers                     # asking and telling, as the study grows
    python scripts/simulate_scale.py driver --trials 10000        # a whole `nnlab sweep`: each part's share
    python scripts/simulate_scale.py driver sampler=tpe pruner=halving --trials 2000
    python scripts/simulate_scale.py driver launcher=folder launcher.stacks=128      # by jobs of one trial
    python scripts/simulate_scale.py queue folder                 # the queue of 1,000 workers of 10 s a job
    python scripts/simulate_scale.py queue ray

Everything is as in `nnlab sweep` but the training: a trial's losses are those of a function of its learning
rate. Seconds are of the processor, so that a busy machine changes them little; each part is without the parts
that it calls.
"""

import _thread
import argparse
import contextlib
import functools
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from nnlab import cli
from nnlab.jobs.executor import Finished
from nnlab.jobs.job import Job
from nnlab.jobs.outcome import Outcome
from nnlab.search.domains import Choice, Interval
from nnlab.search.samplers import SAMPLERS
from nnlab.search.space import Space
from nnlab.search.study import Chooser
from nnlab.search.trial import COMPLETE, Trial
from nnlab.training.results import Record

SPACE = Space(
    {
        "lr": Interval(1e-4, 1e-1, log=True), "l2": Interval(1e-6, 1e-2, log=True),
        "dropout": Interval(0.0, 0.6), "hidden": Choice((16, 32, 64, 128)),
    }
)  # fmt: skip
WORDS = (
    "data=iris", "epochs=10", "refit=false", "model.hidden=choice([8],[16])",
    "optimizer.lr=tag(log,interval(1e-4,1e-1))", "regularizer.l2=tag(log,interval(1e-6,1e-2))",
    "regularizer.dropout=interval(0,0.6)",
)  # fmt: skip
LONGEST = 300  # seconds of the processor that a sampler is watched


class Stopwatch:
    """Seconds of the processor and calls of each part, without the parts that it calls."""

    def __init__(self):
        self.seconds, self.calls = defaultdict(float), defaultdict(int)
        self._parts, self._since = ["the rest"], time.process_time()

    def _charge(self) -> None:
        now = time.process_time()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    @contextlib.contextmanager
    def part(self, name: str):
        self._charge()
        self._parts.append(name)
        try:
            yield
        finally:
            self._charge()
            self._parts.pop()
            self.calls[name] += 1

    def watch(self, owner, method: str, name: str) -> None:
        """Count a function of a class or module as a part, from now on."""
        original = getattr(owner, method)

        @functools.wraps(original)
        def watched(*args, **options):
            with self.part(name):
                return original(*args, **options)

        setattr(owner, method, watched)

    def table(self, per: int, of: str) -> None:
        self._charge()
        total = sum(self.seconds.values())
        print(f"\n{'part':38}{'seconds':>9}{'share':>8}{f'ms a {of}':>13}{'calls':>9}")
        for name, seconds in sorted(self.seconds.items(), key=lambda item: -item[1]):
            numbers = f"{seconds:9.2f}{seconds / total:8.1%}{1e3 * seconds / per:13.3f}"
            print(f"{name:38}{numbers}{self.calls[name] or '':>9}")
        print(f"{'all':38}{total:9.2f}{1:8.0%}{1e3 * total / per:13.3f}")


# ---- samplers


def worth(lr: float, **_) -> float:
    """The loss of a trial: a bowl around a learning rate of 0.01."""
    return (np.log10(lr) + 2) ** 2 + 1e-3


def follow(name: str, count: int) -> None:
    """Ask and tell so many trials; a line whenever their number has doubled."""
    sampler = SAMPLERS[name](**({"points": 14} if name == "grid" else {}))
    chooser, batch, began, shown = Chooser(SPACE, sampler, (1,)), sampler.batch or 128, time.process_time(), 0
    for start in range(0, count, batch):
        numbers, times = range(start, min(start + batch, count)), [time.process_time()]
        chosen = {number: chooser.ask(number) for number in numbers}
        times.append(time.process_time())
        losses = {number: worth(**params) for number, params in chosen.items()}
        chooser.tell(*(Trial(n, chosen[n], COMPLETE, (loss,), (None,), 1, 1) for n, loss in losses.items()))
        times.append(time.process_time())
        done = start + len(numbers)
        if done >= max(2 * shown, 125) or done == count:
            shown = done
            ask, tell = (1e3 * seconds / len(numbers) for seconds in np.diff(times))
            print(
                f"{name:8}{done:8}{ask:11.2f}{tell:11.3f}{times[-1] - began:11.1f}{memory():8.0f}", flush=True
            )
        if times[-1] - began > LONGEST:
            return


def memory() -> float:
    """The most that this process held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def samplers(args) -> None:
    print(f"{'sampler':8}{'trials':>8}{'ask, ms':>11}{'tell, ms':>11}{'total, s':>11}{'MB':>8}")
    for name in args.words or SAMPLERS:
        child = os.fork()  # so that memory is its own
        if not child:
            follow(name, args.trials)
            os._exit(0)
        os.waitpid(child, 0)


# ---- a whole sweep


def train_in_no_time(batch):
    """What iterating over a `TrialBatch` does, with losses of a function of the learning rate."""
    stacks = batch.fit.stacks()
    for epoch in range(1, batch.epochs + 1):
        for rows in stacks:
            if rows := [row for row in rows if row.number not in batch.ended_rows]:
                record = record_in_no_time(
                    epoch,
                    [row.number for row in rows],
                    [row.experiment.optimizer.lr for row in rows],
                    batch.epochs,
                )
                batch._record_epoch(record)
                yield record
        if epoch in batch.rungs:
            batch.ended_rows |= {*batch._rows_to_prune(epoch)}


def record_in_no_time(epoch: int, numbers: list[int], rates: list[float], epochs: int) -> Record:
    rates, count = np.array(rates), len(numbers)
    metrics = dict.fromkeys(("train_loss", "val_loss", "train_error", "val_error"), worth(rates) / epoch)
    ended = dict.fromkeys(numbers, "finished") if epoch == epochs else {}
    return Record(epoch, np.array(numbers), metrics | {"lr": rates}, np.ones(count, bool), ended)


class InstantExecutor:
    """Has as many workers as one likes, who need no time: what is left is the driver's side of jobs."""

    def __init__(self, watch: Stopwatch, slots: int):
        self.watch, self.seconds, self._finished = watch, {"moving": 0.0}, []
        self.slots = lambda: slots

    def submit(self, name: str, job: bytes, data) -> None:
        with self.watch.part("(simulated workers)"):
            self._finished.append(Finished(name, outcome_in_no_time(job)))

    def collect(self, seconds: float) -> list[Finished]:
        finished, self._finished = self._finished, []
        return finished

    def put_data(self, key: str, content: bytes) -> None: ...
    def drop(self, names) -> None: ...
    def close(self) -> None: ...


def outcome_in_no_time(content: bytes) -> bytes:
    """That of a job of trials of one row each, without rungs."""
    job = Job.from_bytes(content)
    rate_of = dict(zip(job.first_rows, (e.optimizer.lr for e in job.experiments), strict=True))
    rows, rates, epochs = [*job.rows], [rate_of[row] for row in job.rows], job.experiments[0].epochs
    records = tuple(record_in_no_time(epoch, rows, rates, epochs) for epoch in range(1, epochs + 1))
    return Outcome(records, seconds=1.0, worker="simulated").to_bytes()


def watch_sweep(watch: Stopwatch, jobs: bool) -> None:
    """Count the parts of a sweep."""
    from nnlab.commands import sweep_command
    from nnlab.records.sweep_console import SweepConsole
    from nnlab.records.sweep_folder import SweepFolder
    from nnlab.records.sweep_tensorboard import SweepTensorBoard
    from nnlab.report.renderer import ReportRenderer
    from nnlab.search.batch_training import TrialBatch
    from nnlab.search.candidates import CandidateMaker
    from nnlab.search.ledger import Ledger

    if not jobs:
        TrialBatch.__iter__ = train_in_no_time
    for owner, method, name in (
        (sweep_command, "prepare_sweep", "preparing"), (sweep_command, "train_winner", "training the winner"),
        (Chooser, "ask", "asking the sampler"), (Chooser, "tell", "telling it"),
        (CandidateMaker, "make", "making experiments"), (TrialBatch, "__init__", "stacking rows"),
        (TrialBatch, "_pruner_decisions", "pruning"), (TrialBatch, "_record_epoch", "records"),
        (TrialBatch, "finished_trials", "results of trials"), (Ledger, "append", "the ledger, with fsync"),
        (SweepFolder, "append_curves", "curves.jsonl"), (SweepFolder, "append_trials", "trials.csv"),
        (SweepConsole, "trials_finished", "the screen"), (SweepConsole, "record", "the screen"),
        (SweepTensorBoard, "trials_finished", "TensorBoard"), (SweepTensorBoard, "close", "TensorBoard"),
        (ReportRenderer, "result", "waiting for the report"),
    ):  # fmt: skip
        watch.watch(owner, method, name)


def watch_jobs(watch: Stopwatch, slots: int) -> None:
    """Count the parts of jobs too; so many of them may run at once."""
    from nnlab.jobs import opening
    from nnlab.jobs.dispatcher import Dispatcher
    from nnlab.jobs.stack_jobs import StackJobs

    opening.open_executor = lambda *args: InstantExecutor(watch, slots)
    watch.watch(Job, "to_bytes", "jobs to bytes")
    watch.watch(Dispatcher, "_take", "outcomes from bytes")
    watch.watch(Dispatcher, "submit", "submitting jobs")
    watch.watch(Dispatcher, "_collect", "collecting outcomes")
    watch.watch(StackJobs, "__init__", "dividing into jobs")


def driver(args) -> None:
    watch, began = Stopwatch(), time.monotonic()
    jobs = any(word.startswith("launcher=") for word in args.words)
    watch_sweep(watch, jobs)
    if jobs:
        watch_jobs(watch, args.workers)
    with tempfile.TemporaryDirectory() as folder:
        words = (*WORDS, *args.words, f"trials={args.trials}", f"hydra.run.dir={folder}/sweep")
        sys.argv = ["nnlab", "sweep", *words]
        with contextlib.suppress(SystemExit):
            cli.main(["sweep", *words])
        sizes = {path.name: path.stat().st_size for path in Path(folder, "sweep").iterdir() if path.is_file()}
    watch.table(args.trials, "trial")
    print(f"{time.monotonic() - began:.1f} s by the clock, at most {memory():.0f} MB")
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:4]:
        print(f"{name}: {size / 2**20:.1f} MB, {size / args.trials:.0f} bytes a trial")


# ---- queues


def queue(args) -> None:
    """The driver's side of an executor alone: bytes of the usual size, submitted, collected and dropped."""
    start = EXECUTORS[args.words[0]]
    with tempfile.TemporaryDirectory(dir=args.folder) as folder, start(args, folder) as executor:
        watch = Stopwatch()
        for method in ("put_data", "submit", "collect", "drop", "slots", "close"):
            watch.watch(type(executor), method, method)
        seconds = drive(executor, args)
        watch.table(args.jobs, "job")
    speed, busy = args.jobs / seconds, args.jobs * args.seconds / (args.workers * seconds)
    print(f"{args.jobs} jobs in {seconds:.1f} s: {speed:.0f} a second, workers {busy:.0%} busy")


def drive(executor, args) -> float:
    """Have all jobs done, in order, twice as many submitted as can run; seconds by the clock."""
    executor.put_data("data", os.urandom(args.data))
    began, submitted, told, finished = time.monotonic(), 0, 0, set()
    while told < args.jobs:
        while submitted < min(args.jobs, told + 2 * args.workers):
            executor.submit(f"{submitted:06}-00-0-abcdef", os.urandom(args.job), ["data"])
            submitted += 1
        finished |= {outcome.name for outcome in executor.collect(1.0)}
        while (name := f"{told:06}-00-0-abcdef") in finished:
            finished.remove(name)
            executor.drop([name])
            told += 1
    seconds = time.monotonic() - began
    executor.close()
    return seconds


@contextlib.contextmanager
def folder_executor(args, folder: str):
    """The queue in a folder, and processes that simulate its machines."""
    from simulated_workers import count_operations, simulate

    from nnlab.jobs.folder_executor import FolderExecutor

    share = args.workers // args.each // args.simulators
    with multiprocessing.get_context("spawn").Pool(args.simulators) as pool:
        numbers = (share, args.each, args.lease, args.seconds)
        asked = [
            pool.apply_async(simulate, (Path(folder), *numbers, args.outcome, seed), error_callback=give_up)
            for seed in range(args.simulators)
        ]
        counts = count_operations()
        executor = FolderExecutor(Path(folder), args.lease)
        while executor.slots() < args.workers // args.each * args.each:  # until they have all been heard
            time.sleep(0.1)
        counts.clear()
        yield executor
        print("the driver asked of the file system", per_job(counts, args.jobs))
        workers = sum((each.get()[0] for each in asked), Counter())
        print("all workers together               ", per_job(workers, args.jobs))


def give_up(error: BaseException) -> None:
    """A simulator has failed: without workers the driver would wait for ever."""
    print(repr(error), file=sys.stderr)
    _thread.interrupt_main()


def per_job(counts: Counter, jobs: int) -> str:
    return ", ".join(f"{name} {count / jobs:.2f}" for name, count in sorted(counts.items())) + " a job"


@contextlib.contextmanager
def ray_executor(args, folder: str):
    """Ray with tasks that answer at once, as many of them in flight as for so many workers: here are not as
    many processes."""
    from nnlab.jobs.ray_executor import RayExecutor

    size = args.outcome
    executor = RayExecutor(run=lambda job, references, threads: bytes(size))
    print(f"{executor.slots()} tasks run at once")
    yield executor


EXECUTORS = {"folder": folder_executor, "ray": ray_executor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("samplers", "driver", "queue"))
    parser.add_argument("words", nargs="*", help="samplers; words of `nnlab sweep`")
    parser.add_argument("--trials", type=int, default=10_000)
    group = parser.add_argument_group("queue")
    group.add_argument("--jobs", type=int, default=10_000)
    group.add_argument("--workers", type=int, default=1000, help="processes of all machines")
    group.add_argument("--each", type=int, default=16, help="processes of a machine")
    group.add_argument("--seconds", type=float, default=10.0, help="that a job lasts")
    group.add_argument("--lease", type=float, default=10.0)
    group.add_argument("--simulators", type=int, default=1, help="processes that simulate the workers")
    group.add_argument("--folder", default=None, help="where the queue is, on the file system to be tried")
    for name, size in (("data", 100_000), ("job", 4000), ("outcome", 4000)):
        group.add_argument(f"--{name}", type=int, default=size, help="bytes")
    args = parser.parse_args()
    globals()[args.what](args)


if __name__ == "__main__":
    main()
