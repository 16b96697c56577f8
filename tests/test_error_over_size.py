"""The picture error_over_size: which number it takes, and that it shows what the runs' summaries say."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from processes import forked

from nnlab.errors import UserError
from nnlab.pictures import error_over_size
from nnlab.pictures.base import shown_runs
from nnlab.pictures.size import interpolation_threshold, numbers_in, size_of
from nnlab.records import picture


def stored(**settings):
    return SimpleNamespace(settings=settings)


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ([1, 2.5], (1, 2.5)),
        ([[4], [16]], (4, 16)),
        ([[4, 4], [16, 16]], (4, 16)),
        ([[4, 4], [16, 8]], ()),  # layers of several widths
        ([[4], [4, 4]], ()),  # several depths
        ([[], [4]], ()),
        ([32, "full"], ()),
        ([True, 2], ()),
        ([None, 2], ()),
        ([float("inf"), 2], ()),
        ([[20, "pool"], [40, "pool"]], ()),
    ],
)
def test_numbers_of_a_setting(values, numbers):
    assert numbers_in(values) == numbers


def test_the_number_with_the_most_values_is_the_size():
    runs = [
        stored(model={"hidden": [w, w]}, data={"label_noise": n}, seed=w, picture=w)
        for n in (0, 0.1)
        for w in (2, 4, 8)
    ]
    size = size_of(runs, [1, 2, 3] * 2)
    assert (size.key, size.label) == ("model.hidden", "units in each of 2 hidden layers")
    assert size.numbers == (2, 4, 8) * 2
    assert size.lines == ("label_noise=0",) * 3 + ("label_noise=0.1",) * 3


@pytest.mark.parametrize(
    ("key", "label"),
    [("batch_size", "batch_size (examples)"), ("epochs", "epochs"), ("model", "units in the hidden layer")],
)
def test_labels_have_units(key, label):
    runs = [stored(**{key: {"hidden": [n]} if key == "model" else n}) for n in (2, 4)]
    assert size_of(runs, [1, 2]).label == label


def test_networks_without_a_common_number_are_measured_by_their_parameters():
    runs = [stored(model={"hidden": hidden}, loss=loss) for loss in "ab" for hidden in ([], [4], [4, 4])]
    size = size_of(runs, [5, 30, 50] * 2)
    assert (size.key, size.numbers) == ("parameters", (5, 30, 50) * 2)
    assert size.lines == ("loss=a",) * 3 + ("loss=b",) * 3


def test_runs_that_differ_in_no_number_have_no_size():
    with pytest.raises(UserError, match="differ in no number"):
        size_of([stored(loss="a", seed=1), stored(loss="b", seed=2)], [7, 7])


@pytest.mark.parametrize(
    ("errors", "threshold"),
    [
        ([0.3, 0.1, 0.004, 0.0], 4),
        ([0.3, 0.004, 0.1, 0.0], 8),  # it came back
        ([0.3, 0.2, 0.1, 0.01], None),
        ([0.0, 0.0, 0.0, 0.0], None),
    ],
)
def test_threshold_is_where_the_training_error_stays_0(errors, threshold):
    assert interpolation_threshold(dict(zip((1, 2, 4, 8), errors, strict=True))) == threshold


@pytest.fixture(scope="module")
def widths(tmp_path_factory):
    """Six runs, of three widths on clean labels and on noisy ones, that end with the picture."""
    folder = tmp_path_factory.mktemp("widths")
    words = ["model.hidden=[2],[8],[64]", "data.label_noise=0,0.2", "data=iris", "seeds=3", "epochs=4"]
    done = forked(folder, "train", "-m", *words, "show=[error_over_size]", "hydra.sweep.dir=runs")
    assert done.returncode == 0, done.stderr
    return folder / "runs", done.stdout


def test_picture_is_drawn_by_the_command(widths):
    runs, said = widths
    assert (runs / "error_over_size.png").read_bytes().startswith(b"\x89PNG")
    assert "runs/error_over_size.png" in said


def run_folders(widths):
    return sorted(file.parent for file in widths[0].glob("*/summary.json"))


def panels(folders, monkeypatch):
    drawn = []
    monkeypatch.setattr(error_over_size, "render_png", lambda figure: drawn.append(figure) or b"")
    error_over_size.ErrorOverSize().draw(shown_runs({path.name: path for path in folders}))
    return drawn[0].axes[:2]


def test_errors_of_many_magnitudes_have_a_logarithmic_axis(widths, monkeypatch):
    assert panels(run_folders(widths), monkeypatch)[0].get_ylim()[0] == 0
    monkeypatch.setattr(picture, "LOG_FROM_RATIO", 1)
    left, _ = panels(run_folders(widths), monkeypatch)
    assert left.get_yscale() == "log" and left.get_ylim()[0] > 0


def test_picture_shows_the_means_of_the_summaries(widths, monkeypatch):
    folders = run_folders(widths)
    left, right = panels(folders, monkeypatch)
    assert left.get_xlabel() == "units in the hidden layer" and left.get_ylabel() == "error (%)"
    (top,) = left.child_axes
    assert [text.get_text() for text in top.get_xticklabels()] == ["19", "67", "515"]  # 4-h-3: 8 h + 3
    for axes, quantity, factor in ((left, "error", 100), (right, "loss", 1)):
        lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
        assert len(lines) == 6  # two settings, three sets
        shown = {tuple(np.round(line.get_ydata(), 9)) for line in lines}
        for noise in (0, 0.2):
            for name in ("train", "val", "test"):
                means = {}
                for folder in folders:
                    summary = json.loads((folder / "summary.json").read_text())
                    if f"noise={noise}" in folder.name:
                        width = int(folder.name.split("hidden=")[1].split(",")[0])
                        means[width] = factor * summary["metrics"][f"{name}_{quantity}"]["mean"]
                assert tuple(np.round([means[w] for w in (2, 8, 64)], 9)) in shown


def test_a_single_run_is_told_what_the_picture_needs(tmp_path):
    done = forked(tmp_path, "train", "data=iris", "epochs=1", "show=[error_over_size]", "hydra.run.dir=run")
    assert done.returncode == 0 and "nnlab train -m" in done.stderr
    assert (tmp_path / "run" / "summary.json").exists()
