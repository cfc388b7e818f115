"""Seasonal anomalies with known truth: what the baselines find of bursts, drops and wide spreads, and that a quiet market is not odd.

Belongs here: the figures, the table, the picture. Does not: the verdict (simulator/truth), the way through the database, which
sql/test_baselines.py walks. The markets are those of `rrr simulate --seasonal --quotes`; their windows are counted here, without files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from rrr_assets.calc import quality_baselines as calc
from rrr_assets.contracts.quality import METRICS
from rrr_assets.quality.baseline_chart import Unusual, baseline_png
from rrr_assets.simulator import calm
from rrr_assets.simulator.injections import INJECTED, Injection, Placed, happen, place_injections
from rrr_assets.simulator.markets import Market, generator, market
from rrr_assets.simulator.truth import Reported, Score, score
from rrr_assets.warehouse.quality_baselines import RELATIONS, Windows
from rrr_assets_tests import injected
from rrr_assets_tests.bench.figures import Figure

SEEDS: Final = (7, 8, 9)
START: Final = date(2025, 1, 6)
HISTORY: Final = 56
SCORED: Final = 28
INJECTIONS: Final = 900
TRADES: Final = 3_000
THRESHOLD: Final = 6.0
PICTURE: Final = Path("build/reports/seasons.png")
KINDS: Final = tuple(name for name, kind in INJECTED.items() if kind.is_seasonal)
_WINDOWS_A_DAY: Final = 288
_WEEKS: Final = SCORED / 7


@dataclass(frozen=True)
class Season:
    """An instrument's windows, and when which metric was unusual in the days after its history."""

    windows: Windows
    usual: dict[str, list[calc.Usual]]
    reported: list[Reported]


def measure(seeds: Sequence[int] = SEEDS, injections: int = INJECTIONS) -> list[Figure]:
    """Measure each seed with injections and without."""
    figures = []
    for seed in seeds:
        seasons, truth = run(seed, injections)
        verdict = score(truth, [report for season in seasons for report in season.reported], {})
        quiet, _ = run(seed, 0)
        show(seed, verdict, quiet)
        if seed == seeds[0]:
            draw(seasons, truth)
        figures += _figures(seed, verdict, quiet)
    return figures


def run(seed: int, injections: int) -> tuple[list[Season], list[Injection]]:
    """Trade the history and the days after it, learn from the former, score the latter."""
    days = [START + timedelta(days=number) for number in range(HISTORY + SCORED)]
    markets = [market(name, seed) for name in injected.INSTRUMENTS]
    placed = place_injections(KINDS, injections, days[HISTORY:], markets, seed, has_quotes=True)
    truth: list[Injection] = []
    seasons = [_season(each, days, [one for one in placed if one.instrument == each.instrument], seed, truth) for each in markets]
    return seasons, sorted(truth, key=lambda one: one.number)


def _season(traded: Market, days: Sequence[date], placed: Sequence[Placed], seed: int, truth: list[Injection]) -> Season:
    has_quotes = traded.is_recorded
    columns: dict[str, list[Any]] = {metric: [] for metric in METRICS}
    ticks = traded.start_ticks
    for day in days:
        rng = generator(seed, traded.instrument, day.toordinal())
        trades = round(TRADES * calm.day_weight(day) * rng.uniform(0.93, 1.07))
        moments = calm.draw_moments(traded, day, trades=trades, open_ticks=ticks, rng=rng)
        ticks = int(moments.middle[-1])
        for one in placed:
            if one.day == day:
                moments, made = happen(moments, one)
                truth += [] if made is None else [made]
        for metric, values in _counted(moments, traded, day, has_quotes=has_quotes).items():
            columns[metric].append(values)
    starts = window_starts(days)
    values = {metric: np.concatenate(some) for metric, some in columns.items()}
    windows = Windows(traded.instrument, starts, values, {metric: np.zeros(len(starts), bool) for metric in METRICS})
    return _judged(windows)


def _judged(windows: Windows) -> Season:
    past, after = slice(0, HISTORY * _WINDOWS_A_DAY), slice(HISTORY * _WINDOWS_A_DAY, None)
    starts = windows.starts
    usual, reported = {}, []
    for metric, values in windows.values.items():
        unit = calc.unit_of(metric, values[past], windows.values["trade_rate"][past])
        learned = calc.learn(metric, starts[past], values[past], unit)
        if not learned:
            continue
        usual[metric] = learned
        for found in calc.runs(starts[after], calc.scored(starts[after], values[after], learned), THRESHOLD):
            since, until = (datetime.fromtimestamp(int(starts[after][place]), UTC) for place in (found.first, found.last))
            place = (RELATIONS[metric], windows.instrument, since, until + timedelta(seconds=calc.WINDOW_SECONDS))
            reported.append(Reported(f"seasonal_{metric}", False, *place))
    return Season(windows, usual, reported)


def window_starts(days: Sequence[date]) -> calc.Integers:
    """The starts of every window of some days that follow each other."""
    first = int(datetime(days[0].year, days[0].month, days[0].day, tzinfo=UTC).timestamp())
    return first + np.arange(len(days) * _WINDOWS_A_DAY, dtype=np.int64) * calc.WINDOW_SECONDS


def _counted(moments: calm.Moments, traded: Market, day: date, *, has_quotes: bool) -> dict[str, Any]:
    """The metrics of a day's windows."""
    midnight = int(window_starts([day])[0]) * 1_000_000
    tape = calm.tape_of(moments, traded, day, 1)
    place = (tape.time_us - midnight) // (calc.WINDOW_SECONDS * 1_000_000)
    found = {
        "trade_rate": np.bincount(place, minlength=_WINDOWS_A_DAY).astype(float),
        "volume": np.bincount(place, weights=tape.lots, minlength=_WINDOWS_A_DAY),
        "spread": np.full(_WINDOWS_A_DAY, np.nan),
        "message_rate": np.full(_WINDOWS_A_DAY, np.nan),
    }
    if has_quotes:
        quotes = calm.quotes_of(moments)
        spread = 20_000 * (quotes.ask_ticks - quotes.bid_ticks) / (quotes.ask_ticks + quotes.bid_ticks)
        place = np.clip((quotes.time_us - midnight) // (calc.WINDOW_SECONDS * 1_000_000), 0, _WINDOWS_A_DAY - 1)
        found["message_rate"] = np.bincount(place, minlength=_WINDOWS_A_DAY).astype(float)
        found["spread"] = np.array([np.median(spread[place == one]) if np.any(place == one) else np.nan for one in range(_WINDOWS_A_DAY)])
    return found


def show(seed: int, verdict: Score, quiet: Sequence[Season]) -> None:
    """What was found of each kind, and how right each rule was."""
    console = Console(soft_wrap=True)
    kinds = Table("kind", "injected", "found", "recall", "told by", title=f"seed {seed}, threshold {THRESHOLD:g}")
    for each in verdict.kinds:
        told = ", ".join(f"{rule} {count}" for rule, count in sorted(each.told_by.items()))
        kinds.add_row(each.kind, str(each.injected), str(each.found), f"{each.recall:.4f}", told)
    console.print(kinds)
    rules = Table("rule", "rows", "false", "precision", "a week and instrument where nothing was injected")
    on_quiet = [report.rule for season in quiet for report in season.reported]
    for rule in verdict.rules:
        calm_rows = on_quiet.count(rule.rule) / _WEEKS / len(quiet)
        rules.add_row(rule.rule, str(rule.reported), str(len(rule.false)), f"{rule.precision:.4f}", f"{calm_rows:.4f}")
    console.print(rules)


def draw(seasons: Sequence[Season], truth: Sequence[Injection]) -> None:
    """Two days of the first instrument: what was, what is usual, what was found."""
    season = seasons[0]
    first = next(one.since for one in truth if one.instrument == season.windows.instrument).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    shown = slice(*np.searchsorted(season.windows.starts, [int(first.timestamp()), int((first + timedelta(days=2)).timestamp())]))
    windows = Windows(
        season.windows.instrument,
        season.windows.starts[shown],
        {metric: values[shown] for metric, values in season.windows.values.items()},
        {metric: part[shown] for metric, part in season.windows.is_part.items()},
    )
    odd: list[Unusual] = [
        (each.rule.removeprefix("seasonal_"), *each.span) for each in season.reported if first <= each.span[0] < first + timedelta(days=2)
    ]
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_bytes(baseline_png(windows, season.usual, odd))


def _figures(seed: int, verdict: Score, quiet: Sequence[Season]) -> list[Figure]:
    rules = {each.rule: f"{each.reported - len(each.false)}/{each.reported}" for each in verdict.rules}
    kinds: dict[str, Any] = {each.kind: f"{each.found}/{each.injected}" for each in verdict.kinds}
    some = {"seed": seed, "weeks learned from": HISTORY // 7, "weeks scored": _WEEKS, "instruments": len(quiet)}
    rows = sum(len(season.reported) for season in quiet)
    per = rows / _WEEKS / len(quiet) / len(METRICS)
    return [
        Figure("seasons, recall", round(verdict.recall("warn"), 4), "of 1", details=some | kinds),
        Figure("seasons, precision", round(verdict.precision([each.rule for each in verdict.rules]), 4), "of 1", details=some | rules),
        Figure(
            "seasons, anomalies where nothing was injected",
            round(per, 4),
            "a week, instrument and metric",
            1,
            is_at_most=True,
            details=some,
        ),
    ]
