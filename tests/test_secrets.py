"""The password of a database URL appears in no file and in no output."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from searches import IRIS, LR, sweep, sweep_json, trials_csv
from test_postgres import program, server  # noqa: F401

from nnlab.cli import main
from nnlab.commands.passwords import without_passwords
from nnlab.masking import mask_password, mask_passwords
from nnlab.search.storage import Storage

SECRET = "hunter2%21"  # as a URL has it; the password is hunter2!
URLS = {
    "postgresql://me:{}@host:5432/db": "postgresql://me:***@host:5432/db",
    "postgresql+psycopg://me:{}@/db?host=/tmp/a@b": None,
    "mysql+pymysql://:{}@host/db": "mysql+pymysql://:***@host/db",
    "postgresql://host/db?user=me&password={}": "postgresql://host/db?user=me&password=***",
    "postgresql://host/db?sslpassword={}&user=me": "postgresql://host/db?sslpassword=***&user=me",
    "sqlite+pysqlcipher://:{}@/file.db": "sqlite+pysqlcipher://:***@/file.db",
    "me:{}@host/db": "me:***@host/db",
    "postgresql://me:p@ss/{}#?@host/db": "postgresql://me:***@host/db",
    "postgresql+psycopg://me:{}": "postgresql+psycopg://me:***",
    "postgresql+psycopg://me:{}/db": "postgresql+psycopg://me:***/db",
    "postgresql://h/db?user=me&p%61ssword={}": "postgresql://h/db?user=me&p%61ssword=***",
    "postgresql://h/db?user=me&authToken={}&port=5": "postgresql://h/db?user=me&authToken=***&port=5",
    "postgresql://h/db?user=me;password={}": "postgresql://h/db?user=me;password=***",
    "postgresql://h/db?options=-c%20{}": "postgresql://h/db?options=***",
}


@pytest.mark.parametrize(("url", "shown"), URLS.items())
def test_a_url_is_shown_without_its_password(url, shown):
    url = url.format(SECRET)
    storage = Storage.from_url(url)
    assert "hunter2" not in f"{storage} {storage!r} {mask_password(url)}" and storage.url == url
    assert shown is None or str(storage) == shown
    assert mask_password(mask_password(url)) == mask_password(url)


@pytest.mark.parametrize("url", ["sqlite:///a/b.db", "postgresql://host:5432/db", "postgresql://me@host/db"])
def test_a_url_without_a_password_stays(url):
    assert mask_password(url) == url and Storage.from_url(url).url == url


@pytest.mark.parametrize("sign", ["", "+", "++"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_words(sign, quote):
    url = f"mysql://me:{SECRET}@h/d"
    overrides, typed = without_passwords([f"{sign}storage={quote}{url}{quote}", "seed=1"])
    assert overrides == [f"{sign}storage='mysql://me:***@h/d'", "seed=1"] and typed == url


def test_where_a_password_comes_from(monkeypatch):
    shown = "mysql://me:***@h/d"
    monkeypatch.delenv("NNLAB_STORAGE", raising=False)
    assert Storage.from_url(shown).url == "mysql://me@h/d"
    assert Storage.from_url(shown, "mysql://me:typed@h/d").url == "mysql://me:typed@h/d"
    monkeypatch.setenv("NNLAB_STORAGE", "mysql://me:kept@h/d")
    assert Storage.from_url(shown).url == Storage.from_url("mysql://me@h/d").url == "mysql://me:kept@h/d"
    assert Storage.from_url(shown, "mysql://me:typed@h/d").url == "mysql://me:typed@h/d"
    for other in ("mysql://me@elsewhere/d", "mysql://you@h/d", "mysql://me@h/other"):
        assert "kept" not in Storage.from_url(other).url  # it is for its own database only


@pytest.mark.parametrize(
    "argv",
    [
        ["train", "storage={}"], ["check", "storage={}"], ["train", "-m", "storage={}", "seed=0,1"],
        ["sweep", "storage={}", LR, "--cfg", "job"], ["sweep", "storage={}", "--help"],
        ["sweep", "storage={}", "storage=(", LR], ["sweep", "storage={},b", LR],
        ["sweep", "storage=mysql+nothing://me:hunter2@h/d", LR],
        ["sweep", "storage=redis://me:hunter2@h", LR],
        ["sweep", "storage=me:hunter2@h", LR], ["sweep", "storage=postgresql://me:hunter2@[/d", LR],
        ["sweep", "storage=postgresql+psycopg://me:hunter2", LR],
        ["sweep", "storage=postgresql+psycopg://me:hunter2/db", LR],
        ["sweep", "--storage={}", LR], ["sweep", "--storage", "{}", LR], ["sweep", "storage ={}", LR],
        ["sweep", "storage:{}", LR], ["sweep", "{}", LR], ["sweep", "hydra.storage={}", LR], ["{}"],
        ["storage={}"], ["sweep", "resume={}"], ["sweep", "refine={}"], ["board", "{}"],
    ],
)  # fmt: skip
def test_no_sentence_has_it(argv, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNLAB_TRACEBACK", "1")
    main([word.format(f"mysql://me:{SECRET}@h/d") for word in argv])
    captured = capsys.readouterr()
    assert captured.out + captured.err and "hunter2" not in captured.out + captured.err
    assert not [path for path in tmp_path.rglob("*") if "hunter2" in str(path)]


def test_words_that_are_no_storage_keep_no_password_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "postgresql://me:hunter2@h/d"
    assert main(["sweep", *IRIS, LR, "trials=2", f"study='{url}'", "hydra.run.dir=s"]) == 0
    assert b"hunter2" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert (
        mask_passwords(f"see {url}, and {url}") == "see postgresql://me:***@h/d, and postgresql://me:***@h/d"
    )


@pytest.mark.parametrize("url", ["${oc.env:MY_URL}", "mysql://me:${oc.env:MY_PW}@h/d"])
def test_a_variable_in_storage_is_read_and_masked(url, capsys, monkeypatch):
    monkeypatch.setenv("MY_URL", "mysql://me:hunter2@h/d")
    monkeypatch.setenv("MY_PW", "hunter2")
    overrides, typed = without_passwords([f"storage='{url}'"])
    assert typed == "mysql://me:hunter2@h/d" and overrides == ["storage='mysql://me:***@h/d'"]
    for options in (["--cfg", "job"], ["--cfg", "all", "--resolve"], ["plan=true"]):
        main(["sweep", *IRIS, LR, f"storage='{url}'", *options])
        captured = capsys.readouterr()
        assert "hunter2" not in captured.out + captured.err


def test_a_password_as_a_parameter_is_typed_in_quotes():
    url = "postgresql+psycopg://127.0.0.1/db?user=me&password=hunter2!"
    overrides, typed = without_passwords([f"storage='{url}'"])
    assert typed == url and overrides == ["storage='postgresql+psycopg://127.0.0.1/db?user=me&password=***'"]


@pytest.fixture
def guarded(server, monkeypatch, tmp_path):  # noqa: F811
    """A role that needs its password in that server: the URL, and whom it is without."""
    import psycopg

    socket = server.split("host=")[1].rstrip("'")
    with psycopg.connect(f"host={socket} user=nnlab dbname=postgres", autocommit=True) as connection:
        connection.execute("drop owned by me; drop role me" if _there(connection) else "select 1")
        connection.execute("create role me login password 'hunter2!'")
        connection.execute("grant all on schema public to me; grant all on database postgres to me")
    hba = Path(socket, "data/pg_hba.conf")
    if not hba.read_text().startswith("local all me"):
        hba.write_text("local all me scram-sha-256\n" + hba.read_text())
        with psycopg.connect(f"host={socket} user=nnlab dbname=postgres", autocommit=True) as connection:
            connection.execute("select pg_reload_conf()")
    monkeypatch.chdir(tmp_path)
    for name in ("PGPASSWORD", "NNLAB_STORAGE", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return f"postgresql+psycopg://me:{SECRET}@/postgres?host={socket}"


def _there(connection) -> bool:
    return bool(connection.execute("select 1 from pg_roles where rolname = 'me'").fetchone())


def test_a_sweep_keeps_its_password_to_itself(guarded, tmp_path, capfd):
    overrides = [*IRIS[:2], "model.hidden=[4]", LR, "batch=2", f"storage='{guarded}'"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-m", "nnlab", "sweep", *overrides, "trials=4"]
    process = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    (folder,) = (tmp_path / "outputs/sweep").iterdir()
    assert (folder / "report.html").exists() and not (folder / "study.journal").exists()
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    names = " ".join(map(str, tmp_path.rglob("*")))
    assert b"hunter2" not in everything and "hunter2" not in process.stdout + process.stderr + names
    assert "postgres" not in folder.name and "postgres" not in sweep_json(folder)["study"]
    assert "me:***@" in yaml.safe_load((folder / "config.yaml").read_text())["storage"]

    # Without the password: a sentence, and nothing is asked for. With it, from wherever, it goes on.
    assert main(["sweep", f"resume={folder}", "trials=6"]) == 2
    captured = capfd.readouterr().err
    assert captured.count("\n") == 1 and "NNLAB_STORAGE" in captured and "PGPASSWORD" in captured
    count = 4
    for name, value in (("PGPASSWORD", "hunter2!"), ("NNLAB_STORAGE", guarded), ("PGPASSFILE", "pgpass")):
        Path("pgpass").write_text("*:*:*:me:hunter2!\n")
        Path("pgpass").chmod(0o600)
        os.environ[name] = value
        try:
            count += 2
            assert main(["sweep", f"resume={folder}", f"trials={count}"]) == 0
        finally:
            del os.environ[name]
        assert len(trials_csv(folder)) == count
    assert main(["sweep", f"resume={folder}", "trials=12", f"storage='{guarded}'"]) == 0
    wrong = guarded.replace("hunter2", "hunter3")
    assert main(["sweep", f"resume={folder}", "trials=14", f"storage='{wrong}'"]) == 2
    captured = capfd.readouterr()
    assert "hunter" not in captured.err + captured.out
    Path("pgpass").unlink()
    assert b"hunter2" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_folder_of_before_is_masked_when_it_goes_on(guarded, tmp_path):
    folder = sweep(tmp_path / "s", *IRIS, LR, "trials=2", "batch=2", f"storage='{guarded}'")
    for name in ("sweep.json", "config.yaml"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("me:***@", f"me:{SECRET}@"))
    assert main(["sweep", f"resume={folder}", "trials=4"]) == 0
    assert len(trials_csv(folder)) == 4 and "hunter2" not in (folder / "sweep.json").read_text()


def test_two_sweeps_may_make_one_new_database_at_once(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-m", "nnlab", "sweep", *IRIS, LR, "trials=2", "storage=sqlite:///new.db"]
    both = [
        subprocess.Popen(
            [*line, f"hydra.run.dir={name}"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    stderrs = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], stderrs
