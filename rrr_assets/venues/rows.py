"""From columns of text to typed rows: every value checked, every row that fails refused with its reason.

Belongs here: what is true of any venue's trades and bars (numbers, times, sides, bounds). Does not: how a
file is cut into columns (csv_text, json_text), which column means what (the formats).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import PRICE, SIZE, parse_decimals, parse_integers
from rrr_assets.calc.identity import ORDINALS, Ordinals
from rrr_assets.contracts.parsed import AGG_TRADES, DEPTH, QUOTES, TRADES, UTC_MICROSECONDS, VENUE_BARS
from rrr_assets.venues.base import ParsedBatch, Reason, Refusals, TimeUnit
from rrr_assets.venues.names import INTERVAL_SECONDS, MONTH

Int64s = npt.NDArray[np.int64]
Sign = Literal["positive", "not negative"]

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND
FIRST_TIME: Final = 1_230_768_000 * SECOND  # 2009-01-01
PER_SECOND: Final[dict[TimeUnit, int]] = {"us": SECOND, "ns": 1000 * SECOND, "ms": 1000, "s": 1}
_CONTROLS: Final = r"[\x00-\x1f\x7f]"
_NANOSECOND_DECIMALS: Final = pa.decimal128(38, 9)


def last_time() -> int:
    """The latest time that is believed, microseconds since the epoch: a day from now, for clocks that run ahead."""
    return time.time_ns() // 1000 + DAY


def to_microseconds(value: int, latest: int) -> tuple[int, TimeUnit] | None:
    """A time in the unit that its magnitude says, floored to microseconds; None between 2009 and `latest` in no unit."""
    for unit, per_second in PER_SECOND.items():
        microseconds = value * SECOND // per_second
        if FIRST_TIME <= microseconds <= latest:
            return microseconds, unit
    return None


@dataclass(frozen=True)
class TextRows:
    """Rows as the source wrote them: `columns` are string arrays of equal length, null where a field is absent.

    `lines` is each row's physical line (or element of a JSON list), ascending; `raw` gives a line's raw text.
    """

    lines: Int64s
    columns: dict[str, pa.StringArray]
    raw: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row that cannot be cut into columns. `time` is the text at the place of its time, where the format looks for it."""

    line: int
    reason: Reason
    detail: str
    raw: str
    time: str | None = None


def refuse_misfits(misfits: Sequence[Misfit], instrument: str, refusals: Refusals) -> None:
    """Refuse the rows that could not be cut into columns, of a source that has ids."""
    for misfit in misfits:
        refusals.add(misfit.line, misfit.reason, misfit.detail, misfit.raw, instrument)


class Checks:
    """Reads the columns of some rows, and remembers for each row the first thing that is wrong with it.

    A value that could not be read comes back as null (or 0, in numpy arrays), its row is refused.
    """

    def __init__(self, rows: TextRows, latest: int) -> None:
        self.rows, self.latest = rows, latest
        self._wrong: dict[int, tuple[Reason, str]] = {}

    def refuse(self, bad: pa.BooleanArray | npt.NDArray[np.bool_], why: Callable[[int], tuple[Reason, str]]) -> None:
        """Refuse the rows of a mask (null counts as false) that nothing was wrong with so far."""
        if isinstance(bad, pa.BooleanArray):
            if not bad.true_count:
                return
            bad = bad.fill_null(False).to_numpy(zero_copy_only=False)
        for index in np.flatnonzero(bad).tolist():
            if index not in self._wrong:
                self._wrong[index] = why(index)

    def holds(self, column: str, index: int) -> str:
        """The start of a sentence on what stands in a column."""
        text = self.rows.columns[column][index].as_py()
        if text is None:
            return f"Field {column} is missing"
        return f"Column {column} holds '{text if len(text) <= 80 else text[:80] + '...'}'"

    def decimals(self, column: str, to: pa.Decimal128Type, sign: Sign, *, may_be_absent: bool = False) -> pa.Decimal128Array:
        """Exact decimals of the wanted sign; a field that is absent or empty is null where it may be."""
        texts = self.rows.columns[column]
        numbers = parse_decimals(texts, to)
        if numbers.null_count:
            unread = pc.is_null(numbers)
            if may_be_absent:
                unread = pc.and_(unread, pc.not_equal(texts, "").fill_null(False))
            self.refuse(unread, lambda index: self._no_decimal(column, index, to))
        zero = pa.scalar(Decimal(0), to)
        wrong = pc.less_equal(numbers, zero) if sign == "positive" else pc.less(numbers, zero)
        self.refuse(wrong, lambda index: (Reason.NOT_POSITIVE, f"{self.holds(column, index)}, which is not {_SIGNS[sign]}."))
        return numbers

    def _no_decimal(self, column: str, index: int, to: pa.Decimal128Type) -> tuple[Reason, str]:
        text = self.rows.columns[column][index].as_py()
        if text is None:
            return Reason.COLUMNS, f"{self.holds(column, index)}."
        if text.isascii() and text == text.strip() and "_" not in text:
            try:
                number = Decimal(text)
            except InvalidOperation:
                number = Decimal("NaN")
            if number.is_finite():
                integers = to.precision - to.scale
                return Reason.SCALE, f"{self.holds(column, index)}, which does not fit {integers} digits and {to.scale} decimals."
        return Reason.NOT_A_NUMBER, f"{self.holds(column, index)}, which is no decimal number."

    def integers(self, column: str, missing: Reason = Reason.NOT_A_NUMBER) -> Int64s:
        """Whole numbers that are not negative, 0 where refused (for the reason `missing`)."""
        numbers = parse_integers(self.rows.columns[column])
        values: Int64s = numbers.fill_null(-1).to_numpy(zero_copy_only=False)
        self.refuse(values < 0, lambda index: (missing, f"{self.holds(column, index)}, which is no whole number from 0 to 2^63-1."))
        return np.maximum(values, 0)

    def milli_or_microseconds(self, column: str) -> Int64s:
        """Times since the epoch as microseconds, each in the unit that its own magnitude says."""
        values: Int64s = parse_integers(self.rows.columns[column]).fill_null(0).to_numpy(zero_copy_only=False)
        is_ms = (values >= FIRST_TIME // 1000) & (values <= self.latest // 1000)
        is_us = (values >= FIRST_TIME) & (values <= self.latest)
        self.refuse(~(is_ms | is_us), lambda index: self._no_time(column, index, "milliseconds or microseconds"))
        return np.where(is_ms, values * 1000, np.where(is_us, values, 0))

    def decimal_seconds(self, column: str) -> Int64s:
        """Times since the epoch in seconds, with up to 9 decimals, as nanoseconds."""
        nanoseconds = nanoseconds_of(self.rows.columns[column], self.latest)
        self.refuse(nanoseconds < 0, lambda index: self._no_time(column, index, "seconds with up to 9 decimals"))
        return np.maximum(nanoseconds, 0)

    def _no_time(self, column: str, index: int, unit: str) -> tuple[Reason, str]:
        return Reason.TIME, f"{self.holds(column, index)}, which is no time between 2009 and a day from now in {unit}."

    def flags(self, column: str, true: Sequence[str], false: Sequence[str]) -> pa.BooleanArray:
        """Texts that say yes or no."""
        found = pc.index_in(self.rows.columns[column], value_set=pa.array([*true, *false], pa.string()))
        if found.null_count:
            self.refuse(pc.is_null(found), lambda index: (Reason.SIDE, f"{self.holds(column, index)}, neither {true[0]} nor {false[0]}."))
        return pc.less(found, len(true)).fill_null(False)

    def words(self, column: str) -> None:
        """Refuse texts that are kept as they are, and hold control characters: no database stores all of those."""
        odd = pc.match_substring_regex(self.rows.columns[column], _CONTROLS)
        self.refuse(odd, lambda _: (Reason.ENCODING, f"Column {column} holds control characters."))

    def finish(
        self, instrument: str | pa.StringArray, event_time: Int64s, sequence: Int64s | None, refusals: Refusals
    ) -> pa.BooleanArray | None:
        """Add the refused rows to `refusals`; returns the mask of the rows that are kept, None where all are."""
        if not self._wrong:
            return None
        kept = np.ones(len(self.rows.lines), np.bool_)
        for index, (reason, detail) in self._wrong.items():
            kept[index] = False
            line = int(self.rows.lines[index])
            refusals.add(
                line,
                reason,
                detail,
                self.rows.raw(line),
                instrument if isinstance(instrument, str) else instrument[index].as_py(),
                int(event_time[index]) or None,
                None if sequence is None or reason is Reason.MISSING_ID or not sequence[index] else int(sequence[index]),
            )
        return pa.array(kept)


_SIGNS: Final[dict[Sign, str]] = {"positive": "greater than 0", "not negative": "0 or greater"}


def nanoseconds_of(texts: pa.StringArray, latest: int) -> Int64s:
    """Seconds since the epoch as nanoseconds, exactly; -1 where a text is no time between 2009 and `latest`."""
    if not len(texts):
        return np.zeros(0, np.int64)
    numbers = parse_decimals(texts, _NANOSECOND_DECIMALS).fill_null(Decimal(-1))
    # A decimal of 9 decimals is the count of nanoseconds as a 128-bit integer: two words, the low one first.
    words = np.frombuffer(numbers.buffers()[1], np.int64, 2 * len(numbers), 16 * numbers.offset).reshape(-1, 2)
    low, high = words[:, 0], words[:, 1]
    return np.where((high == 0) & (low >= FIRST_TIME * 1000) & (low <= latest * 1000), low, -1)


def finer(nanoseconds: Int64s) -> pa.Int64Array:
    """The nanoseconds where they are finer than a microsecond, null elsewhere."""
    return pa.array(nanoseconds, mask=nanoseconds % 1000 == 0)


class OrdinalCounter:
    """Numbers rows that have no id by their place among the lines of their microsecond, over the batches of a file."""

    def __init__(self, latest: int) -> None:
        self._latest = latest
        self._ordinals = Ordinals()

    def number(self, rows: TextRows, nanoseconds: Int64s, misfits: Sequence[Misfit], refusals: Refusals, instrument: str) -> Int64s:
        """The ordinals of a batch's rows (times of 0 count as unreadable); its misfits are counted too, and refused."""
        times = nanoseconds_of(pa.array([misfit.time for misfit in misfits], pa.string()), self._latest)
        microseconds = np.maximum(np.concatenate([nanoseconds, times]) // 1000, 0)
        order = np.argsort(np.concatenate([rows.lines, np.array([misfit.line for misfit in misfits], np.int64)]), kind="stable")
        order = order[microseconds[order] > 0]
        ordinals = np.zeros(len(microseconds), np.int64)
        ordinals[order] = self._ordinals.number(microseconds[order])
        count = len(rows.lines)
        for misfit, microsecond, ordinal in zip(misfits, microseconds[count:].tolist(), ordinals[count:].tolist(), strict=True):
            sequence = microsecond * ORDINALS + ordinal if microsecond and ordinal < ORDINALS else None
            refusals.add(misfit.line, misfit.reason, misfit.detail, misfit.raw, instrument, microsecond or None, sequence)
        return ordinals[:count]


def ordinal_sequence(checks: Checks, microseconds: Int64s, ordinals: Int64s) -> Int64s:
    """microseconds * 4096 + ordinal; a row past the 4096th of its microsecond is refused."""
    checks.refuse(
        ordinals >= ORDINALS,
        lambda index: (
            Reason.ORDINAL_OVERFLOW,
            f"The row is number {int(ordinals[index]) + 1} of its microsecond, and {ORDINALS} can be told apart.",
        ),
    )
    return np.where(ordinals < ORDINALS, microseconds * ORDINALS + ordinals, 0)


@dataclass(frozen=True)
class TradeColumns:
    """The typed columns of trades, all as long as the rows; what is None is null for every row."""

    instrument: str | pa.StringArray
    sequence: Int64s
    event_time: Int64s
    price: pa.Decimal128Array
    size: pa.Decimal128Array
    is_sell: pa.BooleanArray | None
    event_time_ns: pa.Int64Array | None = None
    conditions: pa.ListArray | None = None
    received_at: pa.Int64Array | None = None


def trade_batch(checks: Checks, trades: TradeColumns, refusals: Refusals, passed_over: int) -> ParsedBatch:
    """The rows that stood every check, and the refused ones."""
    arrays = _trade_arrays(checks, trades)
    kept = checks.finish(trades.instrument, trades.event_time, trades.sequence, refusals)
    return ParsedBatch(_kept(arrays, TRADES, kept), refusals.batch(), passed_over)


def _trade_arrays(checks: Checks, trades: TradeColumns) -> list[pa.Array]:
    count = len(checks.rows.lines)
    name = trades.instrument
    return [
        pa.array(checks.rows.lines),
        pa.repeat(pa.scalar(name, pa.string()), count) if isinstance(name, str) else name,
        pa.array(trades.sequence),
        pa.array(trades.event_time).cast(UTC_MICROSECONDS),
        pa.nulls(count, pa.int64()) if trades.event_time_ns is None else trades.event_time_ns,
        trades.price,
        trades.size,
        pa.nulls(count, pa.string()) if trades.is_sell is None else pc.if_else(trades.is_sell, "sell", "buy"),
        pa.nulls(count, pa.list_(pa.string())) if trades.conditions is None else trades.conditions,
        pa.nulls(count, UTC_MICROSECONDS) if trades.received_at is None else trades.received_at.cast(UTC_MICROSECONDS),
    ]


def agg_trade_batch(
    checks: Checks, trades: TradeColumns, first_trade_id: Int64s, last_trade_id: Int64s, refusals: Refusals, passed_over: int
) -> ParsedBatch:
    """Aggregated trades, as `trade_batch` does plain ones; one whose last trade comes before its first is refused."""
    checks.refuse(
        last_trade_id < first_trade_id,
        lambda index: (Reason.MISSING_ID, f"Its last trade {last_trade_id[index]} comes before its first {first_trade_id[index]}."),
    )
    arrays = [*_trade_arrays(checks, trades), pa.array(first_trade_id), pa.array(last_trade_id)]
    kept = checks.finish(trades.instrument, trades.event_time, trades.sequence, refusals)
    return ParsedBatch(_kept(arrays, AGG_TRADES, kept), refusals.batch(), passed_over)


@dataclass(frozen=True)
class QuoteColumns:
    """The typed columns of quotes, all as long as the rows; what is None is null for every row."""

    instrument: str | pa.StringArray
    sequence: Int64s
    event_time: Int64s
    bid_price: pa.Decimal128Array
    ask_price: pa.Decimal128Array
    bid_size: pa.Decimal128Array | None = None
    ask_size: pa.Decimal128Array | None = None
    time_source: Literal["venue", "local"] | pa.StringArray = "venue"
    event_time_ns: pa.Int64Array | None = None
    received_at: pa.Int64Array | None = None


def quote_batch(checks: Checks, quotes: QuoteColumns, refusals: Refusals, passed_over: int) -> ParsedBatch:
    """Best bids and asks; one with neither side is refused."""
    checks.refuse(
        pc.and_(pc.is_null(quotes.bid_price), pc.is_null(quotes.ask_price)),
        lambda _: (Reason.COLUMNS, "It has neither a bid nor an ask."),
    )
    count = len(checks.rows.lines)
    name = quotes.instrument
    source = quotes.time_source
    arrays = [
        pa.array(checks.rows.lines),
        pa.repeat(pa.scalar(name, pa.string()), count) if isinstance(name, str) else name,
        pa.array(quotes.sequence),
        pa.array(quotes.event_time).cast(UTC_MICROSECONDS),
        pa.nulls(count, pa.int64()) if quotes.event_time_ns is None else quotes.event_time_ns,
        pa.repeat(pa.scalar(source, pa.string()), count) if isinstance(source, str) else source,
        quotes.bid_price,
        pa.nulls(count, SIZE) if quotes.bid_size is None else quotes.bid_size,
        quotes.ask_price,
        pa.nulls(count, SIZE) if quotes.ask_size is None else quotes.ask_size,
        pa.nulls(count, UTC_MICROSECONDS) if quotes.received_at is None else quotes.received_at.cast(UTC_MICROSECONDS),
    ]
    kept = checks.finish(name, quotes.event_time, quotes.sequence, refusals)
    return ParsedBatch(_kept(arrays, QUOTES, kept), refusals.batch(), passed_over)


@dataclass(frozen=True)
class DepthColumns:
    """The typed columns of depth messages; `bids` and `asks` are JSON lists of levels, [price, size] as text, as received."""

    instrument: str | pa.StringArray
    event_time: Int64s
    message: pa.StringArray
    first_update_id: pa.Int64Array
    last_update_id: Int64s
    bids: pa.StringArray
    asks: pa.StringArray
    time_source: Literal["venue", "local"] | pa.StringArray = "venue"
    received_at: pa.Int64Array | None = None


def depth_batch(checks: Checks, depth: DepthColumns, refusals: Refusals, passed_over: int) -> ParsedBatch:
    """Changes and snapshots of order books. Their levels were checked by whoever read them."""
    count = len(checks.rows.lines)
    name = depth.instrument
    source = depth.time_source
    # A delta and a snapshot may end at the same update.
    sequence = depth.last_update_id * 2 + pc.equal(depth.message, "snapshot").to_numpy(zero_copy_only=False)
    arrays = [
        pa.array(checks.rows.lines),
        pa.repeat(pa.scalar(name, pa.string()), count) if isinstance(name, str) else name,
        pa.array(sequence),
        pa.array(depth.event_time).cast(UTC_MICROSECONDS),
        pa.nulls(count, pa.int64()),
        pa.repeat(pa.scalar(source, pa.string()), count) if isinstance(source, str) else source,
        depth.message,
        depth.first_update_id,
        pa.array(depth.last_update_id),
        depth.bids,
        depth.asks,
        pa.nulls(count, UTC_MICROSECONDS) if depth.received_at is None else depth.received_at.cast(UTC_MICROSECONDS),
    ]
    kept = checks.finish(name, depth.event_time, sequence, refusals)
    return ParsedBatch(_kept(arrays, DEPTH, kept), refusals.batch(), passed_over)


@dataclass(frozen=True)
class BarColumns:
    """The typed columns of venue bars, all as long as the rows; what is None is null for every row."""

    bar_start: Int64s
    open: pa.Decimal128Array
    high: pa.Decimal128Array
    low: pa.Decimal128Array
    close: pa.Decimal128Array
    volume: pa.Decimal128Array
    is_closed: pa.BooleanArray
    trade_count: Int64s
    quote_volume: pa.Decimal128Array | None = None
    vwap: pa.Decimal128Array | None = None
    taker_buy_volume: pa.Decimal128Array | None = None
    taker_buy_quote_volume: pa.Decimal128Array | None = None


def bar_batch(checks: Checks, bars: BarColumns, instrument: str, interval: str, refusals: Refusals, passed_over: int) -> ParsedBatch:
    """The bars that stood every check, their bounds and their grid among them, and the refused ones."""
    count = len(checks.rows.lines)
    outside = pc.greater(bars.low, bars.high)
    for inner in (bars.open, bars.close):
        outside = pc.or_(outside, pc.or_(pc.less(inner, bars.low), pc.greater(inner, bars.high)))
    checks.refuse(
        outside,
        lambda index: (
            Reason.BAR_BOUNDS,
            f"Open {bars.open[index]} and close {bars.close[index]} do not lie between low {bars.low[index]} and high {bars.high[index]}.",
        ),
    )
    checks.refuse(
        _off_grid(bars.bar_start, interval),
        lambda index: (Reason.BAR_BOUNDS, f"Its start {bars.bar_start[index]} us is not on the grid of {interval}."),
    )
    arrays = [
        pa.array(checks.rows.lines),
        pa.repeat(pa.scalar(instrument, pa.string()), count),
        pa.repeat(pa.scalar(interval, pa.string()), count),
        pa.array(bars.bar_start).cast(UTC_MICROSECONDS),
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        pa.nulls(count, SIZE) if bars.quote_volume is None else bars.quote_volume,
        pa.nulls(count, PRICE) if bars.vwap is None else bars.vwap,
        pa.array(bars.trade_count),
        pa.nulls(count, SIZE) if bars.taker_buy_volume is None else bars.taker_buy_volume,
        pa.nulls(count, SIZE) if bars.taker_buy_quote_volume is None else bars.taker_buy_quote_volume,
        bars.is_closed,
    ]
    kept = checks.finish(instrument, bars.bar_start, None, refusals)
    return ParsedBatch(_kept(arrays, VENUE_BARS, kept), refusals.batch(), passed_over)


def _off_grid(bar_start: Int64s, interval: str) -> npt.NDArray[np.bool_]:
    """Bars of a day or less lie on multiples of their length; venues start longer ones on days of their own choice."""
    if interval == MONTH:
        days = bar_start.astype("datetime64[us]")
        return np.asarray(days != days.astype("datetime64[M]").astype("datetime64[us]"))
    return np.asarray(bar_start % min(INTERVAL_SECONDS[interval] * SECOND, DAY) != 0)


def _kept(arrays: list[pa.Array], schema: pa.Schema, kept: pa.BooleanArray | None) -> pa.RecordBatch:
    if kept is not None:
        arrays = [array.filter(kept) for array in arrays]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
