"""The contract of every part of an experiment or a search: registration, fields and settings."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import fields
from pkgutil import resolve_name

import yaml

from nnlab import experiment
from nnlab.frozen_dict import plain
from nnlab.hyperparameters import make_part
from nnlab.plugins import BASES, group_of, settings
from nnlab.search import settings as search
from nnlab.testing.rows import Contract, RowIndependence, experiments, varied

GROUPS = {**experiment.GROUPS, **search.GROUPS}


class SettingsContract(Contract):
    """`part` is the class; `parts` are instances to test, with default and other settings."""

    part: type

    def parts(self) -> list:
        return varied(self.part())

    def test_it_is_a_part_of_its_group(self):
        base = resolve_name(BASES[group_of(self.part)])
        assert issubclass(self.part, base), f"{self.part.__name__} is not a subclass of {base.__name__}"
        frozen = "__dataclass_fields__" in vars(self.part) and self.part.__dataclass_params__.frozen
        assert frozen, f"{self.part.__name__} lacks @dataclass(frozen=True)"

    def test_its_name_is_a_word_that_no_other_has(self):
        name, table = self.part.name, GROUPS[group_of(self.part)]
        assert isinstance(name, str) and name.isidentifier(), f"the name {name!r} is not one word"
        registered = table.get(name, self.part) if isinstance(table, dict) else self.part
        assert registered is self.part, f"nnlab has another {group_of(self.part)} of the name {name!r}"

    def test_every_field_is_a_column_a_control_or_static(self):
        undeclared = [f.name for f in fields(self.part) if "kind" not in f.metadata]
        assert not undeclared, f"fields not declared by column, control or static: {', '.join(undeclared)}"

    def test_settings_come_back_from_yaml_and_json(self):
        table = {self.part.name: self.part}
        for part in self.parts():
            values = plain(settings(self.part) | dataclasses.asdict(part))
            for loaded in (yaml.safe_load(yaml.safe_dump(values)), json.loads(json.dumps(values))):
                assert make_part(table, loaded, group_of(self.part)) == part, f"{values} came back otherwise"


class PartContract(SettingsContract, RowIndependence):
    """The contract of a part of an experiment: `parts` are rows of one stack, so their static fields
    agree."""

    def experiments(self):
        return experiments(**{group_of(self.part): self.parts()})
