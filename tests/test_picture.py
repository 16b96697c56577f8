"""The picture of a run's learning curves: its values, its file, and its image in TensorBoard."""

import io
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from processes import forked
from test_records import a_record
from test_train_command import ROOT, run_folder

from nnlab.cli import main
from nnlab.commands import board, train_command
from nnlab.errors import UserError
from nnlab.records import missing_pictures
from nnlab.records.missing_pictures import MissingPictures
from nnlab.records.picture import Curves, bands, draw
from nnlab.records.tensorboard import TensorBoard

NAN = np.nan


def size_of(png):
    """Width and height by the header of a whole PNG."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and png[-8:-4] == b"IEND"
    return struct.unpack(">II", png[16:24])


def image(folder):
    """The image `curves`, as TensorBoard reads it: step, width, height, PNG."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder))
    events.Reload()
    assert "curves" in events.PluginTagToContent("images")
    (event,) = events.Tensors("curves")
    width, height, png = make_ndarray(event.tensor_proto)
    return event.step, int(width), int(height), png


def some_curves(rows=4, epochs=6):
    """Row r trains r + 3 epochs at most; the last of several diverges at once."""
    curves, running = Curves(rows), list(range(rows))
    for epoch in range(1, epochs + 1):
        losses = [NAN if row == rows - 1 > 0 else (row + 1.0) / epoch for row in running]
        curves.record(a_record(epoch, running, improved=np.isfinite(losses), val_loss=losses))
        running = [row for row in running if row + 3 > epoch and row < max(rows - 1, 1)]
        if not running:
            break
    return curves


def test_bands_by_hand():
    values = np.array([[1.0, 1, NAN, NAN], [2, 3, 4, NAN], [3, np.inf, 6, NAN], [6, 7, NAN, NAN]])
    actual = bands(values)
    assert actual.rows.tolist() == [4, 3, 2, 0]
    assert actual.mean == pytest.approx([3, 11 / 3, 5, NAN], nan_ok=True)
    # Of n sorted numbers the quantile q is number q (n - 1), counted from 0, on the line to the next.
    assert actual.low == pytest.approx([1.3, 1 + 0.2 * 2, 4.2, NAN], nan_ok=True)
    assert actual.high == pytest.approx([3 + 0.7 * 3, 3 + 0.8 * 4, 5.8, NAN], nan_ok=True)


def test_curves_of_rows_that_end_at_different_times():
    curves = some_curves()
    expected = [(row + 1) / np.arange(1, 6) for row in range(3)] + [np.full(5, NAN)]
    expected[0][3:], expected[1][4:] = NAN, NAN
    assert curves.values("val_loss") == pytest.approx(np.array(expected), nan_ok=True)
    assert curves.best_epoch.tolist() == [3, 4, 5, 0] and curves.epochs == 5
    assert bands(curves.values("val_loss")).rows.tolist() == [3, 3, 3, 2, 1]


def test_stacks_one_after_another_are_the_same():
    together, apart = Curves(2), Curves(2)
    for epoch in (1, 2):
        together.record(a_record(epoch, [0, 1]))
    for row in (0, 1):
        for epoch in (1, 2):
            apart.record(a_record(epoch, [row]))
    assert np.array_equal(together.values("train_error"), apart.values("train_error"))


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("curves", [(1, 1), (1, 3), (4, 6), (15, 20)])
def test_it_draws_any_run(curves, task):
    assert size_of(draw(some_curves(*curves), "a title", task)) == (1200, 500)


def test_it_draws_what_is_awkward():
    nothing, flat = Curves(2), Curves(2)
    for epoch in range(1, 31):
        metrics = ("train_loss", "val_loss", "train_error", "val_error")
        nothing.record(a_record(epoch, [0, 1], improved=False, **dict.fromkeys(metrics, [NAN, np.inf])))
        flat.record(a_record(epoch, [0, 1], **dict.fromkeys(metrics, [0.0, 0.0])))
        flat.record(a_record(1, [0, 1], **dict.fromkeys(metrics, [9.0, 1e30])))
    for curves in (nothing, flat):
        assert size_of(draw(curves, "$x_1^{$ " + 200 * "long ", "classification")) == (1200, 500)


def test_the_same_run_gives_the_same_picture_and_touches_nothing_global():
    assert draw(some_curves(), "t", "regression") == draw(some_curves(), "t", "regression")
    code = """
import sys
import numpy as np
from nnlab.records.picture import Curves, draw
curves = Curves(2)
for epoch in (1, 2):
    curves.add(epoch, np.arange(2), {"train_loss": np.ones(2), "train_error": np.zeros(2)})
draw(curves, "t", "regression")
print("matplotlib.figure" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "False"]


def test_colours_are_in_it():
    """Neither curve is hidden: pixels of both colours are there."""
    from matplotlib.image import imread

    pixels = np.round(255 * imread(io.BytesIO(draw(some_curves(4, 6), "t", "regression")))[..., :3])
    for colour in ([0, 0x72, 0xB2], [0xD5, 0x5E, 0]):
        assert (pixels == colour).all(2).sum() > 300


def test_tensorboard(tmp_path):
    png = draw(some_curves(), "t", "classification")
    with TensorBoard(tmp_path, {}, 1) as board:
        board.picture(5, png)
    assert image(tmp_path) == (5, 1200, 500, png)


def test_the_setting():
    assert [train_command.wants_picture({"picture": "auto"}, rows) for rows in (1, 2)] == [False, True]
    assert [train_command.wants_picture({"picture": picture}, 1) for picture in (True, False)] == [
        True,
        False,
    ]
    assert not train_command.wants_picture({}, 1)
    for wrong in ("yes", 1, None):
        with pytest.raises(UserError, match="picture = .*true or false or auto"):
            train_command.prepare({"picture": wrong})


def test_the_command(tmp_path):
    process = forked(tmp_path, "train", "seeds=3", "epochs=3", "histograms=1")
    assert process.returncode == 0, process.stderr
    folder = run_folder(tmp_path)
    png = (folder / "curves.png").read_bytes()
    assert size_of(png) == (1200, 500) and image(folder) == (3, 1200, 500, png)
    assert "picture: auto" in (folder / "config.yaml").read_text()


def test_a_default_run_has_no_picture(tmp_path):
    assert forked(tmp_path, "train", "epochs=1").returncode == 0
    assert not (run_folder(tmp_path) / "curves.png").exists()


@pytest.fixture
def figures(monkeypatch):
    from nnlab.records import picture

    drawn_figures, render_png = [], picture.render_png
    monkeypatch.setattr(
        picture, "render_png", lambda figure: drawn_figures.append(figure) or render_png(figure)
    )
    return drawn_figures


def curves_with_rates(rates):
    """One row, whose learning rates are these."""
    made = Curves(1)
    for epoch, rate in enumerate(rates, start=1):
        names = ("train_loss", "train_error", "val_loss", "val_error")
        made.add(epoch, np.array([0]), dict.fromkeys(names, np.array([1 / epoch])) | {"lr": np.array([rate])})
    made.best_epoch[:] = len(rates)
    return made


@pytest.mark.parametrize("rates", [[0.1] * 5, [0.1, 0.1, 0.05], [1, 0.1, 0.001, 0.0]])
def test_the_learning_rate_is_in_the_picture(rates, figures):
    draw(curves_with_rates(rates), "digits", "classification")
    (figure,) = figures
    texts = [text.get_text() for text in figure.texts]
    if len(set(rates)) == 1:
        assert len(figure.axes) == 2 and f"learning rate {rates[0]:.3g}" in texts
    else:
        *_, panel = figure.axes
        assert len(figure.axes) == 3 and panel.get_title() == "learning rate"
        assert panel.lines[0].get_ydata().tolist() == rates
    assert "best epoch: " + str(len(rates)) in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_board_draws_what_a_run_of_one_row_left_out(tmp_path, monkeypatch):
    """The same picture that picture=true draws; nothing where it is not wanted, there, or cannot be."""
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "data=iris", "epochs=3", "schedule=cosine"]
    for name, more in (("auto", []), ("now", ["picture=true"]), ("never", ["picture=false"]), ("bad", [])):
        assert main([*arguments, *more, f"hydra.run.dir=runs/{name}"]) == 0
    (tmp_path / "runs/bad/rows.json").write_text('[{"best_epoch": 1}, 7')
    (tmp_path / "runs/huge").mkdir()
    for name in ("summary.json", "rows.json", "config.yaml"):
        (tmp_path / "runs/huge" / name).write_bytes((tmp_path / "runs/auto" / name).read_bytes())
    (tmp_path / "runs/huge/metrics.jsonl").write_text('{"epoch": 1000000000, "row": 0, "train_loss": 1}\n')
    runs = sorted((tmp_path / "runs").iterdir())
    with MissingPictures(runs) as late:
        late.wait()
    assert {run.name for run in runs if (run / "curves.png").exists()} == {"auto", "now"}
    assert (tmp_path / "runs/auto/curves.png").read_bytes() == (tmp_path / "runs/now/curves.png").read_bytes()
    assert not [file for run in runs for file in run.glob(".*.png.*")] and late.drawn == 1
    with MissingPictures(runs) as late:
        late.wait()
    assert late.drawn == 0


def test_the_command_draws_it(tmp_path, monkeypatch):
    """`nnlab board` itself, with a TensorBoard that is open until the picture is there."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "data=iris", "epochs=2"]) == 0
    (run,) = Path("outputs/train").iterdir()
    assert not (run / "curves.png").exists()

    def tensorboard(command, **how):
        deadline = time.monotonic() + 60
        while not (run / "curves.png").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return 0

    monkeypatch.setattr(board.subprocess, "call", tensorboard)
    assert main(["board"]) == 0
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_no_picture_is_begun_once_the_board_closes(tmp_path, monkeypatch):
    drawn = []

    def slow(run):
        started.set()
        released.wait(10)
        drawn.append(run)

    started, released = threading.Event(), threading.Event()
    monkeypatch.setattr(missing_pictures, "draw", slow)
    monkeypatch.setattr(missing_pictures, "_needs_picture", lambda run: True)
    with MissingPictures([tmp_path / "a", tmp_path / "b"]) as late:
        assert started.wait(10)
        late.stop()
        released.set()
    assert drawn == [tmp_path / "a"]
