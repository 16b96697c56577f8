"""The contract of a pruner: its rungs, and that it keeps the better trials, in whatever order they finish."""

from __future__ import annotations

import numpy as np

from nnlab.search.pruners import Pruner
from nnlab.testing.components import SettingsContract

MOST_TRIALS, TRIAL_EPOCHS = 24, 50


class PrunerContract(SettingsContract):
    """`pruner` is the class.

    parts    pruners to test; by default the one with default settings
    groups   (trial numbers) -> the groups that are compared among themselves: lists of trial numbers
    """

    pruner: type[Pruner]

    @property
    def part(self):
        return self.pruner

    def parts(self):
        return [self.pruner()]

    def groups(self, numbers: list[int]) -> list[list[int]]:
        return [numbers]

    def test_rungs_lie_before_the_last_epoch(self):
        for pruner in self.parts():
            for epochs in (1, 2, 3, 7, 20, TRIAL_EPOCHS, 243):
                rungs = pruner.rungs(epochs)
                is_valid = rungs == sorted(set(rungs)) and all(1 <= rung < epochs for rung in rungs)
                assert is_valid, f"rungs({epochs}) = {rungs}: expected rising epochs from 1 to {epochs - 1}"
                trained_share = pruner.trained_share(epochs)
                assert 0 < trained_share <= 1, f"trained_share({epochs}) = {trained_share}: not in (0, 1]"

    def test_it_says_whether_it_prunes(self):
        judges = any(pruner.rungs(10_000) for pruner in self.parts())
        assert judges == self.pruner.prunes, f"prunes = {self.pruner.prunes}, but rungs say otherwise"

    def test_some_go_on_and_none_before_a_better_one(self):
        """Within a group, every trial that is kept is better than every trial that is not."""
        for pruner, rung, worth in self._cases():
            keep = self._keep(pruner, rung, worth)
            assert keep.any(), f"rung {rung}: no trial goes on"
            for group in self.groups(list(range(len(worth)))):
                pruned_worth = [worth[n] for n in group if not keep[n]]
                worst_kept = max((worth[n] for n in group if keep[n]), default=-np.inf)
                assert not pruned_worth or worst_kept < min(pruned_worth), (
                    f"rung {rung}: a worse trial goes on than one that goes"
                )

    def test_the_order_in_which_trials_stand_changes_nothing(self):
        for pruner, rung, worth in self._cases():
            order = np.random.default_rng(1).permutation(len(worth))
            keep, again = self._keep(pruner, rung, worth), self._keep(pruner, rung, worth[order], order)
            assert np.array_equal(again, keep[order]), f"rung {rung}: in another order other trials go on"

    def test_it_is_the_same_each_time_and_changes_nothing(self):
        for pruner, rung, worth in self._cases():
            before = worth.copy()
            first, again = self._keep(pruner, rung, worth), self._keep(pruner, rung, worth)
            assert np.array_equal(first, again), f"rung {rung}: asked twice, it says otherwise"
            assert np.array_equal(worth, before), f"rung {rung}: keep changed an argument"

    def _keep(self, pruner, rung, worth, numbers=None) -> np.ndarray:
        numbers = np.arange(len(worth)) if numbers is None else numbers
        keep = pruner.keep(rung, TRIAL_EPOCHS, numbers, worth, np.ones(len(worth), bool))
        fits = isinstance(keep, np.ndarray) and keep.dtype == bool and keep.shape == worth.shape
        assert fits, f"keep gives {keep!r}, expected (n,) bool"
        return keep

    def _cases(self):
        """(pruner, one of its rungs, each trial's worth there), for one trial and for several."""
        for pruner in self.parts():
            for rung in pruner.rungs(TRIAL_EPOCHS)[:4]:
                for count in (1, 2, 7, MOST_TRIALS):
                    yield pruner, rung, np.random.default_rng([rung, count]).normal(size=count)
