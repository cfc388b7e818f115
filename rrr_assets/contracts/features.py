"""The contracts of what features are made from and of the features themselves, one row per instrument and minute.

Belongs here: those tables. A feature's column is made from its definition (calc/features), which is the one place that says what it is.
Features are doubles: no price or size in money is read back from them.
"""

from typing import Final

from rrr_assets.calc.features import FEATURES
from rrr_assets.contracts.base import FEATURES_RETENTION, NOT_NEGATIVE, SHARE, Column, Promise, Range, Table, Type
from rrr_assets.contracts.ticks import INSTRUMENT, RAW_TRADES

_OWNER: Final = "team:ml"
_NEXT_DAY: Final = Promise(whole_after_hours=24)
_BASIS: Final = RAW_TRADES.column("available_basis")

TICK_MINUTES: Final = Table(
    name="tick_minutes",
    description=(
        "What a minute's trades and quotes were like: spreads, depth, the flow of best orders, and when all of it could be used. "
        "A minute has a row where the day holds ticks of the instrument."
    ),
    columns=(
        INSTRUMENT,
        Column("bar_start", Type.TIME, "Start of the minute, inclusive; its end is excluded.", unit="UTC"),
        Column(
            "available_at",
            Type.TIME,
            "When all of the minute could be used: the latest available_at of its ticks, never before its end; without ticks its end "
            "plus the venue's publication delay.",
            unit="UTC",
        ),
        Column("available_basis", Type.TEXT, "Observed where that of every tick in it was.", accepted=_BASIS.accepted),
        Column("quote_count", Type.BIGINT, "Quotes that came.", unit="quotes", range=NOT_NEGATIVE),
        Column(
            "quoted_spread_bps",
            Type.STATISTIC,
            "(ask - bid) / mid, weighted by how long it stood; null where no usable quote stood, or quotes may be missing.",
            nullable=True,
            unit="bps",
            range=NOT_NEGATIVE,
        ),
        Column(
            "effective_spread_bps",
            Type.STATISTIC,
            "2 |price - mid before| / mid of the trades, weighted by size; null where none has a usable quote before it.",
            nullable=True,
            unit="bps",
            range=NOT_NEGATIVE,
        ),
        Column(
            "depth_imbalance_close",
            Type.STATISTIC,
            "(bid size - ask size) / (bid size + ask size) at the end; null as quoted_spread_bps.",
            nullable=True,
            unit="-1 to 1",
        ),
        Column(
            "book_flow",
            Type.STATISTIC,
            "What best bids gained and best asks lost, in doubles; null as quoted_spread_bps.",
            nullable=True,
            unit="of size",
        ),
        Column(
            "book_depth",
            Type.STATISTIC,
            "Mean of the best bid's and ask's sizes, weighted by how long they stood, in doubles; null as quoted_spread_bps.",
            nullable=True,
            unit="of size",
            range=NOT_NEGATIVE,
        ),
        Column("known_at", Type.TIME, "When the platform could first serve these values.", unit="UTC"),
    ),
    key=("instrument", "bar_start"),
    owner=_OWNER,
    retention=FEATURES_RETENTION,
    time_column="bar_start",
    ordered=(("bar_start", "available_at"),),
    promise=_NEXT_DAY,
)


def _range_of(low: int | None, high: int | None) -> Range | None:
    """The range that a feature's definition says, which every check of the contract then holds its values to."""
    return None if low is None and high is None else Range(low, high)


_FEATURE_COLUMNS: Final = (
    INSTRUMENT,
    Column("event_time", Type.TIME, "Close of the minute, the first moment at which its values can be known.", unit="UTC"),
    Column(
        "available_at",
        Type.TIME,
        "When the values could be used: the latest available_at of the minutes that any of them is made from.",
        unit="UTC",
    ),
    Column("available_basis", Type.TEXT, "Whether that was observed or modelled.", accepted=_BASIS.accepted),
    Column("known_at", Type.TIME, "When the platform could first serve these values.", unit="UTC"),
    *(
        Column(
            each.name,
            Type.STATISTIC,
            each.description,
            nullable=True,
            unit=each.unit,
            is_in_doubles=True,
            range=_range_of(each.low, each.high),
        )
        for each in FEATURES.values()
    ),
)

FEATURES_1M: Final = Table(
    name="features_1m",
    description=(
        "Every declared feature, one row per instrument and minute whose tape is whole or that has a bar. "
        "Current values only: what was believed before is in feature_revisions_1m."
    ),
    columns=_FEATURE_COLUMNS,
    key=("instrument", "event_time"),
    owner=_OWNER,
    retention=FEATURES_RETENTION,
    time_column="event_time",
    ordered=(("event_time", "available_at"),),
    promise=_NEXT_DAY,
)

FEATURE_REVISIONS_1M: Final = Table(
    name="feature_revisions_1m",
    description="Features as they were believed before they were made again, with the interval in which they were believed.",
    columns=(
        *_FEATURE_COLUMNS,
        Column("believed_until", Type.TIME, "known_at of what replaced it; it was believed from its own known_at until then.", unit="UTC"),
    ),
    key=("instrument", "event_time", "known_at"),
    owner=_OWNER,
    retention=FEATURES_RETENTION,
    time_column="event_time",
    ordered=(("event_time", "available_at"), ("known_at", "believed_until")),
)

TRAINING_SETS: Final = Table(
    name="training_sets",
    description="Every training set that was made: what was asked for, as of when, and the hash of what came out. Never changed.",
    columns=(
        Column("set_id", Type.BIGINT, "The set's number."),
        Column("name", Type.TEXT, "What it is called."),
        Column("spec_sha256", Type.TEXT, "Hash of what was asked for, but for the name."),
        Column("as_known_at", Type.TIME, "The knowledge time that it is made as of.", unit="UTC"),
        Column("content_sha256", Type.TEXT, "Hash of the values of its rows, sorted."),
        Column("row_count", Type.BIGINT, "Its rows.", unit="rows", range=NOT_NEGATIVE),
        Column("manifest", Type.JSON, "The specification, and what the rows were made from."),
        Column("hold", Type.TEXT, "The hold that keeps what it is made from; once that is released or over, it is not made again."),
        Column("made_at", Type.TIME, "When.", unit="UTC"),
        Column("made_by", Type.TEXT, "Who: the user of the operating system and the host."),
    ),
    key=("set_id",),
    owner=_OWNER,
)

REFERENCE_SOURCES: Final = ("training_set", "rolling")

FEATURE_REFERENCES: Final = Table(
    name="feature_references",
    description="What days of features are held against: the training rows of a set, or the days before. Never changed.",
    columns=(
        Column("reference_id", Type.BIGINT, "The reference's number."),
        Column("source", Type.TEXT, "The rows that a training set was made from, or those of the days before.", accepted=REFERENCE_SOURCES),
        Column("set_id", Type.BIGINT, "The set in training_sets; null of a rolling reference.", nullable=True),
        Column("from_time", Type.TIME, "Its rows close from then on; in a set's, without what is tested on and the embargo.", unit="UTC"),
        Column("until_time", Type.TIME, "Its rows close by then.", unit="UTC"),
        Column("as_known_at", Type.TIME, "Its rows are as they were believed then; null: when it was made.", nullable=True, unit="UTC"),
        Column("mark", Type.TEXT, "What it was made from, and by which code: the same mark is the same reference."),
        Column("made_at", Type.TIME, "When.", unit="UTC"),
        Column("run_id", Type.TEXT, "The Dagster run, where one did it.", nullable=True),
    ),
    key=("reference_id",),
    owner=_OWNER,
)

_OF_WHICH: Final = Column("instrument", Type.TEXT, "Venue and symbol, as in binance:BTCUSDT; * for all of them together.")
_FEATURE: Final = Column("feature", Type.TEXT, "Its name.")
FEATURE_REFERENCE_BINS: Final = Table(
    name="feature_reference_bins",
    description="What is kept of a reference: of each feature and instrument its bins by deciles, with the share of its values in each.",
    columns=(
        Column("reference_id", Type.BIGINT, "The reference in feature_references."),
        _OF_WHICH,
        _FEATURE,
        Column("row_count", Type.BIGINT, "Rows that it is made from.", unit="rows", range=NOT_NEGATIVE),
        Column("day_count", Type.INTEGER, "UTC days that these are of.", unit="days", range=NOT_NEGATIVE),
        Column("missing_rate", Type.STATISTIC, "Share of the rows that have no value.", unit="0 to 1", range=SHARE),
        Column(
            "edges",
            Type.STATISTICS,
            "What parts the bins: one holds what lies above the edge before it and not above its own; the first and the last are open.",
            unit="as the feature",
        ),
        Column("shares", Type.STATISTICS, "Share of the values in each bin, one more than edges; none without a value.", unit="0 to 1"),
        Column("minimum", Type.STATISTIC, "The smallest value.", nullable=True, unit="as the feature"),
        Column("maximum", Type.STATISTIC, "The largest value.", nullable=True, unit="as the feature"),
        Column("low", Type.STATISTIC, "The value that half a per cent do not pass.", nullable=True, unit="as the feature"),
        Column("high", Type.STATISTIC, "The value that all but half a per cent do not pass.", nullable=True, unit="as the feature"),
        Column(
            "usual_psi",
            Type.STATISTIC,
            "The largest index of one of its own days against its others; null with fewer than three days.",
            nullable=True,
            range=NOT_NEGATIVE,
        ),
    ),
    key=("reference_id", "instrument", "feature"),
    owner=_OWNER,
)

FEATURE_DRIFT: Final = Table(
    name="feature_drift",
    description="How far a feature's values of a UTC day lie from a reference. A day that is looked at again has its new numbers alone.",
    columns=(
        Column("day", Type.DATE, "The day whose minutes they are of.", unit="UTC day"),
        _OF_WHICH,
        _FEATURE,
        Column("reference_id", Type.BIGINT, "What it is held against; null where there is nothing.", nullable=True),
        Column("row_count", Type.BIGINT, "Rows of the day.", unit="rows", range=NOT_NEGATIVE),
        Column(
            "psi",
            Type.STATISTIC,
            "Population stability index of the day's values against the reference's bins; null with fewer than 200 values in either.",
            nullable=True,
            range=NOT_NEGATIVE,
        ),
        Column(
            "usual_psi",
            Type.STATISTIC,
            "How large it is without drift: usual_psi of the reference.",
            nullable=True,
            range=NOT_NEGATIVE,
        ),
        Column("missing_rate", Type.STATISTIC, "Share of the rows that have no value.", unit="0 to 1", range=SHARE),
        Column("reference_days", Type.INTEGER, "Days of the reference.", nullable=True, unit="days", range=NOT_NEGATIVE),
        Column("reference_missing_rate", Type.STATISTIC, "The same of the reference.", nullable=True, unit="0 to 1", range=SHARE),
        Column(
            "out_of_range",
            Type.STATISTIC,
            "Share of them outside the range of a reference of three days or more.",
            nullable=True,
            unit="0 to 1",
            range=SHARE,
        ),
        Column(
            "in_tails",
            Type.STATISTIC,
            "Share of them outside its middle 99 %.",
            nullable=True,
            unit="0 to 1",
            range=SHARE,
        ),
        Column("shares", Type.STATISTICS, "Share of the day's values in each of the reference's bins, where it has any.", unit="0 to 1"),
        Column("computed_at", Type.TIME, "When it was computed.", unit="UTC"),
        Column("run_id", Type.TEXT, "The Dagster run, where one did it.", nullable=True),
    ),
    key=("day", "instrument", "feature"),
    owner=_OWNER,
)

FEATURE_TABLES: Final = (
    TICK_MINUTES, FEATURES_1M, FEATURE_REVISIONS_1M, TRAINING_SETS, FEATURE_REFERENCES, FEATURE_REFERENCE_BINS, FEATURE_DRIFT,
)  # fmt: skip
