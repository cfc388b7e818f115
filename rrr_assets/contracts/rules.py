"""A contract as rules: one list, asked in SQL by the fast checks and by Great Expectations by the daily validation.

Belongs here: which rules follow from a contract, and the words they are called by. Does not: asking them (warehouse/contract_checks in
SQL, quality/expectations in Great Expectations).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rrr_assets.contracts.base import Range, Table, Type

NUMBERS: Final = frozenset({Type.PRICE, Type.SIZE, Type.VOLUME, Type.NOTIONAL, Type.NUMBER, Type.STATISTIC})
"""Types that hold what is no number, or has no end, where nobody forbids it."""

NOT_FINITE: Final = ("NaN", "Infinity", "-Infinity")


class Kind(StrEnum):
    """What a rule of a contract asks, in the order in which they are told."""

    NULL = "null"
    ACCEPTED = "accepted"
    RANGE = "range"
    FINITE = "finite"
    ORDERED = "ordered"
    KEY = "key"
    IDENTITY = "identity"
    IN_ORDER = "in_order"


SENTENCES: Final = {
    Kind.NULL: "nothing is null that must not be",
    Kind.ACCEPTED: "every value is one of those accepted",
    Kind.RANGE: "every number is within its range",
    Kind.FINITE: "every number is finite",
    Kind.ORDERED: "columns are in order",
    Kind.KEY: "each key once",
    Kind.IDENTITY: "each row once",
    Kind.IN_ORDER: "time never steps back along the ids",
}
"""What a check says of all rules of a kind."""

IS_THERE: Final = "the table is there"
IS_AS_AGREED: Final = "every table is what its contract says"

_WORDS: Final = {
    Kind.NULL: "null",
    Kind.ACCEPTED: "range",
    Kind.RANGE: "range",
    Kind.FINITE: "range",
    Kind.ORDERED: "range",
    Kind.KEY: "key",
    Kind.IDENTITY: "duplicate",
    Kind.IN_ORDER: "order",
}

WORDS: Final = {**{sentence: _WORDS[kind] for kind, sentence in SENTENCES.items()}, IS_THERE: "schema_drift", IS_AS_AGREED: "schema_drift"}
"""The stable word of each of these sentences, as findings, severities and runbooks are named by it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a contract says of every row. `columns` are what it looks at; of a pair the first is never above the second."""

    table: str
    kind: Kind
    columns: tuple[str, ...]
    accepted: tuple[str, ...] = ()
    range: Range | None = None

    @property
    def word(self) -> str:
        """The stable word it is found by."""
        return _WORDS[self.kind]

    @property
    def is_blocking(self) -> bool:
        """Whether what breaks it must not flow on."""
        return self.kind is not Kind.IN_ORDER

    @property
    def told(self) -> str:
        """The rule as a sentence of its own: 'price > 0'."""
        one = self.columns[0]
        said = {
            Kind.NULL: f"{one} is never null",
            Kind.ACCEPTED: f"{one} is one of {', '.join(self.accepted)}",
            Kind.RANGE: f"{one} {self.range.told if self.range else ''}",
            Kind.FINITE: f"{one} is finite",
            Kind.ORDERED: f"{one} <= {self.columns[-1]}",
            Kind.IN_ORDER: f"{self.columns[-1]} never steps back along {self.columns[-2] if len(self.columns) > 1 else one}",
        }
        return said.get(self.kind, f"({', '.join(self.columns)}) is there once")


def rules_of(table: Table) -> tuple[Rule, ...]:
    """Every rule of a contract, by kind and then by column."""
    columns = table.columns
    identity = table.identity or table.key
    found = [
        *(Rule(table.name, Kind.NULL, (c.name,)) for c in columns if not c.nullable),
        *(Rule(table.name, Kind.ACCEPTED, (c.name,), accepted=c.accepted) for c in columns if c.accepted),
        *(Rule(table.name, Kind.RANGE, (c.name,), range=c.range) for c in columns if c.range),
        *(Rule(table.name, Kind.FINITE, (c.name,)) for c in columns if c.type in NUMBERS),
        *(Rule(table.name, Kind.ORDERED, pair) for pair in table.ordered),
        Rule(table.name, Kind.KEY, table.key),
    ]
    if identity != table.key:
        found.append(Rule(table.name, Kind.IDENTITY, identity))
    if table.in_order:
        along, time = table.in_order
        found.append(Rule(table.name, Kind.IN_ORDER, (*(name for name in identity if name != along), along, time)))
    return tuple(found)
