"""Contracts: test classes that every part must pass, both nnlab's own parts and those of a package.

    from mylab.optimizers import Mine
    from nnlab.testing import OptimizerContract

    class TestMine(OptimizerContract):
        optimizer = Mine

and `pytest` runs every test of the contract on `Mine`. Each contract's docstring says what else may be set:
an independent reference, the expected moments, other hyperparameters. docs/extending.md has one of each.

    BoxContract          fprop, and bprop against central differences and autograd
    LossContract         the gradient against central differences, with weights
    OptimizerContract    one step; the state; torch.optim if it is given
    InitContract         the generator, the moments, mean and bias
    RegularizerContract  the penalty, and its gradient against central differences
    ScheduleContract     factors, state, metrics that are NaN or infinite
    StoppingContract     state, when it stops, metrics that are NaN or infinite
    ModelContract        graphs for examples of any shape, and their gradients
    DataContract         finite numbers, names, the same each time
    SplitContract        folds: every example with one role
    RowIndependence      in all of them: a row of a stack equals itself alone, bit for bit, in a real fit
    SamplerContract      valid and distinct trials; a search that is resumed
    PrunerContract       rungs, and which trials it keeps

The classes need nothing but nnlab: pytest finds `test_*` by itself, and `run` calls them without it.
"""

from nnlab.testing.boxes import BoxContract
from nnlab.testing.components import PartContract, SettingsContract
from nnlab.testing.data import DataContract
from nnlab.testing.fake_cuda import fake_gpu
from nnlab.testing.inits import InitContract
from nnlab.testing.losses import LossContract
from nnlab.testing.models import ModelContract
from nnlab.testing.numeric import assert_near, central
from nnlab.testing.optimizers import OptimizerContract
from nnlab.testing.pruners import PrunerContract
from nnlab.testing.regularizers import RegularizerContract
from nnlab.testing.rows import Contract, RowIndependence, run
from nnlab.testing.samplers import SamplerContract
from nnlab.testing.schedules import ScheduleContract
from nnlab.testing.splits import SplitContract
from nnlab.testing.stopping import StoppingContract

__all__ = [
    "BoxContract", "Contract", "DataContract", "InitContract", "LossContract", "ModelContract",
    "OptimizerContract", "PartContract", "PrunerContract", "RegularizerContract", "RowIndependence",
    "SamplerContract", "ScheduleContract", "SettingsContract", "SplitContract", "StoppingContract",
    "assert_near", "central", "fake_gpu", "pretended_card", "run",
]  # fmt: skip

pretended_card = fake_gpu  # its former name, which tests of packages may use
