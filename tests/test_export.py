"""`nnlab export`: the files compute what the model does, for every part; wrong words; the card."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import nnlab as lab
from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.boxes import BOXES
from nnlab.autodiff.module import Module
from nnlab.autodiff.operators import OPERATORS, TorchOperators
from nnlab.cli import main
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.losses import LOSSES
from nnlab.prediction import export_check
from nnlab.prediction.export import make_export
from nnlab.prediction.markdown import code, table
from nnlab.prediction.portable import PortableModel
from nnlab.prediction.torch_file import exported_program, program_outputs

pytestmark = pytest.mark.filterwarnings("always::nnlab.errors.Advice")  # which commands print
NEAR = {"float32": 2e-6, "float64": 1e-12}  # of a probability, or of the target's scale
EVERY_ACTIVATION = lab.MLP(hidden=(5,) * len(ACTIVATIONS), activation=tuple(ACTIVATIONS))
CLASSES = [
    (loss, output, data)
    for loss, cls in LOSSES.items()
    for output in ["auto", *(OUTPUTS if cls.map is None else ())]
    for data in (lab.Iris(), lab.Moons(n=90))
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(**settings) -> lab.TrainedModel:
    """Two seeds on two folds of few epochs."""
    settings = {"epochs": 2, "seeds": 2, "split": lab.KFold(k=2), "model": EVERY_ACTIVATION} | settings
    return lab.load(lab.fit(lab.Experiment(**settings)).run())


def examples(model, far=True) -> np.ndarray:
    """The data, and examples that are far from them."""
    x = model.experiment.data.load().x.astype(model.experiment.dtype).reshape(-1, *model.spec.shape)
    return np.concatenate([x, x[:5] * -30]) if far else x


def by_torch(model, row, x):
    """The operators, computed by torch."""
    portable = PortableModel(model, model.rows_for(row), str(x.dtype))
    with torch.no_grad():
        return {k: v.numpy() for k, v in portable.outputs(TorchOperators(), torch.from_numpy(x)).items()}


def by_onnxruntime(content: bytes, x) -> dict[str, np.ndarray]:
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    session = onnxruntime.InferenceSession(content)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"input": x}), strict=True))


def by_onnx(model, row, x):
    pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    return by_onnxruntime(make_export(model, row=row, dtype=str(x.dtype)).content, x)


def assert_near(model, row, x, answers, near):
    classes, expected = model.answers(x.reshape(len(x), -1), row)
    if classes is None:
        scale = np.maximum(model.rows_for(row)[0].normalizer["target_scale"], np.abs(expected).max(0))
        assert answers.keys() == {"prediction"}
        assert answers["prediction"].shape == model.predict(x, row).shape
        assert (np.abs(answers["prediction"].reshape(expected.shape) - expected) / scale).max() < near
        return
    assert answers["probabilities"].shape == expected.shape
    assert np.abs(answers["probabilities"] - expected).max() < near
    top_two = np.sort(expected)[:, -2:]
    is_clear = top_two[:, 1] - top_two[:, 0] > near  # else rounding decides
    assert (answers["prediction"] == classes)[is_clear].all() and answers["prediction"].dtype == np.int64


def assert_all_near(model, row, x, near):
    for computed in (by_torch, by_onnx):  # the second skips where onnxruntime is not installed
        assert_near(model, row, x, computed(model, row, x), near)


def test_every_box_and_loss_has_its_rule():
    """And names no operator but those that there are."""
    for part in [*BOXES.values(), *LOSSES.values()]:
        if part is Module:  # torch's own modules have no rule: a sentence says so
            continue
        assert callable(part.onnx), part
    assert len(OPERATORS) > 20


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("loss, output, data", CLASSES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_classifications_with_every_activation(loss, output, data, dtype):
    model = trained(data=data, loss=loss, dtype=dtype, model=lab.MLP(
        hidden=EVERY_ACTIVATION.hidden, activation=EVERY_ACTIVATION.activation, output=output))  # fmt: skip
    for row in (None, 3):
        x = examples(model)
        assert_all_near(model, row, x, NEAR[dtype])


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("normalization", NORMALIZATION_NAMES)
@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if not loss.needs_classes])
def test_regressions_with_every_normalization(normalization, loss, dtype):
    data = lab.Diabetes(normalization=normalization, target_normalization=normalization)
    model = trained(data=data, loss=loss, dtype=dtype, model=lab.MLP(hidden=(8,)))
    for row in (None, 0):
        x = examples(model)
        assert_all_near(model, row, x, NEAR[dtype])


def test_several_targets_images_and_regularisers():
    """Dropout of every kind is nothing in the file."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(80, 3)), random.normal(size=(80, 2))
    dropout = lab.Regularizer(dropout=0.3, dropconnect=0.2, input_dropout=0.1)
    small = {"model": lab.MLP(hidden=(8, 6)), "regularizer": dropout}
    model = trained(data=lab.Arrays(x, y), **small)
    assert_all_near(model, None, x.astype("float32"), 2e-6)
    images, labels = random.normal(size=(80, 1, 4, 5)), random.choice(["a", "b"], 80)
    flat = trained(data=lab.Arrays(images.reshape(80, 20), labels), **small)
    spec = replace(flat.spec, shape=(1, 4, 5), features=())
    model = lab.TrainedModel(flat.experiment, spec, flat.rows)
    images = images.astype("float32")
    assert_all_near(model, 1, images, 2e-6)


@pytest.mark.parametrize("limit", [None, 5.0])
def test_normalizers_of_old_runs(limit):
    """Of which `bound` has a curve of its own, and some have none; rows of both kinds are refused."""
    model = trained(data=lab.Diabetes())
    for row in model.rows:
        row.normalizer.pop("linear", None)
        if limit:
            row.normalizer.update(linear=np.array(limit), bound=np.array(1.0))
    x = examples(model)
    assert_near(model, None, x, by_torch(model, None, x), 1e-5)
    if limit:
        del model.rows[0].normalizer["bound"]
        with pytest.raises(lab.UserError, match="row=0"):
            by_torch(model, None, x)


@pytest.mark.parametrize("batch", [1, 2, 300])
def test_torch_programs_take_any_number_of_examples(batch, here):
    model = trained(data=lab.Iris(), dtype="float64", model=lab.MLP(hidden=(6,), activation="gelu"))
    if batch == 1:
        (here / "model.pt2").write_bytes(make_export(model, "torch").content)
        loaded = torch.export.load(here / "model.pt2").module()
        answers = {k: v.numpy() for k, v in loaded(torch.from_numpy(examples(model)[:1])).items()}
        assert_near(model, None, examples(model)[:1], answers, 1e-12)
        return
    x = np.resize(examples(model), (batch, 4))
    program = exported_program(PortableModel(model, model.rows_for(None), "float64"))
    assert_near(model, None, x, program_outputs(program)(x), 1e-12)


# ---- the command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two seeds on a table whose labels and columns would be something in Markdown and HTML."""
    folder = tmp_path_factory.mktemp("run")
    random = np.random.default_rng(0)
    x = random.normal(size=(90, 3)).round(3)
    label = np.where(x[:, 0] > 0, "<script>x</script>", "[a](http://evil.example)|`` me@evil.example")
    head = "<img src=x>,a|b,`c`,left"
    lines = [",".join([*map(str, row), one]) for row, one in zip(x, label, strict=True)]
    (folder / "train.csv").write_text("\n".join([head, *lines]) + "\n")
    words = ["data=csv", f"data.path={folder / 'train.csv'}", "data.target=left", "epochs=4", "seeds=2"]
    assert main(["train", *words, f"hydra.run.dir={folder / 'run'}"]) == 0
    return folder / "run"


def test_a_file_and_its_card(run, capsys):
    onnx = pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
    assert main(["export", str(run)]) == 0
    (folder,) = Path("outputs/export").iterdir()
    said = capsys.readouterr()
    assert "90 examples of" in said.out and "train.csv" in said.out and "onnxruntime" in said.out
    assert str(folder / "model.onnx") in said.out
    assert not said.err
    model = lab.load(run)
    x = np.random.default_rng(1).normal(size=(20, 3)).astype("float32")
    answers = by_onnxruntime((folder / "model.onnx").read_bytes(), x)
    assert_near(model, None, x, answers, 2e-6)
    notes = {p.key: p.value for p in onnx.load(folder / "model.onnx").metadata_props}
    assert json.loads(notes["classes"]) == list(model.spec.classes)
    assert json.loads(notes["features"]) == list(model.spec.features) and notes["labels"] == "text"
    outside = without_code((folder / "README.md").read_text())
    for word in ("<", "](", "http", "@", "img"):
        assert word not in outside, outside
    assert "| 0 |" in outside and "test accuracy" in (folder / "README.md").read_text()


SUMMARIES = [
    {"unit": "<b>", "loss_is": "<img src=x>[a](http://evil.example)"},
    {"unit": [], "intervals": 3, "loss_is": {"a": 1}},
    {"metrics": {"test_<b>|": {"mean": 1e308, "high": -1e308}, "val_x": {}, "test_y": {"mean": None}}},
    {"metrics": {"test_accuracy": {"mean": 10**400, "high": 1}}},
    {"metrics": {}},
]


@pytest.mark.parametrize("changed", SUMMARIES, ids=str)
def test_the_card_of_a_strangers_run_has_no_markup_of_theirs(run, changed):
    copied = copy_of(run)
    summary = json.loads((copied / "summary.json").read_text()) | changed
    (copied / "summary.json").write_text(json.dumps(summary))
    (copied / "command.txt").write_text("nnlab train\n```\n<script>x</script>\n")
    assert main(["export", str(copied), "format=torch", "hydra.run.dir=out"]) in (0, 2)
    if Path("out").exists():
        outside = without_code(Path("out/README.md").read_text())
        assert not {"<", "](", "http"} & {*re.findall(r"<|\]\(|http", outside)}, outside


def copy_of(run: Path, **replaced: str) -> Path:
    """The run's files, with some bytes replaced, in a folder `run` here."""
    Path("run").mkdir()
    for file in filter(Path.is_file, run.iterdir()):
        content = file.read_bytes()
        for old, new in replaced.items():
            content = content.replace(old.encode(), new.encode())
        Path("run", file.name).write_bytes(content)
    return Path("run")


def without_code(markdown: str) -> str:
    """What is left of Markdown when blocks and spans of code are taken away."""
    markdown = re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", markdown, flags=re.S | re.M)
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown)


@pytest.mark.parametrize(
    "text", ["a", "`", "``a`", "a`b``c", "<b>", "\n\n# x", "", "a|b", "\x1b[0m", "```\n"]
)
def test_code_is_one_span_on_one_line(text):
    assert without_code(f"x {code(text)} y") == "x  y" and "\n" not in code(text)
    assert table(["a", "b"], [[code(text), "1"]]).count("\n") == 2


def test_the_snippet_runs(run, capsys):
    pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    assert main(["export", str(run), "output=m.onnx", "row=1"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    names = {"x": np.zeros((4, 3))}
    exec("\n".join(lines[lines.index("to use it") + 1 :]), names)
    assert names["probabilities"].shape == (4, 2) and not Path("outputs").exists()
    assert_near(
        lab.load(run), 1, np.zeros((4, 3)), {k: names[k] for k in ("prediction", "probabilities")}, 2e-6
    )


def test_data_that_are_gone_are_drawn(run, capsys):
    copied = copy_of(run, train="gone!")
    assert main(["export", str(copied), "format=torch", "hydra.run.dir=out"]) == 0
    assert "examples drawn at random" in capsys.readouterr().out
    assert {"model.pt2", "README.md", "command.txt"} <= {file.name for file in Path("out").iterdir()}


def test_a_run_that_did_not_end_has_a_card_without_metrics(run, capsys):
    copied = copy_of(run)
    (copied / "summary.json").unlink()
    assert main(["export", str(copied), "hydra.run.dir=out", "format=torch"]) == 0
    assert (
        "did not end" in capsys.readouterr().err and "it was not tested" in Path("out/README.md").read_text()
    )


WRONG = {
    (): "which run?",
    ("RUN", "new.csv"): "takes one run",
    ("nowhere",): "there is no folder 'nowhere'",
    ("RUN", "format=onx"): "did you mean 'onnx'?",
    ("RUN", "row=7"): "the model has the rows 0 to 1",
    ("RUN", "output=m.pt2"): "write format=torch",
    ("RUN", "output=m.onnx", "format=torch"): "write format=onnx",
    ("RUN", "output=no/m.onnx"): "there is no folder 'no'",
    ("RUN", "output=m.onnx", "hydra.run.dir=a"): "leave one of them out",
    ("RUN", "dtype=int8"): "float32",
    ("RUN", "epochs=3"): "epochs",
    ("RUN", "rwo=1"): "did you mean",
    ("RUN", "-m"): "takes one run",
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_words_are_one_sentence_and_leave_nothing(run, words, capsys):
    assert main(["export", *(str(run) if word == "RUN" else word for word in words)]) == 2
    said = capsys.readouterr()
    assert WRONG[words] in said.err and len(said.err.splitlines()) == 1 and not said.out
    assert not [*Path().iterdir()]


@pytest.mark.parametrize(
    "missing, code, said", [("onnx", 2, "pip install onnx"), ("onnxruntime", 0, "not checked")]
)
def test_without_the_libraries(run, missing, code, said, monkeypatch, capsys):
    pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
    if missing == "onnx":
        monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    else:
        monkeypatch.setattr("nnlab.prediction.export.onnxruntime_version", lambda: "")
    assert main(["export", str(run), "output=m.onnx"]) == code
    out = capsys.readouterr()
    assert said in out.err and Path("m.onnx").exists() == (code == 0)


# ---- from Python


@pytest.mark.parametrize("ending", ["onnx", "pt2"])
def test_from_python(ending):
    if ending == "onnx":
        pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    model, x = trained(data=lab.Iris(), model=lab.MLP(hidden=(4,))), np.ones((3, 4), "float32")
    made = lab.export(model, f"m.{ending}", row=1)
    assert made.agreement.examples == 150 and made.agreement.largest < 2e-6
    if ending == "onnx":
        answers = by_onnxruntime(Path("m.onnx").read_bytes(), x)
    else:
        module = torch.export.load("m.pt2").module()
        answers = {name: value.numpy() for name, value in module(torch.from_numpy(x)).items()}
    assert_near(model, 1, x, answers, 2e-6)


@pytest.mark.parametrize("path, more", [("m.h5", {}), ("no/m.pt2", {}), ("m.pt2", {"row": 9}), (3, {})])
def test_from_python_wrong(path, more):
    model = trained(data=lab.Iris(), model=lab.MLP(hidden=(4,)))
    with pytest.raises(lab.UserError):
        lab.export(model, path, **more)
    assert not [*Path().iterdir()]


# ---- parts of others


class Cubed(ACTIVATIONS["relu"]):
    """It computes something else, and has the rule of its base."""

    def fprop(self, ctx, x):
        return torch.pow(x, 3, out=ctx.y)


class NoRule(LOSSES["squared_error"]):
    def scores(self, z):
        return -z


@pytest.mark.parametrize("part", ["box", "loss"])
def test_a_part_without_a_rule_is_named(part, monkeypatch):
    model = trained(data=lab.Iris(), loss="squared_error", model=lab.MLP(hidden=(4,)))
    portable = PortableModel(model, model.rows_for(None), "float32")
    if part == "box":
        graph = model.experiment.graph(model.spec)
        (n,) = [n for n, node in enumerate(graph.nodes) if node.box and node.box.name == "relu"]
        object.__setattr__(graph.nodes[n], "box", Cubed())
        vars(portable)["graph"] = graph
    else:
        vars(portable)["loss"] = NoRule()
    with pytest.raises(lab.UserError, match="Cubed|NoRule.*docs/extending.md"):
        portable.refuse_missing_rules()


def test_a_wrong_rule_is_found_by_the_check(monkeypatch):
    model = trained(data=lab.Iris(), model=lab.MLP(hidden=(8,)), epochs=20)
    monkeypatch.setattr(ACTIVATIONS["relu"], "onnx", lambda self, op, x: op.Neg(x))
    with pytest.raises(lab.UserError, match="would not predict what the model does"):
        make_export(model, "torch")


def test_digits_that_float32_loses_are_advised():
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 2)) + [1e9, 0]
    model = trained(data=lab.Arrays(x, x[:, 0] > 1e9), model=lab.MLP(hidden=(4,)))
    with pytest.warns(lab.Advice, match="dtype=float64"):
        make_export(model, "torch", row=0)
    wide = PortableModel(model, model.rows_for(None), "float64")
    with torch.no_grad():
        answers = wide.outputs(TorchOperators(), torch.from_numpy(x))
    assert_near(model, None, x, {k: v.numpy() for k, v in answers.items()}, 2e-6)


def test_examples_are_random_but_the_same():
    model = trained(data=lab.Iris())
    x = partial(export_check._random, model, None)
    assert (x() == x()).all() and np.isfinite(x()).all()
