"""What a run is called, and what its numbers are of."""

from __future__ import annotations

from nnlab.data.spec import DataSpec
from nnlab.experiment import Experiment
from nnlab.records.text import loss_in_words
from nnlab.runtime.devices import device, gpu_available
from nnlab.training.fit import Fit


def about(e: Experiment, spec: DataSpec) -> dict[str, str]:
    """What the numbers of a summary are: of which data and task, of which loss, and made on which device."""
    where = [getattr(e.data, key, None) for key in ("path", "target")]
    loss = e.loss_for(spec).name
    normalization = getattr(e.data, "target_normalization", "none")
    return {
        "data": ": ".join([e.data.name, *(str(part) for part in where if part)]),
        "task": spec.task,
        "loss": loss,
        "loss_is": loss_in_words(loss, spec.task, normalization),
        "device": str(device(e.device)),
    }


def how_computed(fit: Fit) -> dict[str, str | bool]:
    """What a curve's last digits depend on beside the device, which on a CPU is nothing; why it was taken."""
    how: dict[str, str | bool] = {}
    reasons = {placement.reason for placement in fit.placements.values() if placement.reason}
    if reasons:
        how["device_because"] = "; ".join(sorted(reasons))
    if not fit.on_cpu:
        how["precision"] = ", ".join(sorted({e.precision for e in fit.experiments}))
        how["compiled"] = fit.compiled
    return how


def title(e: Experiment, fit: Fit, rows: int) -> str:
    """digits (1797 x 64, 10 classes), mlp 64-64-10, adam: 1 row"""
    return f"{titled(e, fit.datasets[e.data].spec)}: {rows} row{'s' * (rows > 1)}"


def titled(e: Experiment, spec: DataSpec, searched=()) -> str:
    """digits (1797 x 64, 10 classes), mlp 64-64-10, adam; without the groups that are `searched`."""
    kind = f"{len(spec.classes)} classes" if spec.classes else "regression"
    outputs = e.loss_for(spec).outputs(spec.outputs)
    sizes = "-".join(map(str, (spec.inputs, *getattr(e.model, "hidden", ()), outputs)))
    parts = {
        "data": f"{e.data.name} ({spec.dimensions}, {kind})",
        "model": f"{e.model.name} {sizes}",
        "optimizer": e.optimizer.name,
    }
    if e.precision != "float32":
        parts["precision"] = e.precision
    where = device(e.device)
    if where.type != "cpu" or gpu_available():
        parts["device"] = f"on {where}"
    return ", ".join(text for group, text in parts.items() if group not in searched)
