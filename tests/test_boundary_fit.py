"""The pictures `boundary` and `fit` show what the trained rows predict, of all data that they can be of."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from nnlab.cli import main
from nnlab.data.sources import Line, Sine
from nnlab.errors import UserError
from nnlab.pictures import boundary, fit, panels, picture
from nnlab.pictures.base import shown_runs

TINY = ("epochs=3", "picture=false", "model.hidden=[4]", "optimizer.lr=0.1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs by their names, trained once: a folder each."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (60, 2))
    rows = [f"{a:.3f},{b:.3f},{a * b:.3f}" for a, b in x]
    (folder / "height.csv").write_text("\n".join(["$a_1^,b\u200b,height", *rows]))
    rows = [f"{a:.3f},{b:.3f},{'$x^$' if a > 0.5 else 'y' if b > 0 else 'the third'}" for a, b in x]
    (folder / "three.csv").write_text("\n".join(["a,b,kind", *rows]))
    table = ("data=table", f"data.path={folder}/three.csv", "data.target=kind")
    lines = {
        "moons": ("data=moons", "data.n=80"),
        "noisy": ("data=moons", "data.n=80", "data.label_noise=0.3", "seeds=3", "split=kfold", "split.k=2"),
        "threshold": ("data=moons", "data.n=80", "threshold=0.6"),
        "three": table,
        "height": ("data=table", f"data.path={folder}/height.csv", "data.target=height", "seeds=2"),
        "sine": ("data=sine", "data.n=60", "seeds=3"),
        "line": ("data=line",),
    }
    for name, words in lines.items():
        assert main(["train", *TINY, *words, f"hydra.run.dir={folder}/{name}"]) == 0
    return folder


@pytest.fixture
def drawn(runs, monkeypatch):
    """The figure that a picture makes of runs, and these."""
    for module in (boundary, fit):
        monkeypatch.setattr(module, "render_png", lambda figure: figure)

    def draw(name, *folders):
        shown = shown_runs({folder: runs / folder for folder in folders})
        return picture(name).draw(shown), shown

    return draw


def legend_texts(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("name", ["moons", "noisy", "threshold", "three"])
def test_the_plane_has_the_colours_of_the_answers(drawn, name):
    figure, (run,) = drawn("boundary", name)
    (axes,) = figure.axes
    image = axes.images[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    plane = np.asarray(image.get_array())
    x1, x2 = np.linspace(left, right, len(plane)), np.linspace(low, high, len(plane))
    columns = np.arange(0, len(plane), 41)
    for i in range(0, len(plane), 37):
        points = [[x1[j], x2[i]] for j in columns]
        p = run.model.predict_proba(points)
        colours = np.array([to_rgb(colour) for colour in boundary.CLASS_COLOURS[: p.shape[1]]])
        np.testing.assert_allclose(plane[i, columns], 1 - boundary.TINT * (1 - p @ colours), atol=1e-6)
    x = run.dataset.x
    assert left < x[:, 0].min() and x[:, 0].max() < right and low < x[:, 1].min() and x[:, 1].max() < high
    accuracy = run.stored.summary["metrics"]["test_accuracy"]["mean"]
    assert axes.get_title() == f"test {100 * accuracy:.2f}%"


@pytest.mark.parametrize("name", ["moons", "threshold", "three"])
def test_boundaries_part_the_predicted_classes(drawn, name):
    """Just off each line, on its two sides, the model predicts different classes."""
    figure, (run,) = drawn("boundary", name)
    (axes,) = figure.axes
    lines = [
        path.vertices for lines in axes.collections if hasattr(lines, "levels") for path in lines.get_paths()
    ]
    vertices = np.concatenate(lines)
    step = 2 * (axes.get_xlim()[1] - axes.get_xlim()[0]) / boundary.GRID_POINTS
    around = vertices[::7, None] + step * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    classes = run.model.class_numbers(around.reshape(-1, 2)).reshape(-1, 4)
    assert np.mean(classes.max(1) > classes.min(1)) > 0.95


def test_dots_are_the_examples_of_the_first_row(drawn):
    figure, (run,) = drawn("boundary", "noisy")
    rings, dots = [lines for lines in figure.axes[0].collections if not hasattr(lines, "levels")]
    fold, dataset = run.fold(0), run.dataset
    np.testing.assert_array_equal(dots.get_offsets(), dataset.x[fold.train])
    np.testing.assert_array_equal(rings.get_offsets(), dataset.x[fold.test])
    # Training examples have the labels that training saw, test examples the true ones.
    for shown, labels in (
        (dots.get_facecolors(), dataset.noisy[fold.train]),
        (rings.get_edgecolors(), dataset.y[fold.test]),
    ):
        wanted = [to_rgb(boundary.CLASS_COLOURS[label]) for label in labels]
        np.testing.assert_allclose(shown[:, :3], wanted)
    assert "boundary (mean of rows)" in legend_texts(figure) and "first 5 rows" in legend_texts(figure)


def test_numbers_have_level_lines_and_a_bar(drawn):
    figure, (run,) = drawn("boundary", "height")
    axes, bar = figure.axes
    assert bar.get_title() == "height" and axes.get_xlabel() == "$a_1^" and axes.get_ylabel() == "b\\u200b"
    levels, targets = axes.collections[0].levels, run.dataset.y
    assert levels[0] <= targets.min() and targets.max() <= levels[-1]
    rmse = run.stored.summary["metrics"]["test_rmse"]["mean"]
    assert axes.get_title() == f"test RMSE {rmse:.4f}"


def test_names_of_a_stranger_are_text(drawn, runs):
    """Neither mathematics nor invisible characters; what cannot be read would raise when it is rendered."""
    for name in ("three", "height"):
        figure, _ = drawn("boundary", name)
        figure.canvas.draw()
    figure, _ = drawn("boundary", "three")
    assert {"$x^$", "y", "the third"} < {*legend_texts(figure)}


def test_panels_of_different_data(drawn):
    """Each with its own limits; classes share colours by their numbers."""
    figure, shown = drawn("boundary", "moons", "three")
    figure.canvas.draw()
    for axes, run in zip(figure.axes, shown, strict=True):
        assert axes.get_xlim()[0] < run.dataset.x[:, 0].min() < run.dataset.x[:, 0].max() < axes.get_xlim()[1]
    assert "upper, $x^$" in legend_texts(figure)


def test_more_runs_than_panels(drawn, runs):
    shown = shown_runs({f"seed={n}": runs / "moons" for n in range(panels.MOST_PANELS + 1)})
    figure = picture("boundary").draw(shown)
    assert len(figure.axes) == panels.MOST_PANELS
    assert [text.get_text() for text in figure.texts] == ["the first 12 of 13 runs"]
    assert figure.get_size_inches()[0] == 8


@pytest.mark.parametrize("name, folder", [("boundary", "moons"), ("fit", "sine")])
def test_diverged_runs_are_left_out_and_named(drawn, runs, name, folder):
    words = [f"data={folder}", "data.n=60", "optimizer=sgd", "optimizer.lr=1e30", "epochs=2", "picture=false"]
    if not (runs / f"diverged {folder}").exists():
        assert main(["train", *words, f"hydra.run.dir='{runs}/diverged {folder}'"]) == 1
    shown = shown_runs({"lr=1": runs / folder, "lr=1e30": runs / f"diverged {folder}"})
    figure = picture(name).draw(shown)
    assert [axes.get_title()[:5] for axes in figure.axes] == ["lr=1 "]
    assert figure.texts[0].get_text() == "diverged, and not drawn: lr=1e30"
    with pytest.raises(UserError, match="all rows diverged"):
        picture(name).draw(shown[1:])


def test_the_curve_is_the_mean_of_the_rows_within_their_band(drawn):
    figure, (run,) = drawn("fit", "sine")
    (axes,) = figure.axes
    true, mean = axes.lines
    x, y = mean.get_data()
    curves = np.stack([run.model.predict(x[:, None], row=row) for row in range(3)])
    np.testing.assert_allclose(y, curves.mean(0), atol=1e-6)
    np.testing.assert_allclose(true.get_ydata(), np.sin(4 * np.pi * x))
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(np.quantile(curves, 0.1, axis=0).min(), abs=1e-6)
    dots = axes.collections[-1].get_offsets()
    train = run.fold(0).train
    np.testing.assert_array_equal(dots, np.hstack([run.dataset.x, run.dataset.y])[train])
    assert {"true function", "predicted (mean of the rows)"} < {*legend_texts(figure)}


def test_one_row_has_no_band(drawn):
    figure, _ = drawn("fit", "line")
    assert legend_texts(figure) == ["training examples", "predicted", "true function"]


def test_functions_are_those_that_the_data_are_drawn_around():
    for data in (Line(n=5000, noise=0.3), Sine(n=5000, noise=0.3, periods=1.5)):
        dataset = data.load()
        assert np.std(dataset.y - data.function(dataset.x)) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("name, folder, sentence", [
    ("boundary", "sine", "data 'sine' have 1 input;"), ("fit", "moons", "data 'moons' have 2 inputs;"),
    ("fit", "three", "have 2 inputs"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_refused(runs, name, folder, sentence):
    (run,) = shown_runs({"": Path(runs / folder)}, None)
    with pytest.raises(UserError, match=sentence):
        picture(name).refuse(run.stored.experiment, run.stored.spec)
    with pytest.raises(UserError, match="no row 7"):
        run.fold(7)


def test_a_right_curve_hides_neither_the_points_nor_the_true_one(drawn):
    """The examples are drawn on the predicted line, and the dashes of the true one on top."""
    figure, _ = drawn("fit", "line")
    (axes,) = figure.axes
    truth, predicted = sorted(axes.lines, key=lambda line: -line.get_zorder())
    assert truth.get_linestyle() == "--" and predicted.get_linestyle() == "-"
    assert predicted.get_zorder() < axes.collections[-1].get_zorder() < truth.get_zorder()
