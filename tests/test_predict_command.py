"""`nnlab predict` and `nnlab evaluate`: results equal to training's, all kinds of files, invalid input."""

import csv
import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as sk
from datafiles import idx_arrays, write_idx

import nnlab as lab
from nnlab import tab
from nnlab.cli import main
from nnlab.commands.run_words import run_overrides
from nnlab.prediction import blocks
from nnlab.prediction.tables import open_examples

pytestmark = pytest.mark.filterwarnings("always::nnlab.errors.Advice")  # which commands print


def read_records(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def output_file(kind="predict", name="predictions.csv") -> Path:
    (folder,) = Path("outputs", kind).iterdir()
    return folder / name


def table(n=120, seed=0):
    """Inputs (n, 3), and a label by the sum of the first two."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 3)).round(3)
    label = np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
    return x, label


def write_csv(path, x, label=None, names=("a", "b", "c"), separator=",", order=(0, 1, 2), **more):
    """A text file with these columns, and `more` of them in front."""
    heads = [*more, *(names[i] for i in order), *(["left"] if label is not None else [])]
    rows = [
        [*(str(column[i]) for column in more.values()), *(str(x[i, j]) for j in order)]
        + ([str(label[i])] if label is not None else [])
        for i in range(len(x))
    ]
    text = "\n".join(separator.join(row) for row in [heads, *rows]) + "\n"
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.write(text)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 2 seeds x 2 folds on a table of text."""
    folder = tmp_path_factory.mktemp("trained")
    write_csv(folder / "train.csv", *table())
    overrides = ["data=csv", f"data.path={folder / 'train.csv'}", "data.target=left", "epochs=5", "seeds=2"]
    assert main(["train", *overrides, "split=kfold", "split.k=2", f"hydra.run.dir={folder / 'run'}"]) == 0
    return folder / "run"


# ---- what is written


@pytest.mark.parametrize("row", [None, 2])
def test_predictions_are_those_of_the_model(trained, row):
    x, _ = table(50, 1)
    write_csv("new.csv", x)
    assert main(["predict", str(trained), "new.csv", *([f"row={row}"] if row else [])]) == 0
    lines, model = read_records(output_file()), lab.load(trained)
    assert [line["prediction"] for line in lines] == model.predict(x, row).tolist()
    p = [[float(line[f"probability_{name}"]) for name in ("no", "yes")] for line in lines]
    assert np.abs(np.array(p) - model.predict_proba(x, row)).max() < 1e-7
    assert list(lines[0]) == ["prediction", "probability_no", "probability_yes"]


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "squared_error"])
def test_on_its_own_test_set_a_run_says_what_training_said(loss, here):
    """With several rows too: test_predictions.csv averages as predict does."""
    overrides = ["data=iris", f"loss={loss}", "seeds=3", "epochs=4", "hydra.run.dir=run"]
    assert main(["train", *overrides]) == 0
    by_training = read_records("run/test_predictions.csv")
    data = lab.Iris().load()
    test_indices = [int(line["example"]) for line in by_training]
    write_csv("new.csv", data.x[test_indices], names=data.features, order=(3, 1, 0, 2))
    assert main(["predict", "run", "new.csv"]) == 0
    for line, expected in zip(read_records(output_file()), by_training, strict=True):
        assert line["prediction"] == expected["prediction"]
        for name in data.classes:
            key = f"probability_{name}"
            assert float(line[key]) == pytest.approx(float(expected[key]), rel=1e-5, abs=1e-7)


def test_columns_in_any_order_with_others_and_an_identifier(trained, capsys):
    x, label = table(30, 2)
    names = [f"k{i}" if i else "=1+1" for i in range(30)]
    more = {"customer_id": names, "note": ["x"] * 30}
    write_csv("new.csv", x, label, separator=";", order=(2, 0, 1), **more)
    assert main(["predict", str(trained), "new.csv"]) == 0
    lines = read_records(output_file())
    assert [line["customer_id"] for line in lines] == ["'=1+1", *names[1:]]
    assert [line["prediction"] for line in lines] == lab.load(trained).predict(x).tolist()
    captured = capsys.readouterr()
    assert "column 'note' is not among the run's inputs, and ignored" in captured.err
    assert "left" not in captured.err and "'customer_id'" not in captured.err
    assert captured.err.count("advice") == 2
    assert "the customer_id =1+1 is written '=1+1, with an apostrophe in front: a spread" in captured.err
    assert "30" in captured.out and str(output_file()) in captured.out


@pytest.mark.parametrize("label, is_marked", [("=1+1", True), ("'@a", True), ("-a", True), ("-1.5", False)])
def test_an_advice_where_a_class_has_an_apostrophe_in_front(label, is_marked, capsys, here):
    x, labels = table(20)
    write_csv("train.csv", x, np.where(labels == "yes", label, "no"))
    overrides = ["data=csv", "data.path=train.csv", "data.target=left", "epochs=5", "hydra.run.dir=run"]
    assert main(["train", *overrides]) == 0
    capsys.readouterr()
    assert main(["predict", "run", "train.csv", "output=p.csv"]) == 0
    stderr = capsys.readouterr().err
    assert (f"the class {label} is written '{label}, with an apostrophe in front" in stderr) == is_marked
    assert {line["prediction"] for line in read_records("p.csv")} <= {"'" * is_marked + label, "no"}


@pytest.mark.parametrize("name", ["t.csv.gz", "t.tsv", "table"])
def test_other_text_files(trained, name):
    x, _ = table(20, 3)
    write_csv(name, x, separator="\t" if name.endswith("tsv") else ",")
    assert main(["predict", str(trained), name, "output=p.csv"]) == 0
    assert [line["prediction"] for line in read_records("p.csv")] == lab.load(trained).predict(x).tolist()
    assert not Path("outputs").exists()


def test_a_table_without_names(here):
    x, label = table()
    text = "\n".join(f"{a},{one_label},{b},{c}" for (a, b, c), one_label in zip(x, label, strict=True))
    Path("train.csv").write_text(text)
    overrides = ["data=csv", "data.path=train.csv", "data.target=1", "epochs=3", "hydra.run.dir=run"]
    assert main(["train", *overrides]) == 0
    Path("new.csv").write_text("\n".join(",".join(map(str, row)) for row in x[:10]))
    assert main(["predict", "run", "new.csv", "output=without.csv"]) == 0
    assert main(["predict", "run", "train.csv", "output=with.csv"]) == 0
    expected = lab.load("run").predict(x).tolist()
    assert [line["prediction"] for line in read_records("with.csv")] == expected
    assert [line["prediction"] for line in read_records("without.csv")] == expected[:10]
    assert main(["evaluate", "run", "train.csv"]) == 0


def test_regressions_of_one_and_of_several_targets(here):
    x = np.random.default_rng(0).random((60, 3))
    for name, y in (("one", x.sum(1)), ("two", np.c_[x.sum(1), -x[:, 0]])):
        np.savez(f"{name}.npz", X=x, y=y)
        overrides = ["data=npz", f"data.path={name}.npz", "epochs=3", "seeds=2", f"hydra.run.dir=run_{name}"]
        assert main(["train", *overrides]) == 0
        np.savez("new.npz", x[:7])
        assert main(["predict", f"run_{name}", "new.npz", f"output={name}.csv"]) == 0
        lines, expected = read_records(f"{name}.csv"), lab.load(f"run_{name}").predict(x[:7])
        predictions = np.array([[float(v) for v in line.values()] for line in lines])
        assert np.allclose(predictions, expected.reshape(7, -1), rtol=1e-7)
        assert main(["evaluate", f"run_{name}", f"{name}.npz", f"hydra.run.dir=e_{name}"]) == 0
        report = json.loads(Path(f"e_{name}", "evaluation.json").read_text())["test"]
        predicted = lab.load(f"run_{name}").predict(x)
        assert report["rmse"] == pytest.approx(sk.root_mean_squared_error(y.ravel(), predicted.ravel()))
    assert list(lines[0]) == ["prediction_0", "prediction_1"]


def test_images(here):
    write_idx(here)
    assert main(["train", "data=idx", "data.path=.", "epochs=2", "hydra.run.dir=run"]) == 0
    x = idx_arrays()["t10k-images-idx3-ubyte"]
    expected = lab.load("run").predict(x.reshape(len(x), -1)).astype(str).tolist()
    for number, data in enumerate((".", "t10k-images-idx3-ubyte")):
        assert main(["predict", "run", data, f"output={number}.csv"]) == 0
        assert [line["prediction"] for line in read_records(f"{number}.csv")] == expected
    assert main(["evaluate", "run", "."]) == 0
    report = json.loads(output_file("evaluate", "evaluation.json").read_text())["test"]
    assert report == json.loads(Path("run/rows.json").read_text())[0]["test"]  # to the bit


def test_evaluate_says_that_the_run_was_trained_on_these(capsys):
    x, label = table()
    write_csv("train.csv", x, label)
    write_csv("other.csv", x, label)
    line = ["train", "data=csv", "data.path=train.csv", "data.target=left", "epochs=1"]
    assert main([*line, "hydra.run.dir=run"]) == 0
    assert main(["train", "data=iris", "epochs=1", "hydra.run.dir=iris_run"]) == 0
    capsys.readouterr()
    said = "has the examples that the run was trained on too; see 'run/summary.json' for its test set alone"
    for run, data, is_own in (
        ("run", "./train.csv", True),
        ("run", "other.csv", False),
        ("iris_run", "iris", True),
    ):
        assert main(["evaluate", run, data]) == 0
        stderr = capsys.readouterr().err
        assert (f"advice: {data} {said.replace('run/', f'{run}/')}" in stderr) == is_own


def test_evaluate_reports_what_training_did(trained, capsys):
    x, label = table(80, 4)
    write_csv("labelled.csv", x, label)
    assert main(["evaluate", str(trained), "labelled.csv"]) == 0
    report, model = json.loads(output_file("evaluate", "evaluation.json").read_text()), lab.load(trained)
    assert report["examples"] == 80 and report["test"] == model.evaluate(x, label)
    assert [row["test"] for row in report["rows"]] == [model.evaluate(x, label, row=k) for k in range(4)]
    accuracies = [row["test"]["accuracy"] for row in report["rows"]]
    assert report["metrics"]["test_accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    p = model.predict_proba(x)
    assert report["test"]["loss"] == pytest.approx(sk.log_loss(label, p, labels=["no", "yes"]), rel=1e-9)
    stdout = capsys.readouterr().out
    assert f"test accuracy      {report['test']['accuracy']:.2%}" in stdout and "4 rows alone" in stdout
    assert main(["evaluate", str(trained), "labelled.csv", "row=1", "hydra.run.dir=one"]) == 0
    alone = json.loads(Path("one/evaluation.json").read_text())
    assert alone["test"] == report["rows"][1]["test"] and "rows" not in alone


def test_another_target_column(trained):
    x, label = table(20, 5)
    write_csv("labelled.csv", x, None, truth=label)
    for target in ("truth", "0", "-4"):
        assert main(["evaluate", str(trained), "labelled.csv", f"target={target}"]) == 0


def test_built_in_data_by_name(trained, capsys):
    assert main(["train", "data=iris", "epochs=1", "hydra.run.dir=run"]) == 0
    assert main(["evaluate", "run", "iris"]) == 0
    assert main(["predict", "run", "data=iris", "output=p.csv"]) == 0
    assert [line["prediction"] for line in read_records("p.csv")] == lab.load("run").predict(
        lab.Iris().load().x
    ).tolist()
    assert main(["predict", str(trained), "iris"]) == 2
    assert "other inputs than the run" in capsys.readouterr().err


def test_blocks_do_not_show(trained, monkeypatch):
    x, label = table(50, 6)
    write_csv("new.csv", x, label)
    np.savez("new.npz", X=x, y=label)
    for name in ("new.csv", "new.npz"):
        assert main(["predict", str(trained), name, f"output=whole_{name}.csv"]) == 0
        assert main(["evaluate", str(trained), name, f"hydra.run.dir=whole/{name}"]) == 0
    monkeypatch.setattr(blocks, "MAX_BLOCK_EXAMPLES", 7)
    for name in ("new.csv", "new.npz"):
        assert main(["predict", str(trained), name, f"output=parts_{name}.csv"]) == 0
        assert Path(f"parts_{name}.csv").read_text() == Path(f"whole_{name}.csv").read_text()
        assert main(["evaluate", str(trained), name, f"hydra.run.dir=parts/{name}"]) == 0
        whole, parts = (json.loads(Path(f, name, "evaluation.json").read_text()) for f in ("whole", "parts"))
        assert parts["test"]["confusion_matrix"] == whole["test"]["confusion_matrix"]
        assert parts["test"]["loss"] == pytest.approx(whole["test"]["loss"], rel=1e-6)


CHILD_SCRIPT = """
import json, resource, signal, sys
from nnlab.cli import main
if limit := int(sys.argv[2]):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
codes = []
for words in json.loads(sys.argv[1]):
    codes.append(main(words))
    (peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print("peak", int(peak) // 1024, file=sys.stderr)
sys.exit(max(codes))
"""


def run_in_child(*commands, largest_file=0):
    """Commands one after another in a process of its own.

    `largest_file` in bytes: it cannot write a larger one, as if the disk were full; 0 for no limit.
    """
    argv = [sys.executable, "-W", "ignore", "-c", CHILD_SCRIPT, json.dumps(commands), str(largest_file)]
    return subprocess.run(argv, capture_output=True, text=True)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
def test_memory_does_not_grow_with_the_file(trained, here):
    """A small file of each kind, then large ones of 5 to 30 MB: they raise the peak by less than 20 MB."""
    write_idx(here, idx_arrays(train=40, test=10, side=30))
    assert main(["train", "data=idx", "data.path=.", "epochs=1", "hydra.run.dir=image_run"]) == 0
    commands = []
    for size, lines, examples in (("small", 100, 100), ("large", 100_000, 36_000)):
        x = np.random.default_rng(0).integers(0, 9, (lines, 3))
        write_csv(f"{size}.csv", x, note=["a text that is not read" * 2] * lines)
        pixels = np.zeros((examples, 30, 30), np.uint8)
        np.savez(f"{size}.npz", X=pixels)
        write_idx(here, {f"{size}-images-idx3-ubyte": pixels})
        for name, run in ((f"{size}.csv", trained), (f"{size}.npz", "image_run"),
                          (f"{size}-images-idx3-ubyte", "image_run")):  # fmt: skip
            commands.append(["predict", str(run), name, f"output={name}.out.csv"])
    child = run_in_child(*commands)
    assert child.returncode == 0, child.stderr
    peaks = [int(line.split()[1]) for line in child.stderr.splitlines() if line.startswith("peak")]
    assert len(peaks) == 6 and peaks[-1] - peaks[2] < 20, peaks
    assert len(read_records("large.csv.out.csv")) == 100_000


# ---- which run


def test_a_sweep_means_its_winner(here, capsys):
    overrides = ["data=iris", "epochs=1", "trials=2", "report=false", "hydra.run.dir=s"]
    assert main(["sweep", *overrides]) == 0
    assert main(["predict", "s", "iris", "output=a.csv"]) == 0
    assert main(["predict", "s/best", "iris", "output=b.csv"]) == 0
    assert Path("a.csv").read_text() == Path("b.csv").read_text()
    x = lab.Iris().load().x
    assert np.array_equal(lab.load("s").predict_proba(x), lab.load("s/best").predict_proba(x))
    Path("sweeps").mkdir()
    Path("s").rename("sweeps/s")
    assert main(["predict", "sweeps", "iris"]) == 2
    assert capsys.readouterr().err.endswith("did you mean 'sweeps/s', the only one in it?\n")
    Path("sweeps/s").rename("s")
    Path("s/best").rename("s/other")
    assert main(["predict", "s", "iris"]) == 2
    assert "nnlab sweep resume=s" in capsys.readouterr().err


def test_a_folder_of_runs_names_them(here, capsys):
    assert main(["train", "-m", "data=iris", "epochs=1,2", "hydra.sweep.dir=m"]) == 0
    assert main(["predict", "m", "iris"]) == 2
    stderr = capsys.readouterr().err
    assert "a folder of 2 runs" in stderr and "'m/0_epochs=1'" in stderr and "'m/1_epochs=2'" in stderr
    assert main(["predict", "m/0_epochs=1", "iris", "output=p.csv"]) == 0


def test_a_run_without_weights_yet(trained, capsys, here):
    shutil.copytree(trained, "half")
    for name in ("summary.json", "rows.json", "model.safetensors"):
        Path("half", name).unlink()
    assert main(["predict", "half", "iris"]) == 2
    assert capsys.readouterr().err.endswith("still trains; to go on with it, nnlab train resume=half\n")
    Path("half/checkpoint.safetensors").touch()
    assert main(["predict", "half", "iris"]) == 2
    assert "to go on with it, nnlab train resume=half" in capsys.readouterr().err
    Path("of_all").mkdir()
    Path("half").rename("of_all/0_seed=1")
    Path("of_all/runs.json").write_text('{"runs": ["0_seed=1"]}')
    assert main(["predict", "of_all/0_seed=1", "iris"]) == 2
    assert capsys.readouterr().err.endswith("to go on with it, nnlab train resume=of_all\n")


# ---- wrong words


X, LABEL = table(12, 7)
FILES = {
    "new.csv": lambda path: write_csv(path, X),
    "renamed.csv": lambda path: write_csv(path, X, names=("a", "bb", "c")),
    "lacking.csv": lambda path: write_csv(path, X, order=(0,)),
    "twice.csv": lambda path: write_csv(path, X, names=("a", "b", "c"), order=(0, 1, 2, 1)),
    "bare.csv": lambda path: np.savetxt(path, X, delimiter=","),
    "empty.csv": lambda path: Path(path).write_text(""),
    "header.csv": lambda path: Path(path).write_text("a,b,c\n"),
    "hole.csv": lambda path: Path(path).write_text("a,b,c\n1,2,3\n1,,3\n"),
    "text.csv": lambda path: Path(path).write_text("a,b,c\n1,2,3\n1,two,3\n"),
    "dated.csv": lambda path: Path(path).write_text("a,b,c\n1,2,2026-01-31\n"),
    "text.npz": lambda path: np.savez(path, X=np.full((2, 3), "red")),
    "nan.csv": lambda path: Path(path).write_text("a,b,c\n1,nan,3\n"),
    "ragged.csv": lambda path: Path(path).write_text("a,b,c\n1,2,3\n1,2\n"),
    "huge.csv": lambda path: Path(path).write_text("a,b,c\n1,2,3\n1,1e300,3\n"),
    "wrong.csv": lambda path: write_csv(path, X, ["maybe", *LABEL[1:]]),
    "wide.npz": lambda path: np.savez(path, X=np.zeros((4, 5))),
    "other.npz": lambda path: np.savez(path, a=X, b=X),
    "nan.npz": lambda path: np.savez(path, X=np.array([[1, 2, 3], [1, np.nan, 3]])),
    "x.parquet": lambda path: Path(path).write_bytes(b"PAR1"),
    "broken.npz": lambda path: Path(path).write_bytes(b"PK\x03\x04"),
    "empty_folder": lambda path: Path(path).mkdir(),
}
WRONG = {
    ("predict",): "which run? Write nnlab predict RUN DATA",
    ("predict", "RUN"): "its own test set is in '",
    ("predict", "RUN", "new.csv", "output="): "expected the name of a file",
    ("predict", "new.csv"): "which run? Write nnlab predict RUN new.csv",
    ("predict", "RUN", "none.csv"): "there is no file none.csv",
    ("predict", "RUN", "nwe.csv"): "did you mean 'new.csv'?",
    ("predict", "nowhere", "new.csv"): "there is no folder 'nowhere'",
    ("predict", "empty_folder", "new.csv"): "'empty_folder' is not the folder of a run",
    ("predict", "RUN", "new.csv", "third"): "takes one run and one file of examples",
    ("predict", "RUN", "new.csv", "row=4"): "the model has the rows 0 to 3",
    ("predict", "RUN", "new.csv", "row=first"): "row = 'first': expected a whole number",
    ("predict", "RUN", "new.csv", "rows=2"): "did you mean 'row'?",
    ("predict", "RUN", "new.csv", "output=new.csv"): "'new.csv' exists already",
    ("predict", "RUN", "new.csv", "output=empty_folder"): "'empty_folder' is a folder",
    ("predict", "RUN", "new.csv", "output=no/p.csv"): "there is no folder 'no'",
    ("predict", "RUN", "new.csv", "output=p.xlsx"): "expected a name that ends in .csv, or has no ending",
    ("predict", "RUN", "new.csv", "output=p.csv.gz"): "'p.csv.gz': expected a name that ends in .csv",
    ("export", "RUN", "output=p.csv"): "expected a name that ends in .onnx or .pt2, or has no ending",
    ("predict", "RUN", "new.csv", "output=p.csv", "hydra.run.dir=f"): "leave one of them out",
    ("predict", "RUN", "new.csv", "epochs=3"): "a run keeps what it was trained with",
    ("predict", "RUN", "new.csv", "trials=3"): "a word of nnlab sweep",
    ("predict", "RUN", "new.csv", "target=left"): "predict needs none: the data may have the target's column",
    ("predict", "RUN", "new.csv", "data.target=left"): "target is a word of nnlab evaluate",
    ("predict", "RUN", "new.csv", "format=onnx"): "format is a word of nnlab export",
    ("predict", "RUN", "new.csv", "data.task=regression"): "a run keeps what it was trained with",
    ("evaluate", "RUN", "new.csv", "output=p.csv"): "evaluation.json in the folder of hydra.run.dir=FOLDER",
    ("evaluate", "RUN", "new.csv", "out=p.csv"): "evaluation.json in the folder of hydra.run.dir=FOLDER",
    ("evaluate", "RUN", "new.csv", "optimizer.beta1=0.5"): "a run keeps what it was trained with",
    ("export", "RUN", "device=cpu"): "device is a word of nnlab predict and evaluate",
    ("predict", "RUN", "new.csv", "device=cud"): "device",
    ("predict", "RUN", "new.csv", "-m"): "takes one run and its data",
    ("predict", "RUN", "new.csv", "--row=3"): "did you mean 'row='?",
    ("predict", "RUN", "renamed.csv"): "no column 'b'; it has 'a', 'bb', 'c'",
    ("predict", "RUN", "lacking.csv"): "no column 'b', nor 1 other inputs of the run",
    ("predict", "RUN", "twice.csv"): "several columns of the name 'b'",
    ("predict", "RUN", "bare.csv"): "no line with the names of its columns",
    ("predict", "RUN", "empty.csv"): "empty.csv is empty",
    ("predict", "RUN", "header.csv"): "no examples, only a header",
    ("predict", "RUN", "hole.csv"): "hole.csv, line 3, column 'b': the cell is empty; expected a number",
    ("predict", "RUN", "text.csv"): "line 3, column 'b': 'two' is not a number; expected a number: the run",
    ("predict", "RUN", "dated.csv"): "'2026-01-31' is not a number; expected a number: the run was trained",
    ("predict", "RUN", "text.npz"): "its examples have the dtype <U3, expected real numbers",
    ("predict", "RUN", "nan.csv"): "nan.csv, line 2, column 'b': the value is missing",
    ("predict", "RUN", "ragged.csv"): "ragged.csv, line 3: 2 cells",
    ("predict", "RUN", "huge.csv"): "huge.csv, line 3: the network's outputs are not finite",
    ("predict", "RUN", "wide.npz"): "wide.npz: X has 5 numbers per example; the run was trained on 3",
    ("predict", "RUN", "other.npz"): "no array X",
    ("predict", "RUN", "nan.npz"): "X[1, 1] is nan",
    ("predict", "RUN", "x.parquet"): "save it as CSV",
    ("predict", "RUN", "broken.npz"): "is not a file of numpy.savez",
    ("predict", "RUN", "empty_folder"): "is a folder without t10k-images-idx3-ubyte: expected a file of",
    ("evaluate", "RUN", "empty_folder"): "'empty_folder' is a folder without t10k-images-idx3-ubyte",
    ("predict", "RUN", "digts"): "did you mean 'digits'?",
    ("evaluate", "RUN", "new.csv"): "no column 'left', the run's target",
    ("evaluate", "RUN", "new.csv", "target=b"): "'b': that is an input of the run",
    ("evaluate", "RUN", "new.csv", "target=7"): "new.csv has 3 columns",
    ("evaluate", "RUN", "wrong.csv"): "line 2, column 'left' is 'maybe', a class that the model",
    ("evaluate", "RUN", "wide.npz"): "no array y",
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_words_are_one_sentence_and_leave_nothing(words, trained, capsys, here):
    for name, write in FILES.items():
        write(name)
    before = sorted(here.rglob("*"))
    assert main([str(trained) if word == "RUN" else word for word in words]) == 2
    stderr = capsys.readouterr().err
    assert WRONG[words] in stderr and stderr.count("\n") == 1, stderr
    assert sorted(here.rglob("*")) == before


def test_a_renamed_column_is_named_with_the_nearest(here):
    spec = lab.DataSpec((2,), 1, "regression", features=("sepal_length", "sepal_width"))
    Path("a.csv").write_text("sepal_lenght,sepal_width\n1,2\n")
    with pytest.raises(lab.UserError, match=r"no column 'sepal_length'; did you mean 'sepal_lenght'\?"):
        with open_examples("a.csv", spec, lab.Iris()):
            pass


@pytest.mark.parametrize("cell", ["high", "2026-01-31"])
def test_text_as_the_target_of_a_regression(cell, here):
    """The advice of training, data.task=classification say, is of no use to a trained run."""
    spec = lab.DataSpec((2,), 1, "regression", features=("a", "b"), targets=("y",))
    Path("a.csv").write_text(f"a,b,y\n1,2,{cell}\n")
    with open_examples("a.csv", spec, lab.Iris(), labelled=True) as examples:
        with pytest.raises(lab.UserError, match="expected a number: the run was trained on numbers there"):
            list(examples.blocks())


def test_a_full_disk_is_not_a_fault_of_the_data(trained, here):
    write_csv("new.csv", *table(2000, 8))
    line = ["predict", str(trained), "new.csv"]
    child = run_in_child(line, [*line, "output=p.csv"], largest_file=20_000)
    assert child.returncode == 1, child.stderr
    assert child.stderr.count("cannot be written: File too large") == 2 and "new.csv" not in child.stderr
    assert not Path("p.csv").exists() and not list(here.glob("*p.csv*"))
    assert not Path("outputs").exists()


@pytest.mark.parametrize("words, expected", [
    (["a=b/c", "d"], ["run='d'", "a=b/c"]),  # a slash in the value makes no path of it
    (["out/a_lr=0.1,x=[1]", "my data (1).csv"], ["run='out/a_lr=0.1,x=[1]'", "data='my data (1).csv'"]),
    (["data=it's.csv", "r"], ["run='r'", "data='it\\'s.csv'"]),
    (["model=r", "file=d", "out=p"], ["run='r'", "data='d'", "output='p'"]),
    (["run=7", "data.path=d"], ["run='7'", "data='d'"]),
])  # fmt: skip
def test_words_and_their_keys(words, expected):
    assert run_overrides("predict", words) == expected


@pytest.mark.parametrize("typed, offers", [
    ("nnlab predict ", ["runs/"]),
    ("nnlab predict r", ["runs/"]),
    ("nnlab predict runs/", ["runs/a/"]),
    ("nnlab predict runs/a ", ["new.csv", "runs/"]),
    ("nnlab predict run=runs/a n", ["new.csv"]),
    ("nnlab predict run=ru", ["run=runs/"]),
    ("nnlab export ", ["runs/"]),
    ("nnlab export runs/a ", ["dtype=", "format=", "output=", "row="]),
    ("nnlab export runs/a format=", ["format=onnx", "format=torch"]),
    ("nnlab predict runs/a data=", ["data=new.csv", "data=runs/"]),
    ("nnlab predict runs/a new.csv ", ["coverage=", "device=", "output=", "row="]),
    ("nnlab evaluate runs/a new.csv d", ["device="]),
    ("nnlab evaluate runs/a new.csv device=c", ["device=cpu"]),
    ("nnlab evaluate runs/a new.csv hydra.r", ["hydra.run.dir="]),
    ("nnlab evaluate runs/a new.csv --", ["--cfg", "--help"]),
    ("nnlab predict --cfg ", ["all", "hydra", "job"]),
])  # fmt: skip
def test_what_tab_offers(typed, offers, here):
    Path("runs/a").mkdir(parents=True)
    for name in ("runs/a/model.safetensors", "new.csv", "other.doc"):
        Path(name).touch()
    assert sorted(tab.completions(typed)) == offers


def test_help_and_the_settings(trained, capsys):
    for command in ("predict", "evaluate"):
        assert main([command, "--help"]) == 0
        stdout = capsys.readouterr().out
        assert "run=null" in stdout and "data=null" in stdout and "device=cpu" in stdout
        assert max(map(len, stdout.splitlines())) <= 80 and "hydra.sweep" not in stdout
        assert main([command, "row", "--help"]) == 0 and "row=null" in capsys.readouterr().out
        assert main([command, str(trained), "x.csv", "row=2", "--cfg", "job"]) == 0
        assert "data: x.csv\n" in capsys.readouterr().out


def test_the_written_command_repeats_it(trained, here):
    write_csv("my data.csv", *table(10, 9))
    assert main(["predict", str(trained), "my data.csv", "row=1", "hydra.run.dir=first"]) == 0
    line = Path("first/command.txt").read_text()
    assert line == f"nnlab predict {trained} 'my data.csv' row=1\n"
    first = Path("first/predictions.csv").read_text()
    again = f"{sys.executable} -m {line.strip()} hydra.run.dir=second"
    process = subprocess.run(again, shell=True, cwd=here)
    assert process.returncode == 0 and Path("second/predictions.csv").read_text() == first


def test_an_interrupt_leaves_nothing(trained, monkeypatch):
    write_csv("new.csv", *table(10, 9))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nnlab.commands.predict_command.predict_into", interrupted)
    assert main(["predict", str(trained), "new.csv"]) == 130
    assert main(["predict", str(trained), "new.csv", "output=p.csv"]) == 130
    assert not Path("outputs").exists() and not Path("p.csv").exists()
