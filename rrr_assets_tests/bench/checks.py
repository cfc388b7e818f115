"""The fast checks of a day of trades against one bare pass over the same rows."""

from datetime import UTC, date, datetime, timedelta
from time import perf_counter

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.contract_checks import ask_contract, one_view
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.inspection import check
from rrr_assets_tests.bench.figures import Figure, median, spread
from rrr_assets_tests.bench.ingest import simulated_days, take_in

_TIMES = 9
# What the rules look at, summed up the cheapest way: once over all rows, and once by instrument, which is what the ledger is held by.
_COLUMNS = "count(*), sum(price), sum(size), min(sequence), max(sequence), min(event_time), max(available_at), max(side), max(space)"
_BARE = f"select {_COLUMNS} from raw_trades where event_time >= %s and event_time < %s"  # noqa: S608  # written here
_BARE_BY_INSTRUMENT = f"{_BARE} group by instrument, space"


def measure(home: Home, rows: int) -> list[Figure]:
    """A simulated day of so many trades: as it was just loaded, and after the server's own upkeep came by."""
    database = Database.current()
    [(day, path)] = simulated_days(home.root / "bench-files", 1, rows).items()
    take_in(home, database, path)
    fresh = _pairs(database, day, rows)
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("vacuum analyze")
    settled = _pairs(database, day, rows)
    whole = _whole_contract(database, day)
    figures = []
    for name, (checks, bare, by_instrument) in (("just loaded", fresh), ("settled", settled)):
        over = [ours / theirs for ours, theirs in zip(checks, bare, strict=True)]
        details = {"checks s": spread(checks), "bare s": spread(bare), "bare by instrument s": spread(by_instrument), "rows": rows}
        figures += [
            Figure(f"checks of a day, {name}", median(checks), "s", target=1.0, goal=0.1, is_at_most=True, details=details),
            Figure(f"checks over a bare pass, {name}", median(over), "x", target=2.0, is_at_most=True, details={"each": spread(over)}),
        ]
    figures.append(Figure("every rule of the contract, all rows read", median(whole), "s", details={"each": spread(whole)}))
    return figures


def _pairs(database: Database, day: date, rows: int) -> tuple[list[float], list[float], list[float]]:
    """In turns, so that what else the machine does meets all of them; the first of each only warms up."""
    taken: tuple[list[float], list[float], list[float]] = ([], [], [])
    bounds = (day, day + timedelta(days=1))
    for number in range(_TIMES + 1):
        begun = perf_counter()
        results = check(database, "raw_trades", day)
        checked = perf_counter()
        _require(results, rows)
        with database.kept(Role.WRITER) as connection:
            started = perf_counter()
            connection.execute(_BARE, bounds).fetchall()
            between = perf_counter()
            connection.execute(_BARE_BY_INSTRUMENT, bounds).fetchall()
            ended = perf_counter()
        if number:
            for kept, seconds in zip(taken, (checked - begun, between - started, ended - between), strict=True):
                kept.append(seconds)
    return taken


def _whole_contract(database: Database, day: date) -> list[float]:
    """As daily, with what no constraint holds: that every number is finite, and the keys and the order in SQL of their own."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    taken = []
    for _ in range(3):
        begun = perf_counter()
        with database.kept(Role.WRITER) as connection, one_view(connection):
            ask_contract(connection, TABLES["raw_trades"], start, start + timedelta(days=1))
        taken.append(perf_counter() - begun)
    return taken


def _require(results: list[RuleResult], rows: int) -> None:
    """A check that looked at nothing would be fast."""
    if any(result.broken for result in results) or max(result.looked_at for result in results) != rows:
        raise RuntimeError(f"the day does not check out: {results}")
