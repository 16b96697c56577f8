"""A fixed sample of fuzzing cases for each reader, and regression tests for what fuzzing has detected."""

import gzip
import json
import os
import shutil
import struct
import tracemalloc
import warnings
import zipfile

import datafiles
import fuzz_guard
import fuzz_readers
import fuzzing
import pytest
import yaml
from composed_once import composed_by_hydra

from nnlab import Csv, Idx, Npz, commented_yaml
from nnlab.cli import main
from nnlab.data.headers import header_names
from nnlab.errors import MachineFault, UserError
from nnlab.records import stored_sweep
from nnlab.records.stored_sweep import read_curves
from nnlab.search import journal
from nnlab.untrusted import read_yaml

CASES = {
    "csv": 300, "table": 300, "npz": 300, "idx": 400, "new-csv": 100, "new-numbers": 100, "new-npz": 100,
    "new-idx": 100, "run": 150, "model": 80, "checkpoint": 150, "resume": 4, "sweep": 200, "plan": 3,
    "yaml": 60, "config": 10, "job": 300,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def imports():
    """What every fork would have to import; and nothing of pickle, which is a fault in a reader."""
    fuzzing.warm()
    with composed_by_hydra():
        yield


@pytest.mark.parametrize("name", CASES)
def test_mutated_files_are_read_or_refused_in_a_sentence(name, tmp_path):
    for case in fuzz_guard.run(fuzz_readers.reader(name), range(CASES[name]), tmp_path):
        assert not case.fault, f"scripts/fuzz.py {name} --seed {case.seed} --count 1: {case.fault}"


@pytest.mark.parametrize("name", CASES)
def test_valid_files_are_read(name, tmp_path, monkeypatch):
    """Else fuzzing would only see how they are refused."""
    monkeypatch.setattr(fuzz_guard, "mutated", lambda name, content, random: content)
    monkeypatch.setattr(fuzz_guard, "OTHER_KIND_SHARE", 0)
    cases = [*fuzz_guard.run(fuzz_readers.reader(name), range(min(6, CASES[name])), tmp_path)]
    assert not any(case.fault for case in cases) and sum(case.values > 0 for case in cases) >= len(cases) / 2


def test_every_reader_is_tried():
    assert set(CASES) == set(fuzz_readers.READERS)


# ---- The guard sees what it is for


def reader_of(*calls):
    return fuzz_guard.Reader(
        "trial", [{"x.json": b"{}"}], lambda folder, random: iter([c(folder) for c in calls])
    )


def loop():
    while True:
        pass


BAD = {
    "KeyError": lambda folder: lambda: {}["a"],
    "RuntimeWarning": lambda folder: lambda: warnings.warn("x", RuntimeWarning, stacklevel=1),
    "reads /etc/passwd, outside": lambda folder: lambda: open("/etc/passwd").close(),
    "writes to": lambda folder: lambda: (folder / "new").write_text(""),
    "writes: os.mkdir": lambda folder: lambda: (folder / "new").mkdir(),
    "executes: os.system": lambda folder: lambda: os.system("true"),
    "executes: code of": lambda folder: lambda: exec(compile("1", str(folder / "x.py"), "exec")),
    "MemoryError": lambda folder: lambda: bytearray(2 * fuzz_guard.MEMORY),
    "takes more than": lambda folder: loop,
    "ended by SIGKILL": lambda folder: lambda: os.kill(os.getpid(), 9),
    "ended by code 3": lambda folder: lambda: os._exit(3),
    "a sentence of 5,000 characters": lambda folder: lambda: raise_(MachineFault("x" * 5000)),
    "not one line": lambda folder: lambda: raise_(MachineFault("a\nb")),
}


def raise_(error):
    raise error


@pytest.mark.parametrize("fault", BAD)
def test_a_fault_is_seen_and_the_next_case_goes_on(fault, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz_guard, "CPU_SECONDS", 0.2)
    monkeypatch.setattr(fuzz_guard, "OTHER_KIND_SHARE", 0)
    cases = [*fuzz_guard.run(reader_of(BAD[fault]), range(2), tmp_path)]
    assert [case.seed for case in cases] == [0, 1] and all(fault in case.fault for case in cases), cases


def test_what_is_allowed_is_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz_guard, "OTHER_KIND_SHARE", 0)
    reads = reader_of(
        lambda folder: (folder / "x.json").read_bytes, lambda folder: lambda: raise_(UserError("no"))
    )
    (case,) = fuzz_guard.run(reads, range(1), tmp_path)
    assert (case.values, case.refusals, case.fault) == (1, 1, "")


# ---- What fuzzing found


def test_tab_in_a_damaged_gzip_file(tmp_path):
    gzipped = bytearray(gzip.compress(b"a,b\n1,2\n" * 50))
    for offset in range(10, len(gzipped)):
        (tmp_path / "t.csv.gz").write_bytes(gzipped[:offset] + b"\xff\xff" + gzipped[offset + 2 :])
        assert header_names(str(tmp_path / "t.csv.gz")) in ([], ["a", "b"])


BRACKETS = ["[" * 5 * 10**5, "[" * 10**5 + "]" * 10**5, "- " * 5 * 10**5, "{a: " * 10**5]


@pytest.mark.parametrize("text", BRACKETS, ids=range(4))
@pytest.mark.parametrize("loader", [None, yaml.SafeLoader])
def test_yaml_that_is_all_brackets(text, loader, tmp_path):
    """The loader in C would end the process, and did at a TAB."""
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match="x.yaml' is nested too deep to read"):
        read_yaml(tmp_path / "x.yaml", loader)
    assert commented_yaml.read(tmp_path / "x.yaml").settings == {}


@pytest.mark.parametrize("header", ["-" * 9000 + "1", "1" + "+1" * 4000, "{'shape': 1a}"], ids=range(3))
def test_a_header_of_an_array_that_pythons_parser_trips_over(header, tmp_path):
    size = struct.pack("<H", len(header))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name in ("X.npy", "y.npy"):
            archive.writestr(name, b"\x93NUMPY\x01\x00" + size + header.encode() + bytes(80))
    with pytest.raises(UserError, match="is not a file of numpy.savez, or it is damaged"):
        Npz(path=str(tmp_path / "x.npz")).read()


@pytest.mark.parametrize("name", ["word", "\u202e"])
@pytest.mark.parametrize("text", ["{},0\n", "{},0,1,2\n", "0,{},1\n"])
@pytest.mark.parametrize("target", [0, 1, -1])
def test_a_table_of_one_line_that_may_be_names(name, text, target, tmp_path):
    (tmp_path / "t.csv").write_text(text.format(name))
    with pytest.raises(UserError, match="t.csv"):
        Csv(path=str(tmp_path / "t.csv"), target=target).load()


def test_an_images_header_takes_no_memory(tmp_path):
    folder = datafiles.write_idx(tmp_path)["path"]
    (tmp_path / "train-images-idx3-ubyte").write_bytes(
        bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**10, 2**10, 200)
    )
    tracemalloc.start()
    with pytest.raises(UserError, match="has 16 bytes, but its header announces 209,715,216"):
        Idx(path=folder).load()
    assert tracemalloc.get_traced_memory()[1] < 2**25  # of 200 MB
    tracemalloc.stop()


def test_nothing_is_resumed_through_a_link(tmp_path, capsys):
    """What is appended to, cut off or replaced there would be a file of somebody else's."""
    files, outside = fuzz_readers.killed_runs()[0], tmp_path / "outside"
    for number, name in enumerate([*files, "further"]):
        folder = tmp_path / str(number)
        for other, content in files.items():
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / other).write_bytes(content)
        outside.write_bytes(files.get(name, b""))
        (folder / name).unlink(missing_ok=True)
        (folder / name).hardlink_to(outside) if number % 2 else (folder / name).symlink_to(outside)
        assert main(["train", f"resume={folder}"]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"{name}' is a " in said and "link" in said
        assert outside.read_bytes() == files.get(name, b"")
        (folder / name).unlink()


def test_settings_of_a_sweep_that_end_early(tmp_path):
    """Half of a config.yaml is YAML too, and its storage is none."""
    shutil.copytree(fuzz_readers.TESTS / "old_sweeps/tpe", tmp_path / "s")
    config = tmp_path / "s" / "config.yaml"
    lines = [line for line in config.read_text().splitlines(keepends=True) if not line.startswith("storage")]
    config.write_text("".join(lines))
    assert stored_sweep.read_sweep(tmp_path / "s")[1]["storage"] is None
    fuzz_readers.command("sweep", f"resume={tmp_path / 's'}", "plan=true")


def test_new_examples_without_measure():
    report = fuzz_readers.model_of("csv", 1).evaluate([[0.0, 0.0]] * 3, [1e308, 0.0, -1e308])
    assert not report["rmse"] < 1e300
    with pytest.raises(UserError, match="outputs are not finite; its column 'a' is 1e\\+308"):
        fuzz_readers.model_of("csv", 0).predict([[1e308, 0.0, 0.0]])


def test_a_sentence_about_a_file_of_one_long_line_is_short():
    message = str(UserError(f"unknown key '{'x' * 10**6}'; did you mean 'y'?"))
    assert len(message) < 1300 and message.startswith("unknown key 'xxx") and "; did you mean 'y'?" in message


def test_curves_of_a_sweep_are_read_within_bounds(tmp_path, monkeypatch):
    line = json.dumps({"trial": 0, "val_loss": [0.5] * 1000}).encode() + b"\n"
    (tmp_path / "curves.jsonl").write_bytes(line * 3 + line[:-9])
    assert read_curves(tmp_path) == {0: {"val_loss": [0.5] * 1000}}
    monkeypatch.setattr(stored_sweep, "available_memory", lambda: 200_000)
    with pytest.raises(
        UserError, match="curves.jsonl' has more than 3,000 numbers, which do not fit into memory"
    ):
        read_curves(tmp_path)
    monkeypatch.setattr(stored_sweep, "LONGEST_CURVES", 1000)
    with pytest.raises(UserError, match="line 1 is longer than 1,000 bytes"):
        read_curves(tmp_path)


def test_a_journal_larger_than_memory(tmp_path, monkeypatch):
    (tmp_path / "study.journal").write_bytes(b"x" * 1000)
    monkeypatch.setattr("nnlab.runtime.machine.available_memory", lambda: 10_000)
    with pytest.raises(UserError, match="study.journal would take 8.0 KB of memory"):
        journal.open_journal(tmp_path / "study.journal", resumed=True)
