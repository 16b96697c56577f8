"""Sweeps whose trials cannot be compared by their losses, units or examples: refused, or a warning."""

import json
import re

import pytest
from searches import IRIS, sweep, sweep_json, train, trials_csv

from nnlab.cli import main
from nnlab.records.text import metric_label

TABLE = "x,z,y\n" + "".join(f"{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(60))
JUDGED = {  # what is searched, and by which objective trials are ranked
    "usual": (["data=iris", "optimizer.lr=0.1,0.01"], "val_loss"),
    "inputs are no unit": (["data=diabetes", "data.normalization=standard,minmax"], "val_loss"),
    "smoothed": (["data=iris", "regularizer.label_smoothing=interval(0,0.2)"], "val_loss"),
    "nothing is drawn": (["data=iris", "data.seed=0,1"], "val_loss"),
    "other columns": (["data=csv", "data.target=y", "data.path=a.csv,b.csv"], "val_loss"),
    "a scale": (["data=diabetes", "data.target_normalization=standard,minmax"], "val_error"),
    "a loss": (["data=diabetes", "loss=squared_error,absolute_error"], "val_error"),
    "a loss of classes": (["data=iris", "loss=auto,binary_cross_entropy"], "val_error"),
    "the same loss by two names": (["data=iris", "loss=auto,cross_entropy"], "val_loss"),
    "a model with its loss": (["data=iris", "model=linear,logistic"], "val_error"),
    "an output with its loss": (["data=iris", "model.output=auto,sparsemax"], "val_error"),
    "an experiment's loss": (["experiment=one,two"], "val_error"),
    "no scale of classes": (["data=csv", "data.path=a.csv", "data.target=y",
                             "data.target_normalization=standard,minmax"], "val_loss"),
    "beside another": (["data=iris", "loss=auto,squared_error", "objective=[auto,parameters]"], "val_error"),
    "asked for": (["data=iris", "split.seed=0,1", "objective=parameters"], "parameters"),
}  # fmt: skip
DOUBTFUL = {  # what is searched, and what is said of it, while the sweep goes on
    "split.test=0.2,0.3": "split.test gives trials other validation examples",
    "split.validation=0.1,0.2": "split.validation gives trials other validation examples",
    "split=holdout,kfold": "split gives trials other validation examples",
    "split.repeats=1,2": "split.repeats gives trials other validation examples",
    "split.stratify=true,false": "split.stratify gives trials other validation examples",
    "data.limit=60,90": "data.limit gives trials other validation examples",
    "data.label_noise=interval(0,0.3)": "data.label_noise gives trials other validation examples",
    "split=kfold split.k=3,5": "split.k gives trials other validation examples",
    "seed=0,1": "seed is luck",
    "seeds=1,2": "seeds makes a trial's mean surer and not better",
    "regularizer.dropout=0,0.5 objective=train_loss": "take objective=val_loss",
    "regularizer.input_dropout=0,0.5 objective=train_error": "take objective=val_error",
    "regularizer.l2=interval(0,1) objective=[val_loss,penalty]": "regularizer.l2 is a factor",
    "split.test=0.2,0.3 objective=train_loss": "split.test gives trials other training examples",
}
REFUSED = {  # what is searched, and the way out
    "split.seed=range(0,5)": "split.repeats=10",
    "split.seed=int(interval(0,9)) optimizer.lr=0.1,0.2": "split.repeats=10",
    "split.seed=0,1 objective=train_error": "split.repeats=10",
    "split=kfold split.fold=0,1": "split.repeats=10",
    "data.limit=60 data.seed=0,1": "split.repeats=10",
    "data.label_noise=0.1 data.seed=0,1": "split.repeats=10",
    "data=moons data.seed=0,1": "split.repeats=10",
    "data=moons data.noise=0.1,0.2": "different data",
    "data=iris,wine": "different data",
    "data=iris,wine objective=val_error": "different data",
    "experiment=lecture/mlp,lecture/linear_regression": "different data",
    "loss=auto,squared_error objective=val_loss": "take objective=val_error",
    "loss=auto,squared_error objective=train_loss": "take objective=train_error",
    "loss=auto,squared_error objective=grad_norm": "take objective=val_error",
    "loss=auto,squared_error objective=[parameters,val_loss]": "take objective=val_error",
    "data=diabetes data.target_normalization=standard,none objective=val_loss": "take objective=val_error",
    "regularizer.small=0.1,0.2 objective=small_weights": "give regularizer.small one value",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(TABLE)
    (tmp_path / "b.csv").write_text(TABLE.replace("x,z", "z,x"))
    for name, loss in (("one", "auto"), ("two", "squared_error")):
        file = tmp_path / "mine" / "experiment" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# @package _global_\nepochs: 2\nloss: {loss}\n")


def planned(capsys, *overrides) -> tuple[int, str, str]:
    """The exit code, what was printed, what was said beside it."""
    usual = ["sampler=random", "trials=2", "plan=true", "model.hidden=[4]"] * ("model=" not in str(overrides))
    code = main(["sweep", "-cd", "mine", *usual, *overrides, "plan=true"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("overrides, objective", JUDGED.values(), ids=JUDGED)
def test_trials_are_ranked_by_what_is_the_same_in_all(overrides, objective, capsys):
    code, out, err = planned(capsys, *overrides)
    assert code == 0 and not err
    labels = {f"for the least {metric_label(objective, task)}" for task in ("classification", "regression")}
    assert any(goal in " ".join(out.split()) for goal in labels)
    key = next(word for word in overrides[::-1] if "," in word and "objective" not in word).partition("=")[0]
    why = f"by val_error, since {key} gives losses in different units"
    assert (why in out) == (objective == "val_error")


@pytest.mark.filterwarnings("always::nnlab.errors.Advice")
@pytest.mark.parametrize("overrides", DOUBTFUL)
def test_what_is_doubtful_is_said(overrides, capsys):
    code, out, err = planned(capsys, *([] if "data=" in overrides else ["data=iris"]), *overrides.split())
    assert code == 0 and "trials" in out
    assert err.startswith("nnlab sweep: advice: ") and err.count("\n") == 1 and DOUBTFUL[overrides] in err


@pytest.mark.parametrize("overrides", REFUSED)
def test_what_cannot_be_ranked_is_refused_in_one_sentence(overrides, capsys, tmp_path):
    data = [] if re.search("data=|experiment=", overrides) else ["data=iris"]
    before = set(tmp_path.iterdir())
    assert main(["sweep", *data, *overrides.split()]) == 2
    stderr = capsys.readouterr().err
    key = re.search(r"([a-z_.]+)=[^ ]*,", overrides)[1]
    assert stderr.startswith("nnlab sweep: ") and stderr.count("\n") == 1
    assert key in stderr and REFUSED[overrides] in stderr and set(tmp_path.iterdir()) == before


def test_the_winner_is_the_one_of_the_least_error_in_the_targets_unit(tmp_path):
    """Its losses would rank the scales of the target in another order."""
    overrides, scales = ("data=diabetes", "epochs=20"), ("standard", "minmax", "maxabs")
    searched = f"data.target_normalization={','.join(scales)}"
    folder = sweep(tmp_path / "s", *overrides, "sampler=grid", "report=false", searched)
    best = {}
    for scale in scales:
        alone = train(
            f"nnlab train {' '.join(overrides)} data.target_normalization={scale}", tmp_path / scale
        )
        best[scale] = json.loads((alone / "rows.json").read_text())[0]["best"]
    errors = {scale: best[scale]["val_error"] for scale in scales}
    assert sweep_json(folder)["best"]["params"]["data.target_normalization"] == min(errors, key=errors.get)
    assert min(scales, key=lambda scale: best[scale]["val_loss"]) != min(errors, key=errors.get)
    error_by_normalization = {
        row["data.target_normalization"]: float(row["val_error"]) for row in trials_csv(folder)
    }
    assert error_by_normalization == errors


def test_a_mean_over_splits_answers_for_the_luckiest_one(tmp_path):
    rows = trials_csv(sweep(tmp_path / "s", *IRIS, "split.repeats=3", "optimizer.lr=0.1,0.01"))
    assert {row["rows"] for row in rows} == {"3"}
