"""Determinism: the same experiment gives the same bits twice, on one thread and on several, and row 3 of a
stack those of itself alone.

On the CPU, and at the job's own sizes: its network, its batches, as many rows as its stack has (five at
least, a seed each). What differs at large sizes only, such as a product that a library divides over its
threads, would not be seen at small ones. A GPU promises less, the same stack twice: a job that is trained on
one is asked that there.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import torch

from nnlab.checks.subject import Sample, Subject, stepwise
from nnlab.checks.verdict import Finding, Verdict
from nnlab.data.examples import evaluation
from nnlab.runtime.devices import thread_count
from nnlab.runtime.threads import computing
from nnlab.training.stacks import stacks

ROWS, THIRD, STEPS = 5, 2, 25
PAIR = 2  # the fewest rows, steps and threads with which there is anything to compare
SHARE = 0.1  # of the budget's work, for one training of the stack


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
        sample, count, steps = bounded(subject, subject.experiment.device)
        twice = _different(*(trained(sample, sample.rows(count), steps, 1) for _ in range(2)))
    if not twice:
        return replace(on_cpu, found=f"{on_cpu.found}; on the GPU the same bits twice")
    found = (
        f"on the GPU {twice:,} weights and outputs differ when it is trained twice (limit 0), on the CPU none"
    )
    advice = (
        "a box or a part draws from a global generator there, or adds in any order (index_add_, scatter_add_)"
    )
    return Finding("fail", twice, 0, found, advice, "not_deterministic")


def on_cpu(subject: Subject) -> Verdict:
    """Whether the bits repeat, whatever the threads, and those of a row are its own."""
    threads = max(PAIR, thread_count(subject.experiment.threads))
    with computing():
        sample, count, steps = bounded(subject, "cpu")
        rows = sample.rows(count)
        chosen = slice(min(THIRD, count - 1), min(THIRD, count - 1) + 1)
        first, several = (trained(sample, rows, steps, n) for n in (1, threads))
        alone = trained(sample, rows[chosen], steps, threads)
        between, by_itself = _different(first, several), _different(first[chosen], alone)
        twice = between and _different(first, trained(sample, rows, steps, 1))
        if by_itself and not between:  # is it the threads of the row alone?
            mixed = _different(first[chosen], trained(sample, rows[chosen], steps, 1))
            by_itself, between = (mixed, 0) if mixed else (0, by_itself)
    row, of = f"row {chosen.stop} of {count}", f"of {first.numel():,} weights and outputs"
    if twice:
        found = f"trained twice, {twice:,} {of} differ (limit 0)"
        advice = "a box or a part draws from a global generator, or keeps something of an earlier run"
        finding = Finding("fail", twice, 0, found, advice, "not_deterministic")
    elif between:
        found = f"on 1 thread and on {threads}, {between:,} {of} differ (limit 0)"
        advice = (
            "a box or a part calls torch on several threads: share calls of fixed blocks, runtime/threads.py"
        )
        finding = Finding("fail", between, 0, found, advice, "threads_differ")
    elif by_itself:
        found = f"{row} differs from itself alone in {by_itself:,} weights and outputs (limit 0)"
        advice = "a box or a part mixes rows: sum over units or examples, never over the first axis"
        finding = Finding("fail", by_itself, 0, found, advice, "rows_mixed")
    else:
        found = f"the same bits twice, on 1 thread and on {threads}, and {row} equals itself alone"
        size = f"{steps} step{'s' * (steps > 1)} of {rows[0].batch:,} examples"
        finding = Finding("pass", 0, 0, f"{found} (limit 0 differences; {size})")
    details = {"twice": twice, "threads": between, "alone": by_itself, "rows": count, "steps": steps}
    return Verdict.of("determinism", [finding], details)


def bounded(subject: Subject, device: str) -> tuple[Sample, int, int]:
    """The job on that device, the rows of a stack and the steps: where they are too much work for the budget,
    fewer steps of fewer rows, and then of a part of the batch."""
    size, allowed = subject.graph.parameter_count, SHARE * subject.budget.work
    batch = subject.row.batch
    rows = as_trained(subject)
    steps = int(max(PAIR, min(STEPS, allowed / (size * rows * batch))))
    rows = int(max(PAIR, min(rows, allowed / (size * steps * batch))))
    examples = int(max(1, allowed / (size * rows * steps)))
    if examples < batch:
        return subject.sample(examples, device=device), rows, steps
    return subject.having(subject.dataset, subject.fold, device=device), rows, steps


def as_trained(subject: Subject) -> int:
    """How many rows the job's largest stack has on a CPU, or a few more."""
    e, dataset = subject.experiment, subject.dataset
    return max(
        ROWS, *(len(stack) for stack in stacks(e.rows(dataset), {e.data: dataset}, thread_count(e.threads)))
    )


def trained(sample: Sample, rows, steps: int, threads: int) -> torch.Tensor:
    """(K, P + m B): the rows' weights after some steps, and what they then put out for a batch held back."""
    training = sample.training(rows, threads)
    for _ in islice(stepwise(training), steps):
        pass
    batch = next(evaluation(sample.examples, rows, sample.fold.monitor))
    z = training.evaluator.network.fprop(batch.x)
    return torch.cat([training.population.state.theta, z.flatten(1)], 1)


def _different(a: torch.Tensor, b: torch.Tensor) -> int:
    """How many numbers differ in a bit; one NaN equals another."""
    same = (a == b) | (a.isnan() & b.isnan())
    return int((~same).sum())
