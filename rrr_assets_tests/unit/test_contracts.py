"""Contracts hold together, and the mapping document names every column of the legacy tables.

Belongs here: what can be seen from the contracts alone. Does not: that the database equals them (sql/).
"""

import re
from math import inf
from pathlib import Path

import pyarrow as pa
import pytest

from rrr_assets.contracts.base import Column, Retention, Table, Type
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.desk import DESK_TABLES
from rrr_assets.contracts.features import FEATURE_TABLES
from rrr_assets.contracts.quality import QUALITY_TABLES

EVERY_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())

MONEY_UNITS = {"quote asset", "base asset or contracts", "commission_asset", "reporting currency"}
MONEY_NAME = re.compile(r"(^|_)(price|size|volume|quantity|pnl|value|balance|commission|vwap|open|high|low|close)$")

# Both schemas' columns; the time column is `timestamp` in one and `event_time` in the other.
LEGACY_COLUMNS = {
    "crypto_aggregates": "id ticker timestamp event_time open high low close volume vwap trade_count created_at",
    "crypto_trades": "id ticker timestamp event_time price size exchange conditions created_at",
    "crypto_quotes": "id ticker timestamp event_time bid_price bid_size ask_price ask_size exchange created_at",
    "market_sentiment": "id asset timestamp event_time source sentiment_label sentiment_score confidence text metadata created_at",
    "orders": "id order_id exchange ticker side order_type quantity price status filled_quantity average_fill_price commission"
    " submitted_at filled_at cancelled_at metadata",
    "positions": "id ticker exchange quantity average_entry_price current_price unrealized_pnl realized_pnl opened_at closed_at status"
    " updated_at",
    "portfolio_snapshots": "id timestamp event_time total_value cash_balance positions_value daily_pnl total_pnl metadata created_at",
    "trading_signals": "id timestamp event_time ticker signal_type signal confidence price_target stop_loss metadata created_at",
    "ml_models": "id model_name model_version model_type architecture hyperparameters training_metrics validation_metrics deployed"
    " deployed_at created_at",
    "model_predictions": "id timestamp event_time model_id ticker prediction_type predicted_value actual_value error metadata created_at",
    "system_events": "id timestamp event_time event_type severity component message metadata created_at",
    "api_usage": "id timestamp event_time api_name endpoint request_count response_time_ms status_code error_message created_at",
}
MAPPING = (Path(__file__).resolve().parents[2] / "docs" / "legacy-mapping.md").read_text(encoding="utf-8")


def is_money(column: Column) -> bool:
    return column.unit in MONEY_UNITS or MONEY_NAME.search(column.name) is not None


def tiers(retention: Retention) -> list[float]:
    """Ends of the tiers that are not skipped, in days."""
    days = (retention.hot_days, retention.warm_days, retention.cold_days, retention.delete_after_days)
    return [inf if end is None else end for end in days if end != 0]


def mapped_columns(document: str, legacy_table: str) -> dict[str, str]:
    """The legacy columns that a table's section names, each with the second cell of its line."""
    section = re.search(rf"^### {legacy_table}\n(.*?)(?=^##)", document, re.DOTALL | re.MULTILINE)
    assert section, f"no section on {legacy_table}"
    lines = [[cell.strip() for cell in line.split("|")] for line in section[1].splitlines() if line.startswith("| `")]
    return {name: cells[2] for cells in lines for name in re.findall(r"`(\w+)`", cells[1])}


def test_no_table_is_listed_twice() -> None:
    assert len(DESK_TABLES) == len({table.name for table in DESK_TABLES})
    assert set(TABLES) >= {table.name for table in DESK_TABLES} | {"raw_trades", "venue_bars", "bars_1m", "coverage"}
    assert all(TABLES[name].name == name for name in TABLES)


@EVERY_TABLE
def test_names_are_unique_and_the_database_takes_them(table: Table) -> None:
    assert len(set(table.column_names)) == len(table.columns)
    constraints = [f"{table.name}_{column.name}_accepted" for column in table.columns if column.accepted]
    assert [name for name in constraints if len(name) > 63] == []
    assert [name for name in (table.name, *table.column_names) if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []


@EVERY_TABLE
def test_the_key_exists_and_is_never_null(table: Table) -> None:
    assert table.key
    assert len(set(table.key)) == len(table.key)
    assert [name for name in table.key if table.column(name).nullable] == []


@EVERY_TABLE
def test_the_time_column_is_a_time_that_is_never_null(table: Table) -> None:
    if table.time_column is None:
        assert tiers(table.retention) == [inf] * 4, "rows without a time cannot grow old"
    else:
        column = table.column(table.time_column)
        assert (column.type, column.nullable, column.name in {"event_time", "bar_start"}) == (Type.TIME, False, True)


@EVERY_TABLE
def test_everything_is_described_in_sentences(table: Table) -> None:
    texts = [table.description, *(column.description for column in table.columns)]
    assert [text for text in texts if not re.fullmatch(r"\S.*\.", text)] == []


@EVERY_TABLE
def test_money_is_numeric_and_nothing_is_a_float(table: Table) -> None:
    statistics = (
        {column.name for column in table.columns if column.type is Type.STATISTIC} if table in (*QUALITY_TABLES, *FEATURE_TABLES) else set()
    )
    assert [
        column.name for column in table.columns if is_money(column) and column.type.sql != "numeric" and column.name not in statistics
    ] == []
    floats = {field.name for field in table.arrow_schema() if pa.types.is_floating(field.type)}
    assert floats == statistics


@EVERY_TABLE
def test_times_say_their_zone(table: Table) -> None:
    times = [column for column in table.columns if column.type is Type.TIME]
    assert [column.name for column in times if column.unit != "UTC"] == []
    assert [column.name for column in table.columns if column.name.endswith("_at") and column not in times] == []


@EVERY_TABLE
def test_accepted_values_are_texts_without_repeats(table: Table) -> None:
    for column in table.columns:
        if column.accepted is not None:
            assert column.type is Type.TEXT
            assert len(set(column.accepted)) == len(column.accepted) > 0


@EVERY_TABLE
def test_the_arrow_schema_has_the_columns_in_order(table: Table) -> None:
    schema = table.arrow_schema()
    assert tuple(schema.names) == table.column_names
    assert [field.nullable for field in schema] == [column.nullable for column in table.columns]
    assert schema.empty_table().schema == schema


@EVERY_TABLE
def test_tiers_end_one_after_the_other(table: Table) -> None:
    ends = tiers(table.retention)
    assert ends == sorted(ends)
    assert len({end for end in ends if end != inf}) == len([end for end in ends if end != inf])


@EVERY_TABLE
def test_a_team_owns_it(table: Table) -> None:
    assert table.owner in {"team:market-data", "team:trading", "team:ml", "team:platform"}


@pytest.mark.parametrize("table", DESK_TABLES, ids=lambda table: table.name)
def test_every_desk_table_says_when_it_was_known(table: Table) -> None:
    assert table.column("known_at") in table.columns
    assert not table.column("known_at").nullable
    assert not {"timestamp", "created_at", "updated_at", "ticker", "exchange", "id"} & set(table.column_names)


@pytest.mark.parametrize("legacy_table", LEGACY_COLUMNS)
def test_the_mapping_names_every_legacy_column_and_only_columns_that_exist(legacy_table: str) -> None:
    mapped = mapped_columns(MAPPING, legacy_table)
    assert set(mapped) == set(LEGACY_COLUMNS[legacy_table].split())
    became = re.search(rf"^### {legacy_table}\n\nBecame `(\w+)`", MAPPING, re.MULTILINE)
    assert became
    target = TABLES[became[1]]
    assert [name for cell in mapped.values() for name in re.findall(r"`(\w+)`", cell) if name not in target.column_names] == []
    assert [name for name, cell in mapped.items() if cell != "dropped" and "`" not in cell] == []


def test_a_column_that_the_mapping_forgot_is_found() -> None:
    document = "### orders\n\n| legacy column | here | remark |\n|---|---|---|\n| `id` (B), `side` | `side` | |\n\n## Next\n"
    assert mapped_columns(document, "orders") == {"id": "`side`", "side": "`side`"}


def test_the_mapping_speaks_of_every_later_addition() -> None:
    later = MAPPING.partition("## Later legacy additions")[2]
    names = ("order_book_metrics", "tick_data", "microstructure_metrics", "1-second bars", "audit_logs")
    assert [name for name in names if name not in later] == []
