"""Every SQL file of the TimescaleDB engine is applied to a TimescaleDB that needs no server: one compiled to WebAssembly.

It runs wherever Node does. What it does not show is how the statements behave (sql/, on a real server): it takes no COPY, and its
TimescaleDB and PostgreSQL are older than those that are recommended.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import sqlparse
from psycopg import sql

from rrr_assets.warehouse.connect import Role
from rrr_assets.warehouse.migrate import migration_files
from rrr_assets.warehouse.sqlfiles import query, sql_folder
from rrr_assets.warehouse.tick_tables import TICK_TABLES

HERE = Path(__file__).resolve().parent
PARTS = {
    "bars": "bars_1m", "columns": "instrument", "database": "postgres", "live": "bars_live_1m", "number": "size", "part": "raw_trades",
    "shorter": "bars_1m", "source": "bars_1m",
    "table": "raw_trades", "target": "bars_1m",
    "ticks": "raw_trades", "time": "event_time",
}  # fmt: skip
# Pieces of other files, what works on tables that are only there while a database is moved over, and on those of Dagster's database.
PIECES = re.compile(
    r"check_bars|check_ticks|check_tick_keys|check_raw_(agg_trades|quotes|depth)|check_contract(_proof|_examples|_repeated|_steps)?|quality_gx_steps"
    r"|convert_.*|read_(both_tiers|held|segment|is_here|away|warm)|sizes_rows_counted|read_features|features_rows(_as_known)?|quality_metrics_(runs_.*|daemons)"
)
# A statement that needs the types of its values cannot be understood alone: that says nothing against it.
UNKNOWN_TYPES = {"42P18", "42P08", "42725"}
# Nor does one that works on what an earlier one of its transaction has made of values.
MADE_BEFORE = re.compile(r'relation "(judged|judged_bars|corrected)" does not exist')
HISTORY = "create table schema_migrations (migration_hash text, migration_id text, applied_at_utc timestamp);"


def test_every_sql_file_of_timescaledb_is_taken_by_it() -> None:
    if shutil.which("node") is None:
        pytest.skip("no node")
    if not (HERE / "node_modules").is_dir():
        pytest.skip("TimescaleDB for node is not installed: npm ci in rrr_assets_tests/wasm")
    execute = [("roles", "".join(f"create role {role} login;" for role in Role)), ("bootstrap_database", composed("bootstrap_database"))]
    execute += [(path.name, path.read_text("utf-8")) for path in migration_files("timescaledb")]
    names = sorted(path.stem for path in (sql_folder() / "queries").glob("*.sql") if not PIECES.fullmatch(path.stem))
    execute += [("schema_migrations", HISTORY), ("temporary tables", "begin;")]
    execute += [(name, composed(name)) for name in names if "_make_" in name]
    describe = [(name, one) for name in names for one in statements(composed(name)) if "_make_" not in name]
    assert len(execute) > 15
    assert len(describe) > 50
    done = subprocess.run(
        ["node", "apply.mjs"],
        cwd=HERE, input=json.dumps({"execute": execute, "describe": describe}), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    failed = [failure for failure in told["failed"] if failure[1] not in UNKNOWN_TYPES and not MADE_BEFORE.search(failure[2])]
    assert failed == []
    assert len(told["failed"]) < len(describe) / 4, told["failed"]


def composed(name: str) -> str:
    """A query file with names put in where it has places for them, and its parameters numbered."""
    # Whether rows are in the database is a piece of its own.
    text = query(name).replace("{is_here}", "true")
    places = set(re.findall(r"(?<!\{)\{([a-z_]+)\}(?!\})", text))
    if places <= {*PARTS, "timeout"}:
        names = PARTS | ({"bars": "bars_tick", "target": "bars_tick"} if "information_bars" in name else {})
        parts = {place: sql.Identifier(names[place]) for place in places & {*PARTS}} | {"timeout": sql.Literal("60s")}
        text = sql.SQL(text).format(**parts).as_string() if places or "{{" in text else text
    else:
        text = TICK_TABLES["trades"].sql(name).as_string()
    if "%(" not in text:
        return text
    order = list(dict.fromkeys(re.findall(r"%\(([a-z_0-9]+)\)s", text)))
    return re.sub(r"%\(([a-z_0-9]+)\)s", lambda found: f"${order.index(found[1]) + 1}", text).replace("%%", "%")


def statements(text: str) -> list[str]:
    """The statements of a file."""
    return [part for part in sqlparse.split(text) if sqlparse.format(part, strip_comments=True).strip()]
