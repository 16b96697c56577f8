"""A real Ray cluster of several nodes on this machine: a node, then the driver, are killed in a sweep.

    python scripts/ray_cluster.py

Each node is a raylet of its own, with its own object store and workers. Three sweeps on them, each of which
is to be the study of `launcher=local`, file by file: undisturbed; with a node killed (kill -9); with the
driver killed and resumed on another number of nodes. Prints what differs, which is to be nothing;
docs/launchers.md has the result.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from ray.cluster_utils import Cluster  # noqa: E402
from searches import SPACE, journal_trials, reproducible_content  # noqa: E402

STORE_BYTES = 80 * 2**20  # the smallest that Ray takes
ROOT = Path(__file__).parent.parent


class Nodes:
    """A cluster of so many nodes, one core each. The first has the head, to which drivers connect."""

    def __init__(self, number: int):
        node = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "env_vars": {"PYTHONPATH": str(ROOT)}}
        self.cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        self.others = [self.cluster.add_node(**node) for _ in range(number - 1)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cluster.shutdown()

    def kill_one(self) -> None:
        """kill -9 of a raylet. Its workers end when they see that it is gone."""
        (raylet,) = self.others.pop().all_processes["raylet"]
        raylet.process.kill()


class Driver:
    """`nnlab sweep` as a process of its own."""

    def __init__(self, folder: Path, *overrides: str):
        self.folder = folder
        line = [sys.executable, "-m", "nnlab", "sweep", *overrides]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.began = time.monotonic()
        self.process = subprocess.Popen(line, cwd=folder.parent, env=environment, **pipes)

    def wait_for_trials(self, number: int) -> None:
        """Until the ledger has so many."""
        while self.process.poll() is None and len(self._trials()) < number:
            time.sleep(0.05)

    def _trials(self) -> list:
        return journal_trials(self.folder) if (self.folder / "study.journal").exists() else []

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> float:
        """Wait for its end, which must be a good one; how many seconds it took."""
        output, _ = self.process.communicate()
        if self.process.returncode:
            raise SystemExit(f"exit code {self.process.returncode}:\n{output}")
        foreign = [line for line in output.splitlines() if "ray" in line.lower() and "launcher" not in line]
        for line in foreign:
            print(f"    said by Ray: {line}")
        return time.monotonic() - self.began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--pruner", default="halving")
    args = parser.parse_args()
    words = (
        *SPACE, "data=digits", "report=false", f"epochs={args.epochs}", f"trials={args.trials}",
        "batch=12", f"pruner={args.pruner}", "sampler.startup=12",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        return _kill_and_compare(Path(folder), words, args)


def _kill_and_compare(folder: Path, words: tuple[str, ...], args) -> int:
    different = 0
    local = Driver(folder / "local", *words, f"hydra.run.dir={folder / 'local'}")
    print(f"launcher=local: {local.end():.0f} s", flush=True)
    expected = reproducible_content(folder / "local")

    def compare(name: str, seconds: float) -> None:
        nonlocal different
        content = reproducible_content(folder / name)
        differing = [key for key in expected if content[key] != expected[key]]
        different += len(differing)
        print(f"{name}: {seconds:.0f} s; differs from local: {', '.join(differing) or 'nothing'}", flush=True)

    def on_ray(name: str, nodes: Nodes, *overrides: str) -> Driver:
        where = (f"hydra.run.dir={folder / name}",) if overrides == words else ()
        return Driver(
            folder / name, *overrides, *where, "launcher=ray", f"launcher.address={nodes.cluster.address}"
        )

    with Nodes(args.nodes) as nodes:
        compare("undisturbed", on_ray("undisturbed", nodes, *words).end())
        driver = on_ray("node killed", nodes, *words)
        driver.wait_for_trials(12)
        time.sleep(1)  # into the next batch
        nodes.kill_one()
        compare("node killed", driver.end())
        driver = on_ray("driver killed", nodes, *words)
        driver.wait_for_trials(12)
        time.sleep(1)
        driver.kill()
        print(f"driver killed: with {len(driver._trials())} trials in its ledger", flush=True)
    with Nodes(args.nodes - 1) as nodes:
        resumed = on_ray("driver killed", nodes, f"resume={folder / 'driver killed'}")
        compare("driver killed", resumed.end())
    print(f"{different} differences")
    return min(1, different)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    sys.exit(main())
