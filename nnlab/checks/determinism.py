"""The determinism rung: the same bits twice, on one thread and on several, in a stack and alone.

On the CPU, and at the job's own sizes: its network, its batches, as many rows as its stack has (five at
least, a seed each). What differs at large sizes only, such as a product that a library divides over its
threads, would not show at small ones. A GPU only promises the same bits for the same stack, so a job that is
trained on one is checked for that there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import torch

from nnlab.checks.subject import Sample, Subject, training_steps
from nnlab.checks.verdict import Finding, Verdict
from nnlab.data.evaluation_batches import evaluation_batches
from nnlab.experiment import Row
from nnlab.runtime.devices import thread_count
from nnlab.runtime.threads import computing
from nnlab.training.stacks import divide_into_stacks

MIN_ROWS = 5
ROW_ALONE = 2  # the row that is also trained alone: neither the first nor the last
MAX_STEPS = 25
MIN_COUNT = 2  # rows, steps and threads: with fewer there is nothing to compare
WORK_SHARE = 0.1  # of the budget's work, for one training of the stack


def check(subject: Subject) -> Verdict:
    """Whether the bits repeat: on the CPU and, if the job is trained on a GPU, there too."""
    verdict = check_on_cpu(subject)
    if subject.device.type == "cpu":
        return verdict
    finding = replace(verdict.worst, found=f"on the CPU {verdict.worst.found}")
    if finding.status == "pass":
        finding = check_on_gpu(subject, finding)
    return replace(verdict, findings=(finding,))


def check_on_gpu(subject: Subject, cpu_finding: Finding) -> Finding:
    """Train the same stack twice on the GPU; the finding of the CPU with this result added."""
    with computing():
        sample, count, steps = fit_to_budget(subject, subject.experiment.device)
        twice = _count_differences(*(train(sample, sample.rows(count), steps, 1) for _ in range(2)))
    if not twice:
        return replace(cpu_finding, found=f"{cpu_finding.found}; on the GPU the same bits twice")
    sentence = (
        f"on the GPU {twice:,} weights and outputs differ when it is trained twice (limit 0), on the CPU none"
    )
    advice = (
        "a box or a part draws from a global generator there, or adds in any order (index_add_, scatter_add_)"
    )
    return Finding("fail", twice, 0, sentence, advice, "not_deterministic")


@dataclass(frozen=True)
class Differences:
    """How many of the weights and outputs differ in any bit."""

    twice: int  # between two trainings of the same stack on one thread
    threads: int  # between one thread and several
    alone: int  # between a row in the stack and the same row alone
    element_count: int  # how many weights and outputs were compared


def check_on_cpu(subject: Subject) -> Verdict:
    """Whether the bits repeat, with any number of threads, and whether a row's bits depend on other rows."""
    threads = max(MIN_COUNT, thread_count(subject.experiment.threads))
    with computing():
        sample, count, steps = fit_to_budget(subject, "cpu")
        rows = sample.rows(count)
        row = min(ROW_ALONE, count - 1)
        differences = compare(sample, rows, row, steps, threads)
    where = f"of {differences.element_count:,} weights and outputs differ (limit 0)"
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
    return Verdict.from_findings("determinism", [finding], details)


def compare(sample: Sample, rows: list[Row], row: int, steps: int, threads: int) -> Differences:
    """Train the stack on one thread and on several, and one of its rows alone."""
    single_row = rows[row : row + 1]
    single_thread = train(sample, rows, steps, 1)
    multi_thread = train(sample, rows, steps, threads)
    alone = _count_differences(single_thread[[row]], train(sample, single_row, steps, threads))
    thread_differences = _count_differences(single_thread, multi_thread)
    twice = 0
    if thread_differences:  # because of the threads, or does one thread not repeat itself either?
        twice = _count_differences(single_thread, train(sample, rows, steps, 1))
    elif alone:  # because of the stack, or of the threads in the training alone?
        row_differences = _count_differences(single_thread[[row]], train(sample, single_row, steps, 1))
        alone, thread_differences = (row_differences, 0) if row_differences else (0, alone)
    return Differences(twice, thread_differences, alone, single_thread.numel())


def fit_to_budget(subject: Subject, device: str) -> tuple[Sample, int, int]:
    """The job on that device, the number of rows and of steps: as many as the budget allows. If it is too
    small, first steps are cut, then rows, then the batch."""
    work, batch = subject.graph.work, subject.row.batch
    allowed_work = WORK_SHARE * subject.budget.work
    rows = rows_per_stack(subject)
    steps = int(max(MIN_COUNT, min(MAX_STEPS, allowed_work / (work * rows * batch))))
    rows = int(max(MIN_COUNT, min(rows, allowed_work / (work * steps * batch))))
    examples = int(max(1, allowed_work / (work * rows * steps)))
    if examples < batch:
        return subject.sample(examples, device=device), rows, steps
    return subject.with_data(subject.dataset, subject.fold, device=device), rows, steps


def rows_per_stack(subject: Subject) -> int:
    """The number of rows of the job's largest stack on a CPU, at least MIN_ROWS."""
    e, dataset = subject.experiment, subject.dataset
    job_stacks = divide_into_stacks(e.rows(dataset), {e.data: dataset}, thread_count(e.threads))
    return max(MIN_ROWS, *map(len, job_stacks))


def train(sample: Sample, rows, steps: int, threads: int) -> torch.Tensor:
    """(K, P + m B): the rows' weights after some steps, and then their outputs for a batch held back."""
    training = sample.start_training(rows, threads)
    for _ in islice(training_steps(training), steps):
        pass
    # Weights alone would not show a forward pass that differs only in evaluation.
    batch = next(evaluation_batches(sample.examples, rows, sample.fold.monitor))
    z = training.evaluator.network.fprop(batch.x)
    return torch.cat([training.population.state.theta, z.flatten(1)], 1)


def _count_differences(a: torch.Tensor, b: torch.Tensor) -> int:
    """How many elements differ in any bit; NaN equals NaN."""
    same = (a == b) | (a.isnan() & b.isnan())
    return int((~same).sum())
