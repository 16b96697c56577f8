"""The contract of a stopping rule: its state, and when it stops rows."""

from __future__ import annotations

import numpy as np

from nnlab.hyperparameters import stack
from nnlab.metrics import METRICS
from nnlab.stopping import Stopping
from nnlab.testing.components import PartContract

METRIC_EPOCHS = 40


class StoppingContract(PartContract):
    """`stopping` is the class."""

    stopping: type[Stopping]

    @property
    def part(self):
        return self.stopping

    def test_a_row_of_the_rule_equals_itself_alone(self):
        parts = self.parts()
        together = self._stops(parts)
        for k in range(len(parts)):
            alone = self._stops(parts, [k])
            assert np.array_equal(alone[:, 0], together[:, k]), f"row {k} stops at other epochs alone"

    def test_which_rows_stop_is_said_of_each(self):
        rule, rows = stack(self.parts()), len(self.parts())
        stopped = rule.observe(rule.start(rows), _metrics(1, range(rows)))
        fits = stopped is None or np.asarray(stopped).dtype == bool and np.shape(stopped) == (rows,)
        assert fits, f"observe gives {stopped}, expected None or (K,) bool"

    def test_the_state_is_arrays_over_the_rows(self):
        """They keep their names and shapes, so that rows can be selected and removed."""
        rule, rows = stack(self.parts()), len(self.parts())
        state = rule.start(rows)
        before = {name: np.shape(value) for name, value in state.items()}
        rule.observe(state, _metrics(1, range(rows)))
        after = {name: np.shape(value) for name, value in state.items()}
        assert before == after, f"the state was {before} and became {after}"
        assert all(shape[:1] == (rows,) for shape in after.values()), f"not arrays over {rows} rows: {after}"

    def test_metrics_that_are_not_numbers_change_no_other_row(self):
        broken, whole = (self._stops(self.parts(), broken=broken) for broken in (True, False))
        assert np.array_equal(broken[:, 1:], whole[:, 1:]), "another row has noticed"

    def test_only_a_rule_that_listens_stops_a_row_early(self):
        """`listens` declares whether the rule reads validation metrics."""
        stops = self._stops(self.parts())
        assert self.stopping().listens or not stops.any(), "it stops rows, but does not listen"

    def _stops(self, parts, row_indices=None, broken=False) -> np.ndarray:
        """(METRIC_EPOCHS, K) bool: whether it would stop a row after an epoch."""
        row_indices = range(len(parts)) if row_indices is None else row_indices
        rule, stops = stack([parts[k] for k in row_indices]), []
        state = rule.start(len(row_indices))
        for epoch in range(1, METRIC_EPOCHS + 1):
            stopped = rule.observe(state, _metrics(epoch, row_indices, broken))
            stops.append(np.zeros(len(row_indices), bool) if stopped is None else stopped)
        return np.array(stops)


def _metrics(epoch: int, row_indices, broken=False) -> dict[str, np.ndarray]:
    """Metrics of each row that first fall, and then fluctuate."""
    values = {}
    for number, name in enumerate(("val_loss", "val_error", *METRICS)):
        value = [1 / epoch + 0.3 * np.random.default_rng([epoch, k, number]).random() for k in row_indices]
        values[name] = np.array(value)
        if broken and epoch % 3 == 0:
            values[name][0] = (np.nan, np.inf)[epoch % 2]
    return values
