"""The built wheel: it runs from another folder, with its YAML files."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder to import the wheel's contents from."""
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    process = subprocess.run(argv, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    (wheel,) = folder.glob("nnlab-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def nnlab(site, cwd, *argv):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-m", "nnlab", *argv], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_the_wheel_holds_every_yaml(site):
    shipped = {p.relative_to(ROOT / "configs") for p in (ROOT / "configs").rglob("*.yaml")}
    packed = {p.relative_to(site / "nnlab/configs") for p in (site / "nnlab/configs").rglob("*.yaml")}
    assert shipped == packed
    assert shipped


def test_the_wheel_holds_the_parts_of_a_report(site):
    assert {"page.css", "page.js"} <= {file.name for file in (site / "nnlab/report").iterdir()}


def test_the_wheel_trains_in_another_folder(site, tmp_path):
    process = nnlab(site, tmp_path, "train", "epochs=2")
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    (run,) = (tmp_path / "outputs" / "train").iterdir()
    made = {p.name for p in run.iterdir()}
    assert {"config.yaml", "command.txt", "metrics.jsonl", "summary.json", "rows.json", "spec.json"} <= made
    assert "model.safetensors" in made
    assert str(site) in nnlab(site, tmp_path, "train", "--info", "searchpath").stdout
