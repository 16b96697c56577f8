"""On a GPU, the fake one or a real one, rows are calibrated as on a CPU."""

from dataclasses import replace

import numpy as np
import pytest
from gpu_runs import gpu

import nnlab

SETTINGS = {
    "moons": {"data": nnlab.Moons(n=200), "calibrate": "temperature", "threshold": "f1"},
    "diabetes": {"data": nnlab.Diabetes()},
}


@pytest.mark.parametrize("data", SETTINGS)
def test_calibration_equals_that_of_a_cpu(data):
    e = nnlab.Experiment(**SETTINGS[data], split="kfold", epochs=4)
    on_cpu = nnlab.fit(replace(e, device="cpu")).run()
    x = on_cpu.datasets[e.data].x
    expected_answers = nnlab.load(on_cpu).answers(x)[1]
    with gpu():
        there = nnlab.fit(replace(e, device="cuda")).run()
        answers = nnlab.load(there, device="cuda").answers(x)[1]
    np.testing.assert_allclose(answers, expected_answers, rtol=1e-3, atol=1e-3)
    for expected, found in zip(on_cpu.results, there.results, strict=True):
        assert expected.calibration.keys() == found.calibration.keys()
        for name, array in expected.calibration.items():
            np.testing.assert_allclose(found.calibration[name], array, rtol=1e-3, atol=1e-3)
