"""`data.types.COLUMN=TYPE` on a command line: the rest of the key is one name, whatever is in it.

Hydra's grammar takes `data.types.Sepal.Length` for keys within keys, and cannot read
`data.types.Age (years)`.
"""

from __future__ import annotations

from dataclasses import replace

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from nnlab.errors import UserError

TYPES_KEY = "data.types"


def is_of_types(key: str) -> bool:
    """Whether the key says what columns are: `data.types.COLUMN`, or `data.types` of several."""
    return key.lstrip("+") == TYPES_KEY or key.lstrip("+").startswith(f"{TYPES_KEY}.")


def parse_override(parser: OverridesParser, word: str) -> Override:
    """The word by Hydra's grammar. Raises Hydra's `OverrideParseException`."""
    key, _, value = word.partition("=")
    if not is_of_types(key) or key.lstrip("+") == TYPES_KEY:
        return parser.parse_overrides([word])[0]
    # Whatever the column is called, the type is read by the grammar.
    (parsed,) = parser.parse_overrides([f"{TYPES_KEY}.column={value}"])
    return replace(parsed, key_or_group=key.lstrip("+"), input_line=word)


def set_types(config: DictConfig, override: Override) -> bool:
    """Set the types that an override of theirs says; False where the data have no such setting.

    Raises `UserError` for a value that is not types by columns.
    """
    types = OmegaConf.select(config, TYPES_KEY)
    if not isinstance(types, DictConfig):
        return False
    column, value = override.key_or_group[len(TYPES_KEY) + 1 :], override.value()
    if not column and not isinstance(value, dict):
        raise UserError(f"{override.input_line}: expected {TYPES_KEY}.COLUMN=TYPE")
    with open_dict(types):
        types.update({column: value} if column else value)
    return True
