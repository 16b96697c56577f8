"""Messages on stderr: one line where a program reads them, wrapped between words on a terminal."""

import os
import pty
import re
import subprocess
import sys

import pytest

from nnlab.cli import main

SENTENCE = "the sentence of an error, with 'a file.csv' and long-hyphenated-words, " * 4
SAY = f"from nnlab.errors import say; say('train', {SENTENCE!r})"


def written(stderr):
    process = subprocess.Popen([sys.executable, "-c", SAY], stderr=stderr)
    assert process.wait() == 0


@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_gets_whole_words(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    leader, follower = pty.openpty()
    written(follower)
    os.close(follower)
    lines = os.read(leader, 10_000).decode().splitlines()
    os.close(leader)
    assert len(lines) > 3 and max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == f"nnlab train: {SENTENCE.strip()}"


def test_a_pipe_gets_one_line(tmp_path):
    with open(tmp_path / "stderr", "w") as file:
        written(file)
    text = (tmp_path / "stderr").read_text()
    assert re.fullmatch(r"nnlab train: [^\n]+\n", text) and SENTENCE.strip() in text


@pytest.mark.filterwarnings("default::nnlab.errors.Advice")
@pytest.mark.parametrize("only, said", [("data", 0), ("start", 1)])
def test_advice_that_a_rung_gives_is_given_once(tmp_path, monkeypatch, capsys, only, said):
    monkeypatch.chdir(tmp_path)
    lines = [
        "a,b,copy,y",
        *(f"{n * 7 % 31},{n * 5 % 17},{n % 2 + n * 1e-5},{'xy'[n % 2]}" for n in range(400)),
    ]
    (tmp_path / "leak.csv").write_text("\n".join(lines))
    for words, remedy in {
        ("data=words", "data.n=200", "data.most=0.2", "data.normalization=standard"): "=maxabs",
        ("data=table", "data.path=leak.csv", "data.target=y"): "alone",
    }.items():
        main(["check", f"only={only}", *words])
        screen = capsys.readouterr()
        assert screen.err.count(remedy) == said, screen.err
        assert (remedy in screen.out) == (only == "data"), screen.out
