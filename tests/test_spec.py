"""The data description of a run (`DataSpec`): JSON round trips, invalid files, networks built from it."""

import contextlib
import io
import json
import math
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datafiles import WRITERS
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import EXAMPLES, OF_IMAGES, OF_VECTORS
from searches import sweep

import nnlab
from nnlab.autodiff.box import Site
from nnlab.cli import main
from nnlab.data import spec as described
from nnlab.data.normalization import smooth_clip_
from nnlab.data.sources import SOURCES
from nnlab.data.spec import LABEL_TYPES, MOST_DIMENSIONS, MOST_ELEMENTS, DataSpec
from nnlab.experiment import Experiment
from nnlab.metrics.tasks import TASKS
from nnlab.models import perceptron
from nnlab.records.files import write_json
from nnlab.records.run_folder import RunFolder
from nnlab.records.stored_run import StoredRun
from nnlab.training.metric_sums import MetricSums
from nnlab.untrusted import read_json

SHIPPED = (
    nnlab.BreastCancer(), nnlab.Diabetes(), nnlab.Digits(), nnlab.Iris(), nnlab.Line(), nnlab.Moons(),
    nnlab.Noise(), nnlab.Sine(), nnlab.Spirals(), nnlab.Wine(), nnlab.Words(),
)  # fmt: skip
DIGITS = nnlab.Digits().load().spec
LINE = nnlab.Line().load().spec
NAME = {"text": st.text(), "integer": st.integers().map(str), "boolean": st.sampled_from("01"),
        "real": st.floats(allow_nan=False).map(str)}  # fmt: skip


@st.composite
def specs(draw):
    """Any spec there may be."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    outputs, examples = draw(st.integers(1, 6)), draw(st.none() | st.integers(0, 10**12))
    labels = draw(st.sampled_from(sorted(LABEL_TYPES)))
    classifies = draw(st.booleans())
    classes = draw(st.lists(NAME[labels], min_size=1, max_size=5, unique=True)) if classifies else []
    outputs = len(classes) or outputs

    def names(count):
        return tuple(draw(st.just([]) | st.lists(st.text(), min_size=count, max_size=count)))

    features, targets = names(math.prod(shape)), names(1 if classes else outputs)
    task = "classification" if classes else "regression"
    return DataSpec(shape, outputs, task, tuple(classes), labels, features, targets, examples)


@settings(max_examples=100, deadline=None)
@given(specs())
def test_a_spec_survives_its_file(tmp_path_factory, spec):
    file = tmp_path_factory.getbasetemp() / "spec.json"
    write_json(file, spec.to_json())
    restored = DataSpec.from_json(read_json(file))
    assert restored == spec and restored.examples == spec.examples
    assert [type(getattr(restored, f.name)) for f in fields(spec)] == [
        type(getattr(spec, f.name)) for f in fields(spec)
    ]
    assert hash(restored) == hash(spec) and restored.to_json() == spec.to_json()


def test_examples_are_information_only():
    assert replace(DIGITS, examples=3) == DIGITS != replace(DIGITS, shape=(8, 8))


WHOLE = {"shape": [4], "outputs": 2, "task": "classification", "classes": ["no", "yes"]}


@pytest.mark.parametrize("change, message", [
    ({"shape": None}, "shape = None: expected 1 to 8 whole numbers from 1, such as [64]"),
    ({"shape": 4}, "shape = 4: expected 1 to 8 whole numbers"),
    ({"shape": []}, "shape = []: expected 1 to 8 whole numbers"),
    ({"shape": [0]}, "shape = [0]: expected 1 to 8 whole numbers"),
    ({"shape": [True]}, "shape = [True]: expected"),
    ({"shape": [4.0]}, "shape = [4.0]: expected"),
    ({"shape": [[4]]}, "shape = [[4]]: expected"),
    ({"shape": [1] * (MOST_DIMENSIONS + 1)}, "shape = [1, 1, 1, 1, 1, 1, ...]: expected 1 to 8"),
    ({"shape": [MOST_ELEMENTS, 2]}, "shape = [1000000000, 2]: expected at most 1,000,000,000 numbers"),
    ({"outputs": 3}, "classes has 2 names, but outputs = 3"),
    ({"outputs": "2"}, "outputs = '2': expected a whole number from 1"),
    ({"outputs": 0, "classes": []}, "outputs = 0: expected a whole number from 1"),
    ({"task": "regresion"}, "task = 'regresion'; did you mean 'regression'?"),
    ({"task": None}, "task = None; allowed: classification, regression"),
    ({"task": ["regression"]}, "task = ['regression']; allowed: classification, regression"),
    ({"task": "regression"}, "classes has 2 names, but task = 'regression' has no classes"),
    ({"classes": "no"}, "classes = 'no': expected a list of names"),
    ({"classes": [0, 1]}, "classes = [0, 1]: expected a list of names"),
    ({"classes": ["no", "no"]}, "classes has one name twice"),
    ({"classes": ["\ud800", "b"]}, "classes = ['\\ud800', 'b']: expected a list of names"),
    ({"classes": None}, "classes = None: expected a list of names"),
    ({"labels": "integer"}, "labels = 'integer', but the class 'no' is none"),
    ({"labels": "boolean"}, "labels = 'boolean', but the class 'no' is none"),
    ({"labels": "words"}, "labels = 'words'; allowed: boolean, integer, real, text"),
    ({"features": ["a"]}, "features has 1 names; expected 4, or none"),
    ({"targets": ["a", "b"]}, "targets has 2 names; expected 1, or none"),
    ({"examples": -1}, "examples = -1: expected a whole number from 0, or null"),
    ({"examples": 1.5}, "examples = 1.5: expected a whole number from 0, or null"),
    ({"feature": []}, "unknown key 'feature'; did you mean 'features'?"),
    ({"encoders": []}, "unknown key 'encoders'"),
])  # fmt: skip
def test_a_wrong_file_is_one_sentence(change, message):
    assert DataSpec.from_json(WHOLE).outputs == 2
    with pytest.raises(nnlab.UserError) as error:
        DataSpec.from_json(WHOLE | change, "run/spec.json")
    assert str(error.value).startswith(f"run/spec.json: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["shape", "outputs", "task"])
def test_a_key_that_is_missing_is_named(key):
    tree = {k: v for k, v in WHOLE.items() if k != key}
    with pytest.raises(nnlab.UserError, match=f"^spec.json: the key '{key}' is missing$"):
        DataSpec.from_json(tree)


@pytest.mark.parametrize("tree", [None, [], 3, "spec", [WHOLE]])
def test_a_file_of_something_else_is_one_sentence(tree):
    with pytest.raises(nnlab.UserError, match="^spec.json: expected a description of data"):
        DataSpec.from_json(tree)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
TREES = st.recursive(LEAVES, lambda t: st.lists(t) | st.dictionaries(st.text(), t), max_leaves=8)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from([*(f.name for f in fields(DataSpec)), "x"]), TREES))
def test_whatever_a_file_says_is_a_spec_or_a_sentence(tree):
    try:
        spec = DataSpec.from_json(WHOLE | tree)
    except nnlab.UserError:
        return
    assert DataSpec.from_json(spec.to_json()) == spec


# ---- what data sets say of themselves


@pytest.mark.parametrize("data", SHIPPED, ids=lambda data: data.name)
def test_a_data_set_is_as_its_spec_says(data):
    dataset = data.load()
    spec = dataset.spec
    assert (spec.examples, spec.inputs) == dataset.x.shape
    assert spec.shape == ((1, 8, 8) if data.name == "digits" else dataset.x.shape[1:])
    assert spec.task == ("classification" if dataset.classes else "regression")
    assert spec.outputs == (len(dataset.classes) or dataset.y.shape[1])
    assert (spec.classes, spec.features) == (dataset.classes, dataset.features)
    few = dataset.select(np.arange(0, len(dataset.x), 3))
    assert few.spec == spec and few.spec.examples == len(few.x)


TABLE = "a,b,who\n" + "".join(f"{i % 5},{i * i % 7},{{}}\n" for i in range(12))


@pytest.mark.parametrize("labels, task, expected", [
    (["yes", "no"], "auto", ["no", "yes"]),
    (["1", "0"], "auto", [0, 1]),
    (["1.0", "2.0"], "auto", [1, 2]),
    (["0.5", "2"], "classification", [0.5, 2.0]),
    (["01", "2"], "classification", ["01", "2"]),
])  # fmt: skip
def test_labels_of_a_table_are_as_they_came(tmp_path, labels, task, expected):
    path = tmp_path / "t.csv"
    path.write_text(TABLE.format(*(labels * 6)))
    spec = nnlab.Csv(path=str(path), target="who", task=task).load().spec
    labels_of_spec = [spec.label(c) for c in range(spec.outputs)]
    assert labels_of_spec == expected and [type(v) for v in labels_of_spec] == [type(v) for v in expected]
    assert spec.targets == ("who",) and spec.features == ("a", "b")


X = np.arange(60.0).reshape(20, 3) % 7


@pytest.mark.parametrize("y, expected", [
    (["b", "a"] * 10, ["a", "b"]),
    ([3, -1] * 10, [-1, 3]),
    ([True, False] * 10, [False, True]),
    (np.eye(2)[[0, 1] * 10], ["0", "1"]),
])  # fmt: skip
def test_labels_of_arrays_are_as_they_came(y, expected):
    spec = nnlab.Arrays(X, y).load().spec
    labels = [spec.label(c) for c in range(spec.outputs)]
    assert labels == expected and [type(v) for v in labels] == [type(v) for v in expected]


def test_labels_that_only_look_alike_are_different_data():
    first, second = (nnlab.Arrays(X, [kind(i % 2) for i in range(20)]) for kind in (int, str))
    assert first != second and first.load().fingerprint() == second.load().fingerprint()


def test_a_series_names_the_target():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    one = nnlab.Arrays(frame[["a", "b"]], frame["c"])
    assert one.load().spec.targets == replace(one, limit=5).load().spec.targets == ("c",)
    assert nnlab.Arrays(X, frame["c"], targets=("mine",)).load().spec.targets == ("mine",)
    with pytest.raises(nnlab.UserError, match="^targets has 2 names; expected 1, or none$"):
        nnlab.Arrays(X, frame["c"], targets=("mine", "yours"))
    two = nnlab.Arrays(frame[["a"]], frame[["b", "c"]]).load().spec
    assert two.targets == ("b", "c") and two.features == ("a",) and two.outputs == 2
    assert nnlab.Arrays(X, frame["c"].to_numpy()).load().spec.targets == ()


def test_a_data_set_may_name_things_in_lists():
    dataset = nnlab.Dataset(X, np.arange(20) % 2, ["a", "b"], ["u", "v", "w"], target_names=["t"], shape=[3])
    assert dataset.spec == DataSpec((3,), 2, "classification", ("a", "b"), "text", ("u", "v", "w"), ("t",))
    with pytest.raises(nnlab.UserError, match=r"^classes = \[0, 1\]: expected a list of names, each a text$"):
        _ = nnlab.Dataset(X, np.arange(20) % 2, [0, 1]).spec
    with pytest.raises(
        nnlab.UserError, match=r"^x has the shape \(20, 3, 1\), expected \(examples, inputs\)"
    ):
        _ = nnlab.Dataset(X[:, :, None], np.arange(20) % 2, ["a", "b"]).spec


def test_tasks_are_those_that_can_be_measured():
    assert set(described.TASK_NAMES) == set(TASKS)


def test_names_that_do_not_go_with_a_data_set_are_refused():
    class Own(nnlab.Data):
        name = "own"

        def read(self):
            return nnlab.Dataset(X, np.arange(20) % 2, ("a", "b"), ("only one",))

    with pytest.raises(nnlab.UserError, match="^data 'own': features has 1 names; expected 3, or none$"):
        Own().load()


# ---- networks of a spec alone


@pytest.mark.parametrize("model", EXAMPLES.values(), ids=EXAMPLES)
@pytest.mark.parametrize("data", SHIPPED, ids=lambda data: data.name)
def test_a_spec_alone_builds_the_network_and_the_loss(data, model):
    e = Experiment(data=data, model=model, epochs=1, seeds=2)
    dataset = data.load()
    spec = DataSpec.from_json(json.loads(json.dumps(dataset.spec.to_json())))
    if model.name == "logistic" and not dataset.classes:
        with pytest.raises(nnlab.UserError, match="needs classes"):
            e.graph(spec)
        return
    if model.name in OF_IMAGES and len(spec.shape) == 1:
        with pytest.raises(nnlab.UserError, match="model=cnn needs images"):
            e.graph(spec)
        return
    fit, graph, loss = nnlab.fit(e).run(), e.graph(spec), e.loss_for(spec)
    for result in fit.results:
        leaves = graph.parameters | graph.buffers
        assert {n: leaf.shape for n, leaf in leaves.items()} == {
            n: w.shape for n, w in result.weights.items()
        }
        assert graph.parameter_count == sum(result.weights[name].size for name in graph.parameters)
    metric_sums = MetricSums(loss, spec, [result.normalizer for result in fit.results], torch.empty(0))
    assert type(metric_sums.task) is TASKS[spec.task]
    assert graph.nodes[-1].shape == (loss.outputs(spec.outputs),)


@pytest.mark.parametrize("model", OF_VECTORS.values(), ids=OF_VECTORS)
def test_vector_models_read_an_image_as_one_line(model):
    image, line = (model.graph(shape, 10) for shape in ((1, 28, 28), (784,)))
    assert image.parameters == line.parameters
    assert [node.shape for node in image.nodes] == [node.shape for node in line.nodes]


def test_images_train_as_their_pixels_do():
    class Images(nnlab.Digits):
        name = "images"

        def read(self):
            return replace(super().read(), shape=(1, 8, 8))

    pixels, images = (nnlab.fit(Experiment(data=d, epochs=2)).run() for d in (nnlab.Digits(), Images()))
    assert images.datasets[Images()].spec.shape == (1, 8, 8)
    assert images.datasets[Images()].spec.dimensions == "1797 x 1 x 8 x 8"
    for name, weight in pixels.results[0].weights.items():
        assert np.array_equal(weight, images.results[0].weights[name])
    with pytest.raises(nnlab.UserError, match=r"shape = \[1, 8, 7\], but an example has 64 numbers"):
        _ = replace(nnlab.Digits().load(), shape=(1, 8, 7)).spec


def test_only_true_parameters_are_counted():
    graph = Experiment().graph(DIGITS)
    assert graph.parameter_count == 64 * 64 + 64 + 64 * 10 + 10 == 4810
    assert graph.multiply_adds == 64 * 64 + 64 * 10
    assert perceptron(3, (5,), 2).parameter_count == 3 * 5 + 5 + 5 * 2 + 2


def test_a_description_needs_no_torch():
    code = "import sys, nnlab.data.spec; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- in run folders


def run(*overrides):
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        assert main(list(overrides)) == 0
    return stdout.getvalue()


def spec_in(folder: Path) -> DataSpec:
    return StoredRun(folder).spec


def test_a_run_folder_says_what_its_data_are_like(tmp_path):
    run("train", "epochs=1", f"hydra.run.dir={tmp_path}/r")
    spec = spec_in(tmp_path / "r")
    assert spec == DIGITS and (spec.examples, spec.targets, spec.label(7)) == (1797, ("digit",), 7)
    assert not (tmp_path / "r/spec.json").stat().st_mode & 0o111


# test_predict_tables.py has this of tables, whose inputs are encoded.
@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"table"}))
def test_a_network_is_built_again_where_the_data_are_gone(tmp_path, name):
    (tmp_path / "data").mkdir()
    given = WRITERS[name](tmp_path / "data")
    overrides = [f"data.{key}={value}" for key, value in given.items()]
    run("train", f"data={name}", *overrides, "epochs=3", f"hydra.run.dir={tmp_path}/r")
    dataset = SOURCES[name](**given).load()
    shutil.rmtree(tmp_path / "data")

    stored = StoredRun(tmp_path / "r")
    (weights,), (n,) = stored.weights.values(), stored.normalizer.values()
    e, spec = stored.experiment, stored.spec
    graph, loss, task = e.graph(spec), e.loss_for(spec), TASKS[spec.task]()
    layout = graph.layout()
    theta = torch.zeros(1, layout.size)
    for parameter, leaf_slice in layout.parameters.items():
        leaf_slice.view(theta)[0] = torch.from_numpy(weights[parameter])

    (fold,) = e.split.folds(dataset)
    x, y = ((v[fold.test] if v.ndim > 1 else v[fold.test, None]).T for v in (dataset.x, dataset.y))
    x = smooth_clip_(torch.from_numpy((x - n["mean"][:, None]) / n["scale"][:, None]).float())
    network = graph.bind(theta, theta, Site(1, x.shape[1], False, theta, e.regularizer.rates(), 1))
    answers = task.to_prediction(loss.scores(network.fprop(x[None]))[0].numpy())
    if not spec.classes:
        answers = answers * n["target_scale"][:, None] + n["target_mean"][:, None]
    tested = stored.rows[0]["test"]
    assert spec == dataset.spec
    for key, value in task.test(answers, y, spec.classes, positive=spec.positive).items():
        expected = value if isinstance(value, list | str) else pytest.approx(value, rel=1e-5)
        assert tested[key] == expected, key


def test_every_run_of_several_says_its_own(tmp_path):
    overrides = ("-m", "data=digits,line,noise", "data.limit=60", "epochs=1", "split.stratify=false")
    run("train", *overrides, f"hydra.sweep.dir={tmp_path}/m", "hydra.sweep.subdir=${hydra:job.num}")
    assert [spec_in(tmp_path / f"m/{n}") for n in range(3)] == [DIGITS, LINE, nnlab.Noise().load().spec]
    assert [spec_in(tmp_path / f"m/{n}").examples for n in range(3)] == [60, 60, 60]


def test_the_winner_of_a_sweep_has_its_own(tmp_path):
    folder = sweep(tmp_path / "s", "data=wine", "trials=2", "epochs=1")
    assert spec_in(folder / "best") == nnlab.Wine().load().spec and not (folder / "spec.json").exists()


def test_a_check_needs_none(tmp_path):
    run("check", "only=start", "data=iris", f"hydra.run.dir={tmp_path}/c")
    assert (tmp_path / "c/check.json").exists() and not (tmp_path / "c/spec.json").exists()


def test_from_python(tmp_path):
    y = np.array(["eins", "zwei", "d\u00fcrr \u2028"])[np.arange(60) % 3]
    fit = nnlab.fit(Experiment(epochs=1), np.resize(X, (60, 3)), y)
    spec = fit.datasets[fit.experiments[0].data].spec
    with RunFolder(tmp_path / "r") as folder:
        folder.start({}, "nnlab train", spec)
    assert spec_in(tmp_path / "r") == spec and spec.classes == tuple(sorted(set(y)))
    assert "\u2028" not in (tmp_path / "r/spec.json").read_text()  # what ends a line is written as a number


def test_a_folder_that_was_lost_gets_it_again(tmp_path):
    with RunFolder(tmp_path / "r") as folder:
        folder.start({}, "nnlab train", DIGITS)
        shutil.rmtree(tmp_path / "r")
        assert folder.save_partial([])
    assert spec_in(tmp_path / "r-2") == DIGITS


# ---- one count of parameters


def test_a_plan_counts_what_is_trained(tmp_path):
    stdout = run("sweep", "trials=2", "plan=true", f"hydra.run.dir={tmp_path}/s")
    assert "each row of 4,810 parameters" in " ".join(stdout.split()) and "4,864" not in stdout
