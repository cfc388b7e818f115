"""What Polygon's formats share (the venue is called Massive now): pairs, identity, conditions and times of its crypto trades.

Belongs here: rules that hold for its flat files and its WebSocket alike. Does not: how each of them is written (polygon_flat, polygon_ws).

A trade's id is unique on the exchange that it happened on, and Polygon puts many exchanges together: the identity is
exchange * 2^54 + id. Some exchanges give ids that are no numbers, or none. Then the rows that are read from a file have no ids at all,
and their place is their identity: two spaces in one day would double its volume.
https://massive.com/docs/crypto
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import PRICE, SIZE, parse_decimals, parse_integers
from rrr_assets.venues.base import ParsedBatch, Reason, Refusals, TimeUnit
from rrr_assets.venues.names import parse_instrument
from rrr_assets.venues.rows import (
    FIRST_TIME,
    PER_SECOND,
    SECOND,
    Checks,
    Int64s,
    TextRows,
    TradeColumns,
    finer,
    ordinal_sequence,
    trade_batch,
)
from rrr_assets.venues.rows_of_many import OrdinalsByInstrument, Placed, refuse_placed

POLYGON: Final = "polygon"
IDS_PER_EXCHANGE: Final = 1 << 54
EXCHANGES: Final = 1 << 9
_TICKER: Final = re.compile(r"X:([^\s:]+)")
_SELL, _BUY = "1", "2"
_QUOTIENT: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,3})?")
_WHOLE: Final = Decimal(10) ** (PRICE.precision - PRICE.scale)
_UNITS: Final[tuple[TimeUnit, ...]] = ("ms", "us", "ns")


@dataclass(frozen=True, slots=True)
class TradeNames:
    """What the columns of trades are called in one of the formats."""

    instrument: str
    time: str
    price: str
    size: str
    exchange: str
    id: str


@lru_cache(maxsize=65536)
def ticker_instrument(ticker: str) -> str | None:
    """The instrument of a crypto ticker such as `X:BTC-USD`; None for anything else."""
    found = _TICKER.fullmatch(ticker)
    return pair_instrument(found[1]) if found else None


@lru_cache(maxsize=65536)
def pair_instrument(pair: str) -> str | None:
    """The instrument of a pair such as `BTC-USD`; None for anything else."""
    try:
        return parse_instrument(f"{POLYGON}:{pair}")
    except ValueError:
        return None


def nanoseconds_of(texts: pa.StringArray, latest: int) -> Int64s:
    """Whole numbers since the epoch as nanoseconds, each in the unit that its magnitude says; -1 between 2009 and `latest` in none."""
    values: Int64s = parse_integers(texts).fill_null(-1).to_numpy(zero_copy_only=False)
    nanoseconds = np.full(len(values), -1, np.int64)
    for unit in _UNITS:
        is_unit = (values >= FIRST_TIME * PER_SECOND[unit] // SECOND) & (values <= latest * PER_SECOND[unit] // SECOND)
        nanoseconds = np.where(is_unit, values * (PER_SECOND["ns"] // PER_SECOND[unit]), nanoseconds)
    return nanoseconds


def unit_of(texts: Iterable[str | None], latest: int) -> TimeUnit | None:
    """The unit of the first of some texts that is a time; None where none is."""
    for text in texts:
        if text is not None and nanoseconds_of(pa.array([text], pa.string()), latest)[0] > 0:
            return _UNITS[(len(text.lstrip("0")) - 13) // 3]
    return None


def times(checks: Checks, column: str, nanoseconds: Int64s) -> Int64s:
    """The times of some rows as nanoseconds, those that could not be read refused and 0."""
    checks.refuse(
        nanoseconds < 0,
        lambda index: (Reason.TIME, f"{checks.holds(column, index)}, which is no time between 2009 and a day from now in ms, us or ns."),
    )
    return np.maximum(nanoseconds, 0)


def refuse_unnamed(checks: Checks, column: str, instruments: pa.StringArray) -> None:
    """Refuse the rows whose instrument is not known."""
    checks.refuse(
        pc.is_null(instruments), lambda index: (Reason.COLUMNS, f"{checks.holds(column, index)}, which is no pair such as BTC-USD.")
    )


def without_long_quotients(texts: pa.StringArray) -> pa.StringArray:
    """The texts of a volume-weighted price, null where one is a positive number with more decimals than a price has here.

    Polygon divides in floating point, so that such digits are no price of anybody's; nor may they cost the bar, nor be rounded.
    What is no number, not positive or too large stays, to be refused.
    """
    is_unread = pc.and_(pc.is_valid(texts), pc.is_null(parse_decimals(texts, PRICE)))
    if not is_unread.true_count:
        return texts
    found = [bool(unread) and _is_long_quotient(text) for unread, text in zip(is_unread.to_pylist(), texts.to_pylist(), strict=True)]
    return pc.if_else(pa.array(found, pa.bool_()), pa.scalar(None, pa.string()), texts)


def _is_long_quotient(text: str) -> bool:
    return _QUOTIENT.fullmatch(text) is not None and 0 < Decimal(text) < _WHOLE


def trade_ids(exchanges: pa.StringArray, ids: pa.StringArray) -> Int64s:
    """exchange * 2^54 + id, or -1 where either is missing, no number, or larger than its share of 63 bits."""
    exchange: Int64s = parse_integers(exchanges).fill_null(-1).to_numpy(zero_copy_only=False)
    number: Int64s = parse_integers(ids).fill_null(-1).to_numpy(zero_copy_only=False)
    fits = (exchange >= 0) & (exchange < EXCHANGES) & (number >= 0) & (number < IDS_PER_EXCHANGE)
    return np.where(fits, np.where(fits, exchange, 0) * IDS_PER_EXCHANGE + number, -1)


def has_trade_without_id(rows: TextRows, instruments: pa.StringArray, names: TradeNames, latest: int) -> bool:
    """Whether a trade is among them that is good but for its id. A row that is bad anyway says nothing of the others."""
    is_without = trade_ids(rows.columns[names.exchange], rows.columns[names.id]) < 0
    if not is_without.any():
        return False
    mask = pa.array(is_without)
    some = TextRows(rows.lines[is_without], {name: column.filter(mask) for name, column in rows.columns.items()}, rows.raw)
    checks = Checks(some, latest)
    _values(checks, instruments.filter(mask), nanoseconds_of(some.columns[names.time], latest), names)
    kept = checks.finish("", np.zeros(len(some.lines), np.int64), None, Refusals())
    return kept is None or bool(kept.true_count)


def _values(
    checks: Checks, instruments: pa.StringArray, nanoseconds: Int64s, names: TradeNames
) -> tuple[Int64s, pa.Decimal128Array, pa.Decimal128Array]:
    refuse_unnamed(checks, names.instrument, instruments)
    return (
        times(checks, names.time, nanoseconds),
        checks.decimals(names.price, PRICE, "positive"),
        checks.decimals(names.size, SIZE, "positive"),
    )


def trades(
    checks: Checks,
    names: TradeNames,
    instruments: pa.StringArray,
    conditions: pa.ListArray,
    ordinals: OrdinalsByInstrument | None,
    placed: Sequence[Placed],
    refusals: Refusals,
    passed_over: int,
    received_at: pa.Int64Array | None = None,
) -> ParsedBatch:
    """Trades by the venue's ids, or numbered by `ordinals` where the file has none.

    Args:
        checks: Rows with the columns that `names` names.
        names: What the columns are called.
        instruments: Of each row; null where it is not known.
        conditions: The codes of each row, as `rows_of_many.condition_lists` gives them.
        ordinals: Those of the file so far; None where its trades have ids.
        placed: The rows that could not be cut.
        refusals: What was refused so far.
        passed_over: See ParsedBatch.
        received_at: Receive times in microseconds.
    """
    found = nanoseconds_of(checks.rows.columns[names.time], checks.latest)
    nanoseconds, price, size = _values(checks, instruments, found, names)
    if ordinals is None:
        refuse_placed(placed, refusals)
        sequence = trade_ids(checks.rows.columns[names.exchange], checks.rows.columns[names.id])
        checks.refuse(
            sequence < 0,
            lambda index: (
                Reason.MISSING_ID,
                f"{checks.holds(names.exchange, index)}, {checks.holds(names.id, index).lower()}: no id of an exchange.",
            ),
        )
        sequence = np.maximum(sequence, 0)
    else:
        numbers = ordinals.number(checks.rows.lines, instruments, nanoseconds // 1000, placed, refusals)
        sequence = ordinal_sequence(checks, nanoseconds // 1000, numbers)
    columns = TradeColumns(
        instrument=instruments,
        sequence=sequence,
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        price=price,
        size=size,
        is_sell=_is_sell(conditions),
        conditions=conditions,
        received_at=received_at,
    )
    return trade_batch(checks, columns, refusals, passed_over)


def _is_sell(conditions: pa.ListArray) -> pa.BooleanArray:
    """Whether the seller was the aggressor: null where no code says so, or both do."""
    coded = pc.list_parent_indices(conditions), pc.list_flatten(conditions)
    sells, buys = (np.zeros(len(conditions), np.bool_) for _ in range(2))
    for code, said in ((_SELL, sells), (_BUY, buys)):
        said[coded[0].filter(pc.equal(coded[1], code)).to_numpy()] = True
    return pa.array(sells, mask=sells == buys)
