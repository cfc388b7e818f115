"""Raw captures of the Coinbase Exchange WebSocket feed: matches as trades, tickers as quotes.

Belongs here: what these messages mean. Does not: what captures of any venue share (capture); the order book, whose changes
carry no update ids and are passed over, like every other message.
A ticker carries the time of the match that it tells, and the best bid and ask after it. The ticker that answers a subscription
tells the last match before it, however old: its quote is newer than its time, and could be used from when it was received.
https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa

from rrr_assets.calc.decimals import PRICE, SIZE
from rrr_assets.venues.base import Evidence, ParsedBatch, Reason, Source, SourceFacts, Stream, TimeUnit
from rrr_assets.venues.capture import FOREIGN, Int8s, Message, Sorted, batches, by_look, extract, facts_of, instrument_of, refuse_cut
from rrr_assets.venues.content import Block, raw_lines, unlike, verify
from rrr_assets.venues.json_text import Json, text_of
from rrr_assets.venues.names import given_instrument
from rrr_assets.venues.rows import FIRST_TIME, Checks, Int64s, QuoteColumns, TradeColumns, finer, quote_batch, trade_batch
from rrr_assets.venues.rows_of_many import without_empty_sides

_COINBASE: Final = "coinbase"
_STREAMS: Final[tuple[Stream, ...]] = ("trades", "quotes")
_TYPES: Final[dict[str, Stream]] = {"match": "trades", "last_match": "trades", "ticker": "quotes"}
_HEAD_LINE: Final = re.compile(r'[0-9]{9,19}(\.[0-9]+)?:?[ \t]+\{.*"(product_id|product_ids)"\s*:', re.MULTILINE)
# Without a receive time before it, the message itself must say more.
_HEAD_MESSAGE: Final = re.compile(r'^[ \t]*\{(?=.*"type"\s*:\s*"[a-z_0-9]+")(?=.*"product_ids?"\s*:)(?!.*"channel"\s*:)', re.MULTILINE)
_TYPE: Final = r'"type"\s*:\s*"(?P<type>[^"]*)"'
_TIME: Final = r'"time"\s*:\s*"(?P<time>[0-9TZ:.-]+)"'
_ISO_TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z")
_ZERO: Final = re.compile(r"0+(\.0*)?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Capture:
    """The streams of a capture. Of one that holds several instruments, `Source.instrument` takes one."""

    name = "coinbase-ws"
    evidence: Evidence = "proven on real data"
    description = (
        "Raw Coinbase Exchange WebSocket capture, a line is a message, with or without the local receive time before it; "
        "takes matches and tickers, not level2, whose changes carry no update ids"
    )

    def recognises(self, head: str) -> bool:
        return bool(_HEAD_LINE.search(head) or _HEAD_MESSAGE.search(head))

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, [_COINBASE])
        content = verify(source)
        if not self.recognises(content.head):
            raise unlike(source, self.name, content.head)
        refuse_cut(source, content, needs_clock=_Dialect.needs_clock)
        return facts_of(source, content, _Dialect(), given)

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        offset = facts.clock_offset_us or 0
        builds: dict[Stream, Callable[[Block, Sorted, int], ParsedBatch]] = {
            "trades": _trades,
            "quotes": lambda block, found, latest: _quotes(block, found, latest, offset),
        }
        yield from batches(source, facts, _Dialect(), given_instrument(source, [_COINBASE]), builds[facts.stream])

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


class _Dialect:
    """Coinbase's messages, told apart by their type."""

    streams = _STREAMS
    units: Mapping[Stream, TimeUnit] = {"trades": "us", "quotes": "us"}
    # The changes of the order book among them.
    has_foreign_times = True
    # Only the tickers without a time of their own, of the feed's early years, are of no use then.
    needs_clock = False

    def kinds(self, lines: pa.BinaryArray) -> Int8s:
        return by_look(lines, _TYPE, lambda name: _STREAMS.index(_TYPES[name]) if name in _TYPES else FOREIGN)

    def event_times(self, lines: pa.BinaryArray) -> Int64s:
        texts = extract(lines, _TIME).cast(pa.string()).to_pylist()
        return np.array([max(_nanoseconds(text), 0) // 1000 if text else 0 for text in texts], np.int64)

    def message(self, document: Json, _line: int, /) -> Message | None:
        if not isinstance(document, dict):
            return None
        kind, product = document.get("type"), document.get("product_id")
        stream = _TYPES.get(kind) if isinstance(kind, str) else None
        if stream is None:
            return None
        return Message(stream, instrument_of(_COINBASE, product) if isinstance(product, str) else None, document)

    def time_unit(self, _message: Message, /) -> TimeUnit | None:
        return "us"


def _nanoseconds(text: str) -> int:
    """An ISO time in UTC, with up to 9 decimals, as nanoseconds since 1970; -1 where it is none."""
    found = _ISO_TIME.fullmatch(text)
    second = _second(found[1]) if found else None
    return second * 10**9 + int((found[2] or "").ljust(9, "0")) if found and second is not None else -1


@lru_cache(maxsize=4096)
def _second(text: str) -> int | None:
    try:
        return (datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
    except ValueError:
        return None


def _texts(found: Sorted, *names: str) -> dict[str, list[str | None]]:
    return {name: [text_of(message.data.get(name)) for _, _, message in found.messages] for name in names}


def _times(checks: Checks, local: Sequence[int | None]) -> Int64s:
    """The venue's times in nanoseconds, or those of `local`, in microseconds, where they are given; 0 where refused."""
    first, last = FIRST_TIME * 1000, checks.latest * 1000
    read = [
        _nanoseconds(text or "") if own is None else own * 1000
        for text, own in zip(checks.rows.columns["time"].to_pylist(), local, strict=True)
    ]
    times = np.array([time if first <= time <= last else 0 for time in read], np.int64)
    wanted = "no time between 2009 and a day from now, such as 2024-01-02T03:04:05.678901Z"
    checks.refuse(times == 0, lambda index: (Reason.TIME, f"{checks.holds('time', index)}: {wanted}."))
    return times


def _trades(block: Block, found: Sorted, latest: int) -> ParsedBatch:
    checks = Checks(found.text_rows(block, _texts(found, "trade_id", "price", "size", "side", "time")), latest)
    times = _times(checks, [None] * len(found.messages))
    trades = TradeColumns(
        instrument=found.instruments(),
        sequence=checks.integers("trade_id", Reason.MISSING_ID),
        event_time=times // 1000,
        event_time_ns=finer(times),
        price=checks.decimals("price", PRICE, "positive"),
        size=checks.decimals("size", SIZE, "positive"),
        # The side is the maker's: where it bought, the aggressor sold.
        is_sell=checks.flags("side", ["buy"], ["sell"]),
        received_at=found.received_at(),
    )
    return trade_batch(checks, trades, found.refusals, found.passed_over)


def _quotes(block: Block, found: Sorted, latest: int, offset: int) -> ParsedBatch:
    columns = _texts(found, "sequence", "best_bid", "best_bid_size", "best_ask", "best_ask_size", "time")
    # The first tickers of the feed's early years have no time.
    local = [at + offset if at and message.data.get("time") is None else None for _, at, message in found.messages]
    for side in ("best_bid", "best_ask"):
        columns[side] = [_price_of(*pair) for pair in zip(columns[side], columns[f"{side}_size"], strict=True)]
    rows = found.text_rows(block, columns)
    sides = [("best_bid", "best_bid_size"), ("best_ask", "best_ask_size")]
    checks = Checks(replace(rows, columns=without_empty_sides(rows.columns, sides)), latest)
    times = _times(checks, local)
    quotes = QuoteColumns(
        instrument=found.instruments(),
        sequence=checks.integers("sequence", Reason.MISSING_ID),
        event_time=times // 1000,
        event_time_ns=finer(times),
        bid_price=checks.decimals("best_bid", PRICE, "positive", may_be_absent=True),
        bid_size=checks.decimals("best_bid_size", SIZE, "positive", may_be_absent=True),
        ask_price=checks.decimals("best_ask", PRICE, "positive", may_be_absent=True),
        ask_size=checks.decimals("best_ask_size", SIZE, "positive", may_be_absent=True),
        time_source=pa.array(["venue" if own is None else "local" for own in local], pa.string()),
        received_at=found.received_at(),
    )
    return quote_batch(checks, quotes, found.refusals, found.passed_over)


def _price_of(price: str | None, size: str | None) -> str | None:
    """A best price, where it is one: without sizes, a price of 0 says that nobody bids or asks."""
    return None if price and size is None and _ZERO.fullmatch(price) else price
