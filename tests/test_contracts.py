"""The contracts of nnlab.testing on every entry of nnlab's own tables, found by themselves."""

import pytest
from networks import REFERENCES

from nnlab.autodiff import boxes
from nnlab.autodiff.activations import ACTIVATIONS, OUTPUTS
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.combine import Add, Multiply
from nnlab.autodiff.dropout import DropConnect, Dropout
from nnlab.initializers import INITIALIZERS, RELU_FAMILY
from nnlab.losses import LOSSES
from nnlab.optimizers import OPTIMIZERS
from nnlab.schedules import SCHEDULES
from nnlab.testing import (
    BoxContract,
    InitContract,
    LossContract,
    OptimizerContract,
    ScheduleContract,
    run,
)  # fmt: skip

BOXES = {
    **{name: (box(), ((7,),)) for name, box in (ACTIVATIONS | OUTPUTS).items()},
    "affine": (Affine(5), ((7,),)),
    "dropconnect": (DropConnect(), ((5, 7),)),
    "dropout": (Dropout(), ((7,),)),
    "add-tables": (Add(), ((3, 5),) * 2),
    "multiply": (Multiply(), ((7,),) * 2),
}


def glorot(fan_in, fan_out, activation):
    return 0, (2 / (fan_in + fan_out)) ** 0.5


def he(fan_in, fan_out, activation):
    return 0, (2 / fan_in) ** 0.5


MOMENTS = {
    "auto": lambda *layer: (he if layer[2] in RELU_FAMILY else glorot)(*layer),
    "zeros": lambda *layer: (0, 0),
    "constant": lambda *layer: (0, 0),
    "normal": lambda *layer: (0, 0.01),
    "uniform": lambda *layer: (0, 0.05 / 3**0.5),
    "glorot_uniform": glorot,
    "glorot_normal": glorot,
    "he_uniform": he,
    "he_normal": he,
    "lecun_normal": lambda *layer: (0, layer[0] ** -0.5),
    "orthogonal": lambda *layer: (0, max(layer[:2]) ** -0.5),
}


def contracts():
    """Each as a user would write it."""
    for name, (box, shapes) in BOXES.items():
        reference = staticmethod(REFERENCES[type(box)])
        own = {"per_example": not isinstance(box, DropConnect)}
        yield f"box-{name}", BoxContract, own | {"box": box, "shapes": shapes, "reference": reference}
    for name, loss in LOSSES.items():
        yield f"loss-{name}", LossContract, {"loss": loss}
    for name, optimizer in OPTIMIZERS.items():
        yield f"optimizer-{name}", OptimizerContract, {"optimizer": optimizer}
    for name, init in INITIALIZERS.items():
        random = name not in ("zeros", "constant")
        own = {"init": init, "random": random, "moments": staticmethod(MOMENTS[name])}
        yield f"init-{name}", InitContract, own
    for name, schedule in SCHEDULES.items():
        yield f"schedule-{name}", ScheduleContract, {"schedule": schedule}


def test_every_box_of_the_table_has_a_contract():
    assert {type(box) for box, _ in BOXES.values()} == set(boxes.BOXES.values())


CASES = {
    f"{name}-{test.removeprefix('test_')}": (type(name, (base,), own), test)
    for name, base, own in contracts()
    for test in base.properties()
}


@pytest.mark.parametrize("contract, test", CASES.values(), ids=CASES)
def test_keeps_to_its_contract(contract, test):
    run(contract, test)
