"""The contract of a data set: valid contents, the same on each read, on which networks train."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnlab.data.dataset import Data
from nnlab.experiment import Experiment
from nnlab.testing.components import PartContract
from nnlab.testing.rows import experiments


class DataContract(PartContract):
    """`data` is a data set, or the class of one that needs no settings."""

    data: Data | type[Data]

    @property
    def part(self):
        return self.data if isinstance(self.data, type) else type(self.data)

    def parts(self):
        return [self._make()]

    def experiments(self) -> list[Experiment]:
        return experiments(data=self._make())

    def test_it_reads_numbers_and_says_what_they_are(self):
        dataset = self._make().load()
        spec, x, y = dataset.spec, dataset.x, dataset.y
        may_be_missing = list(spec.encoding.number_positions) if dataset.columns else []
        is_allowed = np.isfinite(np.asarray(x, float))
        is_allowed[:, may_be_missing] |= np.isnan(x[:, may_be_missing])
        assert is_allowed.all(), "an input is not a finite number"
        assert spec.examples == len(x) == len(y) > 0, f"{len(x)} examples with {len(y)} targets"
        if dataset.classes:
            present_classes = np.unique(y)
            assert np.issubdtype(y.dtype, np.integer), f"y is {y.dtype}: classes are whole numbers"
            valid = (present_classes >= 0).all() and (present_classes < len(dataset.classes)).all()
            assert valid, f"y has classes {present_classes.tolist()} of {len(dataset.classes)} names"
        else:
            assert np.isfinite(np.asarray(y, float)).all(), "a target is not a finite number"

    def test_names_are_as_many_as_what_they_name(self):
        spec = self._make().load().spec
        assert len(spec.features) in (0, spec.inputs), f"{len(spec.features)} names of {spec.inputs} inputs"
        outputs = 1 if spec.classes else spec.outputs
        assert len(spec.targets) in (0, outputs), f"{len(spec.targets)} names of {outputs} targets"

    def test_its_test_set_is_sorted_numbers_of_examples(self):
        dataset = self._make().load()
        if dataset.test is not None:
            test = dataset.test
            valid = 0 < len(test) < len(dataset.x) and 0 <= test.min() and test.max() < len(dataset.x)
            assert valid and (np.diff(test) > 0).all(), "test: sorted numbers of some examples, each once"

    def test_it_reads_the_same_each_time(self):
        """Whatever the state of global generators: random data depend on `seed` alone."""
        np.random.seed(1)
        first, again = self._make().load(), self._make().load()
        assert first.fingerprint() == again.fingerprint(), "read twice, it gave other numbers"
        other = replace(self._make(), seed=self._make().seed + 1).load()
        drawn = first.fingerprint() != other.fingerprint()
        assert drawn == self.part.drawn, f"drawn = {self.part.drawn}, but another seed says otherwise"

    def test_equal_settings_are_equal(self):
        """Data sets are dictionary keys: of the cache, and of rows that share a stack."""
        assert self._make() == self._make() and hash(self._make()) == hash(self._make())

    def _make(self) -> Data:
        return self.data() if isinstance(self.data, type) else self.data
