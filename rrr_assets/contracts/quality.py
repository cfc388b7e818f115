"""The contracts of what is known about the data's quality: gaps, findings, anomalies, baselines, status, alerts.

Belongs here: those tables. Does not: thresholds and targets (calc/quality_config), how anything is found (quality/).
A gap is something missing, a finding is a rule that is broken, an anomaly is a value that is unlikely: the first two may page, the
third never does.
"""

from typing import Final

from rrr_assets.contracts.base import NOT_NEGATIVE, SHARE, Column, Range, Table, Type
from rrr_assets.contracts.ticks import INSTRUMENT

GAP_KINDS: Final = ("ids", "interval", "file")
GAP_CAUSES: Final = ("feed", "venue_outage", "file_missing", "quarantined", "unknown")
GAP_STATES: Final = ("open", "healing", "healed", "accepted")
ATTEMPT_OUTCOMES: Final = ("healed", "partly", "failed")
SEVERITIES: Final = ("page", "warn")
FINDING_STATES: Final = ("open", "resolved")
METRICS: Final = ("volume", "spread", "trade_rate", "message_rate")
BASES: Final = ("hour_of_week", "hour_of_day", "overall")
DAY_STATUSES: Final = ("available", "degraded", "pending", "missing")
QUALITY_RUN_KINDS: Final = ("recent", "daily")
ALERT_STATES: Final = ("open", "resolved")
MESSAGE_KINDS: Final = ("opened", "worse", "resolved")
_OWNER: Final = "team:market-data"

_ANY_INSTRUMENT: Final = Column(
    "instrument", Type.TEXT, "Venue and symbol, as in binance:BTCUSDT; null where it is of none alone.", nullable=True
)
_RUN: Final = Column("run_id", Type.TEXT, "The Dagster run, where one did it.", nullable=True)

GAPS: Final = Table(
    name="gaps",
    description="What is missing of a stream, once: ids that are not there, an interval nobody saw, or a file that never came.",
    columns=(
        Column("gap_id", Type.BIGINT, "The gap's number."),
        INSTRUMENT,
        Column("stream", Type.TEXT, "trades, agg_trades, quotes, depth, or venue_bars_<interval>."),
        Column(
            "kind",
            Type.TEXT,
            "ids: exactly these ids; interval: whatever happened in it; file: a day that was expected and of which nothing is held.",
            accepted=GAP_KINDS,
        ),
        Column("from_time", Type.TIME, "From when it may be missing, inclusive.", unit="UTC"),
        Column("to_time", Type.TIME, "Until when, exclusive.", unit="UTC"),
        Column("first_missing", Type.BIGINT, "First id that is not there; null where ids tell nothing.", nullable=True),
        Column("last_missing", Type.BIGINT, "Last id that is not there, itself missing.", nullable=True),
        Column("cause", Type.TEXT, "Why it is missing, as far as that is known.", accepted=GAP_CAUSES),
        Column("state", Type.TEXT, "Whether it is missing still, being fetched, there by now, or accepted.", accepted=GAP_STATES),
        Column("first_seen", Type.TIME, "When it was found.", unit="UTC"),
        Column("changed_at", Type.TIME, "When this row last changed.", unit="UTC"),
        Column("attempts", Type.INTEGER, "How often it was tried to fetch it.", unit="attempts", range=NOT_NEGATIVE),
        Column("next_attempt_at", Type.TIME, "Not to be tried again before; null: at once.", nullable=True, unit="UTC"),
        Column("last_reason", Type.TEXT, "Why the last attempt did not heal it.", nullable=True),
        Column("healed_at", Type.TIME, "When all of it was there.", nullable=True, unit="UTC"),
        Column("accepted_at", Type.TIME, "When it was accepted as it is.", nullable=True, unit="UTC"),
        Column("accepted_by", Type.TEXT, "By whom.", nullable=True),
        Column("accepted_reason", Type.TEXT, "Why.", nullable=True),
        Column(
            "evidence", Type.JSON, "What it was seen by: the rows on both sides, the file, the rate of trading, how likely silence was."
        ),
    ),
    key=("gap_id",),
    owner=_OWNER,
    ordered=(("from_time", "to_time"), ("first_missing", "last_missing")),
)

GAP_ATTEMPTS: Final = Table(
    name="gap_attempts",
    description="Every attempt to fetch what a gap misses, with what came of it. Append-only.",
    columns=(
        Column("attempt_id", Type.BIGINT, "The attempt's number."),
        Column("gap_id", Type.BIGINT, "The gap."),
        Column("at", Type.TIME, "When it ended.", unit="UTC"),
        Column("source", Type.TEXT, "The source that was asked, by the name it has in the settings."),
        Column("outcome", Type.TEXT, "What came of it.", accepted=ATTEMPT_OUTCOMES),
        Column("reason", Type.TEXT, "Why it did not heal the gap.", nullable=True),
        Column("rows_fetched", Type.BIGINT, "Rows that the source sent of it.", unit="rows"),
        Column("seconds", Type.STATISTIC, "How long it took.", unit="s"),
        _RUN,
    ),
    key=("attempt_id",),
    owner=_OWNER,
)

FINDINGS: Final = Table(
    name="findings",
    description="A rule that the data breaks, from when it was found until it is kept again.",
    columns=(
        Column("finding_id", Type.BIGINT, "The finding's number."),
        Column(
            "rule", Type.TEXT, "The rule, as a stable word: duplicate, null, order, key, crossed_book, frozen_feed, unexplained_bar, ..."
        ),
        Column("severity", Type.TEXT, "page: a hard defect; warn: worth a look.", accepted=SEVERITIES),
        Column("relation", Type.TEXT, "The table, or the stream."),
        _ANY_INSTRUMENT,
        Column("day", Type.DATE, "The day it was found on; null where it is of no day.", nullable=True, unit="UTC day"),
        Column("from_time", Type.TIME, "From when, inclusive.", nullable=True, unit="UTC"),
        Column("to_time", Type.TIME, "Until when, exclusive.", nullable=True, unit="UTC"),
        Column("broken", Type.BIGINT, "How many rows break it.", unit="rows", range=NOT_NEGATIVE),
        Column("examined", Type.BIGINT, "Out of how many.", unit="rows", range=NOT_NEGATIVE),
        Column("examples", Type.TEXTS, "Some of them."),
        Column("detail", Type.JSON, "What was measured.", nullable=True),
        Column("state", Type.TEXT, "Whether it is broken still.", accepted=FINDING_STATES),
        Column("first_seen", Type.TIME, "When it was found first.", unit="UTC"),
        Column("last_seen", Type.TIME, "When it was last found.", unit="UTC"),
        Column("resolved_at", Type.TIME, "When it was kept again.", nullable=True, unit="UTC"),
        _RUN,
    ),
    key=("finding_id",),
    owner=_OWNER,
)

ANOMALIES: Final = Table(
    name="anomalies",
    description="A value that is unlikely by a threshold or by what was learned: worth a look, and no proof of a defect.",
    columns=(
        Column("anomaly_id", Type.BIGINT, "The anomaly's number."),
        Column("rule", Type.TEXT, "By what: price_change, return_z, volume_spike, silence, or seasonal_<metric>."),
        Column("relation", Type.TEXT, "The table that was looked at."),
        INSTRUMENT,
        Column("from_time", Type.TIME, "From when, inclusive.", unit="UTC"),
        Column("to_time", Type.TIME, "Until when, exclusive.", unit="UTC"),
        Column("value", Type.STATISTIC, "What was measured, in the rule's unit."),
        Column("expected", Type.STATISTIC, "What was usual then, in the same unit.", nullable=True),
        Column("score", Type.STATISTIC, "How far from it, in robust standard deviations or as a ratio."),
        Column("threshold", Type.STATISTIC, "From what score on it is a row here."),
        Column("baseline_version", Type.BIGINT, "By which baseline; null for a threshold.", nullable=True),
        Column("detail", Type.JSON, "What else is known of it.", nullable=True),
        Column("found_at", Type.TIME, "When it was found first.", unit="UTC"),
    ),
    key=("rule", "relation", "instrument", "from_time"),
    owner=_OWNER,
)

BASELINE_VERSIONS: Final = Table(
    name="baseline_versions",
    description="Each time the seasonal baselines were learned, and from what.",
    columns=(
        Column("version", Type.BIGINT, "The version's number."),
        Column("learned_at", Type.TIME, "When.", unit="UTC"),
        Column("from_day", Type.DATE, "First day of what they were learned from.", unit="UTC day"),
        Column("until_day", Type.DATE, "First day after it.", unit="UTC day"),
        Column("code_version", Type.TEXT, "Of the code that learned them."),
        Column("mark", Type.TEXT, "What the data was then: the same mark gives the same baselines."),
        Column("is_current", Type.BOOLEAN, "Whether it is the one that is scored by."),
        _RUN,
    ),
    key=("version",),
    owner=_OWNER,
)

BASELINES: Final = Table(
    name="baselines",
    description="What is usual of an instrument in an hour of the week: the median of a metric, and its median absolute deviation.",
    columns=(
        Column("version", Type.BIGINT, "The version in baseline_versions."),
        INSTRUMENT,
        Column("metric", Type.TEXT, "What was measured.", accepted=METRICS),
        Column("hour_of_week", Type.SMALLINT, "Hours since Monday 00:00 UTC, 0 to 167.", unit="h", range=Range(0, 167)),
        Column(
            "basis", Type.TEXT, "Which windows it was learned from: a wider choice where the narrower ones are too few.", accepted=BASES
        ),
        Column("samples", Type.INTEGER, "Windows it was learned from.", unit="windows"),
        Column("unit", Type.STATISTIC, "What the metric is divided by: m becomes ln(1 + m / unit)."),
        Column("median", Type.STATISTIC, "Median of the transformed metric."),
        Column(
            "deviation",
            Type.STATISTIC,
            "1.4826 times the median absolute deviation of the transformed metric, and a floor.",
            range=NOT_NEGATIVE,
        ),
    ),
    key=("version", "instrument", "metric", "hour_of_week"),
    owner=_OWNER,
)

QUOTE_WINDOWS: Final = Table(
    name="quote_windows",
    description="Quotes by five minutes, kept when the quotes themselves are in the archive. A window without quotes has no row.",
    columns=(
        INSTRUMENT,
        Column("window_start", Type.TIME, "Start of the window, inclusive; its end is excluded.", unit="UTC"),
        Column("quotes", Type.BIGINT, "Quotes in it.", unit="quotes"),
        Column(
            "spread_bps", Type.STATISTIC, "Median of ask less bid over their mean; null where no quote has both.", nullable=True, unit="bps"
        ),
    ),
    key=("instrument", "window_start"),
    owner=_OWNER,
)

QUALITY_DAYS: Final = Table(
    name="quality_days",
    description="The published status of each instrument and day, with what it is made of.",
    columns=(
        INSTRUMENT,
        Column("day", Type.DATE, "The day.", unit="UTC day"),
        Column(
            "status",
            Type.TEXT,
            "available: within its targets; degraded: not; pending: the day is not over, or waits; missing: expected, and nothing is held.",
            accepted=DAY_STATUSES,
        ),
        Column("row_count", Type.BIGINT, "Trades held.", unit="rows", range=NOT_NEGATIVE),
        Column("completeness", Type.STATISTIC, "Of what there should be, how much is there, 0 to 1.", nullable=True, range=SHARE),
        Column("validity", Type.STATISTIC, "Of the rows that came, how many keep every rule, 0 to 1.", nullable=True, range=SHARE),
        Column(
            "conformance",
            Type.STATISTIC,
            "Of the bars the venue publishes, how many are equal or explained, 0 to 1.",
            nullable=True,
            range=SHARE,
        ),
        Column("freshness", Type.STATISTIC, "Of the looks at it that day, how many found it fresh, 0 to 1.", nullable=True, range=SHARE),
        Column("open_gaps", Type.INTEGER, "Gaps of that day that are open.", unit="gaps"),
        Column("findings", Type.INTEGER, "Findings of that day that are open and page.", unit="findings"),
        Column("anomalies", Type.INTEGER, "Anomalies of that day.", unit="anomalies"),
        Column("reasons", Type.TEXTS, "Why it is not available."),
        Column("computed_at", Type.TIME, "When.", unit="UTC"),
    ),
    key=("instrument", "day"),
    owner=_OWNER,
)

STREAM_FRESHNESS: Final = Table(
    name="stream_freshness",
    description="How old the newest row of each instrument's streams was when it was last looked at.",
    columns=(
        INSTRUMENT,
        Column("stream", Type.TEXT, "trades, agg_trades, quotes or depth."),
        Column("last_event_time", Type.TIME, "Of the newest row; null where nothing is held.", nullable=True, unit="UTC"),
        Column("age_seconds", Type.STATISTIC, "How old that was.", nullable=True, unit="s"),
        Column(
            "limit_seconds", Type.STATISTIC, "From what age on it is not fresh; null: no freshness is promised.", nullable=True, unit="s"
        ),
        Column("is_fresh", Type.BOOLEAN, "Whether it is fresh; null where none is promised.", nullable=True),
        Column("looks", Type.BIGINT, "How often it was looked at on the day of the last look.", unit="looks"),
        Column("fresh_looks", Type.BIGINT, "How often it was fresh then.", unit="looks"),
        Column("looked_at", Type.TIME, "When.", unit="UTC"),
    ),
    key=("instrument", "stream"),
    owner=_OWNER,
)

QUALITY_RUNS: Final = Table(
    name="quality_runs",
    description="Every run of the checks: that it ran is what the watchdog asks.",
    columns=(
        Column("quality_run_id", Type.BIGINT, "The run's number."),
        Column("kind", Type.TEXT, "recent: every five minutes; daily: the full set.", accepted=QUALITY_RUN_KINDS),
        Column("started_at", Type.TIME, "When it began.", unit="UTC"),
        Column("finished_at", Type.TIME, "When it ended; null while it runs, or where it died.", nullable=True, unit="UTC"),
        Column("days", Type.INTEGER, "Days that had changed, and were looked at.", unit="days"),
        Column("checks", Type.INTEGER, "Rules that were asked.", unit="rules"),
        Column("broken", Type.INTEGER, "Of them, broken.", unit="rules"),
        Column("errors", Type.TEXTS, "Checks that broke down themselves: no pass, and no finding about the data."),
        _RUN,
    ),
    key=("quality_run_id",),
    owner=_OWNER,
)

VALIDATIONS: Final = Table(
    name="validations",
    description="Results of Great Expectations, a row for each table and validation.",
    columns=(
        Column("validation_id", Type.BIGINT, "The validation's number."),
        Column("at", Type.TIME, "When.", unit="UTC"),
        Column("relation", Type.TEXT, "The table."),
        Column("day", Type.DATE, "The day that was validated; null for a table as a whole.", nullable=True, unit="UTC day"),
        Column("is_success", Type.BOOLEAN, "Whether every expectation was met."),
        Column("evaluated", Type.INTEGER, "Expectations that were evaluated.", unit="expectations", range=NOT_NEGATIVE),
        Column("unmet", Type.INTEGER, "Of them, not met.", unit="expectations", range=NOT_NEGATIVE),
        Column("results", Type.JSON, "What Great Expectations said, expectation by expectation."),
        Column("seconds", Type.STATISTIC, "How long it took.", unit="s", range=NOT_NEGATIVE),
        _RUN,
    ),
    key=("validation_id",),
    owner=_OWNER,
    ordered=(("unmet", "evaluated"),),
)

ALERTS: Final = Table(
    name="alerts",
    description="One row for each root cause that somebody was told of, or would have been but for a mute.",
    columns=(
        Column("alert_id", Type.BIGINT, "The alert's number."),
        Column("cause", Type.TEXT, "The root cause, as a stable key: what is open has one alert."),
        Column("rule", Type.TEXT, "The rule, as severities and runbooks are named by it."),
        Column("severity", Type.TEXT, "How it is told.", accepted=SEVERITIES),
        Column("title", Type.TEXT, "What is wrong, in a line."),
        Column("scope", Type.TEXT, "Where: instruments, tables, or the platform."),
        Column("since", Type.TIME, "Since when.", unit="UTC"),
        Column("level", Type.BIGINT, "How bad, as a count that grows as it gets worse."),
        Column("told_level", Type.BIGINT, "How bad it was when it was last told."),
        Column("next_step", Type.TEXT, "One command to begin with."),
        Column("runbook", Type.TEXT, "The page of the runbook."),
        Column("link", Type.TEXT, "Where it is seen in the UI.", nullable=True),
        Column("detail", Type.JSON, "What else is known of it.", nullable=True),
        Column("state", Type.TEXT, "Whether it is wrong still.", accepted=ALERT_STATES),
        Column("opened_at", Type.TIME, "When it was found.", unit="UTC"),
        Column("changed_at", Type.TIME, "When this row last changed.", unit="UTC"),
        Column("resolved_at", Type.TIME, "When it was over.", nullable=True, unit="UTC"),
    ),
    key=("alert_id",),
    owner=_OWNER,
)

ALERT_MESSAGES: Final = Table(
    name="alert_messages",
    description="What is to be said of alerts, and to whom: written with the alert, sent once, kept until it could be sent.",
    columns=(
        Column("message_id", Type.BIGINT, "The message's number."),
        Column("alert_id", Type.BIGINT, "The alert."),
        Column("channel", Type.TEXT, "The channel, by the name it has in the settings."),
        Column("kind", Type.TEXT, "What is said.", accepted=MESSAGE_KINDS),
        Column("level", Type.BIGINT, "How bad it was then."),
        Column("body", Type.JSON, "What is said, field by field."),
        Column("created_at", Type.TIME, "When it was written.", unit="UTC"),
        Column("not_before", Type.TIME, "When it may be sent: later than it was written in quiet hours, and after a failure.", unit="UTC"),
        Column("sent_at", Type.TIME, "When the channel took it; null while it waits.", nullable=True, unit="UTC"),
        Column("attempts", Type.INTEGER, "How often it was tried.", unit="attempts"),
        Column("last_error", Type.TEXT, "Why the last attempt failed; without secrets.", nullable=True),
    ),
    key=("message_id",),
    owner=_OWNER,
)

ALERT_MUTES: Final = Table(
    name="alert_mutes",
    description="What nobody wants to be told of for a while: an outage that a venue announced.",
    columns=(
        Column("mute_id", Type.BIGINT, "The mute's number."),
        Column("scope", Type.TEXT, "An instrument, a venue, or * for everything."),
        Column("rule", Type.TEXT, "Only alerts of this rule; null: of every rule.", nullable=True),
        Column("from_time", Type.TIME, "From when, inclusive.", unit="UTC"),
        Column("to_time", Type.TIME, "Until when, exclusive.", unit="UTC"),
        Column("reason", Type.TEXT, "Why."),
        Column("placed_at", Type.TIME, "When it was placed.", unit="UTC"),
        Column("placed_by", Type.TEXT, "By whom."),
        Column("ended_at", Type.TIME, "When it was ended early.", nullable=True, unit="UTC"),
    ),
    key=("mute_id",),
    owner=_OWNER,
)

QUALITY_TABLES: Final = (
    GAPS, GAP_ATTEMPTS, FINDINGS, ANOMALIES, BASELINE_VERSIONS, BASELINES, QUOTE_WINDOWS, QUALITY_DAYS, STREAM_FRESHNESS, QUALITY_RUNS,
    VALIDATIONS, ALERTS, ALERT_MESSAGES, ALERT_MUTES,
)  # fmt: skip
