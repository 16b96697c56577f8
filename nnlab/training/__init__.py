"""Training: experiments in, records out. Knows tensors and data; no file, no screen, no Hydra."""
