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
    "columns": ([], ["optimizer.lr=0.1,0.01,0.001", "regularizer.dropout=0,0.3"], 1),
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


@pytest.mark.parametrize("case", CASES)
def test_each_run_is_what_it_is_alone_bit_for_bit(case, tmp_path):
    common, differs, _ = CASES[case]
    usual = [w for w in USUAL if w.split("=")[0] not in {c.split("=")[0] for c in [*common, *differs]}]
    usual = [w for w in usual if case != "diverging" or "hidden" not in w]
    folders, _ = multirun(*usual, *common, *differs, code=int(case == "diverging"))
    assert len(folders) > 1
    for folder in folders:
        alone = train((folder / "command.txt").read_text(), tmp_path / "alone" / folder.name)
        for name in ("metrics.jsonl", "model.safetensors", "rows.json", "summary.json", "config.yaml"):
            assert (folder / name).read_bytes() == (alone / name).read_bytes(), (folder, name)
        names = [{p.name.split(".")[0] for p in f.iterdir()} for f in (folder, alone)]
        assert names[0] == names[1]


@pytest.mark.parametrize("case", CASES)
def test_runs_share_stacks_by_structure(case, monkeypatch):
    common, differs, stacks = CASES[case]
    made, original = [], Fit.stacks

    def watched(fit, rows=None):
        found = original(fit, rows)
        made.append(([len(stack) for stack in found], rows is fit.rows))
        return found

    monkeypatch.setattr(Fit, "stacks", watched)
    usual = [w for w in USUAL if w.split("=")[0] not in {c.split("=")[0] for c in [*common, *differs]}]
    usual = [w for w in usual if case != "diverging" or "hidden" not in w]
    folders, said = multirun(*usual, *common, *differs, code=int(case == "diverging"))
    trained = [sizes for sizes, of_all in made if of_all]
    assert len(trained) == 1 and len(trained[0]) == stacks  # one fit for all of them
    rows = sum(len(json.loads((f / "rows.json").read_text())) for f in folders)
    assert sum(trained[0]) == rows and f"{len(folders)} runs: {rows} rows in {stacks} stack" in said


def test_a_diverging_run_says_so_and_leaves_its_neighbours_alone():
    folders, said = multirun(
        "data=diabetes", "model=linear", "optimizer=sgd", "epochs=3", "optimizer.lr=1e30,0.01", code=1
    )
    summaries = [json.loads((f / "summary.json").read_text())["rows"] for f in folders]
    assert [s["diverged"] for s in summaries] == [1, 0] and summaries[1]["finished"] == 1
    assert len(json_lines(folders[1] / "metrics.jsonl")) == 3
