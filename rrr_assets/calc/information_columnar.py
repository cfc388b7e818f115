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
import pyarrow.compute as pc

from rrr_assets.calc.information_bars import Rule
from rrr_assets.calc.numbers import EXACT, PRICE_SCALE, SIZE_SCALE
from rrr_assets.contracts.parsed import UTC_MICROSECONDS

if TYPE_CHECKING:
    import polars as pl

_LEAST_UNFIT: Final = 2**126
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
    """One rule on its way through a day. The running total is of whole numbers with `scale` decimals; `number / unit` of them is a bar."""

    rule: Rule
    counts: str
    scale: int
    total: int = 0
    parts: "list[pl.DataFrame]" = field(default_factory=list)

    @property
    def unit(self) -> int:
        """What the total is multiplied by, so that the threshold is a whole number."""
        exponent = self.rule.threshold.as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) else 0
        return int(10 ** max(0, decimals - self.scale))

    @property
    def number(self) -> int:
        """The threshold, in the total's whole numbers times the unit."""
        return int(EXACT.multiply(EXACT.scaleb(self.rule.threshold, self.scale), Decimal(self.unit)))


class InformationBars:
    """The bars of one instrument's trades of one day, by some rules.

    Args:
        rules: by which they are cut.
        price_scale: decimals that hold every price.
        size_scale: decimals that hold every size.
    """

    def __init__(self, rules: Sequence[Rule], price_scale: int, size_scale: int) -> None:
        counts = {"tick": ("one", 0), "volume": ("size", size_scale), "dollar": ("notional", price_scale + size_scale)}
        self._cuts = [_Cut(rule, *counts[rule.kind]) for rule in rules]
        self._price_scale = price_scale
        self._size_scale = size_scale
        self._most = 0

    def add(self, trades: pa.Table) -> None:
        """Take the next trades in, which count and come in order.

        Raises:
            OverflowError: the numbers are too large for this engine. Their bars can be made in the database.
        """
        import polars as pl

        if not len(trades) or not self._cuts:
            return
        raw = pl.DataFrame(pl.from_arrow(trades.select(["event_time", "sequence", "price", "size"])))
        is_buy = pl.Series("is_buy", pl.from_arrow(pc.equal(trades["side"], "buy"))).fill_null(value=False)
        numbers = raw.select(
            pl.col("event_time").to_physical(),
            "sequence",
            pl.col("price").to_physical() // pl.lit(10 ** (PRICE_SCALE - self._price_scale), pl.Int128),
            pl.col("size").to_physical() // pl.lit(10 ** (SIZE_SCALE - self._size_scale), pl.Int128),
        ).with_columns(is_buy)
        price_most, size_most = (int(numbers[name].max() or 0) for name in ("price", "size"))  # type: ignore[arg-type]  # of whole numbers
        most = {"one": 1, "size": size_most, "notional": price_most * size_most}
        self._most += len(numbers) * most["notional"]
        if self._most >= _LEAST_UNFIT or any(cut.number >= _LEAST_UNFIT for cut in self._cuts):
            raise OverflowError(f"trades of up to {price_most} x {size_most}, or a rule, pass 126 bits")
        numbers = numbers.with_columns(notional=pl.col("price") * pl.col("size"), one=pl.lit(1, pl.Int128))
        bought = [
            pl.when("is_buy").then(pl.col(name)).otherwise(pl.lit(0, pl.Int128)).alias(f"bought_{name}") for name in ("size", "notional")
        ]
        numbers = numbers.with_columns(bought)
        for cut in self._cuts:
            if (cut.total + len(numbers) * most[cut.counts]) * cut.unit >= _LEAST_UNFIT:
                raise OverflowError(f"the total that {cut.rule.name} is cut by passes 126 bits")
            cut.parts.append(_part(numbers, cut))
            cut.total += int(numbers[cut.counts].sum())

    def bars(self) -> pa.Table:
        """The bars of all trades, in schema MADE.

        Raises:
            OverflowError: a bar's number passes 63 bits: the rule is too fine.
        """
        tables = [self._table(cut) for cut in self._cuts if cut.parts]
        return pa.concat_tables(tables) if tables else MADE.empty_table()

    def _table(self, cut: _Cut) -> pa.Table:
        import polars as pl

        whole = (
            pl.concat(cut.parts)
            .group_by("place", maintain_order=True)
            .agg(
                pl.col("bar_start", "open", "first_sequence").first(),
                pl.col("bar_end", "close", "last_sequence").last(),
                pl.col("high", "after").max(),
                pl.col("low").min(),
                pl.col("trade_count", *_SUMMED).sum(),
            )
            .with_columns(is_full=pl.col("after") * pl.lit(cut.unit, pl.Int128) >= (pl.col("place") + 1) * pl.lit(cut.number, pl.Int128))
        )
        if int(whole["place"].max() or 0) >= 2**63:  # type: ignore[arg-type]  # of whole numbers
            raise OverflowError(f"{cut.rule.name} is too fine: its bars have no number")
        scales = {"size": self._size_scale, "notional": self._price_scale + self._size_scale}
        columns = {
            "rule": pa.repeat(pa.scalar(cut.rule.name), len(whole)),
            "threshold": pa.repeat(pa.scalar(format(cut.rule.threshold, "f")), len(whole)),
            "bar_index": whole["place"].cast(pl.Int64).to_arrow(),
            "bar_start": whole["bar_start"].to_arrow().cast(UTC_MICROSECONDS),
            "bar_end": whole["bar_end"].to_arrow().cast(UTC_MICROSECONDS),
            "trade_count": whole["trade_count"].cast(pl.Int64).to_arrow(),
            "is_full": whole["is_full"].to_arrow(),
            **{name: whole[name].to_arrow() for name in ("first_sequence", "last_sequence")},
            **{name: _exact(whole[name], self._price_scale) for name in _PRICES},
            "volume": _exact(whole["size"], scales["size"]),
            "quote_volume": _exact(whole["notional"], scales["notional"]),
            "taker_buy_volume": _exact(whole["bought_size"], scales["size"]),
            "taker_buy_quote_volume": _exact(whole["bought_notional"], scales["notional"]),
        }
        return pa.table([columns[name] for name in MADE.names], schema=MADE)


def _part(numbers: "pl.DataFrame", cut: _Cut) -> "pl.DataFrame":
    """What some trades give to the bars that they fall into."""
    import polars as pl

    after = pl.col(cut.counts).cum_sum() + pl.lit(cut.total, pl.Int128)
    before = after - pl.col(cut.counts)
    return (
        numbers.lazy()
        .with_columns(after=after, place=(before * pl.lit(cut.unit, pl.Int128)) // pl.lit(cut.number, pl.Int128))
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
            pl.col("after").max(),
            pl.len().cast(pl.Int64).alias("trade_count"),
            *(pl.col(name).sum() for name in _SUMMED),
        )
        .collect()
    )


def _exact(values: "pl.Series", scale: int) -> pa.Array:
    import polars as pl

    return values.cast(pl.Decimal(38, 0)).to_arrow().view(pa.decimal128(38, scale)).cast(_WIDE)
