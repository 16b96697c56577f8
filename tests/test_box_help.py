"""The list of boxes in `nnlab train model=graph --help` and docs/boxes.md: that of the classes themselves."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nnlab.autodiff.boxes import BOXES
from nnlab.cli import main
from nnlab.commands.box_help import HIDDEN_KEYS, boxes, markdown_table
from nnlab.declarations import box_declarations
from nnlab.models import GraphModel

PAGE = Path(__file__).parents[1] / "docs" / "boxes.md"


def test_every_box_with_its_keys_and_defaults():
    declared = box_declarations()
    assert {*declared} == {*BOXES} == {box.name for box in boxes()}
    for name, box in BOXES.items():
        defaults = {f.name: f.default for f in dataclasses.fields(box) if f.name not in HIDDEN_KEYS}
        required = {key for key, default in defaults.items() if default is dataclasses.MISSING}
        assert declared[name].name == box.__name__
        fields = {key: field for key, field in declared[name].fields.items() if key not in HIDDEN_KEYS}
        assert {key: field.default for key, field in fields.items() if key not in required} == {
            key: default for key, default in defaults.items() if key not in required
        }
        (shown,) = (each for each in boxes() if each.name == name)
        keys = {key.partition("=")[0]: key.partition("=")[2] for key, _ in shown.keys}
        assert {*keys} == {*defaults} and shown.meaning
        assert {key for key, default in keys.items() if default == "..."} == required


@pytest.mark.parametrize(
    "words", [("train", "model=graph"), ("train", "model.boxes"), ("sweep", "model.boxes")]
)
def test_the_page_lists_them(words, capsys):
    assert main([*words, "--help"]) == 0
    page = capsys.readouterr().out
    lines = page.splitlines()
    assert max(map(len, lines)) <= 80 and "(," not in page
    first_words = {line.split()[0] for line in lines if line.startswith("  ") and line[2:3].strip()}
    assert {*BOXES} <= first_words


def test_it_is_written_without_torch():
    code = "import sys, nnlab.commands.box_help as h; h.boxes(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_table_of_the_docs():
    """Else: python scripts/write_boxes.py"""
    assert PAGE.read_text(encoding="utf-8").endswith(f"\n\n{markdown_table()}")


def test_the_example_of_the_docs_is_a_network():
    text = PAGE.read_text(encoding="utf-8")
    example = text[text.index("    boxes:") : text.index("\n\nA value")]
    graph = GraphModel(boxes=yaml.safe_load(example)["boxes"]).graph((1, 8, 8), outputs=10)
    assert graph.nodes[-1].shape == (10,)
