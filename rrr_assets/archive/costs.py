"""The cost report: what is kept is measured, and priced by the list.

Belongs here: measuring every place in which the platform keeps something, the price list's file, the history of reports. Does not: the
arithmetic (calc/costs.py), how it is shown (cost_tables.py, cost_chart.py).
An archive in a folder of this machine is priced as if it were in a bucket: the report is of what the platform would cost to run.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from typing import Final

from rrr_assets.calc.costs import (
    BACKUPS,
    CATALOGUES,
    DAGSTER,
    LANDING,
    LOGS,
    METADATA_OBJECTS,
    WAL,
    Base,
    Basis,
    Holding,
    Left,
    Measured,
    Report,
    apportion,
    make_report,
)
from rrr_assets.calc.numbers import EXACT
from rrr_assets.calc.outcomes import StoreUnreachable
from rrr_assets.calc.prices import PriceList, PricesRefused, parse_prices
from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.lake.catalogue import NAMESPACE
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.sizes import DatabaseSizes, StoredPart, database_sizes
from rrr_assets.warehouse.sqlfiles import query

PRICES: Final = "RRR_PRICES"
BACKUP_DIR: Final = "RRR_BACKUP_DIR"
DEFAULT_PRICES: Final = Path(__file__).with_name("prices.yaml")

LATE_DAYS: Final = 30
_MOST_BYTES: Final = 1 << 20
_KEPT_DECIMALS: Final = Decimal("1e-12")
_ONE_DAY: Final = timedelta(days=1)

Tiers = Mapping[tuple[str, date], str]
"""The tier of each partition that is no longer hot."""


def current_prices() -> PriceList:
    """The price list that RRR_PRICES names, or the package's own.

    Raises:
        PricesRefused: the file cannot be read, or not used.
    """
    given = os.environ.get(PRICES)
    path = Path(given).expanduser() if given else DEFAULT_PRICES
    where = f"{PRICES} {path}" if given else f"the package's {path.name}"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise PricesRefused(f"{where} is larger than a price list. Name the right file")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PricesRefused(f"{where} cannot be read ({reason}). Name a YAML file, or unset {PRICES}") from error
    return parse_prices(text, where)


def cost_report(database: Database, base: Base = "measured", home: Home | None = None) -> Report:
    """Measure the platform of this process' environment, and price it.

    Args:
        database: its database.
        base: what the forecast is made from: the rows that come in here, or those of the desk's former system.
        home: its home; that of the environment by default.

    Raises:
        PricesRefused: the price list cannot be used.
        StoreUnusable: RRR_ARCHIVE_URL names no store.
        StoreUnreachable: the store did not answer, or not well.
        DatabaseUnusable: the database has no schema, or cannot be entered.
    """
    prices = current_prices()
    return make_report(measure(database, home or Home.current()), prices, base)


def measure(database: Database, home: Home) -> Measured:
    """What is kept where: the database, the archive, the home, backups."""
    at = datetime.now(UTC)
    sizes = database_sizes(database, at - timedelta(days=LATE_DAYS))
    tiers = {(left.relation, left.partition_start): left.tier for left in sizes.left}
    parted = {part.relation for part in sizes.parts if part.from_day is not None}
    stored = [holding for part in sizes.parts for holding in _of_part(part, sizes, tiers, is_parted=part.relation in parted)]
    known = sum(holding.size_bytes for holding in stored)
    beside = [
        (CATALOGUES, max(0, sizes.total_bytes - known)),
        (WAL, sizes.wal_bytes),
        (DAGSTER, sizes.dagster_bytes),
        (LANDING, _folder_bytes(home.landing)),
        (LOGS, _folder_bytes(home.dagster) + _folder_bytes(home.logs)),
        (BACKUPS, _folder_bytes(Path(folder).expanduser()) if (folder := os.environ.get(BACKUP_DIR)) else None),
    ]
    around = [Holding(name, None, "other", "disk", size) for name, size in beside if size is not None]
    return Measured(
        at=at,
        engine=sizes.engine,
        holdings=(*stored, *_in_store(sizes, tiers), *around),
        left=_left(sizes),
        rows_per_day=_rows_per_day(sizes),
        puts=sum(part.files_of_late * (1 + METADATA_OBJECTS) for part in sizes.proven),
        # Where no backups are made there is nothing to measure; of the log somebody else may know.
        not_measured=(WAL,) if sizes.wal_bytes is None else (),
    )


def keep_history(database: Database, report: Report) -> int:
    """Write a report into the history, in place of what was written that day before; returns its rows."""
    groups: dict[tuple[str, str], list[int | Decimal | None]] = {}
    with localcontext(EXACT):
        for line in report.lines:
            known = groups.setdefault((line.relation, line.tier), [None, 0, Decimal(0)])
            if line.rows is not None:
                known[0] = (known[0] or 0) + line.rows
            known[1] = (known[1] or 0) + line.size_bytes
            known[2] = (known[2] or 0) + line.monthly_usd
        rows = [
            {
                "day": report.measured.at.date(), "relation": relation, "tier": tier, "row_count": count, "size_bytes": size,
                "monthly_usd": Decimal(usd or 0).quantize(_KEPT_DECIMALS, ROUND_HALF_UP), "offer": report.prices.offer.name,
                "prices_as_of": report.prices.as_of, "measured_at": report.measured.at,
            }
            for (relation, tier), (count, size, usd) in groups.items()
        ]  # fmt: skip
    with database.connect(Role.WRITER) as connection, connection.cursor() as cursor:
        cursor.execute(query("cost_history_clear"), {"day": report.measured.at.date()})
        cursor.executemany(query("cost_history_write"), rows)
    return len(rows)


def held_cost(report: Report, relation: str | None, from_day: date | None, until_day: date | None) -> tuple[int, Decimal]:
    """Bytes of the partitions that a hold covers, in the database and in the store, and what they cost, in USD a month.

    Much of it would be kept without the hold too: it is what the hold keeps from going, not what it adds.

    Args:
        report: of what is kept.
        relation: a table; None for all that are archived.
        from_day: the first day; None for the first there is.
        until_day: the first day after; None for no end.
    """
    size, usd = 0, Decimal(0)
    with localcontext(EXACT):
        for line in report.lines:
            archived = ARCHIVED.get(line.relation)
            if archived is None or line.partition_start is None or (relation is not None and line.relation != relation):
                continue
            is_after = until_day is not None and line.partition_start >= until_day
            is_before = from_day is not None and archived.end_of(line.partition_start) <= from_day
            if not is_after and not is_before:
                size, usd = size + line.size_bytes, usd + line.monthly_usd
    return size, usd


# --- what is stored ---------------------------------------------------------------------------------------------


def _of_part(part: StoredPart, sizes: DatabaseSizes, tiers: Tiers, *, is_parted: bool) -> Iterator[Holding]:
    """What a part of the database holds, by partition of the archive."""
    archived = ARCHIVED.get(part.relation)
    size = part.table_bytes + part.index_bytes
    if archived is None:
        yield Holding(part.relation, None, "other", "disk", size, part.rows_estimated, part.index_bytes)
        return
    if part.from_day is None and is_parted:
        yield Holding(part.relation, None, "hot", "disk", size, 0, part.index_bytes)  # what every row is below
        return
    of_days = sizes.rows[part.relation]
    until = part.until_day or (part.from_day + _ONE_DAY if part.from_day else None)
    if part.from_day is not None and until is not None and archived.end_of(archived.partition_of(part.from_day)) >= until:
        partition = archived.partition_of(part.from_day)
        rows = sum(count for day, count in of_days.items() if part.from_day <= day < until)
        tier = _tier(tiers, part, partition)
        # What was brought back of a cold day is counted by nobody.
        yield Holding(part.relation, partition, tier, "disk", size, None if tier == "cold" else rows, part.index_bytes)
        return
    yield from _shared(part, archived, sizes, tiers, until)


def _shared(part: StoredPart, archived: Archived, sizes: DatabaseSizes, tiers: Tiers, until: date | None) -> Iterator[Holding]:
    """A part that holds several partitions: its bytes are theirs by their rows."""
    rows: dict[date, int] = {}
    for day, count in sizes.rows[part.relation].items():
        if (part.from_day is None or day >= part.from_day) and (until is None or day < until):
            partition = archived.partition_of(day)
            rows[partition] = rows.get(partition, 0) + count
    if not rows:
        yield Holding(part.relation, None, _tier(tiers, part, None), "disk", part.table_bytes + part.index_bytes, 0, part.index_bytes)
        return
    partitions = sorted(rows)
    weights = [rows[partition] for partition in partitions]
    shares = zip(partitions, weights, apportion(part.table_bytes, weights), apportion(part.index_bytes, weights), strict=True)
    basis: Basis = "estimated" if part.relation in sizes.estimated else "by rows"
    for partition, count, table_bytes, index_bytes in shares:
        tier = _tier(tiers, part, partition)
        yield Holding(part.relation, partition, tier, "disk", table_bytes + index_bytes, count, index_bytes, basis=basis)


def _tier(tiers: Tiers, part: StoredPart, partition: date | None) -> str:
    told = None if partition is None else tiers.get((part.relation, partition))
    # A chunk of rows is as large as a hot one, whatever the ledger says of its month: it goes into columns when it ends, or again.
    is_in_rows = part.until_day is not None and not part.is_columnar
    if told == "cold" or (told == "warm" and not is_in_rows):
        return told
    return "warm" if part.is_columnar else "hot"


def _left(sizes: DatabaseSizes) -> tuple[Left, ...]:
    """What left the hot tier by the ledger, and what is in the columnstore without standing there."""
    ledger = {(left.relation, left.partition_start) for left in sizes.left}
    found = list(sizes.left)
    for part in sizes.parts:
        archived = ARCHIVED.get(part.relation)
        if archived is None or part.from_day is None or part.until_day is None or not part.before_bytes:
            continue
        if (part.relation, archived.partition_of(part.from_day)) not in ledger:
            rows = sum(count for day, count in sizes.rows[part.relation].items() if part.from_day <= day < part.until_day)
            found.append(Left(part.relation, part.from_day, "warm", rows, part.before_bytes))
    return tuple(found)


def _rows_per_day(sizes: DatabaseSizes) -> dict[str, Decimal]:
    """Rows that came of each table on the last days that have any, a day."""
    found = {}
    for name, archived in ARCHIVED.items():
        days = dict(sizes.rows[name])
        gone = [left for left in sizes.left if left.relation == name and left.tier != "warm"]
        if archived.grain == "day":
            days.update({left.partition_start: left.rows for left in gone})
        elif not days and gone:
            latest = max(gone, key=lambda left: left.partition_start)
            days[latest.partition_start] = latest.rows // (archived.end_of(latest.partition_start) - latest.partition_start).days
        late = [days[day] for day in sorted(day for day, count in days.items() if count)[-LATE_DAYS:]]
        if late:
            found[name] = Decimal(sum(late)) / len(late)
    return found


# --- the archive, and folders -----------------------------------------------------------------------------------


def _in_store(sizes: DatabaseSizes, tiers: Tiers) -> Iterator[Holding]:
    """Every object of the archive: of a current partition, of what stood there before, or of the tables' metadata."""
    current = {url: part for part in sizes.proven for url in part.urls if tiers.get((part.relation, part.partition)) != "deleted"}
    found: dict[tuple[str, date | None, str], list[int]] = {}
    rows: dict[tuple[str, date | None, str], int] = {}
    for url, relation, partition, size in _objects():
        part = current.get(url)
        if part is not None:
            tier = "cold" if tiers.get((part.relation, part.partition)) == "cold" else "copy"
            key: tuple[str, date | None, str] = (part.relation, part.partition, tier)
            rows[key] = part.rows
        else:
            key = (relation, partition, "superseded" if url.endswith(".parquet") else "metadata")
        known = found.setdefault(key, [0, 0])
        known[0] += size
        known[1] += 1
    for key, (size, objects) in sorted(found.items(), key=lambda each: (each[0][0], each[0][1] or date.min, each[0][2])):
        yield Holding(*key, "objects", size, rows.get(key), objects=objects)


def _objects() -> Iterator[tuple[str, str, date | None, int]]:
    """(address, table, partition, bytes) of each object below the store."""
    from pyarrow import fs

    store = Store.current()
    try:
        listed = store.filesystem.get_file_info(fs.FileSelector(store.root, recursive=True, allow_not_found=True))
    except OSError as error:
        raise StoreUnreachable(f"{store.url} did not answer well: {error}") from error
    for info in listed:
        if info.type is not fs.FileType.File:
            continue
        below = info.path.removeprefix(store.root).lstrip("/")
        steps = below.split("/")
        relation = steps[1] if len(steps) > 2 and steps[0] == NAMESPACE else below
        day = next((step.partition("=")[2] for step in steps if step.startswith(("archived_day=", "archived_month="))), None)
        yield f"{store.url}/{below}", relation, date.fromisoformat(day) if day else None, int(info.size)


def _folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; what goes away meanwhile counts nothing."""
    return sum(_file_bytes(Path(place) / name) for place, _, names in os.walk(folder) for name in names)


def _file_bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
