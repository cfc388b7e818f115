"""Binance's REST answers, saved as files: a JSON list of trades (`/trades`, `/historicalTrades`) or of klines (`/klines`).

Belongs here: their shape. Does not: what Binance's formats share (binance).
https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rrr_assets.venues.base import Evidence, ParsedBatch, Source, SourceFacts, SourceRefused
from rrr_assets.venues.binance import (
    DEFAULT_UNIT,
    KLINE,
    MARKETS,
    agreed_interval,
    id_trades,
    is_coin_margined,
    kline_interval,
    kline_market,
    klines,
    unit_of_times,
)
from rrr_assets.venues.content import Content, unchanged, unlike, verify
from rrr_assets.venues.json_text import BATCH_ROWS, Json, raw_elements, read_document, text_of, text_rows
from rrr_assets.venues.names import (
    BINANCE,
    BINANCE_COINM,
    BINANCE_USDM,
    agreed_instrument,
    binance_symbol,
    declared_days,
    given_instrument,
    instrument_name,
    interval_in_name,
    venue_of,
)
from rrr_assets.venues.rows import TextRows, last_time

# By any of its first elements: a single one may be damaged.
_TRADES: Final = re.compile(r'\s*\[.*?\{(?=[^}]*"price")(?=[^}]*"isBuyerMaker")', re.DOTALL)
_KLINES: Final = re.compile(r'\s*\[.*?\[\s*\d{13,16}\s*,\s*"', re.DOTALL)
_AGGREGATED: Final = re.compile(r'\s*\[\s*\{(?=[^}]*"a"\s*:)(?=[^}]*"f"\s*:)')
_ERROR: Final = re.compile(r'\s*\{\s*"code"\s*:\s*(-?\d+)\s*,\s*"msg"\s*:\s*"([^"]*)"')
_TRADE: Final = {"id": "id", "price": "price", "qty": "qty", "time": "time", "isBuyerMaker": "is_buyer_maker"}


class Rest:
    """One page of an answer: it claims no day, and its last kline may have been open when it was asked for."""

    name = "binance-rest"
    evidence: Evidence = "proven on real data"
    description = "Binance REST answer, trades or klines: a JSON list"

    def recognises(self, head: str) -> bool:
        return bool(_TRADES.match(head) or _KLINES.match(head))

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, MARKETS)
        content = verify(source)
        self._refuse_other_answers(source, content)
        elements = self._elements(source)
        symbol = binance_symbol(source.name)
        # Most of the elements decide: a single one may be damaged.
        if 2 * sum(1 for element in elements if isinstance(element, dict)) >= len(elements):
            return self._trades_facts(source, content, elements, given, symbol)
        return self._klines_facts(source, content, elements, given, symbol)

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        if facts.instrument is None:
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        elements = self._elements(source)
        latest = last_time()
        for first in range(0, len(elements), BATCH_ROWS):
            some = elements[first : first + BATCH_ROWS]
            if facts.interval is None:
                rows, misfits = text_rows(some, first + 1, list(_TRADE))
                named = TextRows(rows.lines, {_TRADE[key]: column for key, column in rows.columns.items()}, rows.raw)
                yield id_trades(named, misfits, facts.instrument, latest, 0)
            else:
                rows, misfits = text_rows(some, first + 1, KLINE)
                yield klines(rows, misfits, facts.instrument, facts.interval, latest, open_line=len(elements))

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_elements(self._elements(source), lines)

    def _refuse_other_answers(self, source: Source, content: Content) -> None:
        if self.recognises(content.head):
            return
        if error := _ERROR.match(content.head):
            raise SourceRefused(source.name, f"it is the venue's error {error[1]}: {error[2]}", "Ask the venue again.")
        if _AGGREGATED.match(content.head):
            raise SourceRefused(source.name, "it holds aggregated trades, which are another stream", "Load the answer of /trades.")
        if content.head.strip() == "[]":
            raise SourceRefused(source.name, "it is an empty list: the venue had nothing to answer", "There is nothing to load.")
        raise unlike(source, self.name, content.head)

    def _elements(self, source: Source) -> list[Json]:
        document = read_document(source)
        if not isinstance(document, list):
            raise SourceRefused(source.name, "it is no JSON list", "Save the venue's answer as it is.")
        return document

    def _trades_facts(self, source: Source, content: Content, elements: list[Json], given: str | None, symbol: str | None) -> SourceFacts:
        trades = [element for element in elements if isinstance(element, dict)]
        is_spot = any("isBestMatch" in trade for trade in trades)
        if given is not None:
            market = venue_of(given)
            if is_spot and market != BINANCE:
                raise SourceRefused(
                    source.name, f"the instrument was given as {given}, but these are trades of spot", "Correct --instrument."
                )
        elif any("baseQty" in trade for trade in trades) or (symbol and is_coin_margined(symbol)):
            market = BINANCE_COINM
        else:
            market = BINANCE if is_spot else BINANCE_USDM
        return SourceFacts(
            stream="trades",
            space="trade_id",
            time_unit=unit_of_times(trade.get("time") for trade in trades) or DEFAULT_UNIT,
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, None),
            instrument=agreed_instrument(source, given, instrument_name(market, symbol) if symbol else None),
        )

    def _klines_facts(self, source: Source, content: Content, elements: list[Json], given: str | None, symbol: str | None) -> SourceFacts:
        rows = [[text_of(item) or "" for item in row] for row in elements if isinstance(row, list) and len(row) == len(KLINE)]
        market = kline_market(source, given, symbol, [row[1] for row in rows], has_header=False)
        return SourceFacts(
            stream="venue_bars",
            space=None,
            time_unit=unit_of_times(row[0] for row in rows) or DEFAULT_UNIT,
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, None),
            interval=agreed_interval(source, interval_in_name(source.name), [kline_interval(row[0], row[6]) for row in rows[:1000]]),
            instrument=agreed_instrument(source, given, instrument_name(market, symbol) if symbol else None),
        )
