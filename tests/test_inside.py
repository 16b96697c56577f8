"""What a report finds inside trained networks: flow by layer, first weights, mistakes, and the same data."""

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from mixed_table import Mixed
from networks import one_thread  # noqa: F401
from PIL import Image

import nnlab
from nnlab import UserError
from nnlab.autodiff.box import Site
from nnlab.cli import main
from nnlab.experiment import Experiment
from nnlab.models.tabular import Tabular
from nnlab.prediction.example_cells import example_cells
from nnlab.prediction.first_layer import _first_layer_node, first_layer, input_columns, input_norms
from nnlab.prediction.layer_flow import SHARES, layer_flow
from nnlab.prediction.loading import load_first
from nnlab.prediction.mistakes import class_numbers, places_in, test_predictions
from nnlab.prediction.training_data import TrainingData
from nnlab.report import pixels
from nnlab.report.first_layer import merged_weights
from nnlab.report.inside import inside_sections
from nnlab.report.layers import zeros_sentences
from nnlab.report.page import render_page
from nnlab.report.parts import Image as ImagePart
from nnlab.report.parts import PlotlyFigure, Table, Text
from nnlab.report.run_sections import run_sections

test_predictions.__test__ = False  # a function of nnlab, and no test
SMALL = "epochs=2", "picture=false", "model.hidden=[8]"
JOBS = {
    "images": ("data=digits", "data.limit=300", "histograms=1", "seeds=2"),
    "cnn": ("data=digits", "data.limit=200", "model=cnn", "model.blocks=[4,pool]", "batch_size=100"),
    "folds": ("data=iris", "split=kfold", "split.k=3", "seeds=2", "refit=true", "dtype=float64"),
    "numbers": ("data=diabetes", "regularizer=dropout"),
    "linear": ("data=diabetes", "model=linear", "~model.hidden"),
    "signals": ("data=mnist1d", "data.limit=400"),
    "diverged": ("data=moons", "data.n=60", "optimizer=sgd", "optimizer.lr=1e30"),
    "no test": ("data=iris", "split=none", "metric=last"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of each job, trained when it is asked for."""
    folder, trained = tmp_path_factory.mktemp("runs"), {}

    def run(name):
        if name not in trained:
            words = [*SMALL, *JOBS[name], f"hydra.run.dir={folder / name}"]
            if "~model.hidden" in words:
                words = [word for word in words if "model.hidden" not in word]
            assert main(["train", *words]) == int(name == "diverged")
            trained[name] = folder / name
        return nnlab.StoredRun(trained[name])

    return run


def opened(stored):
    model = nnlab.load(stored)
    data = TrainingData(stored, model)
    return model, data


# ---- layers


def test_flow_is_that_of_torch(runs):
    """Values and gradients of a trained network, by autograd from its stored weights."""
    stored = runs("folds")
    model, data = opened(stored)
    row = model.rows[0]
    fold = data.fold(row)
    flow = layer_flow(model, data.dataset, fold)
    assert flow["rows"] == [0, 1] and flow["examples"] == len(fold.train)
    expected = []
    for member in model.rows[:2]:
        W = {name: torch.from_numpy(array).squeeze() for name, array in member.weights.items()}
        x = model_inputs(model, member, data.dataset.x[fold.train])
        h = (x @ W["hidden1.weight"].T + W["hidden1.bias"]).requires_grad_()
        a = torch.relu(h)
        z = a @ W["output.weight"].T + W["output.bias"]
        t = torch.from_numpy(data.dataset.y[fold.train])
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(z, t, reduction="sum"), h)
        expected.append([
            h.detach().var(0).mean(), gradient.square().mean().sqrt(),
            W["hidden1.weight"].square().mean().sqrt(),
            (a <= 0).all(0).double().mean(), (a == 0).double().mean(), *np.quantile(a.detach(), SHARES),
        ])  # fmt: skip
    found = [*flow["layers"]["hidden1"].values(), flow["activations"]["relu1"]["stuck"],
             flow["activations"]["relu1"]["zeros"], *flow["activations"]["relu1"]["quantiles"]]  # fmt: skip
    low, high = np.sort(np.array([[float(value) for value in row] for row in expected]), axis=0)
    middle = np.array([*low[:4], *(low + high)[4:] / 2])  # torch's median of two is the lower one
    np.testing.assert_allclose(found, middle, rtol=1e-6, atol=1e-9)


def model_inputs(model, row, x):
    """Inputs as `robust` normalises them: within 5 deviations linearly, which iris never leaves."""
    z = (x - row.normalizer["mean"]) / row.normalizer["scale"]
    assert abs(z).max() < 5
    return torch.from_numpy(z)


def test_after_a_refit_the_fold_has_the_validation_examples_too(runs):
    _, data = opened(runs("folds"))
    row = nnlab.load(runs("folds")).rows[0]
    fold = data.fold(row)
    assert len(fold.train) + len(fold.test) == len(data.dataset.x)


# ---- the first layer


def graphs():
    tables = Mixed(), Mixed(one_hot=True), Mixed(numbers=True)
    for data in tables:
        for model in (nnlab.MLP(hidden=(3,)), Tabular(hidden=(3,))):
            yield Experiment(data=data, model=model, regularizer=nnlab.Regularizer(dropout=0.2))
    yield Experiment(
        data=nnlab.Digits(), model=nnlab.MLP(hidden=(3,)), regularizer=nnlab.Regularizer(dropconnect=0.2)
    )
    yield Experiment(data=nnlab.Iris(), model=nnlab.Logistic())


@pytest.mark.parametrize("e", [*graphs()], ids=lambda e: f"{e.data.name} {e.model.name}")
def test_each_number_of_the_first_layer_is_of_the_input_that_changes_it(e):
    """What the layer reads changes exactly where the changed input is said to be."""
    spec = e.data.load().spec
    graph = e.graph(spec)
    rng = np.random.default_rng(0)
    layout = graph.layout()
    theta = torch.from_numpy(rng.normal(size=(1, layout.size)))
    weights = {name: part.view(theta)[0].numpy() for name, part in layout.parameters.items()}
    node, source, _ = _first_layer_node(graph, weights)
    site = Site(1, 1, False, theta, e.regularizer.rates())
    network = graph.bind(theta, theta, site, torch.zeros(1, layout.buffers_size, dtype=theta.dtype))

    def reads(x):
        network.fprop(torch.from_numpy(x)[None, :, None])
        return network.values()[node.inputs[0]].clone().numpy().ravel()

    x = np.ones(spec.inputs)
    before = reads(x)
    for i in range(spec.inputs):
        changed = x.copy()
        changed[i] = 0
        places = np.flatnonzero(reads(changed) != before)
        np.testing.assert_array_equal(places, np.flatnonzero(source == i))
    norms = input_norms(graph, weights, spec)
    assert set(norms) == set(input_columns(spec) or spec.features)
    assert min(norms.values()) > 0


def test_norms_are_those_of_the_columns(runs):
    stored = runs("numbers")
    model = nnlab.load(stored)
    W = stored.weights[0]["hidden1.weight"].astype(float)
    norms = input_norms(model.graph, model.rows[0].weights, model.spec)
    assert list(norms) == list(stored.spec.features)
    np.testing.assert_allclose([*norms.values()], np.linalg.norm(W, axis=0))


def test_units_of_images_are_their_weights(runs):
    for name, kernels in (("images", False), ("cnn", True)):
        stored = runs(name)
        model = nnlab.load(stored)
        layer = first_layer(model.graph, model.rows[0].weights, model.spec)
        assert layer.kernels == kernels and layer.shape == ((1, 3, 3) if kernels else (1, 8, 8))
        weights = stored.weights[0][f"{layer.name}.weight"]
        np.testing.assert_array_equal(layer.weights.ravel(), weights.ravel())
    with pytest.raises(UserError, match="is a convolution"):
        input_norms(model.graph, model.rows[0].weights, model.spec)


# ---- mistakes


@pytest.mark.parametrize("name", ["images", "folds", "numbers"])
def test_the_worst_are_those_that_the_model_predicts_worst(runs, name):
    stored = runs(name)
    model, data = opened(stored)
    predictions = test_predictions(stored, model.spec)
    places, worst = places_in(data.dataset, predictions), predictions.worst(10)
    if name == "folds":  # the average over all rows, of which each test example has seen some in training
        assert (predictions.targets == data.dataset.y[places]).all()
        return
    x, y = data.dataset.x[places], data.dataset.y[places]
    if name == "numbers":
        residual = model.predict(x) - y[:, 0]
        expected = np.argsort(-abs(residual))[:10]
        np.testing.assert_allclose(predictions.residuals[worst, 0], residual[worst], rtol=1e-3)
    else:
        p = model.predict_proba(x)
        wrong = np.flatnonzero(p.argmax(1) != y)
        expected = wrong[np.argsort(-p.max(1)[wrong])][:10]
        assert len(expected) and predictions.is_wrong.sum() == len(wrong)
    np.testing.assert_array_equal(worst, expected)


def test_classes_that_look_like_numbers():
    classes = ("007", "1.50", "-2")
    as_numbers = np.array([7.0, -2.0, 1.5, 3.0, np.nan])
    assert class_numbers(as_numbers, classes).tolist() == [0, 2, 1, -1, -1]
    assert class_numbers(np.array(["a", "b", ""]), ("b", "a")).tolist() == [1, 0, -1]


def test_cells_of_a_table():
    dataset = Mixed().read()
    names, lines = example_cells(dataset, np.arange(40))
    assert names == ["id", "zip", "age", "plan", "left", "income", "since"]
    for line, raw in zip(lines, dataset.x[:40], strict=True):
        cells = dict(zip(names, line, strict=True))
        raw = dict(zip((name for name, _ in dataset.spec.encoding.raw), raw, strict=True))
        assert cells["zip"] == ("" if raw["zip"] == 0 else f"z{int(raw['zip']) - 2:02}")
        assert cells["plan"] == ["", "?", "gold", "iron", "silver"][int(raw["plan"])]
        assert cells["age"] == ("" if np.isnan(raw["age"]) else f"{raw['age']:.5g}")
        assert cells["income"] == f"{raw['income']:.5g}"
        day = np.datetime64("1970-01-01") + int(np.nan_to_num(raw["since days"]))
        assert cells["since"] == ("" if np.isnan(raw["since days"]) else str(day))


def test_whole_numbers_are_written_out():
    dataset = nnlab.Dataset(np.array([[204762.0, 1e12], [0.12345678, -3.0]]), np.array([0, 1]), ("a", "b"))
    assert example_cells(dataset, np.arange(2))[1] == [["204762", "1e+12"], ["0.12346", "-3"]]


def test_of_many_rows_the_first_usable_ones_are_read(runs):
    stored = runs("folds")
    first = load_first(stored, 4)
    assert [row.number for row in first.rows] == [0, 1, 2, 3]
    x = nnlab.Iris().load().x
    np.testing.assert_array_equal(first.predict(x, row=2), nnlab.load(stored).predict(x, row=2))
    assert len(load_first(runs("diverged"), 4).rows) == 1


# ---- the same data

IMAGES = np.random.default_rng(0).integers(256, size=(90, 5, 6), dtype=np.uint8)
LABELS = np.array(["<b>cat", "dog", "ox"])[np.arange(90) % 3]


@pytest.fixture(scope="module")
def of_files(tmp_path_factory):
    """A run on images of a file, which the tests change, and that file."""
    folder = tmp_path_factory.mktemp("files")
    np.savez(folder / "images.npz", x=IMAGES, y=LABELS)
    run, file = folder / "run", folder / "images.npz"
    data = "data=npz", f"data.path={file}", "data.channels=none", "seeds=2"
    assert main(["train", *SMALL, *data, f"hydra.run.dir={run}"]) == 0
    return nnlab.StoredRun(run), file


@pytest.mark.parametrize("x, y, sentence", [
    (IMAGES[:-1], LABELS[:-1], "89 examples now, and had 90"),
    (IMAGES[:, :4], LABELS, "they are 90 x .*, and were 90 x "),
    (IMAGES, np.array(["<b>cat", "dog", "cow"])[np.arange(90) % 3], "the data have changed"),
    (IMAGES, np.roll(LABELS, 1), "of an input on its training examples is another now"),
    (IMAGES[::-1], LABELS, "of an input on its training examples is another now"),
    (IMAGES.astype(float), LABELS, ""),
], ids=["fewer", "smaller", "another class", "other labels", "other images", "other type"])  # fmt: skip
def test_data_that_have_changed_are_refused(of_files, x, y, sentence):
    stored, file = of_files
    np.savez(file, x=x, y=y)
    sections = inside_sections(stored)
    if not sentence:  # the same numbers in another type
        assert sections["Misclassified examples"]().body
        return
    with pytest.raises(UserError, match=sentence):
        sections["Misclassified examples"]()
    assert sections["Weights of the first layer"]().body  # which needs no data


def test_test_examples_with_other_targets_are_refused(runs):
    for name in ("images", "numbers"):
        model, data = opened(runs(name))
        predictions = test_predictions(runs(name), model.spec)
        others = replace(data.dataset, y=np.roll(data.dataset.y, 1, axis=0))
        with pytest.raises(UserError, match="have other targets now"):
            places_in(others, predictions)
        with pytest.raises(UserError, match="do not have all examples"):
            places_in(data.dataset.select(np.arange(40)), predictions)


def test_data_that_are_gone_cost_their_sections_alone(of_files):
    stored, file = of_files
    file.unlink()
    sections = {section.heading: section for section in run_sections(stored)}
    for heading in ("Misclassified examples", "Activations and gradients by layer"):
        assert not sections[heading].body
        assert f"the data cannot be read again: there is no file {file}." in sections[heading].note
    assert sections["Weights of the first layer"].body


def test_a_relative_path_is_said_to_be_one(of_files, tmp_path, monkeypatch):
    stored, file = of_files
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(stored.path, tmp_path / "copy")
    settings = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(settings.replace(str(file), "images.npz"))
    with pytest.raises(UserError, match="no file images.npz, as seen from the folder in which the run was"):
        inside_sections(nnlab.StoredRun(folder))["Misclassified examples"]()


# ---- sections


def parts(section, kind):
    return [part for part in section.body if isinstance(part, kind)]


@pytest.mark.parametrize("name", JOBS)
def test_every_run_has_its_sections_or_a_sentence(runs, name):
    sections = {section.heading: section for section in run_sections(runs(name))}
    headings = "Histograms by epoch", "Activations and gradients by layer", "Weights of the first layer"
    inside = {heading: sections.get(heading) for heading in headings}
    notes = {heading: section.note for heading, section in sections.items()}
    assert not [note for note in notes.values() if note.startswith("Not drawn")], notes
    render_page(name, sections.values())
    if name == "diverged":  # said once, at the top
        assert next(iter(sections)) == "Diverged" and not {*headings[1:]} & {*sections}
        return
    assert None not in inside.values()
    assert all(section.body for section in list(inside.values())[1:]), notes
    assert bool(inside["Histograms by epoch"].body) == (name == "images")


def test_what_the_sections_of_images_show(runs):
    stored = runs("images")
    sections = {section.heading: section for section in run_sections(stored)}
    mistakes = sections["Misclassified examples"]
    predictions = test_predictions(stored, stored.spec)
    shown = parts(mistakes, ImagePart)
    assert 0 < len(shown) == min(24, predictions.is_wrong.sum())
    assert (
        f"{predictions.is_wrong.sum()} of {len(predictions.examples)} test examples" in mistakes.body[0].text
    )
    worst = predictions.worst(1)[0]
    classes = stored.spec.classes
    assert shown[0].caption.startswith(f"{classes[predictions.predictions[worst]]} (")
    assert shown[0].caption.endswith(f"true: {classes[predictions.targets[worst]]}")
    image = np.asarray(Image.open(io.BytesIO(shown[0].png)))
    x = nnlab.Digits().load().x[predictions.examples[worst]].reshape(8, 8)
    assert image.shape == (8, 8) and np.corrcoef(image.ravel(), x.ravel())[0, 1] > 0.999
    (weights,) = parts(sections["Weights of the first layer"], ImagePart)
    assert Image.open(io.BytesIO(weights.png)).size == (8 * 9 - 1, 8)
    histograms = parts(sections["Histograms by epoch"], PlotlyFigure)
    assert len(histograms) == len(stored.weights[0]) + 3
    assert "row 0 of 2" in sections["Histograms by epoch"].note


def test_the_sections_of_a_regression(runs):
    sections = {section.heading: section for section in run_sections(runs("numbers"))}
    (table,) = parts(sections["Largest residuals"], Table)
    assert table.headings[:5] == ["example", "true", "predicted", "residual", "age"]
    residuals = [abs(float(row[3])) for row in table.rows]
    assert residuals == sorted(residuals, reverse=True) and len(table.rows) == 12
    (bars,) = parts(sections["Weights of the first layer"], PlotlyFigure)
    assert sorted(bars.data[0]["y"]) == sorted(runs("numbers").spec.features)


def test_labels_from_a_file_are_no_markup(of_files):
    stored, file = of_files
    np.savez(file, x=IMAGES, y=LABELS)
    page = render_page("a run", run_sections(stored))
    assert "<b>cat" not in page and "&lt;b&gt;cat" in page


def test_a_run_that_did_not_end_says_so(runs, tmp_path):
    stored = runs("images")
    for name in ("config.yaml", "metrics.jsonl", "spec.json"):
        (tmp_path / name).write_bytes((stored.path / name).read_bytes())
    sections = {section.heading: section for section in run_sections(nnlab.StoredRun(tmp_path))}
    (said,) = parts(sections["Interrupted"], Text)
    assert "interrupted after epoch 2" in said.text
    lacking = {"Results", "Activations and gradients by layer", "Weights of the first layer"}
    assert not lacking & {*sections} and "Learning curves" in sections


@pytest.mark.parametrize("column, cells", [("example", "a"), ("target", None), ("probability_3", "x")])
def test_predictions_of_another_kind_are_refused(runs, tmp_path, column, cells):
    stored = runs("images")
    for file in stored.path.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    table = tmp_path / "test_predictions.csv"
    lines = [line.split(",") for line in table.read_text().splitlines()]
    place = lines[0].index(column)
    for line in lines[1:]:
        line[place] = cells if cells else line[place]
    if not cells:
        lines[0][place] = "other"
    table.write_text("\n".join(map(",".join, lines)) + "\n")
    with pytest.raises(UserError, match=f"no column '{column}'|text where there should be numbers"):
        test_predictions(nnlab.StoredRun(tmp_path), stored.spec)


# ---- pixels


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_of_bytes_are_as_they_were(channels):
    x = np.random.default_rng(0).integers(256, size=(3, channels, 5, 7), dtype=np.uint8)
    for png, example in zip(pixels.image_pngs(x), x, strict=True):
        image = np.moveaxis(np.atleast_3d(decoded(png)), -1, 0)
        np.testing.assert_array_equal(image, example)
    large = np.zeros((1, channels, 300, 500), np.uint8)
    assert max(decoded(pixels.image_pngs(large)[0]).shape) == pixels.MOST_PIXELS


def test_other_numbers_go_from_black_to_white():
    x = np.array([-1.0, 0, 3, np.nan]).reshape(1, 1, 2, 2)
    assert decoded(pixels.image_pngs(x)[0]).tolist() == [[0, 64], [255, 0]]
    assert decoded(pixels.image_pngs(np.full((1, 1, 2, 2), 7.0))[0]).tolist() == [[0, 0], [0, 0]]


def test_weights_diverge_from_grey():
    colours = pixels.diverging(np.array([-9.0, -1, 0, 1, 9]), 1.0)
    assert (colours[0] == colours[1]).all() and (colours[3] == colours[4]).all()
    assert colours[0][2] > colours[0][0] and colours[4][0] > colours[4][2]  # blue, and orange
    assert len({*map(int, colours[2][:3])}) == 1
    assert pixels.diverging(np.zeros(3), 0.0)[:, 3].tolist() == [255] * 3


def test_tiles_stand_line_after_line():
    tiles = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 4), np.uint8)
    canvas = pixels.tiled(tiles, 3)
    assert canvas.shape == (5, 11, 4)
    assert canvas[0, [0, 4, 8], 0].tolist() == [1, 2, 3] and canvas[3, [0, 4, 8], 0].tolist() == [4, 5, 0]
    assert not canvas[2].any() and not canvas[:, 3].any()


def test_weights_of_large_images_are_merged():
    weights = np.random.default_rng(0).normal(size=(2, 3, 150, 100))
    merged, side = merged_weights(weights, 64)
    assert side == 3 and merged.shape == (2, 3, 50, 34)
    np.testing.assert_allclose(merged[1, 2, 49, 32], weights[1, 2, 147:150, 96:99].mean())
    np.testing.assert_allclose(merged[1, 2, 49, 33], weights[1, 2, 147:150, 99:].mean())  # what is left
    long, side = merged_weights(weights.reshape(2, 3, 1, -1), 450)
    assert side == 34 and long.shape == (2, 3, 1, 442)
    same, side = merged_weights(weights[..., :64, :64], 64)
    assert side == 1 and (same == weights[..., :64, :64]).all()


def test_the_report_says_how_many_outputs_are_zero():
    flow = {"relu1": {"zeros": 0.8342}, "relu2": {"zeros": 0.5}, "tanh3": {"zeros": 0.0}}
    assert zeros_sentences(flow) == ["Outputs that are 0: 83.4% of relu1, 50.0% of relu2."]
    assert zeros_sentences({"tanh3": flow["tanh3"]}) == []
