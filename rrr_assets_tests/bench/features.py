"""Features: a day of many instruments against the same list in plain Polars; history through Feast against a bare point-in-time join.

What is read lies in the archive alone, by day; the bare join reads the same files. Each way in processes of its own, in turns.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final

import numpy as np
import polars as pl

from rrr_assets.calc.features.compute import MINUTE, evaluate, look_back
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import register, write_proof, write_proven
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.tiers import Tier, write_tier
from rrr_assets_tests.bench import baseline_features
from rrr_assets_tests.bench.features_once import DAYS, NAMES, START
from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.bench.ground import interpreter_environment

_GB: Final = 1e9
_INSTRUMENTS: Final = 100
_TIMES: Final = 9
_EACH: Final = 3


def measure_day() -> Figure:
    """One day of many instruments, all features, in memory."""
    since = START
    laid = minutes([f"binance:S{number:03}USDT" for number in range(_INSTRUMENTS)], since)
    ours, bare = [], []
    for number in range(_TIMES + 1):
        begun = perf_counter()
        evaluate(laid, since=since)
        between = perf_counter()
        baseline_features.features(laid, since)
        if number:
            ours.append(between - begun)
            bare.append(perf_counter() - between)
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    details = {"each": spread(ratios), "ours s": spread(ours), "Polars s": spread(bare), "minutes": len(laid)}
    return Figure("features, a day of 100 instruments", median(ratios), "of Polars' time", target=1.5, is_at_most=True, details=details)


def measure_history(database: Database, pairs: int, rows: int = 50_000) -> list[Figure]:
    """Twenty instruments' features of thirty days, for entity rows by lot; then ten times as many of these."""
    size = _archive(database)
    ours, bare = [], []
    for number in range(pairs):
        for way in (("feast", "polars"), ("polars", "feast"))[number % 2]:
            (ours if way == "feast" else bare).append(_once(way, rows))
    contents = {each["content"] for each in (*ours, *bare)}
    if len(contents) != 1:
        raise RuntimeError("both do not come to the same values")
    many = _once("feast", 10 * rows)
    seconds = [median(each["seconds"]) for each in ours]
    ratios = [one / median(other["seconds"]) for one, other in zip(seconds, bare, strict=True)]
    details = {
        "each": spread(ratios), "ours s": spread(seconds), "Polars s": spread([median(each["seconds"]) for each in bare]),
        "ours GB": round(max(each["peak_bytes"] for each in ours) / _GB, 2),
        "Polars GB": round(max(each["peak_bytes"] for each in bare) / _GB, 2), "bytes a row in the archive": size,
    }  # fmt: skip
    growth = median(many["seconds"]) / median(seconds)
    return [
        Figure(f"features, history of {rows:,} rows through Feast", median(ratios), "of Polars' time", target=2.0, goal=1.3,
               is_at_most=True, details=details),
        Figure(f"features, history of {10 * rows:,} rows", round(growth, 2), "of the time of a tenth", target=10.0, is_at_most=True,
               details={"s": spread(many["seconds"])}),
        Figure(f"features, memory of {10 * rows:,} rows", round(many["peak_bytes"] / _GB, 3), "GB", target=2.0, is_at_most=True),
    ]  # fmt: skip


def minutes(names: Sequence[str], since: datetime) -> pl.DataFrame:
    """A day of minutes, and those before it that are looked back at, as compute.minutes lays them out: prices walk at random."""
    drawn = np.random.default_rng([len(names), int(since.timestamp())])
    count = look_back() + 1440
    starts = pl.datetime_range(
        since - look_back() * MINUTE, since + timedelta(days=1), MINUTE, closed="left", time_unit="us", time_zone="UTC", eager=True
    )
    frames = []
    for name in names:
        close = 42_000 * np.exp(np.cumsum(drawn.normal(0, 2e-4, count)))
        begun = np.concatenate([close[:1], close[:-1]])
        volume = drawn.exponential(2, count) + 0.001
        columns: dict[str, Any] = {
            "instrument": [name] * count, "bar_start": starts, "is_known": [True] * count, "open": begun,
            "high": np.maximum(begun, close) * (1 + drawn.exponential(1e-4, count)),
            "low": np.minimum(begun, close) * (1 - drawn.exponential(1e-4, count)), "close": close, "volume": volume,
            "quote_volume": volume * close, "trade_count": drawn.integers(1, 99, count).astype(np.float64),
            "taker_buy_volume": volume * drawn.random(count), "taker_buy_quote_volume": volume * close * drawn.random(count),
            **{each: drawn.random(count) for each in ("quoted_spread_bps", "effective_spread_bps", "depth_imbalance_close")},
            "book_flow": drawn.normal(0, 1, count), "book_depth": drawn.random(count) + 1, "minute_of_week": np.arange(count) * 1.0,
        }  # fmt: skip
        frames.append(pl.DataFrame(columns))
    return pl.concat(frames).rechunk()


def _archive(database: Database) -> float:
    """Lay the days into the archive, as if they had been dropped; bytes a row."""
    archived = ARCHIVED[FEATURES_1M.name]
    size = rows = 0
    with Catalogue(database, Store.current()) as catalogue:
        for number in range(DAYS):
            since = START + number * timedelta(days=1)
            day = since.date()
            # Minutes that close on the day.
            made = evaluate(minutes(NAMES, since - MINUTE), since=since - MINUTE)
            closed = pl.col("bar_start") + MINUTE
            frame = made.with_columns(
                closed.alias("event_time"), (closed + timedelta(seconds=1)).alias("available_at"),
                pl.lit("modelled").alias("available_basis"),
                pl.lit(datetime(2025, 5, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")).alias("known_at"),
            ).select(FEATURES_1M.column_names)  # fmt: skip
            batches = frame.to_arrow().cast(archived.canonical_schema()).combine_chunks().to_batches()
            known_at = datetime.now(UTC)
            kept = write_proven(catalogue, archived, day, batches, {})
            snapshot = register(catalogue, archived, day, kept, 0, known_at, None)
            with database.connect(Role.WRITER) as connection:
                proof = write_proof(connection, archived, day, snapshot, [kept.written], kept.digest, None, 0, known_at, None)
                write_tier(connection, Tier(archived.name, day, "cold", kept.digest.rows, 0, proof.proof_id))
            size, rows = size + kept.written.size_bytes, rows + kept.digest.rows
    return round(size / rows, 1)


def _once(way: str, rows: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "rrr_assets_tests.bench.features_once", way, str(rows), str(_EACH)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=interpreter_environment())
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
