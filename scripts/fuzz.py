"""Fuzz test: how many random files and command lines end in anything but a value or a one-sentence error?

    python scripts/fuzz.py readers --count 100000    # mutated files, by all that reads files of strangers
    python scripts/fuzz.py csv run --count 5000      # by some of it: tests/fuzz_readers.py lists the names
    python scripts/fuzz.py folders --count 1000      # of sweeps, a file mutated; resume=, refine=, plan=
    python scripts/fuzz.py words --count 2000        # command lines from the grammar, mutated
    python scripts/fuzz.py keys                      # extreme values of every key of every choice

The number of a case is its seed: `csv --seed 17 --count 1` repeats one. With `--keep FOLDER` the input of
every fault stays there. docs/reliability.md has what was found.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import fuzz_guard  # noqa: E402
import fuzz_readers  # noqa: E402
import fuzzing  # noqa: E402

SHARES = {"plan": 0.01, "config": 0.03, "yaml": 0.2}  # of --count: what takes longer has fewer cases


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "what", nargs="+", choices=("readers", *fuzz_readers.READERS, *fuzzing.KINDS), metavar="WHAT"
    )
    parser.add_argument("--count", type=int, default=1000, help="cases of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each kind")
    parser.add_argument("--keep", type=Path, help="where inputs of faults stay")
    args = parser.parse_args()
    fuzzing.warm()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="nnlab-fuzz-") as scratch:
        for kind in args.what:
            if kind in fuzzing.KINDS:
                bad += fuzz_commands(kind, Path(scratch), args)
        names = [*fuzz_readers.READERS] if "readers" in args.what else args.what
        for name in names:
            if name in fuzz_readers.READERS:
                bad += fuzz_reader(name, Path(scratch), args, "readers" in args.what)
    return min(1, bad)


def fuzz_reader(name: str, scratch: Path, args, one_of_all: bool) -> int:
    """Print what came of a reader's cases; how many were faults."""
    reader = fuzz_readers.reader(name)
    count = max(1, round(args.count * SHARES.get(name, 1))) if one_of_all else args.count
    begin, cases, values, refusals, slowest, bad = time.monotonic(), 0, 0, 0, 0.0, 0
    for case in fuzz_guard.run(reader, range(args.seed, args.seed + count), scratch):
        cases, values, refusals = cases + 1, values + case.values, refusals + case.refusals
        slowest = max(slowest, case.seconds)
        if case.fault:
            bad += 1
            print(f"{name} {case.seed}: {case.fault}", flush=True)
            if args.keep:
                fuzz_guard.make_input(reader, case.seed, args.keep / f"{name}-{case.seed}")
        if time.monotonic() > begin + args.seconds:
            break
    print(
        f"{name}: {cases:,} cases, {values:,} calls gave a value and {refusals:,} a sentence, "
        f"{bad:,} faults; {time.monotonic() - begin:.0f} s, the slowest case {slowest:.1f} s",
        flush=True,
    )
    return bad


def fuzz_commands(kind: str, scratch: Path, args) -> int:
    """The same of a kind of command lines."""
    end, codes, bad = time.monotonic() + args.seconds, Counter(), 0
    for seed, (how, outcome, said) in fuzzing.cases(kind, scratch, args.seed, args.count):
        codes[outcome.code] += 1
        if said:
            bad += 1
            line = " ".join(outcome.argv)
            print(f"{kind} {seed}: {how}\n  nnlab {line[:200]}\n  {said}", flush=True)
        if time.monotonic() > end:
            break
    each = ", ".join(f"{count:,} with {code}" for code, count in sorted(codes.items()))
    print(f"{kind}: {sum(codes.values()):,} cases ended, {each}; {bad:,} in anything but a run or a sentence")
    return bad


if __name__ == "__main__":
    sys.exit(main())
