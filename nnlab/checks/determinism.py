"""Determinism: the same experiment twice gives the same weights, and row 3 of a stack equals itself alone.

Bit for bit, in a stack of five rows with a seed each. Twice is asked of the job's own device; alone of the
CPU, which promises it: on a GPU the bits of a row depend on the shape of its stack.
"""

from __future__ import annotations

from itertools import islice

import torch

from nnlab.checks.subject import Sample, Subject, stepwise
from nnlab.checks.verdict import Finding, Verdict
from nnlab.engine import computing

EXAMPLES, ROWS, THIRD, STEPS = 256, 5, 2, 25


def check(subject: Subject) -> Verdict:
    """Whether the bits repeat."""
    with computing():
        sample = subject.sample(EXAMPLES)
        rows, on_gpu = sample.rows(ROWS), subject.device.type != "cpu"
        first, again = (trained(sample, rows) for _ in range(2))
        twice = _different(first, again)
        if on_gpu:
            sample = subject.sample(EXAMPLES, device="cpu")
            first = trained(sample, rows)
        alone = trained(sample, rows[THIRD : THIRD + 1])
    by_itself = _different(first[THIRD : THIRD + 1], alone)
    if twice:
        found = f"trained twice, {twice:,} of {first.numel():,} weights differ (limit 0)"
        advice = "a box or a part draws from a global generator, or keeps something of an earlier run"
        advice += ", or adds in an order that a GPU does not fix (index_add_, scatter_add_)" * on_gpu
        finding = Finding("fail", twice, 0, found, advice, "not_deterministic")
    elif by_itself:
        found = f"row {THIRD + 1} of {ROWS} differs from itself alone in {by_itself:,} weights (limit 0)"
        advice = "a box or a part mixes rows: sum over units or examples, never over the first axis"
        finding = Finding("fail", by_itself, 0, found, advice, "rows_mixed")
    else:
        gpu, cpu = (" on the GPU", " on the CPU") if on_gpu else ("", "")
        found = f"the same bits twice{gpu}, and{cpu} row {THIRD + 1} of {ROWS} equals itself alone"
        finding = Finding("pass", 0, 0, f"{found} (limit 0 differences; {STEPS} steps)")
    return Verdict.of("determinism", [finding], {"twice": twice, "alone": by_itself, "steps": STEPS})


def trained(sample: Sample, rows) -> torch.Tensor:
    """(K, P): the rows' weights after some steps."""
    trainer = sample.trainer(rows)
    for _ in islice(stepwise(trainer), STEPS):
        pass
    return trainer.population.state.theta


def _different(a: torch.Tensor, b: torch.Tensor) -> int:
    """How many numbers differ in a bit; one NaN equals another."""
    same = (a == b) | (a.isnan() & b.isnan())
    return int((~same).sum())
