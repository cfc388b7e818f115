"""CSV files as the library ccapi records them: one day of one instrument's trades, without ids.

Belongs here: its columns, its file name, and the identity by order. Does not: its files of quotes.
https://github.com/crypto-chassis/ccapi
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from rrr_assets.calc.numbers import PRICE, SIZE
from rrr_assets.contracts.venues import VENUES
from rrr_assets.venues.base import Evidence, ParsedBatch, Refusals, Source, SourceFacts, SourceRefused
from rrr_assets.venues.content import line_blocks, open_content, raw_lines, unchanged, unlike, verify
from rrr_assets.venues.csv_text import cut, data_lines, header_names, refuse_cut_last_line
from rrr_assets.venues.names import (
    BINANCE_COINM,
    BINANCE_USDM,
    agreed_instrument,
    base_name,
    declared_days,
    given_instrument,
    instrument_name,
)
from rrr_assets.venues.rows import Checks, OrdinalCounter, TradeColumns, finer, last_time, ordinal_sequence, trade_batch

_COLUMNS: Final = ("time_seconds", "price", "size", "is_buyer_maker")
_HEADER: Final = tuple(name.replace("_", "") for name in _COLUMNS)
_QUOTES_HEADER: Final = ("timeseconds", "bidpricebidsize", "askpriceasksize")
_ROW: Final = re.compile(r"\d{9,10}(\.\d+)?(,[0-9.eE+-]+){2},[01]")
_FLAG: Final = re.compile(r"[01]")
_NAME: Final = re.compile(r"(?P<venue>[a-z0-9-]+)__(?P<symbol>[^_]+)__(?P<day>\d{4}-\d{2}-\d{2})__(?P<kind>[a-z-]+)", re.IGNORECASE)
_VENUES: Final = {**{venue: venue for venue in VENUES}, "binance-usds-futures": BINANCE_USDM, "binance-coin-futures": BINANCE_COINM}


class Ccapi:
    """Trades in the order they were recorded, which is their identity: microsecond, then place among its rows."""

    name = "ccapi"
    evidence: Evidence = "proven on real data"
    description = "ccapi's daily CSV of trades: time_seconds, price, size, is_buyer_maker; no trade ids"

    def recognises(self, head: str) -> bool:
        lines = data_lines(head)
        return bool(lines) and (header_names(lines[0]) == _HEADER or any(_ROW.fullmatch(line) for line in lines))

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, VENUES)
        content = verify(source)
        if not self.recognises(content.head):
            lines = data_lines(content.head)
            if lines and header_names(lines[0]) == _QUOTES_HEADER:
                raise SourceRefused(source.name, "it holds quotes, not trades", "Load the file whose name ends in __trade.")
            raise unlike(source, self.name, content.head)
        is_header = header_names(content.last_line.decode("utf-8", "replace")) == _HEADER
        refuse_cut_last_line(source, content, re.compile(".+") if is_header else _FLAG, [len(_COLUMNS)])
        named, days = _read_name(source)
        return SourceFacts(
            stream="trades",
            space="ordinal",
            time_unit="s",
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, days),
            instrument=agreed_instrument(source, given, named),
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        if facts.instrument is None:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        latest = last_time()
        counter = OrdinalCounter(latest)
        with open_content(source) as (stream, _):
            for block in line_blocks(source, stream):
                found = cut(block, _COLUMNS, _COLUMNS, [_HEADER])
                refusals = Refusals()
                checks = Checks(found.rows, latest)
                nanoseconds = checks.decimal_seconds("time_seconds")
                ordinals = counter.number(found.rows, nanoseconds, found.misfits, refusals, facts.instrument)
                columns = TradeColumns(
                    instrument=facts.instrument,
                    sequence=ordinal_sequence(checks, nanoseconds // 1000, ordinals),
                    event_time=nanoseconds // 1000,
                    event_time_ns=finer(nanoseconds),
                    price=checks.decimals("price", PRICE, "positive"),
                    size=checks.decimals("size", SIZE, "positive"),
                    is_sell=checks.flags("is_buyer_maker", ["1"], ["0"]),
                )
                yield trade_batch(checks, columns, refusals, found.passed_over)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


def _read_name(source: Source) -> tuple[str | None, tuple[date, date] | None]:
    """The instrument and the day in a name such as `gemini__eth-usd__2021-07-01__trade.csv`."""
    found = _NAME.match(base_name(source.name))
    if not found:
        return None, None
    venue = _VENUES.get(found["venue"].lower())
    if venue is None:
        raise SourceRefused(
            source.name, f"its name is of the venue {found['venue']}, which is not known", f"Known are {', '.join(VENUES)}."
        )
    if found["kind"].lower() != "trade":
        raise SourceRefused(source.name, f"it is named for {found['kind']}, but holds trades", "Give the file its right name.")
    try:
        day = date.fromisoformat(found["day"])
    except ValueError as error:
        raise SourceRefused(source.name, f"{found['day']} in its name is no day", "Give the file its right name.") from error
    return instrument_name(venue, found["symbol"]), (day, day + timedelta(days=1))
