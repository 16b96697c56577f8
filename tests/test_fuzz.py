"""A fixed sample of the cases of scripts/fuzz.py, of each kind."""

import time

import fuzzing
import pytest

SECONDS = 2  # of each kind


@pytest.mark.parametrize("what", fuzzing.KINDS)
def test_every_case_runs_or_is_refused_in_a_sentence(what, tmp_path):
    fuzzing.warm()
    end = time.monotonic() + SECONDS
    for number, (seed, (how, outcome, wrong)) in enumerate(fuzzing.cases(what, tmp_path, 0, 30)):
        assert not wrong, f"{what} {seed}: {how}\nnnlab {' '.join(outcome.argv)}\n{wrong}"
        if time.monotonic() > end and number >= 5:
            break
