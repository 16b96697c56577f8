"""nnlab train resume=FOLDER: as if the run had never been interrupted, or a sentence that says why not."""

import random

import pytest
from killed_runs import LINES, OFTEN, begin_line, differences, killed
from processes import Server

from nnlab.records.checkpoint import CHECKPOINT_FILE

SHORT = ("epochs=30", "data.limit=300", OFTEN)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("server"))
    yield started
    started.server.kill()
    started.server.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("name", LINES)
def test_killed_at_random_moments(server, tmp_path, name):
    words = (*LINES[name], *SHORT)
    server.start(*begin_line(tmp_path / "whole", LINES[name] + SHORT[:2]))
    assert server.wait() == 0, server.said()
    assert killed(server, tmp_path / "killed", words, random.Random(name), kills=3, life=0.8) > 0
    assert differences(tmp_path / "whole", tmp_path / "killed") == []
    assert not list(tmp_path.rglob(CHECKPOINT_FILE))
    server.said()
