"""Small valid files of every format and of each of its streams and layouts: what fuzzed files are made from.

Belongs here: the files as a venue would write them, and an independent reading of their numbers. Does not: how they are damaged
(mutations), what must hold of the outcome (oracle).
"""

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from rrr_assets_tests.loading import DAY, midnight

Shape = Literal["lines", "elements", "events", "parquet"]
Header = Literal["none", "optional", "needed", "by name"]
Numbers = Callable[[bytes, str], Mapping[str, str | None]]

US = midnight(DAY) + 3_600_000_000
COUNT = 24


@dataclass(frozen=True)
class Seed:
    """A file, what is said of it, and how it is built.

    `shape` says what is counted in it: physical lines, elements of a JSON list, events, or rows of Parquet. `header`: whether the
    first line names the columns, whether it is needed to tell what the file is, and whether the others are read by it. `numbers` gives
    the texts of the numbers of a unit of some stream by the name of the column that they end in, read without the platform's parsers.
    """

    name: str
    format: str
    file_name: str
    data: bytes
    shape: Shape
    numbers: Numbers
    header: Header = "none"
    delimiter: bytes = b","
    instrument: str | None = None
    day: date | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)  # by what is added to the file's name
    elements: tuple[bytes, ...] = ()  # of a document, and what stands before and after them
    around: tuple[bytes, bytes] = (b"", b"")

    @property
    def is_json(self) -> bool:
        return self.shape in {"elements", "events"} or self.format.endswith("-ws")


def _ms(n: int, step_us: int = 1_234_567) -> int:
    return (US + n * step_us) // 1000


def _us(n: int, step_us: int = 1_234_567) -> int:
    return US + n * step_us


def _price(n: int, decimals: int = 2) -> str:
    return f"{42_000 + n % 7}.{n % 90 + 10:0{decimals}d}"


def _size(n: int) -> str:
    return f"0.{n % 9 + 1:03d}"


def _lines(rows: Iterable[object], end: str = "\n") -> bytes:
    return "".join(f"{row}{end}" for row in rows).encode()


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def csv_numbers(columns: Mapping[str, int], delimiter: str = ",", *, is_quoted: bool = False) -> Numbers:
    """Numbers by place. In some formats, quotes have a meaning."""

    def numbers(unit: bytes, _: str) -> Mapping[str, str | None]:
        text = unit.decode().rstrip("\r")
        fields = _unquoted(text, delimiter) if is_quoted else text.split(delimiter)
        return {name: fields[place] for name, place in columns.items()}

    return numbers


def _unquoted(text: str, delimiter: str) -> list[str]:
    """The fields of a line in which those that stand whole in quotes lose them, and a stray quote means nothing."""
    field = re.compile(rf' *"((?:[^"]|"")*)"(?={re.escape(delimiter)}|$)|[^{re.escape(delimiter)}]*')
    fields, at = [], 0
    while at <= len(text):
        found = field.match(text, at)
        if found is None:
            raise ValueError(text)
        fields.append(found[0] if found[1] is None else found[1].replace('""', '"'))
        at = found.end() + 1
    return fields


def document(text: str | bytes) -> Any:
    """JSON with every number as the text that it was written as."""
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def keyed_numbers(layouts: Mapping[str, Mapping[str, str]]) -> Numbers:
    """Numbers by their keys in each stream; inside `data` where there is such a thing. Of a column named twice the first key counts."""

    def numbers(unit: bytes, stream: str) -> Mapping[str, str | None]:
        found = document(unit[unit.index(b"{") :].decode().strip())
        if isinstance(found.get("data"), dict):
            found = found["data"]
        return {name: found[key] for name, key in layouts[stream].items() if isinstance(found.get(key), str)}

    return numbers


def placed_numbers(places: Mapping[str, int]) -> Numbers:
    """Numbers by their place in a list."""

    def numbers(unit: bytes, _: str) -> Mapping[str, str | None]:
        found = document(unit)
        return {name: found[place] for name, place in places.items()} if isinstance(found, list) else {}

    return numbers


# Binance


def _vision() -> Iterable[Seed]:
    day = DAY.isoformat()
    spot = [f"{1000 + n},{_price(n)},{_size(n)},{_price(n)},{_us(n)},{'False' if n % 3 else 'True'},True" for n in range(COUNT)]
    futures = [f"{1000 + n},{_price(n)},{_size(n)},1.5,{_ms(n)},{'false' if n % 3 else 'true'}" for n in range(COUNT)]
    trade = csv_numbers({"sequence": 0, "price": 1, "size": 2, "event_time": 4})
    yield Seed("vision-trades-spot", "binance-vision-trades", f"BTCUSDT-trades-{day}", _lines(spot), "lines", trade)
    yield Seed(
        "vision-trades-usdm",
        "binance-vision-trades",
        f"BTCUSDT-trades-{day}",
        _lines(["id,price,qty,quote_qty,time,is_buyer_maker", *futures]),
        "lines",
        trade,
        "optional",
    )
    spot = [f"{500 + n},{_price(n)},{_size(n)},{2 * n},{2 * n + 1},{_us(n)},{'False' if n % 3 else 'True'},True" for n in range(COUNT)]
    futures = [f"{500 + n},{_price(n)},{_size(n)},{2 * n},{2 * n + 1},{_ms(n)},{'false' if n % 3 else 'true'}" for n in range(COUNT)]
    agg = csv_numbers({"sequence": 0, "price": 1, "size": 2, "first_trade_id": 3, "last_trade_id": 4, "event_time": 5})
    name = f"BTCUSDT-aggTrades-{day}"
    yield Seed("vision-aggtrades-spot", "binance-vision-aggtrades", name, _lines(spot), "lines", agg)
    header = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
    yield Seed("vision-aggtrades-usdm", "binance-vision-aggtrades", name, _lines([header, *futures]), "lines", agg, "optional")
    spot = [_kline(n, 1000 * 60_000, US, "{:.8f}") for n in range(COUNT)]
    futures = [_kline(n, 60_000, US // 1000, "{:.2f}") for n in range(COUNT)]
    bars = csv_numbers(_KLINE)
    yield Seed("vision-klines-spot", "binance-vision-klines", f"BTCUSDT-1m-{day}", _lines(spot), "lines", bars)
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
    yield Seed("vision-klines-usdm", "binance-vision-klines", f"BTCUSDT-1m-{day}", _lines([header, *futures]), "lines", bars, "needed")


_KLINE = {
    "bar_start": 0,
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 7,
    "trade_count": 8,
    "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}


def _kline(n: int, step: int, first: int, price: str) -> str:
    at = first + n * step
    opened = 42_000 + n
    prices = [price.format(value) for value in (opened, opened + 5.25, opened - 3.5, opened + 1.75)]  # exact in halves
    return f"{at},{','.join(prices)},{n}.50000000,{at + step - 1},{n}000.12000000,{n * 3},{n}.25000000,{n}00.06000000,0"


_QUOTE_KEYS = {"sequence": "u", "bid_price": "b", "bid_size": "B", "ask_price": "a", "ask_size": "A"}
_BINANCE_KEYS = {
    "trades": {"sequence": "t", "price": "p", "size": "q", "event_time": "T"},
    "agg_trades": {"sequence": "a", "price": "p", "size": "q", "first_trade_id": "f", "last_trade_id": "l", "event_time": "T"},
    "quotes": _QUOTE_KEYS,
    "depth": {"first_update_id": "U"},
}


def _binance_messages(n: int) -> list[tuple[str, dict[str, object]]]:
    """What spot sends about one trade."""
    at = _ms(n)
    trade = {"e": "trade", "E": at + 1, "s": "BTCUSDT", "t": 1000 + n, "p": _price(n), "q": _size(n), "T": at, "m": n % 3 == 0, "M": True}
    agg = {"e": "aggTrade", "E": at + 1, "s": "BTCUSDT", "a": 500 + n, "p": _price(n), "q": _size(n), "f": 1000 + n, "l": 1000 + n, "T": at}
    quote = {"u": 36_000 + n, "s": "BTCUSDT", "b": _price(n), "B": _size(n), "a": _price(n + 1), "A": _size(n + 1)}
    change = {"e": "depthUpdate", "E": at + 2, "s": "BTCUSDT", "U": 36_000 + n, "u": 36_005 + n}
    levels = {"b": [[_price(n), _size(n)], [_price(n + 1), "0.00000000"]], "a": [[_price(n + 2), _size(n)]]}
    kline = {"e": "kline", "E": at, "s": "BTCUSDT", "k": {"t": at, "T": at + 59_999, "s": "BTCUSDT", "i": "1m", "c": _price(n)}}
    book = {"lastUpdateId": 36_005 + n, "bids": [[_price(n), _size(n)]], "asks": [[_price(n + 1), _size(n)]]}
    return [
        ("btcusdt@trade", trade),
        ("btcusdt@aggTrade", {**agg, "m": True, "M": True}),
        ("btcusdt@bookTicker", quote),
        ("btcusdt@depth@100ms", {**change, **levels}),
        ("btcusdt@kline_1m", kline),
        ("btcusdt@depth5", book),
    ]


def _captures() -> Iterable[Seed]:
    lines = ["wss://stream.binance.com:9443/stream <-> 1741000000.123456", f'{_us(0)} {{"result":null,"id":1}}']
    for n in range(8):
        for at, (channel, data) in enumerate(_binance_messages(n)):
            # The recorder's clock is behind: what carries no time of the venue is put right by as much.
            lines.append(f"{_us(n) - 2_000_000 + at} " + _json({"stream": channel, "data": data}))
    yield Seed("binance-ws-spot", "binance-ws", "capture.dat", _lines(lines), "lines", keyed_numbers(_BINANCE_KEYS))
    lines = []
    for n in range(10):
        at = _us(n) + 20_000
        clock = f"{at // 10**6}.{at % 10**6:06}:"
        for _, data in _binance_messages(n)[:4]:
            extra = {"X": "MARKET" if n % 4 else "INSURANCE_FUND"} if data.get("e") == "trade" else {"T": _ms(n)}
            lines.append(f"{clock} " + _json({**{name: value for name, value in data.items() if name != "M"}, **extra}))
    yield Seed("binance-ws-usdm", "binance-ws", "capture.txt", _lines(lines), "lines", keyed_numbers(_BINANCE_KEYS))
    lines = [f"{_us(n) + 20_000} " + _json(_binance_messages(n)[0][1]) for n in range(COUNT)]
    yield Seed(
        "binance-ws-trades", "binance-ws", "trades.txt", _lines(lines), "lines", keyed_numbers(_BINANCE_KEYS), instrument="binance:BTCUSDT"
    )


def _rest() -> Iterable[Seed]:
    trades = [
        _json(
            {
                "id": 1000 + n,
                "price": _price(n),
                "qty": _size(n),
                "quoteQty": "1.5",
                "time": _ms(n),
                "isBuyerMaker": n % 3 == 0,
                "isBestMatch": True,
            }
        )
        for n in range(COUNT)
    ]
    numbers = keyed_numbers({"trades": {"sequence": "id", "price": "price", "size": "qty", "event_time": "time"}})
    yield _document("binance-rest-trades", "binance-rest", "BTCUSDT-page.json", trades, numbers)
    klines = []
    for n in range(COUNT):
        cells = _kline(n, 60_000, US // 1000, "{:.8f}").split(",")
        klines.append(_json([int(cell) if at in {0, 6, 8} else cell for at, cell in enumerate(cells)]))
    yield _document("binance-rest-klines", "binance-rest", "BTCUSDT-klines.json", klines, placed_numbers(_KLINE))


def _document(name: str, form: str, file_name: str, elements: Iterable[str], numbers: Numbers, before: str = "", after: str = "") -> Seed:
    """A JSON document with a list in it, an element a line."""
    listed = tuple(element.encode() for element in elements)
    around = f"{before}[\n".encode(), f"\n]{after}\n".encode()
    data = around[0] + b",\n".join(listed) + around[1]
    return Seed(name, form, file_name, data, "elements", numbers, elements=listed, around=around)


# Coinbase


def _iso(us: int) -> str:
    hours, rest = divmod(us - midnight(DAY), 3_600_000_000)
    minutes, rest = divmod(rest, 60_000_000)
    return f"{DAY.isoformat()}T{hours:02}:{minutes:02}:{rest // 10**6:02}.{rest % 10**6:06}Z"


def _coinbase() -> Iterable[Seed]:
    subscription = {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": ["BTC-USD"]}]}
    lines = ["wss://ws-feed.pro.coinbase.com <-> 1741000000.123456", f"{US // 10**6}.000001: {_json(subscription)}"]
    for n in range(12):
        at = _us(n)
        clock = f"{(at + 30_000) // 10**6}.{(at + 30_000) % 10**6:06}:"
        match = {"type": "match", "trade_id": 1000 + n, "side": "buy" if n % 3 else "sell", "size": _size(n), "price": _price(n)}
        ticker = {"type": "ticker", "sequence": 9000 + n, "product_id": "BTC-USD", "price": _price(n)}
        best = {"best_bid": _price(n), "best_bid_size": _size(n), "best_ask": _price(n + 1), "best_ask_size": _size(n)}
        change = {"type": "l2update", "product_id": "BTC-USD", "changes": [["buy", _price(n), _size(n)]], "time": _iso(at)}
        lines += [
            f"{clock} " + _json({**match, "product_id": "BTC-USD", "sequence": 9000 + n, "time": _iso(at)}),
            f"{clock} " + _json({**ticker, **best, "time": _iso(at)}),
            f"{clock} " + _json(change),
        ]
    best = {"bid_price": "best_bid", "bid_size": "best_bid_size", "ask_price": "best_ask", "ask_size": "best_ask_size"}
    keys = {"trades": {"sequence": "trade_id", "price": "price", "size": "size"}, "quotes": {"sequence": "sequence", **best}}
    yield Seed("coinbase-ws", "coinbase-ws", "coinbase.dat", _lines(lines), "lines", keyed_numbers(keys))


# Files without ids, and Kraken


def _seconds(n: int, step_us: int = 600_000) -> str:
    # Every third trade has the microsecond of the one before it.
    at = _us(n - (n % 3 == 2), step_us)
    return f"{at // 10**6}.{at % 10**6:06}"


def _without_ids() -> Iterable[Seed]:
    day = DAY.isoformat()
    rows = [f"{_seconds(n)},{_price(n)},{_size(n)},{n % 2}" for n in range(COUNT)]
    trade = csv_numbers({"event_time": 0, "price": 1, "size": 2})
    header = "time_seconds,price,size,is_buyer_maker"
    name = f"gemini__eth-usd__{day}__trade.csv"
    yield Seed("ccapi-trades", "ccapi", name, _lines([header, *rows]), "lines", trade, "optional")
    rows = [
        f"{US // 10**6 + n},{'' if n == 5 else f'{_price(n)}_{_size(n)}'},{_price(n + 1)}_{_size(n)}" + ("|43000_1" if n == 7 else "")
        for n in range(COUNT)
    ]
    header = "time_seconds,bid_price_bid_size,ask_price_ask_size"
    name = f"gemini__eth-usd__{day}__market-depth.csv"
    yield Seed("ccapi-depth", "ccapi", name, _lines([header, *rows]), "lines", _levels, "optional")
    rows = [f"{_seconds(n)},{_price(n)},{_size(n)}" for n in range(COUNT)]
    yield Seed("kraken-csv-trades", "kraken-csv", "XBTUSD.csv", _lines(rows), "lines", trade)
    rows = [f"{US // 10**6 + 60 * n},{42_000 + n}.1,{42_005 + n}.5,{41_990 + n}.2,{42_001 + n}.0,{_size(n)},{n}" for n in range(COUNT)]
    bar = csv_numbers({"bar_start": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "trade_count": 6})
    yield Seed("kraken-csv-bars", "kraken-csv", "XBTUSD_1.csv", _lines(rows), "lines", bar)


def _levels(unit: bytes, _: str) -> Mapping[str, str | None]:
    found: dict[str, str | None] = {}
    at, *sides = unit.decode().split(",")
    for side, levels in zip(("bid", "ask"), sides, strict=True):
        price, _, size = levels.partition("|")[0].partition("_")
        found |= {f"{side}_price": price, f"{side}_size": size} if levels else {}
    return {"event_time": at, **found}


def _kraken_rest() -> Iterable[Seed]:
    before, after = '{"error":[],"result":{"XXBTZUSD":', ',"last":"1741000000000000000"}}'
    trades = [f'["{_price(n)}","{_size(n)}",{_seconds(n)},"{"bs"[n % 2]}","{"ml"[n % 2]}","",{1000 + n}]' for n in range(COUNT)]
    with_id = placed_numbers({"price": 0, "size": 1, "event_time": 2, "sequence": 6})
    yield _document("kraken-rest-trades", "kraken-rest", "XBTUSD.json", trades, with_id, before, after)
    trades = [trade.rpartition(",")[0] + "]" for trade in trades]
    numbers = placed_numbers({"price": 0, "size": 1, "event_time": 2})
    yield _document("kraken-rest-old-trades", "kraken-rest", "XBTUSD.json", trades, numbers, before, after)
    for minutes, name in ((1, "kraken-rest-bars"), (5, "kraken-rest-bars-5m")):
        bars = [
            f'[{US // 10**6 + minutes * 60 * n},"{42_000 + n}.1","{42_005 + n}.5","{41_990 + n}.2","{42_001 + n}.0"'
            f',"{42_000 + n}.05","{_size(n)}",{n}]'
            for n in range(COUNT)
        ]
        numbers = placed_numbers({"bar_start": 0, "open": 1, "high": 2, "low": 3, "close": 4, "vwap": 5, "volume": 6, "trade_count": 7})
        yield _document(name, "kraken-rest", "XBTUSD.json", bars, numbers, before, after)


# Polygon


def _polygon() -> Iterable[Seed]:
    day = DAY.isoformat()
    header = "ticker,conditions,exchange,id,participant_timestamp,price,size"
    pairs = ("X:BTC-USD", "X:ETH-USD")
    rows = [f"{pairs[n % 2]},{n % 2 + 1},1,{4500 + n},{_us(n)}789,{_price(n)},{_size(n)}" for n in range(COUNT)]
    numbers = csv_numbers({"event_time": 4, "price": 5, "size": 6}, is_quoted=True)
    yield Seed("polygon-flat-trades", "polygon-flat", f"{day}.csv", _lines([header, *rows]), "lines", numbers, "by name")
    rows = [
        f"{pairs[n % 2]}," + ('"1,7"' if n % 3 else "") + f",1,abc-{n},{_us(n - n % 2, 0)}{n // 4:03},{_price(n)},{_size(n)}"
        for n in range(COUNT)
    ]
    data = _lines([header, *rows])
    yield Seed("polygon-flat-no-ids", "polygon-flat", f"{day}.csv", data, "lines", numbers, "by name", instrument="polygon:BTCUSD")
    header = "ticker,volume,open,close,high,low,window_start,transactions"
    rows = [
        f"X:BTC-USD,{_size(n)},{42_000 + n},{42_001 + n}.5,{42_002 + n},{41_999 + n},{US + n * 60_000_000}000,{n}" for n in range(COUNT)
    ]
    bar = csv_numbers({"volume": 1, "open": 2, "close": 3, "high": 4, "low": 5, "bar_start": 6, "trade_count": 7}, is_quoted=True)
    yield Seed("polygon-flat-minutes", "polygon-flat", f"{day}.csv", _lines([header, *rows]), "lines", bar, "by name")
    keys = {
        "trades": {"price": "p", "size": "s", "event_time": "t"},
        "quotes": {"bid_price": "bp", "bid_size": "bs", "ask_price": "ap", "ask_size": "as", "event_time": "t"},
        "venue_bars": {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "vwap": "vw", "bar_start": "s"},
    }
    for name, has_clock, has_ids in (("polygon-ws-clock", True, True), ("polygon-ws", False, False)):
        lines = ['[{"ev":"status","status":"auth_success","message":"authenticated"}]']
        for n in range(10):
            at = _ms(n)
            number = f"{n}" if has_ids else f"x{n}"
            trade = f'{{"ev":"XT","pair":"BTC-USD","p":{_price(n)},"t":{at},"s":{_size(n)},"c":[{n % 2 + 1}],"i":"{number}","x":1}}'
            quote = f'{{"ev":"XQ","pair":"BTC-USD","bp":{_price(n)},"bs":{_size(n)},"ap":{_price(n + 1)},"as":{_size(n)},"t":{at},"x":1}}'
            start = (US + n * 60_000_000) // 1000
            bar = (
                f'{{"ev":"XA","pair":"BTC-USD","v":{_size(n)},"vw":42000.5,"o":42000.1,"c":42001.2,"h":42005.3,"l":41999.4'
                f',"s":{start},"e":{start + 60_000}}}'
            )
            clock = f"{_us(n) + 20_000} " if has_clock else ""
            lines += [f"{clock}[{trade},{quote}]", f"{clock}[{bar}]" if n % 2 else f"{clock}{bar}"]
        yield Seed(name, "polygon-ws", "polygon.txt", _lines(lines), "events", keyed_numbers(keys))


# Tardis


def _tardis() -> Iterable[Seed]:
    day = DAY.isoformat()
    header = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
    trade = csv_numbers({"event_time": 2, "received_at": 3, "price": 6, "size": 7})
    rows = [
        f"binance-futures,BTCUSDT,{_ms(n)}000,{_us(n) + 20_000},{1000 + n},{'buy' if n % 3 else 'sell'},{_price(n)},{_size(n)}"
        for n in range(COUNT)
    ]
    data = _lines([header, *rows])
    yield Seed("tardis-trades", "tardis", f"binance-futures_trades_{day}_BTCUSDT.csv", data, "lines", trade, "by name")
    rows = [
        f"gemini,{('BTCUSD', 'ETHUSD')[n % 2]},{_ms(n - n % 4)}000,{_us(n) + 20_000},{1000 + n},{'buy' if n % 3 else 'unknown'}"
        f",{_price(n)},{_size(n)}"
        for n in range(COUNT)
    ]
    data = _lines([header, *rows])
    yield Seed("tardis-group", "tardis", f"gemini_trades_{day}_SPOT.csv", data, "lines", trade, "by name")
    header = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"
    rows = [
        f"binance-futures,BTCUSDT,{_ms(n - n % 2)}000,{_us(n) + 20_000},{_size(n)},{_price(n + 1)},{_price(n)},{_size(n)}"
        for n in range(COUNT)
    ]
    quote = csv_numbers({"event_time": 2, "received_at": 3, "ask_size": 4, "ask_price": 5, "bid_price": 6, "bid_size": 7})
    data = _lines([header, *rows])
    name = f"binance-futures_quotes_{day}_BTCUSDT.csv"
    yield Seed("tardis-quotes", "tardis", name, data, "lines", quote, "by name")


# Tables and corrections


def _tables() -> Iterable[Seed]:
    rows = [f'{1000 + n},{_ms(n)},{_price(n)},{_size(n)},{"bs"[n % 2]},"{"note" if n % 2 else "a, b"}"' for n in range(COUNT)]
    mapping = b"""
stream: trades
instrument: kraken:XBTUSD
columns: {price: px, size: amount}
time: {column: ts, unit: ms}
side: {column: side, buy: b, sell: s}
id: nr
"""
    numbers = csv_numbers({"sequence": 0, "event_time": 1, "price": 2, "size": 3}, is_quoted=True)
    data = _lines(["nr,ts,px,amount,side,note", *rows])
    beside = {".mapping.yaml": mapping}
    yield Seed("table-trades", "table", "mine.csv", data, "lines", numbers, "by name", beside=beside)
    rows = [
        f"{('BTCUSD', 'ETHUSD')[n % 2]};{_iso(_us(n - n % 4))[:-1]};{_price(n)};{_size(n)};{_price(n + 1)};{_size(n)}" for n in range(COUNT)
    ]
    mapping = b"""
stream: quotes
instrument: {venue: gemini, symbol: pair}
columns: {bid_price: bid, bid_size: bid_amount, ask_price: ask, ask_size: ask_amount}
time: {column: at, unit: iso}
delimiter: ;
"""
    numbers = csv_numbers({"bid_price": 2, "bid_size": 3, "ask_price": 4, "ask_size": 5}, ";", is_quoted=True)
    data = _lines(["pair;at;bid;bid_amount;ask;ask_amount", *rows])
    beside = {".mapping.yaml": mapping}
    yield Seed("table-quotes", "table", "quotes.csv", data, "lines", numbers, "by name", b";", beside=beside)
    rows = [
        f"{US // 10**6 + 60 * n}\t{42_000 + n}.1\t{42_005 + n}.5\t{41_990 + n}.2\t{42_001 + n}.0\t{_size(n)}\t{n}" for n in range(COUNT)
    ]
    mapping = b"""
stream: venue_bars
instrument: kraken:XBTUSD
interval: 1m
columns: {open: o, high: h, low: l, close: c, volume: v, trade_count: n}
time: {column: t, unit: s}
delimiter: tab
header: false
names: [t, o, h, l, c, v, n]
"""
    numbers = csv_numbers({"bar_start": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "trade_count": 6}, "\t", is_quoted=True)
    beside = {".mapping.yaml": mapping}
    yield Seed("table-bars", "table", "bars.tsv", _lines(rows), "lines", numbers, delimiter=b"\t", beside=beside)
    beside = {".mapping.yaml": PARQUET_MAPPING}
    yield Seed("table-parquet", "table", "mine.parquet", parquet(PARQUET_COLUMNS), "parquet", lambda *_: {}, beside=beside)


PARQUET_COLUMNS = {
    "nr": pa.array([1000 + n for n in range(COUNT)], pa.int64()),
    "at": pa.array([_us(n) for n in range(COUNT)], pa.timestamp("us", "UTC")),
    "px": pa.array([_price(n) for n in range(COUNT)], pa.string()).cast(pa.decimal128(18, 4)),
    "amount": pa.array([_size(n) for n in range(COUNT)], pa.string()),
    "side": pa.array(["bs"[n % 2] for n in range(COUNT)], pa.string()),
}
PARQUET_MAPPING = b"""
stream: trades
instrument: kraken:XBTUSD
columns: {price: px, size: amount}
time: {column: at}
side: {column: side, buy: b, sell: s}
id: nr
"""


def parquet(columns: Mapping[str, pa.Array]) -> bytes:
    """A table of Parquet from its columns."""
    out = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), out, write_page_checksum=True)
    return out.getvalue()


def _corrections() -> Iterable[Seed]:
    header = "instrument,sequence,action,reason,day,event_time,price,size,side,new_event_time"
    rows = [
        f"binance:BTCUSDT,{1000 + n},cancel,busted,{DAY.isoformat()},,,,,"
        if n % 3 == 0
        else f'binance:BTCUSDT,{1000 + n},replace,"told by the venue, see ""notice""",,{_iso(_us(n))},{_price(n)},{_size(n)},sell,'
        for n in range(COUNT)
    ]
    numbers = csv_numbers({"sequence": 1, "price": 6, "size": 7}, is_quoted=True)
    yield Seed("rrr-corrections", "rrr-corrections", "corrections.csv", _lines([header, *rows]), "lines", numbers, "by name")


SEEDS = {
    seed.name: seed
    for make in (_vision, _captures, _rest, _coinbase, _without_ids, _kraken_rest, _polygon, _tardis, _tables, _corrections)
    for seed in make()
}
