"""Sweep folders with unusual names, on file systems without locks, and with hard links."""

import errno
import fcntl
import os

import pytest
from searches import IRIS, LR, sweep, sweep_json

from nnlab.cli import main

NAMES = ("it's 'b'=c,d ", '[a](b){c} "d"', "$a ${seed}#b%s*", "a\\b\nä€", "~", "-a", "1e3")
FEW = (*IRIS, LR, "trials=3", "batch=3", "sampler=random")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("whole") / "s", *FEW)


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_goes_on_whatever_its_folder_is_called(name, uninterrupted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    whole_copy = tmp_path / name
    os.system(f"cp -r '{uninterrupted}' copy")
    os.rename("copy", whole_copy)
    assert main(["sweep", f"resume={name}", "trials=4"]) == 0, capsys.readouterr().err
    assert sweep_json(whole_copy)["count"] == 4
    assert main(["sweep", f"refine={name}", "plan=true", "report=false"]) == 0, capsys.readouterr().err


def without_locks(number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.filterwarnings("default::nnlab.errors.Advice")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks_blames_nobody(number, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fcntl, "lockf", without_locks(number))
    monkeypatch.setattr(os, "symlink", without_locks(errno.EPERM))
    monkeypatch.setattr(os, "link", without_locks(errno.EPERM))
    folder = tmp_path / "s"
    assert main(["sweep", *FEW, f"hydra.run.dir={folder}"]) == 0
    stderr = capsys.readouterr().err
    assert "has no locks" in stderr and "another nnlab sweep" not in stderr.replace("no other", "")
    assert main(["sweep", f"resume={folder}", "trials=4"]) == 0
    assert len((folder / "trials.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("number", [errno.EACCES, errno.EAGAIN])
def test_a_lock_that_is_taken_is_another_sweeps(number, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fcntl, "lockf", without_locks(number))
    assert main(["sweep", *FEW, f"hydra.run.dir={tmp_path / 's'}"]) == 2
    assert "another nnlab sweep" in capsys.readouterr().err


def test_nothing_is_written_through_a_hard_link(uninterrupted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("study.journal", "curves.jsonl", "trials.csv", "sweep.json", "config.yaml", ".lock"):
        os.system(f"rm -rf s; cp -r '{uninterrupted}' s")
        outside = tmp_path / f"outside{name}"
        outside.write_bytes((tmp_path / "s" / name).read_bytes())
        before = outside.read_bytes()
        (tmp_path / "s" / name).unlink()
        os.link(outside, tmp_path / "s" / name)
        for overrides in (["resume=s", "trials=5"], ["refine=s", "plan=true"]):
            assert main(["sweep", *overrides]) == 2
            stderr = capsys.readouterr().err
            assert "hard link" in stderr and stderr.count("\n") == 1 and outside.read_bytes() == before
