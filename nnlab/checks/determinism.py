"""Determinism: the same experiment twice gives the same weights, and row 3 of a stack equals itself alone.

Bit for bit, on the CPU, in a stack of five rows with a seed each. A GPU promises less, the same stack twice:
a job that is trained on one is asked that there.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import torch

from nnlab.checks.subject import Sample, Subject, stepwise
from nnlab.checks.verdict import Finding, Verdict
from nnlab.engine import computing

EXAMPLES, ROWS, THIRD, STEPS = 256, 5, 2, 25


def check(subject: Subject) -> Verdict:
    """Whether the bits repeat: on the CPU, and if the job is trained on a GPU there too."""
    verdict = on_cpu(subject)
    if subject.device.type == "cpu":
        return verdict
    said = replace(verdict.worst, found=f"on the CPU {verdict.worst.found}")
    return replace(verdict, findings=(said,) if said.status != "pass" else (on_gpu(subject, said),))


def on_gpu(subject: Subject, on_cpu: Finding) -> Finding:
    """The same, with what the GPU adds."""
    with computing():
        sample = subject.sample(EXAMPLES)
        twice = _different(*(trained(sample, sample.rows(ROWS)) for _ in range(2)))
    if not twice:
        return replace(on_cpu, found=f"{on_cpu.found}; on the GPU the same bits twice")
    found = f"on the GPU {twice:,} weights differ when it is trained twice (limit 0), on the CPU none"
    advice = (
        "a box or a part draws from a global generator there, or adds in any order (index_add_, scatter_add_)"
    )
    return Finding("fail", twice, 0, found, advice, "not_deterministic")


def on_cpu(subject: Subject) -> Verdict:
    """Whether the bits repeat, and those of a row are its own."""
    with computing():
        sample = subject.sample(EXAMPLES, device="cpu")
        rows = sample.rows(ROWS)
        first, again = (trained(sample, rows) for _ in range(2))
        alone = trained(sample, rows[THIRD : THIRD + 1])
    twice, by_itself = _different(first, again), _different(first[THIRD : THIRD + 1], alone)
    if twice:
        found = f"trained twice, {twice:,} of {first.numel():,} weights differ (limit 0)"
        advice = "a box or a part draws from a global generator, or keeps something of an earlier run"
        finding = Finding("fail", twice, 0, found, advice, "not_deterministic")
    elif by_itself:
        found = f"row {THIRD + 1} of {ROWS} differs from itself alone in {by_itself:,} weights (limit 0)"
        advice = "a box or a part mixes rows: sum over units or examples, never over the first axis"
        finding = Finding("fail", by_itself, 0, found, advice, "rows_mixed")
    else:
        found = f"the same bits twice, and row {THIRD + 1} of {ROWS} equals itself alone"
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
