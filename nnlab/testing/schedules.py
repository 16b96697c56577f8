"""The contract of a schedule: its factors, its state, and its reaction to metrics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnlab.hyperparameters import stack
from nnlab.metrics import METRICS
from nnlab.schedules import Progress
from nnlab.testing.components import PartContract
from nnlab.training.fit import fit

SCHEDULE_EPOCHS, EPOCH_STEPS = 12, 5


class ScheduleContract(PartContract):
    """`schedule` is the class.

    factors   (part, epochs, steps) -> the factor of every update, (epochs * steps,), on a metric that never
              rises: if given, the schedule is compared with it
    turns     whether it rises and falls within an epoch, so that a refit, whose epochs have more steps, ends
              them at other rates
    """

    schedule: type
    factors = None
    turns = False

    @property
    def part(self):
        return self.schedule

    def test_factors_are_numbers_of_each_row_and_step(self):
        rates, _ = self._simulated(self.parts())
        assert rates.shape == (len(self.parts()), SCHEDULE_EPOCHS * EPOCH_STEPS), f"rate gives {rates.shape}"
        assert np.isfinite(rates).all() and (rates >= 0).all(), "a factor is negative or not finite"

    def test_a_row_of_the_schedule_equals_itself_alone(self):
        parts = self.parts()
        together, back = self._simulated(parts)
        for k in range(len(parts)):
            alone, back_alone = self._simulated(parts, [k])
            assert np.array_equal(alone[0], together[k]), f"row {k} differs from it alone"
            assert np.array_equal(back_alone[:, 0], back[:, k]), f"row {k} goes back at other epochs alone"

    def test_the_state_is_arrays_over_the_rows(self):
        """They keep their names and shapes, so that rows can be selected and removed."""
        schedule = stack(self.parts())
        state = schedule.start(3)
        before = {name: np.shape(value) for name, value in state.items()}
        schedule.observe(state, _metrics(1, range(3)))
        after = {name: np.shape(value) for name, value in state.items()}
        assert before == after, f"the state was {before} and became {after}"
        assert all(shape[:1] == (3,) for shape in after.values()), f"not arrays over 3 rows: {after}"

    def test_only_a_schedule_that_says_so_takes_rows_back(self):
        _, back = self._simulated(self.parts())
        assert not back.any() or self.schedule.goes_back, "observe took rows back, but goes_back is False"

    def test_which_rows_are_over_is_said_of_each(self):
        schedule = stack(self.parts())
        state = schedule.start(3)
        schedule.observe(state, _metrics(1, range(3)))
        over = schedule.over(state)
        assert over is None or np.asarray(over).dtype == bool and np.shape(over) == (3,), f"over gives {over}"

    def test_a_refit_repeats_the_rates_of_the_first_training(self):
        """Up to the best epoch, and without reading metrics: a refit trains on the validation examples
        too."""
        run, rates = fit(*(replace(e, refit=True) for e in self.experiments())), {}
        for record in run:
            for row, lr in zip(record.rows.tolist(), record.lr.tolist(), strict=True):
                rates.setdefault((row, record.refit), []).append(lr)
        for r in run.results:
            first, again = rates[r.row, False][: r.best_epoch], rates.get((r.row, True), [])
            if not self.turns:
                np.testing.assert_allclose(again, first[: len(again)], rtol=0.2, err_msg=f"row {r.row}")
            assert len(again) == len(first) or "diverged" in (r.status, r.refit.status)

    def test_an_epoch_may_be_asked_for_in_pieces(self):
        whole, pieces = (self._simulated(self.parts(), chunk=chunk)[0] for chunk in (EPOCH_STEPS, 2))
        np.testing.assert_allclose(pieces, whole, rtol=1e-12, err_msg="asked for in pieces it says otherwise")

    def test_metrics_that_are_not_numbers_do_no_harm(self):
        """If metrics of one row are NaN or infinite, its factors stay finite and those of others the same."""
        parts = self.parts()
        rates, _ = self._simulated(parts, broken=True)
        assert np.isfinite(rates).all(), "a factor is not finite after a metric that is not a number"
        assert np.array_equal(rates[1:], self._simulated(parts)[0][1:]), "another row has noticed"

    def test_factors_equal_the_reference(self):
        for k, part in enumerate(self.parts() if self.factors is not None else ()):
            factors = self._simulated(self.parts(), [k], falling=True)[0][0]
            np.testing.assert_allclose(
                factors, self.factors(part, SCHEDULE_EPOCHS, EPOCH_STEPS), rtol=1e-10, atol=1e-12
            )

    def _simulated(self, parts, row_indices=None, chunk=EPOCH_STEPS, broken=False, falling=False):
        """The factors (K, all updates), and whether a row goes back after an epoch, (epochs, K)."""
        row_indices = range(len(parts)) if row_indices is None else row_indices
        schedule, epochs = (
            stack([parts[k] for k in row_indices]),
            np.full((len(row_indices), 1), float(SCHEDULE_EPOCHS)),
        )
        state, rates, back = schedule.start(len(row_indices)), [], []
        for epoch in range(1, SCHEDULE_EPOCHS + 1):
            for first in range(0, EPOCH_STEPS, chunk):
                steps = np.arange(first, min(first + chunk, EPOCH_STEPS))
                rate = schedule.rate(Progress(epoch, steps, EPOCH_STEPS, epochs), state)
                rates.append(np.broadcast_to(rate, (len(row_indices), len(steps))))
            went_back = schedule.observe(state, _metrics(epoch, row_indices, broken, falling))
            back.append(np.zeros(len(row_indices), bool) if went_back is None else went_back)
        return np.concatenate(rates, 1), np.array(back)


def _metrics(epoch: int, row_indices, broken=False, falling=False) -> dict[str, np.ndarray]:
    """Metrics that rise and fall, different in each row; with `falling`, that only fall."""
    values = {}
    for number, name in enumerate(("val_loss", "val_error", *METRICS)):
        noise = [np.random.default_rng([epoch, k, number]).random() for k in row_indices]
        value = np.full(len(row_indices), 1.0 / epoch) if falling else np.array(noise) + 1.0 / epoch
        if broken and epoch % 3 == 0:
            value[0] = (np.nan, np.inf)[epoch % 2]
        values[name] = value
    return values
