"""Where a sweep's study is stored: a journal or SQLite; plain data only, nothing pickled."""

import re
import sqlite3
from pathlib import Path

import pytest
import yaml
from searches import (
    IRIS,
    L2,
    LR,
    SAMPLED,
    USUAL,
    cached_sweeps,
    curves,
    journal_trials,
    json_lines,
    resume,
    sweep,
    sweep_json,
    trials_csv,
)

from nnlab.cli import main
from nnlab.search.ledger import Ledger
from nnlab.search.samplers import SAMPLERS


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return cached_sweeps(tmp_path_factory)


def test_sqlite(uninterrupted, tmp_path):
    one = uninterrupted(*USUAL, *SAMPLED["tpe"])
    url = f"sqlite:///{tmp_path}/sweeps.db"
    folder = sweep(tmp_path / "s", *USUAL, *SAMPLED["tpe"], f"storage={url}", "trials=6")
    resume(folder, "trials=12")
    assert (folder / "trials.csv").read_bytes() == (one / "trials.csv").read_bytes()
    assert not (folder / "study.journal").exists()
    other = sweep(tmp_path / "u", *USUAL, *SAMPLED["random"], f"storage={url}", "study=mine", "trials=2")
    assert sweep_json(other)["study"] == "mine" and len(trials_csv(other)) == 2  # beside it


def test_a_strangers_study_in_the_database_is_refused(tmp_path, capsys):
    import optuna

    url = f"sqlite:///{tmp_path}/sweeps.db"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(storage=url, study_name="mine")
    before = sorted(tmp_path.rglob("*"))
    assert main(["sweep", *USUAL, f"storage={url}", "study=mine"]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and "has a study 'mine' already" in stderr and "study=..." in stderr
    assert sorted(tmp_path.rglob("*")) == before


def is_pickle(data: bytes) -> bool:
    """Whether some part of it looks like a pickle: a protocol's opening, or a hex text of one."""
    return bool(
        re.search(rb"\x80[\x02-\x05][\x8c\x95}\]c(K]|800[2-5](95|8c|7d|5d|63|28)[0-9a-f]{8}|gA[ISFSU]", data)
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_that_lasts_is_pickled(name, uninterrupted, tmp_path):
    folder = uninterrupted(*USUAL, *SAMPLED[name])
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix != ".safetensors" and "events" not in file.name:
            data = file.read_bytes()
            assert not is_pickle(data) and b"cma:" not in data, file
    for op in json_lines(folder / "study.journal"):
        assert op["op_code"] in (0, 2, 4) and not op.get("system_attrs")
        assert set(op.get("user_attrs", {})) <= {"rows", "epochs", "spread", "reason"}


def test_nothing_in_sqlite_is_pickled(tmp_path):
    url = f"sqlite:///{tmp_path}/sweeps.db"
    sweep(tmp_path / "s", *IRIS, LR, L2, *SAMPLED["cmaes"], "trials=8", f"storage={url}")
    with sqlite3.connect(tmp_path / "sweeps.db") as file:
        dump = "\n".join(file.iterdump())
        tables = [name for (name,) in file.execute("select name from sqlite_master where type='table'")]
        counts = {t: file.execute(f"select count(*) from {t}").fetchone()[0] for t in tables}
    file.close()
    assert counts["trials"] == 8 and counts["trial_system_attributes"] == 0
    assert not is_pickle(dump.encode()) and "cma:" not in dump


def test_a_ledger_gives_back_what_was_written(uninterrupted):
    folder = uninterrupted(*USUAL, *SAMPLED["tpe"])
    record = sweep_json(folder)
    trials = Ledger(folder, None, record["study"], record["id"], (1,), True).trials()
    assert [t.number for t in trials] == list(range(12))
    for trial, op, row in zip(trials, journal_trials(folder), trials_csv(folder), strict=True):
        assert trial.values == (op["value"],) and trial.epochs == int(row["epochs"])
        assert list(trial.params) == list(yaml.safe_load((folder / "config.yaml").read_text())["space"])
        assert trial.params["model.hidden"] in ("[4]", "[6]") and isinstance(
            trial.params["stopping.patience"], int
        )
        assert len(curves(folder)[trial.number]["val_loss"]) == trial.epochs == len(trial.intermediate_values)


SECRET = "hunter2"


@pytest.mark.parametrize(
    "operation", ["create_new_trial", "get_all_trials", "set_study_user_attr", "disconnect"]
)
def test_a_database_that_fails_is_one_sentence(operation, capsys, monkeypatch):
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import OperationalError

    def gone(*_, **__):
        cause = OperationalError("INSERT", {}, Exception(f"server closed the connection: password={SECRET}"))
        raise StorageInternalError("An exception is raised during the commit.") from cause

    url = f"sqlite:///{Path('s.db').absolute()}?password={SECRET}"
    monkeypatch.setattr("nnlab.search.database.CREATE_ATTEMPTS", 1)
    if operation == "disconnect":
        monkeypatch.setattr("nnlab.search.ledger.disconnect", gone)
    else:
        monkeypatch.setattr(RDBStorage, operation, gone)
    overrides = ["data=iris", "epochs=1", "model.hidden=[4]", "optimizer.lr=interval(0.001,0.1)", "trials=2"]
    code = main(["sweep", *overrides, "report=false", f"storage='{url}'", "hydra.run.dir=s"])
    stderr = capsys.readouterr().err
    assert SECRET not in stderr
    if operation == "disconnect":  # all is written by then
        assert code == 0 and not stderr
        return
    assert code == 1 and stderr.count("\n") == 1 and "the database sqlite:" in stderr
    assert "resume=s" in stderr if operation == "create_new_trial" else not Path("s").exists()


@pytest.mark.parametrize(
    "line", ['{"op_code": 99}', '{"op_code": 4, "worker_id": "a"}', '{"op_code": [4]}', "4"]
)
def test_a_last_line_that_is_no_operation_is_mended(line, uninterrupted, tmp_path):
    import shutil

    folder = tmp_path / "s"
    shutil.copytree(uninterrupted(*USUAL, *SAMPLED["tpe"]), folder)
    before = (folder / "study.journal").read_bytes()
    (folder / "study.journal").write_bytes(before + line.encode() + b"\n")
    assert main(["sweep", f"resume={folder}"]) == 0
    assert (folder / "study.journal").read_bytes() == before
