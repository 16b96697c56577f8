"""scripts/simulate_scale.py measures what docs/scale.md says."""

import os
import re
import subprocess
import sys

import pytest
from searches import ROOT


@pytest.mark.parametrize(
    "words, parts",
    [
        ("samplers random --trials 256", ["random"]),
        ("driver launcher=folder launcher.stacks=8 sampler=random report=false --trials 16",
         ["jobs to bytes", "outcomes from bytes", "the ledger, with fsync"]),
        ("queue folder --jobs 40 --workers 4 --each 2 --seconds 0.01", ["submit", "collect", "drop"]),
    ],
)  # fmt: skip
def test_it_has_a_table_of_the_parts(words, parts, tmp_path):
    line = [sys.executable, str(ROOT / "scripts" / "simulate_scale.py"), *words.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for part in parts:
        assert re.search(rf"^{part} .*\d", done.stdout, re.MULTILINE), done.stdout
