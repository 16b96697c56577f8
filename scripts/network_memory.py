"""Numbers that a network keeps for each unit and example, in training and in evaluation.

`TRAINING_VALUES` and `EVALUATION_VALUES` of nnlab/training/stacks.py are upper bounds of what this prints.
"""

import torch
from torch.overrides import TorchFunctionMode

import nnlab
from nnlab.autodiff.box import Site
from nnlab.models import Tabular

BATCH = 128
MAKERS = (
    torch.zeros, torch.empty, torch.zeros_like, torch.empty_like, torch.Tensor.new_zeros,
    torch.Tensor.new_empty, torch.Tensor.new_ones,
)  # fmt: skip


class Allocated(TorchFunctionMode):
    """Counts the bytes of new tensors."""

    count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in MAKERS:
            self.count += result.untyped_storage().nbytes()
        return result


def numbers(graph, training: bool, dropout: float, channels_last: bool) -> float:
    """Those that binding the graph allocates, for each unit and example of one row."""
    rates = {name: torch.full((1, 1), dropout) for name in ("dropout", "input_dropout", "dropconnect")}
    site = Site(1, BATCH, training, torch.empty(0), rates, channels_last=channels_last)
    theta, grad = torch.zeros(2, 1, graph.layout().size)
    buffers = torch.zeros(1, graph.layout().buffers_size)
    with Allocated() as allocated:
        graph.bind(theta, grad, site, buffers)
    units = graph.unit_count(BATCH, is_on_gpu=not channels_last)
    return allocated.count / 4 / BATCH / units


def main() -> None:
    models = {
        "mlp": nnlab.MLP(hidden=(256, 256)),
        "tabular": Tabular(),
        "cnn": nnlab.CNN(),
        "cnn, batch_norm": nnlab.CNN(normalization="batch", pooling="stochastic"),
    }
    print("numbers for each unit and example      training  with dropout  evaluation")
    for name, model in models.items():
        graph = nnlab.Experiment(model=model).graph(nnlab.Digits().load().spec)
        for channels_last in (False, True):
            cases = ((True, 0.0), (True, 0.5), (False, 0.0))
            counts = [numbers(graph, training, rate, channels_last) for training, rate in cases]
            layout = "channels last" if channels_last else "examples last"
            print(f"  {name:20} {layout:15}", "".join(f"{count:12.2f}" for count in counts))


if __name__ == "__main__":
    main()
