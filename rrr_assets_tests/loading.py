"""What tests of loading share: the same trades in each form a venue publishes them in, and an emptied database.

Belongs here: writing venue files from a list of trades, row by row, for cases that the simulator does not make.
Does not: what a test expects of them.
"""

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
from psycopg import sql

from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.platform import Platform

DAY = date(2025, 3, 3)
NEXT = date(2025, 3, 4)
OLD_DAY = date(2024, 1, 1)
SYMBOL = "BTCUSDT"
NAME = f"binance:{SYMBOL}"
DAY_US = 86_400_000_000
CONSERVED = "select count(*) from ingest_batches where rows_read <> rows_stored + rows_revised + duplicates + quarantined"

GAPS_DIFFER = """
    with wanted as (
        select instrument, stream, unnest(missing_ids) as ids from coverage where row_count > 0
        union all
        select b.instrument, b.stream, int8range(a.last_sequence + 1, b.first_sequence)
        from coverage as a
        inner join coverage as b on a.instrument = b.instrument and a.stream = b.stream and a.day + 1 = b.day and a.space = b.space
        where a.space <> 'ordinal' and a.row_count > 0 and b.row_count > 0 and b.first_sequence > a.last_sequence + 1
    ), listed as (
        select instrument, stream, int8range(first_missing, last_missing, '[]') as ids from gaps where kind = 'ids' and state <> 'healed'
    )
    select coalesce(w.instrument, l.instrument), w.ids, l.ids
    from (select instrument, stream, range_agg(ids) as ids, sum(upper(ids) - lower(ids)) as n from wanted group by 1, 2) as w
    full join (select instrument, stream, range_agg(ids) as ids, sum(upper(ids) - lower(ids)) as n from listed group by 1, 2) as l
        using (instrument, stream)
    where w.ids is distinct from l.ids or w.n is distinct from l.n
"""
"""Where the ledger of gaps says other ids than coverage, or says one twice: nowhere, ever."""


@dataclass(frozen=True, slots=True)
class Told:
    """A trade as a venue tells it; `us` in microseconds since 1970 UTC, numbers as text."""

    id: int
    us: int
    price: str = "42000.10"
    size: str = "0.5"
    buyer_made: bool = False

    def at(self, us: int) -> "Told":
        return replace(self, us=us)


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def tape(day: date, count: int, first_id: int = 1000, start_us: int = 3_600_000_000, step_us: int = 1_234_567) -> list[Told]:
    """Trades with rising ids, times finer than a millisecond, and varied numbers."""
    base = midnight(day) + start_us
    return [Told(first_id + n, base + n * step_us, f"{42_000 + n % 7}.{n % 90 + 10}", f"0.{n % 9 + 1}", n % 3 == 0) for n in range(count)]


def vision(folder: Path, trades: Iterable[Told | str], day: date, suffix: str = "", symbol: str = SYMBOL) -> Path:
    """A spot file of the public archive: microseconds from 2025 on, milliseconds before. A text is a line as it is."""
    unit = 1 if day >= date(2025, 1, 1) else 1000
    lines = [t if isinstance(t, str) else f"{t.id},{t.price},{t.size},{t.price},{t.us // unit},{t.buyer_made},True" for t in trades]
    path = folder / f"{symbol}-trades-{day}{suffix}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compresslevel=1) as archive:
        # Stamped the same at whatever time it is written: the same rows are the same file.
        archive.writestr(zipfile.ZipInfo(f"{path.stem}.csv"), "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED)
    return path


def capture(folder: Path, trades: Iterable[Told], name: str = "capture.txt", lag_us: int = 20_000, symbol: str = SYMBOL) -> Path:
    """A WebSocket capture: milliseconds, and the local time before each message."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as out:
        for t in trades:
            data = {"e": "trade", "s": symbol, "t": t.id, "p": t.price, "q": t.size, "T": t.us // 1000, "m": t.buyer_made}
            message = {"stream": f"{symbol.lower()}@trade", "data": data}
            received = t.us + lag_us
            out.write(f"{received // 1_000_000}.{received % 1_000_000:06} {json.dumps(message)}\n")
    return path


def rest(folder: Path, trades: Iterable[Told], name: str = f"{SYMBOL}-page.json") -> Path:
    """A page of the REST answer: milliseconds."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": t.id, "price": t.price, "qty": t.size, "time": t.us // 1000, "isBuyerMaker": t.buyer_made, "isBestMatch": True}
        for t in trades
    ]
    path.write_text(json.dumps(rows))
    return path


def ccapi(folder: Path, trades: Iterable[Told | str], name: str) -> Path:
    """A ccapi file, without ids; a text is a line as it is. Named for a day, it claims that day."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["time_seconds", "price", "size", "is_buyer_maker"])
    for t in trades:
        if isinstance(t, str):
            text.write(t + "\n")
        else:
            out.writerow([f"{t.us // 1_000_000}.{t.us % 1_000_000:06}", t.price, t.size, int(t.buyer_made)])
    path.write_text(text.getvalue())
    return path


def take(platform: Platform, path: Path) -> list[tuple[int, int, int, int]]:
    """Take one file in, its format told by its name; (stored, revised, duplicates, quarantined) of each of its days."""
    given = None
    if path.suffix == ".zip":
        form = "binance-vision-trades"
    elif path.suffix == ".txt":
        form = "binance-ws"
    elif path.suffix == ".json":
        form = "binance-rest"
    else:
        form, given = "ccapi", None if "__" in path.name else "gemini:ETHUSD"
    done = platform.take_in(path, form, given)
    return [(f.rows_stored, f.rows_revised, f.duplicates, f.quarantined) for loaded in done for f in loaded.files]


_KEPT = ("schema_engine", "trade_conditions", "bar_rules")


def _to_be_emptied(connection: psycopg.Connection) -> list[str]:
    """Tables that have rows. An empty one is left alone: to truncate all of them and their indexes takes longer than most tests."""
    found = connection.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> all(%s)"
        " and relname !~ 'yoyo|migration'",
        [list(_KEPT)],
    ).fetchall()
    if connection.execute("select from pg_extension where extname = 'timescaledb'").fetchone():
        # The chunks of a hypertable are dropped, empty ones too.
        return [name for (name,) in found]
    has_rows = sql.SQL("select {} where exists (select from {})")
    asked = sql.SQL(" union all ").join(has_rows.format(sql.Literal(name), sql.Identifier(name)) for (name,) in found)
    return [name for (name,) in connection.execute(asked)]


def emptied(database: Database, folder: Path) -> Platform:
    """The module's database without a row, and a landing zone of its own."""
    with database.connect(Role.OWNER, autocommit=True) as connection:
        names = _to_be_emptied(connection)
        warm = connection.execute("select tgrelid::regclass::text from pg_trigger where tgname = 'is_warm'").fetchall()
        for (partition,) in warm:
            connection.execute(sql.SQL("drop trigger is_warm on {}").format(sql.Identifier(partition)))
        if names:
            # What is append-only is emptied by who may change the table itself.
            connection.execute("alter table retention_log disable trigger user")
            tables = sql.SQL(", ").join(sql.Identifier(name) for name in names)
            connection.execute(sql.SQL("truncate {} restart identity cascade").format(tables))
            connection.execute("alter table retention_log enable trigger user")
        connection.execute(
            "select setval(s.seqrelid, s.seqstart, false) from pg_sequence as s inner join pg_class as c on s.seqrelid = c.oid"
            " where c.relnamespace = 'public'::regnamespace and pg_sequence_last_value(s.seqrelid) is not null"
        )
    home = Home(folder / "landing-home")
    home.root.mkdir()
    home.prepare()
    return Platform(database, home)


def held(platform: Platform, day: date, name: str = NAME) -> tuple:
    """(row_count, covered as [(start, end)] in microseconds of the day, missing ids, is_declared) of a day."""
    [(count, covered, missing, declared)] = platform.rows(
        "select row_count, covered, missing_ids, is_declared from coverage where instrument = %s and stream = 'trades' and day = %s",
        name,
        day,
    )
    base = datetime(day.year, day.month, day.day, tzinfo=UTC)
    spans = [tuple(round((edge - base).total_seconds() * 1_000_000) for edge in (r.lower, r.upper)) for r in covered]
    return count, spans, [(r.lower, r.upper) for r in missing], declared


def windows(platform: Platform, reason: str, since: int = 0) -> Sequence[tuple]:
    return platform.rows(
        "select instrument, from_time, to_time from invalidation_log"
        " where relation = 'raw_trades' and reason = %s and invalidation_id > %s order by 1, 2",
        reason,
        since,
    )


def ingest(environment: dict[str, str], database: str, landing_home: Path, files: Sequence[tuple[Path, str]], acknowledged: Path) -> None:
    """Take files in as a process of its own; each batch that was acknowledged is noted, durably, as it is."""
    os.environ.update(environment)
    platform = Platform(Database.current(database), Home(landing_home))
    with acknowledged.open("a") as notes:
        for path, form in files:
            for loaded in platform.take_in(path, form):
                notes.writelines(f"{file.batch_id} {file.rows_stored}\n" for file in loaded.files)
                notes.flush()
