"""The gradients rung: `bprop` of the job's network against central differences and autograd, in float64.

Those of few elements completely, of large ones a sample, and random directions of all
(autodiff/directional_differences.py).
They are compared twice: the gradient of the whole objective, parameter by parameter; and each box, the loss
and the penalty by itself, with its inputs in the network and a random gradient at its output. The first shows
that something is wrong, the second says where. Where all are right, second derivatives are compared as well:
second_order.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from nnlab.autodiff.central_differences import compare
from nnlab.autodiff.directional_differences import DIRECTIONS, compare_directions
from nnlab.autodiff.gradient_comparison import (
    AUTOGRAD_TOLERANCE,
    DIFFERENCE_TOLERANCE,
    ROUNDING_OF_SUMS,
    GradientComparison,
    affordable_sample,
    relative_error,
    sample_indices,
)
from nnlab.checks.boxes import compare_boxes
from nnlab.checks.epsilon import errors_by_epsilon
from nnlab.checks.objective import Objective
from nnlab.checks.second_order import SecondOrder
from nnlab.checks.subject import Budget, Subject
from nnlab.checks.verdict import Finding, Verdict
from nnlab.errors import list_names
from nnlab.runtime.threads import computing

CONFIDENCE_LEVEL = 0.95
WORK_SHARE = 0.25  # of the budget's work, for the differences of the whole objective


def check(subject: Subject) -> Verdict:
    """Every gradient of the job compared with its references."""
    with computing(), torch.inference_mode(False), torch.no_grad():
        objective = Objective(subject)
        whole = list(compare_objective(objective, subject.budget))
        boxes = list(compare_boxes(objective, subject.budget))
        right = not any(c.wrong for c in (*whole, *boxes))
        second = SecondOrder.of(objective) if right else SecondOrder()  # it can only be wrong too
        by_epsilon = errors_by_epsilon(objective, subject.budget)
    details = {
        "parameters": {c.gradient_name: c.to_json() for c in whole},
        "boxes": {c.gradient_name: c.to_json() for c in boxes},
        "hessian": {c.gradient_name: c.to_json() for c in second.products},
        "vjp": {c.gradient_name: c.autograd_error for c in second.vjps},
        "limits": (DIFFERENCE_TOLERANCE, AUTOGRAD_TOLERANCE),
        "epsilon": by_epsilon,
        "planted": subject.plant,
    }
    finding = second.finding or _finding(whole, boxes, second)
    if subject.plant:
        finding = finding_of_planted(subject.plant, finding, boxes)
    return Verdict.from_findings("gradients", [finding], details)


def _finding(
    whole: list[GradientComparison], boxes: list[GradientComparison], second: SecondOrder | None = None
) -> Finding:
    wrong = sorted([c for c in boxes if c.wrong], key=lambda c: -c.severity)
    wrong_whole = sorted([c for c in whole if c.wrong], key=lambda c: -c.severity)
    everything = [*whole, *boxes]
    if wrong:
        first, *others = wrong
        sentence = first.fault
        if others:
            sentence += f"; also {', '.join(c.gradient_name for c in others[:3])}"
        if wrong_whole:
            sentence += f", which spoils {list_names([c.gradient_name for c in wrong_whole])}"
        advice = f"bprop of {first.box} disagrees with its own fprop: mend its formula"
        return Finding("fail", *first.worst, sentence, advice, "gradient")
    if wrong_whole:
        first = wrong_whole[0]
        sentence = f"every box is right by itself, but {first.fault}"
        advice = "look at how the graph adds up gradients where several boxes read one"
        return Finding("fail", *first.worst, sentence, advice, "gradient")
    worst = max(c.error for c in everything)
    second = second or SecondOrder()
    sentence = _passing_sentence(worst, whole, everything) + second.passing_clause
    worst = max(c.error for c in (*everything, *second.products))
    return Finding("pass", worst, DIFFERENCE_TOLERANCE, sentence)


def finding_of_planted(name: str, finding: Finding, boxes: list[GradientComparison]) -> Finding:
    """The same finding, which says that the fault was planted; a failure too if it was not found."""
    if any(c.wrong for c in boxes if c.box == name):
        advice = (
            f"found: plant={name} turned the sign of its gradient; without plant the job's own are checked"
        )
        return replace(finding, advice=advice)
    sentence = f"the sign that plant={name} turned was not found: at this point the gradient of {name} is 0"
    return Finding("fail", 1, 0, sentence, "take another box", "gradient")


def _passing_sentence(
    worst: float, whole: list[GradientComparison], everything: list[GradientComparison]
) -> str:
    compared, total = sum(c.compared_count for c in whole), sum(c.total_count for c in whole)
    if compared == total:
        scope = f"all {total:,} parameters"
    else:  # none of n sampled is wrong: with 95% confidence fewer than 3 / n of all are (rule of three)
        smallest_sample = min(c.compared_count for c in whole if c.compared_count < c.total_count)
        bound = -np.log(1 - CONFIDENCE_LEVEL) / smallest_sample
        scope = f"{compared:,} of {total:,} parameters (error bound {bound:.1%})"
        scope += f" and {max(c.directions for c in whole)} random directions of each"
    sentence = f"{scope} within {worst:.0e} of differences (limit {DIFFERENCE_TOLERANCE:g})"
    autograd_errors = [c.autograd_error for c in everything if c.autograd_error is not None]
    if autograd_errors:
        sentence += f", {max(autograd_errors):.0e} of autograd"
    kinks = sum(c.kinks for c in everything)
    if kinks:
        sentence += f"; {kinks} at kinks left out"
    only_kinks = [c.gradient_name for c in everything if 0 < c.compared_count == c.kinks]
    if only_kinks:
        sentence += f", all of {list_names(only_kinks)}: nothing is known of those"
    return sentence


# ---- the whole objective


def compare_objective(objective: Objective, budget: Budget) -> Iterator[GradientComparison]:
    """Compare every parameter's gradient; in large networks a random sample of its elements."""
    gradient, autograd_gradient = objective.gradient(), objective.autograd_gradient()
    f = objective.make_shifted_objective()
    center_value = float(objective.value(objective.network, objective.theta))
    rounding = ROUNDING_OF_SUMS * max(abs(g).max(initial=0) for g in gradient.values())
    compare_all = sum(map(len, gradient.values())) <= budget.parameters
    work_per_value = objective.graph.work * objective.batch
    share = WORK_SHARE * budget.work / len(gradient)
    sample = None if compare_all else affordable_sample(share, work_per_value, budget.sample)
    for name, g in gradient.items():
        indices = sample_indices(len(g), sample, name)
        magnitude = abs(center_value) + 1
        differences = compare(
            g[indices], lambda i, step, name=name, indices=indices: f(name, indices[i], step),
            center_value, magnitude, abs(g).max(), DIFFERENCE_TOLERANCE,
        )  # fmt: skip
        error, directions = differences.error, 0
        if len(indices) < len(g):
            parameter = objective.parameters[name].view(objective.theta)
            along = compare_directions(name, g, parameter, objective.value_now, center_value, magnitude)
            error, directions = max(error, along.error), DIRECTIONS
        autograd_error = None
        if autograd_gradient is not None:
            autograd_error = relative_error(g, autograd_gradient[name], rounding)
        kinks = int(differences.kinks.sum())
        yield GradientComparison(
            name, error, autograd_error, kinks, len(indices), len(g), directions, differences.resolved,
            differences.factor,
        )  # fmt: skip
