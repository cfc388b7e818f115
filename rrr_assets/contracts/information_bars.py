"""The contracts of bars by what was traded, and of the rules by which they are cut.

Belongs here: the kinds, the three bar tables with the same columns, the table of rules. Does not: bars of fixed lengths of time
(bars), how a rule cuts (calc/information_bars).
"""

from typing import Final

from rrr_assets.contracts.bars import BARS
from rrr_assets.contracts.base import BARS_RETENTION, NOT_NEGATIVE, POSITIVE, Column, Table, Type
from rrr_assets.contracts.ticks import BOUNDS, INSTRUMENT, NEXT_DAY

KINDS: Final = {
    "tick": "trades",
    "volume": "base asset or contracts",
    "dollar": "quote asset",
}
"""What each kind counts up to its threshold, as the unit of the threshold: trades, sizes, or price * size."""

EVERY_INSTRUMENT: Final = "*"
"""The scope of a rule for all instruments; `venue:*` is that of a venue, and an instrument's name its own."""

_TRADES_SUMMED_UP: Final = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "vwap",
    "trade_count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "first_sequence",
    "last_sequence",
)


def _bars(kind: str) -> Table:
    return Table(
        name=f"bars_{kind}",
        description=(
            f"One row per instrument, rule, day and bar of trades, cut when the day's running total of {KINDS[kind]} comes to or past "
            "the next multiple of the rule's threshold. Exact; no trade is split, and no bar spans midnight."
        ),
        columns=(
            INSTRUMENT,
            Column("day", Type.DATE, "The day whose trades it is made of.", unit="UTC day"),
            Column("rule", Type.TEXT, f"The rule by which it was cut, as in {kind}-1000: kind and threshold."),
            Column(
                "bar_index",
                Type.BIGINT,
                "Whole thresholds that were traded that day before its first trade, from 0; a trade that spans several leaves some out.",
                range=NOT_NEGATIVE,
            ),
            Column("bar_start", Type.TIME, "event_time of its first trade by (event_time, sequence).", unit="UTC"),
            Column("bar_end", Type.TIME, "event_time of its last trade, which belongs to it.", unit="UTC"),
            Column("threshold", Type.NOTIONAL, "What the rule cuts at.", unit=KINDS[kind], range=POSITIVE),
            *(BARS["1m"].column(name) for name in _TRADES_SUMMED_UP),
            Column("is_full", Type.BOOLEAN, "Its last trade reached the threshold; only a day's last bar can be short."),
            Column(
                "is_complete",
                Type.BOOLEAN,
                "From midnight to its end, or of a short bar to the day's end, nothing is missing from the tape that is not accepted.",
            ),
            BARS["1m"].column("known_at"),
        ),
        key=("instrument", "day", "rule", "bar_index"),
        owner="team:market-data",
        retention=BARS_RETENTION,
        time_column="bar_start",
        ordered=(*BOUNDS, ("bar_start", "bar_end")),
        promise=NEXT_DAY,
    )


INFORMATION_BARS: Final = {kind: _bars(kind) for kind in KINDS}

FOLLOWED: Final = {f"bars_{kind}": ("raw_agg_trades", "raw_trades", f"bar_rules_{kind}") for kind in KINDS}
"""What each table follows in the invalidation log: the ticks that an instrument declares, with what coverage says of them, and the
rules of its kind."""

BAR_RULES: Final = Table(
    name="bar_rules",
    description=(
        "By which rules bars are cut. Of each kind those of the narrowest scope hold: the instrument's own, else its venue's, else those "
        "of all. A rule is never changed: it is withdrawn and another one declared."
    ),
    columns=(
        Column("scope", Type.TEXT, "Whose bars: * for every instrument, venue:* for a venue's, or an instrument's name."),
        Column("rule", Type.TEXT, "Its name, kind and threshold in one, as in dollar-1000000."),
        Column("kind", Type.TEXT, "What is counted.", accepted=tuple(KINDS)),
        Column("threshold", Type.NOTIONAL, "What a bar is cut at: trades, quantity or quote volume, as the kind says.", range=POSITIVE),
        Column("declared_at", Type.TIME, "When it was declared; it holds for every day, also those before.", unit="UTC"),
        Column("withdrawn_at", Type.TIME, "When it was withdrawn; null while it holds.", nullable=True, unit="UTC"),
    ),
    key=("scope", "rule", "declared_at"),
    owner="team:market-data",
    ordered=(("declared_at", "withdrawn_at"),),
)
