"""Jobs and sweeps on Ray: a real cluster, tasks that are lost, wrong addresses; studies equal local ones."""

import contextlib
import http.server
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from searches import SPACE, journal_trials, reproducible_content, sweep

from nnlab.errors import UserError
from nnlab.jobs import ray_cluster
from nnlab.jobs.ray_cluster import RayCluster
from nnlab.jobs.ray_executor import RayExecutor

TESTS = Path(__file__).parent
WORDS = (
    *SPACE[:3], "data=iris", "report=false", "epochs=9", "trials=12", "batch=6", "seeds=2", "pruner=halving",
    "sampler.startup=6",
)  # fmt: skip


class Processes:
    """Starts Python processes whose Ray has its files in a folder of its own, and finds a cluster there."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # short: the paths of sockets begin so
        others = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
        own = {"RAY_TMPDIR": str(self.folder), "RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": path}
        self.environment = others | own

    def start(self, *line, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, **variables):
        """Python with these arguments, in a session of its own, as from another terminal."""
        return subprocess.Popen(
            [sys.executable, *line], env=self.environment | variables, cwd=cwd, text=True,
            stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip

    def alive(self) -> list[str]:
        """The command lines of the processes of a cluster here."""
        lines = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"RAY_TMPDIR={self.folder}".encode() in (process / "environ").read_bytes():
                    lines.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return lines

    def close(self):
        ends = time.monotonic() + 10
        while self.alive() and time.monotonic() < ends:
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster():
    """A cluster of one node with two cores, as `ray start` begins one."""
    processes = Processes()
    program = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
    size = (
        "--num-cpus=2",
        "--num-gpus=1",
        f"--object-store-memory={80 * 2**20}",
        "--include-dashboard=false",
        "--port=0",
    )
    # Its GPU is a number: what a task sees of it is CUDA_VISIBLE_DEVICES.
    said = processes.folder / "said"
    with said.open("w") as file:
        streams = {"stdout": file, "stderr": file, "CUDA_VISIBLE_DEVICES": "0"}
        head = processes.start("-c", program, "start", "--head", "--block", *size, **streams)
    while not (processes.folder / "ray" / "ray_current_cluster").exists():
        assert head.poll() is None, said.read_text()
        time.sleep(0.05)
    yield processes
    head.terminate()
    head.wait()
    processes.close()


def test_bytes_in_and_bytes_out(cluster, tmp_path):
    """tests/ray_tasks.py is the driver; what it is told is JSON, and Ray says nothing beside it."""
    (tmp_path / "colorsys.py").write_text("raise SystemError")  # a stranger's, in the current directory
    driver = cluster.start("-P", "-W", "error", "-c", "import ray_tasks; ray_tasks.main()", cwd=tmp_path)
    out, err = driver.communicate()
    assert driver.returncode == 0 and err == "", err
    said = json.loads(out)
    assert said["slots"] == 2 and said["handler"] and said["moving"]
    assert said["outcomes"] == {"a": "data 1 and 2", "b": __import__("colorsys").__file__}
    assert said["runs"] == ["run"]
    assert said["retried"] == {"lost": "data 1"} and said["lives"] == ["run", "run"]
    assert said["after drop"] == [{"wanted": "data 1"}, []]
    assert "ZeroDivisionError: by zero" in said["raised"]
    assert said["fault"].keys() == {"m"} and said["fault"]["m"].startswith("Ray lost a job: The worker died")
    assert said["missing"].startswith("the node ") and "No module named 'elsewhere'" in said["missing"]
    assert said["cpus"] == "launcher.cpus = 3: no node of the Ray cluster has more CPUs than 2"
    assert said["gpus"] == "launcher.gpus = 2: no node of the Ray cluster has more GPUs than 1"
    assert said["gpu"] == {"g": "0"}
    assert said["room"] == "for 0 s no node of the Ray cluster has had room for a job"
    assert said["head"] == "the head of the Ray cluster, 127.0.0.1:1, does not answer any more"


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("local") / "s", *WORDS)


def test_the_study_is_the_local_one(cluster, local, tmp_path):
    """Joined by its address, which does not take the token unless it is told to."""
    address = (cluster.folder / "ray" / "ray_current_cluster").read_text().strip()
    words = (
        "sweep",
        *WORDS,
        "launcher=ray",
        f"launcher.address={address}",
        f"hydra.run.dir={tmp_path / 's'}",
    )
    driver = cluster.start("-W", "error", "-m", "nnlab", *words, cwd=tmp_path, RAY_AUTH_MODE="token")
    out, err = driver.communicate()
    assert driver.returncode == 0 and err == "", err
    assert reproducible_content(tmp_path / "s") == reproducible_content(local)
    assert "ray::" not in out and "raylet" not in out


def test_ctrl_c_ends_the_sweep_and_the_cluster_that_it_started(local, tmp_path):
    """Without a cluster one is started: the trials that are in the ledger are those of the local sweep."""
    processes, folder = Processes(), tmp_path / "s"
    long = ("trials=1000", "batch=2", "launcher=ray", f"hydra.run.dir={folder}")
    driver = processes.start("-m", "nnlab", "sweep", *WORDS, *long, cwd=tmp_path)
    while not ((folder / "study.journal").exists() and journal_trials(folder)):
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.05)
    assert any("raylet" in line for line in processes.alive())
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
    interrupted = time.monotonic()
    _, err = driver.communicate()
    assert driver.returncode == 130 and time.monotonic() - interrupted < 15
    assert "Traceback" not in err and "resume=" in err, err
    processes.close()
    assert processes.alive() == []


# ---- what needs no cluster


@pytest.mark.parametrize(
    "message, reason",
    [
        (
            "Traceback:\n x\nray.RpcError: InvalidAuthToken: incorrect\nFor more",
            "it wants a token: set RAY_AUTH",
        ),
        (
            "C raylet_ipc_client.cc:85: Failed to connect to socket at address:/tmp\n*** Trace",
            "it is not one of",
        ),
        ("Traceback:\n  line 1\nRuntimeError: Version mismatch: ...\n  Ray: 2.9", "RuntimeError: Version"),
        ("*** signal 11", r"\*\*\* signal 11"),
        (
            "W rpc_client.h:153: Failed to connect to GCS at address x within 5 seconds",
            "it does not answer as",
        ),
        (
            "W gcs_client.cc:210: Failed to get cluster ID from GCS server: Method not found",
            "it does not answ",
        ),
        ("", "it does not answer as"),
    ],
)
def test_of_what_ray_says_the_reason_is_kept(message, reason, no_ray, monkeypatch):
    program = f"import sys; sys.exit({message!r})"
    monkeypatch.setattr(ray_cluster, "TRIAL", program)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match=f"{address}: this machine cannot join it: {reason}"):
            RayCluster(address)


@pytest.fixture
def no_ray(monkeypatch):
    """Ray itself is not reached."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("ray.init was called"))


@pytest.mark.parametrize("address", ["here", "ray://here:10001", "a:b", "a b:6379", ":6379", "x:123456"])
def test_an_address_is_host_and_port(address, no_ray, monkeypatch):
    with pytest.raises(UserError, match=r"launcher.address = .*: expected HOST:PORT of a Ray cluster"):
        RayCluster(address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=r"RAY_ADDRESS = .*: expected HOST:PORT of a Ray cluster"):
        RayCluster()


def test_where_nobody_answers_there_is_no_cluster(no_ray):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UserError, match=f"launcher.address = {address}: no Ray cluster .*: Connection"):
            RayCluster(address)
    with pytest.raises(UserError, match="nowhere.invalid:1: no Ray cluster answers there"):
        RayCluster("nowhere.invalid:1")


def test_what_is_not_ray_is_not_taken_for_it(no_ray, monkeypatch):
    monkeypatch.setattr(ray_cluster, "TRIAL_SECONDS", 0.2)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(UserError, match="it does not answer as the head of a Ray cluster"):
            RayCluster(f"127.0.0.1:{server.server_port}")
        server.shutdown()


def test_a_cluster_of_this_machine_lives_and_is_this_user_s(tmp_path, monkeypatch):
    import ray

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert not ray_cluster._is_begun_here(ray)
    file = tmp_path / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        file.write_text(f"127.0.0.1:{server.getsockname()[1]}")
        assert ray_cluster._is_begun_here(ray)
        if os.getuid() == 0:
            os.chown(file, 12345, -1)
        else:
            monkeypatch.setattr("os.getuid", lambda: 12345)
        assert not ray_cluster._is_begun_here(ray)
    monkeypatch.undo()
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    file.unlink()
    file.write_text("127.0.0.1:1")  # of one that has ended
    assert not ray_cluster._is_begun_here(ray)


def test_without_ray_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"launcher=ray needs Ray: pip install 'nnlab\[ray\]'"):
        ray_cluster.import_ray()


def test_a_job_needs_a_share_of_something():
    with pytest.raises(UserError, match="launcher.cpus = 0: "):
        RayExecutor(cpus=0)
