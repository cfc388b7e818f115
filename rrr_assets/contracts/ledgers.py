"""The contracts of the platform's own books: instruments, files, batches, coverage, quarantine, invalidations, conformance."""

from typing import Final

from rrr_assets.calc.numbers import PRICE_SCALE, SIZE_SCALE
from rrr_assets.contracts.base import AT_LEAST_ONE, NOT_NEGATIVE, Column, Range, Table, Type
from rrr_assets.contracts.retention import HOLDS, PARTITION_TIERS, RETENTION_LOG
from rrr_assets.contracts.ticks import INSTRUMENT

CONTRACT_TYPES: Final = ("spot", "linear", "inverse")
STREAMS: Final = ("trades", "agg_trades", "quotes", "depth", "venue_bars", "corrections")
SPACES: Final = ("trade_id", "exchange_trade_id", "aggregate_id", "update_id", "ordinal")
TIME_UNITS: Final = ("s", "ms", "us", "ns")
STATUSES: Final = ("equal", "explained", "uncovered", "unexplained")
QUARANTINE_STATES: Final = ("quarantined", "replayed")
_OWNER: Final = "team:market-data"

INSTRUMENTS: Final = Table(
    name="instruments",
    description=(
        "What is traded where, with the exact scales that its numbers are held to. "
        "Effective-dated: a change closes a row and opens another."
    ),
    columns=(
        INSTRUMENT,
        Column("valid_from", Type.TIME, "From when these values hold.", unit="UTC"),
        Column("valid_to", Type.TIME, "Until when they held; null for the current row.", nullable=True, unit="UTC"),
        Column("venue", Type.TEXT, "The part before the colon."),
        Column("symbol", Type.TEXT, "The part after the colon: upper case, no separators."),
        Column(
            "contract_type",
            Type.TEXT,
            "Spot, linear (settled in the quote asset) or inverse (size is in contracts).",
            accepted=CONTRACT_TYPES,
        ),
        Column(
            "price_scale",
            Type.SMALLINT,
            "Decimals a price may have; one with more is quarantined.",
            unit="decimals",
            range=Range(0, PRICE_SCALE),
        ),
        Column(
            "size_scale",
            Type.SMALLINT,
            "Decimals a size may have; one with more is quarantined.",
            unit="decimals",
            range=Range(0, SIZE_SCALE),
        ),
        Column(
            "bars_stream",
            Type.TEXT,
            "The one declared stream that the instrument's bars come from: trades or agg_trades.",
            accepted=("trades", "agg_trades"),
        ),
        Column("listed_on", Type.DATE, "First day on which it is expected; null: no day is expected.", nullable=True, unit="UTC day"),
        Column("delisted_on", Type.DATE, "First day on which it is no longer expected.", nullable=True, unit="UTC day"),
    ),
    key=("instrument", "valid_from"),
    owner=_OWNER,
    ordered=(("valid_from", "valid_to"),),
)

TRADE_CONDITIONS: Final = Table(
    name="trade_conditions",
    description="The venues' rules on which remarked trades count in bars. A condition that is not listed counts.",
    columns=(
        Column("venue", Type.TEXT, "The venue whose rule it is."),
        Column("condition", Type.TEXT, "The remark, as kept in raw_trades.conditions."),
        Column("counts", Type.BOOLEAN, "Whether a trade with this remark counts in the venue's bars, and so in ours."),
        Column("source", Type.TEXT, "Where the venue says so."),
    ),
    key=("venue", "condition"),
    owner=_OWNER,
)

LANDING_FILES: Final = Table(
    name="landing_files",
    description=(
        "Every file that was verified whole and accepted into the landing zone. A file is its "
        "content, its format and what the user said of it."
    ),
    columns=(
        Column("file_id", Type.BIGINT, "The file's number."),
        Column("sha256", Type.TEXT, "Of the file's bytes."),
        Column("name", Type.TEXT, "What it was called when it came first."),
        Column("format", Type.TEXT, "The source format it was read as."),
        Column("given_instrument", Type.TEXT, "The one instrument that the user or the file's name says; empty where its rows say it."),
        Column("given_day", Type.TEXT, "The day the user named, in ISO form; empty where the file says it itself."),
        Column("size_bytes", Type.BIGINT, "Of the file as it came.", unit="bytes", range=NOT_NEGATIVE),
        Column("stream", Type.TEXT, "Which table it feeds.", accepted=STREAMS),
        Column("space", Type.TEXT, "Identity space of its rows; null for venue bars and corrections.", nullable=True, accepted=SPACES),
        Column("time_unit", Type.TEXT, "Precision of its times.", accepted=TIME_UNITS),
        Column(
            "declared",
            Type.DATE_RANGE,
            "Days the file claims to hold in full; null for a capture or a page.",
            nullable=True,
            unit="UTC days",
        ),
        Column("rows_read", Type.BIGINT, "Rows of its stream, good and refused.", unit="rows", range=NOT_NEGATIVE),
        Column("passed_over", Type.BIGINT, "Lines that belong to other streams.", unit="lines", range=NOT_NEGATIVE),
        Column(
            "clock_offset_us", Type.BIGINT, "Measured: what to add to the recorder's clock to get the venue's.", nullable=True, unit="us"
        ),
        Column("accepted_at", Type.TIME, "When it was accepted.", unit="UTC"),
    ),
    key=("file_id",),
    owner=_OWNER,
)

LANDING_DAYS: Final = Table(
    name="landing_days",
    description="Which days a landed file has rows of, and whether they were taken in since they were last asked for.",
    columns=(
        Column("file_id", Type.BIGINT, "The file."),
        Column("day", Type.DATE, "The day.", unit="UTC day"),
        Column("rows_read", Type.BIGINT, "Rows of that day, good and refused.", unit="rows", range=NOT_NEGATIVE),
        Column("is_pending", Type.BOOLEAN, "Asked for and not yet taken in."),
        Column("requested_at", Type.TIME, "When it was last asked for.", unit="UTC"),
        Column("refused", Type.TEXT, "Why the file as a whole was refused for that day, where it was.", nullable=True),
    ),
    key=("file_id", "day"),
    owner=_OWNER,
)

INGEST_BATCHES: Final = Table(
    name="ingest_batches",
    description=(
        "One row per file and day taken in, written in the transaction that stored the rows: "
        "rows_read = stored + revised + duplicates + quarantined."
    ),
    columns=(
        Column("batch_id", Type.BIGINT, "The batch's number."),
        Column("file_id", Type.BIGINT, "The file it was read from."),
        Column("day", Type.DATE, "The day it belongs to.", unit="UTC day"),
        Column("stream", Type.TEXT, "Which table it fed.", accepted=STREAMS),
        Column("time_unit", Type.TEXT, "Precision of its times.", accepted=TIME_UNITS),
        Column("rows_read", Type.BIGINT, "Rows of that day in the file.", unit="rows", range=NOT_NEGATIVE),
        Column("rows_stored", Type.BIGINT, "Rows that were new.", unit="rows", range=NOT_NEGATIVE),
        Column("rows_revised", Type.BIGINT, "Rows that replaced or ended another one.", unit="rows", range=NOT_NEGATIVE),
        Column("duplicates", Type.BIGINT, "Rows that were known already.", unit="rows", range=NOT_NEGATIVE),
        Column("quarantined", Type.BIGINT, "Rows that were refused.", unit="rows", range=NOT_NEGATIVE),
        Column("known_at", Type.TIME, "The one stamp of all its rows.", unit="UTC"),
        Column("run_id", Type.TEXT, "The Dagster run that took it in.", nullable=True),
        Column("seconds", Type.NUMBER, "How long the day's transaction took up to here.", unit="s", range=NOT_NEGATIVE),
        Column("undoes_batch_id", Type.BIGINT, "The batch that this one took back; null for every other.", nullable=True),
        Column("reason", Type.TEXT, "Why a batch was taken back, in the words of who did it; null for every other.", nullable=True),
    ),
    key=("batch_id",),
    owner=_OWNER,
)

COVERAGE: Final = Table(
    name="coverage",
    description=(
        "What is held of each instrument, stream and day, and what is known to be missing. Absent, "
        "empty and zero are three different things."
    ),
    columns=(
        INSTRUMENT,
        Column("stream", Type.TEXT, "trades, agg_trades, quotes, depth, or venue_bars_<interval>."),
        Column("day", Type.DATE, "The day.", unit="UTC day"),
        Column("space", Type.TEXT, "The one identity space of that day's rows; null for venue bars.", nullable=True, accepted=SPACES),
        Column("row_count", Type.BIGINT, "Rows stored.", unit="rows", range=NOT_NEGATIVE),
        Column("first_time", Type.TIME, "Earliest event time stored; null when the day is empty.", nullable=True, unit="UTC"),
        Column("last_time", Type.TIME, "Latest event time stored.", nullable=True, unit="UTC"),
        Column("first_sequence", Type.BIGINT, "Lowest sequence stored.", nullable=True),
        Column("last_sequence", Type.BIGINT, "Highest sequence stored.", nullable=True),
        Column("is_declared", Type.BOOLEAN, "A source claims to hold the whole day."),
        Column("covered", Type.TIME_RANGES, "Where the tape is known to be whole; bars inside are complete.", unit="UTC"),
        Column("missing_ids", Type.ID_RANGES, "Ids between the lowest and the highest stored that are not there."),
        Column("accepted", Type.TIME_RANGES, "Holes accepted by a person with a reason; they do not make a bar incomplete.", unit="UTC"),
        Column("is_dropped", Type.BOOLEAN, "Retention dropped the day's rows: nothing is refreshed from what is left."),
        Column("updated_at", Type.TIME, "When this row last changed.", unit="UTC"),
    ),
    key=("instrument", "stream", "day"),
    owner=_OWNER,
    ordered=(("first_time", "last_time"), ("first_sequence", "last_sequence")),
)

QUARANTINE: Final = Table(
    name="quarantine",
    description="Every row that was refused, with its file, line, reason and raw text, until its cause is mended and it is replayed.",
    columns=(
        Column("quarantine_id", Type.BIGINT, "The row's number."),
        Column("file_id", Type.BIGINT, "The file it stood in."),
        Column("line", Type.BIGINT, "Physical line, or element of a JSON list, from 1.", range=AT_LEAST_ONE),
        Column("day", Type.DATE, "The day whose transaction brought it here.", unit="UTC day"),
        Column("reason", Type.TEXT, "Why, as a stable word."),
        Column("detail", Type.TEXT, "Why, as a sentence with what was expected and what was there."),
        Column("raw", Type.TEXT, "The raw text; bytes that are no text as \\xNN."),
        Column("instrument", Type.TEXT, "As far as it was understood.", nullable=True),
        Column("event_time", Type.TIME, "As far as it was understood.", nullable=True, unit="UTC"),
        Column("sequence", Type.BIGINT, "As far as it was understood.", nullable=True),
        Column("after_time", Type.TIME, "Event time of the good row before it in the file.", nullable=True, unit="UTC"),
        Column("before_time", Type.TIME, "Event time of the good row after it in the file.", nullable=True, unit="UTC"),
        Column("state", Type.TEXT, "Whether it still waits.", accepted=QUARANTINE_STATES),
        Column("batch_id", Type.BIGINT, "The batch that refused it first."),
        Column("quarantined_at", Type.TIME, "When.", unit="UTC"),
        Column("replayed_at", Type.TIME, "When it was taken in after all.", nullable=True, unit="UTC"),
    ),
    key=("quarantine_id",),
    owner=_OWNER,
)

INVALIDATION_LOG: Final = Table(
    name="invalidation_log",
    description=(
        "Every change of ticks and bars as (relation, instrument, from, to): what is made from them refreshes exactly that. Append-only."
    ),
    columns=(
        Column("invalidation_id", Type.BIGINT, "Order; within a relation, instrument and day it is the order of commits."),
        Column("relation", Type.TEXT, "The table that changed."),
        INSTRUMENT,
        Column("day", Type.DATE, "The day the window lies in.", unit="UTC day"),
        Column("from_time", Type.TIME, "Start of the window, inclusive.", unit="UTC"),
        Column("to_time", Type.TIME, "End of the window, exclusive.", unit="UTC"),
        Column("reason", Type.TEXT, "What changed: load, coverage, revision, refresh."),
        Column("batch_id", Type.BIGINT, "The batch that changed it, where one did.", nullable=True),
        Column("logged_at", Type.TIME, "When.", unit="UTC"),
    ),
    key=("invalidation_id",),
    owner=_OWNER,
    ordered=(("from_time", "to_time"),),
)

INVALIDATION_DAYS: Final = Table(
    name="invalidation_days",
    description="The last entry of the invalidation log of each relation, instrument and day: what lags behind is found without it.",
    columns=(
        Column("relation", Type.TEXT, "The table that changed."),
        INSTRUMENT,
        Column("day", Type.DATE, "The day.", unit="UTC day"),
        Column("last_id", Type.BIGINT, "The last invalidation_id of it."),
        Column("last_logged_at", Type.TIME, "When that was.", unit="UTC"),
    ),
    key=("relation", "instrument", "day"),
    owner=_OWNER,
)

INVALIDATIONS_APPLIED: Final = Table(
    name="invalidations_applied",
    description="How far each consumer has worked through the invalidation log, per relation, instrument and day.",
    columns=(
        Column("consumer", Type.TEXT, "The table that is refreshed."),
        Column("relation", Type.TEXT, "The table whose changes it follows: commits are in order only within one."),
        INSTRUMENT,
        Column("day", Type.DATE, "The day.", unit="UTC day"),
        Column("applied_through", Type.BIGINT, "The last invalidation_id that its rows reflect."),
        Column("applied_at", Type.TIME, "When.", unit="UTC"),
    ),
    key=("consumer", "relation", "instrument", "day"),
    owner=_OWNER,
)

BAR_CONFORMANCE: Final = Table(
    name="bar_conformance",
    description="Our bars against the venues' own, over all fields: equal, explained by a named rule, uncovered, or unexplained.",
    columns=(
        INSTRUMENT,
        Column("interval", Type.TEXT, "Length of the bar."),
        Column("bar_start", Type.TIME, "Start of the bar.", unit="UTC"),
        Column("status", Type.TEXT, "The verdict.", accepted=STATUSES),
        Column("rule", Type.TEXT, "The venue's rule that explains it, or why it is uncovered.", nullable=True),
        Column("fields", Type.TEXTS, "Fields that differ as stored.", nullable=True),
        Column("ours", Type.JSON, "Our values, as plain strings, where not equal; null where we have no bar.", nullable=True),
        Column("theirs", Type.JSON, "The venue's values, as plain strings, where not equal; null where it has no bar.", nullable=True),
        Column("known_at", Type.TIME, "When this verdict was reached.", unit="UTC"),
    ),
    key=("instrument", "interval", "bar_start"),
    owner=_OWNER,
    time_column="bar_start",
)

ARCHIVE_PROOFS: Final = Table(
    name="archive_proofs",
    description=(
        "One row each time a partition of the archive was read back from the store and found equal to its source, value by value. "
        "Append-only."
    ),
    columns=(
        Column("proof_id", Type.BIGINT, "Order of the proofs."),
        Column("relation", Type.TEXT, "The table that was archived."),
        Column("partition_start", Type.DATE, "First day of the partition: the day, or the first of its month.", unit="UTC day"),
        Column("snapshot_id", Type.BIGINT, "The Iceberg snapshot with these files."),
        Column("files", Type.JSON, "The partition's files, with the size and the SHA-256 of each."),
        Column("row_count", Type.BIGINT, "Rows, in the source and as read back.", unit="rows", range=NOT_NEGATIVE),
        Column("size_bytes", Type.BIGINT, "Of all files.", unit="bytes", range=NOT_NEGATIVE),
        Column("content", Type.TEXT, "Hash of the values in the order of the table, whatever wrote them down."),
        Column("sums", Type.JSON, "Exact sums by column, as plain text."),
        Column("bounds", Type.JSON, "Least and greatest value by column, as plain text."),
        Column(
            "bars",
            Type.TEXT,
            "Hash of the 1-minute bars made from what was read back; null where no bars are made of the table.",
            nullable=True,
        ),
        Column(
            "log_mark",
            Type.BIGINT,
            "Last entry of the invalidation log for the partition that the source reflected; a later one makes the proof stale.",
        ),
        Column("known_at", Type.TIME, "What was known at this time is in it.", unit="UTC"),
        Column("proven_at", Type.TIME, "When.", unit="UTC"),
        Column("proven_by", Type.TEXT, "Who: the user of the operating system and the host."),
        Column("run_id", Type.TEXT, "The Dagster run, where one did it.", nullable=True),
    ),
    key=("proof_id",),
    owner=_OWNER,
)

LEDGERS: Final = (
    INSTRUMENTS,
    TRADE_CONDITIONS,
    LANDING_FILES,
    LANDING_DAYS,
    INGEST_BATCHES,
    COVERAGE,
    QUARANTINE,
    INVALIDATION_LOG,
    INVALIDATION_DAYS,
    INVALIDATIONS_APPLIED,
    BAR_CONFORMANCE,
    ARCHIVE_PROOFS,
    PARTITION_TIERS,
    HOLDS,
    RETENTION_LOG,
)
