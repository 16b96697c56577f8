"""docs/extending.md: the plug-in of its examples is built, discovered, trained and tested."""

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from nnlab.cli import main

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```", TEXT, re.M | re.S))
COMMANDS = "".join(re.findall(r"^```console\n(.*?)^```", TEXT, re.M | re.S)).splitlines()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The package of the page as an installer leaves it."""
    folder = tmp_path_factory.mktemp("extending")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "mylab" / "__init__.py").touch()
    groups = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]
    info = folder / "mylab-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mylab\nVersion: 0.1\n")
    lines = [
        f"[{group}]\n{name} = {place}\n" for group, names in groups.items() for name, place in names.items()
    ]
    (info / "entry_points.txt").write_text("".join(lines))
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield folder
    sys.path[:] = before
    for group, names in groups.items():  # what Hydra knows of
        for name in names:
            ConfigStore.instance().repo.get(group.removeprefix("nnlab."), {}).pop(f"{name}.yaml", None)


def test_the_page_has_what_is_tried_here():
    assert {"mylab/parts.py", "pyproject.toml", "tests/test_mylab.py"} < set(FILES) and len(COMMANDS) == 7


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_trains(site, monkeypatch, command):
    monkeypatch.chdir(site)
    program, *arguments = shlex.split(command)
    assert program == "nnlab" and main(arguments) == 0


def test_the_contracts_hold(site):
    """By pytest itself, as a user runs it."""
    line = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests"]
    path = os.pathsep.join([str(ROOT), str(site)])
    process = subprocess.run(
        line, cwd=site, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout + process.stderr
    (count,) = re.findall(r"^(\d+) passed in", process.stdout, re.M)
    assert int(count) > 75
