"""How a run is repeated: its command, and the settings in which it differs from the defaults."""

from __future__ import annotations

from collections.abc import Iterator

from nnlab.allowed import yaml_text
from nnlab.catalogue import Catalogue
from nnlab.errors import shortened
from nnlab.records.files import RECORDING_KEYS
from nnlab.records.hparams import flatten
from nnlab.records.stored_run import StoredRun
from nnlab.report.page import Section
from nnlab.report.parts import Part, Preformatted, Table, Text
from nnlab.report.run_facts import or_none

LONGEST_VALUE = 80  # characters


def repetition_section(stored: StoredRun) -> Section:
    """The command, and the table of changed settings."""
    return Section("How to repeat it", list(_parts(stored)))


def _parts(stored: StoredRun) -> Iterator[Part]:
    command = or_none(getattr, stored, "command")
    if command:
        yield Preformatted(command, wrapped=True)
    else:
        yield Text("The folder has no command.txt, so the command is not known.", muted=True)
    changed = changed_settings(stored.settings)
    if changed:
        yield Table(["setting", "value", "default"], changed, labels=3)
    else:
        yield Text("All settings are the defaults.")


def changed_settings(settings: dict) -> list[list[str]]:
    """(key, value, default) of each setting that differs from what `nnlab train` would take.

    The defaults are those of the choices that were made, such as of `optimizer=sgd`. A default that
    depends on other settings is not compared.
    """
    groups = [group for group in Catalogue("train").defaults if isinstance(settings.get(group), dict)]
    chosen = {group: name for group in groups if isinstance(name := settings[group].get("name"), str)}
    catalogue = Catalogue("train", [f"{group}={name}" for group, name in chosen.items()])
    usual_choices = Catalogue("train").defaults
    defaults = {name: key.value for name, key in catalogue.keys().items()}
    for group in groups:
        defaults |= {name: key.value for name, key in catalogue.keys(group).items()}
        if group in chosen:
            defaults[f"{group}.name"] = usual_choices[group]
    lines = []
    for key, value in flatten(settings):
        if key not in defaults or key.partition(".")[0] in RECORDING_KEYS:
            continue
        default = _as_number(defaults[key]) if isinstance(value, float) else defaults[key]
        depends_on_others = isinstance(default, str) and "${" in default
        if value != default and not depends_on_others:
            lines.append([key.removesuffix(".name"), _text(value), _text(default)])
    return lines


def _as_number(default):
    """YAML reads `1e-3`, without a point, as text; the command line does not."""
    try:
        return float(default) if isinstance(default, str) else default
    except ValueError:
        return default


def _text(value) -> str:
    return shortened(value if isinstance(value, str) else yaml_text(value), LONGEST_VALUE)
