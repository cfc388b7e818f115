"""The live schema against the contracts: whatever somebody changes by hand is told, by its name, and nothing else is."""

from collections.abc import Iterator

import psycopg
import pytest

from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.drift import drift, drift_result

SIDES = "alter table orders drop constraint orders_side_accepted; alter table orders add constraint orders_side_accepted check (side in {})"
# What is done, what undoes it, and what is told: table, kind, column, and words of the sentence.
CHANGES: dict[str, tuple[str, str, tuple[str, str, str | None, str]]] = {
    "a table that was dropped": (
        "alter table orders rename to old_orders",
        "alter table old_orders rename to orders",
        ("orders", "missing_table", None, "no such table"),
    ),
    "a column that was dropped": (
        "alter table gaps rename column cause to why",
        "alter table gaps rename column why to cause",
        ("gaps", "missing_column", "cause", "no such column"),
    ),
    "a column that was added": (
        "alter table instruments add column mood text",
        "alter table instruments drop column mood",
        ("instruments", "extra_column", "mood", "the contract has no such column"),
    ),
    "another type": (
        "alter table findings alter column broken type integer",
        "alter table findings alter column broken type bigint",
        ("findings", "type", "broken", "it is integer, not bigint"),
    ),
    "a scale that rounds": (
        "alter table bars_1m alter column volume type numeric(20, 8)",
        "alter table bars_1m alter column volume type numeric",
        ("bars_1m", "type", "volume", "it is numeric(20,8), not numeric"),
    ),
    "what may be null": (
        "alter table coverage alter column row_count drop not null",
        "alter table coverage alter column row_count set not null",
        ("coverage", "null", "row_count", "it may be null"),
    ),
    "a key that is gone": (
        "alter table bars_5m drop constraint bars_5m_key",
        "alter table bars_5m add constraint bars_5m_key primary key (instrument, bar_start)",
        ("bars_5m", "key", None, "its key is (), not (instrument, bar_start)"),
    ),
    "values that are no longer closed": (
        "alter table gaps drop constraint gaps_state_accepted",
        "alter table gaps add constraint gaps_state_accepted check (state in ('open', 'healing', 'healed', 'accepted'))",
        ("gaps", "accepted", "state", "no constraint gaps_state_accepted"),
    ),
    "a value more": (
        SIDES.format("('buy', 'sell', 'short')"),
        SIDES.format("('buy', 'sell')"),
        ("orders", "accepted", "side", "it takes buy, sell, short, not buy, sell"),
    ),
    "values that were never looked at": (
        SIDES.format("('buy', 'sell')") + " not valid",
        "alter table orders validate constraint orders_side_accepted",
        ("orders", "accepted", "side", "never proven"),
    ),
    "who may read": (
        "revoke select on bars_1d from rrr_analyst",
        "grant select on bars_1d to rrr_analyst",
        ("bars_1d", "grant", None, "rrr_analyst may not read it"),
    ),
    "who may write": (
        "grant update on bars_1d to rrr_analyst",
        "revoke update on bars_1d from rrr_analyst",
        ("bars_1d", "grant", None, "rrr_analyst may write it"),
    ),
    "a comment": (
        "comment on column gaps.cause is 'Whatever.'",
        "comment on column gaps.cause is '" + TABLES["gaps"].column("cause").comment + "'",
        ("gaps", "comment", "cause", "'Whatever.', not that of the contract"),
    ),
}


@pytest.fixture(scope="module")
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        yield connection


def test_a_database_as_it_was_migrated_has_no_drift(database: Database) -> None:
    assert drift(database) == []
    result = drift_result([])
    assert (result.broken, result.is_blocking) == (0, True)
    assert result.looked_at > len(TABLES)


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_by_hand_is_told(database: Database, owner: psycopg.Connection, change: str) -> None:
    do, undo, (table, what, column, words) = CHANGES[change]
    owner.execute(do)
    try:
        found = drift(database)
    finally:
        owner.execute(undo)
    # What has another name is one that is gone and one that came.
    told = [(each.table, each.what, each.column) for each in found if each.what == what or each.what != "extra_column"]
    assert told == [(table, what, column)]
    assert words in next(each.detail for each in found if each.what == what)
    assert next(each.told for each in found if each.what == what).startswith(table)
    assert drift_result(found).broken == 1
    assert drift(database) == []
