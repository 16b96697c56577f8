"""`nnlab reproduce`: a table of a user's own, small, from the first word to the verdicts."""

import json
import os
import re
import shlex
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from datafiles import idx_arrays, write_idx
from processes import Started, forked
from test_published_tables import TREE

import nnlab
from nnlab.cli import main
from nnlab.records.multirun_file import stored_run_names
from nnlab.records.stored_run import StoredRun
from nnlab.reproduction.published import VERSIONS
from nnlab.reproduction.reproduction import read_reproduction, to_json
from nnlab.reproduction.table_file import read_table, table_names

EXACT = {"published": {"narrow": {"tanh": 99.0}, "wide": {"tanh": 3.0, "relu": None}}}


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    """A folder with the table, and with what came of the full job."""
    folder = tmp_path_factory.mktemp("flowers")
    (folder / "flowers.yaml").write_text(yaml.safe_dump(TREE | EXACT))
    ended = forked(folder, "reproduce", "flowers.yaml", "full", "hydra.run.dir=done", "threads=1")
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stdout


def written(folder, name="done") -> dict:
    return json.loads((folder / name / "reproduction.json").read_text())


def test_the_cells_are_those_of_nnlab_train(flowers):
    folder, _ = flowers
    for cell in written(folder)["cells"]:
        run = StoredRun(folder / "done" / cell["folder"])
        errors = [row["test"]["error"] for row in run.rows]
        assert cell["values"] == pytest.approx(100 * np.array(errors)) and len(errors) == 3
        assert cell["command"] == run.command
        assert cell["ours"]["mean"] == pytest.approx(100 * np.mean(errors))
        assert {*run.command.split()} >= {"data=iris", "epochs=9", "optimizer=sgd", "seeds=3"}


def test_a_table_is_shown_with_the_words_of_all_its_cells(capsys):
    for name in table_names():
        assert main(["reproduce", name]) == 0
        text = capsys.readouterr().out
        published = read_table(name)
        for version in VERSIONS:
            for cell in published.cells:
                assert {*published.words(cell, version)} <= {*text.split()}, (name, cell)
        assert max(map(len, text.splitlines())) <= 80
        assert main(["reproduce", name, "quick", "--help"]) == 0
        assert capsys.readouterr().out == text
    assert main(["reproduce", name, "optimizer", "--help"]) == 0
    assert capsys.readouterr().out.startswith("optimizer=CHOICE")


@pytest.mark.parametrize(
    ("word", "meant"),
    {
        "fast=1": "allowed: batch_size",
        "epoch=3": "'epochs'",
        "cell=cnn": "'cells'",
        "lr=1": "'optimizer.lr'",
    }.items(),
)
@pytest.mark.parametrize("version", [[], ["quick"]])
def test_an_unknown_key_is_refused_with_a_version_and_without(word, meant, version, capsys):
    assert main(["reproduce", "mnist1d", *version, word]) == 2
    sentence = capsys.readouterr().err
    assert meant in sentence and "unknown key" in sentence and sentence.count("\n") == 1


def test_votes_are_those_of_nnlab_evaluate(tmp_path, monkeypatch):
    """On the test set of a file's own, which evaluate reads too."""
    monkeypatch.chdir(tmp_path)
    write_idx(tmp_path, idx_arrays(train=90, test=60))
    tree = TREE | {
        "settings": ["data=idx", "split=none", "metric=last", "epochs=3"], "claims": [],
        "columns": {"rows": [], "vote": {"measure": "vote_error"}},
        "published": {"wide": {"rows": 1.0, "vote": {"mean": 1.0, "n": 1}}},
    }  # fmt: skip
    Path("votes.yaml").write_text(yaml.safe_dump(tree))
    assert (
        main(["reproduce", "votes.yaml", "full", "data.path=.", "hydra.run.dir=voted", "show=[curves]"]) == 0
    )
    rows, vote = written(tmp_path, "voted")["cells"]
    assert rows["folder"] == vote["folder"] and len(rows["values"]) == 3 and len(vote["values"]) == 1
    assert vote["verdict"]["status"] == "single" and Path("voted/curves.png").stat().st_size > 1000
    model, images = nnlab.load(f"voted/{vote['folder']}"), idx_arrays(train=90, test=60)
    wrong = model.vote(images["t10k-images-idx3-ubyte"]) != model.classes[images["t10k-labels-idx1-ubyte"]]
    assert vote["values"] == pytest.approx([100 * wrong.mean()])


def test_a_run_by_its_own_command_gives_the_same(flowers, tmp_path, monkeypatch):
    folder, _ = flowers
    cell = written(folder)["cells"][0]
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(cell["command"])[1:], "hydra.run.dir=alone"]) == 0
    assert [row["test"]["error"] * 100 for row in StoredRun("alone").rows] == pytest.approx(cell["values"])


def test_verdicts_are_on_the_screen_in_80_columns_and_in_both_files(flowers):
    folder, screen = flowers
    tree, markdown = written(folder), (folder / "done" / "reproduction.md").read_text()
    status = {cell["cell"]: cell["verdict"]["status"] for cell in tree["cells"]}
    assert status["narrow/tanh"] == "outside" and status["wide/relu"] == "unpublished"
    assert tree["label"] == "full, the published job" and tree["claims"][0]["status"] in (
        "holds",
        "undecided",
        "reversed",
    )
    for text in (screen, markdown):
        assert re.search(r"narrow/tanh.* 99\.00 .*[\d.]+ below, outside ± ", text)
        assert (
            TREE["title"] in text and TREE["claims"][0] in text and "full, the published job" in text.lower()
        )
    assert max(map(len, screen.splitlines())) <= 80 and "Made up." in markdown
    assert tree["seconds"] > 0
    assert sum(cell["seconds"] for cell in tree["cells"]) == pytest.approx(tree["seconds"])


def test_a_cell_has_the_best_of_several_runs(tmp_path, monkeypatch, capsys):
    """Even where one of them diverges; the one that counts is named, stored, and read again."""
    monkeypatch.chdir(tmp_path)
    rates = ["optimizer.lr=1e30", "optimizer.lr=1e-6", "optimizer.lr=0.1"]
    tree = TREE | {"measure": "train_loss", "unit": "", "quick": {"words": ["epochs=5", "seeds=2"],
                   "cells": ["wide/relu"], "best_of": rates}}  # fmt: skip
    Path("rates.yaml").write_text(yaml.safe_dump(tree))
    assert main(["reproduce", "rates.yaml", "quick", "hydra.run.dir=done"]) == 0
    screen = capsys.readouterr().out
    cell = next(cell for cell in written(tmp_path)["cells"] if "values" in cell)
    diverged, slow, best = (StoredRun(f"done/{name}") for name in stored_run_names(Path("done")))
    assert {row["status"] for row in diverged.rows} == {"diverged"} and "optimizer.lr=0.1" in best.command
    assert cell["values"] == pytest.approx([row["best"]["train_loss"] for row in best.rows])
    assert np.mean(cell["values"]) < np.mean([row["best"]["train_loss"] for row in slow.rows])
    assert cell["chosen"] == "optimizer.lr=0.1" and cell["folder"] == best.path.name
    assert re.search(r"wide/relu .* optimizer\.lr=0\.1 ", screen)
    for text in (screen, Path("done/reproduction.md").read_text()):
        assert "best of 3 settings, chosen by the very values" in " ".join(text.split())
    assert main(["reproduce", "done"]) == 0
    assert capsys.readouterr().out.strip() == screen[screen.index("rates: ") :].strip()
    assert main(["reproduce", "rates.yaml", "quick", "plan=true"]) == 0
    assert "1 cells, 3 runs: 6 rows" in capsys.readouterr().out


def test_reading_the_file_gives_what_was_written(flowers):
    folder, _ = flowers
    tree = written(folder)
    again = to_json(read_reproduction(folder / "done" / "reproduction.json"))
    assert json.loads(json.dumps(again)) == tree


def test_the_folder_shows_it_again_and_trains_nothing(flowers):
    folder, screen = flowers
    before = written(folder)
    ended = forked(folder, "reproduce", "done")
    assert ended.returncode == 0 and written(folder) == before
    assert ended.stdout.strip() == screen[screen.index("flowers: ") :].strip()


@pytest.mark.parametrize("words, label", [
    (["quick"], "quick, not the published job: data=iris epochs=2 seeds=2"),
    (["--quick", "epochs=1", "cells=narrow"], "quick, not the published job: data=iris epochs=1 seeds=2"),
    (["full", "epochs=1", "seeds=2"], "full, not the published job: epochs=1"),
])  # fmt: skip
def test_a_job_that_was_not_published_has_its_label_and_no_published_value(
    flowers, words, label, capsys, monkeypatch
):
    folder, _ = flowers
    monkeypatch.chdir(folder)
    assert main(["reproduce", "flowers.yaml", *words, f"hydra.run.dir={'_'.join(words)}"]) == 0
    screen, tree = capsys.readouterr().out, written(folder, "_".join(words))
    markdown = (folder / "_".join(words) / "reproduction.md").read_text()
    assert tree["label"] == label
    assert {cell["verdict"]["status"] for cell in tree["cells"]} <= {"not judged", "not run"}
    for text in (" ".join(screen.split()), markdown):
        assert label in text or label[0].upper() + label[1:] in text
        assert "99.00" not in text and "outside" not in text and TREE["claims"][0] in text


def test_cells_that_were_not_picked_are_not_run(flowers, capsys, monkeypatch):
    folder, _ = flowers
    monkeypatch.chdir(folder)
    assert main(["reproduce", "flowers.yaml", "full", "cells=wide/tanh", "hydra.run.dir=some"]) == 0
    statuses = {cell["cell"]: cell["verdict"]["status"] for cell in written(folder, "some")["cells"]}
    assert (
        statuses["narrow/tanh"] == statuses["wide/relu"] == "not run" and statuses["wide/tanh"] != "not run"
    )
    assert re.search(r"narrow/tanh +99\.00 +not run", capsys.readouterr().out)
    assert "flowers.yaml full cells=narrow/tanh" in (folder / "some" / "reproduction.md").read_text()


def test_plan_says_what_would_be_trained_and_leaves_nothing(flowers, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", str(flowers[0] / "flowers.yaml"), "full", "plan=true"]) == 0
    text = capsys.readouterr().out
    assert "3 cells, 3 runs: 9 rows" in text and "memory" in text and "of one core" in text
    assert not list(tmp_path.iterdir())


def test_what_was_killed_goes_on_and_comes_out_the_same(tmp_path):
    tree = TREE | {"full": {"words": ["seeds=3", "epochs=120", "checkpoint.epochs=10"]}}
    (tmp_path / "flowers.yaml").write_text(yaml.safe_dump(tree))
    started = Started(tmp_path, "reproduce", "flowers.yaml", "full", "hydra.run.dir=killed")
    until = time.monotonic() + 60
    while not (tmp_path / "killed" / "checkpoint.npz").exists() and not list(
        (tmp_path / "killed").glob("checkpoint*")
    ):
        assert time.monotonic() < until and started.poll() is None
        time.sleep(0.005)
    os.kill(started.pid, signal.SIGKILL)
    assert started.ended().returncode == -signal.SIGKILL
    begun = written(tmp_path, "killed")
    assert begun["claims"] == [] and {c["verdict"]["status"] for c in begun["cells"]} == {"not run"}
    (tmp_path / "flowers.yaml").unlink()  # the folder has all of it
    went_on = forked(tmp_path, "reproduce", "killed")
    assert went_on.returncode == 0, went_on.stderr
    (tmp_path / "flowers.yaml").write_text(yaml.safe_dump(tree))
    assert forked(tmp_path, "reproduce", "flowers.yaml", "full", "hydra.run.dir=whole").returncode == 0
    killed, whole = written(tmp_path, "killed"), written(tmp_path, "whole")
    assert [c["values"] for c in killed["cells"]] == [c["values"] for c in whole["cells"]]
    assert killed["seconds"] is None and "since it was interrupted" in " ".join(went_on.stdout.split())


# ---- words


def test_without_a_table_the_tables_are_listed(capsys):
    assert main(["reproduce"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in table_names())


@pytest.mark.parametrize("name", table_names())
def test_a_table_is_shown_with_its_commands(name, capsys):
    assert main(["reproduce", name]) == 0
    text = capsys.readouterr().out
    assert f"nnlab reproduce {name} quick" in text and f"nnlab reproduce {name} full" in text
    lines = [line for line in text.splitlines() if not line.startswith("    ")]  # to be copied
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("words, phrase", [
    (["mnist1", "quick"], "unknown table 'mnist1'; did you mean 'mnist1d'?"),
    (["quick"], "which table?"), (["seeds=3"], "which table?"), (["cells=cnn"], "which table?"),
    (["mnist1d", "double_descent"], "takes one table"), (["mnist1d", "quick", "full"], "takes one version"),
    (["mnist1d", "quik"], "did you mean 'quick'?"), (["mnist1d", "version=ful"], "version = 'ful'"),
    (["mnist1d", "quick", "cells=cn"], "unknown cell of mnist1d 'cn'"),
    (["mnist1d", "quick", "plan=maybe"], "plan = 'maybe'"),
    (["mnist1d", "quick", "optimizr=sgd"], "did you mean 'optimizer'?"),
    (["mnist1d", "quick", "model=mlp"], "the cells of mnist1d differ in model"),
    (["mnist1d", "quick", "seeds=2,3"], "seeds"), (["-m", "mnist1d", "quick"], "-m: "),
    (["mnist1d", "--fast"], "--fast"), (["no/folder"], "'no/folder'"), (["resume=none"], "'none'"),
    (["there.yaml", "quick"], "'there.yaml' cannot be read"), (["wrong.yaml"], "wrong.yaml"),
    (["resume=none", "mnist1d"], "goes on with its own table"),
])  # fmt: skip
def test_wrong_words_are_one_sentence_and_leave_nothing(words, phrase, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text("title: 3\n")
    assert main(["reproduce", *words]) == 2
    out, err = capsys.readouterr()
    assert phrase in err and err.count("\n") == 1 and err.startswith("nnlab reproduce: ") and not out
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.yaml"]


@pytest.mark.parametrize("change", [
    {"table": None}, {"version": "x"}, {"words": [1]}, {"picked": ["x"]},
    {"name": 3}, {"table": {"title": 1}}, {"cells": 3}, {"cells": [3]},
])  # fmt: skip
def test_a_strangers_file_is_checked(change, flowers, tmp_path):
    tree = written(flowers[0]) | change
    (tmp_path / "reproduction.json").write_text(json.dumps(tree))
    with pytest.raises(nnlab.UserError, match="reproduction.json"):
        read_reproduction(tmp_path / "reproduction.json")


def test_a_strangers_texts_give_no_commands_to_a_terminal(flowers, tmp_path):
    """Neither on the screen nor in reproduction.md, which somebody prints."""
    shutil.copytree(flowers[0] / "done", tmp_path / "done")
    tree = written(tmp_path)
    texts = {"title": "\x1b[31mred", "source": "half \ud800", "notes": ["\x1b]0;title\x07"]}
    tree |= {"command": "nnlab \x1b[31m 'x", "machine": "\u202e", "table": tree["table"] | texts}
    (tmp_path / "done" / "reproduction.json").write_text(json.dumps(tree))
    shown = forked(tmp_path, "reproduce", "done")
    text = (tmp_path / "done" / "reproduction.md").read_text()
    assert shown.returncode == 0 and "\\x1b[31mred" in text and "\\x1b[31mred" in shown.stdout
    assert not {"\x1b", "\x07", "\u202e"} & {*text, *shown.stdout}
