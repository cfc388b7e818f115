"""What follows from a contract: every rule once, in words that stay, and ranges that can hold a value."""

import pytest

from rrr_assets.contracts.base import Column, Range, Table, Type
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.rules import NUMBERS, SENTENCES, WORDS, Kind, rules_of

EVERY_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
COUNTED = {Type.BIGINT, Type.INTEGER, Type.SMALLINT}

MADE = Table(
    name="made",
    description="Made for this.",
    columns=(
        Column("name", Type.TEXT, "A name.", accepted=("a", "b")),
        Column("at", Type.TIME, "When.", unit="UTC"),
        Column("until", Type.TIME, "Until when.", nullable=True, unit="UTC"),
        Column("price", Type.PRICE, "A price.", range=Range(0, is_above=True)),
        Column("share", Type.NUMBER, "A share.", nullable=True, range=Range(0, 1)),
        Column("count", Type.BIGINT, "A count.", range=Range(maximum=9)),
    ),
    key=("name", "count", "at"),
    owner="team:market-data",
    identity=("name", "count"),
    ordered=(("at", "until"),),
    in_order=("count", "at"),
)


def test_a_contract_becomes_these_rules() -> None:
    assert [(rule.kind.value, rule.told, rule.word, rule.is_blocking) for rule in rules_of(MADE)] == [
        ("null", "name is never null", "null", True),
        ("null", "at is never null", "null", True),
        ("null", "price is never null", "null", True),
        ("null", "count is never null", "null", True),
        ("accepted", "name is one of a, b", "range", True),
        ("range", "price > 0", "range", True),
        ("range", "share from 0 to 1", "range", True),
        ("range", "count <= 9", "range", True),
        ("finite", "price is finite", "range", True),
        ("finite", "share is finite", "range", True),
        ("ordered", "at <= until", "range", True),
        ("key", "(name, count, at) is there once", "key", True),
        ("identity", "(name, count) is there once", "duplicate", True),
        ("in_order", "at never steps back along count", "order", False),
    ]


def test_every_kind_has_a_sentence_and_every_sentence_a_word() -> None:
    assert set(SENTENCES) == set(Kind)
    assert set(SENTENCES.values()) <= set(WORDS)


@EVERY_TABLE
def test_every_rule_is_told_once_and_looks_at_columns_that_exist(table: Table) -> None:
    rules = rules_of(table)
    assert len({rule.told for rule in rules}) == len(rules)
    assert {name for rule in rules for name in rule.columns} <= set(table.column_names)


@EVERY_TABLE
def test_ranges_are_of_numbers_and_hold_a_value(table: Table) -> None:
    for column in table.columns:
        if column.range is not None:
            assert column.type in NUMBERS | COUNTED
            assert (column.range.minimum, column.range.maximum) != (None, None)
            assert column.range.maximum is None or (column.range.minimum or 0) < column.range.maximum


@EVERY_TABLE
def test_what_is_in_order_can_be_compared(table: Table) -> None:
    for low, high in table.ordered:
        assert table.column(low).type.sql == table.column(high).type.sql
    if table.in_order is not None:
        along, time = table.in_order
        assert (table.column(along).type, table.column(time).type) == (Type.BIGINT, Type.TIME)
        assert along in (table.identity or table.key)
