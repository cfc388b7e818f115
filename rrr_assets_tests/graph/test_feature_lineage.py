"""Lineage of features through to the columns of raw ticks: what the graph says, against what changes when such a column changes."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

import polars as pl
import pytest

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.compute import MINUTE, evaluate, look_back, minutes
from rrr_assets.calc.features.declare import BAR_INPUTS, TICK_INPUTS
from rrr_assets.calc.features.ticks import QUOTE_COLUMNS, TRADE_COLUMNS, tick_minutes
from rrr_assets.calc.order import Trade, bars_from_trades
from rrr_assets.contracts.features import FEATURES_1M, TICK_MINUTES
from rrr_assets.definitions import defs

START = datetime(2025, 3, 3, tzinfo=UTC)
N = look_back() + 1
END = START + N * MINUTE
TIME = pl.Datetime("us", "UTC")
VALUES = {"raw_trades": ("price", "size", "side"), "raw_quotes": ("bid_price", "bid_size", "ask_price", "ask_size")}
"""Columns that say what a tick was. When it was, and in which order, decides which minute it is in, of every feature alike."""

Column = tuple[str, str]


@cache
def lineage() -> Mapping[str, Mapping[str, Sequence[Column]]]:
    """Of every asset that tells it: by column, what it is made from."""
    graph = defs.resolve_asset_graph()
    found = {}
    for key in graph.get_all_asset_keys():
        told = graph.assets_def_for_key(key).get_asset_spec(key).metadata.get("dagster/column_lineage")
        if told is not None:
            found[key.to_user_string()] = {
                name: [(dep.asset_key.to_user_string(), dep.column_name) for dep in deps] for name, deps in told.deps_by_column.items()
            }
    return found


def raw(table: str, column: str) -> set[Column]:
    """The columns of raw ticks that a column is made from in the end."""
    if table.startswith("raw_"):
        return {(table, column)}
    return {each for source in lineage()[table][column] for each in raw(*source)}


def test_every_column_has_its_lineage_and_a_feature_has_that_of_its_definition() -> None:
    told = lineage()[FEATURES_1M.name]
    assert set(told) == set(FEATURES_1M.column_names) - {"known_at"}
    table_of = dict.fromkeys(BAR_INPUTS, "bars_1m") | dict.fromkeys(TICK_INPUTS, TICK_MINUTES.name)
    for name, feature in FEATURES.items():
        declared = {(table_of.get(column, "bars_1m"), "bar_start" if column == "minute_of_week" else column) for column in feature.columns}
        assert set(told[name]) == declared, name
    assert set(lineage()[TICK_MINUTES.name]) == set(TICK_MINUTES.column_names) - {"known_at"}
    # It ends at ticks, and nowhere else.
    assert {table for column in told for table, _ in raw(FEATURES_1M.name, column)} == {"raw_trades", "raw_agg_trades", "raw_quotes"}


@dataclass(frozen=True)
class Quote:
    event_time: datetime
    bid_price: float
    bid_size: float
    ask_price: float
    ask_size: float


def ticks() -> tuple[list[Trade], list[Quote]]:
    drawn = random.Random(1)
    trades, quotes = [], []
    for n in range(N * 4):
        at = START + n * MINUTE / 4 + timedelta(seconds=drawn.randrange(1, 14))
        side = drawn.choice(["buy", "sell"])
        trades.append(Trade(at, n, Decimal(drawn.randrange(9000, 11_000)) / 100, Decimal(drawn.randrange(1, 500)) / 100, side))
        bid = drawn.randrange(9000, 11_000) / 100
        quotes.append(Quote(at - timedelta(seconds=1), bid, drawn.randrange(1, 99) / 10, bid + 0.5, drawn.randrange(1, 99) / 10))
    return trades, quotes


def values(trades: Sequence[Trade], quotes: Sequence[Quote]) -> dict[str, float | None]:
    """The features of the last minute, from ticks."""
    bars = bars_from_trades(trades, MINUTE)
    columns = {name: [float(getattr(bar, name)) for bar in bars] for name in BAR_INPUTS}
    schema = {"instrument": pl.String, "bar_start": TIME}
    told = pl.DataFrame({"instrument": ["a:B"] * N, "bar_start": [bar.bar_start for bar in bars], **columns}, schema_overrides=schema)
    stretch = {"instrument": ["a:B"], "from_time": [START], "to_time": [END]}
    tape = pl.DataFrame(stretch, schema_overrides={"from_time": TIME, "to_time": TIME})
    known = {"event_time": TIME, "available_at": TIME, "is_observed": pl.Boolean}
    traded = pl.DataFrame(
        [(each.event_time, each.event_time, True, float(each.price), float(each.size)) for each in trades],
        schema=known | dict.fromkeys(TRADE_COLUMNS[3:], pl.Float64), orient="row",
    )  # fmt: skip
    quoted = pl.DataFrame(
        [(each.event_time, each.event_time, True, each.bid_price, each.bid_size, each.ask_price, each.ask_size) for each in quotes],
        schema=known | dict.fromkeys(QUOTE_COLUMNS[3:], pl.Float64), orient="row",
    )  # fmt: skip
    made = tick_minutes(traded, quoted, tape, START, END, timedelta(seconds=1)).with_columns(pl.lit("a:B").alias("instrument"))
    laid = minutes(told, made, tape, ["a:B"], START, END)
    return evaluate(laid, since=END - MINUTE).select(*FEATURES).row(0, named=True)


@pytest.mark.parametrize("column", [(table, name) for table, names in VALUES.items() for name in names])
def test_what_changes_with_a_column_is_what_is_made_from_it(column: Column) -> None:
    table, name = column
    drawn = random.Random(2)
    trades, quotes = ticks()
    before = values(trades, quotes)
    assert None not in before.values()
    change: dict[str, Callable[[], dict[str, object]]] = {
        "price": lambda: {"price": Decimal(drawn.randrange(9000, 11_000)) / 100},
        "size": lambda: {"size": Decimal(drawn.randrange(1, 500)) / 100},
        "side": lambda: {"side": drawn.choice(["buy", "sell"])},
        "bid_price": lambda: {"bid_price": drawn.randrange(8000, 9000) / 100},
        "ask_price": lambda: {"ask_price": drawn.randrange(11_100, 12_000) / 100},
        "bid_size": lambda: {"bid_size": drawn.randrange(1, 99) / 10},
        "ask_size": lambda: {"ask_size": drawn.randrange(1, 99) / 10},
    }
    if table == "raw_trades":
        after = values([replace(each, **change[name]()) for each in trades], quotes)
    else:
        changed = [replace(each, **change[name]()) for each in quotes]
        if name.endswith("price"):
            # Prices say whether a quote stands at all: the last one is crossed.
            changed[-1] = replace(changed[-1], bid_price=120.0) if name == "bid_price" else replace(changed[-1], ask_price=80.0)
        after = values(trades, changed)
    moved = {each for each in FEATURES if before[each] != after[each]}
    assert moved == {each for each in FEATURES if column in raw(FEATURES_1M.name, each)}
