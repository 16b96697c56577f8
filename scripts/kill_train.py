"""Kills `nnlab train` (kill -9) at random moments, resumes it, compares it with a run that was not killed.

    python scripts/kill_train.py --kills 50

Every line of tests/killed_runs.py in turn: every stochastic feature, folds, a refit, several runs on two
processes. Prints what differs, which is to be nothing; docs/reliability.md has the result.
"""

import argparse
import random
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from killed_runs import LINES, OFTEN, differing_files, first_command, kill_and_resume  # noqa: E402
from processes import Server  # noqa: E402

KILLS_A_RUN = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    moments, hits, different, began = random.Random(args.seed), 0, 0, time.monotonic()
    short = (f"epochs={args.epochs}", "data.limit=400")
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        for name in LINES:
            server.start(*first_command(Path(folder, f"whole{[*LINES].index(name)}"), LINES[name] + short))
            assert server.wait() == 0, server.read_stderr()
        for number, name in enumerate(cycle(LINES)):
            if hits >= args.kills:
                break
            run = Path(folder, f"killed{number}")
            overrides = (*LINES[name], *short, OFTEN)
            kill_and_resume(server, run, overrides, moments, KILLS_A_RUN, life=1.5)
            hits += KILLS_A_RUN
            found = differing_files(Path(folder, f"whole{[*LINES].index(name)}"), run)
            different += len(found)
            print(f"{name}: {hits} kills so far; {', '.join(found) or 'no difference'}", flush=True)
    print(f"{hits} kills, {different} differences, {time.monotonic() - began:.0f} s")
    return min(1, different)


if __name__ == "__main__":
    sys.exit(main())
