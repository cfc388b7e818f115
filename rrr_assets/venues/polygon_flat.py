"""Polygon's flat files of crypto: a day's trades, or its minute or day aggregates, of all pairs, as CSV in gzip.

Belongs here: their columns and their names. Does not: what Polygon's formats share (polygon).
https://massive.com/docs/flat-files/crypto/overview
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.decimals import PRICE, SIZE
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused, Space, Stream, TimeUnit
from rrr_assets.venues.content import line_blocks, open_content, raw_lines, read_head, unchanged, unlike, verify
from rrr_assets.venues.csv_text import CsvRows, data_lines, header_names, refuse_cut_last_line
from rrr_assets.venues.names import base_name, declared_days, given_instrument, interval_in_name
from rrr_assets.venues.polygon import (
    POLYGON,
    TradeNames,
    has_trade_without_id,
    nanoseconds_of,
    refuse_unnamed,
    ticker_instrument,
    times,
    trades,
    unit_of,
)
from rrr_assets.venues.quoted_csv import COMMA, cut_quoted, fields, plain_line
from rrr_assets.venues.rows import DAY, BarColumns, Checks, TextRows, last_time
from rrr_assets.venues.rows_of_many import OrdinalsByInstrument, Placed, bars_of_many, condition_lists, names_of, only, refuse_placed

# As published; a header may have them in another order, and others besides.
_TRADE: Final = ("ticker", "conditions", "exchange", "id", "participant_timestamp", "price", "size")
_BAR: Final = ("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions")
_PUBLISHED: Final = {name.replace("_", ""): name for name in (*_TRADE, *_BAR)}
_TIME: Final[dict[Stream, str]] = {"trades": "participant_timestamp", "venue_bars": "window_start"}
_NAMES: Final = TradeNames("ticker", "participant_timestamp", "price", "size", "exchange", "id")
_NUMBER: Final = r"[0-9.eE+-]+"
_TRADE_ROW: Final = re.compile(rf'X:[^,]+,("[^"]*"|[^,]*),\d*,[^,]*,\d{{13,19}},{_NUMBER},{_NUMBER}')
_BAR_ROW: Final = re.compile(rf"X:[^,]+(,{_NUMBER}){{5}},\d{{13,19}},\d+")
_LAST_FIELD: Final = re.compile(r'"?[^",]+"?')
_NAME: Final = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_NAMED_INTERVAL: Final = {"minute": "1m", "day": "1d"}
_KIND: Final = re.compile(r"(minute|day)_agg", re.IGNORECASE)


class Flat:
    """One of the files: its header says whether it is of trades or of bars. Of its pairs, `Source.instrument` takes one."""

    name = "polygon-flat"
    evidence: Evidence = "built from the specification"
    description = "Polygon (Massive) crypto flat file, trades or minute or day aggregates of all pairs: csv.gz of a day"

    def recognises(self, head: str) -> bool:
        layout = _layout(head)
        return layout is not None and layout.other_ticker is None

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, [POLYGON])
        content = verify(source)
        layout = _layout(content.head)
        if layout is None:
            raise unlike(source, self.name, content.head)
        if layout.other_ticker is not None:
            raise SourceRefused(
                source.name, f"its tickers, such as '{layout.other_ticker}', are not of crypto", "Load a file of crypto: X:BTC-USD."
            )
        if source.stream not in {None, layout.stream}:
            raise SourceRefused(source.name, f"it holds {layout.stream} and nothing else", f"Ask for the stream {layout.stream}.")
        refuse_cut_last_line(source, content, _LAST_FIELD, [len(layout.names)])
        scanned = _scan(source, layout, given)
        is_trades = layout.stream == "trades"
        space: Space = "ordinal" if scanned.lacks_ids else "exchange_trade_id"
        return SourceFacts(
            stream=layout.stream,
            space=space if is_trades else None,
            time_unit=scanned.time_unit,
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, _named_day(source)),
            interval=None if is_trades else _interval(source, scanned),
            # Without one given it holds any number of them.
            instrument=given,
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        layout = _layout(read_head(source)[0])
        if layout is None or layout.stream != facts.stream:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        latest = last_time()
        ordinals = OrdinalsByInstrument() if facts.space == "ordinal" else None
        for block in _blocks(source, layout, given_instrument(source, [POLYGON]), latest):
            if facts.interval is None:
                checks = Checks(block.rows, latest)
                # Codes in one field are joined by commas, and by semicolons in older files.
                conditions = condition_lists(pc.replace_substring(block.rows.columns["conditions"], ";", COMMA), COMMA)
                yield trades(checks, _NAMES, block.instruments, conditions, ordinals, block.placed, Refusals(), block.passed_over)
            else:
                yield _bars(block, facts.interval, latest)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


@dataclass(frozen=True, slots=True)
class _Layout:
    stream: Stream
    names: tuple[str, ...]
    header: tuple[str, ...] | None  # as `csv_text.header_names` spells it
    other_ticker: str | None  # one of something else than crypto, where all that was seen are


@dataclass(frozen=True, slots=True)
class _Block:
    """What a block of lines holds, of the instruments that are wanted."""

    rows: TextRows
    instruments: pa.StringArray
    placed: list[Placed]
    passed_over: int
    others: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Scanned:
    """What only reading the whole file tells."""

    lacks_ids: bool
    time_unit: TimeUnit
    rows: int
    off_midnight: int


def _layout(head: str) -> _Layout | None:
    lines = data_lines(head)
    if not lines:
        return None
    header = header_names(plain_line(lines[0]))
    published: tuple[tuple[Stream, tuple[str, ...], re.Pattern[str]], ...] = (
        ("trades", _TRADE, _TRADE_ROW),
        ("venue_bars", _BAR, _BAR_ROW),
    )
    for stream, names, _ in published:
        columns = tuple(_PUBLISHED.get(name, name) for name in header)
        if set(names) <= set(columns) and len(set(columns)) == len(columns):
            at = header.index("ticker")
            tickers = [cells[at] for line in lines[1:] if len(cells := fields(line)) == len(header)]
            is_crypto = not tickers or any(ticker_instrument(ticker) for ticker in tickers)
            return _Layout(stream, columns, header, None if is_crypto else tickers[0][:40])
    # Most of the rows decide: a line of another file may have got in.
    counts = [sum(1 for line in lines if row.fullmatch(line)) for _, _, row in published]
    stream, names, _ = published[counts.index(max(counts))]
    return _Layout(stream, names, None, None) if max(counts) else None


def _blocks(source: Source, layout: _Layout, given: str | None, latest: int) -> Iterator[_Block]:
    headers = [layout.header] if layout.header else []
    wanted = _TRADE if layout.stream == "trades" else _BAR
    with open_content(source) as (stream, _):
        for block in line_blocks(source, stream):
            found = cut_quoted(block, layout.names, wanted, headers)
            yield _narrowed(found, layout, given, latest)


def _narrowed(found: CsvRows, layout: _Layout, given: str | None, latest: int) -> _Block:
    """The rows of the instrument that was given, or all, and those of which nobody knows."""
    rows, passed_over = found.rows, found.passed_over
    instruments = names_of(rows.columns["ticker"], ticker_instrument)
    placed = [Placed(misfit, *_place(misfit.raw, layout, latest)) for misfit in found.misfits]
    if given is None:
        return _Block(rows, instruments, placed, passed_over, frozenset())
    kept = pc.fill_null(pc.equal(instruments, given), fill_value=True)
    others = frozenset(pc.unique(instruments.filter(pc.invert(kept))).to_pylist())
    mine = [one for one in placed if one.instrument in {None, given}]
    passed_over += len(rows.lines) - kept.true_count + len(placed) - len(mine)
    return _Block(only(rows, kept), instruments.filter(kept), mine, passed_over, others)


def _place(raw: str, layout: _Layout, latest: int) -> tuple[str | None, int]:
    """The instrument and the microsecond of a line with other columns than it should have, where they stand in their places."""
    cells = dict(zip(layout.names, fields(raw), strict=False))
    nanoseconds = nanoseconds_of(pa.array([cells.get(_TIME[layout.stream], "")], pa.string()), latest)
    return ticker_instrument(cells.get("ticker", "")), max(int(nanoseconds[0]), 0) // 1000


def _scan(source: Source, layout: _Layout, given: str | None) -> _Scanned:
    """Read the file to its end.

    Raises:
        SourceRefused: it holds nothing of the instrument that was given.
    """
    latest = last_time()
    unit: TimeUnit | None = None
    lacks_ids, rows, off_midnight = False, 0, 0
    others: frozenset[str] = frozenset()
    for block in _blocks(source, layout, given, latest):
        if len(others) < _FEW:
            others |= block.others
        texts = block.rows.columns[_TIME[layout.stream]]
        unit = unit or unit_of(texts[:_FEW].to_pylist(), latest)
        if layout.stream == "trades":
            rows += len(block.rows.lines)
            lacks_ids = lacks_ids or has_trade_without_id(block.rows, block.instruments, _NAMES, latest)
        else:
            starts = nanoseconds_of(texts, latest)
            rows += int(np.count_nonzero(starts > 0))
            off_midnight += int(np.count_nonzero((starts > 0) & (starts % (DAY * 1000) != 0)))
    if given is not None and not rows and others:
        raise SourceRefused(
            source.name, f"it holds {', '.join(sorted(others)[:5])}, and nothing of {given}", "Correct --instrument, or leave it away."
        )
    return _Scanned(lacks_ids, unit or "ns", rows, off_midnight)


_FEW: Final = 1000


def _named_day(source: Source) -> tuple[date, date] | None:
    """The day in a name such as `2024-01-02.csv.gz`."""
    found = _NAME.findall(base_name(source.name))
    if len(found) != 1:
        return None
    try:
        day = date.fromisoformat(found[0])
    except ValueError as error:
        raise SourceRefused(source.name, f"{found[0]} in its name is no day", "Give the file its right name.") from error
    return day, day + timedelta(days=1)


def _interval(source: Source, scanned: _Scanned) -> str:
    """Minutes or days, by the file's name or by where its bars start.

    Raises:
        SourceRefused: they contradict each other, or neither tells.
    """
    kind = _KIND.search(source.name)
    named = _NAMED_INTERVAL[kind[1].lower()] if kind else interval_in_name(source.name)
    if named not in {None, *_NAMED_INTERVAL.values()}:
        raise SourceRefused(source.name, f"it is named for bars of {named}, which these files never hold", "Give the file its right name.")
    if named == "1d" and 2 * scanned.off_midnight > scanned.rows:
        raise SourceRefused(source.name, "it is named for bars of 1d, but they start within the day", "Give the file its right name.")
    if named is not None:
        return named
    if not scanned.off_midnight:
        return "1d"
    if 2 * scanned.off_midnight > scanned.rows:
        return "1m"
    raise SourceRefused(
        source.name, "some of its bars start at midnight and some do not, so their interval is not known", "Put 1m or 1d into its name."
    )


def _bars(block: _Block, interval: str, latest: int) -> ParsedBatch:
    refusals = Refusals()
    refuse_placed(block.placed, refusals)
    checks = Checks(block.rows, latest)
    refuse_unnamed(checks, "ticker", block.instruments)
    nanoseconds = times(checks, "window_start", nanoseconds_of(block.rows.columns["window_start"], latest))
    checks.refuse(
        nanoseconds % 1000 != 0, lambda index: (Reason.BAR_BOUNDS, f"{checks.holds('window_start', index)}, not the start of a bar.")
    )
    open_, close, high, low = (checks.decimals(name, PRICE, "positive") for name in ("open", "close", "high", "low"))
    transactions = checks.integers("transactions")
    columns = BarColumns(
        bar_start=nanoseconds // 1000,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=checks.decimals("volume", SIZE, "not negative"),
        is_closed=pa.repeat(pa.scalar(value=True), len(block.rows.lines)),
        trade_count=transactions,
    )
    return bars_of_many(checks, columns, block.instruments, interval, refusals, block.passed_over, pa.array(transactions))
