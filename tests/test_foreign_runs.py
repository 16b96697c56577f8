"""Security: an untrusted run folder is refused in one sentence, and nothing outside of it is read."""

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from nnlab.errors import UserError
from nnlab.records.stored_run import StoredRun

OLD = Path(__file__).parent / "old_runs"


def everything(run: StoredRun):
    return [
        run.settings, run.experiment, run.command, run.spec, run.summary, run.rows, run.metrics,
        run.curves("val_loss"), dict(run.weights), dict(run.normalizer),
        *([run.splits] if (run.path / "splits.jsonl").exists() else []),
        *([run.test_predictions] if (run.path / "test_predictions.csv").exists() else []),
    ]  # fmt: skip


ROW = {"row": 0, "seed": 0, "epochs": 1, "best_epoch": 1, "status": "finished", "best": {}, "test": {}}
LINE = '{"row": 0, "epoch": 1, "val_loss": %s}\n'


def tensors(name: str, dtype: str = "F32", size: int = 4) -> str:
    """A file of safetensors with one tensor of so many bytes, which need not be there."""
    header = json.dumps({name: {"dtype": dtype, "shape": [1], "data_offsets": [0, size]}})
    return struct.pack("<Q", len(header)).decode("latin-1") + header + "\x00" * 4


WRONG = {
    "splits.jsonl": ["[]\n", "x\n", "{}\n", '{"repeat": 0, "fold": 0, "validation": 3, "test": []}\n',
                     '{"repeat": 0, "fold": -1, "validation": [], "test": []}\n',
                     '{"repeat": 0, "fold": 0, "validation": [true], "test": [1e400]}\n'],
    "test_predictions.csv": ["", "a,b\n1\n", 'a\n"', "a,a\n1,2\n", "a\n\xff"],
    "config.yaml": ["", "[1]", "a: [", "optimizer: {name: x}", "a: !!python/object:os.system x", "epochs: 0",
                    "epcohs: 3", "1: 2", "&a a: *a"],
    "spec.json": ["{}", "[]", '{"shape": [-1]}', "x"],
    "summary.json": ["[]", "3", "{", "{}", '{"rows": {"total": 1}, "metrics": {}}', "[" * 10**5,
                     '{"rows": {"total": 1, "diverged": 0}, "metrics": {"val_loss": 3}}',
                     '{"rows": {"total": 1, "diverged": 0}, "metrics": {"val_loss": {"mean": "x"}}}'],
    "rows.json": ["{}", "[1]", '[{"row": 0}]', '[{"row": true}]', "[", json.dumps([ROW, ROW]),
                  *(json.dumps([ROW | wrong]) for wrong in (
                      {"row": -1}, {"row": 10**30}, {"epochs": 0.5}, {"status": None}, {"test": []},
                      {"best": {"val_loss": "x"}}))],
    "metrics.jsonl": ["3\n", "{}\n", "x\n", '{"row": -1, "epoch": 1}\n', '{"row": 0, "epoch": 99999999}\n',
                      '{"row": 1e9, "epoch": 1}\n', '{"row": 999999, "epoch": 1}\n', "[" * 5000 + "\n",
                      '{"row": 0, "epoch": 1, "refit": 1}\n', '{"row": 0, "epoch": 0}\n', "\xff\n", "\n",
                      *(LINE % value for value in ("[1]", '"3"', "true", "1" * 400, "1" * 5000, "{}"))],
    "model.safetensors": ["", "x", "\x00" * 8, "\xff" * 64, tensors("x"), tensors("rows/-1/x"),
                          tensors("rows/00/x"), tensors("rows/0/"), tensors("rows/\u0663/x"),
                          tensors("rows/0/x", "BF16", 2),
                          tensors("rows/0/x", "I32"), tensors("rows/0/x", "F64"), tensors("cells/0/x")],
}  # fmt: skip

NEWER = {  # than the old runs
    "splits.jsonl": '{"repeat": 0, "fold": 0, "validation": [1, 2], "test": [3, 14]}\n' * 3,
    "test_predictions.csv": "example,target,prediction,probability_a\n3,a,a,0.75\n14,a,,\n",
}


def copied(which: str, folder: Path) -> Path:
    """A copy of an old run, with the files that a run has today."""
    shutil.copytree(OLD / which, folder)
    for name, text in NEWER.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_file_is_a_sentence_that_names_it(tmp_path, name, text):
    copied("plain", tmp_path / "r")
    (tmp_path / "r" / name).write_text(text, encoding="latin-1")
    with pytest.raises(UserError) as error:
        everything(StoredRun(tmp_path / "r"))
    assert name in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("name", WRONG)
def test_nothing_outside_is_read(tmp_path, name):
    copied("plain", tmp_path / "r")
    outside = copied("plain", tmp_path / "outside") / name
    (tmp_path / "r" / name).unlink()
    os.symlink(outside, tmp_path / "r" / name)
    with pytest.raises(UserError, match=f"{name}' is a link: nothing outside of its folder is read"):
        everything(StoredRun(tmp_path / "r"))
    (tmp_path / "r" / name).unlink()
    shutil.copy(outside, tmp_path / "elsewhere")
    os.link(tmp_path / "elsewhere", tmp_path / "r" / name)
    with pytest.raises(UserError, match=f"{name}' is a hard link"):
        everything(StoredRun(tmp_path / "r"))


@pytest.mark.parametrize("name", WRONG)
def test_no_pipe_is_waited_for(tmp_path, name):
    copied("plain", tmp_path / "r")
    (tmp_path / "r" / name).unlink()
    os.mkfifo(tmp_path / "r" / name)
    with pytest.raises(UserError, match=name):
        everything(StoredRun(tmp_path / "r"))


@pytest.mark.parametrize("name", ["", "nothing", "file"])
def test_what_is_no_run(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not a folder|not the folder of a run"):
        StoredRun(tmp_path / name)


@pytest.mark.parametrize("name", [*WRONG, "command.txt"])
def test_a_damaged_file_is_read_or_refused(tmp_path, name):
    """Bytes are changed, cut off and put in, at random: a value, or a sentence that names the file."""
    copied("rows", tmp_path / "r")
    whole, rng, refused = (tmp_path / "r" / name).read_bytes(), np.random.default_rng(7), 0
    for _ in range(40):
        text = bytearray(whole)
        for place in rng.integers(len(text), size=rng.integers(1, 4)).tolist():
            text[place : place + int(rng.integers(3))] = rng.bytes(int(rng.integers(3)))
        (tmp_path / "r" / name).write_bytes(
            text[: int(rng.integers(len(text))) if rng.random() < 0.2 else None]
        )
        try:
            everything(StoredRun(tmp_path / "r"))
        except UserError as e:
            refused += 1
            assert name in str(e) and "\n" not in str(e)
    assert refused > 3 or name == "command.txt"


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_a_name_that_no_folder_has(name):
    with pytest.raises(UserError, match="cannot be read|not a folder"):
        StoredRun(name)
