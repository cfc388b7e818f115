"""Kraken's public REST answers, saved as files: `/0/public/Trades` and `/0/public/OHLC`.

Belongs here: their envelope, their rows, their exact times. Does not: Kraken's WebSocket or CSV, which list
no empty minutes where this does.
https://docs.kraken.com/api/docs/rest-api/get-recent-trades
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from rrr_assets.calc.decimals import PRICE, SIZE
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused
from rrr_assets.venues.content import unchanged, unlike, verify
from rrr_assets.venues.json_text import BATCH_ROWS, Json, Number, raw_elements, read_document, text_of, text_rows
from rrr_assets.venues.names import (
    INTERVAL_SECONDS,
    KRAKEN,
    agreed_instrument,
    declared_days,
    given_instrument,
    interval_in_name,
    parse_instrument,
)
from rrr_assets.venues.rows import (
    BarColumns,
    Checks,
    OrdinalCounter,
    TextRows,
    TradeColumns,
    bar_batch,
    finer,
    last_time,
    ordinal_sequence,
    refuse_misfits,
    trade_batch,
)

_ANSWER: Final = re.compile(r'\s*\{\s*"(error|result)"\s*:')
_TRADE: Final = ("price", "volume", "time", "side", "type", "misc")
_TRADE_WITH_ID: Final = (*_TRADE, "trade_id")
_BAR: Final = ("time", "open", "high", "low", "close", "vwap", "volume", "count")
_INTERVALS: Final = ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "15d")
_TIME_DIGITS: Final = 10  # of a time in whole seconds
_TYPES: Final = {"m": "market", "l": "limit"}


class Rest:
    """One page of an answer: it claims no day, and its last bar was still open."""

    name = "kraken-rest"
    evidence: Evidence = "built from the specification"
    description = "Kraken REST answer, Trades or OHLC: a JSON object with error and result"

    def recognises(self, head: str) -> bool:
        return bool(_ANSWER.match(head))

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, [KRAKEN])
        content = verify(source)
        if not self.recognises(content.head):
            if content.head.lstrip().startswith("[["):
                raise SourceRefused(
                    source.name, "it is a list without the envelope of an answer", 'Save the whole answer, {"error": ..., "result": ...}.'
                )
            raise unlike(source, self.name, content.head)
        pair, elements = _answer(source)
        is_bars = _is_bars(elements)
        return SourceFacts(
            stream="venue_bars" if is_bars else "trades",
            space=None if is_bars else ("trade_id" if _has_ids(elements) else "ordinal"),
            time_unit="s",
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, None),
            interval=_interval(source, elements) if is_bars else None,
            instrument=agreed_instrument(source, given, _instrument(source, pair)),
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        if facts.instrument is None:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        _, elements = _answer(source)
        latest = last_time()
        counter = OrdinalCounter(latest)
        for first in range(0, len(elements), BATCH_ROWS):
            some = elements[first : first + BATCH_ROWS]
            if facts.interval is not None:
                yield _bars(some, first + 1, facts.instrument, facts.interval, latest, open_line=len(elements))
            elif facts.space == "trade_id":
                yield _trades(some, first + 1, facts.instrument, latest, None)
            else:
                yield _trades(some, first + 1, facts.instrument, latest, counter)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_elements(_answer(source)[1], lines)


def _answer(source: Source) -> tuple[str, list[Json]]:
    """The pair and its rows."""
    document = read_document(source)
    if not isinstance(document, dict):
        raise SourceRefused(source.name, "it is no answer of this venue", "Save the venue's answer as it is.")
    if errors := document.get("error"):
        said = ", ".join(text_of(error) or "" for error in errors) if isinstance(errors, list) else text_of(errors)
        raise SourceRefused(source.name, f"it is the venue's error {said}", "Ask the venue again.")
    result = document.get("result")
    pairs = {name: rows for name, rows in result.items() if isinstance(rows, list)} if isinstance(result, dict) else {}
    if len(pairs) != 1:
        raise SourceRefused(source.name, f"its result is of {len(pairs)} pairs where one is expected", "Save the answer for one pair.")
    [(pair, rows)] = pairs.items()
    if not rows:
        raise SourceRefused(source.name, "its list is empty: the venue had nothing to answer", "There is nothing to load.")
    return pair, rows


def _instrument(source: Source, pair: str) -> str:
    try:
        return parse_instrument(f"{KRAKEN}:{pair}")
    except ValueError as error:
        raise SourceRefused(
            source.name, f"its result is of '{pair[:40]}', which is no pair", "Save the venue's answer as it is."
        ) from error


def _is_bars(elements: list[Json]) -> bool:
    """Bars start with their time, a number; trades start with their price, a string. Most of the rows decide, as below."""
    rows = [row for row in elements if isinstance(row, list)]
    bars = sum(1 for row in rows if len(row) == len(_BAR) and isinstance(row[0], Number))
    return bars >= max(sum(1 for row in rows if len(row) in {len(_TRADE), len(_TRADE_WITH_ID)}), 1)


def _has_ids(elements: list[Json]) -> bool:
    """Old answers give no ids. Most of the rows decide: a single one may be damaged."""
    widths = [len(row) for row in elements if isinstance(row, list)]
    return widths.count(len(_TRADE_WITH_ID)) >= max(widths.count(len(_TRADE)), 1)


def _interval(source: Source, elements: list[Json]) -> str:
    """By the grid that most of the bars lie on, or the file's name where there is one bar.

    Raises:
        SourceRefused: neither tells, or they contradict each other.
    """
    starts = [row[0] for row in elements if isinstance(row, list) and row and isinstance(row[0], Number)]
    times = sorted({int(start) for start in starts if start.isdecimal() and len(start) <= _TIME_DIGITS})
    # Not by the least step between them: a single damaged time would make one. Of the bars on a grid, the next coarser holds half at most.
    on_grid = {name: sum(1 for time in times if time % INTERVAL_SECONDS[name] == 0) for name in _INTERVALS}
    finest = on_grid[_INTERVALS[0]]
    fitting = [name for name, count in on_grid.items() if 4 * count > 3 * finest]
    measured = fitting[-1] if len(times) > 1 and 2 * finest > len(times) else None
    named = interval_in_name(source.name)
    if named is not None and measured is not None and named != measured:
        raise SourceRefused(source.name, f"it is named for bars of {named}, but holds bars of {measured}", "Give the file its right name.")
    interval = measured or named
    if interval is None:
        raise SourceRefused(source.name, "the interval of its bars is not known", "Name it PAIR-INTERVAL, such as XBTUSD-1m.json.")
    return interval


def _trades(elements: list[Json], first_line: int, instrument: str, latest: int, counter: OrdinalCounter | None) -> ParsedBatch:
    """Trades with the venue's ids, or numbered by `counter` where an answer has none."""
    rows, misfits = text_rows(elements, first_line, _TRADE_WITH_ID if counter is None else _TRADE, time=2)
    refusals = Refusals()
    checks = Checks(rows, latest)
    nanoseconds = checks.decimal_seconds("time")
    if counter is None:
        refuse_misfits(misfits, instrument, refusals)
        sequence = checks.integers("trade_id", Reason.MISSING_ID)
    else:
        sequence = ordinal_sequence(checks, nanoseconds // 1000, counter.number(rows, nanoseconds, misfits, refusals, instrument))
    checks.words("type")
    checks.words("misc")
    columns = TradeColumns(
        instrument=instrument,
        sequence=sequence,
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        price=checks.decimals("price", PRICE, "positive"),
        size=checks.decimals("volume", SIZE, "positive"),
        is_sell=checks.flags("side", ["s"], ["b"]),
        conditions=_conditions(rows),
    )
    return trade_batch(checks, columns, refusals, 0)


def _conditions(rows: TextRows) -> pa.ListArray:
    kinds, miscs = rows.columns["type"].to_pylist(), rows.columns["misc"].to_pylist()
    words = (sorted({word for word in (_TYPES.get(kind, kind), misc) if word}) for kind, misc in zip(kinds, miscs, strict=True))
    return pa.array([found or None for found in words], pa.list_(pa.string()))


def _bars(elements: list[Json], first_line: int, instrument: str, interval: str, latest: int, open_line: int) -> ParsedBatch:
    rows, misfits = text_rows(elements, first_line, _BAR)
    refusals = Refusals()
    refuse_misfits(misfits, instrument, refusals)
    checks = Checks(rows, latest)
    bar_start = checks.decimal_seconds("time") // 1000
    open_, high, low, close = (checks.decimals(name, PRICE, "positive") for name in ("open", "high", "low", "close"))
    columns = BarColumns(
        bar_start=bar_start,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=checks.decimals("volume", SIZE, "not negative"),
        vwap=checks.decimals("vwap", PRICE, "not negative"),
        trade_count=checks.integers("count"),
        is_closed=pa.array(np.not_equal(rows.lines, open_line)),
    )
    return bar_batch(checks, columns, instrument, interval, refusals, 0)
