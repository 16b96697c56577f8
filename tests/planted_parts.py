"""Parts with one planted fault each, which the contracts of nnlab.testing must detect, and correct ones."""

import math
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

import numpy as np
import torch
from optuna.samplers import RandomSampler

from nnlab.autodiff.activations import Tanh
from nnlab.autodiff.affine import Affine
from nnlab.data.dataset import Data, Dataset
from nnlab.data.splits import Fold, Split
from nnlab.hyperparameters import column, static
from nnlab.models import Model, perceptron
from nnlab.regularizers import Regularizer
from nnlab.search.pruners import Pruner
from nnlab.search.samplers import TPE, Sampler
from nnlab.stopping import Patience

COUNT = count(1)  # what differs from call to call

# ---- regularisers, stopping rules, models, data, splits


class WrongSign(Tanh):
    def bprop(self, ctx, dy):
        return tuple(dx.neg_() for dx in super().bprop(ctx, dy))


@dataclass(frozen=True)
class Quartic(Regularizer):
    """l4 / 4 times the sum of W^4."""

    name: ClassVar[str] = "quartic"
    l4: float = column(0.1, low=0)

    def penalty(self, weights):
        return super().penalty(weights) + self.l4[:, 0].to(weights.device) / 4 * weights.double().pow(4).sum(
            1
        )

    def factors(self, lr):
        return super().factors(lr) | {"l4": self.l4}

    def add_gradient(self, weights, grad, f, scratch):
        super().add_gradient(weights, grad, f, scratch)
        grad.addcmul_(torch.pow(weights, 3, out=scratch), f.l4)


@dataclass(frozen=True)
class QuarticWithoutFactor(Quartic):
    def add_gradient(self, weights, grad, f, scratch):
        super().add_gradient(weights, grad, f, scratch)
        grad.addcmul_(torch.pow(weights, 3, out=scratch), f.l4)


@dataclass(frozen=True)
class QuarticOfTheMean(Quartic):
    def factors(self, lr):
        return super().factors(lr) | {"l4": self.l4.mean(0, keepdim=True).expand_as(self.l4)}


@dataclass(frozen=True)
class QuarticOfScratch(Quartic):
    def add_gradient(self, weights, grad, f, scratch):
        super().add_gradient(weights, grad.add_(scratch), f, scratch)


@dataclass(frozen=True)
class NegativePenalty(Quartic):
    def penalty(self, weights):
        return -super().penalty(weights) - 1


@dataclass(frozen=True)
class Impatient(Patience):
    name: ClassVar[str] = "impatient"


@dataclass(frozen=True)
class StopsAll(Impatient):
    def observe(self, state, metrics):
        stops = super().observe(state, metrics)
        return np.full_like(stops, stops.any())


@dataclass(frozen=True)
class StopsUnheard(Impatient):
    listens: ClassVar[bool] = False


@dataclass(frozen=True)
class GrowingMemory(Impatient):
    def observe(self, state, metrics):
        state["seen"] = np.append(state.get("seen", []), 1)
        return super().observe(state, metrics)


@dataclass(frozen=True)
class SoundModel(Model):
    name: ClassVar[str] = "sound_model"

    def graph(self, shape, outputs, output="identity"):
        return perceptron(math.prod(shape), (4,), outputs, "tanh", output)


@dataclass(frozen=True)
class OneOutputMore(SoundModel):
    def graph(self, shape, outputs, output="identity"):
        return super().graph(shape, outputs + 1, output)


@dataclass(frozen=True)
class WithoutItsMap(SoundModel):
    def graph(self, shape, outputs, output="identity"):
        return super().graph(shape, outputs)


@dataclass(frozen=True)
class AnotherEachTime(SoundModel):
    def graph(self, shape, outputs, output="identity"):
        return perceptron(math.prod(shape), (next(COUNT),), outputs, "tanh", output)


@dataclass(frozen=True)
class WrongInside(SoundModel):
    def graph(self, shape, outputs, output="identity"):
        graph = perceptron(math.prod(shape), (), 4)
        graph.add("last", Affine(outputs), graph.add("wrong", WrongSign(), len(graph.nodes) - 1))
        return graph


@dataclass(frozen=True)
class Dice(Data):
    name: ClassVar[str] = "dice"
    drawn: ClassVar[bool] = True

    def read(self):
        random = np.random.default_rng(self.seed)
        return Dataset(random.standard_normal((60, 5)), random.integers(3, size=60), tuple("abc"))


@dataclass(frozen=True)
class LoadedDice(Dice):
    def read(self):
        return replace(super().read(), x=np.random.standard_normal((60, 5)))


@dataclass(frozen=True)
class BrokenDice(Dice):
    def read(self):
        return replace(super().read(), x=np.where(np.arange(5) == 2, np.nan, super().read().x))


@dataclass(frozen=True)
class DiceOfFourSides(Dice):
    def read(self):
        return replace(super().read(), y=super().read().y + 1)


@dataclass(frozen=True)
class UnsortedTest(Dice):
    def read(self):
        return replace(super().read(), test=np.array([9, 3]))


@dataclass(frozen=True)
class SaysItIsNotDrawn(Dice):
    drawn: ClassVar[bool] = False


@dataclass(frozen=True)
class Thirds(Split):
    name: ClassVar[str] = "thirds"
    seed: int = static(0, low=0)

    def folds(self, dataset):
        test = np.zeros(0, int) if dataset.test is None else dataset.test
        remaining = np.setdiff1d(np.arange(len(dataset.x)), test)
        remaining = np.random.default_rng(self.seed).permutation(remaining)
        third = len(remaining) // 3
        rest = remaining[2 * third :] if dataset.test is None else test
        return [Fold(np.sort(remaining[:third]), np.sort(remaining[third : 2 * third]), np.sort(rest))]


@dataclass(frozen=True)
class ValidatesWhatItTrains(Thirds):
    def folds(self, dataset):
        return [replace(fold, validation=fold.train) for fold in super().folds(dataset)]


@dataclass(frozen=True)
class CountsWrong(Thirds):
    count: ClassVar[int] = 2


@dataclass(frozen=True)
class NeverValidates(Thirds):
    def folds(self, dataset):
        return [replace(fold, validation=np.zeros(0, int)) for fold in super().folds(dataset)]


@dataclass(frozen=True)
class AnotherTestSet(Thirds):
    def folds(self, dataset):
        return super().folds(replace(dataset, test=None))


@dataclass(frozen=True)
class DeafToItsSeed(Thirds):
    def folds(self, dataset):
        return Thirds().folds(dataset)


# ---- samplers and pruners


@dataclass(frozen=True)
class Lottery(Sampler):
    name: ClassVar[str] = "lottery"

    def optuna(self, space, seed, worked=0, failed=0):
        return RandomSampler(seed=seed)


@dataclass(frozen=True)
class AlwaysAlike(Lottery):
    def trial_seed(self, number, attempt=0):
        return Lottery().trial_seed(number, attempt)


@dataclass(frozen=True)
class Unseeded(Lottery):
    def optuna(self, space, seed, worked=0, failed=0):
        return RandomSampler()


@dataclass(frozen=True)
class KeepsNotes(Lottery):
    """It looks at how many trials it has told, but not at the trials: it should `remember`."""

    def optuna(self, space, seed, worked=0, failed=0):
        return RandomSampler(seed=next(COUNT) if worked > 11 else seed)


@dataclass(frozen=True)
class TwiceEachCell(Lottery):
    enumerates: ClassVar[bool] = True

    def trials_of(self, space):
        return (cell for cell in space.cells(3) for _ in range(2))


@dataclass(frozen=True)
class LearnsUpwards(TPE):
    """It takes the best for the worst, where a trial is judged by what is largest."""

    name: ClassVar[str] = "learns_upwards"

    def observation(self, trial, signs, worked):
        return replace(trial, values=tuple(abs(v) for v in trial.values))


@dataclass(frozen=True)
class Once(Pruner):
    name: ClassVar[str] = "once"

    def rungs(self, epochs):
        return [3] if epochs > 3 else []

    def keep(self, rung, epochs, numbers, worth, came):
        return worth <= np.median(worth)


@dataclass(frozen=True)
class AtTheLastEpoch(Once):
    def rungs(self, epochs):
        return [epochs]


@dataclass(frozen=True)
class KeepsTheWorse(Once):
    def keep(self, rung, epochs, numbers, worth, came):
        return worth >= np.median(worth)


@dataclass(frozen=True)
class KeepsTheFirst(Once):
    def keep(self, rung, epochs, numbers, worth, came):
        return np.arange(len(worth)) < 3


@dataclass(frozen=True)
class Moody(Once):
    def keep(self, rung, epochs, numbers, worth, came):
        return worth <= np.quantile(worth, next(COUNT) % 7 / 10 + 0.2)


@dataclass(frozen=True)
class SaysItDoesNotPrune(Once):
    pass


SaysItDoesNotPrune.prunes = False
