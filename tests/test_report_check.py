"""The page of a check: every rung, its advice and its figures; also of folders that are damaged or odd."""

import json
import shutil

import numpy as np
import pytest

from nnlab import UserError
from nnlab.cli import main
from nnlab.records.stored_check import read_verdicts
from nnlab.report.check_figures import RUNG_FIGURES, _on_log
from nnlab.report.check_sections import check_sections
from nnlab.report.figure_json import figure_tree, script_json
from nnlab.report.page import render_page
from nnlab.report.parts import Image, PlotlyFigure, Preformatted, Text

EVIL = "</script><script>alert(1)</script>"
SMALL = (
    "data=moons", "data.n=80", "model.hidden=[4]", "check.seeds=2", "check.rates=8", "check.rate_seeds=1",
    "check.rate_steps=20", "check.steps=20", "check.examples=10", "picture=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The folder of a check in which units saturate and the labels are noise."""
    folder = tmp_path_factory.mktemp("check") / "check"
    wrong = "init=normal", "init.std=30", "model.activation=tanh"
    assert main(["check", *SMALL, *wrong, f"hydra.run.dir={folder}"]) in (0, 1)
    return folder


@pytest.fixture
def folder(checked, tmp_path):
    return shutil.copytree(checked, tmp_path / "check")


def sections_of(folder):
    return {section.heading.partition(":")[0]: section for section in check_sections(folder)}


def figures_of(section):
    return [part for part in section.body if isinstance(part, PlotlyFigure)]


def changed(folder, change):
    verdicts = json.loads((folder / "check.json").read_text())
    change(verdicts)
    (folder / "check.json").write_text(json.dumps(verdicts))


def test_every_rung_has_its_sentences_and_advice(checked):
    verdicts, sections = json.loads((checked / "check.json").read_text()), sections_of(checked)
    overview, *rungs = sections.values()
    assert [*sections][1:] == [verdict["rung"] for verdict in verdicts]
    for verdict, section in zip(verdicts, rungs, strict=True):
        assert section.heading == f"{verdict['rung']}: {verdict['status']}"
        texts = " ".join(part.text for part in section.body if isinstance(part, Text))
        for finding in verdict["findings"]:
            assert finding["found"] in texts and finding["advice"] in texts
    assert any(v["status"] == "fail" for v in verdicts) and " failed" in overview.body[0].text
    (command,) = [part for part in overview.body if isinstance(part, Preformatted)]
    assert command.text == (checked / "command.txt").read_text().strip()
    drawn = {
        name for name, section in sections.items() if any(isinstance(p, PlotlyFigure) for p in section.body)
    }
    assert drawn == set(RUNG_FIGURES)
    render_page("a check", sections.values())


def test_figures_have_the_measurements(checked):
    details = {v.rung: v.details for v in read_verdicts(checked)}
    band_low, band_high, loss, *_ = RUNG_FIGURES["rates"](details["rates"])[0].data
    np.testing.assert_allclose(loss["x"], details["rates"]["lr"])
    start = details["saturation"]["start"]
    stuck, gradient, *_ = RUNG_FIGURES["saturation"](details["saturation"])
    assert stuck.data[0]["y"] == [100 * a["stuck"] for a in start["activations"].values()]
    layers = start["layers"]
    assert gradient.data[0]["x"] == list(layers)
    assert gradient.data[0]["y"] == [layer["gradient"] for layer in layers.values()]
    curves = RUNG_FIGURES["subset"](details["subset"])[0].data[:-1]
    assert len(curves) == len(details["subset"]["factors"])
    (own,) = [curve for curve in curves if curve["name"] == "this job's rate"]
    losses = np.array(details["subset"]["loss"][details["subset"]["factors"].index(1.0)])
    np.testing.assert_allclose(own["y"], np.where(losses > 0, losses, np.nan))  # on a logarithmic axis
    boxes, epsilons = RUNG_FIGURES["gradients"](details["gradients"])
    assert [*boxes.data[0]["y"]][::-1] == list(details["gradients"]["boxes"])
    assert len(epsilons.data) == 3


def test_a_gradient_that_is_wrong_is_drawn_as_wrong():
    box = {"error": 0.5, "autograd": None}
    details = {"limits": [1e-5, 1e-8], "boxes": {"a": box, "b": {"error": None, "autograd": 0.0}}}
    (figure,) = RUNG_FIGURES["gradients"](details)
    differences, _, autograd, _ = figure.data
    assert differences["marker"]["color"] == ["--bad", "--bad"]
    assert autograd["y"] == ["b"] and autograd["x"] == [1e-17]
    assert [_on_log(e) for e in (None, 0, 1e-3, 1e9)] == [10, 1e-17, 1e-3, 10]


def test_a_picture_stands_where_there_is_no_figure(folder):
    (folder / "data.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "determinism.png").write_bytes(b"GIF89a")
    (folder / "elsewhere.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "start.png").symlink_to(folder / "elsewhere.png")
    changed(folder, lambda verdicts: [v.update(details={"odd": 1}) for v in verdicts])
    sections = sections_of(folder)
    assert "is a link" in sections["start"].note
    with_image = {name for name, s in sections.items() if any(isinstance(p, Image) for p in s.body)}
    assert with_image == {"data"}


@pytest.mark.parametrize("change", [
    lambda verdict: verdict.pop("rung"),
    lambda verdict: verdict.update(findings=[]),
    lambda verdict: verdict.update(findings=["text"]),
    lambda verdict: verdict["findings"][0].update(status="good"),
    lambda verdict: verdict["findings"][0].update(advice=None),
])  # fmt: skip
def test_other_verdicts_are_refused(folder, change):
    changed(folder, lambda verdicts: change(verdicts[0]))
    with pytest.raises(UserError, match="check.json'"):
        sections_of(folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", "[1]", "[[]]", '["a"]'])
def test_what_is_no_list_of_verdicts_is_refused(folder, content):
    (folder / "check.json").write_text(content)
    with pytest.raises(UserError, match="check.json'"):
        sections_of(folder)


def test_no_measurement_of_a_stranger_is_an_accident(folder):
    """Whatever takes the place of any number: the rung's sentences are there."""
    whole = json.loads((folder / "check.json").read_text())
    for odd in (None, "x", [], {}, [[None]], -1e308, True):
        for verdict in whole:
            for key in verdict["details"]:
                others = [v | {"details": v["details"] | {key: odd}} if v is verdict else v for v in whole]
                (folder / "check.json").write_text(json.dumps(others))
                sections = sections_of(folder)
                assert verdict["findings"][0]["found"] in sections[verdict["rung"]].body[0].text
                for figure in figures_of(sections[verdict["rung"]]):
                    script_json(figure_tree(figure))


def test_no_text_of_a_stranger_is_markup(folder):
    def change(verdicts):
        for verdict in verdicts:
            verdict["findings"][0]["found"] = verdict["findings"][0]["advice"] = EVIL
            verdict["rung"] = "gradients" if verdict["rung"] == "gradients" else EVIL
        boxes = next(v for v in verdicts if v["rung"] == "gradients")["details"]["boxes"]
        boxes[EVIL] = next(iter(boxes.values()))

    changed(folder, change)
    (folder / "command.txt").write_text(EVIL)
    assert EVIL not in render_page(EVIL, check_sections(folder))
