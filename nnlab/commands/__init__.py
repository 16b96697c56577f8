"""One module a command: configuration in, dataclasses, call, print. Only here is Hydra known."""
