"""Models: each builds the computation graph for an example's shape and a number of outputs."""

from nnlab.models.base import Model
from nnlab.models.cnn import CNN
from nnlab.models.graph import GraphModel
from nnlab.models.perceptron import MLP, MOST_UNITS, Linear, Logistic, add_layers, joined, perceptron
from nnlab.models.tabular import SCALE_GAIN, Tabular, with_waves

MODELS = {model.name: model for model in (MLP, Linear, Logistic, Tabular, CNN, GraphModel)}

__all__ = [
    "CNN", "MLP", "MODELS", "MOST_UNITS", "SCALE_GAIN", "GraphModel", "Linear", "Logistic", "Model",
    "Tabular", "add_layers", "joined", "perceptron", "with_waves",
]  # fmt: skip
