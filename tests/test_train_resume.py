"""nnlab train resume=FOLDER: gives what an uninterrupted run gives, or a sentence that says why not."""

import json
import os
import random
import signal
import time
import warnings

import processes
import pytest
from killed_runs import LINES, OFTEN, differing_files, first_command, kill_and_resume

from nnlab import cli, interruption
from nnlab.commands import recorders
from nnlab.errors import Advice
from nnlab.records.checkpoint import CHECKPOINT_FILE, read_checkpoint

EPOCHS_BEFORE = 20  # a run is interrupted
SHORT = ("epochs=30", "data.limit=300", OFTEN)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server():
    return processes.server()


@pytest.mark.slow
@pytest.mark.parametrize("name", LINES)
def test_killed_at_random_moments(server, tmp_path, name):
    overrides = (*LINES[name], *SHORT)
    server.start(*first_command(tmp_path / "whole", LINES[name] + SHORT[:2]))
    assert server.wait() == 0, server.read_stderr()
    kill_and_resume(server, tmp_path / "killed", overrides, random.Random(name), kills=3, life=0.8)
    assert differing_files(tmp_path / "whole", tmp_path / "killed") == []
    assert not list(tmp_path.rglob(CHECKPOINT_FILE))
    server.read_stderr()


def started(server, folder, *words) -> int:
    """A run in the folder, under way: some checkpoints are written."""
    server.read_stderr()
    pid = server.start("train", *words, f"hydra.run.dir={folder}")
    metrics, deadline = folder / "metrics.jsonl", time.monotonic() + 60
    while time.monotonic() < deadline:
        if (folder / CHECKPOINT_FILE).exists() and metrics.read_bytes().count(b"\n") > EPOCHS_BEFORE:
            return pid
        time.sleep(0.01)
    raise AssertionError(server.read_stderr())


LONG = ("epochs=100000", "data.limit=300", OFTEN, "threads=1")


@pytest.fixture
def interrupted(server, tmp_path):
    """A run that Ctrl-C has ended, and what it said."""
    os.kill(started(server, tmp_path / "r", *LONG), signal.SIGINT)
    assert server.wait() == 130
    return tmp_path / "r"


def error_of(*words, capsys) -> str:
    """The one sentence of a line that is refused."""
    assert cli.main(["train", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_run_and_says_how_to_resume(server, tmp_path, number, code):
    os.kill(started(server, tmp_path / "r", *LONG), number)
    assert server.wait() == code
    note, sentence = server.read_stderr().strip().split("\n")
    assert note == "finishing this step, to save the run; Ctrl-C again stops at once"
    assert "'r' has the curves and the best weights so far" in sentence.replace(f"{tmp_path}/", "")
    assert sentence.endswith(f"to go on: nnlab train resume={tmp_path / 'r'}")


@pytest.mark.slow
def test_more_epochs_are_as_if_they_had_been_asked_for_at_first(server, interrupted, tmp_path):
    epochs = read_checkpoint(interrupted).state.epoch + 20
    server.read_stderr()
    server.start("train", f"resume={interrupted}", f"epochs={epochs}", "checkpoint.minutes=5")
    assert server.wait() == 0, server.read_stderr()
    server.start("train", f"epochs={epochs}", *LONG[1:2], "threads=1", f"hydra.run.dir={tmp_path / 'whole'}")
    assert server.wait() == 0, server.read_stderr()
    different = set(differing_files(tmp_path / "whole", interrupted))
    assert different == set()
    assert f"epochs={epochs}" in (interrupted / "command.txt").read_text()
    server.start("train", f"resume={interrupted}")
    assert server.wait() == 0 and server.read_stderr() == ""


@pytest.mark.slow
def test_what_may_not_differ(interrupted, capsys):
    where = f"resume={interrupted}"
    for words, said in {
        ("optimizer=sgd",): "optimizer=sgd: the run in",
        ("optimizer.lr=0.1",): "and continues with that; only these settings may change: epochs,",
        ("optimzer.lr=0.1",): "has no key optimzer.lr; did you mean 'optimizer.lr'?",
        ("epochs=1",): "epochs = 1: the run has trained for",
        ("epochs=zero",): "epochs = 'zero'",
        ("epochs=1,2",): "epochs=1,2: with resume= a key has one value",
        ("-m",): "-m goes with new runs",
        ("hydra.run.dir=there",): "hydra.run.dir=there: a run that is resumed stays in its folder",
        ("stopping.patience=3",): "has no stopping.patience",
        ("checkpoint.minutes=0",): "checkpoint.minutes = 0",
        ("+new=1",): "has no key new",
        ("~epochs",): "~epochs",
    }.items():
        assert said in error_of(where, *words, capsys=capsys), words
    assert {file.name for file in interrupted.iterdir()} >= {CHECKPOINT_FILE, "metrics.jsonl"}


@pytest.mark.slow
def test_what_is_no_run(interrupted, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, said in {
        "nowhere": "'nowhere' is not a folder; expected the folder of a run",
        "empty": "'empty' is not the folder of a run",
        f"{interrupted}/config.yaml": "is not a folder",
    }.items():
        assert said in error_of(f"resume={folder}", capsys=capsys)
    content = (interrupted / CHECKPOINT_FILE).read_bytes()
    for wrong in (b"", content[:-1], content[: len(content) // 2], b"\0" * 100, b"x" + content):
        (interrupted / CHECKPOINT_FILE).write_bytes(wrong)
        assert "is not the state of a fit" in error_of(f"resume={interrupted}", capsys=capsys)
    (interrupted / CHECKPOINT_FILE).unlink()
    (interrupted / CHECKPOINT_FILE).symlink_to("/etc/passwd")
    assert "is a link" in error_of(f"resume={interrupted}", capsys=capsys)


@pytest.mark.slow
def test_nothing_outside_of_the_folder_is_written(interrupted, capsys, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("metrics.jsonl", ".reserved"):
        (interrupted / name).unlink(missing_ok=True)
        (interrupted / name).symlink_to(victim)
        assert "is a link" in error_of(f"resume={interrupted}", capsys=capsys)
        (interrupted / name).unlink()
        assert victim.read_text() == "mine"


@pytest.mark.slow
def test_a_run_that_another_process_trains(server, tmp_path, capsys):
    pid = started(server, tmp_path / "r", *LONG)
    assert "is being written to by another nnlab train" in error_of(f"resume={tmp_path / 'r'}", capsys=capsys)
    os.kill(pid, signal.SIGKILL)
    server.wait()


@pytest.mark.slow
def test_a_run_without_a_checkpoint_begins_again(server, tmp_path):
    words = ("epochs=20", "data.limit=300", "seeds=2")
    server.start("train", *words, f"hydra.run.dir={tmp_path / 'whole'}")
    assert server.wait() == 0, server.read_stderr()
    pid = server.start("train", *words, f"hydra.run.dir={tmp_path / 'r'}")
    while not (tmp_path / "r/metrics.jsonl").exists():
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    assert server.wait() == -9 and not (tmp_path / "r" / CHECKPOINT_FILE).exists()
    server.start("train", f"resume={tmp_path / 'r'}")
    assert server.wait() == 0, server.read_stderr()
    assert differing_files(tmp_path / "whole", tmp_path / "r") == []


@pytest.mark.slow
def test_the_data_have_changed(server, tmp_path, capsys):
    file = tmp_path / "data.csv"
    lines = [f"{i % 7},{i % 5},{i % 2}" for i in range(200)]
    file.write_text("\n".join(["a,b,c", *lines]))
    data = ("data=csv", f"data.path={file}", "data.target=c")
    os.kill(started(server, tmp_path / "r", *data, LONG[0], *LONG[2:]), signal.SIGINT)
    assert server.wait() == 130
    file.write_text("\n".join(["a,b,c", *lines[1:]]))
    assert "the data are not those that the run in" in error_of(f"resume={tmp_path / 'r'}", capsys=capsys)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["full", "gone", "read-only"])
def test_a_checkpoint_that_cannot_be_written(what, tmp_path, monkeypatch, capsys):
    """The run ends with a sentence, and the checkpoint before that is whole."""
    import nnlab.records.checkpoint as module

    write, count = module.atomic_write, 0
    errors = {"full": (28, "No space left on device"), "read-only": (30, "Read-only file system")}

    def fails(path):
        nonlocal count
        count += path.name == CHECKPOINT_FILE
        if count == 3 and path.name == CHECKPOINT_FILE:
            if what == "gone":
                (tmp_path / "r").rename(tmp_path / "moved")
            else:
                raise OSError(*errors[what])
        return write(path)

    monkeypatch.setattr(module, "atomic_write", fails)
    code = cli.main(["train", *LONG[1:], "epochs=100000", f"hydra.run.dir={tmp_path / 'r'}"])
    stderr = capsys.readouterr().err
    assert code == 1 and stderr.count("\n") == 1 and f"nnlab train resume={tmp_path}" in stderr
    folder = tmp_path / ("moved" if what == "gone" else "r")
    monkeypatch.undo()
    assert read_checkpoint(folder).state.epoch > 0
    epochs = read_checkpoint(folder).state.epoch + 5
    assert cli.main(["train", f"resume={folder}", f"epochs={epochs}"]) == 0
    assert not (folder / CHECKPOINT_FILE).exists()


def test_planned_rates_are_mentioned(capsys, tmp_path):
    """A schedule that ends with the epochs has had other rates."""
    stored = tmp_path / "r"
    assert cli.main(["train", "schedule=cosine", "epochs=4", "data=iris", f"hydra.run.dir={stored}"]) == 0
    (stored / "summary.json").unlink()
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("default", Advice)
        assert cli.main(["train", f"resume={stored}", "epochs=6"]) == 0
    assert "plans its rates by epochs" in capsys.readouterr().err


def test_a_run_that_has_ended(capsys, tmp_path):
    stored = tmp_path / "r"
    assert cli.main(["train", "epochs=2", "data=iris", f"hydra.run.dir={stored}"]) == 0
    before = {path: path.stat().st_mtime_ns for path in stored.rglob("*")}
    capsys.readouterr()
    assert cli.main(["train", f"resume={stored}"]) == 0
    assert capsys.readouterr().out == f"'{stored}' has ended: there is nothing to go on with\n"
    for changes, phrase in {
        ("epochs=9",): "no state to continue from; to begin anew: nnlab train epochs=9",
        ("optimizer.lr=1",): "and continues with that",
        ("seed=5",): "and continues with that",
    }.items():
        assert phrase in error_of(f"resume={stored}", *changes, capsys=capsys)
    assert cli.main(["train", f"resume={stored}", "epochs=2", "optimizer=adam", "picture=true"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in stored.rglob("*")}


@pytest.mark.slow
def test_several_runs_name_their_folder(server, tmp_path, capsys):
    words = ("train", "-m", "optimizer=sgd,adam", *LONG, f"hydra.sweep.dir={tmp_path / 'all'}")
    pid = server.start(*words)
    while not (tmp_path / "all" / CHECKPOINT_FILE).exists():
        time.sleep(0.01)
    os.kill(pid, signal.SIGTERM)
    assert server.wait() == 143
    assert server.read_stderr().endswith(f"to go on: nnlab train resume={tmp_path / 'all'}\n")
    runs = json.loads((tmp_path / "all/runs.json").read_text())
    for wrong in (["../r"], ["/tmp"], ["a", "a"], [], "x", [1], ["0_optimizer=sgd/../../x"]):
        (tmp_path / "all/runs.json").write_text(json.dumps({"runs": wrong}))
        assert "runs.json" in error_of(f"resume={tmp_path / 'all'}", capsys=capsys)
    (tmp_path / "all/runs.json").write_text(json.dumps(runs))


def test_only_the_command_line_says_what_is_resumed(tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nresume: /somewhere\n")
    assert cli.main(["train", "-cd", ".", "experiment=mine", "epochs=1"]) == 2
    assert "only the command line of nnlab train says what goes on" in capsys.readouterr().err


def test_more_epochs_for_rows_that_have_finished(tmp_path, capsys, monkeypatch):
    """Stacks train one after another: those that have finished cannot go on, and a mean would mix both."""
    words = ("data=iris", "epochs=4", "threads=1", "split=kfold", "split.k=4")
    run = tmp_path / "r"

    def interrupt(self, record):
        if record.ended:
            interruption.request_stop()
        return write(self, record)

    write = recorders.Recorders.record
    monkeypatch.setattr(recorders.Recorders, "record", interrupt)
    cli.main(["train", "-m", "model.hidden=[4],[4,4]", *words, f"hydra.sweep.dir={run}"])
    monkeypatch.undo()
    capsys.readouterr()
    assert (run / CHECKPOINT_FILE).exists()
    assert "has ended; only without epochs= the others go on" in error_of(
        f"resume={run}", "epochs=9", capsys=capsys
    )
    assert cli.main(["train", f"resume={run}"]) == 0
