"""Bars by what was traded, of bulk history, by a columnar engine: the bars that the SQL makes, to the digit, from trades as they go by.

Belongs here: running totals and sums on whole numbers, the check that they are wide enough. Does not: what a rule cuts
(information_bars.py says it plainly), completeness, storing.
Trades come in order and in parts: a bar that a part does not end is made whole when the last part has come.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from rrr_assets.calc.columnar import Numbers
from rrr_assets.calc.information_bars import Rule
from rrr_assets.calc.numbers import EXACT, PRICE_SCALE, SIZE_SCALE
from rrr_assets.contracts.parsed import UTC_MICROSECONDS

if TYPE_CHECKING:
    import polars as pl

_MOST: Final = 2**126
_MOST_NARROW: Final = 2**62
_SUMMED: Final = ("size", "notional", "bought_size", "bought_notional")
_WIDE: Final = pa.decimal256(76, PRICE_SCALE + SIZE_SCALE)
_PRICES: Final = ("open", "high", "low", "close")

MADE: Final = pa.schema(
    [
        pa.field("rule", pa.string()),
        pa.field("bar_index", pa.int64()),
        pa.field("bar_start", UTC_MICROSECONDS),
        pa.field("bar_end", UTC_MICROSECONDS),
        pa.field("threshold", pa.string()),
        *(pa.field(name, _WIDE) for name in _PRICES),
        *(pa.field(name, _WIDE) for name in ("volume", "quote_volume")),
        pa.field("trade_count", pa.int64()),
        *(pa.field(name, _WIDE) for name in ("taker_buy_volume", "taker_buy_quote_volume")),
        pa.field("first_sequence", pa.int64()),
        pa.field("last_sequence", pa.int64()),
        pa.field("is_full", pa.bool_()),
    ]
)
"""What comes out."""


@dataclass
class _Cut:
    """One rule on its way through a day. The running total is of whole numbers with `scale` decimals, which only grow."""

    rule: Rule
    counts: str
    scale: int = 0
    total: int = 0
    parts: "list[tuple[pl.DataFrame, int, int]]" = field(default_factory=list)

    def at(self, scale: int) -> tuple[int, int]:
        """The threshold as a whole number, and what a total with so many decimals is multiplied by to be held against it."""
        exponent = self.rule.threshold.as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) else 0
        unit = 10 ** max(0, decimals - scale)
        return int(EXACT.multiply(EXACT.scaleb(self.rule.threshold, scale), Decimal(unit))), unit


class InformationBars:
    """The bars of one instrument's trades of one day, by some rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        counts = {"tick": "one", "volume": "size", "dollar": "notional"}
        self._cuts = [_Cut(rule, counts[rule.kind]) for rule in rules]

    def add(self, trades: Numbers) -> None:
        """Take the next trades in, which count and come in order.

        Raises:
            OverflowError: the numbers are too large for this engine. Their bars can be made in the database.
        """
        import polars as pl

        if not len(trades.frame) or not self._cuts:
            return
        if trades.is_wide:
            raise OverflowError("trades whose sums pass 128 bits")
        numbers = trades.frame.with_columns(
            pl.lit(1, pl.Int64).alias("one"),
            *(pl.when("is_buy").then(pl.col(name)).otherwise(0).alias(f"bought_{name}") for name in ("size", "notional")),
        )
        scales = {"one": 0, "size": trades.size_scale, "notional": trades.price_scale + trades.size_scale}
        for cut in self._cuts:
            cut.parts.append((_part(numbers, cut, scales[cut.counts]), trades.price_scale, trades.size_scale))

    def bars(self) -> pa.Table:
        """The bars of all trades, in schema MADE.

        Raises:
            OverflowError: a bar's number passes 63 bits: the rule is too fine.
        """
        tables = [self._table(cut) for cut in self._cuts if cut.parts]
        return pa.concat_tables(tables) if tables else MADE.empty_table()

    def _table(self, cut: _Cut) -> pa.Table:
        import polars as pl

        price_scale, size_scale = max(part[1] for part in cut.parts), max(part[2] for part in cut.parts)
        whole = (
            pl.concat(_widened(*part, price_scale, size_scale) for part in cut.parts)
            .group_by("place", maintain_order=True)
            .agg(
                pl.col("bar_start", "open", "first_sequence").first(),
                pl.col("bar_end", "close", "last_sequence").last(),
                pl.col("high").max(),
                pl.col("is_full").any(),
                pl.col("low").min(),
                pl.col("trade_count", *_SUMMED).sum(),
            )
        )
        if any(int(whole[name].max() or 0) >= _MOST for name in _SUMMED):  # type: ignore[arg-type]  # of whole numbers
            raise OverflowError(f"sums of bars by {cut.rule.name} pass 126 bits")
        columns = {
            "rule": pa.repeat(pa.scalar(cut.rule.name), len(whole)),
            "threshold": pa.repeat(pa.scalar(format(cut.rule.threshold, "f")), len(whole)),
            "bar_index": whole["place"].to_arrow(),
            "bar_start": whole["bar_start"].to_arrow().cast(UTC_MICROSECONDS),
            "bar_end": whole["bar_end"].to_arrow().cast(UTC_MICROSECONDS),
            "trade_count": whole["trade_count"].to_arrow(),
            "is_full": whole["is_full"].to_arrow(),
            **{name: whole[name].to_arrow() for name in ("first_sequence", "last_sequence")},
            **{name: _exact(whole[name], price_scale) for name in _PRICES},
            "volume": _exact(whole["size"], size_scale),
            "quote_volume": _exact(whole["notional"], price_scale + size_scale),
            "taker_buy_volume": _exact(whole["bought_size"], size_scale),
            "taker_buy_quote_volume": _exact(whole["bought_notional"], price_scale + size_scale),
        }
        return pa.table([columns[name] for name in MADE.names], schema=MADE)


def _part(numbers: "pl.DataFrame", cut: _Cut, scale: int) -> "pl.DataFrame":
    """What some trades give to the bars that they fall into; the rule's total moves on."""
    import polars as pl

    finer = max(scale, cut.scale)
    before, more = cut.total * 10 ** (finer - cut.scale), 10 ** (finer - scale)
    threshold, unit = cut.at(finer)
    # Every sum is of numbers that are not negative, so that none on the way is larger than the last.
    whole = int(numbers[cut.counts].cast(pl.Int128).sum()) * more
    if (before + whole) * unit >= _MOST or threshold >= _MOST or len(numbers) * int(numbers["notional"].max() or 0) >= _MOST:  # type: ignore[arg-type]  # of whole numbers
        raise OverflowError(f"the total that {cut.rule.name} is cut by passes 126 bits")
    kind = pl.Int64 if max((before + whole) * unit, threshold) < _MOST_NARROW else pl.Int128
    counted = pl.col(cut.counts).cast(kind) * pl.lit(more * unit, kind)
    after = counted.cum_sum() + pl.lit(before * unit, kind)
    cut.total, cut.scale = before + whole, finer
    part = (
        numbers.lazy()
        .with_columns(after=after, counted=counted)
        .with_columns(place=(pl.col("after") - pl.col("counted")) // pl.lit(threshold, kind))
        .with_columns(pl.col("place").set_sorted())
        .group_by("place", maintain_order=True)
        .agg(
            # Of equal times the order tells first and last; a time never steps back in it.
            pl.col("event_time").first().alias("bar_start"),
            pl.col("event_time").last().alias("bar_end"),
            pl.col("price").first().alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("close"),
            pl.col("sequence").first().alias("first_sequence"),
            pl.col("sequence").last().alias("last_sequence"),
            pl.col("after").last(),
            pl.len().cast(pl.Int64).alias("trade_count"),
            *(pl.col(name).cast(pl.Int128).sum() for name in _SUMMED),
        )
        .with_columns(is_full=pl.col("after") // pl.lit(threshold, kind) > pl.col("place"))
        .drop("after")
        .collect()
    )
    if int(part["place"].max() or 0) >= _MOST_NARROW:  # type: ignore[arg-type]  # of whole numbers
        raise OverflowError(f"{cut.rule.name} is too fine: its bars have no number")
    return part.with_columns(pl.col("place").cast(pl.Int64))


def _widened(part: "pl.DataFrame", price_scale: int, size_scale: int, to_price_scale: int, to_size_scale: int) -> "pl.DataFrame":
    """A part's numbers with as many decimals as those of all parts.

    Raises:
        OverflowError: one of them passes 126 bits then.
    """
    import polars as pl

    price, size = 10 ** (to_price_scale - price_scale), 10 ** (to_size_scale - size_scale)
    factors = {
        **dict.fromkeys(_PRICES, price),
        **dict.fromkeys(("size", "bought_size"), size),
        **dict.fromkeys(("notional", "bought_notional"), price * size),
    }
    if any(int(part[name].max() or 0) * factor >= _MOST for name, factor in factors.items()):
        raise OverflowError("sums of these trades pass 126 bits")
    return part.with_columns(pl.col(name).cast(pl.Int128) * pl.lit(factor, pl.Int128) for name, factor in factors.items())


def _exact(values: "pl.Series", scale: int) -> pa.Array:
    import polars as pl

    return values.cast(pl.Decimal(38, 0)).to_arrow().view(pa.decimal128(38, scale)).cast(_WIDE)
