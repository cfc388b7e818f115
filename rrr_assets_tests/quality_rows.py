"""Rows of the quality ledgers as a report reads them, made up: many instruments, every status, every kind of trouble.

Belongs here: what tests of the page, the terminal and the picture look at without a database. Does not: what they expect.
"""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from rrr_assets.warehouse.gaps import Gap
from rrr_assets.warehouse.quality_report import JudgedDay, LastRun, OpenFinding, QualityRows, StreamAge, Unlikely, Verdicts

AT = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)
TODAY = AT.date()
_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "LTCUSDT", "DOTUSDT", "LINKUSDT", "AVAXUSDT")
_VENUES = ("binance", "coinbase", "kraken", "gemini", "bitmex", "okx", "bybit", "bitstamp", "polygon", "deribit")


def names(count: int) -> list[str]:
    return sorted(f"{venue}:{symbol}" for symbol in _SYMBOLS for venue in _VENUES)[:: max(1, 100 // count)][:count]


def judged(instrument: str, day: date, status: str = "available", **other: object) -> JudgedDay:
    facts = {
        "row_count": 412_345, "completeness": 1.0, "validity": 1.0, "conformance": 1.0, "freshness": 1.0,
        "open_gaps": 0, "findings": 0, "anomalies": 0, "reasons": (), "computed_at": AT - timedelta(minutes=3),
    }  # fmt: skip
    return JudgedDay(instrument=instrument, day=day, status=status, **(facts | other))


def gap(number: int, instrument: str, from_time: datetime, **other: object) -> Gap:
    facts = {
        "stream": "trades", "kind": "ids", "to_time": from_time + timedelta(minutes=7), "first_missing": 5_000, "last_missing": 5_416,
        "cause": "feed", "state": "open", "first_seen": from_time + timedelta(minutes=20), "attempts": 2, "last_reason": "404",
    }  # fmt: skip
    return Gap(gap_id=number, instrument=instrument, from_time=from_time, **(facts | other))


def run(kind: str, age: timedelta | None, errors: Sequence[str] = ()) -> LastRun:
    if age is None:
        return LastRun(kind, None, None, None, None, None, None)
    return LastRun(kind, AT - age, AT - age - timedelta(seconds=9), 24, 2, tuple(errors), None)


def some_rows(
    instruments: Sequence[str] | None = None, days: int = 30, *, recent: timedelta | None = timedelta(minutes=3),
    daily: timedelta | None = timedelta(hours=7), errors: Sequence[str] = (), seed: int = 7,
) -> QualityRows:  # fmt: skip
    """A platform of some instruments on which a good deal is well, and something of everything is not."""
    chance = random.Random(seed)
    known = list(instruments or names(8))
    first = TODAY - timedelta(days=days - 1)
    held = []
    for name in known:
        for n in range(days):
            day, drawn = first + timedelta(days=n), chance.random()
            if day == TODAY:
                held.append(judged(name, day, "pending", completeness=0.39, row_count=160_112, conformance=None))
            elif drawn < 0.93:
                held.append(judged(name, day, anomalies=chance.randrange(3)))
            elif drawn < 0.97:
                share = 1 - chance.random() / 60
                reasons = (f"417 ids are missing at 14:02, completeness {share:.4f}", "2 bars are unexplained")
                held.append(judged(name, day, "degraded", completeness=share, conformance=0.998, open_gaps=1, findings=1, reasons=reasons))
            elif drawn < 0.985:
                empty = {"completeness": 0.0, "validity": None, "conformance": None, "freshness": None}
                held.append(judged(name, day, "missing", row_count=0, open_gaps=1, reasons=("no file came",), **empty))
    noon = datetime.combine(TODAY, time(), UTC) - timedelta(days=2, hours=9)
    unnumbered = {"first_missing": None, "last_missing": None}
    gaps = tuple(
        gap(11 + n, known[n % len(known)], noon + timedelta(hours=n), **other)
        for n, other in enumerate(
            [
                {},
                {
                    "kind": "interval",
                    "first_missing": None,
                    "last_missing": None,
                    "cause": "venue_outage",
                    "to_time": noon + timedelta(hours=4),
                },
                {**unnumbered, "kind": "file", "cause": "file_missing", "to_time": noon + timedelta(days=1)},
                {"state": "healing", "cause": "quarantined"},
            ]
        )
    )
    findings = tuple(
        OpenFinding(n, rule, severity, relation, known[n % len(known)], TODAY, 12 * n + 3, 412_345, ("line 7: 1.5 < 2",), noon, AT)
        for n, (rule, severity, relation) in enumerate(
            [("duplicate", "page", "raw_trades"), ("crossed_book", "page", "raw_quotes"), ("clock_skew", "warn", "raw_trades")]
        )
    )
    anomalies = tuple(
        Unlikely(rule, "bars_1m", known[n % len(known)], noon, noon + timedelta(minutes=1), value, usual, score, limit, AT)
        for n, (rule, value, usual, score, limit) in enumerate(
            [
                ("volume_spike", 812.25, 31.5, 25.8, 5.0), ("return_z", 0.0131, 0.0002, 19.4, 4.0),
                ("price_change", -0.31, None, 0.31, 0.2), ("seasonal_spread", 0.00042, 0.0001, 7.7, 6.0),
            ]
        )
    )  # fmt: skip
    verdicts = tuple(
        Verdicts(venue, interval, bars - 9, 6, 2, wrong)
        for venue, wrong in (("binance", 0), ("kraken", 1))
        for interval, bars in (("1m", 43_200), ("5m", 8_640), ("1h", 720))
    )
    streams = tuple(StreamAge(name, "trades", AT - timedelta(seconds=4), 4.0, 60.0, True, AT) for name in known[1:])
    stale = StreamAge(known[0], "trades", AT - timedelta(hours=2), 7200.0, 60.0, False, AT)
    return QualityRows(
        at=AT, from_day=first, until_day=TODAY + timedelta(days=1), only=None, last_held_day=TODAY, instruments=tuple(known),
        days=tuple(held), gaps=gaps, gaps_in_all=len(gaps), findings=findings, findings_in_all=len(findings), findings_paging=2,
        anomalies=anomalies, anomalies_in_all=len(anomalies), verdicts=verdicts,
        runs=(run("recent", recent, errors), run("daily", daily)), streams=(stale, *streams),
    )  # fmt: skip


def no_rows() -> QualityRows:
    """A platform that was set up a moment ago."""
    return QualityRows(
        at=AT, from_day=TODAY - timedelta(days=29), until_day=TODAY + timedelta(days=1), only=None, last_held_day=None, instruments=(),
        days=(), gaps=(), gaps_in_all=0, findings=(), findings_in_all=0, findings_paging=0, anomalies=(), anomalies_in_all=0, verdicts=(),
        runs=(run("recent", None), run("daily", None)), streams=(),
    )  # fmt: skip
