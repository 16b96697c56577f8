"""Determinism: an experiment gives the same bits twice, on one thread and on several, alone and in a stack.

On the CPU, and at the job's own sizes: its network, its batches, as many rows as its stack has (five at
least, a seed each). What differs at large sizes only, such as a product that a library divides over its
threads, would not be seen at small ones. A GPU promises less, the same stack twice: a job that is trained on
one is asked that there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import torch

from nnlab.checks.subject import Sample, Subject, stepwise
from nnlab.checks.verdict import Finding, Verdict
from nnlab.data.examples import evaluation_batches
from nnlab.experiment import Row
from nnlab.runtime.devices import thread_count
from nnlab.runtime.threads import computing
from nnlab.training.stacks import divide_into_stacks

ROWS_AT_LEAST = 5
ROW_ALONE = 2  # the row that is also trained alone: not the first, nor the last
STEPS_AT_MOST = 25
AT_LEAST_TWO = 2  # rows, steps and threads: with fewer there is nothing to compare
SHARE_OF_WORK = 0.1  # of the budget's work, for one training of the stack


def check(subject: Subject) -> Verdict:
    """Whether the bits repeat: on the CPU, and if the job is trained on a GPU there too."""
    verdict = on_cpu(subject)
    if subject.device.type == "cpu":
        return verdict
    finding = replace(verdict.worst, found=f"on the CPU {verdict.worst.found}")
    if finding.status == "pass":
        finding = on_gpu(subject, finding)
    return replace(verdict, findings=(finding,))


def on_gpu(subject: Subject, on_cpu: Finding) -> Finding:
    """The same, with what the GPU adds."""
    with computing():
        sample, count, steps = bounded(subject, subject.experiment.device)
        twice = _different(*(trained(sample, sample.rows(count), steps, 1) for _ in range(2)))
    if not twice:
        return replace(on_cpu, found=f"{on_cpu.found}; on the GPU the same bits twice")
    sentence = (
        f"on the GPU {twice:,} weights and outputs differ when it is trained twice (limit 0), on the CPU none"
    )
    advice = (
        "a box or a part draws from a global generator there, or adds in any order (index_add_, scatter_add_)"
    )
    return Finding("fail", twice, 0, sentence, advice, "not_deterministic")


@dataclass(frozen=True)
class Differences:
    """How many of the weights and outputs differ in a bit."""

    twice: int  # the same stack trained again on one thread
    threads: int  # on one thread and on several
    alone: int  # one row in the stack and by itself
    numbers: int  # of how many


def on_cpu(subject: Subject) -> Verdict:
    """Whether the bits repeat, whatever the threads, and whether a row's bits are its own."""
    threads = max(AT_LEAST_TWO, thread_count(subject.experiment.threads))
    with computing():
        sample, count, steps = bounded(subject, "cpu")
        rows = sample.rows(count)
        row = min(ROW_ALONE, count - 1)
        differences = compared(sample, rows, row, steps, threads)
    where = f"of {differences.numbers:,} weights and outputs differ (limit 0)"
    if differences.twice:
        sentence = f"trained twice, {differences.twice:,} {where}"
        advice = "a box or a part draws from a global generator, or keeps something of an earlier run"
        finding = Finding("fail", differences.twice, 0, sentence, advice, "not_deterministic")
    elif differences.threads:
        sentence = f"on 1 thread and on {threads}, {differences.threads:,} {where}"
        advice = (
            "a box or a part calls torch on several threads: share calls of fixed blocks, runtime/threads.py"
        )
        finding = Finding("fail", differences.threads, 0, sentence, advice, "threads_differ")
    elif differences.alone:
        sentence = f"row {row + 1} of {count} differs from itself alone in {differences.alone:,} weights and "
        sentence += "outputs (limit 0)"
        advice = "a box or a part mixes rows: sum over units or examples, never over the first axis"
        finding = Finding("fail", differences.alone, 0, sentence, advice, "rows_mixed")
    else:
        size = f"{steps} step{'s' * (steps > 1)} of {rows[0].batch:,} examples"
        sentence = f"the same bits twice, on 1 thread and on {threads}, and row {row + 1} of {count} equals "
        sentence += f"itself alone (limit 0 differences; {size})"
        finding = Finding("pass", 0, 0, sentence)
    details = {
        "twice": differences.twice, "threads": differences.threads, "alone": differences.alone,
        "rows": count, "steps": steps,
    }  # fmt: skip
    return Verdict.of("determinism", [finding], details)


def compared(sample: Sample, rows: list[Row], row: int, steps: int, threads: int) -> Differences:
    """Train the stack on one thread and on several, and one of its rows alone."""
    only = rows[row : row + 1]
    on_one = trained(sample, rows, steps, 1)
    on_several = trained(sample, rows, steps, threads)
    alone = _different(on_one[[row]], trained(sample, only, steps, threads))
    between = _different(on_one, on_several)
    twice = 0
    if between:  # is it the threads, or would one thread not repeat itself either?
        twice = _different(on_one, trained(sample, rows, steps, 1))
    elif alone:  # is it the stack, or the threads of the row alone?
        mixed = _different(on_one[[row]], trained(sample, only, steps, 1))
        alone, between = (mixed, 0) if mixed else (0, alone)
    return Differences(twice, between, alone, on_one.numel())


def bounded(subject: Subject, device: str) -> tuple[Sample, int, int]:
    """The job on that device, the rows of a stack and the steps: where they are too much work for the budget,
    fewer steps of fewer rows, and then of a part of the batch."""
    size, batch = subject.graph.parameter_count, subject.row.batch
    allowed = SHARE_OF_WORK * subject.budget.work
    rows = as_trained(subject)
    steps = int(max(AT_LEAST_TWO, min(STEPS_AT_MOST, allowed / (size * rows * batch))))
    rows = int(max(AT_LEAST_TWO, min(rows, allowed / (size * steps * batch))))
    examples = int(max(1, allowed / (size * rows * steps)))
    if examples < batch:
        return subject.sample(examples, device=device), rows, steps
    return subject.having(subject.dataset, subject.fold, device=device), rows, steps


def as_trained(subject: Subject) -> int:
    """How many rows the job's largest stack has on a CPU, or a few more."""
    e, dataset = subject.experiment, subject.dataset
    of_job = divide_into_stacks(e.rows(dataset), {e.data: dataset}, thread_count(e.threads))
    return max(ROWS_AT_LEAST, *map(len, of_job))


def trained(sample: Sample, rows, steps: int, threads: int) -> torch.Tensor:
    """(K, P + m B): the rows' weights after some steps, and what they then put out for a batch held back."""
    training = sample.training(rows, threads)
    for _ in islice(stepwise(training), steps):
        pass
    # Weights alone would not show a forward pass that differs in evaluation only.
    batch = next(evaluation_batches(sample.examples, rows, sample.fold.monitor))
    z = training.evaluator.network.fprop(batch.x)
    return torch.cat([training.population.state.theta, z.flatten(1)], 1)


def _different(a: torch.Tensor, b: torch.Tensor) -> int:
    """How many numbers differ in a bit; one NaN equals another."""
    same = (a == b) | (a.isnan() & b.isnan())
    return int((~same).sum())
