"""Messages on stderr: one line where a program reads them, wrapped between words on a terminal."""

import os
import pty
import re
import subprocess
import sys

import pytest

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
