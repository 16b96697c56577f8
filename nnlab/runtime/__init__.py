"""The machine: threads, devices, memory and how tensors lie in it. Nobody else asks."""
