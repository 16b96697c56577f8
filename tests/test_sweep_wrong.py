"""Invalid `nnlab sweep` commands: one sentence, exit code 2, and nothing left behind."""

import pytest
from searches import LR

import nnlab
from nnlab.cli import main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def said(capsys, *overrides, code=2) -> str:
    """What a refused sweep says: one sentence."""
    assert main(["sweep", *overrides]) == code
    error = capsys.readouterr().err
    assert error.startswith("nnlab sweep: ") and error.count("\n") == 1 and "Traceback" not in error, error
    return error


WRONG = [  # words, what the sentence must say
    (["optimizer.lr=interval(1e-4"], ["optimizer.lr=interval(1e-4"]),
    (["optimizer.lr=tag(log,interval(0,1))"], ["optimizer.lr", "from 0 to 1", "zero"]),
    (["optimizer.lr=interval(1,0)"], ["optimizer.lr", "empty"]),
    (["optimizer.lr=tag(lgo,interval(1e-4,1))"], ["unknown tag 'lgo'", "log"]),
    (["optimizer.lrr=interval(0,1)"], ["optimizer.lrr", "optimizer.lr"]),
    (["optimizer=sgd,adam", "optimizer.gamma=interval(0,1)"], ["optimizer.gamma"]),
    (["optimizer=sgd,adm"], ["adm", "adam"]),
    (["optimizer=interval(0,1)"], ["optimizer", "takes some of"]),
    (["optimizr=sgd,adam"], ["optimizr", "optimizer"]),
    (["optimizer.lr=interval(-1,1)"], ["optimizer.lr = -1", "above 0"]),
    (["regularizer.dropout=interval(0,1)"], ["regularizer.dropout = 1", "below 1"]),
    (["epochs=interval(1,9)"], ["epochs takes whole numbers", "int(interval(1,9))"]),
    (["sampler=grid"], ["optimizer.lr", "a grid needs a number of points"]),
    (["sampler=grid", "seed=range(0,1001)", "split.seed=range(0,1001)"], ["1,002,001 cells", "too many"]),
    (["sampler=grid", "seed=int(interval(0,1000000000))"], ["1,000,000,001 cells", "too many"]),
    (["seed=range(0,10000000000)"], ["10,000,000,000", "too long"]),
    (["sampler=gird"], ["gird", "grid"]),
    (["pruner.factor=3"], ["pruner.factor"]),
    (["pruner=halving", "pruner.factor=1"], ["pruner.factor = 1", "at least 2"]),
    (["space=mine"], ["mine", "default"]),
    (["space=none"], ["nothing to search"]),
    (["trials=0"], ["trials = 0", "at least 1"]),
    (["trials=3,4"], ["trials", "one value"]),
    (["sampler=random,random"], ["sampler", "given twice"]),
    (["batch=0"], ["batch = 0", "at least 1"]),
    (["objective=loss"], ["objective = 'loss'", "val_loss"]),
    (["objective=test_error"], ["objective", "test_error", "val_error"]),
    (["objective=small_weights"], ["small_weights", "regularizer.small"]),
    (["objective=[val_loss,val_loss]"], ["twice"]),
    (["objective=[val_loss,parameters]", "pruner=median"], ["pruner=median", "one objective"]),
    (["objective=[val_loss,parameters]", "sampler=cmaes"], ["sampler=cmaes", "one objective"]),
    (["objective=[val_loss,parameters]", "direction=[minimize]"], ["direction", "2 objectives"]),
    (["sampler=cmaes", "optimizer.lr=interval(0.1,1)"], ["cmaes", "at least 2 parameters", "tpe"]),
    (["distinct=yes"], ["distinct", "true or false"]),
    (["storage=study.db"], ["storage = 'study.db'", "sqlite:///"]),
    (["storage=redis://x"], ["storage", "databases"]),
    (["storage=nonsense://x"], ["storage = 'nonsense://x'", "cannot be used"]),
    (["storage=sqlite:////no/such/folder/x.db"], ["storage", "cannot be used"]),
    (["resume=nowhere"], ["'nowhere' is not the folder of a sweep"]),
    (["refine=nowhere"], ["'nowhere' is not the folder of a sweep"]),
    (["-m", LR], ["-m", "nnlab train -m"]),
    (["model.hidden=choice([100000,100000],[200000,100000])", "batch=64"], ["memory", "batch="]),
]  # fmt: skip


@pytest.mark.parametrize(
    "overrides, phrases", WRONG, ids=[" ".join(overrides)[:60] for overrides, _ in WRONG]
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(capsys, tmp_path, overrides, phrases):
    sentence = said(capsys, "data=iris", *overrides)
    assert all(phrase in sentence for phrase in phrases), sentence
    assert not list(tmp_path.iterdir())


MISFITS = {  # of digits, without padding: what is searched
    "a kernel": {"model.kernel": [17, 3]},
    "a range of kernels": {"model.kernel": range(5, 18, 6)},
    "blocks": {"model.blocks": [[8, "pool"], [8, *["pool"] * 5]]},
}


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_networks_that_do_not_fit_the_data_fail_as_trials_only(name, sampler):
    """Other samplers than the grid draw them last, after all that fit."""
    base = nnlab.Experiment(model=nnlab.CNN(blocks=(8, "pool"), padding=0))
    sweep = nnlab.Sweep(MISFITS[name], nnlab.Search(sampler=sampler), base)
    count = sweep.count_untrainable() if sampler == "grid" else 1
    reasons = [c.reason for c in sweep.make_batch(sweep.choose(range(sweep.count))).candidates]
    assert 0 < count < sweep.count and sum(map(bool, reasons)) >= count
    assert all("model.blocks" in reason and "(" in reason for reason in reasons if reason)
    assert sampler == "grid" or not reasons[0]


def test_no_network_that_fits_is_one_sentence(capsys, tmp_path):
    words = ["data=digits", "model=cnn", "model.blocks=[8]", "model.padding=0", "model.kernel=12,17"]
    assert "12 x 12 points" in said(capsys, *words)
    assert not list(tmp_path.iterdir())


def test_several_runs_say_which_is_wrong(capsys, tmp_path):
    words = ["data=digits", "model=cnn", "model.blocks=[8]", "model.padding=0", "model.kernel=3,17"]
    assert main(["train", "-m", *words]) == 2
    assert "nnlab train: run model.kernel=17: model.blocks: block 1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
