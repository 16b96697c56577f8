"""`nnlab graph` from the command line."""

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import yaml
from model_cases import DAG, EXAMPLES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nnlab.cli import main
from nnlab.experiment import Experiment
from nnlab.models import MODELS
from nnlab.records.graph_nodes import ShownGraph, ShownNode
from nnlab.records.graph_table import HEADINGS, table_lines


def run(*words):
    return main(["graph", *words])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


@pytest.fixture
def net(here):
    """A graph file with a branch, a sum and a shared leaf."""
    (here / "net.yaml").write_text(yaml.safe_dump({"boxes": DAG}, sort_keys=False))
    return here / "net.yaml"


def words_for(model):
    """Of small data that the model takes."""
    words = {
        "cnn": ["data=digits"], "linear": ["data=diabetes"], "graph": ["data=iris", "model.file=net.yaml"]
    }  # fmt: skip
    return [f"model={model}", *words.get(model, ["data=iris"])]


@pytest.mark.parametrize("model", sorted(MODELS))
def test_the_table_adds_up(net, capsys, model):
    here, words = net.parent, words_for(model)
    assert run(*words, "hydra.run.dir=g") == 0
    made = EXAMPLES[model] if model == "graph" else MODELS[model]()
    experiment = Experiment(model=made, data=words[1].removeprefix("data="))
    screen, graph = capsys.readouterr().out, experiment.graph(experiment.load().spec)
    assert max(map(len, screen.splitlines())) <= 80
    assert re.search(rf"^  parameters +{graph.parameter_count:,}$", screen, re.M)
    assert re.search(rf"^  multiply-adds +{graph.multiply_adds:,} per example$", screen, re.M)
    nodes = json.loads((here / "g" / "graph.json").read_text())["nodes"]
    boxes = [node for node in nodes if node["kind"] not in ("parameter", "buffer")]
    assert sum(node["parameters"] for node in boxes) == graph.parameter_count
    assert sum(node["multiply_adds"] for node in boxes) == graph.multiply_adds
    for node in boxes:
        assert f"  {node['name']} " in screen
    svg = ElementTree.parse(here / "g" / "graph.svg").getroot()
    assert {node["name"] for node in boxes} <= {text.text for text in svg.iter() if text.text}
    assert {f.name for f in (here / "g").iterdir()} == {
        "graph.json", "graph.svg", "config.yaml", "command.txt", ".hydra",
    }  # fmt: skip


@pytest.mark.parametrize("loss, right", [
    ("cross_entropy", "p: built into the loss"),
    ("squared_error", None),
])  # fmt: skip
def test_an_output_map_that_the_loss_has_built_in(net, capsys, loss, right):
    net.write_text(
        "boxes: {a: {box: affine, units: outputs}, d: {box: dropout}, b: {box: affine, units: outputs}, "
        "p: {box: softmax}}"
    )
    assert run(*words_for("graph"), f"loss={loss}", "hydra.run.dir=g") == 0
    lines = re.findall(r"^  left out +(.+)$", capsys.readouterr().out, re.M)
    assert lines == ["d: without effect with these settings", *([right] if right else [])]
    graph = json.loads((net.parent / "g" / "graph.json").read_text())
    assert graph["left_out"] == ["d"] and graph["built_in"] == (["p"] if right else [])
    assert ("p" in [node["name"] for node in graph["nodes"]]) is (right is None)


def test_a_network_of_ones_own(net, capsys):
    assert run(*words_for("graph"), "hydra.run.dir=g") == 0
    screen = capsys.readouterr().out
    assert re.search(r"^  tied +affine 12 +drop, again\.weight +12 +12 +144$", screen, re.M)
    assert run(*words_for("graph"), "gradient=true", "hydra.run.dir=h") == 0
    screen = capsys.readouterr().out
    assert "d again.weight" in screen and "d tied.weight" not in screen
    net.write_text("boxes: {a: {box: affine, units: 3}, b: {box: add, input: [a, input]}}")
    assert run(*words_for("graph")) == 2
    drawn = capsys.readouterr().err
    assert main(["train", *words_for("graph")]) == 2
    assert capsys.readouterr().err == drawn.replace("nnlab graph:", "nnlab train:") and "b" in drawn


def test_a_wide_table_is_wrapped(here, capsys):
    assert run("model.hidden=[64,32]", "regularizer.dropout=0.5", "regularizer.dropconnect=0.1") == 0
    screen = capsys.readouterr().out
    assert max(map(len, screen.splitlines()[:-1])) <= 80
    assert re.search(r"^  hidden1 +affine 64 +input +64 +4,160 +4,096$", screen, re.M)
    assert re.search(r"^  relu1 +relu +64$", screen, re.M)  # it reads the line above


@pytest.mark.parametrize("length", range(1, 61, 4))
def test_words_stay_whole_and_long_ones_lose_their_middle(length):
    """Nothing is broken inside a word, whatever the names: what is printed are words of the cells."""
    names = ["input", *(f"{letter * length}_{n}" for n, letter in enumerate("abc"))]
    nodes = [
        ShownNode(name, "learnt", "convolution_transposed", "convolution, kernel 3", "",
                  (*names[max(0, n - 2) : n], f"{name}.weight"), (64, 32, 28, 28), True, 123_456,
                  9_876_543_210, 0)
        for n, name in enumerate(names)
    ]  # fmt: skip
    lines = table_lines(ShownGraph("", tuple(nodes), (), (), "", 0))
    cells = [word for node in nodes for word in (*node.text.split(), node.shape_text, *node.reads)]
    allowed = {*names, *cells, *(f"{word}," for word in cells), *HEADINGS, "123,456", "9,876,543,210"}
    printed = {word for line in lines for word in line.split()}
    assert max(map(len, lines)) <= 80
    assert {word for word in printed - allowed if not re.fullmatch(r"\w+\.\.\.\w*,?", word)} == set()
    assert printed >= {"123,456", "9,876,543,210", "mult-adds", "input"} | (
        {*names} if length < 10 else set()
    )


def test_wrong_words_are_refused_as_by_train(here, capsys):
    for words in (["model=mlq"], ["epochs=-1"], ["only=start"], ["trials=3"], ["resume=x"], ["data=csv"],
                  ["model=logistic", "data=diabetes"], ["model.hiden=3"]):  # fmt: skip
        assert run(*words) == 2, words
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("nnlab graph: ")
        assert main(["train", *words]) == 2 or words == ["resume=x"]
        assert capsys.readouterr().err.split(": ", 1)[1] == f"{line.split(': ', 1)[1]}\n" or words == [
            "resume=x"
        ]
    assert not list(here.iterdir())


@pytest.mark.parametrize("gradient, parts", [("false", 1), ("true", 2), ("1", 2), ("2", 3)])
def test_gradients(here, capsys, gradient, parts):
    assert run("data=iris", f"gradient={gradient}", "hydra.run.dir=g") == 0
    screen = capsys.readouterr().out
    assert max(map(len, screen.splitlines())) <= 80
    nodes = json.loads((here / "g" / "graph.json").read_text())["nodes"]
    assert {node["order"] for node in nodes} == {*range(parts)}
    assert ("d hidden1.weight" in screen) == (parts > 1) and ("d2 hidden1." in screen) == (parts > 2)
    assert len(re.findall(r"more\s+for\s+the", screen)) == parts - 1
    work = sum(node["multiply_adds"] for node in nodes)
    assert (f"{work:,} in all" in " ".join(screen.split())) == (parts > 1)


@pytest.mark.parametrize("gradient", ["0", "3", "maybe", "null", "1.5"])
def test_other_gradients_are_refused(here, capsys, gradient):
    assert run("data=iris", f"gradient={gradient}") == 2
    assert "gradient = " in capsys.readouterr().err
    assert main(["train", f"gradient={gradient}"]) == 2
    assert "gradient is a word of nnlab graph" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_several_graphs(here, capsys):
    assert run("-m", "data=iris", "model=mlp,linear", "loss=squared_error") == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if line.startswith("iris")]
    assert titles == ["iris (150 x 4, 3 classes), mlp 4-64-3", "iris (150 x 4, 3 classes), linear 4-3"]
    assert len(list(here.glob("outputs/graph/*_multirun/*/graph.svg"))) == 2


def test_a_run_shows_its_network_in_tensorboard(here):
    """Read by TensorBoard's own reader."""
    words = ["data=iris", "epochs=1", "regularizer.dropout=0.5"]
    assert main(["train", *words, "hydra.run.dir=run"]) == 0
    events = EventAccumulator(str(here / "run")).Reload()
    nodes = {node.name: node for node in events.Graph().node}
    assert run(*words, "hydra.run.dir=g") == 0
    shown = json.loads((here / "g" / "graph.json").read_text())["nodes"]
    assert list(nodes) == [node["name"].replace(".", "/") for node in shown]
    hidden = nodes["hidden1"]
    assert hidden.op == "affine" and hidden.input == ["input", "hidden1/weight", "hidden1/bias"]
    (shape,) = hidden.attr["_output_shapes"].list.shape
    assert [dim.size for dim in shape.dim] == [64, -1] and hidden.attr["parameters"].i == 4 * 64 + 64
    assert nodes["dropout1"].attr["settings"].s == b"rate 0.5"


def test_a_report_shows_the_network_of_the_best_trial(here):
    line = ["sweep", "data=iris", "trials=2", "epochs=1", "model.hidden=choice([7],[8])", "hydra.run.dir=s"]
    assert main(line) == 0
    page = (here / "s" / "report.html").read_text()
    (svg,) = re.findall('<svg [^>]*class="nnlab-graph".*?</svg>', page, re.S)
    best = json.loads((here / "s" / "sweep.json").read_text())["best"]["params"]["model.hidden"]
    assert f"mlp 4-{best.strip('[]')}-3" in svg and "screen and (prefers-color-scheme" in svg
    ElementTree.fromstring(svg)


def test_a_screen_of_ascii(here):
    command = [sys.executable, "-m", "nnlab", "graph", "data=iris", "regularizer.dropconnect=0.1"]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "64x4" in done.stdout, done.stderr
