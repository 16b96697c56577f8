"""An instance of every model: those that say what they are by their settings need some."""

from nnlab.models import MODELS

DAG = {  # a branch, a sum, a shared leaf, a leaf behind a box, a fixed rate of dropout
    "hidden": {"box": "affine", "units": 12},
    "act": {"box": "relu"},
    "again": {"box": "affine", "units": 12, "activation": "tanh", "weight": {"box": "dropconnect"}},
    "sum": {"box": "add", "input": ["..", "act"]},
    "drop": {"box": "dropout", "rate": 0.1},
    "tied": {"box": "affine", "units": 12, "weight": "again.weight"},
    "side": {"box": "affine", "units": 3, "input": "input"},
    "both": {"box": "concatenate", "input": ["tied", ".."]},
    "out": {"box": "affine", "units": "outputs"},
}
NORMALIZED = {"channels": 4, "kernel": 2, "normalization": "batch"}
BLOCKS = (3, "pool", NORMALIZED, {"pool": "stochastic"}, "dropout")
SETTINGS = {"graph": {"boxes": DAG}, "cnn": {"blocks": BLOCKS, "hidden": (5,)}}
OF_IMAGES = {"cnn"}  # models that need images, or sequences


def example_of(model: type):
    return model(**SETTINGS.get(model.name, {}))


EXAMPLES = {name: example_of(model) for name, model in MODELS.items()}
OF_VECTORS = {name: model for name, model in EXAMPLES.items() if name not in ("graph", "cnn")}
