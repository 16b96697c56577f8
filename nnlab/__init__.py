"""nnlab: a laboratory for training neural networks. Everything trains as a population."""

__version__ = "0.1.0"
