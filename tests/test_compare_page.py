"""The page of a comparison, its picture, its runs in TensorBoard: of what `nnlab compare` wrote."""

import contextlib
import html
import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from in_process import outcome as nnlab
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_hparams import backend, columns
from test_report_pages import assert_readable, text_of

from nnlab.records.compared_quantity import ComparedQuantity
from nnlab.records.comparison_words import sentences
from nnlab.records.run_path import find_job, newest_job
from nnlab.report.compare_methods import methods_section
from nnlab.statistics.comparison import Comparison, compare_arms
from nnlab.statistics.scores import Scores

pytestmark = pytest.mark.slow
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
HEADINGS = [f"{what} on {data}" for data in ("iris", "wine") for what in
            ("Which is better", "All pairs", "Curves of the arms")]  # fmt: skip
HEADINGS += ["Over all data sets", "How it was computed", "How to repeat it"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A comparison on two data sets, to which seeds were added, with its page."""
    top = tmp_path_factory.mktemp("compared") / "outputs/compare"
    top.mkdir(parents=True)
    with contextlib.chdir(top.parents[1]):
        job = "compare data=iris,wine optimizer=sgd,momentum,adam seeds=3 epochs=3 model.hidden=[4]"
        for words in (f"{job} hydra.run.dir=outputs/compare/mine", "compare outputs/compare/mine seeds=+2"):
            code, out, err = nnlab(*words.split())
            assert code == 0, (out, err)
        assert newest_job() == ("comparison", Path("outputs/compare/mine"))
        code, out, err = nnlab("report", "outputs/compare/mine")
        assert (code, err) == (0, "")
    return top / "mine"


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


def stored(folder) -> dict[str, dict[str, Comparison]]:
    tree = json.loads((folder / "compare.json").read_text())["comparisons"]
    return {data: {name: Comparison.from_json(c) for name, c in each.items()} for data, each in tree.items()}


def figures_of(folder) -> list[dict]:
    (text,) = re.findall(r'id="figures">(.*?)</script>', (folder / "report.html").read_text(), re.S)
    return [*json.loads(text)["figures"].values()]


def test_its_sections(folder):
    page = (folder / "report.html").read_text()
    assert [html.unescape(heading) for heading in re.findall(r"<h2 .*?>(.*?)</h2>", page)] == HEADINGS
    text = text_of(folder / "report.html")
    assert not re.search(r"Not drawn|Not here|\bnan\b|None", text)
    assert "nnlab compare data=iris,wine optimizer=sgd,momentum,adam seeds=3" in text


def test_it_says_what_the_screen_does(folder):
    text = " ".join(text_of(folder / "report.html").split())
    for of_data in stored(folder).values():
        measure, comparison = next(iter(of_data.items()))
        for sentence in sentences(comparison, ComparedQuantity(measure)):
            assert sentence[1:] in text


def test_its_figures_have_every_seed(folder):
    forest = figures_of(folder)[0]
    assert len(forest["data"][0]["x"]) == 3 * 5 and len(forest["data"][1]["x"]) == 3
    curves = [
        figure for figure in figures_of(folder) if figure["layout"]["xaxis"].get("title") == {"text": "epoch"}
    ]
    assert len(curves) == 4
    named = [[trace["name"] for trace in figure["data"] if "name" in trace] for figure in curves]
    assert {*named[0]} == {"optimizer=sgd", "optimizer=momentum", "optimizer=adam"}


def test_the_ranks_over_all_data_sets(folder):
    text = " ".join(text_of(folder / "report.html").split())
    ranking = json.loads((folder / "compare.json").read_text())["over_data"]["ranking"]
    assert ranking["data"] == ["iris", "wine"] and sum(ranking["mean_ranks"]) == 6
    assert re.search(f"{ranking['arms'][0]} {ranking['mean_ranks'][0]:.2f} ", text)
    profile = figures_of(folder)[-1]
    assert [trace["name"] for trace in profile["data"]] == ranking["arms"]
    assert profile["data"][0]["x"][0] == 1 and sum(trace["y"][0] for trace in profile["data"]) >= 100


def test_a_picture_is_beside_it(folder):
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_tensorboard_has_the_arms_and_the_comparison(folder):
    logging.disable(logging.WARNING)
    runs = EventAccumulator(str(folder / "comparison")).Reload()
    logging.disable(logging.NOTSET)
    assert [event.step for event in runs.Tensors("compare")] == [3, 5]
    text = runs.Tensors("which is better")[-1].tensor_proto.string_val[0].decode()
    assert "optimizer=sgd" in text and "5 seeds" in text
    experiment = columns(backend(folder))
    assert experiment.hparam_infos[0].differs and "test/error" in {
        metric.name.tag for metric in experiment.metric_infos
    }
    differing = {info.name for info in experiment.hparam_infos if info.differs}
    assert {"optimizer.name", "data.name"} <= differing


LOST = ["0_data=iris,optimizer=sgd", "seeds3-4", "0_data=iris,optimizer=sgd/rows.json", "runs.json"]


@pytest.mark.parametrize("lost", LOST)
def test_what_is_lost_costs_no_other_section(lost, copy):
    shutil.rmtree(copy / lost) if (copy / lost).is_dir() else (copy / lost).unlink()
    code, _, err = nnlab("report", copy)
    assert (code, err) == (0, "")
    text = text_of(copy / "report.html")
    assert "Not drawn" not in text and "is better" in text or "no difference" in text.lower()
    assert all(heading in text for heading in HEADINGS)


DAMAGED = {  # what is done to compare.json, and to the comparison that the page begins with
    "no comparisons yet": lambda tree, _: tree.update(comparisons={}),
    "a list": lambda tree, _: tree.update(comparisons=[1]),
    "a pair of nothing": lambda _, first: first["pairs"][0].pop("p"),
    "no pairs": lambda _, first: first.update(pairs=[]),
    "no arms": lambda _, first: first.update(arms=[], pairs=[]),
    "a mean that is a text": lambda _, first: first["arms"][0].update(mean="x"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_a_sentence(damage, copy):
    tree = json.loads((copy / "compare.json").read_text())
    DAMAGED[damage](tree, tree["comparisons"]["iris"]["test_error"])
    (copy / "compare.json").write_text(json.dumps(tree))
    code, _, err = nnlab("report", copy)
    text = text_of(copy / "report.html")
    assert "Traceback" not in err and (
        code == 2 or re.search("Not here|Not drawn|Nothing is compared before", text)
    )
    assert code == 2 or "How to repeat it" in text and "Curves of the arms on iris" in text


def test_no_text_of_the_file_is_markup_and_it_leads_nowhere(copy):
    text = (copy / "compare.json").read_text()
    (copy / "compare.json").write_text(text.replace('optimizer=sgd"', json.dumps(EVIL)[1:-1] + '"'))
    names = json.loads((copy / "compare.json").read_text())["runs"]
    assert EVIL in names
    assert nnlab("report", copy)[0] == 0
    page = (copy / "report.html").read_text()
    assert "alert(1)" in page and "<script>alert" not in page and "onerror=alert(1)>" not in page
    (copy / "compare.json").write_text(text.replace('"0_data=iris', '"../../0_data=iris'))
    code, _, err = nnlab("report", copy)
    assert code == 2 and "compare.json" in err and err.count("\n") == 1


def test_a_run_that_was_compared_is_still_a_run(folder, copy):
    run = copy / "0_data=iris,optimizer=sgd"
    shutil.copy(copy / "compare.json", run)
    assert find_job(run) == ("run", run) and find_job(copy) == ("comparison", copy)
    assert find_job(copy / "compare.json") == ("comparison", copy)


def test_a_browser_shows_it_on_any_screen(folder, tmp_path):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    browser = Browser(tmp_path / "profile")
    try:
        for width, scheme in ((1280, "light"), (1280, "dark"), (400, "light")):
            browser.open(folder / "report.html", width, scheme)
            browser.settle(0)
            assert_readable(browser.look(), width)
        assert browser.complaints == []
    finally:
        browser.close()


def test_what_intervals_are_of_is_said():
    """Other seeds on the same examples; where splits vary they are of other examples too."""
    random = np.random.default_rng(0)
    shapes = {"seed": (5, 1, 1), "split": (1, 5, 1)}
    for unit, shape in shapes.items():
        values = {arm: random.normal(size=shape) for arm in ("a", "b")}
        section = methods_section([compare_arms(Scores(values, overlap=0.2))], added_seeds=2)
        text = " ".join(part.text for part in section.body)
        assert "tuned once" not in text
        assert ("not of other examples" in text) == (unit == "seed") and "added 2 times" in text


def test_tuned_arms_are_said_to_be_tuned_once():
    values = {arm: np.random.default_rng(0).normal(size=(5, 1, 1)) for arm in ("a", "b")}
    section = methods_section([compare_arms(Scores(values))], is_tuned=True)
    assert sum("tuned once" in part.text for part in section.body) == 1
