"""Which job is the newest: the one that began last, whatever was written into a folder since."""

import os
from pathlib import Path

import pytest

from nnlab.cli import main
from nnlab.records.run_path import newest_job, newest_run


def job(path, *files, at=0):
    """A folder with such files, of which all are as old as can be but what is younger by `at` seconds."""
    folder = Path("outputs", path)
    folder.mkdir(parents=True)
    for name in ("config.yaml", "command.txt", *files):
        (folder / name).touch()
        os.utime(folder / name, (at, at))
    os.utime(folder, (at, at))
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_page_makes_no_run_newer():
    old, new = (job(f"train/2026-01-0{day}_09-30-00", "summary.json") for day in (1, 2))
    (old / "report.html").touch()
    assert newest_run() == new and newest_job() == ("run", new)


def test_a_folder_of_another_name_began_with_its_first_file():
    job("train/2001-01-01_00-00-00", "summary.json")
    mine = job("train/mine", "summary.json", at=2e9)
    job("train/older", "summary.json", at=1e8)
    assert newest_run() == mine


@pytest.mark.parametrize("kind, path, file", [
    ("runs", "train/2026-01-03_00-00-00_multirun", "runs.json"),
    ("comparison", "compare/2026-01-03_00-00-00_optimizer", "compare.json"),
    ("sweep", "sweep/2026-01-03_00-00-00_trials=2", "sweep.json"),
    ("check", "check/2026-01-03_00-00-00", "check.json"),
])  # fmt: skip
def test_jobs_of_all_commands_are_looked_at(kind, path, file, capsys):
    job("train/2026-01-02_00-00-00", "summary.json", at=1e9)
    newest = job(path, file)
    assert newest_job() == (kind, newest)
    for words in (["report"], ["report", "nowhere"]):
        assert main(words) == 2
        assert str(newest) in capsys.readouterr().err


def test_a_run_of_several_is_the_newest_run():
    job("train/2026-01-02_00-00-00", "summary.json", at=1e9)
    job("train/2026-01-03_00-00-00_multirun", "runs.json")
    first = job("train/2026-01-03_00-00-00_multirun/0_a=1", "summary.json", at=5)
    second = job("train/2026-01-03_00-00-00_multirun/1_a=2", "summary.json", at=9)
    assert newest_run() == second != first
