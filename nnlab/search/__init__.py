"""Hyperparameter search: search spaces, samplers, pruners, and the loop that trains batches of trials."""
