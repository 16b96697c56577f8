"""Automatic differentiation: boxes with a forward and a backward pass, and the graph that connects them."""
