"""The checks of `nnlab check`: the lecture's recipe for debugging a network, one file for each rung.

A check reads an experiment on its data and returns a `Verdict`. It knows no files, screen or configuration.
"""
