"""What is said of words that are not known: of other tools, of other commands, slips of the finger.

Each mistake with what must be in its sentence, and then what must not be, since it would mislead.
"""

import pytest

from nnlab import suggestions
from nnlab.catalogue import Catalogue
from nnlab.cli import main

MISTAKES = """
# keys of other tools
train optimizer.learning_rate=0.1 | 'optimizer.lr' | clip_value
train learning_rate=0.1 | 'optimizer.lr'
train lr=0.1 | 'optimizer.lr'
train optimizer.momentum=0.9 | optimizer=momentum optimizer.gamma=0.9 | beta2
train momentum=0.9 | optimizer=momentum
train optimizer.eps=1e-8 | 'optimizer.epsilon'
train optimizer.betas=[0.9,0.99] | optimizer.beta1 and optimizer.beta2
train optimizer.weight_decay=0.1 | optimizer=adamw, lion | 'optimizer.lr'
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
train output_dir=x | 'hydra.run.dir'
train n_jobs=2 | 'threads'
train data.columns=[a] | every one but data.target is an input | data.limit
train data.drop=[id] | every one but data.target is an input | data.seed
train data.encoding=latin1 | UTF-8 | data.seed
train n_trials=5 | nnlab sweep
# keys of another choice
train data.path=x.csv | data=csv, idx, npz | data.limit'
train split.k=5 | write split=kfold split.k
train schedule=cosine schedule.gamma=0.5 | schedule=exponential | did you mean
train optimizer.gamma=0.5 | momentum, nesterov, rmsprop | 'optimizer.lr'
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
train model=cnn | allowed: linear, logistic, mlp | did you mean
train model=perceptron | 'mlp'
train metric=accuracy | 'val_error'
train dtype=fp32 | 'float32'
train dtype=float16 | float32, float64 | did you mean
train batch_size=all | 'full'
train device=mps | CPUs and on NVIDIA GPUs | no CUDA device
train device=gpu | 'cuda'
train experiment=mlp | 'lecture/mlp'
sweep sampler=bayesian | 'gp'
sweep sampler=grid_search | 'grid'
sweep pruner=asha | 'halving'
sweep direction=min | 'minimize'
sweep objective=accuracy | 'val_error'
sweep optimizer.lr=uniform(0.1,1) | interval(0.1,1)
sweep optimizer.lr=loguniform(0.1,1) | tag(log,interval(
sweep optimizer=categorical(sgd,adam) | choice(a,b)
# words of another command
train sampler=grid | a word of nnlab sweep | +sampler
train +space=none | a word of nnlab sweep
train trials=5 | a word of nnlab sweep
train resume=outputs/train/a_epochs=2000,seeds=20 | cannot go on with one | bracket
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
"""
LINES = [line for line in MISTAKES.strip().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("line", LINES, ids=[line.partition(" | ")[0] for line in LINES])
def test_a_mistake(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wide.csv").write_text("a,b\n1,2\n")
    words, right, *misleading = line.split(" | ")
    assert main(words.split(" ")) == 2
    said = capsys.readouterr().err
    assert right in said and said.count("\n") == 1, said
    assert not any(word in said for word in misleading), said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wide.csv"]


def test_there_are_enough():
    assert len(LINES) >= 60


# ---- the table


def test_what_the_table_proposes_is_there():
    """A word that it names is a key, a group or a choice; and no word that nnlab has itself stands in it."""
    catalogue = Catalogue("sweep")
    keys = {*catalogue.groups, *catalogue.all_keys(), "hydra.run.dir", "data.target"}
    table = suggestions._table()
    for meant in table["keys"].values():
        assert meant is None or " " in meant or meant in keys, meant
    for several, words in table["values"].items():
        for name in several.split(", "):
            field = (
                Catalogue("sweep", ["schedule=halve_on_rise", "stopping=patience", "data=csv"])
                .all_keys()
                .get(name)
            )
            known = set(catalogue.choices(name)) if name in catalogue.groups else set()
            known |= set(field.field.words) if field is not None and field.field else set()
            for meant in words.values() if known else ():
                fits = meant is None or " " in str(meant) or meant in known
                assert fits or several.count(",") or name == "device", (name, meant)


@pytest.mark.parametrize("a, b, slips", [
    ("adam", "adam", 0), ("adm", "adam", 1), ("sede", "seed", 1), ("", "abc", 3), ("abc", "", 3),
    ("kitten", "sitting", 3), ("ca", "abc", 3), ("optmizre", "optimizer", 2),
])  # fmt: skip
def test_distance(a, b, slips):
    assert suggestions.distance(a, b) == slips == suggestions.distance(b, a)


@pytest.mark.parametrize("word, names, found", [
    ("momentum", ["beta1", "beta2"], []), ("lr", ["l1", "l2"], []), ("mnist", ["moons", "noise", "iris"], []),
    ("cos", ["cosine", "constant"], ["cosine"]), ("con", ["constant", "confine"], []),
    ("optimizer.lrr", ["optimizer.lr", "optimizer.rho"], ["optimizer.lr"]),
])  # fmt: skip
def test_near(word, names, found):
    assert suggestions.near(word, names) == found
