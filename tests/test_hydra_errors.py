"""Error messages for unknown words: other tools' names, keys of other commands, and typing errors.

Each mistake with what must be in its sentence, and then what must not be, since it would mislead.
"""

import numpy as np
import pytest

from nnlab import suggestions
from nnlab.catalogue import Catalogue
from nnlab.cli import main
from nnlab.data.numpy_files import Npz
from nnlab.errors import UserError
from nnlab.runtime.devices import device

MISTAKES = """
# keys of other tools
train optimizer.learning_rate=0.1 | 'optimizer.lr' | clip_value
train learning_rate=0.1 | 'optimizer.lr'
train lr=0.1 | 'optimizer.lr'
train optimizer.momentum=0.9 | optimizer=momentum optimizer.gamma=0.9 | beta2
train momentum=0.9 | optimizer=momentum
train optimizer.eps=1e-8 | 'optimizer.epsilon'
train optimizer.betas=[0.9,0.99] | optimizer.beta1 and optimizer.beta2
train optimizer.momentum_decay=0.1 | optimizer=nadam | 'optimizer.lr'
train weight_decay=0.1 | regularizer.l2
train max_epochs=5 | 'epochs'
train n_epochs=5 | 'epochs'
train epoch=5 | 'epochs'
train bs=32 | 'batch_size'
train batchsize=32 | 'batch_size'
train random_state=1 | 'seed'
train hidden_layer_sizes=[64] | 'model.hidden'
train model.layers=[64] | 'model.hidden'
train model.units=64 | 'model.hidden'
train dropout_rate=0.5 | 'regularizer.dropout'
train dropout=0.5 | 'regularizer.dropout'
train validation_split=0.2 | 'split.validation'
train test_size=0.2 | 'split.test'
train cv=5 | split=kfold split.k=5
train patience=5 | stopping=patience
train early_stopping=true | stopping=patience
train scheduler=cosine | 'schedule'
train gradient_clip_val=1 | 'optimizer.clip_norm'
train criterion=mse | 'loss'
train dataset=iris | 'data'
train output_dir=x | hydra.run.dir=x
train output=runA | hydra.run.dir=runA | model.output
train output=softmax | 'model.output'
train n_jobs=2 | 'threads'
train data.columns=[a] | data=table data.drop=[COLUMN] | data.limit
train data.drop=[id] | write data=table data.drop | did you mean
train data=csv data.types.zip=category | write data=table data.types
train data.encoding=latin1 | write data=table data.encoding | did you mean
train data.sep=x | data.separator
train n_trials=5 | nnlab sweep
# keys of another choice
train data.path=x.csv | write data=table data.path=x.csv | data.limit'
train split.k=5 | write split=kfold split.k
train schedule=cosine schedule.gamma=0.5 | schedule=exponential | did you mean
train optimizer.gamma=0.5 | momentum, nesterov, rmsprop | 'optimizer.lr'
train optimizer=momentum optimizer.momentum=0.8 | 'optimizer.gamma'
train optimizer=rmsprop optimizer.alpha=0.99 | 'optimizer.gamma'
train split=kfold split.n_splits=3 | 'split.k'
train patience=7 | stopping.patience=7 | 10
train cv=3 | split.k=3
train weight_decay=0.2 | regularizer.l2=0.2, or | 1e-3
train data.path=x.npz | write data=npz data.path=x.npz
train path=x.parquet | write data=table data.path=x.parquet
train path=x.npz | write data=npz data.path=x.npz
train target=left | write data=table data.target
train refit=yes | write true
train epochs="3" | write 3
train optimizer.lr=0,1 | decimals have a point, optimizer.lr=0.1
train learning_rate | 'optimizer.lr'
train data=good.xlsx | data=table data.path=good.xlsx | allowed
train data=good.h5 | save it as CSV | allowed
train data=good.npy | data=npy data.path=good.npy | allowed
good.csv | the first word is a command
epochs=5 | the first word is a command
# values of other tools
train data=mnist | data=idx data.path=FOLDER | noise
train loss=mse | 'squared_error'
train loss=MSELoss | 'squared_error'
train loss=bce | 'binary_cross_entropy'
train loss=categorical_crossentropy | 'cross_entropy'
train loss=CrossEntropy | 'cross_entropy'
train model.activation=ReLU | 'relu'
train model.activation=swish | 'silu'
train model.activation=LeakyReLU | 'leaky_relu'
train optimizer=SGD | 'sgd'
train optimizer=sgdm | 'momentum'
train optimizer=nag | 'nesterov'
train optimizer=lbfgs | allowed: adadelta | did you mean
train schedule=ReduceLROnPlateau | 'reduce_on_plateau'
train schedule=StepLR | 'step'
train schedule=cos | 'cosine'
train init=xavier | 'glorot_uniform'
train init=kaiming_uniform | 'he_uniform'
train regularizer=ridge | 'l2'
train regularizer=[l2,dropot] | 'dropout'
train stopping=early_stopping | 'patience'
train stopping=null | 'none'
train split=cv | 'kfold'
train model=transformer | allowed: cnn, graph, linear | did you mean
train model=perceptron | 'mlp'
train metric=auc | 'roc_auc'
train metrics=[f1_score] | 'f1'
train metric=val_balanced_accuracy | 'balanced_accuracy'
train dtype=fp32 | 'float32'
train dtype=float16 | float32, float64 | did you mean
train batch_size=all | 'full'
train device=mps | CPUs and on NVIDIA GPUs | no CUDA device
train device=gpu | CUDA device
train experiment=mlp | 'lecture/mlp'
sweep sampler=bayesian | 'gp'
sweep sampler=grid_search | 'grid'
sweep pruner=asha | 'halving'
sweep direction=min | 'minimize'
sweep objective=misclassification_rate | 'val_error'
sweep objective=r2_score | 'r2'
sweep optimizer.lr=uniform(0.1,1) | interval(0.1,1)
sweep optimizer.lr=loguniform(0.1,1) | optimizer.lr=tag(log,interval(0.1,1))
sweep optimizer=categorical(sgd,adam) | optimizer=choice(sgd,adam)
sweep optimizer.lr=uniform(0,1) | optimizer.lr=interval(0,1)
sweep epochs=uniform(1,5) | epochs=int(interval(1,5))
sweep epochs=randint(1,5) | epochs=int(interval(1,5))
sweep optimizer.lr=geomspace(0.01,1,3) | tag(log,points3,interval(0.01,1))
sweep optimizer.lr=quniform(0,1,0.1) | range(0,1,0.1)
sweep optimizer.lr=uniform() | optimizer.lr=interval(A,B)
# keys of other tools below a group, or one choice of it
train schedule=step schedule.step_size=3 | 'schedule.every' | optimizer.lr
train schedule=step schedule.gamma=0.5 | 'schedule.factor' | exponential
train schedule.step_size=3 | write schedule=step schedule.every=... | optimizer.lr
train schedule=polynomial schedule.end_lr=0 | 'schedule.end' | optimizer.lr
train schedule=cosine schedule.eta_min=0 | 'schedule.floor' | optimizer.lr
train schedule=cosine schedule.T_max=5 | epochs=N
train stopping=patience stopping.monitor=val_loss | 'stopping.metric'
train init=normal init.stddev=1 | 'init.std'
train init=normal init.gain=1 | init=orthogonal
sweep sampler.n_startup_trials=3 | 'sampler.startup'
sweep sampler.multivariate=true | nnlab sets this
sweep pruner=median pruner.n_warmup_steps=3 | 'pruner.warmup'
sweep pruner.n_warmup_steps=3 | write pruner=median pruner.warmup=...
sweep pruner=hyperband pruner.reduction_factor=3 | 'pruner.factor'
sweep n_trials=5 | 'trials' | is a word of
sweep study_name=x | 'study'
sweep timeout=5 | trials=N
train study_name=x | study is a word of nnlab sweep
train regularisation=l2 | 'regularizer'
train regulariser=l2 | 'regularizer'
train regularizer.lambda=0.1 | 'regularizer.l2'
train optimiser=sgd | 'optimizer'
# values of another form
train model.hidden=64 | write [64]
train epochs=1e3 | write 1000
train batch_size=64.0 | write 64
train epochs=1.5 | a whole number | write
sweep epochs=interval(1,5) | write epochs=int(interval(1,5))
sweep batch_size=tag(log,interval(8,64)) | write batch_size=tag(log,int(interval(8,64)))
train optimizer.lr=interval(0,1) | nnlab sweep
train seeds=1,2 | add -m | list | text
train optimizer.lr=0,1 | add -m | list | text
train optimizer=sgd,adam | add -m | list | text
train model.hidden=64,32 | 'model.hidden=[64,32]' | text
train regularizer=l1,l2 | 'regularizer=[l1,l2]' | text
train data=csv data.path=a,b | if it is one text | tuple
# files where data are named, words without =
train data=wide.csv | data=table data.path=wide.csv
train data=other.csv.gz | data=table data.path=other.csv.gz
train data=some.npz | data=npz data.path=some.npz
train wide.csv | data=table data.path=wide.csv
train adam | optimizer=adam
train epochs 5 | epochs=
train help | --help
fit | 'train'
tune epochs=1 | 'sweep'
# a place of many runs, for one
train hydra.sweep.dir=x | add -m
train hydra.sweep.subdir=x | add -m
sweep hydra.sweep.dir=x | hydra.run.dir
# two places for the runs of -m, which an experiment's own file may turn on
train -m seed=0,1 hydra.run.dir=x hydra.sweep.dir=y | leave one of them out
train experiment=lecture/pooling hydra.run.dir=x hydra.sweep.dir=y | leave one of them out
train -m seed=0,1 hydra.run.dir=x,y | all runs of -m share one folder
# the board's
board folder=x | nnlab board x
board --logdir=x | nnlab board x
board port=6007 | --port 6007
# words of another command
train sampler=grid | a word of nnlab sweep | +sampler
train +space=none | a word of nnlab sweep
train trials=5 | a word of nnlab sweep
train only=data | a word of nnlab check
check pruner=none | a word of nnlab sweep
sweep only=data | a word of nnlab check
# dashes
train --lr=0.1 | 'optimizer.lr='
train --epochs 5 | 'epochs='
train --learning-rate 0.1 | 'optimizer.lr'
train --batch-size=32 | 'batch_size='
# files, limits
train data=csv data.path=nofile.csv | there is no file nofile.csv | did you mean
train data=csv data.path=widr.csv | 'wide.csv'
train data.limit=5 | data.limit = 5: too few for 10 classes | stratify
# slips of the finger
train optimzer=adam | 'optimizer'
train optimizer.lrr=1 | 'optimizer.lr'
train optmizer.lr=1 | 'optimizer.lr'
train sede=1 | 'seed'
train optimizer=adm | 'adam'
train nonsense=1 | allowed: | did you mean
train nonsense=1 | experiment, | did you mean
"""
LINES = [line for line in MISTAKES.strip().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("line", LINES, ids=[line.partition(" | ")[0] for line in LINES])
def test_a_mistake(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wide.csv").write_text("a,b\n1,2\n")
    typed, expected, *misleading = line.split(" | ")
    assert main(typed.split(" ")) == 2
    stderr = capsys.readouterr().err
    assert expected in stderr and stderr.count("\n") == 1, stderr
    assert not any(word in stderr for word in misleading), stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wide.csv"]


def test_there_are_enough():
    assert len(LINES) >= 60


# ---- the table


def test_what_the_table_proposes_is_there():
    """A word that it names is a key, a group or a choice; and no word that nnlab has itself stands in it."""
    catalogue = Catalogue("sweep")
    keys = {*catalogue.groups, *catalogue.all_keys(), "hydra.run.dir", "data.target"}
    keys |= Catalogue("sweep", ["data=table"]).keys("data").keys()
    table = suggestions._table()
    for meant in table["keys"].values():
        assert meant is None or " " in meant or meant in keys, meant
    for several, replacements in table["within"].items():
        for where in several.split(", "):
            group, _, choice = where.partition("=")
            has = [
                catalogue.choice_keys(group, c) for c in ([choice] if choice else catalogue.choices(group))
            ]
            for meant in filter(suggestions.is_name, replacements.values()):
                assert not meant.startswith(f"{group}.") or any(meant in keys for keys in has), (where, meant)
    for several, replacements in table["values"].items():
        for name in several.split(", "):
            field = (
                Catalogue("sweep", ["schedule=halve_on_rise", "stopping=patience", "data=csv"])
                .all_keys()
                .get(name)
            )
            known = set(catalogue.choices(name)) if name in catalogue.groups else set()
            known |= set(field.field.words) if field is not None and field.field else set()
            for meant in replacements.values() if known else ():
                fits = meant is None or " " in str(meant) or meant in known
                assert fits or several.count(",") or name == "device", (name, meant)


@pytest.mark.parametrize("gpus, name, right", [
    (0, "cuda:0", "no CUDA device; allowed here: auto, cpu"),
    (0, "gpu", "no CUDA device; allowed here: auto, cpu"),
    (1, "cuda:3", "1 CUDA device; allowed here: auto, cpu, cuda, cuda:0"), (1, "gpu", "did you mean 'cuda'"),
    (0, "cpuu", "did you mean 'cpu'"), (0, "mps", "on CPUs and on NVIDIA GPUs"),
])  # fmt: skip
def test_a_device_that_is_not_here(monkeypatch, gpus, name, right):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    with pytest.raises(UserError) as error:
        device(name)
    assert right in str(error.value)
    assert gpus or "'cuda'" not in str(error.value) and ", cuda" not in str(error.value)


@pytest.mark.parametrize("arguments", [["help"], ["help", "board"], ["help", "train", "epochs"]])
def test_help_as_a_command(arguments, capsys):
    assert main(arguments) == 0
    stdout = capsys.readouterr().out
    assert main([*arguments[1:2], "--help", *arguments[2:]]) == 0 and stdout == capsys.readouterr().out


@pytest.mark.parametrize("names, right", [
    ("xy", "x y"), ("XY", "X Y"), ("Xy", "X y"), ("xY", "x Y"), (["X_Train", "Y_TRAIN"], "X_Train Y_TRAIN"),
    (["x", "X", "y"], "has both x and X"), (["X", "y", "Y"], "has both y and Y"), ("ay", "has no array X"),
])  # fmt: skip
def test_capitals_of_arrays(tmp_path, names, right):
    numbers = np.arange(20.0).reshape(10, 2)
    arrays = {name: numbers if name.lower().startswith("x") else numbers[:, 0] for name in names}
    np.savez(tmp_path / "a.npz", **arrays)
    try:
        read = Npz(path=str(tmp_path / "a.npz")).read()
        assert read.x.shape == (10, 2) and right == " ".join(names)
    except UserError as wrong:
        assert right in str(wrong)


@pytest.mark.parametrize("a, b, slips", [
    ("adam", "adam", 0), ("adm", "adam", 1), ("sede", "seed", 1), ("", "abc", 3), ("abc", "", 3),
    ("kitten", "sitting", 3), ("ca", "abc", 3), ("optmizre", "optimizer", 2),
])  # fmt: skip
def test_distance(a, b, slips):
    assert suggestions.distance(a, b) == slips == suggestions.distance(b, a)


@pytest.mark.parametrize("word, names, expected", [
    ("momentum", ["beta1", "beta2"], []), ("lr", ["l1", "l2"], []), ("mnist", ["moons", "noise", "iris"], []),
    ("cos", ["cosine", "constant"], ["cosine"]), ("con", ["constant", "confine"], []),
    ("optimizer.lrr", ["optimizer.lr", "optimizer.rho"], ["optimizer.lr"]),
])  # fmt: skip
def test_near(word, names, expected):
    assert suggestions.near(word, names) == expected
