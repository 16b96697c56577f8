"""docs/lecture.md has the command, the picture and the caption of every experiment of the lecture, and the
pictures that an experiment shows can be drawn of it."""

import re
from itertools import islice
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from nnlab.cli import main

ROOT = Path(__file__).parents[1]
LECTURE = (ROOT / "docs/lecture.md").read_text()
EXPERIMENTS = {file.stem: yaml.safe_load(file.read_text())
               for file in sorted((ROOT / "configs/experiment/lecture").glob("*.yaml"))}  # fmt: skip
LARGEST_BYTES = 80_000  # of a picture: scripts/shrink_pictures.py
SHOWN = [name for name, settings in EXPERIMENTS.items() if settings.get("show")]


def plain(text: str) -> str:
    """The words of a text: without line breaks, and without Markdown's backticks."""
    return " ".join(text.replace("`", "").split())


def sections() -> list[str]:
    return re.split(r"^#{2,3} ", LECTURE, flags=re.MULTILINE)


def section_of(name: str) -> str:
    command = re.compile(rf"^    nnlab (?:train|sweep) experiment=lecture/{name}( |$)", re.MULTILINE)
    (section,) = [section for section in sections() if command.search(section)] or [""]
    return section


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_its_section(name):
    section = section_of(name)
    assert section, f"docs/lecture.md has no section with the command of {name}"
    pictures = re.findall(r"!\[[^\]]+\]\((pictures/[\w./-]+)\)", section)
    assert pictures, f"the section of {name} has no picture"
    caption = EXPERIMENTS[name].get("caption", "")
    assert len(caption) > 60 and plain(caption) in plain(section), (
        f"the section of {name} has not its caption"
    )


def test_pictures_are_there_and_small():
    pictures = re.findall(r"\((pictures/[\w./-]+)\)", LECTURE)
    assert len(pictures) == len({*pictures})
    sizes = {name: (ROOT / "docs" / name).stat().st_size for name in pictures}
    assert all(size <= LARGEST_BYTES for size in sizes.values()), sizes


def fewer_values(settings: dict) -> list[str]:
    """The first two values of each key over which the experiment sweeps, as words."""
    params = settings.get("hydra", {}).get("sweeper", {}).get("params", {})
    overrides = [OverridesParser.create().parse_override(f"{key}={values}") for key, values in params.items()]
    values = {
        o.key_or_group: list(islice(o.sweep_string_iterator(), 2)) for o in overrides if o.is_sweep_override()
    }
    return [f"{key}={','.join(two)}" for key, two in values.items()]


@pytest.mark.parametrize("name", SHOWN)
def test_its_pictures_can_be_drawn(name, tmp_path, monkeypatch, capsys):
    """After two epochs of a few of its runs, on a few examples."""
    monkeypatch.chdir(tmp_path)
    settings = EXPERIMENTS[name]
    words = [
        "epochs=2",
        "data.limit=120",
        f"seeds={min(2, settings.get('seeds', 1))}",
        *fewer_values(settings),
    ]
    assert main(["train", f"experiment=lecture/{name}", *words, "hydra.run.dir=out"]) == 0
    printed = capsys.readouterr()
    assert "no picture" not in printed.err, printed.err
    for picture in settings["show"]:
        assert (tmp_path / f"out/{picture}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert plain(settings["caption"]) in plain(printed.out)
