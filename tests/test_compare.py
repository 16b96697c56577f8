"""`nnlab compare`: arms on the same seeds and splits, trained together or read from folders, in pairs."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from in_process import said

from nnlab.records.stored_comparison import read_folders
from nnlab.statistics.comparison import Comparison

SMALL = ("data=iris", "epochs=2", "model.hidden=[4]", "picture=false")
BITS = ("rows.json", "metrics.jsonl")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Runs that are compared again and again, in folders A, B, ...; they are copied before they change."""
    folder = tmp_path_factory.mktemp("compare")
    with contextlib.chdir(folder):
        for name, words in {
            "A": ["seeds=4"], "B": ["seeds=4", "optimizer=sgd"],
            "LATER": ["seeds=3", "optimizer=sgd", "seed=6"],
            "WINE": ["seeds=4", "data=wine"], "SPLIT": ["seeds=4", "split.seed=1"],
            "ONE": ["optimizer=sgd"], "LIMITED": ["seeds=4", "optimizer=sgd", "data.limit=100"],
        }.items():  # fmt: skip
            said("train", *SMALL, *words, f"hydra.run.dir={name}")
        said("train", "-m", *SMALL, "seeds=4", "optimizer.lr=0.1,0.01", "hydra.sweep.dir=M")
        said("compare", *SMALL, "seeds=3", "optimizer=sgd,adam", "data=iris,wine", "hydra.run.dir=C")
    return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch) -> Path:
    """A copy of these folders, in which the test is."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def inside(trained, monkeypatch):
    """The folders themselves, for tests that write nothing."""
    monkeypatch.chdir(trained)


def refused(*argv) -> str:
    """The one sentence of wrong input, which leaves nothing behind."""
    before = {*Path(".").rglob("*")}
    sentence = said("compare", *argv, code=2)
    assert sentence.count("\n") == 1 and sentence.startswith("nnlab compare: "), sentence
    assert {*Path(".").rglob("*")} == before
    return sentence


def compared(folder) -> dict:
    return json.loads((Path(folder) / "compare.json").read_text())


def comparison(folder, data, measure) -> Comparison:
    return Comparison.from_json(compared(folder)["comparisons"][data][measure])


# ---- Training


def test_arms_train_on_every_data_set_and_are_compared_by_all_that_is_measured(inside):
    file = compared("C")
    assert file["command"].startswith("nnlab compare data=iris") and file["measure"] == "auto"
    assert file["data"] == ["iris", "wine"]
    assert file["arms"] == [{"name": f"optimizer={o}", "words": [f"optimizer={o}"]} for o in ("sgd", "adam")]
    assert {*file["comparisons"]} == {"iris", "wine"}
    for arm, data in (("optimizer=sgd", "iris"), ("optimizer=adam", "wine")):
        (name,) = file["runs"][arm][data]
        rows = json.loads(Path("C", name, "rows.json").read_text())
        values = np.array([row["test"]["error"] for row in rows])
        (stored,) = [each for each in comparison("C", data, "test_error").arms if each.name == arm]
        assert stored.mean == pytest.approx(values.mean()) and stored.std == pytest.approx(values.std(ddof=1))
        assert [row["seed"] for row in rows] == [0, 1, 2]
        assert f"data={data}" in Path("C", name, "command.txt").read_text()
    measures = {"test_error", "test_loss", "test_accuracy", "val_loss", "train_error"}
    assert measures <= {*file["comparisons"]["iris"]}
    names = json.loads(Path("C/runs.json").read_text())["runs"]
    assert [names[0]] == file["runs"]["optimizer=sgd"]["iris"]


def test_a_run_of_an_arm_is_what_its_own_command_trains(here):
    (name,) = compared("C")["runs"]["optimizer=adam"]["wine"]
    words = Path("C", name, "command.txt").read_text().split()[2:]
    said("train", *[word.strip("'") for word in words], "hydra.run.dir=alone")
    for file in BITS:
        assert Path("C", name, file).read_bytes() == Path("alone", file).read_bytes()


def test_ten_seeds_by_default_unless_an_experiment_has_its_own(tmp_path, monkeypatch):
    from nnlab.commands import compare_words
    from nnlab.commands.command_line import CommandLine

    plan = compare_words.read(CommandLine("compare", ("optimizer=sgd,adam",)))
    assert [run.settings["seeds"] for run in plan.runs] == [10, 10]
    assert all(run.command.endswith(" seeds=10") for run in plan.runs)
    plan = compare_words.read(CommandLine("compare", ("experiment=lecture/schedules",)))
    assert len(plan.runs) > 1 and {run.settings["seeds"] for run in plan.runs} == {5}


def test_arms_of_equal_bits_are_identical_and_of_two_tasks_each_has_its_measure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("data=iris,diabetes", "picture=false", "epochs=1", "model.hidden=[3]", "seeds=2")
    words = (*words, "schedule=step", "schedule.every=5,6")  # after the end
    text = said("compare", *words, "hydra.run.dir=x")
    assert text.count("have the same ") >= 2 and "RMSE" in text
    for data, measure in {"iris": "test_error", "diabetes": "test_rmse"}.items():
        (pair,) = comparison("x", data, measure).pairs
        assert pair.verdict == "identical"


def test_an_arm_of_which_every_row_diverged_is_exit_code_1_and_everything_is_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (
        "data=diabetes",
        "picture=false",
        "epochs=2",
        "model=linear",
        "optimizer=sgd",
        "seeds=2",
        "hydra.run.dir=x",
    )
    text = said("compare", *words, "optimizer.lr=0.01,1e30", code=1)
    assert "diverged in 2 of 2 seeds" in text
    said("compare", "x", code=1)
    assert [arm.diverged for arm in comparison("x", "diabetes", "test_rmse").arms] == [0, 2]


@pytest.mark.parametrize(
    "words",
    [
        "threads=1,2",
        "histograms=0,1",
        "record=[],[weight_norm]",
        "metrics=[],[f1_macro]",
        "regularizer.small=0.1,0.01",
        "optimizer=sgd,adam threads=1,2",
        "threads=1,2 data=diabetes,wine",
        "threads=1,2 tune=2",
    ],
)
def test_arms_that_train_the_same_are_refused(words):
    assert "train the same networks" in refused("epochs=1", "seeds=2", "plan=true", *words.split())


WRONG_WORDS = {
    "": "give a key several values",
    "optimizer=adam": "write optimizer=adam,sgd",
    "model.hidden=[3]": "is one arm",
    "seed=0,1,2": "write seeds=3",
    "seeds=3,4": "write seeds=10",
    "split.seed=0,1": "split.repeats=10",
    "split=holdout,kfold": "the same splits",
    "optimizer=adam,adam": "two arms are the same",
    "data=iris,wine": "these are data sets",
    "data.noise=0.1,0.2 data=spirals": "these are data sets",
    "optimizer=sgd,adam seeds=1": "does not say what is chance",
    "optimizer=sgd,adam seeds=+5": "nnlab compare FOLDER seeds=+5",
    "optimizer=sgd,adam -m": "leave -m out",
    "optimizer=sgd,adam -cn train": "its own configuration",
    "optimizer=sgd,adam resume=C": "nnlab train resume=FOLDER",
    "optimizer=sgd,admm": "did you mean",
    "optimizr=sgd,adam": "did you mean 'optimizer'",
    "optimizer=sgd,adam mesure=val_loss": "did you mean 'measure'",
    "optimizer=sgd,adam measure=val_los": "did you mean 'val_loss'",
    "optimizer=sgd,adam measure=val_loss,val_error": "takes one value",
    "optimizer=sgd,adam measure=test_rmse": "is not measured in all rows on iris",
    "optimizer=sgd,adam measure=val_f1_macro": "metrics=[f1_macro]",
    "optimizer=sgd,adam hydra.sweep.dir=x": "hydra.run.dir",
    "optimizer=sgd,adam trials=3": "nnlab sweep",
    "optimizer.lr=interval(0,1)": "an interval has no list of values",
    "data=csv data.path=no.csv optimizer=sgd,adam": "no.csv",
    "loss=squared_error,cross_entropy measure=val_loss": "different kinds",
    "NOFOLDER": "there is no folder 'NOFOLDER'",
    "here.txt": "is a file",
    "A": "has one arm",
    "A A": "has one arm",
    "A WINE": "results on different data are not compared",
    "B WINE": "no data set has all arms",
    "A SPLIT": "split.seed is 0 and 1",
    "A LIMITED": "no data set has all arms",
    "A LATER": "no seed and fold in common",
    "A B WINE SPLIT": "split.seed",
    "A ONE": "seeds=+9",
    "A B epochs=3": "keep the settings",
    "A B measure=foo": "unknown measure 'foo'",
    "A B measure=val_f1": "is not measured in all rows",
    "A B seeds=+2": "one at a time",
    "A B --cfg job": "without options",
    "optimizer=sgd,adam -cd NOFOLDER": "that folder does not exist",
    "C seeds=2": "there are 3 already",
    "C seeds=+0": "expected how many more",
    "C seeds=many": "expected how many more",
    "C seeds=+1 seeds=+2": "twice",
    "C resume=C": "nnlab train resume=FOLDER",
    ".": "is a folder of",
}


@pytest.mark.parametrize("words", WRONG_WORDS)
def test_wrong_words_are_one_sentence_and_leave_nothing(words, inside):
    Path("here.txt").touch()
    line = words.split()
    if any("=" in word for word in line) and not any(Path(word).is_dir() for word in line):
        line += [word for word in SMALL if word.partition("=")[0] not in words]
    assert WRONG_WORDS[words] in refused(*line)


@pytest.mark.parametrize(
    ("words", "remedy"),
    {
        "data=iris data=wine optimizer=sgd,adam": "; for both, write data=iris,wine\n",
        "epochs=2 epochs=1 optimizer=sgd,adam": "; for both, write epochs=2,1\n",
        "optimizer=sgd optimizer=sgd,adam": ", which comes later\n",
    }.items(),
)
def test_a_word_that_a_later_one_overrides_is_advised_against(words, remedy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = said("compare", *words.split(), "model.hidden=[4]", "plan=true")
    first, last, *_ = words.split()
    assert f"advice: {first} is overridden by {last}" in text and remedy in text
    assert "overridden" not in said("compare", last, *words.split()[1:], "optimizer=sgd,adam", "plan=true")


# ---- Folders


@pytest.mark.parametrize(
    ("folders", "arms"),
    {
        "A B": ["optimizer=adam", "optimizer=sgd"],
        "M": ["optimizer.lr=0.1", "optimizer.lr=0.01"],
        "A M/0_optimizer.lr=0.1": ["optimizer.lr=0.003", "optimizer.lr=0.1"],
        "A B LATER": ["optimizer=adam", "optimizer=sgd"],
        "M A B": [
            "optimizer=adam optimizer.lr=0.1", "optimizer=adam optimizer.lr=0.01",
            "optimizer=adam optimizer.lr=0.003", "optimizer=sgd optimizer.lr=0.1",
        ],
        "C B A": ["optimizer=sgd", "optimizer=adam"],
    }.items(),
)  # fmt: skip
def test_arms_of_folders_are_called_by_what_differs(folders, arms, inside):
    stored = read_folders([Path(word) for word in folders.split()])
    assert {*stored.runs} == {*arms}
    text = said("compare", *folders.split())
    assert all(name.split("=")[-1] in text for name in arms)
    assert not Path("A/compare.json").exists() and not Path("M/compare.json").exists()


def test_rows_are_paired_by_their_seed_wherever_they_stand(here):
    before = said("compare", "A", "B")
    rows = json.loads(Path("B/rows.json").read_text())
    Path("B/rows.json").write_text(json.dumps(rows[::-1]))
    assert said("compare", "A", "B") == before
    text = said("compare", "A", "B", "LATER", "WINE")
    assert "optimizer=sgd has further seeds on iris, 6, 7, 8" in text
    assert "'wine' is left out: optimizer=sgd did not train on it" in text


def contents(folder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", [["measure=val_loss"], ["target=0.5"], ["measure=steps", "target=0.5"]])
def test_reading_by_another_measure_writes_nothing(words, here):
    by_own = said("compare", "C")
    before = contents("C")
    by_other = said("compare", "C", *words)
    assert "validation" in by_other and by_other != by_own or words == ["target=0.5"]
    assert contents("C") == before
    assert said("compare", "C") == by_own and compared("C")["measure"] == "auto"


def test_more_seeds_by_another_measure_leave_the_comparison_its_own(here):
    text = said("compare", "C", "seeds=+1", "measure=val_loss")
    assert compared("C")["measure"] == "auto" and text.count("over 2 data sets") > 1
    said("compare", "M", "seeds=+1", "measure=val_loss")  # which become a comparison
    assert compared("M")["measure"] == "val_loss"


def test_settings_that_only_some_sources_have_are_no_arms(tmp_path, monkeypatch):
    """Sources have keys and defaults of their own; where runs on one of them differ in these, arms do."""
    monkeypatch.chdir(tmp_path)
    small = [word for word in SMALL if not word.startswith("data")]
    for data in ("digits", "wine", "sine"):
        words = [*small, f"data={data}", "seeds=2", "epochs=1", "optimizer=sgd,adam"]
        said("train", "-m", *words, f"hydra.sweep.dir={data}")
    for folders in (["digits", "wine"], ["wine", "digits"], ["digits", "wine", "sine"]):
        stored = read_folders(list(map(Path, folders)))
        assert stored.data == tuple(folders) and {*stored.runs} == {"optimizer=sgd", "optimizer=adam"}
        said("compare", *folders)
    assert "is one arm on 2 data sets" in refused(*(f"{data}/0_optimizer=sgd" for data in ("digits", "wine")))
    words = [*small, "data=digits", "seeds=2", "epochs=1", "optimizer=sgd", "data.normalization=none"]
    said("train", *words, "hydra.run.dir=raw")
    stored = read_folders(list(map(Path, ("digits", "raw"))))
    assert len(stored.runs) == 3
    text = said("compare", "digits", "wine", "raw")
    assert "'wine' is left out" in text


def test_unfinished_runs_are_refused(here):
    Path("M/1_optimizer.lr=0.01/summary.json").unlink()
    assert "nnlab train resume=M goes on" in refused("M")
    assert "nnlab train resume=M goes on" in refused("A", "M/1_optimizer.lr=0.01")


def test_folders_of_old_versions_are_compared_by_their_settings_and_splits(here):
    """Without fingerprints."""
    for folder in ("A", "B", "SPLIT", "WINE"):
        file = Path(folder, "summary.json")
        summary = json.loads(file.read_text())
        del summary["fingerprints"]
        file.write_text(json.dumps(summary))
    config = Path("A/config.yaml").read_text()
    older = config.replace("  reconstruct: false\n", "").replace("  repeats: 1\n", "")
    assert config.count("\n") - older.count("\n") == 2
    Path("A/config.yaml").write_text(older)
    said("compare", "A", "B")
    assert "split.seed is 0 and 1" in refused("A", "SPLIT")
    assert "no data set has all arms" in refused("B", "WINE")
    lines = Path("B/splits.jsonl").read_text().replace("[", "[149,", 1)
    Path("B/splits.jsonl").write_text(lines)
    assert "the data changed between them" in refused("A", "B")


def test_more_seeds_of_a_folder_of_an_old_version(here):
    """Without fingerprints its splits are compared; where it has none, nothing is trained."""
    summary = json.loads(Path("ONE/summary.json").read_text())
    del summary["fingerprints"]
    Path("ONE/summary.json").write_text(json.dumps(summary))
    lines = Path("ONE/splits.jsonl").read_text()
    Path("ONE/splits.jsonl").write_text(lines.replace("[", "[149,", 1))
    assert "the data are not those" in refused("ONE", "seeds=+1")
    Path("ONE/splits.jsonl").unlink()
    assert "did not keep which examples train" in refused("ONE", "seeds=+1")
    assert not [*Path("ONE").glob("seeds*")] and not Path("ONE/compare.json").exists()
    Path("ONE/splits.jsonl").write_text(lines)
    said("compare", "ONE", "seeds=+1")
    assert Path("ONE/seeds1/0/rows.json").exists()


def test_settings_that_an_older_version_did_not_know_are_their_defaults(here):
    for folder in ("A", "LATER"):
        file = Path(folder, "config.yaml")
        lines = file.read_text().splitlines(keepends=True)
        kept = [
            line
            for line in lines
            if not line.startswith(("calibrate:", "  label_smoothing:", "  clip_norm:"))
        ]
        assert len(kept) == len(lines) - 3
        file.write_text("".join(kept))
    assert [*read_folders([Path("A"), Path("B"), Path("LATER")]).runs] == ["optimizer=adam", "optimizer=sgd"]


# ---- More seeds


def test_seeds_0_to_4_then_5_to_9_are_those_of_0_to_9(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (*SMALL, "split=kfold", "split.k=2", "optimizer=sgd,adam")
    said("compare", *words, "seeds=10", "hydra.run.dir=whole")
    said("compare", *words, "seeds=5", "hydra.run.dir=parts")
    assert "seeds were added" not in said("compare", "parts")
    assert "seeds were added once" in said("compare", "parts", "seeds=+2")
    assert "seeds were added 2 times" in said("compare", "parts", "seeds=10")
    assert "nothing to train" in said("compare", "parts", "seeds=10")
    assert sorted(p.name for p in Path("parts").glob("seeds*")) == ["seeds5-6", "seeds7-9"]
    assert compared("parts")["comparisons"] == compared("whole")["comparisons"]
    for arm, by_data in compared("parts")["runs"].items():
        of_part = _rows(Path("parts"), by_data["iris"])
        assert of_part == _rows(Path("whole"), compared("whole")["runs"][arm]["iris"])
        assert len(of_part) == 10 * 2


def _rows(folder: Path, names: list[str]) -> dict:
    """(seed, fold) -> the row's results, to the last bit, without its number."""
    rows = [row for name in names for row in json.loads((folder / name / "rows.json").read_text())]
    return {(row["seed"], row["fold"]): {k: v for k, v in row.items() if k != "row"} for row in rows}


def test_more_seeds_of_runs_that_were_not_trained_to_be_compared(here):
    text = said("compare", "M", "seeds=+2")
    assert "optimizer.lr=0.01" in text and compared("M")["runs"]["optimizer.lr=0.1"]["iris"] == [
        "0_optimizer.lr=0.1", "seeds4-5/0_optimizer.lr=0.1",
    ]  # fmt: skip
    said("compare", "ONE", "seeds=4")
    assert compared("ONE")["runs"] == {"one arm": {"iris": [".", "seeds1-3/0"]}}
    assert "optimizer=sgd" in said("compare", "A", "ONE")
    command = Path("M/seeds4-5/0_optimizer.lr=0.1/command.txt").read_text()
    assert "seed=4" in command and "seeds=2" in command and "optimizer.lr=0.1" in command


def test_settings_are_those_of_the_folder_whatever_the_defaults_are_now(here):
    """A run of a version with other defaults, say."""
    for folder in Path("M").glob("[01]*"):
        file = folder / "config.yaml"
        file.write_text(file.read_text().replace("epochs: 2", "epochs: 3"))
    said("compare", "M", "seeds=+1")
    (row,) = json.loads(Path("M/seeds4/0_optimizer.lr=0.1/rows.json").read_text())
    assert row["epochs"] == 3


def test_data_that_changed_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = [f"{a:.3f},{b:.3f},{int(a > b)}" for a, b in rng.normal(size=(60, 2))]
    Path("t.csv").write_text("\n".join(["a,b,y", *lines]))
    words = ("data=csv", "data.path=t.csv", "data.target=y", "epochs=1", "model.hidden=[2]", "seeds=2")
    said("compare", *words, "optimizer=sgd,adam", "hydra.run.dir=x")
    Path("t.csv").write_text("\n".join(["a,b,y", lines[0].replace(lines[0][:5], "0.123"), *lines[1:]]))
    assert "the data are not those" in refused("x", "seeds=+1")
    said("train", *words, "optimizer=adagrad", "hydra.run.dir=y")
    assert "the data changed between them" in refused("x", "y")
    Path("t.csv").unlink()
    assert "t.csv" in refused("x", "seeds=+1")


@pytest.mark.parametrize(
    ("split", "units"),
    {"split=kfold split.k=3": ("split", "seed"), "split.repeats=2": ("split", "split")}.items(),
)
def test_more_seeds_than_one_with_folds_are_other_pairs(split, units, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said("compare", *SMALL, *split.split(), "seeds=1", "optimizer=sgd,adam", "hydra.run.dir=x")
    assert comparison("x", "iris", "test_error").unit == units[0]
    assert ("compared fold by fold" in said("compare", "x", "seeds=+1")) == (units[0] != units[1])
    assert comparison("x", "iris", "test_error").unit == units[1]
    assert "fold by fold" not in said("compare", "x", "seeds=+1")
