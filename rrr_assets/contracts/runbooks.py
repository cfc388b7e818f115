"""What can be wrong, by its stable word: how it is called, how it is told, which page of the runbook helps, and where to begin.

Belongs here: one row for each rule. Does not: finding what is wrong (quality/, resources/alert_signals), the pages (docs/runbooks).
A severity here is the default; `alerts.severities` of the settings says another. An anomaly is never told at all: it has a page for who
finds it in a table.
"""

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["page", "warn", "off"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        title: What is wrong, as the beginning of a sentence about where.
        page: The page in docs/runbooks, without its ending.
        command: One command to begin with. It looks; it changes nothing.
        severity: page, warn, or off.
    """

    title: str
    page: str
    command: str
    severity: Severity = "page"


_GAPS: Final = "rrr gaps"
_ANOMALY: Final = Rule("An unlikely value", "anomaly", "rrr quality", "off")

RULES: Final[dict[str, Rule]] = {
    # The data: hard defects.
    "gap": Rule("Data is missing", "gap", _GAPS),
    "duplicate": Rule("Rows are there twice", "duplicate", "rrr batch"),
    "null": Rule("A value is missing that must be there", "null", "rrr refresh"),
    "order": Rule("Rows are out of order", "order", "rrr batch"),
    "key": Rule("Rows are of another identity than their day", "key", "rrr batch"),
    "crossed_book": Rule("A bid lies above its ask", "crossed-book", "rrr quality"),
    "frozen_feed": Rule("A feed repeats itself", "dead-feed", "rrr quality fresh"),
    "unexplained_bar": Rule("Bars differ from the venue's own", "unexplained-bar", "rrr quality"),
    "range": Rule("A value is outside its range", "range", "rrr batch"),
    "rollup": Rule("Bars are not the sum of what they are made from", "rollup", "rrr refresh"),
    "ledger": Rule("The rows are not those of the books", "ledger", "rrr coverage"),
    "freshness": Rule("Nothing new comes in", "dead-feed", "rrr quality fresh"),
    "schema_drift": Rule("A table is not as its contract says", "schema-drift", "rrr migrate"),
    "broken_check": Rule("A check breaks down", "broken-check", "rrr watchdog"),
    # The data: worth a look.
    "quarantine": Rule("Rows were refused", "bad-file", "rrr quarantine", "warn"),
    "missing_instrument": Rule("An instrument is missing", "missing-instrument", "rrr coverage", "warn"),
    "locked_book": Rule("A bid equals its ask", "locked-book", "rrr quality", "warn"),
    "outside_quote": Rule("Trades lie outside the quote", "outside-quote", "rrr quality", "warn"),
    "clock_skew": Rule("A clock is wrong", "clock-skew", "rrr status", "warn"),
    "late": Rule("Rows come late", "late", "rrr status", "warn"),
    "incomplete_bars": Rule("Bars are not complete", "incomplete-bars", _GAPS, "warn"),
    "feature_drift": Rule("Features are not as they were in training", "feature-drift", "rrr features drift", "warn"),
    # Anomalies.
    "price_change": _ANOMALY,
    "return_z": _ANOMALY,
    "volume_spike": _ANOMALY,
    "silence": _ANOMALY,
    "seasonal_volume": _ANOMALY,
    "seasonal_spread": _ANOMALY,
    "seasonal_trade_rate": _ANOMALY,
    "seasonal_message_rate": _ANOMALY,
    # The platform.
    "refused_file": Rule("A file was refused", "bad-file", "rrr quarantine"),
    "integrity": Rule("A blocking check failed", "integrity", "rrr status"),
    "quality": Rule("A check warns", "quality", "rrr status", "warn"),
    "archive": Rule("The archive is not as it was proven", "archive", "rrr archive scrub"),
    "backup": Rule("The database may not be restorable", "backup", "rrr backup check"),
    "retention": Rule("Retention or the drill of a restore failed", "retention", "rrr retention"),
    "cost": Rule("What is kept costs more than its budget", "cost", "rrr cost", "warn"),
    "run_failed": Rule("Runs fail", "run-failed", "rrr runs"),
    "stuck_run": Rule("A run does not end", "stuck-run", "rrr doctor"),
    "sensor_failed": Rule("A sensor or schedule fails", "sensor-failed", "rrr watchdog"),
    "bad_deploy": Rule("The code does not load", "bad-deploy", "rrr doctor code"),
    "disk_full": Rule("A disk is full, or nearly", "disk-full", "rrr doctor disk"),
    "object_store_down": Rule("The archive's store does not answer", "object-store-down", "rrr doctor store"),
    "database_down": Rule("The database does not answer", "database-down", "rrr up"),
    "lost_wal": Rule("The database's log is not received", "lost-wal", "rrr backup check"),
    "invalidation_storm": Rule("Bars lag behind their trades", "invalidation-storm", "rrr refresh"),
    "features_behind": Rule("Features lag behind bars and ticks", "features-behind", "rrr features refresh", "warn"),
    "quality_run": Rule("The checks have not run", "quality-run", "rrr watchdog"),
    "alerts_waiting": Rule("Alerts are not delivered", "alerts-waiting", "rrr alerts send"),
}

HARD: Final = frozenset(name for name, rule in RULES.items() if rule.severity == "page")
"""Rules that page where the settings say nothing else."""


def rule_of(name: str) -> Rule:
    """The rule of a name. One that nobody wrote a row for is told as a failed check: nothing is passed over."""
    return RULES.get(name, RULES["integrity"])
