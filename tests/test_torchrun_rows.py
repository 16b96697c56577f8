"""nnlab train in several processes gives the files of one; whatever happens to one of them is said once."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from killed_runs import OFTEN, differing_files
from rank_processes import run_ranks

import nnlab.commands.resumed_train
import nnlab.commands.train_command
import nnlab.training.rank_follower  # noqa: F401 - imported before the forks
from nnlab import UserError, cli
from nnlab.runtime import devices

KILLED = None  # what `run_ranks` has of a rank that was killed


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def on_ranks(size: int, *argv, kill: int | None = None) -> SimpleNamespace:
    """`nnlab argv...` in so many processes, one of which may be killed in the middle of training: their exit
    codes, and what each has printed."""
    Path("said").mkdir(exist_ok=True)
    codes = run_ranks(size, command, argv, kill)
    out, err = ([Path(f"said/{name}{rank}").read_text() for rank in range(size)] for name in ("out", "err"))
    shutil.rmtree("said")
    return SimpleNamespace(codes=codes, out=out, err=err)


def command(argv, kill) -> int:
    rank = int(os.environ["RANK"])
    sys.stdout, sys.stderr = (open(f"said/{name}{rank}", "w", buffering=1) for name in ("out", "err"))
    if rank == kill:
        threading.Thread(
            target=kill_in_the_middle, args=[Path(argv[-1].partition("=")[2])], daemon=True
        ).start()
    return cli.main([*map(str, argv)])


def kill_in_the_middle(folder: Path) -> None:
    """Kill this process once the run in the folder has a checkpoint of some epochs."""
    while not (folder / "checkpoint.safetensors").exists() or epochs_in(folder) < 3:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def epochs_in(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["epoch"]
    return 0


def timeless(screen: str) -> str:
    return re.sub(r" *\d[\d.]* (ms|s|min)$", "", screen, flags=re.MULTILINE).replace("runs/two", "runs/one")


SMALL = ("epochs=4", "data=moons", "data.n=120", "batch_size=20")
RUNS = {
    # 3 rows on 2 ranks; the refit is another pass.
    "folds, refit": (
        2, "train", *SMALL, "split=kfold", "split.k=3", "refit=true", "schedule=halve_and_go_back",
        "optimizer=momentum", "optimizer.lr=0.5", "regularizer=[l2,dropout]", "show=[curves]", "picture=true",
    ),
    # 4 rows of two networks, some of which stop early.
    "several runs": (
        3, "train", "-m", *SMALL, "model.hidden=[8],[4,4]", "seeds=2", "stopping=patience",
        "stopping.patience=2", "histograms=1", "record=[update_norm]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_several_processes_give_the_files_and_the_screen_of_one(name):
    size, *line = RUNS[name]
    where = "hydra.sweep.dir" if "-m" in line else "hydra.run.dir"
    one = on_ranks(1, *line, f"{where}=runs/one")
    several = on_ranks(size, *line, f"{where}=runs/two")
    assert one.codes + several.codes == [0] * (size + 1), several.err
    assert differing_files(Path("runs/one"), Path("runs/two")) == []
    assert {path.name for path in Path("runs/two").glob("*.png")} == {
        path.name for path in Path("runs/one").glob("*.png")
    }
    # What is shown of epochs depends on the division into stacks, as it does with threads=2.
    first, second = (timeless(run.out[0]).splitlines() for run in (one, several))
    assert first[0].partition(" in ")[0] == second[0].partition(" in ")[0]
    assert first[-10:] == second[-10:]
    assert "".join(several.out[1:] + several.err) == ""


LONG = ("train", "seeds=4", "epochs=25", "data=moons", "data.n=300", "batch_size=5", OFTEN, "refit=true",
        "regularizer=[l2,dropout]", "stopping=patience", "stopping.patience=20")  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run of LONG that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    with contextlib.chdir(folder):
        assert on_ranks(1, *LONG, "hydra.run.dir=run").codes == [0]
    return folder / "run"


@pytest.mark.parametrize("size, killed, then", [(2, 1, 3), (3, 0, 1)])
def test_a_killed_rank_ends_the_others_and_any_number_goes_on(whole, size, killed, then):
    run = on_ranks(size, *LONG, "hydra.run.dir=run", kill=killed)
    assert run.codes == [KILLED if rank == killed else 1 for rank in range(size)]
    (sentence,) = "".join(run.err).splitlines()
    assert sentence.startswith(f"nnlab train: rank {killed} of {size} is gone: ")
    assert sentence.endswith(": nnlab train resume=run")
    assert Path("run/checkpoint.safetensors").exists()
    rest = on_ranks(then, "train", "resume=run")
    assert rest.codes == [0] * then, rest.err
    assert "  resumed after epoch " in rest.out[0]
    assert differing_files(whole, Path("run")) == []


def late_sigterm(argv, kill: int) -> int:
    """`command`, where a SIGTERM as that of torchrun reaches rank 0 while it saves, since another is lost."""
    save = nnlab.commands.training_session._save_and_describe_runs

    def interrupted(writers):
        os.kill(os.getpid(), signal.SIGTERM)
        return save(writers)

    if os.environ["RANK"] == "0":
        nnlab.commands.training_session._save_and_describe_runs = interrupted
    return command(argv, kill)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_sigterm_while_a_rank_is_lost_is_its_loss(seeds):
    Path("said").mkdir()
    line = "train", *SMALL, "epochs=100000", OFTEN, f"seeds={seeds}", "hydra.run.dir=run"
    assert run_ranks(2, late_sigterm, line, 1) == [1, KILLED]
    (sentence,) = Path("said/err0").read_text().splitlines()
    assert sentence.startswith("nnlab train: rank 1 of 2 is gone: ")
    assert sentence.endswith("; to go on: nnlab train resume=run")


def lose_a_rank_that_waits(argv) -> int:
    """`command`, where rank 1 is killed once it has nothing more to train; then a SIGTERM reaches rank 0."""
    train = nnlab.training.rank_follower.Follower._train
    lose = nnlab.training.rank_leader.Peer._lose

    def train_and_die(self, state):
        train(self, state)
        self.line.send(nnlab.training.rank_follower.Message("waiting"))
        os.kill(os.getpid(), signal.SIGKILL)

    def lose_and_hear_of_it(self, fault):
        lose(self, fault)
        os.kill(os.getpid(), signal.SIGTERM)

    nnlab.training.rank_follower.Follower._train = train_and_die
    nnlab.training.rank_leader.Peer._lose = lose_and_hear_of_it
    return command(argv, None)


def test_a_rank_that_is_lost_while_it_waits_for_the_others_is_no_end():
    Path("said").mkdir()
    line = "train", "-m", *SMALL[1:], OFTEN, "epochs=100000,2", "hydra.sweep.dir=runs"
    assert run_ranks(2, lose_a_rank_that_waits, line) == [1, KILLED]
    (sentence,) = Path("said/err0").read_text().splitlines()
    assert sentence.startswith("nnlab train: rank 1 of 2 is gone: ")
    assert sentence.endswith(": nnlab train resume=runs")


def losses(run: str) -> list[list[float]]:
    lines = map(json.loads, Path(run, "metrics.jsonl").read_text().splitlines())
    return [[line[name] for name in ("train_loss", "val_loss", "grad_norm")] for line in lines]


@pytest.mark.parametrize("killed", [0, 1])
def test_fewer_rows_than_ranks_share_their_batches_and_go_on_alone(killed):
    line = (
        "train",
        "epochs=25",
        "data=moons",
        "data.n=300",
        "batch_size=10",
        OFTEN,
        "regularizer=[l2,dropout]",
    )
    assert on_ranks(1, *line, "hydra.run.dir=one").codes == [0]
    run = on_ranks(2, *line, "hydra.run.dir=run", kill=killed)
    assert run.codes == ([KILLED, 1] if killed == 0 else [1, KILLED])
    (sentence,) = "".join(run.err).splitlines()
    assert sentence.startswith(f"nnlab train: rank {killed} of 2 is gone: ")
    then = 1 + killed
    rest = on_ranks(then, "train", "resume=run")
    assert rest.codes == [0] * then, rest.err
    assert np.allclose(losses("one"), losses("run"), rtol=1e-3)


WRONG = {
    "a word": (("train", "optimzer=adam"), "unknown key 'optimzer'; did you mean 'optimizer'?"),
    "a word after imports": (("train", "seeds=2", "stopping=patience", "split=none"), "split=none"),
    "a batch that cannot be shared": (("train", "batch_size=1"), "batch_size=1 has fewer examples than"),
    "folder": (("train", "resume=nowhere"), "'nowhere'"),
    "no command": (("trian",), "unknown command 'trian'; did you mean 'train'?"),
    "sweep": (("sweep", "trials=3"), "launcher=ray, slurm or folder): nnlab sweep trials=3"),
    "predict": (("predict", "a b.csv"), "without it: nnlab predict 'a b.csv'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_said_once(name):
    line, sentence = WRONG[name]
    run = on_ranks(2, *line)
    assert run.codes == [2, 2]
    assert "".join(run.out) == run.err[1] == ""
    assert sentence in run.err[0] and run.err[0].count("\n") == 1
    assert os.listdir() == []


def test_help_is_shown_once():
    run = on_ranks(2, "--help")
    assert run.codes == [0, 0] and run.out[0].startswith("nnlab: a laboratory") and run.out[1] == ""


def table(folder: str, shift: float) -> None:
    Path(folder).mkdir(exist_ok=True)
    lines = [f"{x * x % 41 + shift},{x % 3},{'ab'[x % 2]}" for x in range(40)]
    Path(folder, "t.csv").write_text("\n".join(["x,z,y", *lines, ""]))


def elsewhere_on_rank_1(argv, kill) -> int:
    if os.environ["RANK"] == "1":
        os.chdir("other")
        Path("said").symlink_to("../said")
    return command(argv, kill)


@pytest.mark.parametrize(
    "is_there, sentence",
    [
        (True, "rank 1 of 2: its data are not those of rank 0: data=table must be the same on every machine"),
        (False, "rank 1 of 2: "),
    ],
)
def test_data_of_another_machine_are_others_or_not_there(is_there, sentence):
    table(".", 0)
    table("other", 0.5)
    if not is_there:
        os.remove("other/t.csv")
    Path("said").mkdir()
    line = "train", "seeds=2", "data=table", "data.path=t.csv", "data.target=y", "hydra.run.dir=run"
    assert run_ranks(2, elsewhere_on_rank_1, line, None) == [2, 2]
    said = Path("said/err0").read_text()
    assert sentence in said and said.count("\n") == 1 and ("t.csv" in said) is not is_there
    assert not Path("run").exists()


def torchrun(*argv) -> subprocess.Popen:
    line = [sys.executable, "-m", "torch.distributed.run", "--no-python", "--nproc-per-node=2"]
    words = [*line, sys.executable, "-m", "nnlab", *argv]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def test_ctrl_c_under_torchrun_itself(whole):
    with torchrun(*LONG, "epochs=100000", "hydra.run.dir=run") as process:
        deadline = time.monotonic() + 120
        while epochs_in(Path("run")) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    said = [line for line in err.splitlines() if line.startswith("nnlab")]
    assert len(said) == 1 and said[0].startswith("nnlab train: interrupted (epoch "), err
    assert said[0].endswith("of 4 of its 4 rows; to go on: nnlab train resume=run")
    assert out.count("moons (300 x 2, 2 classes)") == 1


def test_a_refused_command_under_torchrun_itself():
    with torchrun("sweep", "trials=3") as process:
        _, err = process.communicate()
    assert err.count("\nnnlab sweep: ") + err.startswith("nnlab sweep: ") == 1
    # torchrun ends the second with SIGTERM if it is slow to start.
    assert set(re.findall(r"exitcode  : (\S+)", err)) in ({"2"}, {"2", "-15"})


@pytest.fixture
def rank_1_of_2(monkeypatch):
    numbers = {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": 1}
    for name, value in numbers.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "localhost")


def test_threads_are_those_of_its_share_of_the_machine(rank_1_of_2, monkeypatch):
    for cores, threads in ((8, 4), (3, 1), (1, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process, cores=cores: range(cores))
        assert devices.thread_count("auto") == threads
    assert devices.thread_count(7) == 7


@pytest.mark.parametrize("cards", [1, 2])
def test_cuda_is_the_card_of_the_local_rank(rank_1_of_2, monkeypatch, cards):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert devices.device("cpu") == torch.device("cpu") and not taken
    if cards == 1:
        with pytest.raises(UserError, match="rank 1 is the 2. on this machine, which has 1 card: "):
            devices.device("cuda")
        return
    assert devices.device("cuda") == torch.device("cuda") and taken == [1]
    with pytest.raises(UserError, match=r"device = 'cuda:0': under torchrun .*: device=cuda$"):
        devices.device("cuda:0")
