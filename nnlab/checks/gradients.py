"""Gradients: `bprop` of the job's network compared with central differences and autograd, in float64.

They are compared twice: the gradient of the whole objective, parameter by parameter; and each box, the loss
and the penalty by itself, with its inputs in the network and a random gradient at its output. The first shows
that something is wrong, the second says where.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from nnlab.checks.boxes import each_box
from nnlab.checks.central_differences import compare
from nnlab.checks.gradient_comparison import (
    AUTOGRAD_TOLERANCE,
    DIFFERENCE_TOLERANCE,
    Compared,
    relative,
    some,
)
from nnlab.checks.objective import Objective
from nnlab.checks.subject import Budget, Subject
from nnlab.checks.verdict import Finding, Verdict, listed
from nnlab.runtime.threads import computing

CONFIDENCE_LEVEL = 0.95


def check(subject: Subject) -> Verdict:
    """Every gradient of the job compared with its references."""
    with computing(), torch.inference_mode(False), torch.no_grad():
        objective = Objective(subject)
        whole = list(whole_objective(objective, subject.budget))
        boxes = list(each_box(objective, subject.budget))
    details = {
        "parameters": {c.where: c.plain() for c in whole},
        "boxes": {c.where: c.plain() for c in boxes},
    }
    return Verdict.of("gradients", [_finding(whole, boxes)], details)


def _finding(whole: list[Compared], boxes: list[Compared]) -> Finding:
    wrong = sorted([c for c in boxes if c.wrong], key=lambda c: -c.severity)
    wrong_whole = sorted([c for c in whole if c.wrong], key=lambda c: -c.severity)
    everything = [*whole, *boxes]
    if wrong:
        first, *others = wrong
        sentence = f"{first.where} is wrong: {_errors(first)}"
        if others:
            sentence += f"; also {', '.join(c.where for c in others[:3])}"
        if wrong_whole:
            sentence += f", which spoils {listed([c.where for c in wrong_whole])}"
        advice = f"bprop of {first.where.partition(':')[0]} disagrees with its own fprop: mend its formula"
        return Finding("fail", *first.worst, sentence, advice, "gradient")
    if wrong_whole:
        first = wrong_whole[0]
        sentence = f"every box is right by itself, but {first.where} is wrong: {_errors(first)}"
        advice = "look at how the graph adds up gradients where several boxes read one"
        return Finding("fail", *first.worst, sentence, advice, "gradient")
    worst = max(c.error for c in everything)
    return Finding("pass", worst, DIFFERENCE_TOLERANCE, _right(worst, whole, everything))


def _right(worst: float, whole: list[Compared], everything: list[Compared]) -> str:
    seen, total = sum(c.numbers for c in whole), sum(c.of for c in whole)
    if seen == total:
        which = f"all {total:,} parameters"
    else:  # none of n is wrong: by the rule of three, less than 3 / n of all are, with 95% confidence
        least = min(c.numbers for c in whole if c.numbers < c.of)
        bound = -np.log(1 - CONFIDENCE_LEVEL) / least
        which = f"{seen:,} of {total:,} parameters (error bound {bound:.1%})"
    sentence = f"{which} within {worst:.0e} of differences (limit {DIFFERENCE_TOLERANCE:g})"
    of_autograd = [c.of_autograd for c in everything if c.of_autograd is not None]
    if of_autograd:
        sentence += f", {max(of_autograd):.0e} of autograd"
    kinks = sum(c.kinks for c in everything)
    if kinks:
        sentence += f"; {kinks} at kinks left out"
    only_kinks = [c.where for c in everything if 0 < c.numbers == c.kinks]
    if only_kinks:
        sentence += f", all of {listed(only_kinks)}: nothing is known of those"
    return sentence


def _errors(c: Compared) -> str:
    errors = f"off by {c.error:.2g} from differences (limit {DIFFERENCE_TOLERANCE:g})"
    if c.of_autograd is None:
        return errors
    return f"{errors}, {c.of_autograd:.2g} from autograd's (limit {AUTOGRAD_TOLERANCE:g})"


# ---- the whole objective


def whole_objective(objective: Objective, budget: Budget) -> Iterator[Compared]:
    """Every parameter's gradient; of large networks a random sample of its numbers."""
    gradient, by_autograd = objective.gradient(), objective.by_autograd()
    f = objective.values_of_moved()
    here = float(objective.value(objective.network, objective.theta))
    every = sum(map(len, gradient.values())) <= budget.parameters
    for name, g in gradient.items():
        which = some(len(g), None if every else budget.sample, name)
        differences = compare(
            g[which], lambda w, step, name=name, which=which: f(name, which[w], step), here, abs(here) + 1,
            abs(g).max(), DIFFERENCE_TOLERANCE,
        )  # fmt: skip
        of_autograd = None if by_autograd is None else relative(g, by_autograd[name])
        kinks = int(differences.kinks.sum())
        yield Compared(name, differences.error, of_autograd, kinks, len(which), len(g), differences.resolved)
