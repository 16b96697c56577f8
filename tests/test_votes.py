"""The majority vote of rows: against counting by hand, ties, and what evaluate reports of it."""

from collections import Counter

import numpy as np
import pytest
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.data.sources import Digits
from nnlab.errors import UserError
from nnlab.prediction.blocks import Block
from nnlab.prediction.evaluation import evaluate
from nnlab.prediction.screen_lines import evaluation_lines
from nnlab.prediction.votes import Votes, majority


def by_hand(votes, p):
    """(class, whether it was a tie) for each example."""
    for n in range(votes.shape[1]):
        counts = Counter(votes[:, n].tolist())
        tied = [c for c in sorted(counts) if counts[c] == max(counts.values())]
        yield max(tied, key=lambda c: p[c, n]), len(tied) > 1


@pytest.mark.parametrize("rows, classes", [(1, 3), (2, 2), (3, 3), (5, 10), (6, 4)])
def test_the_vote_is_that_of_the_majority_and_ties_go_to_the_larger_probability(rows, classes):
    random = np.random.default_rng(rows)
    votes, p = random.integers(classes, size=(rows, 400)), random.dirichlet(np.ones(classes), 400).T
    expected, ties = zip(*by_hand(votes, p), strict=True)
    assert majority(votes, p).tolist() == list(expected)
    true, counted = random.integers(classes, size=400), Votes()
    for part in (slice(0, 150), slice(150, 400)):
        counted.add(votes[:, part], p[:, part], true[part])
    error = np.mean(np.array(expected) != true)
    assert counted.report() == {"accuracy": pytest.approx(1 - error), "error": error, "ties": sum(ties)}


class Blocks:
    """Labelled digits in two blocks, as `open_examples` gives them."""

    target = ""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def blocks(self):
        for part in (slice(0, 500), slice(500, None)):
            yield Block(self.x[part], self.y[part], None, range(len(self.x))[part])


def test_evaluate_reports_the_vote_beside_the_average():
    e = nnlab.Experiment(data="digits", model=nnlab.MLP(hidden=(6,)), epochs=3, seeds=4)
    model, data = nnlab.load(nnlab.fit(e).run()), Digits().load()
    labels = model.classes[data.y]
    evaluation = evaluate(model, Blocks(data.x, labels), None)
    voted = model.vote(data.x)
    assert evaluation.vote["error"] == np.mean(voted != labels) != evaluation.test["error"]
    assert evaluation.vote["ties"] > 0 and evaluation.as_json()["vote"] == evaluation.vote
    lines = evaluation_lines(evaluation, model, "evaluation.json")
    assert any("the majority vote of the 4 rows (" in line for line in lines)
    alone = evaluate(model, Blocks(data.x, labels), 2)
    assert alone.vote == {} and "vote" not in alone.as_json()
    votes = np.stack([model.class_numbers(data.x, row) for row in range(4)])
    expected = [c for c, _ in by_hand(votes, model.predict_proba(data.x).T)]
    assert (voted == model.classes[expected]).all()


def test_numbers_have_no_vote():
    e = nnlab.Experiment(data="diabetes", model=nnlab.MLP(hidden=(3,)), epochs=1, seeds=2)
    model = nnlab.load(nnlab.fit(e).run())
    with pytest.raises(UserError, match="use predict"):
        model.vote(nnlab.Diabetes().load().x)
