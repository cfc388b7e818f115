"""Rows of several instruments in one file: names, ordinals and bars for each of them; times of any unit, lists of words, empty sides.

Belongs here: what rows.py does for a file of one instrument, done row by row. Does not: which column holds what (the formats).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import SIZE, parse_decimals
from rrr_assets.calc.identity import ORDINALS, Ordinals
from rrr_assets.contracts.parsed import REFUSED_ROWS, VENUE_BARS
from rrr_assets.venues.base import ParsedBatch, Refusals, TimeUnit
from rrr_assets.venues.rows import FIRST_TIME, BarColumns, Checks, Int64s, Misfit, TextRows, bar_batch

NANOSECOND_DECIMALS: Final[dict[TimeUnit, int]] = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""Decimals that a time may have in each unit, down to a nanosecond."""
_UNNAMED: Final = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A row that could not be cut into columns, with what was understood of it all the same. Microseconds are 0 where unknown."""

    misfit: Misfit
    instrument: str | None
    microseconds: int


def refuse_placed(placed: Sequence[Placed], refusals: Refusals) -> None:
    """Refuse the rows that could not be cut into columns, of a source that has ids."""
    for one in placed:
        refusals.add(one.misfit.line, one.misfit.reason, one.misfit.detail, one.misfit.raw, one.instrument, one.microseconds or None)


class OrdinalsByInstrument:
    """Numbers rows that have no id by their place among the rows of their instrument and microsecond, over a whole file."""

    def __init__(self) -> None:
        self._counted: dict[str, Ordinals] = {}

    def number(
        self, lines: Int64s, instruments: pa.StringArray, microseconds: Int64s, placed: Sequence[Placed], refusals: Refusals
    ) -> Int64s:
        """The ordinals of a batch's rows; those of `placed` are counted too, and refused.

        A row without instrument (null) or time (0) counts for nobody, and gets 0.
        """
        names = pa.concat_arrays([instruments, pa.array([one.instrument for one in placed], pa.string())])
        times = np.concatenate([microseconds, np.array([one.microseconds for one in placed], np.int64)])
        places = np.concatenate([lines, np.array([one.misfit.line for one in placed], np.int64)])
        ordinals = np.zeros(len(places), np.int64)
        coded = names.dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        order = np.lexsort((places, codes))
        order = order[(codes[order] >= 0) & (times[order] > 0)]
        for group in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
            if len(group):
                name = coded.dictionary[int(codes[group[0]])].as_py()
                ordinals[group] = self._counted.setdefault(name, Ordinals()).number(times[group])
        count = len(lines)
        for one, ordinal in zip(placed, ordinals[count:].tolist(), strict=True):
            has_sequence = one.instrument is not None and one.microseconds and ordinal < ORDINALS
            refusals.add(
                one.misfit.line,
                one.misfit.reason,
                one.misfit.detail,
                one.misfit.raw,
                one.instrument,
                one.microseconds or None,
                one.microseconds * ORDINALS + ordinal if has_sequence else None,
            )
        return ordinals[:count]


def names_of(texts: pa.StringArray, name_of: Callable[[str], str | None]) -> pa.StringArray:
    """What a venue's words for its instruments mean, each word looked at once; null where nothing."""
    coded = texts.dictionary_encode()
    names = pa.array([name_of(text) for text in coded.dictionary.to_pylist()], pa.string())
    return names.take(coded.indices)


def only(rows: TextRows, kept: pa.BooleanArray) -> TextRows:
    """The rows of a mask, in which nothing is null."""
    mask = kept.to_numpy(zero_copy_only=False)
    return TextRows(rows.lines[mask], {name: column.filter(kept) for name, column in rows.columns.items()}, rows.raw)


def nanoseconds_since_epoch(texts: pa.StringArray, unit: TimeUnit, latest: int) -> Int64s:
    """Times since the epoch in some unit, with decimals down to the nanosecond, as nanoseconds.

    Args:
        texts: Decimal numbers.
        unit: What they count.
        latest: The latest time that is believed, in microseconds.

    Returns:
        -1 where a text is no time between 2009 and `latest`.
    """
    if not len(texts):
        return np.zeros(0, np.int64)
    numbers = parse_decimals(texts, pa.decimal128(38, NANOSECOND_DECIMALS[unit])).fill_null(Decimal(-1))
    # With these decimals it is the count of nanoseconds as a 128-bit integer: two words, the low one first.
    words = np.frombuffer(numbers.buffers()[1], np.int64, 2 * len(numbers), 16 * numbers.offset).reshape(-1, 2)
    low, high = words[:, 0], words[:, 1]
    return np.where((high == 0) & (low >= FIRST_TIME * 1000) & (low <= latest * 1000), low, -1)


def without_empty_sides(columns: dict[str, pa.StringArray], sides: Sequence[tuple[str, str | None]]) -> dict[str, pa.StringArray]:
    """Columns of quotes in which price and size of an empty side are null.

    A side is empty where its price is missing or its size is 0: then nothing is bid, or asked, whatever else stands there.

    Args:
        columns: Columns of text.
        sides: The names of price and size of each side; no size where the venue gives none.
    """
    changed = dict(columns)
    for price, size in sides:
        is_empty = pc.fill_null(pc.equal(columns[price], ""), fill_value=True)
        if size is not None:
            is_zero = pc.fill_null(
                pc.equal(parse_decimals(null_if_empty(columns[size]), SIZE), pa.scalar(Decimal(0), SIZE)), fill_value=False
            )
            is_empty = pc.or_(is_empty, is_zero)
            changed[size] = _null_where(is_empty, columns[size])
        changed[price] = _null_where(is_empty, columns[price])
    return changed


def condition_lists(texts: pa.StringArray, separator: str) -> pa.ListArray:
    """Lists of words, sorted, from texts in which they are joined; null where there is none. Each text is looked at once."""
    coded = texts.dictionary_encode()
    lists = [sorted({word for part in text.split(separator) if (word := part.strip())}) or None for text in coded.dictionary.to_pylist()]
    return pa.array(lists, pa.list_(pa.string())).take(coded.indices)


def null_if_empty(texts: pa.StringArray) -> pa.StringArray:
    """The texts, null where there is nothing in them."""
    return _null_where(pc.fill_null(pc.equal(texts, ""), fill_value=False), texts)


def _null_where(mask: pa.BooleanArray, texts: pa.StringArray) -> pa.StringArray:
    return pc.if_else(mask, pa.scalar(None, pa.string()), texts) if mask.true_count else texts


def bars_of_many(
    checks: Checks,
    bars: BarColumns,
    instruments: pa.StringArray,
    interval: str,
    refusals: Refusals,
    passed_over: int,
    trade_count: pa.Int64Array | None = None,
) -> ParsedBatch:
    """Bars as `bar_batch` makes them, of several instruments. Their `trade_count` is what is given here, null for every row if nothing."""
    batch = bar_batch(checks, bars, _UNNAMED, interval, refusals, passed_over)
    lines = checks.rows.lines
    rows = list(batch.rows.columns)
    at = pa.array(np.searchsorted(lines, batch.rows.column("line").to_numpy()))
    rows[VENUE_BARS.get_field_index("instrument")] = instruments.take(at)
    rows[VENUE_BARS.get_field_index("trade_count")] = (pa.nulls(len(lines), pa.int64()) if trade_count is None else trade_count).take(at)
    refused = list(batch.refused.columns)
    named = refused[REFUSED_ROWS.get_field_index("instrument")]
    is_unnamed = pc.fill_null(pc.equal(named, _UNNAMED), fill_value=False)
    if is_unnamed.true_count:
        among = np.searchsorted(lines, batch.refused.column("line").to_numpy())
        own = instruments.take(pa.array(np.minimum(among, len(lines) - 1)))
        refused[REFUSED_ROWS.get_field_index("instrument")] = pc.if_else(is_unnamed, own, named)
    return ParsedBatch(
        pa.RecordBatch.from_arrays(rows, schema=VENUE_BARS), pa.RecordBatch.from_arrays(refused, schema=REFUSED_ROWS), passed_over
    )
