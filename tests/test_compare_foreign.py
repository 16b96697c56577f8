"""Security: somebody else's folder of a comparison is refused in one sentence, and leads nowhere."""

import json
import os
import shutil
from pathlib import Path

import pytest
from in_process import said
from test_compare import SMALL, refused

from nnlab.errors import UserError
from nnlab.records.comparison_file import read_comparison
from nnlab.records.files import temporary_path, write_json


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    said("compare", *SMALL, "seeds=2", "optimizer=sgd,adam", f"hydra.run.dir={folder}/x")
    return folder


@pytest.fixture
def here(original, tmp_path, monkeypatch) -> Path:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


SGD, ADAM = "optimizer=sgd", "optimizer=adam"
WRONG = {
    "no mapping": [],
    "nothing": {},
    "a measure of its own": {"measure": "__class__"},
    "no data": {"data": []},
    "data that are no names": {"data": [3]},
    "arms without names": {"arms": [{"words": []}]},
    "arms that are no mappings": {"arms": ["x", "y"]},
    "two arms of one name": {"arms": [{"name": SGD, "words": []}] * 2},
    "words that are none": {"arms": [{"name": SGD, "words": [1]}, {"name": ADAM, "words": []}]},
    "runs of other arms": {"runs": {"z": {"iris": ["0_optimizer=sgd"]}}},
    "runs on other data": {
        "runs": {SGD: {"wine": ["0_optimizer=sgd"]}, ADAM: {"iris": ["1_optimizer=adam"]}}
    },
    "no runs": {"runs": {SGD: {"iris": []}, ADAM: {"iris": ["1_optimizer=adam"]}}},
    "a run twice": {"runs": {SGD: {"iris": ["0_optimizer=sgd"] * 2}, ADAM: {"iris": ["1_optimizer=adam"]}}},
    "a run outside": {
        "runs": {SGD: {"iris": ["../y/0_optimizer=sgd"]}, ADAM: {"iris": ["1_optimizer=adam"]}}
    },
    "an absolute path": {"runs": {SGD: {"iris": ["/etc"]}, ADAM: {"iris": ["1_optimizer=adam"]}}},
    "a name with a null": {"runs": {SGD: {"iris": ["a\0b"]}, ADAM: {"iris": ["1_optimizer=adam"]}}},
    "a link": {"runs": {SGD: {"iris": ["link"]}, ADAM: {"iris": ["1_optimizer=adam"]}}},
    "a folder that is not there": {"runs": {SGD: {"iris": ["gone"]}, ADAM: {"iris": ["1_optimizer=adam"]}}},
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("more", [[], ["seeds=+1"]], ids=["read", "train"])
def test_a_wrong_file_is_one_sentence(case, more, here):
    shutil.copytree("x", "y")
    if case == "a link":
        Path("x/link").symlink_to("../y/0_optimizer=sgd")
    wrong = WRONG[case]
    tree = (
        json.loads(Path("x/compare.json").read_text()) | wrong if isinstance(wrong, dict) and wrong else wrong
    )
    Path("x/compare.json").write_text(json.dumps(tree))
    before = {path: path.read_bytes() for path in Path("y").rglob("*") if path.is_file()}
    refused("x", *more)
    assert {path: path.read_bytes() for path in Path("y").rglob("*") if path.is_file()} == before


def test_links_are_neither_read_nor_written_through(here):
    secret = here / "secret.json"
    shutil.move("x/compare.json", secret)
    text = secret.read_text()
    Path("x/compare.json").symlink_to(secret)
    assert "is a link" in refused("x")
    Path("x/compare.json").unlink()
    os.link(secret, "x/compare.json")
    assert "hard link" in refused("x")
    assert secret.read_text() == text
    Path("x/compare.json").unlink()
    shutil.copy(secret, "x/compare.json")
    Path("x/seeds2").symlink_to(here / "elsewhere")
    assert "is a link" in refused("x", "seeds=+1") and not (here / "elsewhere").exists()


@pytest.mark.parametrize("name", ["comparison", "compare.json", "compare.png"])
def test_nothing_is_written_through_a_link(name, here):
    """A folder of events that is a link, and what this process will call its temporary files."""
    if name != "comparison":
        name = temporary_path(Path(name), os.getpid()).name
    elsewhere = here / "elsewhere"
    elsewhere.mkdir() if name == "comparison" else elsewhere.write_text("mine")
    shutil.rmtree("x/comparison", ignore_errors=True)
    Path("x", name).symlink_to(elsewhere)
    assert "is a link" in refused("x")
    assert not any(elsewhere.iterdir()) if name == "comparison" else elsewhere.read_text() == "mine"


def test_a_link_in_place_of_a_temporary_file_is_not_followed(tmp_path):
    """Whoever sends a folder can guess the numbers of processes."""
    mine, file = tmp_path / "mine", tmp_path / "a.json"
    mine.write_text("mine")
    temporary_path(file, os.getpid()).symlink_to(mine)
    write_json(file, {"a": 1})
    assert mine.read_text() == "mine" and json.loads(file.read_text()) == {"a": 1}


ROWS = {
    "a repeat below 0": {"repeat": -1},
    "a fold of text": {"fold": "x"},
    "a seed that is no number": {"seed": "0"},
    "a status that is none": {"status": 3},
}


@pytest.mark.parametrize("case", ROWS)
def test_wrong_rows_are_one_sentence(case, here):
    file = Path("x/0_optimizer=sgd/rows.json")
    rows = json.loads(file.read_text())
    file.write_text(json.dumps([row | ROWS[case] for row in rows[:1]] + rows[1:]))
    refused("x")


def test_what_is_odd_in_rows_and_summary_breaks_nothing(here):
    """Values that no row has, splits of unknown size, names with codes for the terminal."""
    for name in ("0_optimizer=sgd", "1_optimizer=adam"):
        file = Path("x", name, "rows.json")
        rows = json.loads(file.read_text())
        for number, row in enumerate(rows):
            row |= {"repeat": number, "examples": {"train": 0}}
            row["test"] |= {"loss": 1e100 * (1 - 2 * number), "accuracy": None, "mcc": "x", "roc_auc": []}
        file.write_text(json.dumps(rows))
        summary = Path("x", name, "summary.json")
        summary.write_text(json.dumps(json.loads(summary.read_text()) | {"intervals": {"test": 3}}))
    text = Path("x/compare.json").read_text().replace("optimizer=sgd", "opt\\u001b[31mred")
    Path("x/compare.json").write_text(text.replace("0_opt\\u001b[31mred", "0_optimizer=sgd"))
    printed = said("compare", "x")
    assert "\x1b" not in printed and "NaN" not in Path("x/compare.json").read_text()


def test_what_curves_give_is_computed_and_never_read(here):
    """Entries of rows that only nnlab makes, and a row without a curve."""
    file = Path("x/0_optimizer=sgd/rows.json")
    rows = [row | {"courses": 3} for row in json.loads(file.read_text())]
    file.write_text(json.dumps([*rows, rows[0] | {"row": 99, "seed": 77}]))
    said("compare", "x")
    said("compare", "x", "target=0.5")


def test_a_run_without_rows_is_one_sentence(here):
    Path("x/0_optimizer=sgd/rows.json").write_text("[]")
    assert "it has no rows" in refused("x", "seeds=+1")


def test_numbers_that_overflow_in_percent_are_drawn_and_reported(here):
    file = Path("x/0_optimizer=sgd/rows.json")
    rows = json.loads(file.read_text())
    for number, row in enumerate(rows):
        row["test"]["error"] = (1 - 2 * number) * 1.7e308
    file.write_text(json.dumps(rows))
    said("compare", "x")
    assert Path("x/compare.png").stat().st_size > 1000
    said("report", "x")
    assert "Not drawn" not in Path("x/report.html").read_text()


def test_what_others_wrote_into_the_file_stays(here):
    tree = json.loads(Path("x/compare.json").read_text()) | {"tuning": {"trials": 3}}
    Path("x/compare.json").write_text(json.dumps(tree))
    said("compare", "x", "measure=val_loss")
    assert json.loads(Path("x/compare.json").read_text())["tuning"] == {"trials": 3}


def test_many_arms_are_refused(here):
    arms = [f"a{n}" for n in range(101)]
    tree = {
        "arms": [{"name": arm, "words": []} for arm in arms],
        "runs": {arm: {"iris": ["0_optimizer=sgd"]} for arm in arms},
    }
    Path("x/compare.json").write_text(json.dumps(json.loads(Path("x/compare.json").read_text()) | tree))
    assert "5,050 pairs" in refused("x")
    assert "allowed are 100 arms" in refused("optimizer.lr=range(1,102)")
    with pytest.raises(UserError):
        Path("x/compare.json").write_text("[" * 100_000)
        read_comparison(Path("x"))
