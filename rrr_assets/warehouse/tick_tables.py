"""The tables of ticks as the loader sees them: what each stream is stored in, and what makes two rows of one id the same.

Belongs here: what differs between trades, aggregated trades, quotes and depth. Does not: storing them (load.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from psycopg import sql

from rrr_assets.calc.numbers import plain
from rrr_assets.contracts.base import Table, Type
from rrr_assets.contracts.ticks import (
    AGG_TRADE_REVISIONS,
    DEPTH_REVISIONS,
    QUOTE_REVISIONS,
    RAW_AGG_TRADES,
    RAW_DEPTH,
    RAW_QUOTES,
    RAW_TRADES,
    TRADE_REVISIONS,
)
from rrr_assets.warehouse.sqlfiles import query

_STAMPS: Final = ("known_at", "batch_id")
CONSECUTIVE: Final = frozenset({"trade_id", "aggregate_id"})
"""Spaces in which a jump says that something is missing."""


@dataclass(frozen=True)
class TickTable:
    """One stream's table. `values` are the columns that two tellings of one row must agree in."""

    stream: str
    table: Table
    revisions: Table
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.table.name

    @cached_property
    def stored(self) -> tuple[str, ...]:
        """The columns that a source fills, in the order of the table."""
        return tuple(name for name in self.table.column_names if name not in _STAMPS)

    @cached_property
    def scaled(self) -> tuple[tuple[str, int], ...]:
        """The columns that an instrument's scales hold, each with 0 for the price's scale and 1 for the size's."""
        kinds = {Type.PRICE: 0, Type.SIZE: 1}
        return tuple((column.name, kinds[column.type]) for column in self.table.columns if column.type in kinds)

    def sql(self, name: str) -> sql.Composed:
        """A query file with this table's names put in."""
        return sql.SQL(query(name)).format(
            table=sql.Identifier(self.table.name),
            revisions=sql.Identifier(self.revisions.name),
            columns=_columns(self.stored),
            judged_columns=_columns(self.stored, "j"),
            same_as_stored=_same("i", "t", self.values),
            same_as_ended=_same("e", "n", self.values),
            same_as_first=_same("later", "first", self.values),
            stored_values=_renamed(self.values, "t"),
            told_values=_columns(self.values, "j"),
            kept_values=_columns([f"stored_{value}" for value in self.values], "j"),
            kept_names=_columns([f"stored_{value}" for value in self.values]),
            first_values=_columns(self.values, "first"),
        )

    def tell(self, values: Sequence[Any]) -> str:
        """A row's values for a person, in the order of `values`."""
        told = dict(zip(self.values, values, strict=True))
        if "price" in told:
            return f"{plain(told['price'])} x {plain(told['size'])} {told['side']}"
        return ", ".join(f"{name} {plain(value) if isinstance(value, Decimal) else value}" for name, value in told.items())


def _columns(names: Sequence[str], of: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) if of is None else sql.Identifier(of, name) for name in names)


def _renamed(names: Sequence[str], of: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{} as {}").format(sql.Identifier(of, name), sql.Identifier(f"stored_{name}")) for name in names)


def _same(left: str, right: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("({} is not distinct from {})").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in names
    )


_TRADE: Final = ("price", "size", "side", "conditions")
TICK_TABLES: Final[dict[str, TickTable]] = {
    kind.stream: kind
    for kind in (
        TickTable("trades", RAW_TRADES, TRADE_REVISIONS, _TRADE),
        TickTable("agg_trades", RAW_AGG_TRADES, AGG_TRADE_REVISIONS, (*_TRADE, "first_trade_id", "last_trade_id")),
        TickTable("quotes", RAW_QUOTES, QUOTE_REVISIONS, ("bid_price", "bid_size", "ask_price", "ask_size")),
        TickTable("depth", RAW_DEPTH, DEPTH_REVISIONS, ("message", "first_update_id", "last_update_id", "bids", "asks")),
    )
}
"""By stream."""
