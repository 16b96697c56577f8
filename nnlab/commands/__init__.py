"""The commands of `nnlab`, from command line to screen output. Only this package uses Hydra."""
