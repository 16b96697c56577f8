"""nnlab.Sweep in Python: spaces as dicts, objectives, and the table of trials."""

import numpy as np
import pytest

import nnlab

X = np.random.default_rng(0).random((60, 4))
BASE = nnlab.Experiment(data=nnlab.Arrays(X, np.arange(60) % 3), epochs=2)
GRID = nnlab.Search(sampler="grid")
LR = nnlab.Interval(1e-4, 1e-1, log=True)


def test_a_dict_and_an_experiment():
    space = {"optimizer.lr": LR, "model.hidden": [[8], (8, 8)], "epochs": range(1, 4)}
    sweep = nnlab.Sweep(space, nnlab.Search(trials=5, sampler="random"), BASE)
    assert repr(sweep) == "<Sweep: 0 of 5 trials; sweep.run(), or iterate over it>" and sweep.trials == []
    with pytest.raises(nnlab.UserError, match="no trial is complete: sweep.run.. trains them"):
        sweep.best  # noqa: B018
    assert sweep.run() is sweep and len(sweep.trials) == 5
    assert sweep.best.values[0] == min(trial.values[0] for trial in sweep.trials)
    e = sweep.experiment(sweep.best)
    assert e.optimizer.lr == sweep.best.params["optimizer.lr"] and e.epochs == sweep.best.params["epochs"]
    assert list(e.model.hidden) == sweep.best.params["model.hidden"]
    assert nnlab.fit(e).run().results[0].best["val_loss"] == sweep.best.values[0]
    assert repr(sweep).startswith("<Sweep: 5 of 5 trials, the best val_loss ")
    assert "intermediate" not in repr(sweep.best) and len(repr(sweep.best)) < 300
    table = sweep.table
    assert list(table)[:2] == ["number", "state"] and {len(c) for c in table.values()} == {5}
    assert table["val_loss"].min() == sweep.best.values[0] and table["optimizer.lr"].dtype == float


def test_a_function_gets_values():
    seen = []

    def experiment(params):
        seen.append(params["hidden"])
        return nnlab.Experiment(data=BASE.data, epochs=1, model=nnlab.MLP(params["hidden"]))

    sweep = nnlab.Sweep({"hidden": [(8,), [8, 8]]}, GRID, experiment).run()
    assert [8] in seen and [8, 8] in seen and len(sweep.trials) == 2
    assert {sweep.experiment(t).model.hidden for t in sweep.trials} == {(8,), (8, 8)}


def test_choices_and_what_only_some_of_them_have():
    space = {"optimizer": ["adam", "sgd", nnlab.Momentum(0.1)], "optimizer.beta1": [0.8, 0.9]}
    sweep = nnlab.Sweep(space, GRID, BASE).run()
    assert len(sweep.trials) == 4 and sweep.table["optimizer.beta1"].tolist() == [0.8, 0.9, None, None]
    assert sweep.experiment(sweep.trials[3]).optimizer == nnlab.Momentum(0.1)


def test_the_usual_regularizer_follows_the_optimizer():
    sweep = nnlab.Sweep({"optimizer": ["adam", "adamw"]}, GRID, BASE)
    assert [sweep.experiment({"optimizer": o}).regularizer.l2 for o in ("adam", "adamw")] == [1e-3, 0]
    explicit = nnlab.Experiment(regularizer=nnlab.Regularizer(l2=0.5))
    assert nnlab.Sweep({"optimizer": ["adam", "adamw"]}, GRID, explicit).experiment(
        {"optimizer": "adamw"}
    ) == (nnlab.Experiment(optimizer="adamw", regularizer=nnlab.Regularizer(l2=0.5)))


def test_a_break_keeps_what_was_told():
    search = nnlab.Search(sampler="random", trials=6, batch=2)
    sweep, whole = (nnlab.Sweep({"optimizer.lr": LR}, search, BASE) for _ in range(2))
    for _ in sweep:
        if len(sweep.trials) == 2:
            break
    assert len(sweep.trials) == 2 and sweep.best
    assert [t.values for t in sweep.run().trials] == [t.values for t in whole.run().trials]


@pytest.mark.filterwarnings("ignore::nnlab.errors.Advice")
@pytest.mark.parametrize(
    "space",
    [
        {"optimizer.lr": np.geomspace(1e-3, 1e-1, 3)},
        {"regularizer": ["none", ["l2", "dropout"], "auto"]},
        {"loss": ["auto", "squared_error", "absolute_error"]},
        {"epochs": nnlab.Steps(1, 1, 3)},
        {"seed": nnlab.Choice((0, 1, 2))},
        {"init": [nnlab.Zeros(), "he_normal", nnlab.HeNormal(bias=0.1)]},
        nnlab.Space({"epochs": nnlab.Choice((1, 2, 3))}),
    ],
    ids=["array", "lists", "names", "Steps", "Choice", "parts", "Space"],
)
def test_what_a_space_may_be(space):
    assert len(nnlab.Sweep(space, GRID, BASE).run().trials) == 3


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nnlab.Sweep({"lr": LR}), "space: no setting 'lr'; did you mean 'optimizer.lr'?"),
        (
            lambda: nnlab.Sweep({"optimizer.lrr": LR}),
            "no setting 'optimizer.lrr'; did you mean 'optimizer.lr'",
        ),
        (lambda: nnlab.Sweep({"epoch": [1, 2]}), "no setting 'epoch'; did you mean 'epochs'?"),
        (lambda: nnlab.Sweep({3: [1, 2]}), "no setting '3'"),
        (
            lambda: nnlab.Sweep({"epochs": (1, 4)}),
            "space['epochs'] = (1, 4): expected a list of values, a ra",
        ),
        (
            lambda: nnlab.Sweep({"epochs": 3}),
            "space['epochs'] = 3: expected a list of values, a range, or a n",
        ),
        (lambda: nnlab.Sweep({"epochs": "1,2"}), "space['epochs'] = '1,2': expected a list of values"),
        (lambda: nnlab.Sweep({"epochs": []}), "space['epochs'] = []: expected a list of values"),
        (lambda: nnlab.Sweep({"epochs": range(3, 1)}), "a range that ends before it starts is empty"),
        (
            lambda: nnlab.Sweep({}),
            "space = {}: it is empty; expected at least one key",
        ),
        (lambda: nnlab.Sweep([1]), "space = [1]: expected a dict of key ->"),
        (lambda: nnlab.Sweep({"epochs": [1, 2]}, 5), "search = 5: expected a nnlab.Search"),
        (
            lambda: nnlab.Sweep({"a": [1]}, GRID, "x"),
            "experiment_of = 'x': expected a nnlab.Experiment, or a f",
        ),
        (lambda: nnlab.Sweep({"a": [1]}, GRID, lambda p: 3), "the function gave 3 for {'a': 1}: expected a"),
        (
            lambda: nnlab.Sweep({"optimizer.lr": [1, -2]}, GRID),
            "optimizer.lr = -2: expected a number above 0",
        ),
        (
            lambda: nnlab.Sweep({"optimizer": ["adam", "sdg"]}, GRID),
            "unknown optimizer 'sdg'; did you mean 's",
        ),
        (lambda: nnlab.Sweep({"optimizer.lr": LR}, GRID), "a grid needs a number of points on it"),
    ],
)
def test_what_is_no_sweep_is_a_sentence(make, message):
    with pytest.raises(nnlab.UserError) as error:
        make().run()
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nnlab.Interval("a", 3), "Interval: low = 'a': expected a number"),
        (lambda: nnlab.Interval(0, None), "Interval: high = None: expected a number"),
        (lambda: nnlab.Interval(0.5, 3, whole=True), "Interval: low = 0.5: expected a whole number"),
        (lambda: nnlab.Interval(0, [1]), "Interval: high = [1]: expected a number"),
        (lambda: nnlab.Interval(0, 1, log=True), "a logarithmic interval from 0 to 1 goes through zero"),
        (lambda: nnlab.Choice(5), "a choice of 5: expected a list of values"),
        (lambda: nnlab.Choice("adam"), "a choice of 'adam': expected a list of values"),
        (lambda: nnlab.Choice([]), "a choice of []: expected a list of values"),
        (lambda: nnlab.Steps(0, 1, 2.5), "Steps: count = 2.5: expected a whole number"),
        (lambda: nnlab.Steps(0, 0, 3), "steps of 0 do not get anywhere"),
    ],
)
def test_what_is_no_domain_is_a_sentence(make, message):
    with pytest.raises(nnlab.UserError) as error:
        make()
    assert message in str(error.value)


def test_domains_of_numpys_numbers():
    assert nnlab.Interval(np.float64(1), np.int64(3)) == nnlab.Interval(1, 3)
    assert nnlab.Interval(1.0, 3.0, whole=True).points(None) == range(1, 4)
    assert nnlab.Choice(np.arange(3)) == nnlab.Choice([0, 1, 2]) == nnlab.Choice(range(3))


def test_a_sweep_where_every_trial_fails_says_why():
    sweep = nnlab.Sweep({"optimizer.lr": [1e30, 1e31]}, GRID, BASE).run()
    with pytest.raises(
        nnlab.UserError, match="no trial is complete: 2 trials have failed: diverged in epoch 1"
    ):
        sweep.best  # noqa: B018
    assert repr(sweep) == "<Sweep: 2 of 2 trials, none complete>" and np.isnan(sweep.table["val_loss"]).all()


def test_a_table_is_a_data_frame():
    pandas = pytest.importorskip("pandas")
    space = {"optimizer": ["adam", "sgd"], "optimizer.beta1": [0.8, 0.9]}
    frame = pandas.DataFrame(nnlab.Sweep(space, GRID, BASE).run().table)
    assert frame["optimizer.beta1"].isna().sum() == 1 and frame.val_loss.notna().all()
