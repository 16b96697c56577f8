"""Each contract of nnlab.testing detects the faults of tests/planted_parts.py."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from planted_parts import (
    AlwaysAlike,
    AnotherEachTime,
    AnotherTestSet,
    AtTheLastEpoch,
    BrokenDice,
    CountsWrong,
    DeafToItsSeed,
    Dice,
    DiceOfFourSides,
    GrowingMemory,
    Impatient,
    KeepsNotes,
    KeepsTheFirst,
    KeepsTheWorse,
    LearnsUpwards,
    LoadedDice,
    Lottery,
    Moody,
    NegativePenalty,
    NeverValidates,
    Once,
    OneOutputMore,
    Quartic,
    QuarticOfScratch,
    QuarticOfTheMean,
    QuarticWithoutFactor,
    SaysItDoesNotPrune,
    SaysItIsNotDrawn,
    SoundModel,
    StopsAll,
    StopsUnheard,
    Thirds,
    TwiceEachCell,
    Unseeded,
    UnsortedTest,
    ValidatesWhatItTrains,
    WithoutItsMap,
    WrongInside,
    WrongSign,
)

from nnlab.autodiff.activations import Tanh
from nnlab.autodiff.affine import Affine
from nnlab.autodiff.box import Box
from nnlab.hyperparameters import column, control
from nnlab.initializers import Init
from nnlab.losses import CrossEntropy, SquaredError
from nnlab.optimizers import SGD, Momentum, Optimizer
from nnlab.schedules import HalveAndGoBack, Schedule
from nnlab.testing import (
    BoxContract,
    DataContract,
    InitContract,
    LossContract,
    ModelContract,
    OptimizerContract,
    PrunerContract,
    RegularizerContract,
    RowIndependence,
    SamplerContract,
    ScheduleContract,
    SplitContract,
    StoppingContract,
    run,
)  # fmt: skip
from nnlab.testing.rows import experiments

# ---- boxes


class Accumulates(Affine):
    def bprop(self, ctx, dy):
        before = ctx.dx[2].clone()
        dx = super().bprop(ctx, dy)
        dx[2].add_(before)
        return dx


class WritesDy(Tanh):
    def bprop(self, ctx, dy):
        dx = super().bprop(ctx, dy)
        dy.zero_()
        return dx


class WritesX(Box):
    def fprop(self, ctx, x):
        return x.mul_(2)

    def bprop(self, ctx, dy):
        return (2 * dy,)


class MixesRows(Box):
    def fprop(self, ctx, x):
        return torch.sub(x, x.mean(0, keepdim=True), out=ctx.y)

    def bprop(self, ctx, dy):
        return (torch.sub(dy, dy.mean(0, keepdim=True), out=ctx.dx[0]),)


class OtherShape(Tanh):
    def fprop(self, ctx, x):
        return super().fprop(ctx, x)[:, 1:]


class OtherFunction(Tanh):
    """Right in itself, but not the reference."""

    def fprop(self, ctx, x):
        return super().fprop(ctx, x + 1)


# ---- losses


class MissingFactor(SquaredError):
    name = "missing_factor"

    def bprop(self, z, t, weight, out):
        return torch.sub(z, t, out=out).mul_(weight).mul_(2)


class WithoutWeight(CrossEntropy):
    name = "without_weight"

    def bprop(self, z, t, weight, out):
        return torch.softmax(z, -2, out=out).sub_(t)


class Adds(SquaredError):
    name = "adds"

    def bprop(self, z, t, weight, out):
        return out.add_((z - t) * weight * (2 / z.shape[-2]))


class MeanOfAll(SquaredError):
    name = "mean_of_all"

    def fprop(self, z, t):
        return super().fprop(z, t).mean(-1, keepdim=True).expand(*z.shape[:-2], z.shape[-1])


class Taken(SquaredError):
    name = "cross_entropy"


# ---- optimisers


@dataclass(frozen=True)
class Plain(SGD):
    name: ClassVar[str] = "plain"


@dataclass(frozen=True)
class MixesGradients(Plain):
    def update(self, theta, g, slots, f, scratch):
        theta.addcmul_(g / g.norm(), f.minus_lr)


@dataclass(frozen=True)
class SharesRate(Plain):
    def factors(self, lr, t):
        return {"minus_lr": -lr.mean(0, keepdim=True).expand_as(lr)}


@dataclass(frozen=True)
class Uphill(Plain):
    def factors(self, lr, t):
        return {"minus_lr": lr}


@dataclass(frozen=True)
class ReadsScratch(Plain):
    def update(self, theta, g, slots, f, scratch):
        theta.addcmul_(g, f.minus_lr).add_(scratch)


@dataclass(frozen=True)
class NewSlot(Momentum):
    name: ClassVar[str] = "new_slot"

    def update(self, theta, g, slots, f, scratch):
        slots.step = slots.step * f.gamma + g * f.minus_lr
        theta.add_(slots.step)


@dataclass(frozen=True)
class MovesPadding(Plain):
    def update(self, theta, g, slots, f, scratch):
        theta.addcmul_(g + 1e-3, f.minus_lr)


@dataclass(frozen=True)
class Float32Factors(Plain):
    def factors(self, lr, t):
        return {"minus_lr": -lr.float()}


@dataclass(frozen=True)
class LooksAtTheRow(SGD):
    """A step of length lr along the gradient, whatever its norm."""

    elementwise = True

    def update(self, theta, g, slots, f, scratch):
        theta.addcmul_(g / torch.linalg.vector_norm(g, dim=1, keepdim=True), f.minus_lr)


@dataclass(frozen=True)
class Undeclared(Optimizer):
    name: ClassVar[str] = "undeclared"
    slope: float = 0.5

    def factors(self, lr, t):
        return {"minus_lr": -lr}

    update = SGD.update


class Undecorated(Plain):
    name = "undecorated"


# ---- initialisers and schedules


@dataclass(frozen=True)
class GlobalGenerator(Init):
    name: ClassVar[str] = "global_generator"

    def draw(self, random, shape, fan_in, fan_out, activation):
        return np.random.standard_normal(shape)


@dataclass(frozen=True)
class TooLarge(Init):
    name: ClassVar[str] = "too_large"
    gain: float = column(1.3, above=0)

    def draw(self, random, shape, fan_in, fan_out, activation):
        return self.gain * random.standard_normal(shape) / fan_in**0.5


@dataclass(frozen=True)
class Transposed(TooLarge):
    name: ClassVar[str] = "transposed"

    def draw(self, random, shape, fan_in, fan_out, activation):
        return random.standard_normal((fan_in, fan_out))


@dataclass(frozen=True)
class Falling(Schedule):
    name: ClassVar[str] = "falling"
    gamma: float = control(0.9, above=0)

    def scale(self, progress, state):
        return self.gamma[:, None] ** progress.done


@dataclass(frozen=True)
class OneForAll(Falling):
    def scale(self, progress, state):
        return self.gamma.mean() ** progress.done + 0 * self.gamma[:, None]


@dataclass(frozen=True)
class SaysNothing(HalveAndGoBack):
    name: ClassVar[str] = "says_nothing"
    goes_back: ClassVar[bool] = False


def contract(base, **own):
    return type("Planted", (base,), own)


def tanh(box, ctx, x):
    return torch.tanh(x)


class Diverse(RowIndependence):
    """Rows that cannot share a stack."""

    def experiments(self):
        return [replace(e, batch_size=7 + k) for k, e in enumerate(experiments())]


FAULTS = [
    (contract(BoxContract, box=WrongSign), "bprop_equals_central_differences"),
    (contract(BoxContract, box=Accumulates(5)), "bprop_overwrites"),
    (contract(BoxContract, box=WritesDy), "nothing_else_is_written"),
    (contract(BoxContract, box=WritesX), "nothing_else_is_written"),
    (contract(BoxContract, box=MixesRows), "a_row_of_the_box_equals_itself_alone"),
    (contract(BoxContract, box=MixesRows), "a_row_of_a_stack_equals_itself_alone"),
    (contract(BoxContract, box=OtherShape), "fprop_gives_the_announced_shape_and_dtype"),
    (contract(BoxContract, box=OtherFunction, reference=staticmethod(tanh)), "fprop_equals_the_reference"),
    (contract(BoxContract, box=WrongSign, reference=staticmethod(tanh)), "bprop_equals_autograd"),
    (contract(LossContract, loss=MissingFactor), "gradient_equals_central_differences"),
    (contract(LossContract, loss=WithoutWeight), "gradient_equals_central_differences"),
    (contract(LossContract, loss=WithoutWeight), "an_example_of_weight_zero_has_no_gradient"),
    (contract(LossContract, loss=Adds), "bprop_overwrites_out_and_nothing_else"),
    (contract(LossContract, loss=MeanOfAll), "an_example_does_not_know_the_others"),
    (contract(LossContract, loss=Taken), "it_is_described"),
    (contract(OptimizerContract, optimizer=MixesGradients), "a_row_of_a_step_equals_itself_alone"),
    (contract(OptimizerContract, optimizer=MixesGradients), "a_row_of_a_stack_equals_itself_alone"),
    (contract(OptimizerContract, optimizer=SharesRate), "a_row_of_a_stack_equals_itself_alone"),
    (contract(OptimizerContract, optimizer=LooksAtTheRow), "an_elementwise_step_in_parts_is_the_whole_step"),
    (contract(OptimizerContract, optimizer=Uphill), "it_goes_downhill"),
    (contract(OptimizerContract, optimizer=ReadsScratch), "scratch_brings_nothing"),
    (contract(OptimizerContract, optimizer=NewSlot), "a_step_is_in_place_and_leaves_the_gradient"),
    (contract(OptimizerContract, optimizer=MovesPadding), "padding_stays_zero"),
    (contract(OptimizerContract, optimizer=Float32Factors), "factors_are_columns"),
    (contract(OptimizerContract, optimizer=Undeclared), "every_field_is_a_column_a_control_or_static"),
    (contract(OptimizerContract, optimizer=Undecorated), "it_is_a_part_of_its_group"),
    (contract(InitContract, init=GlobalGenerator), "draws_from_the_given_generator_alone"),
    (contract(InitContract, init=TooLarge, moments=lambda self, n, m, a: (0, n**-0.5)), "moments"),
    (contract(InitContract, init=Transposed), "draws_numbers_of_the_shape"),
    (contract(ScheduleContract, schedule=OneForAll), "a_row_of_the_schedule_equals_itself_alone"),
    (contract(ScheduleContract, schedule=SaysNothing), "only_a_schedule_that_says_so_takes_rows_back"),
    (
        contract(RegularizerContract, regularizer=QuarticWithoutFactor),
        "its_gradient_equals_central_differences",
    ),
    (contract(RegularizerContract, regularizer=QuarticOfTheMean), "a_row_of_it_equals_itself_alone"),
    (contract(RegularizerContract, regularizer=QuarticOfScratch), "scratch_brings_nothing"),
    (contract(RegularizerContract, regularizer=NegativePenalty), "the_penalty_is_a_number_of_each_row"),
    (contract(StoppingContract, stopping=StopsAll), "a_row_of_the_rule_equals_itself_alone"),
    (contract(StoppingContract, stopping=StopsUnheard), "only_a_rule_that_listens_stops_a_row_early"),
    (contract(StoppingContract, stopping=GrowingMemory), "the_state_is_arrays_over_the_rows"),
    (contract(ModelContract, model=OneOutputMore), "its_graph_gives_as_many_outputs_as_are_asked_for"),
    (contract(ModelContract, model=WithoutItsMap), "the_output_map_is_its_last_box"),
    (contract(ModelContract, model=AnotherEachTime), "its_graph_is_the_same_each_time"),
    (contract(ModelContract, model=WrongInside), "its_gradient_is_right"),
    (contract(DataContract, data=LoadedDice), "it_reads_the_same_each_time"),
    (contract(DataContract, data=SaysItIsNotDrawn), "it_reads_the_same_each_time"),
    (contract(DataContract, data=BrokenDice), "it_reads_numbers_and_says_what_they_are"),
    (contract(DataContract, data=DiceOfFourSides), "it_reads_numbers_and_says_what_they_are"),
    (contract(DataContract, data=UnsortedTest), "its_test_set_is_sorted_numbers_of_examples"),
    (contract(SplitContract, split=ValidatesWhatItTrains), "every_example_has_at_most_one_role"),
    (contract(SplitContract, split=CountsWrong), "its_folds_are_as_many_as_it_counts_each_with_a_key"),
    (contract(SplitContract, split=NeverValidates), "it_says_whether_it_validates"),
    (contract(SplitContract, split=AnotherTestSet), "the_test_set_of_the_data_stays_whole"),
    (contract(SplitContract, split=DeafToItsSeed), "the_folds_depend_on_the_seed_alone"),
    (contract(SamplerContract, sampler=AlwaysAlike), "the_seed_decides"),
    (contract(SamplerContract, sampler=Unseeded), "the_seed_decides"),
    (contract(SamplerContract, sampler=KeepsNotes), "a_search_that_goes_on_is_one_that_was_not_interrupted"),
    (contract(SamplerContract, sampler=TwiceEachCell), "trials_are_of_the_space_each_once"),
    (contract(SamplerContract, sampler=LearnsUpwards, settings={"startup": 2}),
     "maximising_is_minimising_the_negative"),
    (contract(PrunerContract, pruner=AtTheLastEpoch), "rungs_lie_before_the_last_epoch"),
    (contract(PrunerContract, pruner=SaysItDoesNotPrune), "it_says_whether_it_prunes"),
    (contract(PrunerContract, pruner=KeepsTheWorse), "some_go_on_and_none_before_a_better_one"),
    (contract(PrunerContract, pruner=KeepsTheFirst), "the_order_in_which_trials_stand_changes_nothing"),
    (contract(PrunerContract, pruner=Moody), "it_is_the_same_each_time_and_changes_nothing"),
    (Diverse, "the_rows_share_a_stack"),
]  # fmt: skip


@pytest.mark.parametrize("contract, test", FAULTS, ids=[test for _, test in FAULTS])
def test_a_planted_fault_is_found(contract, test):
    with pytest.raises(AssertionError):
        run(contract, f"test_{test}")


SOUND = {
    "regularizer": contract(RegularizerContract, regularizer=Quartic),
    "stopping": contract(StoppingContract, stopping=Impatient),
    "model": contract(ModelContract, model=SoundModel),
    "data": contract(DataContract, data=Dice),
    "split": contract(SplitContract, split=Thirds),
    "sampler": contract(SamplerContract, sampler=Lottery, trials=12),
    "pruner": contract(PrunerContract, pruner=Once),
    "optimizer": contract(OptimizerContract, optimizer=Plain),
    "schedule": contract(ScheduleContract, schedule=Falling),
    "optimizer-of-torch": contract(
        OptimizerContract, optimizer=Momentum,
        parts=lambda self: [Momentum(lr=0.01), Momentum(lr=0.02, gamma=0.5), Momentum(lr=0.1, gamma=0.0)],
        reference=lambda self, o, p: torch.optim.SGD(p, o.lr, momentum=o.gamma),
    ),
    "schedule-by-formula": contract(
        ScheduleContract, schedule=Falling,
        parts=lambda self: [Falling(gamma=g) for g in (0.9, 0.5, 1.0)],
        factors=lambda self, part, epochs, steps: np.repeat(part.gamma ** np.arange(epochs), steps),
    ),
}  # fmt: skip


@pytest.mark.parametrize("contract", SOUND.values(), ids=SOUND)
def test_what_is_sound_passes(contract):
    for test in contract.properties():
        run(contract, test)
