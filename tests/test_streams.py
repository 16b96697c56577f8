"""Random streams: numbers that depend on the stream's name alone."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch

from nnlab.streams import stream, uniforms

KEYS = [
    (0, "order", 1), (1, "order", 1), (0, "order", 2), (0, "order", 11), (10, "order", 1), (0, "order"),
    (0, "order", "1"), (0, "orde", "r", 1), (0, "noise", "a", 1), (0, "noise", "b", 1),
    (0, "noise", "a", 1, 0),
]  # fmt: skip


def test_streams_are_the_same_in_every_process():
    program = f"from nnlab.streams import stream\nprint([stream(*key).random(3).tolist() for key in {KEYS}])"
    expected = str([stream(*key).random(3).tolist() for key in KEYS])
    for salt in ("1", "2"):
        stdout = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert stdout.stdout.strip() == expected


def test_streams_of_different_keys_differ_and_are_not_correlated():
    draws = np.array([stream(*key).random(20_000) for key in KEYS])
    assert len(np.unique(draws)) == draws.size
    assert np.abs(np.corrcoef(draws) - np.eye(len(KEYS))).max() < 5 / 20_000**0.5


def test_a_stream_does_not_know_what_was_drawn_before():
    np.random.seed(0)
    first = stream(3, "order", 1).permutation(50)
    np.random.seed(1)
    stream(3, "order", 1).random(7)
    assert (stream(3, "order", 1).permutation(50) == first).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_uniforms_are_uniform(dtype):
    u = uniforms((200, 500), torch.empty(0, dtype=dtype), 0, "noise", "hidden", 1)
    assert u.dtype == dtype and u.shape == (200, 500) and u.min() >= 0 and u.max() < 1
    assert scipy.stats.kstest(u.flatten().double().numpy(), "uniform").pvalue > 1e-3
    assert torch.equal(u, uniforms((200, 500), torch.empty(0, dtype=dtype), 0, "noise", "hidden", 1))
    first, last = u[0], u[-1]
    assert abs(np.corrcoef(first, last)[0, 1]) < 0.25
