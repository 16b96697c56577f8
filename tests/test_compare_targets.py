"""Targets and measures that are typed wrong: refused in a sentence before anything trains."""

import pytest

from nnlab.cli import main
from nnlab.errors import UserError
from nnlab.records.measures import refuse_target

SMALL = ["compare", "optimizer=sgd,adam", "data=iris", "epochs=1", "seeds=2", "model.hidden=[2]"]
WRONG = {
    "measure=accuracy": "did you mean 'test_accuracy'?",
    "measure=acc": "did you mean 'test_accuracy'?",
    "measure=f1_macro": "did you mean 'test_f1_macro'?",
    "measure=tset_error": "did you mean 'test_error'?",
    "measure=steps target=-1": "target = -1: the validation error is at least 0 and at most 1",
    "measure=steps target=5": "5% is target=0.05",
    "target=1.5": "the validation error is at least 0 and at most 1",
    "measure=val_loss target=-0.1": "the validation loss is at least 0",
    "data=diabetes target=-1": "the validation RMSE is at least 0",
    "data=iris,iris": "data=iris,iris: a data set is there twice",
    "data=iris,wine,iris": "data=iris,wine,iris: a data set is there twice",
    "data=iris,wine,iris optimizer=sgd,sgd": "optimizer=sgd,sgd: two arms are the same",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_is_said_in_one_short_sentence(words, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {word.partition("=")[0] for word in words.split()}
    rest = [word for word in SMALL if word.partition("=")[0] not in own]
    assert main([*rest, *words.split()]) == 2
    err = capfd.readouterr().err
    assert WRONG[words] in err and err.count("\n") == 1 and len(err) < 400, err
    assert not (tmp_path / "outputs").exists()


RANGES = [
    ("val_error", "classification", [0, 0.5, 1], [-0.01, 1.01]), ("val_error", "regression", [0, 9e9], [-1]),
    ("val_accuracy", "classification", [0, 1], [-0.1, 2]),
    ("val_mcc", "classification", [-1, 1], [-1.1, 1.1]),
    ("val_r2", "regression", [-100, 1], [1.5]), ("val_loss", "classification", [0, 50], [-1]),
    ("val_brier_score", "classification", [2], [-1, 2.1]), ("train_mape", "regression", [7], [-7]),
]  # fmt: skip


@pytest.mark.parametrize("curve, task, possible, impossible", RANGES)
def test_the_values_that_a_curve_can_have(curve, task, possible, impossible):
    for target in (None, *possible):
        refuse_target(target, curve, task)
    for target in impossible:
        with pytest.raises(UserError, match=r"target = .* is at (least|most)"):
            refuse_target(target, curve, task)
