"""Jobs: stages of stacks as values, and the executors by which they are trained anywhere."""
