"""`Column`: what a column of a user's table means, and which numbers its cells become.

The columns of a table are decided once, from all of it. What is fitted to numbers (medians, known and rare
categories, means) is fitted for each fold on its training examples: see `nnlab.data.encoding`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from nnlab.arguments import typed
from nnlab.data.plain_values import are_names, fault, is_whole, refuse_wrong_keys, shown
from nnlab.errors import UserError, nearest

# The types of columns; those of the second line are not inputs (text is one as hashed n-grams).
INPUT_TYPES = ("number", "category", "boolean", "date", "text")
OTHER_TYPES = ("identifier", "constant", "dropped")
COLUMN_TYPES = INPUT_TYPES + OTHER_TYPES
DATE_PARTS = ("year", "month", "day", "weekday", "hour", "minute", "days")
MISSING_CODE, UNKNOWN_CODE = 0, 1  # of a category that is missing, and of one that is unknown
FIRST_CODE = 2  # of the known ones
# A column may come from a stranger: these limits bound the cost of its inputs.
MOST_CATEGORIES = 2**24 - FIRST_CODE  # float32 holds whole numbers up to 2^24 exactly
MOST_BUCKETS = 2**16  # that n-grams are hashed into
SAID_BY_USER = "as data.types says"  # the reason of a type that the user gives
DECIMAL_MARKS, THOUSANDS_MARKS = (".", ","), ("", ",", ".", " ", "'")


@typed(unchecked=("name", "type", "reason", "categories", "missing", "embedded", "parts", "buckets",
                  "decimal", "thousands", "form", "markers"))  # fmt: skip
@dataclass(frozen=True)
class Column:
    """A column of a table.

    name        as in the table
    type        number, category, boolean, date, text, identifier, constant or dropped
    reason      why it has this type, for people
    categories  of a category or boolean: what occurs in the table, as text; of a boolean false, then true
    missing     whether some cells of the table are empty
    embedded    a category with many values: the network learns a vector for each, instead of one input each
    parts       of a date: which of `DATE_PARTS` vary, days since 1970-01-01 among them
    buckets     of a text that is hashed n-grams: into how many inputs; 0 for a text that is not an input
    decimal     the mark before decimals, in a file of text
    thousands   the mark between groups of digits there; none if it is empty
    form        of a number, the sign beside it there, such as %; of a date, how it is written there
                (nnlab.tables.dates)
    markers     further texts that stand for an empty cell there

    Raises `UserError` for fields that contradict each other.

    >>> plan = Column("plan", "category", categories=("gold", "silver"), missing=True)
    >>> plan.raw, plan.codes
    ((('plan', 'code'),), 4)
    >>> Column.from_json(plan.to_json()) == plan
    True
    """

    name: str
    type: str
    reason: str = ""
    categories: tuple[str, ...] = ()
    missing: bool = False
    embedded: bool = False
    parts: tuple[str, ...] = ()
    buckets: int = 0
    decimal: str = "."
    thousands: str = ""
    form: str = ""
    markers: tuple[str, ...] = ()

    def __post_init__(self):
        for sentence in self._faults():
            raise UserError(sentence)

    @property
    def raw(self) -> tuple[tuple[str, str], ...]:
        """(name, kind) of each number that a cell becomes; none, if it is not an input. Kinds:

        number  any number; NaN where the cell is empty
        code    of a category: 0 where it is missing, 1 for one that is not in `categories`, 2 + i for
                `categories[i]`
        plain   a number that is an input as it is
        """
        match self.type:
            case "number":
                return ((self.name, "number"),)
            case "date":
                return tuple((f"{self.name} {part}", "number") for part in self.parts)
            case "category" | "boolean":
                return ((self.name, "code"),)
            case "text":
                return tuple((f"{self.name} #{i}", "plain") for i in range(self.buckets))
        return ()

    @property
    def is_input(self) -> bool:
        """Whether its cells become inputs of a network."""
        return self.type in ("number", "category", "boolean") or bool(self.parts or self.buckets)

    @property
    def codes(self) -> int:
        """How many codes a category may have."""
        return FIRST_CODE + len(self.categories)

    @property
    def slots(self) -> tuple[str, ...]:
        """What the places of a category in one-hot are called, or those of the vectors of an embedding: one
        for each category; for rare ones together, which a boolean does not have; and for missing ones.

        >>> Column("plan", "category", categories=("gold", "silver"), missing=True).slots
        ('plan=gold', 'plan=silver', 'plan=other', 'plan is missing')
        """
        names = [f"{self.name}={category}" for category in self.categories]
        if self.type == "category":
            names.append(f"{self.name}=other" + " (rare)" * ("other" in self.categories))
        return (*names, *([self.missing_name] * self.missing))

    @property
    def missing_name(self) -> str:
        """The name of the input that says that a cell is empty."""
        return f"{self.name} is missing"

    def to_json(self) -> dict:
        """Plain JSON values, without those that are the default; `from_json` makes an equal column."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    @classmethod
    def from_json(cls, json, where: str = "column") -> Column:
        """The column that parsed JSON describes; `where` names its source in errors.

        A stranger may have written it, so anything wrong with it raises `UserError`.
        """
        refuse_wrong_keys(json, cls, where, "a description of a column")
        try:
            return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in json.items()})
        except UserError as e:
            raise UserError(f"{where}: {e}") from e

    def _faults(self) -> Iterator[str]:
        """A sentence for everything wrong. The order matters: later checks rely on earlier ones."""
        for key in ("name", "reason", "form"):
            if not are_names((getattr(self, key),)):
                yield fault(key, getattr(self, key), "a text")
        for key, allowed in (
            ("type", COLUMN_TYPES),
            ("decimal", DECIMAL_MARKS),
            ("thousands", THOUSANDS_MARKS),
        ):
            value = getattr(self, key)
            if not isinstance(value, str) or value not in allowed:
                yield f"{key} = {shown(value)}{nearest(value, allowed)}"
        for key in ("missing", "embedded"):
            if not isinstance(getattr(self, key), bool):
                yield fault(key, getattr(self, key), "true or false")
        if not are_names(self.categories) or len(self.categories) > MOST_CATEGORIES:
            yield fault("categories", self.categories, f"a list of at most {MOST_CATEGORIES:,} texts")
        if len(set(self.categories)) < len(self.categories):
            yield "categories has one text twice"
        if not are_names(self.markers):
            yield fault("markers", self.markers, "a list of texts")
        if not is_whole(self.buckets) or not 0 <= self.buckets <= MOST_BUCKETS:
            yield fault("buckets", self.buckets, f"a whole number from 0 to {MOST_BUCKETS:,}")
        if not are_names(self.parts) or [p for p in DATE_PARTS if p in self.parts] != list(self.parts):
            yield fault("parts", self.parts, f"some of {', '.join(DATE_PARTS)}, in this order")
        if self.decimal == self.thousands:
            yield f"decimal and thousands are both '{self.decimal}'"
        yield from self._type_faults()

    def _type_faults(self) -> Iterator[str]:
        """Faults of fields that belong to another type, or that this one needs."""
        used_by = {
            "categories": ("category", "boolean"), "parts": ("date",), "buckets": ("text",),
        }  # fmt: skip
        for key, types in used_by.items():
            if getattr(self, key) and self.type not in types:
                yield f"type = '{self.type}' has no {key}, which are of type {' or '.join(types)}"
        if self.embedded and self.type != "category":
            yield f"embedded = True, but type = '{self.type}': only a category is embedded"
        if self.type == "category" and not self.categories:
            yield fault("categories", self.categories, "the texts that occur")
        if self.type == "boolean" and len(self.categories) != 2:
            yield fault("categories", self.categories, "two texts, for false and for true")
