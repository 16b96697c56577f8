"""Images keep their shape in the data's description, and inputs stay lines of pixels, in old folders too."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab.cli import main

OLD = Path(__file__).parent / "old_images"  # runs that an earlier version began, of 6 epochs
# The validation losses by which that version ended them.
OLD_LOSSES = {"digits": [2.6418, 2.6118, 2.5868, 2.5664, 2.5477, 2.5305]}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(capsys, *words, code=0) -> str:
    """What a command prints; its errors, where it ends with a code other than 0."""
    capsys.readouterr()
    assert main([*words]) == code, capsys.readouterr().err
    captured = capsys.readouterr()
    return captured.err if code else captured.out


@pytest.mark.parametrize("name", OLD_LOSSES)
def test_runs_of_an_earlier_version_go_on(capsys, name):
    """They knew images as lines of pixels: what was begun so ends so."""
    shutil.copytree(OLD / name, "run")
    command(capsys, "train", "resume=run")
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [record["val_loss"] for record in records] == pytest.approx(OLD_LOSSES[name], abs=1e-4)


def test_a_run_of_an_earlier_version_predicts_images(capsys):
    shutil.copytree(OLD / "digits", "run")
    command(capsys, "train", "resume=run")
    shutil.copy(OLD / "digits/spec.json", "run")  # as if that version had ended it
    model, digits = nnlab.load("run"), nnlab.Digits().load()
    assert model.spec.shape == (64,) and digits.spec.shape == (1, 8, 8)
    few = digits.x[:20]
    for x in (few.reshape(20, 8, 8), few.reshape(20, 1, 8, 8)):
        assert np.array_equal(model.predict_proba(x), model.predict_proba(few))
    command(capsys, "predict", "run", "data=digits")
    command(capsys, "evaluate", "run", "data=digits")
