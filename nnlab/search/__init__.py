"""Hyperparameter search: a space, who chooses from it, who is pruned, and the loop that trains the chosen."""
