"""Reads features of history for many rows in a process of its own and prints, as JSON, seconds, peak memory and a hash of the values.

Run as `python -m rrr_assets_tests.bench.features_once feast|polars ROWS TIMES`, with RRR_HOME naming a home of which the server runs.
"""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter

import numpy as np
import polars as pl

from rrr_assets.calc.features import FEATURES
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.planning import away
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets_tests.bench import baseline_features
from rrr_assets_tests.bench.ingest_once import peak_bytes

START = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 30
NAMES = [f"binance:S{number:03}USDT" for number in range(20)]
TTL = timedelta(minutes=5)


def main(way: str, rows: int, times: int) -> None:
    """Read them several times, after a few that are not counted: imports and connections are no part of a figure."""
    ask = {"feast": _feast, "polars": _polars}[way]()
    ask(entities(100))
    wanted = entities(rows)
    seconds, found = [], pl.DataFrame()
    for _ in range(times):
        begun = perf_counter()
        found = ask(wanted)
        seconds.append(perf_counter() - begun)
    if len(found) != rows or found.null_count().sum_horizontal()[0] > rows:
        raise RuntimeError(f"{len(found)} rows came out, with {found.null_count().sum_horizontal()[0]} nulls")
    told = {"seconds": seconds, "content": str(found.select(list(FEATURES)).hash_rows(seed=0).sum()), "peak_bytes": peak_bytes()}
    sys.stdout.write(json.dumps(told) + "\n")


def entities(rows: int) -> pl.DataFrame:
    """Instruments and moments by lot, in no order."""
    drawn = np.random.default_rng(rows)
    at = drawn.integers(5 * 60_000_000, DAYS * 86_400_000_000, rows)
    return pl.DataFrame({"instrument": drawn.choice(NAMES, rows), "us": at}).select(
        "instrument", (pl.lit(START) + pl.duration(microseconds="us")).cast(pl.Datetime("us", "UTC")).alias("moment")
    )


def _feast() -> Callable[[pl.DataFrame], pl.DataFrame]:
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.feast_objects import OBJECTS

    feast = store(Database.current())
    feast.apply(list(OBJECTS))
    service = feast.get_feature_service("minutes")

    def ask(wanted: pl.DataFrame) -> pl.DataFrame:
        frame = wanted.rename({"moment": "event_timestamp"}).to_pandas()
        return pl.DataFrame(feast.get_historical_features(entity_df=frame, features=service).to_arrow())

    return ask


def _polars() -> Callable[[pl.DataFrame], pl.DataFrame]:
    with Database.current().kept(Role.ANALYST) as connection:
        parts = away(connection, [ARCHIVED["features_1m"]])
    paths = [Store.current().path(file.url) for part in parts for file in part.files]
    return lambda wanted: baseline_features.historical(paths, wanted, list(FEATURES), TTL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
