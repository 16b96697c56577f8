"""Boxes with a forward and a backward pass, and the graph that joins them."""
