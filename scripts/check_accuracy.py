"""How often `nnlab check` is right: planted faults that it finds and names, and alarms over healthy jobs.

    python scripts/check_accuracy.py [--seeds 1,2] [--no-healthy] [--no-faults] [--only lr_high]

Faults and healthy jobs are those of tests/check_cases.py and tests/check_table.txt. Every healthy combination
takes its turn on one of the data sets, another one with each seed; and a few jobs are added on tables that
look faulty to a hasty check: imbalanced, weakly predictable, discrete, small. A fault counts as found if a
rung warns or fails and names it (and the box or column, where there is one); a healthy job is an alarm if any
rung does not pass. The thresholds were chosen for reasons that stand beside them and tried on seeds 0 to 6.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from check_cases import faults  # noqa: E402
from check_jobs import HASTY, combinations, drawn  # noqa: E402

from nnlab.checks.ladder import RUNGS, climb  # noqa: E402
from nnlab.checks.subject import Subject  # noqa: E402

HEALTHY_ON = ("digits 600", "wine", "breast_cancer", "iris", "moons", "diabetes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--only", default="", help="of the faults, those whose name begins so")
    parser.add_argument("--no-healthy", action="store_true")
    parser.add_argument("--no-faults", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = [int(seed) for seed in args.seeds.split(",")]
    if not args.no_faults:
        detection(seeds, args.only)
    if not args.no_healthy:
        false_alarms(seeds)


def detection(seeds, prefix):
    total, found = Counter(), Counter()
    for seed in seeds:
        for fault in faults(seed):
            if not fault.name.startswith(prefix):
                continue
            with fault.patch():
                verdicts = list(climb(Subject(fault.experiment), list(fault.rungs)))
            kind = "box, loss or graph" if fault.rungs == ("gradients",) else fault.name.partition(":")[0]
            total[kind] += 1
            found[kind] += fault.found(verdicts)
            if not fault.found(verdicts):
                said = [f"{v.rung}: {f.status} {f.cause} {f.found}" for v in verdicts for f in v.findings]
                print(f"  missed (seed {seed}) {fault.name}", *said, sep="\n      ", flush=True)
    for kind in total:
        print(f"  {kind:38}{found[kind]:4} of {total[kind]}", flush=True)
    share = sum(found.values()) / max(sum(total.values()), 1)
    print(f"found and named: {sum(found.values())} of {sum(total.values())} planted faults, {share:.1%}")


def false_alarms(seeds):
    healthy, alarms, fails, began = 0, 0, 0, time.perf_counter()
    for seed in seeds:
        for name, experiment in healthy_jobs(seed):
            verdicts = list(climb(Subject(experiment), list(RUNGS)))
            wrong = [v for v in verdicts if v.status != "pass"]
            healthy, alarms = healthy + 1, alarms + bool(wrong)
            fails += any(v.status == "fail" for v in wrong)
            for v in wrong:
                said = f"{v.rung} {v.status} {v.worst.cause}: {v.worst.found}"
                print(f"  alarm (seed {seed}) {name}: {said}", flush=True)
    seconds = (time.perf_counter() - began) / max(healthy, 1)
    print(
        f"false alarms: {alarms} of {healthy} healthy jobs, {alarms / healthy:.1%} ({fails} with a failure)"
    )
    print(f"{seconds:.1f} s a job")


def healthy_jobs(seed):
    """Names and experiments: the table, and the tables that look faulty."""
    for n, combination in enumerate(c for c in combinations() if c.mark == "+"):
        data = _data(combination, n + seed)
        yield f"{combination}, {data}", combination.experiment(data, seed)
    for kind in HASTY:
        for activation in ("relu", "tanh", "gelu"):
            yield f"{activation}, {kind}", drawn(kind, activation, seed)


def _data(combination, n: int) -> str:
    """The data set whose turn it is, among those that go with the model."""
    choices = [d for d in HEALTHY_ON if not (combination.model.name == "logistic" and d == "diabetes")]
    return choices[n % len(choices)]


if __name__ == "__main__":
    main()
