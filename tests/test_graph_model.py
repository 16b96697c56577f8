"""`model=graph`, boxes in a file: a network computes what torch does, and what is wrong is one sentence."""

import random
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml
from model_cases import DAG

import nnlab
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Site
from nnlab.cli import main
from nnlab.graph_file import read_boxes
from nnlab.models.graph_lines import lines_of
from nnlab.records.stored_run import StoredRun

OUT = {"box": "affine", "units": "outputs"}


def affine(units=8, **more) -> dict:
    return {"box": "affine", "units": units, **more}


def built(boxes, shape=(5,), outputs=3):
    return nnlab.GraphModel(boxes=boxes).graph(shape, outputs)


def outputs_of(graph, x, seed=0):
    """(K, m, B) of random weights, and these by name."""
    layout = graph.layout()
    theta = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, layout.size)))
    network = graph.bind(theta, torch.zeros_like(theta), Site(2, x.shape[-1], False, theta))
    weights = {name: leaf.view(theta) for name, leaf in layout.parameters.items()}
    return network.fprop(x), weights


# ---- what is right


def test_a_dag_computes_what_torch_computes():
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 5, 7)))
    y, w = outputs_of(built(DAG), x)
    assert "tied.weight" not in w and "again.weight" in w

    def layer(name, x, weight=None):
        return w[weight or f"{name}.weight"] @ x + w[f"{name}.bias"]

    act = layer("hidden", x).relu()
    total = layer("again", act).tanh() + act
    both = torch.cat([layer("tied", total, "again.weight"), layer("side", x)], 1)
    assert torch.allclose(y, layer("out", both), rtol=1e-12)


def test_the_order_of_lines_and_the_way_inputs_are_written_mean_nothing():
    model = nnlab.GraphModel(boxes=DAG)
    lines = list(model.boxes.items())
    random.Random(0).shuffle(lines)
    other = nnlab.GraphModel(boxes=dict(lines))
    assert other == model and hash(other) == hash(model)
    one, another = (m.graph((5,), 3).nodes for m in (model, other))
    assert [(n.name, n.shape, n.operands) for n in one] == [(n.name, n.shape, n.operands) for n in another]
    assert nnlab.GraphModel(boxes=model.boxes) == model


def test_a_written_activation_is_one_and_decides_how_weights_begin():
    boxes = {
        "a": affine(activation="relu"),
        "b": affine(),
        "drop": {"box": "dropout"},
        "f": {"box": "tanh"},
        "out": OUT,
    }
    graph = built(boxes)
    assert [node.name for node in graph.nodes if node.box] == ["a", "a.relu", "b", "drop", "f", "out"]
    hints = {name: p.activation for name, p in graph.parameters.items() if p.kind == "weight"}
    assert hints == {"a.weight": "relu", "b.weight": "tanh", "out.weight": "identity"}


def test_it_equals_the_mlp_of_the_same_boxes(tmp_path):
    """Names are those of streams: so an mlp written as a graph trains to the same bits."""
    boxes = {"hidden1": affine(9), "relu1": {"box": "relu"}, "dropout1": {"box": "dropout"}, "output": OUT}
    rate = nnlab.Regularizer(dropout=0.2)
    models = nnlab.MLP(hidden=(9,)), nnlab.GraphModel(boxes=boxes)
    fits = [nnlab.fit(nnlab.Experiment(model=m, regularizer=rate, epochs=2)).run() for m in models]
    one, another = (fit.results[0] for fit in fits)
    assert one.weights.keys() == another.weights.keys()
    assert all(np.array_equal(one.weights[name], another.weights[name]) for name in one.weights)


@pytest.mark.parametrize("loss, last", [("cross_entropy", "out"), ("squared_error", "p")])
def test_a_last_box_that_is_an_output_map_is_the_models_output(loss, last):
    """As model.output=softmax: cross-entropy has it built in, squared error has not."""
    e = nnlab.Experiment(model=nnlab.GraphModel(boxes={"out": OUT, "p": {"box": "softmax"}}), loss=loss)
    assert e.graph(e.load().spec).nodes[-1].name == last
    with pytest.raises(nnlab.UserError, match="model.output = 'softmax' does not go with loss"):
        e.__class__(model=e.model, loss="binary_cross_entropy").loss_for(nnlab.Moons().load().spec)


def test_a_rate_of_its_own_drops_as_the_regularizers_does():
    def fit(rate, **regularizer):
        boxes = {"a": affine(), "drop": {"box": "dropout", "rate": rate}, "out": OUT}
        e = nnlab.Experiment(
            model=nnlab.GraphModel(boxes=boxes),
            regularizer=nnlab.Regularizer(**regularizer),
            epochs=1,
            seeds=2,
        )
        return nnlab.fit(e).run().results[1].weights["a.weight"]

    assert np.array_equal(fit(0.3), fit("dropout", dropout=0.3))
    assert not np.array_equal(fit(0.3), fit("dropout"))


# ---- what is wrong

CYCLE = {"a": affine(input="c"), "b": affine(), "c": affine(), "out": OUT}
WRONG = {
    "no boxes": ({}, "model.boxes: there are none; write model.file=net.yaml"),
    "an unknown box": (
        {"a": {"box": "afine"}, "out": OUT},
        "model.boxes.a: unknown box 'afine'; did you mean 'affine'",
    ),
    "no box": ({"a": {"units": 3}, "out": OUT}, "model.boxes.a: no `box` says what it is"),
    "an unknown field": (
        {"a": affine(unit=3), "out": OUT},
        "model.boxes.a.unit: box 'affine' has no such key; did you mean 'units'",
    ),
    "no field": ({"a": {"box": "affine"}, "out": OUT}, "model.boxes.a: box 'affine' needs units"),
    "a wrong value": (
        {"a": affine("many"), "out": OUT},
        "model.boxes.a.units = 'many': expected a whole number",
    ),
    "a wrong rate": (
        {"a": {"box": "dropout", "rate": 1.5}, "out": OUT},
        "model.boxes.a.rate = 1.5: expected one of dropout, .* at least 0 and below 1",
    ),
    "an unknown activation": (
        {"a": affine(activation="rel"), "out": OUT},
        "model.boxes.a.activation: unknown activation 'rel'; did you mean 'relu'",
    ),
    "a cycle": (CYCLE, "in a circle, (a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c)"),
    "itself": ({"a": affine(input="a"), "out": OUT}, "in a circle, a -> a"),
    "a cycle of leaves": (
        {"a": affine(5, weight="b.weight"), "b": affine(5, weight="a.weight"), "out": OUT},
        "in a circle, a -> b -> a",
    ),
    "an unread box": (
        {"a": affine(), "b": affine(input="input"), "out": OUT},
        "no box reads 'a'; only one may be unread, the output, and that would be 'out'",
    ),
    "an unknown input": (
        {"hidden": affine(), "out": {**OUT, "input": "hiden"}},
        "model.boxes.out.input = 'hiden': there is no box of that name; did you mean 'hidden'",
    ),
    "an input that is no name": (
        {"out": {**OUT, "input": 3}},
        "model.boxes.out.input = 3: expected the name of a box, 'input' for the data",
    ),
    "no input": ({"out": {**OUT, "input": []}}, "model.boxes.out.input = .*: expected the name of a box"),
    "too many inputs": (
        {"a": affine(), "out": {**OUT, "input": ["a", "input"]}},
        "model.boxes.out: box 'affine' reads 1 input, not 2",
    ),
    "too few inputs": (
        {"a": {"box": "multiply"}, "out": OUT},
        "model.boxes.a: box 'multiply' reads 2 inputs, not 1",
    ),
    "one of a sum": (
        {"a": {"box": "add"}, "out": OUT},
        "model.boxes.a, add of 'input' .5,.: it takes two inputs or more",
    ),
    "shapes of a sum": (
        {"a": affine(), "b": {"box": "add", "input": ["a", "input"]}, "out": OUT},
        r"boxes.b, add of 'a' \(8,\) and 'input' \(5,\): the shapes \(8,\) and \(5,\) differ",
    ),
    "a part that is none": (
        {"a": {"box": "slice", "start": 2, "stop": 9}, "out": OUT},
        r"model.boxes.a, slice of 'input' \(5,\): 2 to 9 is not a part of 5 units",
    ),
    "outputs": (
        {"a": affine(), "out": affine(4)},
        r"the output, 'out', is \(4,\) for an example, but data and loss need \(3,\)",
    ),
    "no weights": (
        {"a": {"box": "slice", "start": 0, "stop": 3}},
        "no box has weights, so there is nothing to learn",
    ),
    "an unknown leaf": (
        {"a": affine(5), "b": affine(5, weight="a.wight"), "out": OUT},
        "boxes.b, affine of 'a' .*: weight = 'a.wight': box 'a' has no leaf 'wight'; did you mean",
    ),
    "a leaf of none": (
        {"a": affine(5), "b": affine(5, weight="c.weight"), "out": OUT},
        "model.boxes.b.weight = 'c.weight': there is no box of that name; allowed: a, b, out",
    ),
    "no leaf of its own": (
        {"a": affine(5), "b": affine(5, weigh="a.weight"), "out": OUT},
        "weigh: there is no such key; did you mean 'weight'",
    ),
    "shapes of a leaf": (
        {"a": affine(5), "b": affine(6, weight="a.weight"), "out": OUT},
        r"weight = 'a.weight' has the shape \(5, 5\), and \(6, 5\) is needed",
    ),
    "an unknown box on a leaf": (
        {"a": affine(weight={"box": "dropconect"}), "out": OUT},
        "model.boxes.a.weight: unknown box 'dropconect'; did you mean 'dropconnect'",
    ),
    "a name with a dot": (
        {"a.b": affine(), "out": OUT},
        "a box cannot be called 'a.b': expected letters, digits",
    ),
    "the name of the data": ({"input": affine(), "out": OUT}, "a box cannot be called 'input'"),
    "a line that is none": (
        {"a": "relu", "out": OUT},
        "model.boxes.a = 'relu': expected a box with its keys",
    ),
    "a value that is none": (
        {"a": {"box": "relu", "slope": {1, 2}}, "out": OUT},
        "model.boxes.a.slope is a set, which is not a setting",
    ),
    "thousands of boxes": (
        {f"a{n}": affine() for n in range(5000)},
        "model.boxes has 5,000: expected 1,000 at most",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_one_sentence(kind):
    boxes, sentence = WRONG[kind]
    with pytest.raises(nnlab.UserError, match=sentence):
        built(boxes)


def test_a_graph_of_a_thousand_boxes_is_built():
    boxes = {f"a{n}": {"box": "relu"} for n in range(999)} | {"out": OUT}
    assert len(built(boxes).nodes) == 1 + 999 + 3


def mutated(tree: dict, draw: random.Random):
    """The boxes of `DAG` with some of their names, keys and values gone, doubled, or another's."""
    boxes = {name: dict(line) for name, line in tree.items()}
    for _ in range(draw.randint(1, 3)):
        name = draw.choice([*boxes])
        line = boxes[name]
        key = draw.choice([*line]) if line else "box"
        junk = [
            None,
            True,
            -1,
            0,
            2.5,
            1e300,
            "",
            "..",
            "a.b",
            "out",
            "outputs",
            [],
            [[]],
            {},
            {"box": "relu"},
            ["act"] * 3,
        ]
        match draw.randint(0, 5):
            case 0:
                del boxes[name]
            case 1:
                line.pop(key, None)
            case 2:
                line[key] = draw.choice(junk)
            case 3:
                line[draw.choice(["input", "weight", "bias", "units", "rate", "box"])] = draw.choice(
                    [*junk, *boxes, *(f"{other}.weight" for other in boxes)]
                )
            case 4:
                boxes[draw.choice(["x", "é", "act", "input", "a b", "1"])] = dict(
                    draw.choice([*boxes.values()])
                )
            case 5:
                line["box"] = draw.choice(
                    ["relu", "add", "affine", "slice", "embedding", "softmax", "scale", "multiply"]
                )
        if not boxes:
            break
    return boxes


def test_mutated_graphs_are_graphs_or_one_sentence():
    draw, sentences, right = random.Random(0), set(), 0
    for _ in range(600):
        boxes = mutated(DAG, draw)
        try:
            graph = built(boxes)
        except nnlab.UserError as e:
            sentences.add(str(e))
            assert "model.boxes" in str(e), boxes
            continue
        right += 1
        y, _ = outputs_of(graph, torch.zeros(2, 5, 4, dtype=torch.float64))
        assert y.shape == (2, 3, 4), boxes
    assert right > 20 and len(sentences) > 100


# ---- a file

NET = """
boxes:
  hidden: {box: affine, units: 12}
  act: {box: relu}
  both: {box: concatenate, input: [.., hidden]}
  out: {box: affine, units: outputs}
"""
FILES = {
    "an empty file": ("", "is empty: expected boxes:"),
    "no mapping": ("- a\n- b\n", "has no keys"),
    "another key": ("boxs: {a: 1}\n", "unknown key 'boxs'; a graph's file is boxes:"),
    "no boxes": ("boxes: 3\n", "expected boxes by their names"),
    "a name twice": (NET + "  act: {box: tanh}\n", "line 7: 'act' stands in line 4 already"),
    "a field twice": (
        "boxes:\n  out: {box: affine, units: 3, units: 4}\n",
        "line 2: 'units' stands in line 2 already",
    ),
    "a reference": ("boxes:\n  out: {box: affine, units: '${oc.env:HOME}'}\n", "refers to something by"),
    "no YAML": ("boxes: {a: [}\n", "is not YAML"),
    "a tag": ("boxes: !!python/object/apply:os.system ['touch HACKED']\n", "is not YAML"),
    "aliases": (
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{k}: &{k} [{','.join(['*' + p] * 9)}]\n" for p, k in pairwise("abcdefg")),
        "values",
    ),
    "a key that is no word": ("boxes: {on: {box: relu}}\n", "the key True is not a word; in quotes it is"),
    "brackets": ("boxes: " + "[" * 3000 + "]" * 3000 + "\n", "nested too deep"),
    "a wrong box": (NET.replace("relu", "rleu"), "model.boxes.act: unknown box 'rleu'; did you mean 'relu'"),
    "shapes": (
        NET.replace("concatenate, input: [.., hidden]", "add, input: [.., input]"),
        r"add of 'act' \(12,\) and 'input' \(1, 8, 8\): the shapes",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_wrong_file_is_one_sentence_and_leaves_nothing(kind, tmp_path, monkeypatch, capsys):
    text, sentence = FILES[kind]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(text)
    assert main(["train", "model=graph", "model.file=net.yaml", "epochs=1"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    assert re.search(sentence, said), said
    assert [path.name for path in tmp_path.iterdir()] == ["net.yaml"]


def test_a_missing_file_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=graph", "model.file=nte.yaml", "epochs=1"]) == 2
    assert "'nte.yaml' cannot be read: No such file" in capsys.readouterr().err
    assert main(["train", "model=graph", "epochs=1"]) == 2
    assert "write model.file=net.yaml" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_numbers_with_an_exponent_are_numbers(tmp_path):
    (tmp_path / "net.yaml").write_text("boxes: {s: {box: scale, gain: 1e-3}, out: {box: affine, units: 2}}\n")
    assert read_boxes(tmp_path / "net.yaml")["s"]["gain"] == 1e-3
    assert nnlab.GraphModel.from_file(tmp_path / "net.yaml").graph((4,), 2).parameter_count == 4 + 8 + 2


def test_a_run_and_a_sweep_need_the_file_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file, words = tmp_path / "net.yaml", ["model=graph", "model.file=net.yaml", "data=moons"]
    file.write_text(NET)
    assert main(["train", *words, "epochs=2", "model.boxes.hidden.units=9", "hydra.run.dir=run"]) == 0
    searched = ["model.boxes.hidden.units=4,8", "optimizer.lr=1e-3,1e-2", "sampler=grid"]
    assert (
        main(["sweep", *words, *searched, "trials=2", "epochs=1", "report=false", "hydra.run.dir=sweep"]) == 0
    )
    file.unlink()
    stored = StoredRun(tmp_path / "run")
    assert stored.settings["model"]["boxes"]["hidden"] == {"box": "affine", "units": 9}
    assert nnlab.load(tmp_path / "run").predict(np.zeros((3, 2))).shape[0] == 3
    assert main(["export", "run", "output=net.onnx"]) == 0
    assert main(["train", "resume=run"]) == 0
    assert main(["sweep", "resume=sweep", "trials=4"]) == 0
    assert len(list((tmp_path / "sweep" / "trials").glob("[0-9]*"))) <= 4
    assert nnlab.load(tmp_path / "sweep").rows
    file.write_text(NET.replace("relu", "tanh"))  # the sweep goes on with what it began with
    assert main(["sweep", "resume=sweep", "trials=4"]) == 0
    capsys.readouterr()


def test_files_are_searched_and_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(NET)
    (tmp_path / "b.yaml").write_text(NET.replace("relu", "tanh"))
    words = ["model=graph", "model.file=a.yaml,b.yaml", "data=moons", "epochs=1"]
    assert main(["train", "-m", *words, "hydra.sweep.dir=both"]) == 0
    acts = {
        yaml.safe_load(path.read_text())["model"]["boxes"]["act"]["box"]
        for path in (tmp_path / "both").glob("*/config.yaml")
    }
    assert acts == {"relu", "tanh"}
    assert main(["sweep", *words, "sampler=grid", "report=false", "hydra.run.dir=sweep"]) == 0
    assert main(["sweep", *words[:1], "model.file=a.yaml,c.yaml", "trials=2"]) == 2
    assert "'c.yaml' cannot be read" in capsys.readouterr().err


def test_lines_are_in_an_order_in_which_they_can_be_computed():
    boxes = {"out": {**OUT, "input": "b"}, "b": affine(input="a"), "a": affine(input="input")}
    assert list(lines_of(nnlab.GraphModel(boxes=boxes).boxes)) == ["a", "b", "out"]
    assert isinstance(lines_of(nnlab.GraphModel(boxes=boxes).boxes)["a"].box(3), Affine)
