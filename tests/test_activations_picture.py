"""The picture `activations`: what it reads of the histograms, which layers, and where it is refused."""

import numpy as np
import pytest
from networks import one_thread  # noqa: F401
from test_picture import size_of

from nnlab.cli import main
from nnlab.pictures import picture
from nnlab.pictures.activations import MOST_LAYERS, spread_of_layers
from nnlab.pictures.base import shown_runs
from nnlab.records.epoch_histograms import EpochHistograms

DEEP = "model.hidden=[8,8,8,8,8,8,8,8]"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tanh network, one of eight layers, and one whose rows have folders of their own."""
    folder = tmp_path_factory.mktemp("runs")
    job = ["data=iris", "epochs=4", "histograms=2", "show=[activations]", "model.activation=tanh"]
    words = {"two": ["model.hidden=[7,6]"], "deep": [DEEP], "rows": ["model.hidden=[5]", "seeds=2"]}
    for name, further in words.items():
        assert main(["train", *job, *further, f"hydra.run.dir={folder / name}"]) == 0
    return folder, {run.name: run for run in shown_runs({name: folder / name for name in words})}


def test_layers_are_those_of_the_hidden_units(runs):
    _, by_name = runs
    two, deep, rows = by_name.values()
    assert list(spread_of_layers(two)) == ["tanh1", "tanh2"] and list(spread_of_layers(rows)) == ["tanh1"]
    names = list(spread_of_layers(deep))
    assert len(names) == MOST_LAYERS and (names[0], names[-1]) == ("tanh1", "tanh8")
    for histograms in spread_of_layers(two).values():
        assert histograms.epochs.tolist() == [2, 4]
        low, high = histograms.quantiles([0.02, 0.98])
        assert (-1 <= low).all() and (low < histograms.means()).all() and (histograms.means() < high).all()


def test_the_mean_of_a_histogram_is_that_of_its_values_but_for_the_bins():
    values = np.random.default_rng(0).gamma(2, size=(3, 5000))
    counts, edges = zip(*(np.histogram(v, 30) for v in values), strict=True)
    histograms = EpochHistograms(np.arange(3), np.array(counts), np.array(edges))
    width = np.diff(np.array(edges)).max()
    assert abs(histograms.means() - values.mean(1)).max() < width / 10
    assert np.isnan(EpochHistograms(np.arange(1), np.zeros((1, 2)), np.array([[0.0, 1, 2]])).means()).all()


def test_pictures_are_drawn_of_one_run_and_of_many(runs):
    folder, by_name = runs
    shown = list(by_name.values())
    for png in ((folder / "two/activations.png").read_bytes(), picture("activations").draw(shown * 5)):
        width, height = size_of(png)
        assert width == 1200 and height > 300


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "needs what the activations were; allowed with it: histograms=1"),
        (["model=logistic", "histograms=1"], "is of hidden layers, and model = 'logistic' here has none"),
    ],
)
def test_it_is_refused_before_training(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "data=iris", "show=[activations]", *words]) == 2
    assert f"show = 'activations' {said}" in capsys.readouterr().err and not [*tmp_path.iterdir()]
