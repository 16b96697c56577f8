"""The picture `curves`: of a run alone its curves.png, of several their validation curves and rates."""

from types import SimpleNamespace

import numpy as np
import pytest
from processes import forked
from test_picture import size_of

from nnlab.pictures import curves as curves_picture
from nnlab.pictures import picture
from nnlab.pictures.base import shown_runs
from nnlab.records import picture as picture_style
from nnlab.records.curves import Curves, stored_curves
from nnlab.records.dashes import alternating_dashes
from nnlab.records.stored_run import StoredRun


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Runs that end at different epochs, go back, stay constant, or regress; by what is special of them."""
    root = tmp_path_factory.mktemp("runs")
    jobs = {
        "constant": ["data=moons", "epochs=6"],
        "back": [
            "data=moons", "schedule=halve_and_go_back", "schedule.tolerance=0", "optimizer=sgd",
            "optimizer.lr=5", "epochs=9", "batch_size=8",
        ],
        "rows": ["data=moons", "seeds=3", "schedule=cosine", "epochs=4"],
        "regression": ["data=line", "model=linear", "epochs=4"],
        "untested": ["data=moons", "split=none", "metric=last", "epochs=3"],
    }  # fmt: skip
    for name, words in jobs.items():
        done = forked(root, "train", *words, "picture=true", f"hydra.run.dir={name}")
        assert done.returncode == 0, done.stderr
    return {name: root / name for name in jobs}


def draw(folders):
    return picture("curves").draw(shown_runs(folders))


def test_of_a_run_alone_it_is_its_own_picture(stored):
    for folder in stored.values():
        assert draw({"alone": folder}) == (folder / "curves.png").read_bytes()


def test_stored_curves_have_all_of_a_run(stored):
    run = StoredRun(stored["back"])
    curves = stored_curves(run)
    back = curves.happened("went_back")
    assert back.any() and np.array_equal(back, run.curves("went_back") == 1)
    assert np.array_equal(curves.learning_rates, run.curves("lr"))
    assert curves.best_epoch.tolist() == [run.rows[0]["best_epoch"]]


@pytest.mark.parametrize(
    "names",
    [["constant", "back"], ["rows", "back", "constant"], ["regression", "regression"], ["untested"] * 2],
)
def test_of_several_runs(names, stored):
    folders = {f"key={n}": stored[name] for n, name in enumerate(names)}
    png = draw(folders)
    assert size_of(png) == (1200, 500) and png == draw(folders)


def test_a_single_epoch_is_a_dot():
    curves = Curves(2)
    curves.add(1, np.arange(2), {"val_loss": np.array([0.5, 0.7])})
    axes = picture_style.blank_figure().subplots()
    curves_picture._panel(axes, [curves], "val_loss", 1.0)
    (line,) = axes.lines
    assert line.get_marker() == "o" and line.get_ydata().tolist() == [0.6]


def test_names_of_strangers_are_no_markup(stored):
    """Nor do they take more than their share of a line."""
    names = ["key=$x_1^{$", "key=\\frac \x1b[31m", "key=" + 200 * "long "]
    assert size_of(draw(dict.fromkeys(names, stored["constant"]))) == (1200, 500)


def test_more_runs_than_colours(stored):
    folders = {f"key={n}": stored["constant"] for n in range(curves_picture.MOST_RUNS + 3)}
    some = dict(list(folders.items())[: curves_picture.MOST_RUNS])
    assert draw(folders) != draw(some)  # it says how many are left out


@pytest.mark.parametrize(
    ("folders", "key", "names"),
    [
        (["init.std=0.1", "init.std=1"], "init.std", ["0.1", "1"]),
        (["init=zeros", "init.std=1"], "", ["init=zeros", "init.std=1"]),
        (["a=1 b=2", "a=1 b=3"], "", ["a=1 b=2", "a=1 b=3"]),
    ],
)
def test_the_key_that_all_share_stands_once(folders, key, names):
    assert curves_picture._short_names([SimpleNamespace(name=name) for name in folders]) == (key, names)


def test_equal_curves_hide_none():
    """Their dashes alternate, so that each is seen, and of different curves each is whole."""
    equal, other = np.linspace(1, 2, 9), np.linspace(1, 3, 9)
    styles = alternating_dashes([equal, other, equal * 1.0001, equal])
    assert styles[1] == "-"
    covered = np.concatenate([_inked(*styles[i]) for i in (0, 2, 3)])
    assert sorted(covered) == list(range(15))


def _inked(offset, dashes):
    """Which of the first 15 points of a line have ink: the pattern begins `offset` points in."""
    on, off = dashes
    return [point for point in range(15) if (point + 0.5 + offset) % (on + off) < on]
