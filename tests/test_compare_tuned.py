"""`nnlab compare tune=n`: each arm's own sweep first, then the arms with what won."""

import contextlib
import csv
import io
import json
import os
import shlex
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from in_process import said
from processes import Started, forked
from test_report_pages import text_of

from nnlab.cli import main
from nnlab.commands import compare_words
from nnlab.commands.command_line import CommandLine
from nnlab.records.tuning_text import stored_winners, tuned_note
from nnlab.search.domains import Interval

WINNER = {
    "folder": "tuning/0", "objective": "val_loss", "value": 0.1, "trial": 1, "trials": 2, "failed": 0,
    "words": ["optimizer.lr=0.1"], "searched": {"optimizer.lr": "interval(0.01,0.1)"},
    "ends": {"optimizer.lr": "upper"},
}  # fmt: skip
SMALL = ("data=iris", "epochs=2", "model.hidden=[4]", "seeds=3")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """What two tuned arms left in folder T, and what was said."""
    folder = tmp_path_factory.mktemp("tuned")
    words = (*SMALL, "data=iris,wine", "optimizer=sgd,adam", "tune=6", "sampler=random", "sampler.seed=3")
    process = forked(folder, "compare", *words, "hydra.run.dir=T")
    assert process.returncode == 0, process.stderr
    return folder / "T", process.stdout


def compared(folder) -> dict:
    return json.loads((Path(folder) / "compare.json").read_text())


def trials_in(folder) -> list[dict]:
    return [*csv.DictReader((folder / "trials.csv").read_text().splitlines())]


def requests_of(*words) -> dict:
    """Arm -> the sweep that tunes it."""
    plan = compare_words.read(CommandLine("compare", (*SMALL, *words)))
    return {
        " ".join(words): request for words, request in zip(plan.varied, plan.tuning.requests, strict=True)
    }


@pytest.mark.parametrize("words, said", [
    ("tune=6", "tpe chooses by results only after its first 16 trials (sampler.startup)"),
    ("tune=6 sampler=cmaes", "cmaes chooses by results only after its first 16 trials (sampler.population)"),
    ("tune=17", ""), ("tune=6 sampler=random", ""), ("tune=6 sampler.startup=3", ""),
])  # fmt: skip
def test_too_few_trials_to_learn_from_are_advised_against(words, said, capfd):
    assert main(["compare", *SMALL, "optimizer=sgd,adam", *words.split(), "plan=true"]) == 0
    err = " ".join(capfd.readouterr().err.split())
    assert said in err and ("chooses by results" in err) == bool(said)


def test_every_arm_has_a_sweep_on_every_data_set_and_is_compared_with_what_won(tuned):
    folder, text = tuned
    file = compared(folder)
    entry = file["tuning"]
    assert entry["trials"] == 6 and entry["sampler"] == {"name": "random", "seed": 3}
    assert "each arm tuned by 6 trials of random" in text and text.count("tuned once") == 1
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").read_text().count("tuned once") == 1
    assert {*file["over_data"]} == {"ranking", "profile"} and (folder / "compare_over_data.png").exists()
    assert [{*arms} for arms in (file["runs"], entry["arms"])] == [{"optimizer=sgd", "optimizer=adam"}] * 2
    for arm, by_data in file["runs"].items():
        for data, (name,) in by_data.items():
            winner = entry["arms"][arm][data]
            trials = trials_in(folder / winner["folder"])
            best = min(trials, key=lambda trial: float(trial["val_loss"]))
            assert len(trials) == winner["trials"] == 6 and int(best["trial"]) == winner["trial"]
            command = shlex.split((folder / name / "command.txt").read_text())
            assert {arm, f"data={data}", *winner["words"]} <= {*command}
            assert [word.partition("=")[0] for word in winner["words"]] == [*winner["searched"]]
            rows = json.loads((folder / name / "rows.json").read_text())
            assert entry["seed"] not in [row["seed"] for row in rows] == [0, 1, 2]


def test_winners_at_an_end_of_their_range_are_noted_and_the_page_has_them_all(tuned):
    folder, text = tuned
    winners = stored_winners(compared(folder)["tuning"])
    assert len(winners) == 4
    said("report", str(folder))
    page = " ".join(text_of(folder / "report.html").split())
    assert "How arms were tuned" in page
    for each in winners:
        assert {*each.short_words} <= {*page.split()}
        assert [w.partition("=")[0] for w in each.short_words] == [*each.searched]
    assert any(each.ends for each in winners) == ("at an end of their ranges" in " ".join(text.split()))


def test_a_note_names_keys_and_ends():
    entry = {
        "trials": 2,
        "seed": 1,
        "arms": {"a=1": {"iris": WINNER}, "a=2": {"iris": WINNER | {"ends": {}}}},
    }
    text = " ".join(" ".join(tuned_note(entry)).split())
    assert "at an end of their ranges: optimizer.lr of a=1 (upper); a wider range may have better" in text
    for key in WINNER:  # a stranger's
        entry = {"trials": 2, "seed": 1, "arms": {"a=1": {"iris": WINNER | {key: ["x", 1]}}}}
        assert stored_winners(entry) == [] and "ranges" not in " ".join(tuned_note(entry))


@pytest.mark.parametrize("log", [False, True])
def test_the_end_of_a_range_is_within_two_percent_of_it(log):
    low, high = 1.0, 1000.0
    shares = np.array([0, 0.015, 0.03, 0.97, 0.985, 1])
    numbers = np.exp(shares * np.log(high)) if log else low + shares * (high - low)
    ends = [Interval(low, high, log=log).end_near(x) for x in numbers.tolist()]
    assert ends == ["lower", "lower", "", "", "upper", "upper"]
    assert Interval(0.0, 0.6).end_near(0.0) == "" and Interval(1, 9, whole=True).end_near(9) == "upper"


def test_arms_are_tuned_apart_and_alike(tuned):
    """Random search draws the same trials for each, since keys and seed are the same."""
    entry = compared(tuned[0])["tuning"]
    sgd, adam = (
        trials_in(tuned[0] / entry["arms"][f"optimizer={name}"]["iris"]["folder"]) for name in ("sgd", "adam")
    )
    key = "optimizer.lr"
    assert [t[key] for t in sgd] == [t[key] for t in adam]
    assert [t["val_loss"] for t in sgd] != [t["val_loss"] for t in adam]


def test_the_tuning_is_the_sweep_that_its_folder_says(tuned, tmp_path, monkeypatch):
    """Alone, by its own command."""
    folder = tuned[0] / compared(tuned[0])["tuning"]["arms"]["optimizer=adam"]["wine"]["folder"]
    words = shlex.split((folder / "command.txt").read_text())[1:]
    monkeypatch.chdir(tmp_path)
    said(*words, "hydra.run.dir=alone")
    assert trials_in(tmp_path / "alone") == trials_in(folder)
    alone, best = (json.loads((f / "sweep.json").read_text())["best"] for f in (tmp_path / "alone", folder))
    assert alone["params"] == best["params"]


def test_more_seeds_keep_the_settings_that_won(tuned):
    folder = tuned[0]
    before = compared(folder)
    assert "each arm tuned" in said("compare", str(folder), "seeds=+1")
    after = compared(folder)
    assert after["tuning"] == before["tuning"]
    for arm, by_data in after["runs"].items():
        for data, (_, more) in by_data.items():
            command = shlex.split((folder / more / "command.txt").read_text())
            assert {*after["tuning"]["arms"][arm][data]["words"], "seed=3"} <= {*command}


def test_the_space_is_what_an_arm_has_and_does_not_fix():
    request = requests_of("optimizer=momentum,adamw", "tune=4", "space=optimizers", "optimizer.lr=0.1")
    assert {arm: [*each.definition.texts] for arm, each in request.items()} == {
        "optimizer=momentum": ["optimizer.gamma"], "optimizer=adamw": ["optimizer.beta1"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "keys"),
    {
        "optimizer=sgd,adam": ["optimizer.lr", "regularizer.l2", "regularizer.dropout"],
        "optimizer=sgd,adam optimizer.lr=interval(0.1,1)": ["optimizer.lr"],
        "optimizer.lr=0.1,0.2": ["regularizer.l2", "regularizer.dropout"],
        "init=he_normal,glorot_normal space=optimizers": [
            "optimizer", "optimizer.lr", "optimizer.gamma", "optimizer.beta1",
        ],
        "optimizer=adamw optimizer.lr=0.1,0.2": ["regularizer.dropout", "optimizer.weight_decay"],
    }.items(),
)  # fmt: skip
def test_what_is_searched(words, keys):
    for request in requests_of(*words.split(), "tune=4").values():
        assert {*request.definition.texts} == {*keys}
        assert (request.search.trials, request.settings["seeds"]) == (4, 1)
        assert request.settings["seed"] == 1_000_000


@pytest.mark.parametrize(
    ("measure", "objective"),
    {"test_error": "auto", "val_error": "val_error", "val_f1_macro": "f1_macro"}.items(),
)  # fmt: skip
def test_arms_are_tuned_by_what_they_are_compared_by_unless_it_is_of_the_test_set(measure, objective):
    (request, _) = requests_of("optimizer=sgd,adam", "tune=4", f"measure={measure}").values()
    assert request.search.objective == objective


@pytest.mark.parametrize(
    ("measure", "is_said"),
    {
        "auto": False,
        "test_error": False,
        "val_error": True,
        "steps target=0.1": True,
        "auto split.test=0": True,
    }.items(),
)
def test_a_measure_of_the_examples_that_chose_the_settings_is_an_advice(measure, is_said):
    text = " ".join(
        said(
            "compare", *SMALL, "optimizer=sgd,adam", "tune=2", "plan=true", *f"measure={measure}".split()
        ).split()
    )
    assert ("by which the settings of each arm were chosen" in text) == is_said


WRONG_WORDS = {
    "tune=0": "expected a whole number at least 1",
    "sampler=random": "add tune=32",
    "tune=3 sampler.seed=1,2": "takes one value",
    "tune=3 sampler=grid": "sampler.points=5",
    "tune=3 sampler=grid sampler.points=2": "its grid has 8 cells",
    "tune=3 space=none": "the space has no keys",
    "tune=3 optimizer.gamma=interval(0.1,0.9)": "tuning optimizer=sgd: nothing is left to search",
    "tune=3 optimizer.lr=0.1 optimizer.lr=interval(0.1,0.9)": "there twice",
    "tune=3 optimizer.lr=interval(-1,0)": "tuning optimizer=sgd: optimizer.lr = -1.0",
    "tune=3 seed=int(interval(1,9))": "not searched",
    "tune=3 split.validation=interval(0.1,0.4)": "arms have the same splits",
    "tune=3 split=none metric=last": "to validate 3 trials",
    "tune=3 trials=4": "tune= says how many",
    "optimizer.lr=interval(0.1,0.9)": "has no list of values",
}


@pytest.mark.parametrize("words", WRONG_WORDS)
def test_wrong_words_are_one_sentence_and_leave_nothing(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sentence = said("compare", *SMALL, "optimizer=sgd,adam", *words.split(), code=2)
    assert WRONG_WORDS[words] in sentence and sentence.count("\n") == 1 and not [*tmp_path.iterdir()]


def test_folders_are_not_tuned(tuned):
    assert "keep the settings" in said("compare", str(tuned[0]), "tune=3", code=2)


def test_a_plan_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = said("compare", *SMALL, "optimizer=sgd,adam", "tune=6", "plan=true")
    assert "6 trials each by tpe" in text and "2 arms on iris: 6 rows in 2 stacks" in text
    assert "arms on iris" in said("compare", *SMALL, "optimizer=sgd,adam", "plan=true")
    assert not [*tmp_path.iterdir()]


def test_an_arm_that_no_trial_trains_ends_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("data=diabetes", "model=linear", "optimizer=sgd", "optimizer.lr=0.01,1e30", "tune=2", "epochs=1")
    text = said("compare", *words, "seeds=2", "hydra.run.dir=x", code=1)
    assert "none of 2 trials was trained to its end, most of them so: diverged" in text
    assert len([*Path("x/tuning").glob("*/")]) == 2 and not Path("x/compare.json").exists()


# ---- Interrupted


@pytest.fixture
def interrupted(tuned, tmp_path) -> Path:
    """The folder as if the tuning had been killed: two sweeps have ended, one was about to begin."""
    folder = tmp_path / "T"
    shutil.copytree(tuned[0], folder)
    _, _, third, last = sorted((folder / "tuning").glob("*/"))
    shutil.rmtree(last)
    (third / "sweep.json").unlink()
    for path in [path for path in folder.iterdir() if path.name != "tuning"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def test_an_interrupted_tuning_goes_on_to_the_same_comparison(tuned, interrupted):
    for words in (["train", f"resume={interrupted}"], ["compare", str(interrupted), "seeds=+1"]):
        assert f"first nnlab compare {interrupted}" in said(*words, code=2)
    ended = next((interrupted / "tuning").glob("0_*")) / "study.journal"
    before = ended.read_bytes()
    said("compare", str(interrupted))
    assert ended.read_bytes() == before
    new, old = compared(interrupted), compared(tuned[0])
    assert new["tuning"] == old["tuning"] and new["arms"] == old["arms"]
    for arm, by_data in new["runs"].items():
        for data, (name,) in by_data.items():
            names = (interrupted / name, tuned[0] / old["runs"][arm][data][0])
            first, second = (json.loads((folder / "rows.json").read_text()) for folder in names)
            assert first == second


def test_ctrl_c_while_arms_are_tuned_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("data=iris", "model.hidden=[4]", "epochs=60", "seeds=2", "tune=20", "threads=1")
    started = Started(tmp_path, "compare", *words, "optimizer=sgd,adam", "hydra.run.dir=x")
    while not any(len(trials_in(file.parent)) for file in tmp_path.glob("x/tuning/*/trials.csv")):
        assert started.poll() is None, started.ended().stderr
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGINT)
    ended = started.ended()
    assert ended.returncode == 130 and ended.stderr.endswith("to go on: nnlab compare x\n")
    (begun,) = Path("x/tuning").glob("0_*")
    first = trials_in(begun)
    assert 0 < len(first) < 20
    said("compare", "x")
    assert {len(trials_in(path)) for path in Path("x/tuning").glob("*/")} == {20}
    assert trials_in(begun)[: len(first)] == first and compared("x")["tuning"]["trials"] == 20


FOREIGN = {
    "a list": lambda words: [],
    "no words": lambda words: {"config_dir": None},
    "not tuned": lambda words: {"words": ["optimizer=sgd,adam", "data=iris"], "config_dir": None},
    "another job": lambda words: {"words": [w.replace("epochs=2", "epochs=3") for w in words]},
    "the environment": lambda words: {"words": [*words, "caption=${oc.env:HOME}"]},
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_strangers_words_are_one_sentence(case, interrupted, monkeypatch):
    monkeypatch.chdir(interrupted.parent)
    file = interrupted / "tuning" / "tuning.json"
    file.write_text(json.dumps(FOREIGN[case](json.loads(file.read_text())["words"])))
    sentence = said("compare", "T", code=2)
    assert sentence.count("\n") == 1 and [*Path().iterdir()] == [Path("T")]


def test_a_strangers_words_choose_no_folder_and_lead_through_no_link(interrupted, monkeypatch):
    monkeypatch.chdir(interrupted.parent)
    file = interrupted / "tuning" / "tuning.json"
    tree = json.loads(file.read_text())
    file.write_text(json.dumps(tree | {"words": [*tree["words"], "hydra.run.dir=elsewhere"]}))
    said("compare", "T")
    assert [*Path().iterdir()] == [Path("T")]
    Path("T/compare.json").unlink()
    Path("T/tuning/link").symlink_to(interrupted.parent / "target")
    assert "link" in said("compare", "T", code=2)


@pytest.mark.parametrize("entry", [None, [], {}, {"trials": "3", "seed": 1}, {"trials": -1, "seed": 1}])
def test_a_strangers_entry_says_nothing(entry):
    assert tuned_note(entry) == []


def test_a_strangers_sampler_is_no_control_sequence():
    (line,) = tuned_note({"trials": 3, "seed": 1, "sampler": {"name": "\x1b[2J"}})[:1]
    assert "\x1b" not in line
