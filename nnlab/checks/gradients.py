"""Gradients: `bprop` of the job's network against central differences and torch.autograd, in float64.

Twice: the gradient of the whole objective, parameter by parameter; and each box, the loss and the penalty by
itself, with the inputs that it has in the network and a random gradient at its output. The first shows that
something is wrong, the second says where.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from nnlab.checks.boxes import each_box
from nnlab.checks.central_differences import compare
from nnlab.checks.gradient_comparison import AUTOGRAD, DIFFERENCES, Compared, relative, some
from nnlab.checks.objective import Objective
from nnlab.checks.subject import Budget, Subject
from nnlab.checks.verdict import Finding, Verdict
from nnlab.runtime.threads import computing

CONFIDENCE = 0.95


def check(subject: Subject) -> Verdict:
    """Every gradient of the job beside its references."""
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
        first, others = wrong[0], [c.where for c in wrong[1:]]
        also = f"; also {', '.join(others[:3])}" if others else ""
        reaches = f", which spoils {_listed([c.where for c in wrong_whole])}" if wrong_whole else ""
        found = f"{first.where} is wrong: {_errors(first)}{also}{reaches}"
        advice = f"bprop of {first.where.partition(':')[0]} disagrees with its own fprop: mend its formula"
        return Finding("fail", *first.worst, found, advice, "gradient")
    if wrong_whole:
        first = wrong_whole[0]
        found = f"every box is right by itself, but {first.where} is wrong: {_errors(first)}"
        advice = "look at how the graph adds up gradients where several boxes read one"
        return Finding("fail", *first.worst, found, advice, "gradient")
    worst = max(c.error for c in everything)
    return Finding("pass", worst, DIFFERENCES, _right(worst, whole, everything))


def _right(worst: float, whole: list[Compared], everything: list[Compared]) -> str:
    seen, total = sum(c.numbers for c in whole), sum(c.of for c in whole)
    if seen == total:
        which = f"all {total:,} parameters"
    else:  # none of n is wrong: by the rule of three, less than 3 / n of all are, with 95% confidence
        least = min(c.numbers for c in whole if c.numbers < c.of)
        bound = -np.log(1 - CONFIDENCE) / least
        which = f"{seen:,} of {total:,} parameters (error bound {bound:.1%})"
    kinks = sum(c.kinks for c in everything)
    beside = [c.of_autograd for c in everything if c.of_autograd is not None]
    autograd = f", {max(beside):.0e} of autograd" if beside else ""
    tail = f"; {kinks} at kinks left out" if kinks else ""
    only = [c.where for c in everything if 0 < c.numbers == c.kinks]
    tail += f", all of {_listed(only)}: nothing is known of those" if only else ""
    return f"{which} within {worst:.0e} of differences (limit {DIFFERENCES:g}){autograd}{tail}"


def _errors(c: Compared) -> str:
    beside = "" if c.of_autograd is None else f", {c.of_autograd:.2g} from autograd's (limit {AUTOGRAD:g})"
    return f"off by {c.error:.2g} from differences (limit {DIFFERENCES:g}){beside}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# ---- the whole objective


def whole_objective(objective: Objective, budget: Budget) -> Iterator[Compared]:
    """Every parameter's gradient; of large networks a random sample of its numbers."""
    mine, other, f = objective.gradient(), objective.by_autograd(), objective.moved()
    here = float(objective.value(objective.network, objective.theta))
    every = sum(len(g) for g in mine.values()) <= budget.parameters
    for name, g in mine.items():
        which = some(len(g), None if every else budget.sample, name)
        seen = compare(
            g[which], lambda w, s, n=name, which=which: f(n, which[w], s), here, abs(here) + 1,
            abs(g).max(), DIFFERENCES,
        )  # fmt: skip
        beside = None if other is None else relative(g, other[name])
        yield Compared(name, seen.error, beside, int(seen.kinks.sum()), len(which), len(g), seen.resolved)
