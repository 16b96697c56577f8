"""`show=[...]`: pictures that a command ends with, where they go, what is said, and what is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import nnlab.pictures
from nnlab.cli import main
from nnlab.commands import train_command
from nnlab.commands.pictures import EndedRun, show_pictures
from nnlab.declarations import picture_summaries
from nnlab.pictures import PICTURES, picture
from nnlab.pictures.base import Picture, ShownRun
from nnlab.records.captions import with_changes
from nnlab.records.files import RECORDING_KEYS
from nnlab.records.stored_run import StoredRun

MOONS = ("data=moons", "data.n=60", "model.hidden=[4]", "epochs=3", "picture=false")
CAPTION = (
    "Look at the middle: there, between the two half circles, the network of four hidden units is unsure."
)


class Spy(Picture):
    """A picture of one point that keeps the runs which it was to draw."""

    name, summary, runs = "boundary", "", []

    def draw(self, runs):
        Spy.runs = runs
        width, height = struct.pack(">II", 3, 2), b""
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + width + height


@pytest.fixture
def spy(monkeypatch):
    monkeypatch.setattr("nnlab.pictures.boundary.Boundary", Spy)
    return Spy


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def image(folder, tag):
    """The image as TensorBoard reads it: step, width, height, PNG."""
    events = EventAccumulator(str(folder))
    events.Reload()
    assert tag in events.PluginTagToContent("images")
    (event,) = events.Tensors(tag)
    width, height, png = make_ndarray(event.tensor_proto)
    return event.step, int(width), int(height), png


def test_every_picture_has_its_name_and_a_line():
    for name in PICTURES:
        made = picture(name)
        assert isinstance(made, Picture) and made.name == name
        assert picture_summaries()[name] == made.summary and made.summary[:1].islower()
        assert (
            Path(nnlab.pictures.__file__)
            .with_name(PICTURES[name].split(":")[0].split(".")[-1] + ".py")
            .exists()
        )


def test_a_run_ends_with_its_picture(here, capsys, spy):
    assert main(["train", *MOONS, "show=boundary", f"caption='{CAPTION}'", "hydra.run.dir=out"]) == 0
    end = capsys.readouterr().out.split("\n\n")[-1].splitlines()
    assert end[0] == "  picture            out/boundary.png"
    words = " ".join(line.strip() for line in end[1:])
    assert words == f"look at            {CAPTION}" and all(len(line) <= 80 for line in end)
    png = (here / "out/boundary.png").read_bytes()
    assert image(here / "out", "boundary") == (3, 3, 2, png)
    (run,) = spy.runs
    assert run.name == "" and StoredRun("out").settings["show"] == "boundary"
    assert not {"show", "caption"} & vars(run.stored.experiment).keys() and {"show", "caption"} < {
        *RECORDING_KEYS
    }
    # What the picture sees is what was trained: by the folder alone.
    again = ShownRun("", StoredRun("out"))
    np.testing.assert_array_equal(run.dataset.x, again.dataset.x)
    fold, split = again.fold(0), run.stored.splits[0]
    np.testing.assert_array_equal(fold.test, split["test"])
    np.testing.assert_array_equal(fold.validation, split["validation"])
    assert again.model.evaluate(again.dataset.x[fold.test], run.model.classes[again.dataset.y[fold.test]])[
        "accuracy"
    ] == run.stored.rows[0]["test"]["accuracy"]  # fmt: skip


def test_all_runs_have_one_picture(here, capsys, spy):
    words = ["train", "-m", *MOONS, "show=[boundary]", "optimizer.lr=0.1,0.01", "hydra.run.dir=out"]
    assert main(words) == 0
    assert [run.name for run in spy.runs] == ["lr=0.1", "lr=0.01"]
    assert capsys.readouterr().out.endswith("  picture            out/boundary.png\n")
    assert (here / "out/boundary.png").exists() and not [*here.glob("out/*/boundary.png")]
    assert image(here / "out", "boundary")[1:3] == (3, 2)


def test_only_runs_that_ask_are_drawn(here, capsys, spy):
    """As where experiments are beside each other, one of which has `show`."""
    assert main(["train", *MOONS, "hydra.run.dir=out"]) == 0
    settings = StoredRun("out").settings
    asks = EndedRun(Path("out"), settings | {"show": ["boundary"]}, "")
    show_pictures("train", {"asks": asks, "does not": EndedRun(Path("out"), settings, "")}, Path("out"))
    assert len(spy.runs) == 1 and "out/boundary.png" in capsys.readouterr().out


@pytest.mark.parametrize("fault", [RuntimeError("no colour"), MemoryError(), OSError(28, "No space left")])
def test_a_picture_that_fails_costs_nothing(here, capsys, monkeypatch, fault):
    def fail(self, runs):
        raise fault

    monkeypatch.setattr("nnlab.pictures.boundary.Boundary.draw", fail)
    assert main(["train", *MOONS, "show=[boundary]", "caption=here", "hydra.run.dir=out"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("nnlab train: advice: show = 'boundary': there is no picture: ")
    assert printed.err.count("\n") == 1 and "look at" not in printed.out
    assert StoredRun("out").ended and not Path("out/boundary.png").exists()


def test_an_interruption_while_it_draws_loses_nothing(here, capsys, spy, monkeypatch):
    def interrupt(self, runs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Spy, "draw", interrupt)
        assert main(["train", *MOONS, "show=[boundary]", "hydra.run.dir=out"]) == 130
    assert capsys.readouterr().err.endswith("'out'; to draw its pictures: nnlab train resume=out\n")
    assert StoredRun("out").ended and main(["train", "resume=out"]) == 0
    assert Path("out/boundary.png").exists()


def test_diverged_runs_have_no_picture(here, capsys):
    line = ["train", *MOONS, "optimizer=sgd", "optimizer.lr=1e30", "show=[boundary]", "hydra.run.dir=out"]
    assert main(line) == 1
    assert "all rows diverged" in capsys.readouterr().err


@pytest.mark.parametrize("words, sentence", [
    (["show=[boundry]"], "did you mean 'boundary'?"),
    (["show=3"], "show = 3: expected one of activations, "),
    (["data=digits", "show=[boundary]"], "show = 'boundary' needs examples of two numbers"),
    (["data=moons", "show=[boundary,fit]"], "show = 'fit' needs examples of one number"),
    (["-m", "data=moons,digits", "show=[boundary]"], "run data=digits: show = 'boundary' needs"),
    (["-m", "data=line", "show=fit,curves"], "write 'show=[fit,curves]' for all of them"),
    (["-m", "data=line", "picture=true,false"], "picture is the same for all runs"),
])  # fmt: skip
def test_refused_before_training(here, capsys, words, sentence):
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not [*here.iterdir()]


def test_no_file_is_written_through_a_link(here, capsys, spy, monkeypatch):
    """A stranger's folder that is resumed might have one."""
    target = here / "secret"
    target.write_text("kept")
    trained = train_command._train_and_compare

    def train(runs, folder, resumed):
        code = trained(runs, folder, resumed)
        (folder / "boundary.png").symlink_to(target)
        return code

    monkeypatch.setattr(train_command, "_train_and_compare", train)
    assert main(["train", *MOONS, "show=[boundary]", "hydra.run.dir=out"]) == 0
    assert target.read_text() == "kept" and "link" in capsys.readouterr().err


def test_a_resumed_run_draws_at_its_end(here, capsys, spy):
    """The pictures may be others than those it began with."""
    assert main(["train", *MOONS, "hydra.run.dir=out"]) == 0
    (here / "out/summary.json").unlink()  # as if it had been killed before its first checkpoint
    capsys.readouterr()
    assert main(["train", "resume=out", "show=[boundary]", "caption=here"]) == 0
    assert "picture            out/boundary.png\n  look at            here\n" in capsys.readouterr().out
    assert image(here / "out", "boundary")[1:3] == (3, 2)


def test_resumed_runs_of_m_draw_all(here, capsys, spy):
    assert main(["train", "-m", *MOONS, "show=[boundary]", "seed=0,1", "hydra.run.dir=out"]) == 0
    first = [run.model.rows[0].weights["output.weight"] for run in spy.runs]
    (here / "out/1_seed=1/summary.json").unlink()
    (here / "out/boundary.png").unlink()
    assert main(["train", "resume=out"]) == 0
    assert (here / "out/boundary.png").exists()
    again = [run.model.rows[0].weights["output.weight"] for run in spy.runs]
    np.testing.assert_array_equal(first, again)


def test_a_run_that_has_ended_can_be_drawn(here, capsys, spy):
    assert main(["train", *MOONS, "hydra.run.dir=out"]) == 0
    before = {path.name: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    capsys.readouterr()
    assert main(["train", "resume=out", "show=[fit]"]) == 2
    assert "show = 'fit' needs" in capsys.readouterr().err
    assert main(["train", "resume=out", "show=[boundary]", "caption=here"]) == 0
    assert capsys.readouterr().out == (
        "'out' has ended: there is nothing to go on with\n\n"
        "  picture            out/boundary.png\n  look at            here\n"
    )
    after = {path.name: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    assert before.items() <= after.items() and "boundary.png" in after


def test_a_picture_that_is_missing_is_drawn_by_resume(here, capsys, spy):
    """Its process was killed between the end of the training and that of the drawing."""
    assert main(["train", "-m", *MOONS, "show=[boundary]", "seed=0,1", "hydra.run.dir=out"]) == 0
    Path("out/boundary.png").unlink()
    assert main(["train", "resume=out"]) == 0
    assert Path("out/boundary.png").exists() and [run.name for run in spy.runs] == ["seed=0", "seed=1"]
    spy.runs = []
    assert main(["train", "resume=out"]) == 0
    assert not spy.runs  # it is there


def test_a_sweep_shows_its_winner(here, capsys, spy):
    words = ["sweep", *MOONS, "optimizer.lr=0.1,0.01", "report=false", "hydra.run.dir=out"]
    assert main([*words, "show=[fit]"]) == 2
    assert "show = 'fit' needs" in capsys.readouterr().err and not Path("out").exists()
    assert main([*words, "show=[boundary]", "caption=here"]) == 0
    end = "\n  picture            out/best/boundary.png\n  look at            here\n"
    assert capsys.readouterr().out.endswith(end)
    (run,) = spy.runs
    assert run.stored.path == Path("out/best") and image("out/best", "boundary")[1:3] == (3, 2)


@pytest.mark.parametrize("command", ["check", "graph"])
def test_commands_that_train_no_run_refuse_the_words(here, capsys, command):
    for word in ("show=[boundary]", "caption=here"):
        assert main([command, "data=moons", word]) == 2
        assert f"{word}: nnlab train ends with pictures" in capsys.readouterr().err
    assert not [*here.iterdir()]


def test_a_caption_alone_is_of_the_usual_picture(here, capsys):
    assert main(["train", "-m", *MOONS, "caption=here", "seed=0,1", "hydra.run.dir=out"]) == 0
    assert capsys.readouterr().out.endswith(
        "  picture            out/comparison.png\n  look at            here\n"
    )


def test_help_lists_the_pictures(capsys):
    assert main(["train", "show", "--help"]) == 0
    page = capsys.readouterr().out
    assert all(f"\n  {name}  " in page for name in PICTURES)


def test_a_caption_says_with_which_settings_it_is_read():
    mlp, pooling = "nnlab train experiment=lecture/mlp", "nnlab train experiment=lecture/pooling"
    assert with_changes("2%.", [mlp, f"{mlp} hydra.run.dir=out picture=true"]) == "2%."
    assert with_changes("2%.", [f"{mlp} epochs=5 caption=2%."]) == "2%."
    assert with_changes("2%.", ["nnlab train epochs=5"]) == "2%."
    assert with_changes("", [f"{mlp} epochs=5"]) == ""
    swept = [f"{pooling} model.pooling={name}" for name in ("max", "none")]
    assert with_changes("2%.", swept) == "2%."
    assert with_changes("2%.", [f"{words} 'data.n=50'" for words in swept]).endswith(
        "this is with data.n=50.)"
    )
