"""configs/ is what scripts/write_configs.py writes: keys and defaults follow from the classes."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import yaml

from nnlab.optimizers import Lion
from nnlab.paths import CONFIG_DIR
from nnlab.search.samplers import Grid

SCRIPT = Path(__file__).parent.parent / "scripts" / "write_configs.py"


def module():
    spec = importlib.util.spec_from_file_location("write_configs", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


CHOICES = [(group, cls) for group, table in module().TABLES.items() for cls in table.values()]


@pytest.mark.parametrize("group, cls", CHOICES, ids=[f"{group}={cls.name}" for group, cls in CHOICES])
def test_the_file_is_what_the_script_writes(group, cls):
    file = CONFIG_DIR / group / f"{cls.name}.yaml"
    assert file.read_text() == module().written(group, cls), "run python scripts/write_configs.py"


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script, on a copy of configs/."""
    shutil.copytree(CONFIG_DIR, tmp_path / "configs")
    script = module()
    monkeypatch.setattr(script, "CONFIG_DIR", tmp_path / "configs")
    return script


@pytest.mark.parametrize("before, after", [
    ("weight_decay: 0.1 ", "weight_decay: 0.2 "),
    ("# largest size of each component", "# the largest component"),
    ("clip_norm: .inf               # largest norm of the gradient; .inf: never clipped\n", ""),
    ("beta2: 0.99 ", "gamma: 0.99 "),
    ("lr: 3e-4 ", "lr: fast "),
])  # fmt: skip
def test_what_was_changed_by_hand_follows_the_class_again(script, before, after):
    file = script.CONFIG_DIR / "optimizer" / "lion.yaml"
    right = file.read_text()
    assert right.count(before) == 1
    file.write_text(right.replace(before, after))
    script.main()
    again = file.read_text()
    values = {key: float(v) if key != "name" else v for key, v in yaml.safe_load(again).items()}
    assert values == {**script.plugins.settings(Lion)}
    assert "largest norm of the gradient; .inf: never clipped" in again
    assert "# largest size of each component\n" in again
    assert again == script.written("optimizer", Lion)


def test_what_only_a_person_can_say_stays(script):
    file = script.CONFIG_DIR / "optimizer" / "lion.yaml"
    text = (
        file.read_text()
        .replace("# 3 to 10 times smaller", "# much smaller")
        .replace("# The sign", "# A sign")
    )
    file.write_text(text)
    script.main()
    assert file.read_text() == text


@pytest.mark.parametrize("group, cls", [("optimizer", Lion), ("sampler", Grid)])
def test_a_class_without_a_file_gets_one(script, group, cls):
    (script.CONFIG_DIR / group / f"{cls.name}.yaml").unlink()
    script.main()
    lines = (script.CONFIG_DIR / group / f"{cls.name}.yaml").read_text().splitlines()
    assert lines[0] == f"# {vars(cls).get('__doc__').splitlines()[0]}" and lines[1] == f"name: {cls.name}"
    settings = {
        line.partition(":")[0]: line.partition(":")[2].partition("#")[0].strip() for line in lines[1:]
    }
    assert list(settings) == script._in_order(cls)
    assert all(script._is(settings[key], value) for key, value in script.plugins.settings(cls).items())
