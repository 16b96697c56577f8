"""`nnlab train -m`: its runs train as rows of the same stacks, and each folder is that of the run alone."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from searches import json_lines, train

from nnlab.cli import main
from nnlab.fitting import Fit

USUAL = ["data=iris", "epochs=3", "model.hidden=[8]"]
CASES = {  # what is common, what differs, how many stacks there are
    "columns": ([], ["optimizer.lr=0.1,0.01", "regularizer.dropout=0,0.3"], 1),
    "structures": (["regularizer.dropout=0.2"], ["model.hidden=[4],[6,5]", "optimizer=sgd,adam"], 4),
    "seeds": (["seeds=2"], ["seed=0,5", "optimizer.lr=0.1,0.01"], 1),
    "folds": (["split=kfold", "split.k=3"], ["optimizer.lr=0.1,0.01"], 1),
    "splits": ([], ["split.seed=0,1", "epochs=2,4"], 2),
    "data": ([], ["data=iris,wine"], 2),
    "refit": (["refit=true"], ["optimizer.lr=0.1,0.01", "seeds=1,2"], 1),
    "some refit": ([], ["refit=true,false"], 1),
    "stopping": (["stopping=patience", "epochs=12"], ["stopping.patience=1,3", "optimizer.lr=0.3,0.01"], 1),
    "histograms": (["histograms=1"], ["optimizer.lr=0.1,0.01"], 1),
    "diverging": (
        ["data=diabetes", "model=linear", "optimizer=sgd"], ["optimizer.lr=1e30,0.01,1e20", "seeds=2"], 1,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def multirun(*words, code=0) -> tuple[list[Path], str]:
    """The folders of the runs, in their order; what was printed."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        found = main(["train", "-m", *words, "hydra.sweep.dir=m", "hydra.sweep.subdir=${hydra:job.num}"])
    assert found == code, said.getvalue()
    return sorted(Path("m").glob("[0-9]*"), key=lambda folder: int(folder.name)), said.getvalue()


@pytest.fixture
def made(monkeypatch) -> list[list[int]]:
    """The sizes of the stacks of every fit that begins."""
    found, original = [], Fit.stacks

    def watched(fit, rows=None):
        stacks = original(fit, rows)
        if rows is fit.rows:
            found.append([len(stack) for stack in stacks])
        return stacks

    monkeypatch.setattr(Fit, "stacks", watched)
    return found


@pytest.mark.parametrize("case", CASES)
def test_runs_share_stacks_and_each_is_what_it_is_alone_bit_for_bit(case, tmp_path, made):
    common, differs, stacks = CASES[case]
    given = {word.split("=")[0] for word in [*common, *differs]} | (
        {"model.hidden"} if "model=linear" in common else set()
    )
    usual = [word for word in USUAL if word.split("=")[0] not in given]
    folders, said = multirun(*usual, *common, *differs, code=int(case == "diverging"))
    rows = sum(len(json.loads((f / "rows.json").read_text())) for f in folders)
    assert len(folders) > 1 and len(made) == 1  # one fit for all of them
    assert len(made[0]) == stacks and sum(made[0]) == rows
    assert f"{len(folders)} runs: {rows} rows in {stacks} stack" in said
    for folder in folders:
        alone = train((folder / "command.txt").read_text(), tmp_path / "alone" / folder.name)
        for name in ("metrics.jsonl", "model.safetensors", "rows.json", "summary.json", "config.yaml"):
            assert (folder / name).read_bytes() == (alone / name).read_bytes(), (folder, name)
        names = [{p.name.split(".")[0] for p in f.iterdir()} for f in (folder, alone)]
        assert names[0] == names[1]


def test_a_diverging_run_says_so_and_leaves_its_neighbours_alone():
    folders, said = multirun(
        "data=diabetes", "model=linear", "optimizer=sgd", "epochs=3", "optimizer.lr=1e30,0.01", code=1
    )
    summaries = [json.loads((f / "summary.json").read_text())["rows"] for f in folders]
    assert [s["diverged"] for s in summaries] == [1, 0] and summaries[1]["finished"] == 1
    assert len(json_lines(folders[1] / "metrics.jsonl")) == 3
