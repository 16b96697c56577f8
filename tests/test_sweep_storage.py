"""A sweep's study: in a journal, in SQLite; what lasts is plain data, and nothing pickled."""

import re
import sqlite3

import pytest
import yaml
from searches import (
    IRIS,
    L2,
    LR,
    SAMPLED,
    USUAL,
    about,
    curves,
    json_lines,
    made_once,
    resume,
    sweep,
    told,
    trials_csv,
)

from nnlab.cli import main
from nnlab.search.ledger import Ledger
from nnlab.search.samplers import SAMPLERS


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return made_once(tmp_path_factory)


def test_sqlite(whole, tmp_path):
    one = whole(*USUAL, *SAMPLED["tpe"])
    url = f"sqlite:///{tmp_path}/sweeps.db"
    folder = sweep(tmp_path / "s", *USUAL, *SAMPLED["tpe"], f"storage={url}", "trials=6")
    resume(folder, "trials=12")
    assert (folder / "trials.csv").read_bytes() == (one / "trials.csv").read_bytes()
    assert not (folder / "study.journal").exists()
    other = sweep(tmp_path / "u", *USUAL, *SAMPLED["random"], f"storage={url}", "study=mine", "trials=2")
    assert about(other)["study"] == "mine" and len(trials_csv(other)) == 2  # beside it


def test_a_strangers_study_in_the_database_is_refused(tmp_path, capsys):
    import optuna

    url = f"sqlite:///{tmp_path}/sweeps.db"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(storage=url, study_name="mine")
    before = sorted(tmp_path.rglob("*"))
    assert main(["sweep", *USUAL, f"storage={url}", "study=mine"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "has a study 'mine' already" in said and "study=..." in said
    assert sorted(tmp_path.rglob("*")) == before


def is_pickle(data: bytes) -> bool:
    """Whether some part of it looks like a pickle: a protocol's opening, or a hex text of one."""
    return bool(
        re.search(rb"\x80[\x02-\x05][\x8c\x95}\]c(K]|800[2-5](95|8c|7d|5d|63|28)[0-9a-f]{8}|gA[ISFSU]", data)
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_that_lasts_is_pickled(name, whole, tmp_path):
    folder = whole(*USUAL, *SAMPLED[name])
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


def test_a_ledger_gives_back_what_was_written(whole):
    folder = whole(*USUAL, *SAMPLED["tpe"])
    found = about(folder)
    trials = Ledger(folder, None, found["study"], found["id"], (1,), True).trials()
    assert [t.number for t in trials] == list(range(12))
    for trial, op, row in zip(trials, told(folder), trials_csv(folder), strict=True):
        assert trial.values == (op["value"],) and trial.epochs == int(row["epochs"])
        assert list(trial.params) == list(yaml.safe_load((folder / "config.yaml").read_text())["space"])
        assert trial.params["model.hidden"] in ("[4]", "[6]") and isinstance(
            trial.params["stopping.patience"], int
        )
        assert len(curves(folder)[trial.number]["val_loss"]) == trial.epochs == len(trial.worth)
