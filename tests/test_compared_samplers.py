"""`nnlab sweep sampler=grid,random,gp`: the same search by several samplers, of as many trials each."""

import csv
import re

import numpy as np
import pytest
from processes import forked

from nnlab.commands import search_picture
from nnlab.errors import UserError
from nnlab.pictures import search
from nnlab.search.domains import Choice, Interval
from nnlab.search.space import Space
from nnlab.search.trial import COMPLETE, FAILED, Trial

SAMPLERS = ("grid", "random", "tpe")
LR = "optimizer.lr=tag(log,points4,interval(1e-3,1))"
L2 = "regularizer.l2=tag(log,points3,interval(1e-6,1))"
SMALL = ["data=iris", "model.hidden=[4]", "epochs=1", "report=false", LR, L2]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The folder of a comparison, and what was printed."""
    folder = tmp_path_factory.mktemp("compared")
    words = ["sampler=grid,random,tpe", "sampler.startup=4", "batch=4", *SMALL]
    done = forked(folder, "sweep", *words, "hydra.run.dir=all")
    assert done.returncode == 0, done.stderr
    return folder / "all", done.stdout


def trials(folder):
    return list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))


def test_every_sampler_has_a_sweep_of_as_many_trials_as_the_grid_has_cells(compared):
    for sampler in SAMPLERS:
        assert len(trials(compared[0] / sampler)) == 12
        assert (compared[0] / sampler / "best" / "summary.json").exists()
    grid = {row["optimizer.lr"] for row in trials(compared[0] / "grid")}
    drawn = {row["optimizer.lr"] for row in trials(compared[0] / "random")}
    assert (len(grid), len(drawn)) == (4, 12)


def test_a_key_of_one_sampler_goes_to_that_one(compared):
    assert "startup: 4" in (compared[0] / "tpe" / "config.yaml").read_text()
    assert "startup" not in (compared[0] / "random" / "config.yaml").read_text()


def test_table_has_the_best_of_each(compared):
    folder, said = compared
    for sampler in SAMPLERS:
        best = min(trials(folder / sampler), key=lambda row: float(row["val_loss"]))
        (line,) = re.findall(rf"^  {sampler} .*%$", said, re.MULTILINE)
        assert line.split()[1:4] == ["12", f"{float(best['val_loss']):.4f}", best["trial"]]
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")


def test_a_sampler_finds_the_same_alone(compared):
    """The sweep of one sampler is that which its line alone makes."""
    folder = compared[0].parent
    done = forked(folder, "sweep", "sampler=random", "trials=12", "batch=4", *SMALL, "hydra.run.dir=alone")
    assert done.returncode == 0, done.stderr
    assert trials(folder / "alone") == trials(folder / "all" / "random")


def test_command_of_each_names_no_folder(compared):
    line = (compared[0] / "random" / "command.txt").read_text()
    assert "sampler=random trials=12" in line and "hydra" not in line


def test_one_of_them_is_resumed(compared):
    done = forked(compared[0].parent, "sweep", "resume=all/random", "trials=14")
    assert done.returncode == 0, done.stderr
    assert len(trials(compared[0] / "random")) == 14


def test_a_refined_grid_is_drawn_beside_the_grid(compared):
    """In the plane of the first, of which it has a part; a sweep without refine= has no such picture."""
    done = forked(compared[0].parent, "sweep", "refine=all/grid", "hydra.run.dir=fine")
    assert done.returncode == 0, done.stderr
    assert (compared[0].parent / "fine" / "search.png").read_bytes().startswith(b"\x89PNG")
    assert done.stdout.endswith("  picture            fine/search.png\n")
    assert not (compared[0] / "grid" / "search.png").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sampler=grid,random", "trials=5", *SMALL], "the grid has 12 cells"),
        (["sampler=grid,random"], "sampler.points"),
        (["sampler=random,gp", "resume=x"], "resume= goes on with one sweep"),
        (["sampler=random,gp", "storage=sqlite:///x.db"], "makes 2 sweeps"),
        (["sampler=random,grd"], "grd"),
        (["sampler=random,random"], "given twice"),
        (["sampler=random,gp", "sampler.points=3"], "sampler.points"),
    ],
)
def test_wrong_lines_leave_nothing_behind(tmp_path, words, sentence):
    done = forked(tmp_path, "sweep", *words)
    assert done.returncode == 2 and sentence in done.stderr
    assert not list(tmp_path.iterdir())


# ---- The picture


def trial(number, lr, l2, value, state=COMPLETE):
    return Trial(number, {"lr": lr, "l2": l2}, state, (value,) if state == COMPLETE else ())


GRID = [
    trial(3 * i + j, lr, l2, lr + l2) for i, lr in enumerate((0.1, 1.0)) for j, l2 in enumerate((1, 2, 3))
]
DRAWN = [
    trial(0, 0.2, 1.5, 1.7),
    trial(1, 0.5, 2.5, 0.0, FAILED),
    trial(2, 0.3, 1.1, 1.4),
    trial(3, 0.9, 2, 2.9),
]
PLANE = Space({"lr": Interval(0.1, 1.0, log=True), "l2": Interval(1, 3)})


@pytest.mark.parametrize(("sign", "best"), [(1, [1.7, 1.7, 1.4, 1.4]), (-1, [1.7, 1.7, 1.7, 2.9])])
def test_best_so_far(sign, best):
    assert search.Searched("random", DRAWN[::-1]).best_so_far(sign).tolist() == best


def test_best_so_far_before_a_trial_is_complete():
    best = search.Searched("random", [trial(0, 1, 1, 0, FAILED), trial(1, 1, 1, 5.0)]).best_so_far(1)
    assert np.isnan(best[0]) and best[1] == 5


def draw(monkeypatch, space, *searches):
    drawn = []
    monkeypatch.setattr(search, "render_png", lambda figure: drawn.append(figure) or b"")
    search.draw([search.Searched(f"s{i}", trials) for i, trials in enumerate(searches)], space, "loss", 1)
    return drawn[0].axes


def test_picture_shows_every_trial_in_the_plane(monkeypatch):
    grid, drawn, *_ = draw(monkeypatch, PLANE, GRID, DRAWN)
    assert grid.collections[0].get_offsets().tolist() == [list(t.params.values()) for t in GRID]
    assert grid.collections[0].get_array().tolist() == [t.values[0] for t in GRID]
    assert drawn.collections[1].get_offsets().tolist() == [[0.5, 2.5]]  # the one that failed
    assert (grid.texts[0].get_text(), drawn.texts[0].get_text()) == ("2 values", "4 values")
    assert (grid.get_xscale(), grid.get_yscale()) == ("log", "linear")


@pytest.mark.parametrize(
    "space", [Space({"lr": Interval(0.1, 1.0)}), Space({"lr": Interval(0.1, 1.0), "l2": Choice(["a", "b"])})]
)
def test_without_two_numbers_there_are_lines_alone(monkeypatch, space):
    (lines,) = draw(monkeypatch, space, GRID, DRAWN)
    assert lines.lines[1].get_ydata().tolist() == [1.7, 1.7, 1.4, 1.4]


def test_choices_of_numbers_are_an_axis(monkeypatch):
    space = Space({"lr": Choice([0.01, 0.1, 1.0]), "l2": Choice([1, 2, 3])})
    panel, *_ = draw(monkeypatch, space, GRID)
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "linear")


def test_where_trials_failed_is_drawn_in_the_plane_alone(monkeypatch):
    failed = [trial(0, 0.2, 1.5, 0, FAILED)]
    assert draw(monkeypatch, PLANE, failed, failed)
    with pytest.raises(UserError, match="no trial was completed"):
        draw(monkeypatch, Space({"lr": Interval(0.1, 1.0)}), failed, failed)


def test_a_picture_that_fails_costs_nothing(monkeypatch, capsys, tmp_path):
    def fail(*_):
        raise ValueError("no colours")

    monkeypatch.setattr(search_picture, "_draw", fail)
    search_picture.show_searches({}, None, None, tmp_path)
    assert capsys.readouterr().err.endswith("search.png: there is no picture: ValueError: no colours\n")


def test_every_search_is_seen_from_its_first_trial(monkeypatch):
    """Of equal results the later lines are dashed, and a first trial that is much worse is on the axis."""
    space = Space({"lr": Interval(0.1, 1.0)})
    bad_first = [trial(n, 0.2, 1, 5.0 if n < 3 else 0.06) for n in range(30)]
    same = [trial(n, 0.2, 1, 0.06) for n in range(30)]
    (axes,) = draw(monkeypatch, space, bad_first, same, same)
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log" and low < 0.06 and high > 5.0
    assert len({(line.get_linestyle(), line.get_linewidth()) for line in axes.lines}) == 3
    assert [line.get_linestyle() for line in axes.lines[1:]] == ["--", "--"]
