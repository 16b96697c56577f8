"""Titles and descriptions of runs: data, model, optimiser, loss, device."""

from __future__ import annotations

from nnlab.allowed import yaml_text
from nnlab.data.loss_weights import NO_CLASS_WEIGHT
from nnlab.data.spec import DataSpec
from nnlab.experiment import DEFAULT_THRESHOLD, Experiment
from nnlab.metrics import METRICS
from nnlab.records.text import loss_description
from nnlab.runtime.devices import device, gpu_available
from nnlab.training.fit import Fit


def describe_run(e: Experiment, spec: DataSpec, weighted: bool = False) -> dict[str, str | float]:
    """The entries of summary.json that describe the run: data, task, loss, device; by what its losses are
    weighted, if they are (`weighted`: by the data too); what chooses the best epoch, `metric`, if that is one
    of the table of metrics; and what the threshold of two classes is by, a metric or said itself."""
    where = [getattr(e.data, key, None) for key in ("path", "target")]
    loss = e.loss_for(spec).name
    normalization = e.data.target_scaling
    weights = _weights_of_losses(e, weighted)
    return {
        "data": ": ".join([e.data.name, *(str(part) for part in where if part)]),
        "task": spec.task,
        "loss": loss,
        "loss_is": loss_description(loss, spec.task, normalization),
        "device": str(device(e.device)),
        **({"weighted_by": weights} if weights else {}),
        **({"metric": e.metric} if e.metric in METRICS else {}),
        **({"threshold_by": e.threshold} if e.threshold != DEFAULT_THRESHOLD else {}),
    }


def _weights_of_losses(e: Experiment, weighted: bool) -> str:
    """`class_weight=balanced and the weights of the data`; empty if all examples count alike."""
    texts = []
    if e.class_weight != NO_CLASS_WEIGHT:
        value = e.class_weight if isinstance(e.class_weight, str) else yaml_text(e.class_weight)
        texts.append(f"class_weight={value}")
    return " and ".join([*texts, "the weights of the data"] if weighted else texts)


def describe_computation(fit: Fit) -> dict[str, str | bool]:
    """The entries of summary.json on why the device was chosen, and on a GPU precision and compilation."""
    how: dict[str, str | bool] = {}
    reasons = {placement.reason for placement in fit.placements.values() if placement.reason}
    if reasons:
        how["device_because"] = "; ".join(sorted(reasons))
    if not fit.on_cpu:
        how["precision"] = ", ".join(sorted({e.precision for e in fit.experiments}))
        how["compiled"] = fit.compiled
    return how


def run_title(e: Experiment, fit: Fit, rows: int) -> str:
    """digits (1797 x 1 x 8 x 8, 10 classes), mlp 64-64-10, adam: 1 row"""
    return f"{experiment_title(e, fit.datasets[e.data].spec)}: {rows} row{'s' * (rows > 1)}"


def experiment_title(e: Experiment, spec: DataSpec, searched=()) -> str:
    """digits (1797 x 1 x 8 x 8, 10 classes), mlp 64-64-10, adam; without the groups that are `searched`."""
    kind = "reconstruction" if e.data.reconstruct else "regression"
    kind = f"{len(spec.classes)} classes" if spec.classes else kind
    outputs = e.loss_for(spec).outputs(spec.outputs)
    parts = {
        "data": f"{e.data.name} ({spec.dimensions}, {kind})",
        "model": e.model.title(spec.inputs, outputs),
        "optimizer": e.optimizer.name,
    }
    if e.precision != "float32":
        parts["precision"] = e.precision
    where = device(e.device)
    if where.type != "cpu" or gpu_available():
        parts["device"] = f"on {where}"
    return ", ".join(text for group, text in parts.items() if group not in searched)
