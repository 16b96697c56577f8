"""docs/lecture.md has the command, the picture and the caption of every experiment of the lecture, and the
pictures that an experiment shows can be drawn of it."""

import re
from pathlib import Path

import pytest
import yaml

from nnlab.cli import main

ROOT = Path(__file__).parents[1]
LECTURE = (ROOT / "docs/lecture.md").read_text()
EXPERIMENTS = {file.stem: yaml.safe_load(file.read_text())
               for file in sorted((ROOT / "configs/experiment/lecture").glob("*.yaml"))}  # fmt: skip
NOT_YET = {  # whose sections are still to be written
    "batch_norm", "dropout_adaptive", "initialization", "linear_regression", "logistic_regression", "mlp",
    "mlp_dropout", "mlp_dropout_digits", "optimizers", "pooling",
}  # fmt: skip
LARGEST_BYTES = 80_000  # of a picture: scripts/shrink_pictures.py
# What makes an experiment short, beside two epochs: `show` must draw what is left, too.
SHORTER = {
    "universal_approximation": ["data.n=60", "model.hidden=[1],[2],[4],[64],[8]"],
    "boundaries": ["data.n=60", "model.hidden=[2],[4],[64]"],
}
SHOWN = [name for name, settings in EXPERIMENTS.items() if settings.get("show")]
WRITTEN = [name for name in EXPERIMENTS if name not in NOT_YET]


def plain(text: str) -> str:
    """The words of a text: without line breaks, and without Markdown's backticks."""
    return " ".join(text.replace("`", "").split())


def sections() -> list[str]:
    return re.split(r"^#{2,3} ", LECTURE, flags=re.MULTILINE)


def section_of(name: str) -> str:
    command = re.compile(rf"^    nnlab train experiment=lecture/{name}( |$)", re.MULTILINE)
    (section,) = [section for section in sections() if command.search(section)] or [""]
    return section


@pytest.mark.parametrize("name", WRITTEN)
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


def test_what_is_not_yet_done_is_not_forgotten():
    """Whoever writes a section takes its name out of the list."""
    assert not [name for name in NOT_YET if EXPERIMENTS[name].get("caption")]


@pytest.mark.parametrize("name", SHOWN)
def test_its_pictures_can_be_drawn(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    seeds = min(2, EXPERIMENTS[name].get("seeds", 1))
    words = ["epochs=2", f"seeds={seeds}", "hydra.run.dir=out", *SHORTER.get(name, [])]
    assert main(["train", f"experiment=lecture/{name}", *words]) == 0
    printed = capsys.readouterr()
    assert "no picture" not in printed.err, printed.err
    for picture in EXPERIMENTS[name]["show"]:
        assert (tmp_path / f"out/{picture}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert plain(EXPERIMENTS[name]["caption"]) in plain(printed.out)
