"""Ingest: from a venue's file to stored, indexed, ledgered rows, against a bare COPY of the same rows.

Each day is timed twice in a row, ours and the baseline, in turns; the ratio of a pair is what counts, the median over the
pairs what is reported.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pyarrow as pa

from rrr_assets import simulator
from rrr_assets.ticks import landing
from rrr_assets.venues import registry
from rrr_assets.venues.base import Source
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.load import load_day
from rrr_assets.warehouse.migrate import engine_of
from rrr_assets.warehouse.refresh import refresh_bars
from rrr_assets_tests.bench import baseline_copy
from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.bench.ground import Spent, timed

FORMAT = "binance-vision-trades"
INSTRUMENT = "binance:BTCUSDT"
_FIRST_DAY = date(2025, 3, 1)
_BASELINE_ROWS = 65_536


def simulated_days(folder: Path, days: int, rows: int) -> dict[date, Path]:
    """Zips of trades of one instrument, about so many rows a day."""
    chosen = [_FIRST_DAY + timedelta(days=number) for number in range(days)]
    written = simulator.simulate(folder, chosen, [INSTRUMENT], rows * days, 7)
    return {file.day: file.path for file in written.files if file.format == FORMAT}


def take_in(home: Home, database: Database, path: Path) -> tuple[float, float, int]:
    """Accept a file and store its days: seconds of each, and rows that were stored or found known."""
    begun = perf_counter()
    with database.connect(Role.WRITER, autocommit=True) as connection:
        [accepted] = landing.accept(home, connection, path, FORMAT, None, None)
        staged = perf_counter()
        waiting = landing.files_of_days(home, connection, "trades", list(accepted.days))
    rows = 0
    for day, files in waiting.items():
        done = load_day(database, day, files, None, landing.raw_lines)
        rows += sum(file.rows_stored + file.duplicates for file in done.files)
    return staged - begun, perf_counter() - staged, rows


def measure(home: Home, rows: int, pairs: int, engine: str = "") -> list[Figure]:
    """Fresh days as zip and as plain CSV, a copy of a day under another name, a day read again, bars.

    Args:
        home: where files land.
        rows: trades a file.
        pairs: how often each is measured.
        engine: put before the figures' names, where it is not the embedded server's.
    """
    database = Database.current()
    files = simulated_days(home.root / "bench-files", 2 * pairs + 1, rows)
    warm, *days = sorted(files)
    baseline_copy.prepare(database, days)
    # What is loaded once per process is no part of the figures: imports, the first connection, the tables' definitions.
    take_in(home, database, first_lines(files[warm], 1000))
    figures = []
    for shape, chosen in (("zip", days[:pairs]), ("csv", days[pairs:])):
        figures += _fresh(home, database, {day: files[day] if shape == "zip" else unpacked(files[day]) for day in chosen}, shape)
    figures.append(_overlapping(home, database, [files[day] for day in days[:pairs]]))
    figures.append(_bars(database, days[:pairs]))
    return [replace(figure, name=f"{engine} {figure.name}".strip()) for figure in figures]


def _fresh(home: Home, database: Database, files: dict[date, Path], shape: str) -> list[Figure]:
    ratios, strict, work, rates, accepts, loads, bare, total = [], [], [], [], [], [], [], 0
    for number, (day, path) in enumerate(files.items()):
        in_memory = rows_in_memory(database, path)
        if number % 2:
            base, encoded = _theirs(database, day, in_memory)
            mine, accept, load, rows = _ours(home, database, path)
        else:
            mine, accept, load, rows = _ours(home, database, path)
            base, encoded = _theirs(database, day, in_memory)
        ratios.append(base.wall / mine.wall)
        strict.append(encoded / mine.wall)
        work.append(base.processor / mine.processor)
        rates.append(rows / mine.wall)
        accepts.append(accept)
        loads.append(load)
        bare.append(base.wall)
        total += rows
    details = {
        "pairs": spread(ratios),
        "by processor time": median(work),
        "against COPY of encoded rows": median(strict),
        "baseline s": spread(bare),
    }
    seconds = {"rows": total, "accept s": spread(accepts), "load s": spread(loads)}
    return [
        Figure(f"ingest_fresh {shape}", median(ratios), "of bare COPY", target=0.8, goal=0.9, details=details),
        Figure(f"ingest_fresh rate {shape}", median(rates), "trades/s", target=100_000, details=seconds),
    ]


def _ours(home: Home, database: Database, path: Path) -> tuple[Spent, float, float, int]:
    with timed() as spent:
        accept, load, rows = take_in(home, database, path)
    return spent, accept, load, rows


def _theirs(database: Database, day: date, in_memory: Sequence[pa.RecordBatch]) -> tuple[Spent, float]:
    """The bare COPY with its encoding, and its seconds where the rows were encoded before."""
    with timed() as spent:
        baseline_copy.copy(database, in_memory)
    _empty(database, day)
    buffers = baseline_copy.encode(in_memory)
    with timed() as encoded:
        baseline_copy.copy_encoded(database, buffers)
    return spent, encoded.wall


def _overlapping(home: Home, database: Database, paths: Sequence[Path]) -> Figure:
    rates, loads, processors = [], [], []
    for path in paths:
        copied = _repacked(path)
        with timed() as spent:
            _, load, rows = take_in(home, database, copied)
        rates.append(rows / spent.wall)
        loads.append(load)
        processors.append(spent.processor)
    details = {"each": spread(rates), "load s": spread(loads), "processor s": spread(processors)}
    return Figure("ingest_overlap", median(rates), "rows/s", target=80_000, details=details)


def _bars(database: Database, days: Sequence[date]) -> Figure:
    seconds = []
    for day in days:
        begun = perf_counter()
        bars = sum(done.bars for done in refresh_bars(database, "1m", [day], whole_days=True))
        seconds.append(perf_counter() - begun)
    return Figure("bars_1m of a day", median(seconds), "s", details={"each": spread(seconds), "bars": bars})


def rows_in_memory(database: Database, path: Path) -> list[pa.RecordBatch]:
    """A file's trades as raw_trades holds them, in memory, in the batches of a loader."""
    with database.connect(Role.OWNER, autocommit=True) as connection:
        names = [column.name for column in connection.execute("select * from raw_trades limit 0").description or ()]
    source = Source(path, path.name, None, None)
    facts = registry.get(FORMAT).inspect(source)
    now = datetime.now(UTC)
    table = pa.Table.from_batches([batch.rows for batch in registry.get(FORMAT).parse(source, facts)])
    constants = {
        "space": pa.scalar("trade_id"),
        "time_source": pa.scalar("venue"),
        "available_at": pa.scalar(now, pa.timestamp("us", "UTC")),
        "available_basis": pa.scalar("modelled"),
        "known_at": pa.scalar(now, pa.timestamp("us", "UTC")),
        "batch_id": pa.scalar(1, pa.int64()),
    }
    columns = {name: pa.repeat(constants[name], len(table)) if name in constants else table.column(name).combine_chunks() for name in names}
    return pa.table(columns).combine_chunks().to_batches(max_chunksize=_BASELINE_ROWS)


def _empty(database: Database, day: date) -> None:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        is_hypertable = engine_of(connection) == "timescaledb"
        connection.execute(f"truncate {baseline_copy.TABLE}{'' if is_hypertable else f'_{day:%Y%m%d}'}")


def first_lines(path: Path, lines: int) -> Path:
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as inside:
        text = b"".join(inside.readline() for _ in range(lines))
    short = path.with_suffix(".csv")
    short.write_bytes(text)
    return short


def unpacked(path: Path) -> Path:
    """The file that is in a zip, beside it."""
    with zipfile.ZipFile(path) as archive:
        return Path(archive.extract(archive.namelist()[0], path.parent))


def _repacked(path: Path) -> Path:
    """The same trades under another name, in other bytes."""
    copied = path.with_name(f"{path.stem}-copy.zip")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copied, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as other:
        other.writestr(f"{copied.stem}.csv", archive.read(archive.namelist()[0]))
    return copied
