"""A sweep with its study in a real PostgreSQL server, if there is one on this machine."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from searches import IRIS, resume, sweep, sweep_json, trials_csv

from nnlab.cli import main

LR, L2 = "optimizer.lr=tag(log,interval(1e-4,1e-1))", "regularizer.l2=interval(0,0.01)"
USUAL = (*IRIS, LR, L2, "sampler=tpe", "sampler.startup=3", "batch=4")


def program(name: str) -> str | None:
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(versions[-1]) if versions else None)


def nobody() -> str | None:
    """Whom the server runs as: it refuses to be root's."""
    if os.geteuid():
        return getpass.getuser()
    names = {user.pw_name for user in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@pytest.fixture(scope="module")
def server():
    """The setting that leads to a server in a folder of its own, which listens on a socket there alone."""
    if not (program("initdb") and program("pg_ctl")) or nobody() is None:
        pytest.skip("no PostgreSQL on this machine")
    if find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed")
    user = pwd.getpwnam(nobody())
    folder = Path(tempfile.mkdtemp(prefix="nnlab-postgres-"))
    os.chown(folder, user.pw_uid, user.pw_gid)

    def do(name, *overrides):
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if not os.geteuid() else {}
        line = [program(name), "-D", str(folder / "data"), *overrides]
        process = subprocess.run(
            line, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60, **who
        )
        assert process.returncode == 0, process.stderr

    try:
        do("initdb", "-U", "nnlab", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        do("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        yield f"storage='postgresql+psycopg://nnlab@/postgres?host={folder}'"
        do("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_sweep_in_postgres_is_one_in_a_file(server, tmp_path):
    folder = sweep(tmp_path / "s", *USUAL, server, "trials=6")
    resume(folder, "trials=10")
    one = sweep(tmp_path / "file", *USUAL, "trials=10")
    assert (folder / "trials.csv").read_bytes() == (one / "trials.csv").read_bytes()
    assert sweep_json(folder)["best"] == sweep_json(one)["best"] and not (folder / "study.journal").exists()


def test_the_same_name_is_refused_and_another_is_another_study(server, tmp_path, capsys):
    overrides = (*IRIS, LR, "sampler=random", "trials=3", server)
    sweep(tmp_path / "t", *overrides, "study=mine")
    before = sorted(tmp_path.rglob("*"))
    assert main(["sweep", *overrides, "study=mine"]) == 2
    assert "has a study 'mine' already" in capsys.readouterr().err and sorted(tmp_path.rglob("*")) == before
    assert len(trials_csv(sweep(tmp_path / "u", *overrides, "study=another"))) == 3


def test_nothing_of_cmaes_is_kept(server, tmp_path):
    import sqlalchemy

    sweep(tmp_path / "c", *IRIS, LR, L2, "sampler=cmaes", "trials=8", "batch=4", server)
    engine = sqlalchemy.create_engine(server.split("'")[1])
    with engine.connect() as connection:
        query = sqlalchemy.text("select count(*) from trial_system_attributes")
        assert connection.execute(query).scalar() == 0
    engine.dispose()


def test_a_server_that_is_not_there_is_one_sentence(server, tmp_path, capsys):
    overrides = (*IRIS, LR, "trials=3")
    assert main(["sweep", *overrides, server.replace("nnlab-postgres-", "nowhere-")]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and "cannot be used" in stderr
    assert not list(tmp_path.iterdir())
