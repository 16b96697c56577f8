"""The lecture's way of debugging a network, a file a rung: each looks, and gives a `Verdict`.

A check knows no file, no screen and no configuration: an experiment on its data in, a verdict out.
"""
