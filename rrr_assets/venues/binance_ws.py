"""Raw captures of Binance's WebSocket streams: a line is the local receive time and one message.

Belongs here: telling a capture's trades from everything else that was recorded with them, and reading them.
Does not: the other streams, which are passed over and counted.
https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.numbers import PRICE, SIZE
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Refusals, Source, SourceFacts, SourceRefused, TimeUnit
from rrr_assets.venues.binance import DEFAULT_UNIT, FALSE, MARKETS, TRUE, is_coin_margined, unit_of_times
from rrr_assets.venues.content import DAMAGED, Block, line_blocks, open_content, raw_lines, raw_text, slices, unchanged, unlike, verify
from rrr_assets.venues.json_text import Json, decode, text_of
from rrr_assets.venues.names import BINANCE, BINANCE_COINM, BINANCE_USDM, declared_days, given_instrument, instrument_name, venue_of
from rrr_assets.venues.rows import PER_SECOND, SECOND, Checks, TextRows, TradeColumns, last_time, to_microseconds, trade_batch

_LINE: Final = re.compile(rb"\s*([0-9]{9,19}(?:\.[0-9]{1,12})?):?[ \t]+(.*)", re.DOTALL)
_CLIENT: Final = re.compile(rb"\s*(wss?|https?)://")
_HEAD_LINE: Final = re.compile(r'[0-9]{9,19}(\.[0-9]+)?:?[ \t]+\{.*"(stream|e|lastUpdateId|u)"\s*:', re.MULTILINE)
_HEAD_OTHER: Final = re.compile(r'[0-9]{9,19}(\.[0-9]+)?:?[ \t]+\{.*"(product_id|product_ids)"\s*:', re.MULTILINE)
# Every trade has this in it, whatever the spaces, and few other messages have.
_MARK: Final = 'trade"'
_OTHER_STREAM: Final = r'"(stream|e)" ?: ?"[^"]+"|"lastUpdateId"'
_ORDINARY: Final = "MARKET"
_FEW_LINES: Final = 1000


class Capture:
    """The trades of a capture. Of one that holds several instruments, `Source.instrument` takes one."""

    name = "binance-ws"
    evidence: Evidence = "proven on real data"
    description = "Raw Binance WebSocket capture, a line is the local receive time and a message; takes the stream @trade"

    def recognises(self, head: str) -> bool:
        return bool(_HEAD_LINE.search(head)) and not _HEAD_OTHER.search(head)

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, MARKETS)
        content = verify(source)
        if not self.recognises(content.head):
            if _HEAD_OTHER.search(content.head):
                raise SourceRefused(source.name, "it looks like a capture of Coinbase, not of Binance", "No format here reads it.")
            raise unlike(source, self.name, content.head)
        if not content.ends_in_newline and not _is_whole(content.last_line):
            raise SourceRefused(source.name, f"it is truncated: its last line is '{raw_text(content.last_line)[:120]}'", DAMAGED)
        return SourceFacts(
            stream="trades",
            space="trade_id",
            time_unit=_unit_of_first_trade(source, given),
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, None),
            # Without one given it may hold any number of them, and only parsing it would tell.
            instrument=given,
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        given, latest = given_instrument(source, MARKETS), last_time()
        with open_content(source) as (stream, _):
            for block in line_blocks(source, stream):
                yield _parse(block, _sort_out(source, block, given, latest), latest)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


@dataclass(slots=True)
class _Messages:
    """The trade messages of a block, field by field, and what else was met in it."""

    # Line, receive time, instrument, conditions, and the texts of the fields t, p, q, T, m.
    trades: list[tuple[int, int, str, list[str] | None, str | None, str | None, str | None, str | None, str | None]] = field(
        default_factory=list
    )
    others: set[str] = field(default_factory=set)
    passed_over: int = 0
    refusals: Refusals = field(default_factory=Refusals)


def _unit_of_first_trade(source: Source, given: str | None) -> TimeUnit:
    """The unit of the first good trade's time, which a connection chooses for all; milliseconds where there is no trade.

    Reads no further than it must.

    Raises:
        SourceRefused: there are trades, but none of the instrument that was given.
    """
    latest, others = last_time(), set[str]()
    with open_content(source) as (stream, _):
        for block in line_blocks(source, stream):
            for some in slices(block, _FEW_LINES):
                messages = _sort_out(source, some, given, latest)
                others |= messages.others
                if unit := unit_of_times(trade[7] for trade in messages.trades):
                    return unit
    if given and others:
        raise SourceRefused(
            source.name,
            f"it holds trades of {', '.join(sorted(others)[:5])}, none of {given}",
            "Correct --instrument, or leave it away.",
        )
    return DEFAULT_UNIT


def _sort_out(source: Source, block: Block, given: str | None, latest: int) -> _Messages:
    """Sort a block's lines; those that are evidently of other streams are not decoded."""
    offsets = pa.array(block.starts, pa.int32())
    lines = pa.Array.from_buffers(pa.binary(), len(block.starts) - 1, [None, offsets.buffers()[1], pa.py_buffer(block.data)])
    is_candidate = pc.match_substring(lines, _MARK)
    is_evident = pc.and_not(pc.match_substring_regex(lines, _OTHER_STREAM), is_candidate)
    messages = _Messages(passed_over=is_evident.true_count)
    indices = np.flatnonzero(pc.invert(is_evident).to_numpy(zero_copy_only=False))
    starts, ends = block.starts[indices].tolist(), block.starts[indices + 1].tolist()
    for index, start, end in zip(indices.tolist(), starts, ends, strict=True):
        _take(source, messages, block.first_line + index, block.data[start:end], given, latest)
    return messages


def _parse(block: Block, messages: _Messages, latest: int) -> ParsedBatch:
    numbers, received, instruments, conditions, *texts = zip(*messages.trades, strict=True) if messages.trades else [()] * 9
    columns = {name: pa.array(values, pa.string()) for name, values in zip("tpqTm", texts, strict=True)}
    rows = TextRows(np.array(numbers, np.int64), columns, lambda line: raw_text(block.line(line)))
    checks = Checks(rows, latest)
    trades = TradeColumns(
        instrument=pa.array(instruments, pa.string()),
        sequence=checks.integers("t", Reason.MISSING_ID),
        event_time=checks.milli_or_microseconds("T"),
        price=checks.decimals("p", PRICE, "positive"),
        size=checks.decimals("q", SIZE, "positive"),
        # The buyer was the maker: the aggressor sold.
        is_sell=checks.flags("m", TRUE, FALSE),
        conditions=pa.array(conditions, pa.list_(pa.string())),
        received_at=pa.array(received, pa.int64()),
    )
    return trade_batch(checks, trades, messages.refusals, messages.passed_over)


def _take(source: Source, messages: _Messages, line: int, raw: bytes, given: str | None, latest: int) -> None:
    """Sort one line: a trade, another message, a line of the client's own, or refused."""
    parts = _LINE.match(raw)
    if parts is None:
        if not raw.strip() or _CLIENT.match(raw):
            messages.passed_over += 1
        else:
            messages.refusals.add(line, Reason.NOT_JSON, "The line is not a receive time and a JSON message.", raw_text(raw))
        return
    try:
        trade = _trade_of(decode(parts[2].decode().rstrip()))
    except UnicodeDecodeError:
        messages.refusals.add(line, Reason.ENCODING, "The line holds bytes that are no UTF-8.", raw_text(raw))
    except ValueError as error:
        messages.refusals.add(line, Reason.NOT_JSON, f"The message is no JSON ({error}).", raw_text(raw))
    else:
        if trade is None:
            messages.passed_over += 1
        else:
            _take_trade(source, messages, line, parts[1], trade, given, latest, raw)


def _take_trade(
    source: Source, messages: _Messages, line: int, clock: bytes, trade: dict[str, Json], given: str | None, latest: int, raw: bytes
) -> None:
    symbol, kind = trade.get("s"), trade.get("X")
    if not isinstance(symbol, str) or not symbol:
        messages.refusals.add(line, Reason.COLUMNS, "Field s, the symbol, is missing.", raw_text(raw))
        return
    if kind is not None and given is not None and venue_of(given) == BINANCE:
        found = f"the instrument was given as {given}, but its trades have X, which only those of futures have"
        raise SourceRefused(source.name, found, "Correct --instrument.", line)
    instrument = _instrument(symbol, given, has_kind=kind is not None)
    if given is not None and instrument != given:
        messages.others.add(instrument)
        messages.passed_over += 1
        return
    received = _received(clock, latest)
    if received is None:
        detail = f"The receive time '{clock.decode()}' is no time between 2009 and a day from now."
        messages.refusals.add(line, Reason.TIME, detail, raw_text(raw), instrument)
        return
    conditions = None if kind is None or kind == _ORDINARY else [(text_of(kind) or "").lower()]
    get = trade.get
    texts = text_of(get("t")), text_of(get("p")), text_of(get("q")), text_of(get("T")), text_of(get("m"))
    messages.trades.append((line, received, instrument, conditions, *texts))


def _trade_of(message: Json) -> dict[str, Json] | None:
    """The trade in a message of a combined stream or of a single one."""
    if not isinstance(message, dict):
        return None
    data = message.get("data", message)
    return data if isinstance(data, dict) and data.get("e") == "trade" else None


@lru_cache(maxsize=4096)
def _instrument(symbol: str, given: str | None, *, has_kind: bool) -> str:
    if given is not None:
        market = venue_of(given)
    elif is_coin_margined(symbol):
        market = BINANCE_COINM
    else:
        market = BINANCE_USDM if has_kind else BINANCE
    return instrument_name(market, symbol)


def _received(text: bytes, latest: int) -> int | None:
    """The receive time in microseconds, its unit told by its magnitude, finer digits cut off."""
    if b"." not in text:
        found = to_microseconds(int(text), latest)
        return found[0] if found else None
    found = to_microseconds(int(text.partition(b".")[0]), latest)
    return int(Decimal(text.decode()) * SECOND // PER_SECOND[found[1]]) if found else None


def _is_whole(raw: bytes) -> bool:
    if _CLIENT.match(raw):
        return True
    parts = _LINE.match(raw)
    try:
        return parts is not None and decode(parts[2].decode().rstrip()) is not None
    except ValueError:
        return False
