"""What `make run` does after set-up: the whole platform once, on simulated venue files, and its report.

Belongs here: the order of the steps and the report. Does not: the steps (simulator, ingest, the graph).
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rrr_assets.cli.ingest import TakenIn, Wanted, take_in
from rrr_assets.contracts.bars import INTERVALS
from rrr_assets.contracts.history import Destination
from rrr_assets.contracts.ledgers import STATUSES
from rrr_assets.warehouse.home import Home

if TYPE_CHECKING:
    from rrr_assets.cli.runs import RunTold

_FIRST_DAY: Final = date(2024, 1, 2)
_STATION_ROWS: Final = {
    "raw_trades": "trades", "venue_bars": "venue bars", "bar_conformance": "verdicts", "tick_minutes": "minutes", "features_1m": "minutes",
    "feature_drift": "numbers",
}  # fmt: skip


@dataclass
class MainJobReport:
    """What one run of the main job did."""

    taken: TakenIn
    simulated_seconds: float
    simulated_trades: int
    bars: dict[str, int]
    conformance: dict[str, dict[str, int]]
    station_rows: dict[str, int]
    chart: Path | None
    features: dict[str, Any]
    feature_runs: "list[RunTold]"
    quality: dict[str, Any]
    page: Path
    home: Path
    seconds: float
    defects: list[str] = field(default_factory=list)

    @property
    def checks_passed(self) -> int:
        return sum(run.checks_passed for run in self._runs)

    @property
    def checks_failed(self) -> list[str]:
        return [check for run in self._runs for check in run.checks_failed]

    @property
    def failures(self) -> list[str]:
        """What of the runs failed."""
        return [*self.taken.failures, *(f"run {run.run_id}: {run.failure}" for run in self.feature_runs if run.failure)]

    @property
    def _runs(self) -> "list[RunTold]":
        return [*self.taken.runs, *self.feature_runs]

    @property
    def unexplained(self) -> int:
        return sum(counts["unexplained"] for counts in self.conformance.values())

    @property
    def is_good(self) -> bool:
        """Whether everything was taken in, no bar is unexplained, and no check broke down."""
        return not (self.taken.refused or self.failures or self.unexplained or self.quality["errors"])

    def stations(self) -> dict[str, tuple[float, int, str]]:
        """Seconds, rows and what they are, by station."""
        table: dict[str, tuple[float, int, str]] = {
            "simulator": (self.simulated_seconds, self.simulated_trades, "trades"),
            "verify and stage": (self.taken.accept_seconds, self.taken.rows_read, "rows"),
        }
        for asset, rows in self.station_rows.items():
            seconds = sum(run.seconds.get(asset, 0.0) for run in self._runs)
            table[asset] = (seconds, rows, _STATION_ROWS.get(asset, "bars"))
        return table

    def told(self) -> dict[str, Any]:
        """For machines."""
        return {
            **self.taken.told(),
            "bars": self.bars,
            "conformance": self.conformance,
            "checks_passed": self.checks_passed,
            "checks_failed": self.checks_failed,
            "stations": {
                name: {"seconds": round(seconds, 3), "rows": rows, "rows_per_second": round(rows / seconds) if seconds else None}
                for name, (seconds, rows, _) in self.stations().items()
            },
            "defects": self.defects,
            "failures": self.failures,
            "features": self.features,
            "chart": str(self.chart) if self.chart else None,
            "quality": self.quality,
            "page": str(self.page),
            "seconds": round(self.seconds, 1),
            "is_good": self.is_good,
        }

    def print(self) -> None:
        """For people."""
        from rich.console import Console

        console = Console(soft_wrap=True)
        console.print(self._rows_table())
        console.print(self._bars_table())
        console.print(self._features_table())
        console.print(self._stations_table())
        console.print(f"Checks: {self.checks_passed} passed, {len(self.checks_failed)} warn or failed")
        for check in self.checks_failed:
            console.print(f"  {check}", highlight=False)
        console.print("Defects that the simulated exchange planted, and what is right about them:")
        for defect in self.defects:
            console.print(f"  {defect}", highlight=False)
        for reason in [*self.taken.refused, *self.failures]:
            console.print(f"[red]{reason}[/red]")
        statuses = ", ".join(f"{count} {status}" for status, count in sorted(self.quality["statuses"].items()) if count)
        console.print(
            f"Quality: days of instruments {statuses}; {self.quality['gaps']} gaps, {self.quality['anomalies']} anomalies. "
            f"Looked at in {self.quality['seconds']} s"
        )
        for rule, count in self.quality["broken"].items():
            console.print(f"  {rule}: {count:,} rows", highlight=False)
        for check, why in self.quality["errors"].items():
            console.print(f"[red]the check '{check}' broke down: {why}[/red]")
        console.print(f"Page: {self.page}", highlight=False)
        if self.chart:
            console.print(f"Chart: {self.chart}", highlight=False)
        console.print("Dagster UI on the same data: make ui, then http://127.0.0.1:3000", highlight=False)
        verdict = "[green]Good: no bar is unexplained.[/green]" if self.is_good else "[red]Not good: see above.[/red]"
        console.print(f"{verdict} {self.seconds:.1f} s in all.")

    def _rows_table(self) -> Any:
        from rich.table import Table

        table = Table("rows read", "stored", "revised", "duplicates", "quarantined", "files", "days", title="Taken in")
        taken = self.taken
        counts = (taken.rows_read, taken.rows_stored, taken.rows_revised, taken.duplicates, taken.quarantined, taken.files, len(taken.days))
        table.add_row(*(f"{count:,}" for count in counts))
        return table

    def _bars_table(self) -> Any:
        from rich.table import Table

        table = Table("interval", "bars", *STATUSES, title="Bars, against the exchange's own candles")
        for interval, bars in self.bars.items():
            table.add_row(interval, f"{bars:,}", *(f"{self.conformance[interval][status]:,}" for status in STATUSES))
        return table

    def _features_table(self) -> Any:
        from rich.table import Table

        table = Table("instrument", "minutes", "null", "farthest from the days before", "psi", title="Features")
        for each in self.features["instruments"]:
            null = 1 - each["values"] / (each["minutes"] * each["features"])
            psi = "-" if each["psi"] is None else f"{each['psi']:.2f}"
            table.add_row(each["instrument"], f"{each['minutes']:,}", f"{null:.1%}", each["feature"], psi)
        return table

    def _stations_table(self) -> Any:
        from rich.table import Table

        table = Table("station", "seconds", "rows", "", "rows/s", title="Stations")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, (seconds, rows, what) in self.stations().items():
            table.add_row(name, f"{seconds:.2f}", f"{rows:,}", what, f"{rows / seconds:,.0f}" if seconds else "-")
        return table


def run_main_job(*, days: int, instruments: int, trades: int, seed: int, show: bool) -> MainJobReport:
    """Simulate, take in, materialise, make features, look at the quality of it all, chart, count."""
    from rrr_assets import simulator

    begun = time.perf_counter()
    home = Home.current()
    wanted_days = [_FIRST_DAY + timedelta(days=number) for number in range(days)]
    out = home.root / "simulated" / f"{days}x{instruments}x{trades}-{seed}"
    written = simulator.simulate(
        out, wanted_days, simulator.DEFAULT_INSTRUMENTS[:instruments], trades, seed, defects=simulator.parse_defects("default")
    )
    simulated_seconds = time.perf_counter() - begun
    files = [Wanted(out / file.path, file.format, file.instrument) for file in written.files if not file.is_held_back]
    # Its days are long ago, and what is made of them is to be looked at.
    taken = take_in(files, show=show, to=Destination.database)
    features, feature_runs = _features(wanted_days, show=show)
    bars, verdicts, rows = _counted(wanted_days)
    rows |= {"tick_minutes": features["minutes"], "features_1m": features["rows"], "feature_drift": features["numbers"]}
    quality, page = _judged(home, wanted_days)
    return MainJobReport(
        taken=taken,
        simulated_seconds=simulated_seconds,
        simulated_trades=sum(sum(by_day.values()) for by_day in written.trades.values()),
        bars=bars,
        conformance=verdicts,
        station_rows=rows,
        chart=_chart(home, simulator.DEFAULT_INSTRUMENTS[0], wanted_days),
        features=features,
        feature_runs=feature_runs,
        quality=quality,
        page=page,
        home=home.root,
        seconds=time.perf_counter() - begun,
        defects=[f"{defect.kind} in {Path(defect.file).name}: {defect.expected}" for defect in written.defects],
    )


def _features(days: list[date], *, show: bool) -> "tuple[dict[str, Any], list[RunTold]]":
    """Make the features of the days and hold them against the days before; what there is of each instrument."""
    from rrr_assets.calc.features import FEATURES
    from rrr_assets.cli.progress import progress_bars
    from rrr_assets.cli.runs import dagster_instance, judge_features, refresh_features
    from rrr_assets.warehouse.connect import Database, Role
    from rrr_assets.warehouse.quality_feature_drift import ALL, read_numbers
    from rrr_assets.warehouse.sqlfiles import query

    with progress_bars(show=show) as progress, dagster_instance() as instance:
        runs = list(refresh_features(instance, days, progress.asset))
        if not any(run.failure for run in runs):
            runs += judge_features(instance, days, progress.asset)
    numbers = [each for each in read_numbers(Database.current(), days[0], days[-1] + timedelta(days=1)) if each.instrument != ALL]
    told = []
    for name in sorted({each.instrument for each in numbers}):
        mine = [each for each in numbers if each.instrument == name]
        minutes = sum(each.drift.rows for each in mine) // len(FEATURES)
        values = sum(round(each.drift.rows * (1 - (each.drift.missing_rate or 0))) for each in mine)
        worst = max((each for each in mine if FEATURES[each.feature].is_stationary), key=lambda each: each.drift.psi or 0)
        told.append(
            {
                "instrument": name, "minutes": minutes, "features": len(FEATURES), "values": values,
                "feature": worst.feature, "psi": worst.drift.psi,
            }
        )  # fmt: skip
    bounds = {"from_time": _midnight(days[0]), "to_time": _midnight(days[-1]) + timedelta(days=1)}
    with Database.current().connect(Role.ANALYST, autocommit=True) as connection:
        ((minutes, rows),) = connection.execute(query("main_job_features"), bounds).fetchall()
    return {"minutes": minutes, "rows": rows, "numbers": len(numbers), "instruments": told}, runs


def _counted(days: list[date]) -> tuple[dict[str, int], dict[str, dict[str, int]], dict[str, int]]:
    """Bars by interval, verdicts by interval and status, and rows by asset, of the days."""
    from rrr_assets.warehouse.connect import Database, Role
    from rrr_assets.warehouse.sqlfiles import query

    bounds = {"from_time": _midnight(days[0]), "to_time": _midnight(days[-1]) + timedelta(days=1)}
    with Database.current().connect(Role.ANALYST, autocommit=True) as connection:
        found = connection.execute(query("main_job_counts"), bounds).fetchall()
    bars = dict.fromkeys(INTERVALS, 0)
    verdicts = {interval: dict.fromkeys(STATUSES, 0) for interval in INTERVALS}
    rows: dict[str, int] = {"raw_trades": 0, "venue_bars": 0}
    for table, interval, status, count in found:
        if table == "bar_conformance":
            verdicts[interval][status] = count
        elif interval is not None:
            bars[interval] = count
        else:
            rows[table] = count
    rows |= {f"bars_{interval}": count for interval, count in bars.items()}
    rows["bar_conformance"] = sum(sum(counts.values()) for counts in verdicts.values())
    return bars, verdicts, rows


def _judged(home: Home, days: list[date]) -> tuple[dict[str, Any], Path]:
    """What the checks say of the days: statuses, gaps, rules that are broken, anomalies, and the page of it."""
    from rrr_assets.quality.checks_run import Look, run_parts
    from rrr_assets.quality.page import page_html
    from rrr_assets.quality.report import make_report
    from rrr_assets.quality.report_asset import write_page
    from rrr_assets.resources.quality_settings import quality_settings
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.quality_report import read_quality

    settings = quality_settings()
    begun = time.perf_counter()
    done = run_parts(Database.current(), Look(dict.fromkeys(days)), settings)
    seconds = time.perf_counter() - begun
    report = make_report(read_quality(Database.current(), _midnight(days[0]), _midnight(days[-1]) + timedelta(days=1)), settings)
    path = home.root / "quality" / "main-job.html"
    write_page(path, page_html(report))
    broken: Counter[str] = Counter()
    for each in report.rows.findings:
        broken[f"{each.rule} ({each.severity})"] += each.broken
    told = {
        "statuses": dict(report.statuses),
        "gaps": len(report.rows.gaps),
        "broken": dict(sorted(broken.items())),
        "anomalies": report.rows.anomalies_in_all,
        "errors": dict(done.errors),
        "seconds": round(seconds, 1),
    }
    return told, path


def _chart(home: Home, instrument: str, days: list[date]) -> Path | None:
    from rrr_assets import read
    from rrr_assets.charts import candles_png
    from rrr_assets.contracts.bars import INTERVALS

    bars = read.bars(instrument, "5m", _midnight(days[0]), _midnight(days[-1]) + timedelta(days=1))
    if len(bars) == 0:
        return None
    path = home.charts / "main-job.png"
    path.write_bytes(candles_png(bars, f"{instrument} 5m, {days[0]} to {days[-1]} (simulated)", INTERVALS["5m"]))
    return path


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
