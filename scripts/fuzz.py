"""Command lines, configuration files and folders that nobody would write: how many end in anything but a
run, or one sentence and nothing left behind?

    python scripts/fuzz.py folders --count 1000      # of sweeps, a file spoiled; resume=, refine=, plan=
    python scripts/fuzz.py words --count 2000        # command lines from the grammar, mutated
    python scripts/fuzz.py keys                      # extreme values of every key of every choice

docs/reliability.md has what it found.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import fuzzing  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("folders", "words", "keys"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    args = parser.parse_args()
    fuzzing.warm()
    end, codes, bad = time.monotonic() + args.seconds, Counter(), 0
    with tempfile.TemporaryDirectory(prefix="nnlab-fuzz-") as scratch:
        for seed, (how, outcome, said) in fuzzing.cases(args.what, Path(scratch), args.seed, args.count):
            codes[outcome.code] += 1
            if said:
                bad += 1
                print(
                    f"{args.what} {seed}: {how}\n  nnlab {' '.join(outcome.argv)[:200]}\n  {said}", flush=True
                )
            if time.monotonic() > end:
                break
    each = ", ".join(f"{count:,} with {code}" for code, count in sorted(codes.items()))
    print(f"{sum(codes.values()):,} cases ended, {each}; {bad:,} in anything but a run or a sentence")
    return min(1, bad)


if __name__ == "__main__":
    sys.exit(main())
