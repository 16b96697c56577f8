"""Kills and stops the driver and the workers of `nnlab sweep launcher=folder` at random moments.

    python scripts/kill_launchers.py --times 200

kill -9 of the driver, which then goes on by the next launcher: folder, local, folder without training
itself. kill -9 of a worker, `nnlab work`, with its children or without. Either is stopped (SIGSTOP) for half
a lease to three, so that its jobs are given to others. Each sweep is compared with one of launcher=local that
was left alone: trials.csv, curves, the study, the winner. Prints what differs, which is to be nothing;
docs/reliability.md has the result.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from killed_launchers import LINES, KilledSweep, differences  # noqa: E402
from processes import Server  # noqa: E402

TIMES_A_SWEEP = 6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50, help="how often somebody is killed or stopped")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--life", type=float, default=1.0, help="seconds between two, at most")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    moments, did, different, began = random.Random(args.seed), Counter(), 0, time.monotonic()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = []
        for name in ("driver", *(f"worker{n}" for n in range(args.workers))):
            (root / name).mkdir()
            servers.append(stack.enter_context(Server(root / name)))
        driver, *workers = servers
        for name, overrides in LINES.items():
            driver.start("sweep", *overrides, f"hydra.run.dir={root / 'whole' / name}")
            assert driver.wait() == 0, driver.read_stderr()
        for number, name in enumerate(cycle(LINES)):
            if did.total() >= args.times:
                break
            folder = root / f"killed{number}" / name
            did += KilledSweep(driver, workers, folder, LINES[name], moments).suffer(TIMES_A_SWEEP, args.life)
            found = differences(folder, root / "whole" / name)
            different += len(found)
            print(f"{name}: {did.total()} times so far; {', '.join(found) or 'no difference'}", flush=True)
    counts = ", ".join(f"{what} {count} times" for what, count in sorted(did.items()))
    print(f"{counts}; {different} differences, {time.monotonic() - began:.0f} s")
    return min(1, different)


if __name__ == "__main__":
    sys.exit(main())
