"""A sample of published faults through `nnlab check`; scripts/check_accuracy.py runs them all."""

import check_outside
import pytest
from networks import one_thread  # noqa: F401

SMALL = ["check.rates=16", "check.rate_seeds=1", "check.seeds=3", "check.steps=600"]
FAULTS = {job.name: job for job in [*check_outside.autotrainer(), *check_outside.deepdiagnosis()]}
SOME = [
    "vanishing: circles, 11 sigmoid layers", "exploding: blobs, 8 layers", "dying relu: circles, 15 layers",
    "oscillating: blobs, sgd 30", "slow: circles, sgd 1e-05", "out of range: diabetes, sigmoid",
    "out of range: diabetes, softmax", "unchanged weight: wine, zeros", "not normalised: wine",
]  # fmt: skip
HEALTHY = {job.name: job for job in check_outside.healthy()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    check_outside.write(folder, 1)
    return folder


@pytest.mark.parametrize("name", SOME)
def test_it_is_found_and_named(folder, name):
    findings = FAULTS[name].findings(folder, "only=[start,subset,saturation,rates,data]", *SMALL)
    assert FAULTS[name].judge(findings) == (True, True), findings


@pytest.mark.parametrize("name", ["circles, 2 relu layers of 32", "moons, 5 tanh layers of 5"])
def test_its_healthy_twin_passes(folder, name):
    findings = HEALTHY[name].findings(folder, "only=[start,subset,saturation,rates,data]", *SMALL)
    assert HEALTHY[name].judge(findings) == (False, False), findings
