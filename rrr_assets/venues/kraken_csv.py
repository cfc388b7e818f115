"""Kraken's downloadable history: whole markets as CSV, trades ("time and sales") or bars ("OHLCVT"), without a header.

Belongs here: their columns and their names. Does not: Kraken's REST answers, which list minutes without trades where
these files do not. The trades have neither side nor id.
https://support.kraken.com/hc/en-us/articles/360047124832
https://support.kraken.com/hc/en-us/articles/360047543791
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import gcd
from typing import Final

import pyarrow as pa

from rrr_assets.calc.decimals import PRICE, SIZE
from rrr_assets.venues.base import Evidence, ParsedBatch, Refusals, Source, SourceFacts, SourceRefused, Stream
from rrr_assets.venues.content import Content, line_blocks, open_content, raw_lines, unchanged, unlike, verify
from rrr_assets.venues.csv_text import CsvRows, cut, data_lines, refuse_cut_last_line
from rrr_assets.venues.names import (
    INTERVAL_SECONDS,
    KRAKEN,
    agreed_instrument,
    base_name,
    declared_days,
    given_instrument,
    instrument_name,
    interval_of_seconds,
)
from rrr_assets.venues.rows import (
    BarColumns,
    Checks,
    OrdinalCounter,
    TradeColumns,
    bar_batch,
    finer,
    last_time,
    ordinal_sequence,
    refuse_misfits,
    trade_batch,
)

_COLUMNS: Final[Mapping[Stream, tuple[str, ...]]] = {
    "trades": ("time", "price", "volume"),
    "venue_bars": ("time", "open", "high", "low", "close", "volume", "trades"),
}
_NUMBER: Final = r"[0-9.eE+-]+"
_ROW: Final[Mapping[Stream, re.Pattern[str]]] = {
    "trades": re.compile(rf"\d{{9,10}}(\.\d+)?(,{_NUMBER}){{2}}"),
    "venue_bars": re.compile(rf"\d{{9,10}}(,{_NUMBER}){{5}},\d+"),
}
_LAST_FIELD: Final[Mapping[Stream, re.Pattern[str]]] = {"trades": re.compile(r"[0-9.eE+-]*[0-9]"), "venue_bars": re.compile(r"\d+")}
_NAME: Final = re.compile(r"(?P<pair>[A-Z0-9.]+?)(?:_(?P<minutes>\d{1,5}))?(?:\.csv)?(?:\.gz|\.zip)?", re.IGNORECASE)
# A file may be called anything. It names a pair where it ends in an asset that pairs at Kraken are priced in.
_PRICED: Final = re.compile(r"[A-Z0-9.]{2,}(USD|EUR|GBP|JPY|CAD|AUD|CHF|KRW|AED|XBT|BTC|ETH|USDT|USDC|USDG|USDQ|USDR|EURQ|EURR|DAI|PYUSD)")
# Of so many bars some lie beside a grid that is too coarse for them, and not all on one that is too fine.
_ENOUGH_BARS: Final = 20


class History:
    """One market's whole history, or a quarter of it. It claims no day: nothing in it says where it was cut."""

    name = "kraken-csv"
    evidence: Evidence = "built from the specification"
    description = "Kraken's downloadable history, CSV without a header: trades (PAIR.csv) or bars (PAIR_MINUTES.csv)"

    def recognises(self, head: str) -> bool:
        return _stream(head) is not None

    def inspect(self, source: Source) -> SourceFacts:
        given = given_instrument(source, [KRAKEN])
        content = verify(source)
        stream = _stream(content.head)
        if stream is None:
            raise unlike(source, self.name, content.head)
        if source.stream not in {None, stream}:
            raise SourceRefused(source.name, f"it holds {stream} and nothing else", f"Ask for the stream {stream}.")
        refuse_cut_last_line(source, content, _LAST_FIELD[stream], [len(_COLUMNS[stream])])
        pair, interval = _read_name(source, content)
        if stream == "trades" and interval is not None:
            raise SourceRefused(source.name, f"it is named for bars of {interval}, but holds trades", "Give the file its right name.")
        if stream == "venue_bars":
            interval = _checked(source, interval, content.head)
        return SourceFacts(
            stream=stream,
            space="ordinal" if stream == "trades" else None,
            time_unit="s",
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            declared=declared_days(source, None),
            interval=interval,
            instrument=agreed_instrument(source, given, instrument_name(KRAKEN, pair) if pair else None),
        )

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        unchanged(source, facts.size_bytes)
        if facts.instrument is None or (facts.stream == "venue_bars") != (facts.interval is not None):
            raise ValueError(f"{source.name} is parsed with the facts of another file")
        columns, latest = _COLUMNS[facts.stream], last_time()
        counter = OrdinalCounter(latest)
        with open_content(source) as (stream, _):
            for block in line_blocks(source, stream):
                found = cut(block, columns, columns, [])
                if facts.interval is None:
                    yield _trades(found, counter, facts.instrument, latest)
                else:
                    yield _bars(found, facts.instrument, facts.interval, latest)

    def raw_lines(self, source: Source, lines: Sequence[int]) -> Mapping[int, str]:
        return raw_lines(source, lines)


def _stream(head: str) -> Stream | None:
    """What most of the first lines are rows of."""
    lines = data_lines(head)
    counts = {stream: sum(1 for line in lines if row.fullmatch(line)) for stream, row in _ROW.items()}
    best = max(counts, key=lambda stream: counts[stream])
    return best if counts[best] else None


def _read_name(source: Source, content: Content) -> tuple[str | None, str | None]:
    """Pair and interval in a name such as `XBTUSD_60.csv`: the file's own, or else that of the archive's member.

    Raises:
        SourceRefused: the two contradict each other, or no bars are of so many minutes.
    """
    outer, inner = _name_parts(source, source.name), _name_parts(source, content.member or "")
    for said, also in zip(outer, inner, strict=True):
        if said is not None and also is not None and said != also:
            raise SourceRefused(source.name, f"the file inside it is named {content.member}", "Give the file its right name.")
    return outer[0] or inner[0], outer[1] or inner[1]


def _name_parts(source: Source, name: str) -> tuple[str | None, str | None]:
    found = _NAME.fullmatch(base_name(name))
    if found is None:
        return None, None
    pair = found["pair"].upper()
    interval = None
    if found["minutes"] is not None:
        interval = interval_of_seconds(int(found["minutes"]) * 60)
        if interval is None:
            raise SourceRefused(source.name, f"no venue has bars of {found['minutes']} minutes", "Give the file its right name.")
    return (pair if _PRICED.fullmatch(pair) else None), interval


def _checked(source: Source, interval: str | None, head: str) -> str:
    """The interval of the bars. Their distance cannot tell it, because minutes without trades have none; it can contradict it.

    Raises:
        SourceRefused: the name does not say it, or it cannot be true of the first bars.
    """
    if interval is None:
        raise SourceRefused(
            source.name,
            "nothing says of which interval its bars are",
            "Give it Kraken's name, such as XBTUSD_1.csv: the pair and the minutes.",
        )
    grid = min(INTERVAL_SECONDS[interval], INTERVAL_SECONDS["1d"])
    starts = {int(line.partition(",")[0]) for line in data_lines(head) if _ROW["venue_bars"].fullmatch(line)}
    off_grid = sum(1 for start in starts if start % grid)
    coarser = gcd(*starts) // grid if not off_grid else 1
    if 2 * off_grid > len(starts) or (len(starts) >= _ENOUGH_BARS and coarser > 1 and grid < INTERVAL_SECONDS["1d"]):
        raise SourceRefused(
            source.name,
            f"it is named for bars of {interval}, but its bars start at times of another interval",
            "Give the file its right name.",
        )
    return interval


def _trades(found: CsvRows, counter: OrdinalCounter, instrument: str, latest: int) -> ParsedBatch:
    refusals = Refusals()
    checks = Checks(found.rows, latest)
    nanoseconds = checks.decimal_seconds("time")
    ordinals = counter.number(found.rows, nanoseconds, found.misfits, refusals, instrument)
    columns = TradeColumns(
        instrument=instrument,
        sequence=ordinal_sequence(checks, nanoseconds // 1000, ordinals),
        event_time=nanoseconds // 1000,
        event_time_ns=finer(nanoseconds),
        price=checks.decimals("price", PRICE, "positive"),
        size=checks.decimals("volume", SIZE, "positive"),
        is_sell=None,
    )
    return trade_batch(checks, columns, refusals, found.passed_over)


def _bars(found: CsvRows, instrument: str, interval: str, latest: int) -> ParsedBatch:
    refusals = Refusals()
    refuse_misfits(found.misfits, instrument, refusals)
    checks = Checks(found.rows, latest)
    bar_start = checks.decimal_seconds("time") // 1000
    open_, high, low, close = (checks.decimals(name, PRICE, "positive") for name in ("open", "high", "low", "close"))
    columns = BarColumns(
        bar_start=bar_start,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=checks.decimals("volume", SIZE, "not negative"),
        trade_count=checks.integers("trades"),
        # Kraken publishes a quarter after it has ended.
        is_closed=pa.repeat(pa.scalar(value=True), len(found.rows.lines)),
    )
    return bar_batch(checks, columns, instrument, interval, refusals, found.passed_over)
