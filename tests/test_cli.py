"""The `nnlab` command itself: dispatch, completion, start-up imports, and `nnlab board`."""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from nnlab import cli, paths
from nnlab.commands import board, board_server

HEAVY = ("torch", "hydra", "omegaconf", "optuna", "sklearn", "numpy", "scipy", "rich", "tensorboard")
ROOT = Path(__file__).resolve().parents[1]


def nnlab(*argv, cwd=None, **environment):
    """Run it as a process of its own; `done.modules` are the heavy packages that it imported."""
    code = (
        "import sys; from nnlab.cli import main; code = main();"
        f"print('MODULES', *sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    process.stderr, _, modules = process.stderr.rpartition("MODULES")
    process.modules = set(modules.split())
    return process


def test_configurations_are_found():
    assert (paths.CONFIG_DIR / "train.yaml").is_file()


def test_packaged_configurations_come_first(tmp_path):
    package = tmp_path / "nnlab"
    package.mkdir()
    assert paths.config_dir(package) == tmp_path / "configs"
    (package / "configs").mkdir()
    assert paths.config_dir(package) == package / "configs"


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(argv, capsys):
    assert cli.main(argv) == 0
    stdout = capsys.readouterr().out
    assert all(f"  {name} " in stdout and summary in stdout for name, summary in cli.COMMANDS.items())


def test_start_up_imports_nothing_heavy():
    for argv in ([], ["--help"], ["--version"], ["tran"]):
        assert nnlab(*argv).modules == set()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["tran"], "nnlab: unknown command 'tran'; did you mean 'train'?\n"),
        (["xyz"], f"nnlab: unknown command 'xyz'; allowed: {', '.join(sorted(cli.COMMANDS))}\n"),
        (["--versoin"], "nnlab: unknown option '--versoin'; did you mean '--version'?\n"),
    ],
)
def test_unknown_command(argv, message, capsys):
    assert cli.main(argv) == 2
    assert capsys.readouterr() == ("", message)


def test_version(capsys):
    from nnlab import __version__

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"nnlab {__version__}\n"


def test_the_command_gets_the_rest(monkeypatch):
    monkeypatch.setattr(board, "main", lambda argv: len(argv) + 40)
    assert cli.main(["board", "a", "b"]) == 42


def test_interrupted(monkeypatch, capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(board, "main", interrupted)
    assert cli.main(["board"]) == 130
    assert capsys.readouterr().err == "nnlab: interrupted\n"


def test_as_a_module_and_into_a_closed_pipe():
    command = f"'{sys.executable}' -m nnlab --help | head -1"
    process = subprocess.run(
        command, shell=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout.startswith("nnlab: ") and process.stderr == ""


# nnlab board


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for age, name in enumerate(["c", "b", "a"]):
        run = tmp_path / "outputs" / "train" / name
        (run / "rows").mkdir(parents=True)
        for file in (run / "events.out.tfevents.1", run / "rows" / "events.out.tfevents.2"):
            file.touch()
            os.utime(file, (1e9 - age, 1e9 - age))
    return tmp_path


@pytest.fixture
def called(monkeypatch):
    """The command lines that would have started TensorBoard, and the runs that it would have shown."""
    seen = []

    def call(command, **how):
        folder = Path(command[command.index("--logdir") + 1])
        shown = {str(p.parent.relative_to(folder)) for p in folder.glob("train/*/events*")}
        seen.append((command, shown))
        return 0

    monkeypatch.setattr(board.subprocess, "call", call)
    return seen


def test_board_shows_all_runs(runs, called):
    assert board.main([]) == 0
    command, shown = called[0]
    folder = Path("outputs").absolute()
    assert command == [sys.executable, "-m", "nnlab.commands.board_server", "--logdir", str(folder)]
    assert shown == {"train/a", "train/b", "train/c"}
    assert board.main(["outputs/train", "--port", "6011"]) == 0
    assert called[1][0][-3:] == [str(folder / "train"), "--port", "6011"]


def test_board_shows_the_newest_of_many(runs, called, capsys):
    assert board.main(["--newest", "2"]) == 0
    command, shown = called[0]
    assert shown == {"train/b", "train/c"} and not Path(command[4]).exists()
    assert "the newest 2 of 3 runs" in capsys.readouterr().err
    assert not any(path.is_symlink() for path in runs.rglob("*"))


@pytest.mark.parametrize("port", ["-5", "65536", "99999999"])
def test_board_takes_a_port(port, runs, capsys):
    assert cli.main(["board", "--port", port]) == 2
    assert f"--port {port}: expected a whole number from 0" in capsys.readouterr().err


def test_board_passes_over_links_to_nowhere(runs, monkeypatch):
    Path("outputs/events.out.tfevents.1").symlink_to("/nonexistent")
    monkeypatch.setattr(board.subprocess, "call", lambda command, **how: 0)
    assert cli.main(["board"]) == 0


def test_board_ends_quietly_when_interrupted(runs, monkeypatch):
    def interrupted(command, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(board.subprocess, "call", interrupted)
    assert board.main([]) == 0


@pytest.mark.parametrize(
    ("argv", "phrase"),
    [
        (["nowhere"], "folder 'nowhere' does not exist"),
        (["."], "no TensorBoard event files below '.'"),
        (["--port", "x"], "'x'"),
        (["--prot", "1"], "--prot"),
    ],
)
def test_board_refuses(argv, phrase, tmp_path, monkeypatch, called, capsys):
    monkeypatch.chdir(tmp_path)
    assert board.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("nnlab board: ") and err.count("\n") == 1 and phrase in err and called == []


def test_board_refuses_to_show_none(runs, called, capsys):
    assert board.main(["--newest", "0"]) == 2
    assert "--newest 0" in capsys.readouterr().err


def test_the_board_says_where_it_is_and_not_what_it_lacks(capsys):
    """print writes a line and its end apart; warnings and errors pass."""
    quiet = board_server.WithoutNoise(sys.stderr)
    print("TensorFlow installation not found - running with reduced feature set.", file=quiet)
    quiet.write('\nNOTE: Using experimental fast data loading logic. To disable, pass\n    "--load_fast"\n\n')
    print("Address already in use", file=quiet)
    print("TensorBoard 2 at http://localhost:6006/", file=quiet, flush=True)
    assert capsys.readouterr().err == "Address already in use\nTensorBoard 2 at http://localhost:6006/\n"


def test_the_notices_are_tensorboards():
    """Where it words them otherwise, they would be seen again."""
    folder = Path(find_spec("tensorboard").origin).parent
    source = "".join((folder / file).read_text() for file in ("main_lib.py", "program.py"))
    assert all(notice in source for notice in board_server.STARTUP_NOISE)


def test_board_help(capsys):
    assert cli.main(["board", "--help"]) == 0
    assert "usage: nnlab board" in capsys.readouterr().out


def test_the_page_of_the_board_selects_more_than_40_runs():
    """TensorBoard selects none of more than 40 runs, and SCALARS is empty; nothing else of it is changed."""
    from tensorboard import assets

    theirs = assets.get_default_assets_zip_provider()
    with (
        theirs() as file,
        zipfile.ZipFile(file) as old,
        zipfile.ZipFile(board_server.with_more_runs(theirs())) as new,
    ):
        assert old.namelist() == new.namelist() and new.testzip() is None
        differ = [name for name in old.namelist() if old.read(name) != new.read(name)]
        assert differ == ["index.js"]
        was, now = old.read("index.js"), new.read("index.js")
    assert was.count(board_server.THEIR_LIMIT) == now.count(board_server.OUR_LIMIT) == 1
    assert now.replace(board_server.OUR_LIMIT, board_server.THEIR_LIMIT) == was
