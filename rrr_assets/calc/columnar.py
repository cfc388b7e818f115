"""Bars of bulk history by a columnar engine: the bars that the SQL makes, to the digit, from Arrow batches in memory.

Belongs here: exact sums on scaled integers, the choice of integers that are wide enough, rolling up. Does not: what a bar is
(order.py says it plainly), completeness and times of knowledge (the warehouse tells them), storing.

Prices and sizes become whole numbers at the fewest decimals that the instrument's trades need, and the largest sums that can come
about are bounded before anything is summed, because integers wrap round without a word: sums below 2^63 are made in 64 bits, sums
below 10^38 in 128, and where these do not do, sizes and prices are cut into limbs of 32 bits, whose products sum exactly in 128.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from rrr_assets.calc.decimals import NOTIONAL, NOTIONAL_READ, PRICE, SIZE, WIDE_SIZE, plain_texts
from rrr_assets.calc.numbers import EXACT, PRICE_SCALE, SIZE_SCALE, VWAP_SCALE, vwap
from rrr_assets.contracts.bars import BARS, INTERVALS
from rrr_assets.contracts.parsed import TRADES, UTC_MICROSECONDS

if TYPE_CHECKING:
    import polars as pl

SCHEMA: Final = pa.schema([field for field in BARS["1m"].arrow_schema() if field.name not in {"is_complete", "known_at"}])
"""What comes out, but that a column of sums is wider where a value needs it: NOTIONAL for quote volumes, WIDE_SIZE for volumes."""

NEEDED: Final = pa.schema([TRADES.field(name) for name in ("instrument", "event_time", "sequence", "price", "size", "side", "conditions")])
"""What of trades is looked at."""

_SUMS: Final = {"volume": "size", "quote_volume": "notional", "taker_buy_volume": "size", "taker_buy_quote_volume": "notional"}
_LIMB: Final = 2**32
_LIMBS: Final = 4
_LEAST_UNFIT_64: Final = 2**63
_LEAST_UNFIT_128: Final = 10**38
_SAMPLE: Final = 1024


@dataclass(frozen=True, slots=True)
class Numbers:
    """Trades of one instrument as whole numbers, ordered: price * 10^price_scale and so on.

    `terms` says of each kind of sum which columns are added up, with the factor of each: size = sum of column * factor.
    """

    frame: "pl.DataFrame"
    price_scale: int
    size_scale: int
    terms: Mapping[str, Mapping[str, int]]

    @property
    def is_wide(self) -> bool:
        """Whether a sum is made of several columns."""
        return any(len(columns) > 1 for columns in self.terms.values())


def bars_of_day(
    trades: pa.Table | Iterable[pa.RecordBatch], uncounted: Mapping[str, Collection[str]], intervals: Collection[str] = tuple(INTERVALS),
    also: Callable[[str, Numbers], None] | None = None,
) -> dict[str, pa.Table]:  # fmt: skip
    """The bars of some trades, as the SQL makes them of the same trades.

    Args:
        trades: In schema TRADES, or with more columns, in any order, of any number of instruments and days; of one instrument
            no identity twice, and all of one space.
        uncounted: By venue, the conditions with which a trade does not count (`trade_conditions`).
        intervals: Of '1m', '5m', '1h', '1d'.
        also: Is shown the trades that count of each instrument, in their order, as the bars are made of them.

    Returns:
        By interval, bars in schema SCHEMA ordered by instrument and bar_start, rolled up from the 1-minute ones.

    Raises:
        OverflowError: a sum passes 76 digits.
    """
    if isinstance(trades, pa.Table):
        table = trades.select(NEEDED.names)
    else:
        table = pa.Table.from_batches([batch.select(NEEDED.names) for batch in trades], NEEDED)
    made: dict[str, list[pa.Table]] = {interval: [] for interval in intervals}
    longest = max((length for interval, length in INTERVALS.items() if interval in made), default=timedelta())
    for name, part in _by_instrument(table, uncounted):
        numbers = _as_numbers(part)
        if also is not None:
            also(name, numbers)
        bars: pl.DataFrame | None = None
        for interval, length in INTERVALS.items():
            if length > longest:
                break
            bars = _from_trades(numbers, length) if bars is None else _rolled_up(bars, length)
            if interval in made:
                made[interval].append(_as_table(name, bars, numbers))
    return {interval: _joined(tables) for interval, tables in made.items()}


def as_csv(bars: pa.Table) -> pa.Buffer:
    """Bars as `copy ... from stdin (format csv, header)` takes them: decimals plain, without trailing zeros, nulls bare.

    Text, because the binary encoder knows no decimals of more than 38 digits.
    """
    texts = [plain_texts(column.combine_chunks()) if pa.types.is_decimal(column.type) else column for column in bars.itercolumns()]
    sink = pa.BufferOutputStream()
    csv.write_csv(pa.table(texts, bars.column_names), sink)
    return sink.getvalue()


# --- trades as whole numbers -------------------------------------------------------------------------------------


def _by_instrument(table: pa.Table, uncounted: Mapping[str, Collection[str]]) -> Iterator[tuple[str, pa.Table]]:
    """The trades of each instrument that count, in their order; instruments in the order of their names."""
    import polars as pl

    keys = table.select(["instrument", "event_time", "sequence"])
    if not len(table) or _are_all(keys["instrument"], keys["instrument"][0]):
        runs = [(str(name), len(table)) for name in keys["instrument"][:1]]
        keys = keys.drop_columns("instrument")
        is_ordered = all(pl.Series(pl.from_arrow(column)).is_sorted() for column in keys.columns)
    else:
        names = pl.Series(pl.from_arrow(keys["instrument"])).value_counts().sort("instrument")
        runs = [(str(name), int(rows)) for name, rows in names.rows()]
        is_ordered = False
    if not is_ordered:
        table = table.take(pl.DataFrame(pl.from_arrow(keys)).select(pl.arg_sort_by(keys.column_names)).to_series().to_arrow())
    for name, rows in runs:
        part, table = table.slice(0, rows), table.slice(rows)
        unwanted = uncounted.get(name.partition(":")[0], ())
        if unwanted and part["conditions"].null_count < rows:
            part = part.filter(_count(part["conditions"], unwanted))
        if len(part):
            yield name, part


def _are_all(texts: pa.ChunkedArray, text: pa.Scalar) -> bool:
    """Whether all texts are the same; compares memory, several times as fast as value by value."""
    same = pa.repeat(text, max(len(chunk) for chunk in texts.chunks))
    return all(chunk.equals(same.slice(0, len(chunk))) for chunk in texts.chunks)


def _count(conditions: pa.ChunkedArray, unwanted: Collection[str]) -> pa.Array:
    """Whether each trade counts: none of its conditions is unwanted."""
    import polars as pl

    has_unwanted = pl.element().is_in(list(unwanted)).any()
    return (
        pl.Series("of", pl.from_arrow(conditions))
        .to_frame()
        .select(~pl.col("of").list.agg(has_unwanted))
        .to_series()
        .fill_null(value=True)
        .to_arrow()
    )


def _as_numbers(trades: pa.Table) -> Numbers:
    import polars as pl

    # The engine and Arrow's functions work outside the interpreter's lock, each on one core for the most part.
    with ThreadPoolExecutor(max_workers=1) as beside:
        is_buy = beside.submit(_are_buys, trades["side"])
        raw = pl.DataFrame(pl.from_arrow(trades.select(["event_time", "sequence", "price", "size"])))
        raw = raw.select(pl.col("event_time").to_physical(), "sequence", pl.col("price", "size").to_physical())
        numbers = _narrow(raw) or _wide(raw)
        return replace(numbers, frame=numbers.frame.with_columns(is_buy.result()))


def _are_buys(sides: pa.ChunkedArray) -> "pl.Series":
    import polars as pl

    # Of the two words that there are it is the one of three letters: several times as fast to tell as by comparing texts.
    return pl.Series("is_buy", pl.from_arrow(pc.equal(pc.binary_length(sides), len("buy")))).fill_null(value=False)


def _narrow(raw: "pl.DataFrame") -> Numbers | None:
    """Prices and sizes in 64 bits, at the fewest decimals that they need; None where they, or sums of them, do not fit 128 bits."""
    import polars as pl

    spare = {name: _spare_zeros(raw[name]) for name in ("price", "size")}
    while True:
        fitted = raw.with_columns(
            (pl.col(name) // pl.lit(10**zeros, pl.Int128)).cast(pl.Int64, strict=False) for name, zeros in spare.items()
        )
        found = fitted.select(
            *(pl.col(name).null_count().alias(f"{name}_unfit") for name in spare),
            *(pl.col(name).min().alias(f"{name}_least") for name in spare),
            *(pl.col(name).max().alias(f"{name}_most") for name in spare),
        ).row(0, named=True)
        if any(found[f"{name}_unfit"] or found[f"{name}_least"] < 0 for name in spare):
            return None
        if any(len(raw) * (found[f"{name}_most"] + 1) * 10**zeros >= _LEAST_UNFIT_128 for name, zeros in spare.items()):
            return None
        whole = raw.select(pl.col(*spare).sum()).row(0, named=True)
        sums = {name: _sum(fitted[name], found[f"{name}_most"]) for name in spare}
        # What floor division leaves is never negative, so the sums are equal only where nothing was left of any value.
        coarse = [name for name, zeros in spare.items() if sums[name] * 10**zeros != whole[name]]
        if not coarse:
            break
        spare |= {name: spare[name] - 1 for name in coarse}
    price_scale, size_scale = PRICE_SCALE - spare["price"], SIZE_SCALE - spare["size"]
    volume = sums["size"]
    quote_volume = found["price_most"] * volume
    # The last thing made of the sums is vwap, from their double at its own scale.
    if 2 * quote_volume * 10 ** (VWAP_SCALE - price_scale) + volume >= _LEAST_UNFIT_128:
        return None
    kind = pl.Int64 if quote_volume < _LEAST_UNFIT_64 else pl.Int128
    sized = fitted.with_columns(notional=pl.col("price").cast(kind) * pl.col("size").cast(kind))
    if volume >= _LEAST_UNFIT_64:
        sized = sized.with_columns(pl.col("size").cast(pl.Int128))
    return Numbers(sized, price_scale, size_scale, {"size": {"size": 1}, "notional": {"notional": 1}})


def _sum(values: "pl.Series", most: int) -> int:
    """The sum of values from 0 to `most`, in 64 bits where they hold it."""
    import polars as pl

    return int(values.sum() if len(values) * most < _LEAST_UNFIT_64 else values.cast(pl.Int128).sum())


def _spare_zeros(values: "pl.Series") -> int:
    """How many zeros at the end some of the values, evenly spread, have in common."""
    digits = [str(value) for value in values.gather_every(max(1, len(values) // _SAMPLE)).to_list() if value]
    return min((len(text) - len(text.rstrip("0")) for text in digits), default=0)


def _wide(raw: "pl.DataFrame") -> Numbers:
    """Any prices and sizes: in limbs of 32 bits, the highest with the sign, at the scales of the contract.

    A product of limbs has 64 bits, so that 128 hold the sum of more of them than memory holds trades.
    """
    import polars as pl

    limbs = {
        f"{name}_{place}": (pl.col(name) // pl.lit(_LIMB**place, pl.Int128))
        if place == _LIMBS - 1
        else (pl.col(name) // pl.lit(_LIMB**place, pl.Int128)) % pl.lit(_LIMB, pl.Int128)
        for name in ("price", "size")
        for place in range(_LIMBS)
    }
    cut = raw.with_columns(**limbs)
    sums = {
        f"notional_{place}": pl.sum_horizontal(
            pl.col(f"price_{a}") * pl.col(f"size_{b}") for a, b in product(range(_LIMBS), repeat=2) if a + b == place
        )
        for place in range(2 * _LIMBS - 1)
    }
    return Numbers(
        cut.select("event_time", "sequence", "price", *(f"size_{place}" for place in range(_LIMBS)), **sums),
        PRICE_SCALE,
        SIZE_SCALE,
        {
            "size": {f"size_{place}": _LIMB**place for place in range(_LIMBS)},
            "notional": {f"notional_{place}": _LIMB**place for place in range(2 * _LIMBS - 1)},
        },
    )


# --- bars as whole numbers ---------------------------------------------------------------------------------------


def _from_trades(numbers: Numbers, interval: timedelta) -> "pl.DataFrame":
    import polars as pl

    summed = [column for columns in numbers.terms.values() for column in columns]
    bought = [pl.when("is_buy").then(pl.col(column)).otherwise(0).alias(f"bought_{column}") for column in summed]
    return (
        numbers.frame.lazy()
        .with_columns(_place("event_time", interval), *bought)
        .group_by("place", maintain_order=True)
        .agg(
            pl.col("price").first().alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("close"),
            pl.len().cast(pl.Int64).alias("trade_count"),
            pl.col("sequence").first().alias("first_sequence"),
            pl.col("sequence").last().alias("last_sequence"),
            *(pl.col(column).sum().alias(f"sum_{column}") for column in summed),
            *(pl.col(f"bought_{column}").sum().alias(f"sum_bought_{column}") for column in summed),
        )
        .with_columns(_bar_start(interval))
        .collect()
    )


def _rolled_up(bars: "pl.DataFrame", interval: timedelta) -> "pl.DataFrame":
    import polars as pl

    return (
        bars.lazy()
        .with_columns(_place("bar_start", interval))
        .group_by("place", maintain_order=True)
        .agg(
            pl.col("open", "first_sequence").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close", "last_sequence").last(),
            pl.col("trade_count").sum(),
            pl.col("^sum_.*$").sum(),
        )
        .with_columns(_bar_start(interval))
        .collect()
    )


def _place(time: str, interval: timedelta) -> "pl.Expr":
    """The number of the bar that holds a time in microseconds, of rows that are ordered by it: a group is a run of rows."""
    import polars as pl

    return (pl.col(time) // (interval // timedelta(microseconds=1))).set_sorted().alias("place")


def _bar_start(interval: timedelta) -> "pl.Expr":
    import polars as pl

    return (pl.col("place") * (interval // timedelta(microseconds=1))).alias("bar_start")


# --- bars as Arrow -----------------------------------------------------------------------------------------------


def _as_table(name: str, bars: "pl.DataFrame", numbers: Numbers) -> pa.Table:
    counted = {column: bars[column].to_arrow() for column in ("trade_count", "first_sequence", "last_sequence")}
    prices = {column: _exact(bars[column], numbers.price_scale, PRICE) for column in ("open", "high", "low", "close")}
    sums = _wide_sums(bars, numbers) if numbers.is_wide else _narrow_sums(bars, numbers)
    columns = {
        "instrument": pa.repeat(pa.scalar(name), len(bars)),
        "bar_start": bars["bar_start"].to_arrow().cast(UTC_MICROSECONDS),
        **counted,
        **prices,
        **sums,
    }
    fields = [field.with_type(columns[field.name].type) for field in SCHEMA]
    return pa.Table.from_arrays([columns[field.name] for field in fields], schema=pa.schema(fields))


def _narrow_sums(bars: "pl.DataFrame", numbers: Numbers) -> dict[str, pa.Array]:
    import polars as pl

    scales = {"size": numbers.size_scale, "notional": numbers.price_scale + numbers.size_scale}
    above, below = pl.col("sum_notional").cast(pl.Int128), pl.col("sum_size").cast(pl.Int128)
    # Half away from zero in whole numbers, neither of which is negative.
    ratio = (2 * above * pl.lit(10 ** (VWAP_SCALE - numbers.price_scale), pl.Int128) + below) // (2 * below)
    vwaps = bars.select(pl.when(below != 0).then(ratio)).to_series()
    found = {"vwap": _exact(vwaps, VWAP_SCALE, PRICE)}
    for name, kind in _SUMS.items():
        values = bars[f"sum_{'bought_' if name.startswith('taker') else ''}{kind}"]
        found[name] = _exact(values, scales[kind], *((SIZE, WIDE_SIZE) if kind == "size" else (NOTIONAL_READ, NOTIONAL)))
    return found


def _wide_sums(bars: "pl.DataFrame", numbers: Numbers) -> dict[str, pa.Array]:
    """A Python number for each sum: bars are few, and such instruments rare."""
    decimals: dict[str, list[Decimal]] = {}
    for name, kind in _SUMS.items():
        scale = numbers.size_scale if kind == "size" else numbers.price_scale + numbers.size_scale
        prefix = "sum_bought_" if name.startswith("taker") else "sum_"
        parts = [[factor * value for value in bars[prefix + column].to_list()] for column, factor in numbers.terms[kind].items()]
        decimals[name] = [EXACT.scaleb(Decimal(sum(each)), -scale) for each in zip(*parts, strict=True)]
    ratios = [vwap(above, below) for above, below in zip(decimals["quote_volume"], decimals["volume"], strict=True)]
    found = {"vwap": pa.array(ratios, PRICE)}
    for name, kind in _SUMS.items():
        found[name] = _fitting(decimals[name], *((SIZE, WIDE_SIZE) if kind == "size" else (NOTIONAL_READ, NOTIONAL)))
    return found


def _exact(values: "pl.Series", scale: int, to: pa.DataType, wider: pa.DataType | None = None) -> pa.Array:
    """Whole numbers of below 39 digits as decimals: value / 10^scale, in the first of the types that holds them all."""
    import polars as pl

    decimals = values.cast(pl.Decimal(38, 0)).to_arrow().view(pa.decimal128(38, scale))
    try:
        return pc.cast(decimals, to)
    except pa.ArrowInvalid:
        if wider is None:
            raise
        return pc.cast(decimals, wider)


def _fitting(values: list[Decimal], narrow: pa.DataType, wide: pa.DataType) -> pa.Array:
    for kind in (narrow, wide):
        try:
            return pa.array(values, kind)
        except pa.ArrowInvalid:
            continue
    raise OverflowError(f"a sum of these trades has more than {wide.precision} digits. Make its bars in the database")


def _joined(tables: list[pa.Table]) -> pa.Table:
    """Bars of several instruments, each column in the widest type that one of them needed."""
    if not tables:
        return SCHEMA.empty_table()
    widest: list[pa.Field] = []
    for place, field in enumerate(SCHEMA):
        kinds: list[Any] = [table.schema.field(place).type for table in tables]
        widest.append(field.with_type(max(kinds, key=lambda kind: kind.bit_width if pa.types.is_decimal(kind) else 0)))
    return pa.concat_tables([table.cast(pa.schema(widest)) for table in tables])
