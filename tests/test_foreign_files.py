"""Security: untrusted files execute nothing, choose no place to write, and read no environment variable."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from searches import IRIS, LR, cached_sweeps, sweep, sweep_json

from nnlab.cli import main

TINY = ("data=iris", "epochs=1", "model.hidden=[4]")
TRAP = "open('{}', 'w').close()\nraise SystemExit('a foreign module was run')\n"
SHADOWS = ("numpy", "torch", "tensorboard", "matplotlib", "yaml", "hydra", "optuna", "plotly", "safetensors")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NNLAB_STORAGE", raising=False)


@pytest.fixture
def traps(tmp_path):
    """A folder with a module of each library's name, and the file that importing one of them leaves."""
    folder, sprung = tmp_path / "traps", tmp_path / "sprung"
    for name in SHADOWS:
        (folder / name).mkdir(parents=True)
        for file in ("__init__", "main", "__main__"):
            (folder / name / f"{file}.py").write_text(TRAP.format(sprung))
    return folder, sprung


def refused(capsys, *argv) -> str:
    before = {path: path.read_bytes() if path.is_file() else None for path in Path.cwd().rglob("*")}
    assert main(list(argv)) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "Traceback" not in captured.err and captured.out == ""
    assert {path: path.read_bytes() if path.is_file() else None for path in Path.cwd().rglob("*")} == before
    return captured.err


# Code


def test_python_m_nnlab_imports_nothing_from_the_current_directory(traps):
    folder, sprung = traps
    arguments = ["train", *TINY, "picture=true"]
    process = subprocess.run(
        [sys.executable, "-m", "nnlab", *arguments], cwd=folder, capture_output=True, text=True, timeout=100
    )
    assert process.returncode == 0 and not sprung.exists(), process.stderr


def test_the_board_imports_nothing_from_the_current_directory(traps, monkeypatch):
    folder, sprung = traps
    assert main(["train", *TINY, "hydra.run.dir=run"]) == 0
    monkeypatch.chdir(folder)
    seen = []

    def call(command, **how):
        command = [*command, "--inspect"]  # it loads all of TensorBoard, prints, and ends
        seen.append(subprocess.run(command, capture_output=True, text=True, timeout=100, **how))
        return seen[0].returncode

    monkeypatch.setattr("nnlab.commands.board.subprocess.call", call)
    assert main(["board", "../run"]) == 0, seen[0].stderr
    assert "event" in seen[0].stdout.lower() and not sprung.exists()


def test_the_trap_springs_where_the_current_directory_is_looked_at(traps):
    folder, sprung = traps
    subprocess.run([sys.executable, "-m", "tensorboard.main"], cwd=folder, capture_output=True, timeout=100)
    assert sprung.exists()


def test_a_picture_takes_no_style_from_the_current_directory(tmp_path):
    command = [sys.executable, "-m", "nnlab", "train", *TINY, "picture=true"]
    for name, style in (("plain", ""), ("styled", "text.usetex: True\nfigure.dpi: 7\nlines.linewidth: 40\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "matplotlibrc").write_text(style)
        subprocess.run([*command, "hydra.run.dir=run"], cwd=tmp_path / name, check=True, capture_output=True)
    pictures = [(tmp_path / name / "run/curves.png").read_bytes() for name in ("plain", "styled")]
    assert pictures[0] == pictures[1]


# Places


@pytest.mark.parametrize("command", ["train", "check", "sweep"])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("hydra.run.dir", "hydra: {run: {dir: ../out}}"),
        ("hydra.run.dir", "hydra: {run: {dir: '${oc.env:HOME}/x'}}"),
        ("hydra.output_subdir", "hydra: {output_subdir: ../../up}"),
        ("hydra.sweep.dir", "hydra: {sweep: {dir: /tmp/nnlab-out}}"),
        ("hydra.sweep.subdir", "hydra: {sweep: {subdir: ../../x}}"),
    ],
)
def test_a_configuration_folder_says_not_where_nnlab_writes(command, key, text, capsys, tmp_path):
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/x.yaml").write_text(f"# @package _global_\n{text}\n")
    overrides = {"check": ["only=start"], "sweep": [LR, "trials=1", "report=false"]}.get(command, [])
    if (
        main([command, "-cd", "mine", "experiment=x", *TINY, *overrides]) == 0
    ):  # its own YAML goes over that key
        assert command != "train" and {file.name for file in tmp_path.iterdir()} == {"mine", "outputs"}
        return
    stderr = capsys.readouterr().err
    assert (
        f"{key} = " in stderr and stderr.count("\n") == 1 and [f.name for f in tmp_path.iterdir()] == ["mine"]
    )


@pytest.mark.parametrize("command", ["train", "train -m", "check", "sweep"])
@pytest.mark.parametrize(
    "key",
    ["hydra.sweep.dir", "+hydra.run.dir", "++hydra.output_subdir", "hydra.sweep.subdir", "hydra/output"],
)
def test_what_a_file_sweeps_over_says_not_where_nnlab_writes(command, key, capsys, tmp_path):
    (tmp_path / "mine/experiment").mkdir(parents=True)
    sweep = f"hydra: {{mode: MULTIRUN, sweeper: {{params: {{'{key}': ../evil, seed: '0,1'}}}}}}"
    (tmp_path / "mine/experiment/x.yaml").write_text(f"# @package _global_\n{sweep}\n")
    message = refused(capsys, *command.split(), "-cd", "mine", "experiment=x", *TINY)
    assert "may not say where nnlab writes" in message


def test_a_sweeps_words_choose_no_folder_for_refine(tmp_path):
    folder = sweep(tmp_path / "s", *IRIS, LR, "trials=2")
    text = (folder / "sweep.json").read_text()
    for place in ("+hydra.run.dir", "++hydra.run.dir", "hydra.run.dir", " hydra.run.dir"):
        changed_text = text.replace('"words": [', f'"words": [\n"{place}={tmp_path}/evil",')
        (folder / "sweep.json").write_text(changed_text)
        assert main(["sweep", f"refine={folder}", "trials=2", "report=false"]) in (0, 2)
        assert not (tmp_path / "evil").exists()


def test_a_configuration_folder_names_no_study(tmp_path):
    (tmp_path / "mine/experiment").mkdir(parents=True)
    settings = "storage: sqlite:///x.db\nstudy: s\nresume: here\nrefine: here\n"
    for file, says in (("sweep", settings), ("train", settings), ("experiment/x", "epochs: 1\n")):
        (tmp_path / f"mine/{file}.yaml").write_text(f"# @package _global_\n{says}")
    folder = sweep(tmp_path / "s", "-cd", str(tmp_path / "mine"), "experiment=x", *IRIS, LR, "trials=2")
    written = yaml.safe_load((folder / "config.yaml").read_text())
    assert written["storage"] is None and written["study"] == "auto" and not (tmp_path / "x.db").exists()


@pytest.mark.parametrize("setting", ["storage: sqlite:///x.db", "study: s", "resume: here", "refine: here"])
def test_an_experiments_file_names_no_study(setting, tmp_path, capsys):
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/x.yaml").write_text(f"# @package _global_\n{setting}\n")
    assert main(["sweep", "-cd", str(tmp_path / "mine"), "experiment=x", *IRIS, LR, "trials=2"]) == 2
    assert f"experiment=x: its file sets {setting.partition(':')[0]}, " in capsys.readouterr().err
    assert not (tmp_path / "x.db").exists() and not (tmp_path / "outputs").exists()


def test_a_folder_on_the_command_line_is_one_from_anywhere(tmp_path):
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/x.yaml").write_text("# @package _global_\nepochs: 1\n")
    assert main(["train", "-cd", "mine", "experiment=x", "data=iris", "hydra.run.dir=out"]) == 0
    assert (tmp_path / "out/summary.json").exists()


@pytest.mark.parametrize("command", ["train", "check", "sweep", "train -m"])
def test_a_folder_with_files_is_never_written_into(command, capsys, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "kept.json").write_text("kept")
    (tmp_path / "full/summary.json").symlink_to(tmp_path / "kept.json")
    where = "hydra.sweep.dir=full" if "-m" in command else "hydra.run.dir=full"
    overrides = {"sweep": [LR, "trials=2"], "train -m": ["seed=0,1"]}.get(command, [])
    assert main([*command.split(), *TINY, *overrides, where]) == 2
    assert "'full' holds files already" in capsys.readouterr().err
    assert (tmp_path / "kept.json").read_text() == "kept" and len(list((tmp_path / "full").iterdir())) == 1


@pytest.mark.parametrize("name", [".", "..", "a/b", "''"])
def test_hydras_own_folder_is_a_name(name, capsys):
    assert "hydra.output_subdir = " in refused(capsys, "train", *TINY, f"hydra.output_subdir={name}")


def test_two_runs_never_share_a_folder(capsys):
    arguments = ("train", "-m", *TINY, "seed=0,1", "hydra.sweep.dir=all", "hydra.sweep.subdir=one")
    assert "hydra.sweep.subdir = 'one'" in refused(capsys, *arguments)


def dump(file: Path) -> list[str]:
    with sqlite3.connect(file) as connection:
        text = list(connection.iterdump())
    connection.close()
    return text


@pytest.mark.parametrize("trials_there", [True, False])
def test_resume_puts_no_table_into_a_database_of_mine(trials_there, capsys, tmp_path):
    folder = sweep(tmp_path / "s", *IRIS, LR, "trials=2", f"storage=sqlite:///{tmp_path}/s.db")
    (tmp_path / "s.db").unlink()
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.execute("create table letters (text)")
    database.close()
    if not trials_there:
        (folder / "trials.csv").unlink()
    before, bytes_before = dump(tmp_path / "s.db"), (tmp_path / "s.db").read_bytes()
    assert main(["sweep", f"resume={folder}", "trials=3"]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and "no studies in it" in stderr
    assert dump(tmp_path / "s.db") == before and (tmp_path / "s.db").read_bytes() == bytes_before


def test_refine_takes_over_no_storage(tmp_path):
    folder = sweep(tmp_path / "s", *IRIS, LR, "trials=3", f"storage=sqlite:///{tmp_path}/s.db", "study=mine")
    before = dump(tmp_path / "s.db")
    around = sweep(tmp_path / "r", f"refine={folder}", "trials=2")
    assert dump(tmp_path / "s.db") == before and (around / "study.journal").exists()
    assert yaml.safe_load((around / "config.yaml").read_text())["storage"] is None
    again = sweep(tmp_path / "q", f"refine={folder}", "trials=2", f"storage=sqlite:///{tmp_path}/q.db")
    assert sweep_json(again)["study"] == "q" and (tmp_path / "q.db").exists()


# The environment


@pytest.mark.parametrize(
    "value", ["${oc.env:MY_TOKEN}", "${oc.env:MY_TOKEN,x}", "${oc.decode:'$''{oc.env:MY_TOKEN}'}"]
)
@pytest.mark.parametrize("extra", [(), ("--cfg", "job", "--resolve")])
def test_a_configuration_reads_no_environment(value, extra, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "token-of-mine")
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/x.yaml").write_text(f'# @package _global_\nmetric: "{value}"\n')
    code = main(["train", "-cd", "mine", "experiment=x", *TINY, *extra])
    captured = capsys.readouterr()
    assert (
        code == 2
        and "token-of-mine" not in captured.out + captured.err
        and not (tmp_path / "outputs").exists()
    )


def test_the_command_line_may_read_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SEED", "7")
    assert main(["train", *TINY, "seed='${oc.decode:${oc.env:MY_SEED}}'", "hydra.run.dir=r"]) == 0
    assert yaml.safe_load((tmp_path / "r/config.yaml").read_text())["seed"] == 7


# Sentences about files of -cd

CIRCLES = [  # name of a file, what it says
    {"data/a": "defaults: [b]", "data/b": "defaults: [a]"},
    {"data/a": "defaults: [/data/b@_here_]", "data/b": "defaults: [{/data: a}]"},
    {
        "data/a": "defaults: [moons, b]",
        "data/b": "defaults: [c, _self_]",
        "data/c": "defaults: [b.yaml]",
    },
]
HOLLOW = [
    ("", "is empty"),
    ("# nothing\n", "is empty"),
    ("3", "no keys with values, but 3"),
    ("- 1", "but [1]"),
]


@pytest.mark.parametrize("files", CIRCLES, ids=len)
def test_defaults_in_a_circle_name_their_files(files, capsys, tmp_path):
    for name, text in files.items():
        (tmp_path / "c" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "c" / name).with_suffix(".yaml").write_text(text + "\n")
    message = refused(capsys, "train", "-cd", "c", "data=a")
    assert "lead back" in message and message.count("data/b.yaml") >= 1


@pytest.mark.parametrize("group", ["data", "optimizer", "sampler", "model"])
@pytest.mark.parametrize("text, phrase", HOLLOW)
def test_files_without_keys_are_named(group, text, phrase, capsys, tmp_path):
    (tmp_path / "c" / group).mkdir(parents=True)
    (tmp_path / "c" / group / "x.yaml").write_text(text)
    message = refused(capsys, "sweep", "-cd", "c", f"{group}=x", LR)
    assert f"c/{group}/x.yaml' " in message and phrase in message


# A study's journal


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    return cached_sweeps(tmp_path_factory)


@pytest.mark.parametrize(
    "tail",
    [b'{"op_code": 4, "worker', b'{"op_code": 4, "wor\n', b"\0\0\0\0\0\n", b"\xff\xfe\n\n", b"12\n", b"\n"],
)
def test_a_journals_damaged_end_is_mended_before_anything_is_written(tail, swept, tmp_path):
    whole = swept(*IRIS, LR, "trials=8", "batch=2")
    folder = tmp_path / "s"
    shutil.copytree(swept(*IRIS, LR, "trials=4", "batch=2"), folder)
    journal = folder / "study.journal"
    journal.write_bytes(journal.read_bytes() + tail)
    for trials in (6, 8):  # the second reads what the first wrote behind the damage
        assert main(["sweep", f"resume={folder}", f"trials={trials}"]) == 0
    assert (folder / "trials.csv").read_bytes() == (whole / "trials.csv").read_bytes()


def test_what_a_sweep_cannot_go_on_with_is_said_before_anything_else(capsys, tmp_path):
    """Files where folders should be, and the reverse; trials of another study among its own."""
    folder = sweep(tmp_path / "s", *IRIS, LR, "trials=2")
    capsys.readouterr()
    resume = ["sweep", f"resume={folder}", "trials=3"]
    for name in (
        "best",
        ".best",
        "trials",
        "trials/2",
        "trials/summary",
        ".hydra",
        ".lock",
        "study.journal.lock",
    ):
        place, copy = folder / name, tmp_path / "kept"
        if place.exists():
            place.rename(copy)
        place.mkdir() if "lock" in name else place.write_text("a note")
        assert f"{name}' is a f" in refused(capsys, *resume) and place.exists()
        place.rmdir() if "lock" in name else place.unlink()
        if copy.exists():
            copy.rename(place)
    journal = folder / "study.journal"
    *before, last = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*before, last.replace('"study_id":0', '"study_id":7')]))
    assert f"line {len(before) + 1}, is of another study" in refused(capsys, *resume)
    journal.write_text("".join([*before, last]))
    assert main(resume) == 0


def test_a_journal_that_is_damaged_within_is_left_as_it_is(capsys, tmp_path):
    folder = sweep(tmp_path / "s", *IRIS, LR, "trials=2")
    journal = folder / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"damaged\n", *lines[1:]]))
    before = journal.read_bytes()
    assert main(["sweep", f"resume={folder}", "trials=3"]) == 2
    assert "damaged" in capsys.readouterr().err and journal.read_bytes() == before
    shutil.rmtree(folder)
