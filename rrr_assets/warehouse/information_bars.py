"""Bars by what was traded, kept in step with the trades and with the rules by which they are cut.

Belongs here: one day's transaction of one kind, declaring rules, looking at a day. Does not: what a rule cuts (calc/information_bars
says it plainly, sql/queries/information_bars_refresh.sql does it), which days are refreshed when (bars/).
A day of an instrument is made whole, because one late trade moves every cut after it; what comes out the same is not written.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg import sql

from rrr_assets.calc.columnar import as_csv
from rrr_assets.calc.information_bars import Rule
from rrr_assets.calc.outcomes import DayRefreshed, PermanentFailure, RawTradesGone, RuleResult
from rrr_assets.contracts.information_bars import FOLLOWED, INFORMATION_BARS
from rrr_assets.warehouse.books import Connection, draw_stamp, enter, lock_days, log_invalidations
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.contract_checks import ask_contract, one_view, results_of
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.refresh import TICKS, changed_since, note_applied, read_pending
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tiers import BringBack, brought_back, require_here, share, thaw

if TYPE_CHECKING:
    import pyarrow as pa

_ONE_DAY: Final = timedelta(days=1)
_ONE_MICROSECOND: Final = timedelta(microseconds=1)
_NO_LOOPS: Final = "set local enable_nestloop = off; set local jit = off"
"""Of a table that was filled just now the planner knows nothing, and would look through all that changed, or all trades, once per bar. To
older servers a cross join then looks so costly that they would compile the statement first."""
RULES_LOCK: Final = "bar_rules"
_TRADES_IN: Final[dict[str, LiteralString]] = {"trades": "1", "agg_trades": "(r.last_trade_id - r.first_trade_id + 1)"}
"""How many trades a row of each stream is that bars can be made from."""


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """What declaring rules did: the days, and instruments times days, whose bars are behind their rules from then on."""

    days: tuple[date, ...]
    instrument_days: int


def refresh_information_bars(
    database: Database, kind: str, days: Sequence[date], *, whole_days: bool, instruments: Sequence[str] | None = None,
    bring_back: BringBack | None = None,
) -> Iterator[DayRefreshed]:  # fmt: skip
    """Refresh the bars of one kind by the rules that hold, one transaction a day, yielding as each commits.

    Args:
        database: whose bars; entered as the writer.
        kind: 'tick', 'volume' or 'dollar'.
        days: UTC days.
        whole_days: make the days of all instruments; otherwise only of those whose trades or rules have changed by the log.
        instruments: only these; None for all.
        bring_back: brings bars back that were dropped and are to change; without it that is refused.

    Raises:
        RawTradesGone: as `refresh.refresh_bars` raises it, at the end.
        DayDropped: bars of that time are in the archive alone.
        PermanentFailure: a rule is too fine for what was traded.
    """
    gone: list[RawTradesGone] = []
    with database.kept(Role.WRITER) as connection:
        for day in days:

            def work(day: date = day) -> tuple[DayRefreshed, list[str]]:
                with connection.transaction():
                    told = _refresh_day(connection, kind, day, whole_days, instruments)
                    reach("information_bars.before_commit")
                return told

            done, dropped = brought_back(bring_back, work)
            gone += [RawTradesGone(name, day) for name in dropped]
            if not dropped:
                yield done
    if gone:
        for another in gone[1:]:
            gone[0].add_note(str(another))
        raise gone[0]


def rules_in_force(connection: Connection, kinds: Iterable[str], instruments: Iterable[str]) -> dict[tuple[str, str], tuple[Rule, ...]]:
    """The rules that hold, by instrument and kind; without an entry where there is none."""
    found: dict[tuple[str, str], list[Rule]] = defaultdict(list)
    values = {"kinds": list(kinds), "instruments": list(instruments)}
    for name, kind, _, threshold in connection.execute(query("information_bars_rules"), values).fetchall():
        found[name, kind].append(Rule(kind, threshold))
    return {place: tuple(rules) for place, rules in found.items()}


def set_rules(database: Database, scope: str, kinds: Sequence[str], rules: Sequence[Rule]) -> RulesChanged:
    """Let a scope have these rules of some kinds, and no others of them: what is not named is withdrawn, what holds is left.

    The days of the instruments whose rules change by that are entered in the invalidation log, so that whatever refreshes
    what has changed makes their bars again.

    Args:
        database: whose rules; entered as the writer.
        scope: '*', 'venue:*', or an instrument's name.
        kinds: The kinds that are set.
        rules: Of these kinds; a kind without any is left to the wider scopes.
    """
    values = {"scope": scope, "kinds": list(kinds), "rules": [rule.name for rule in rules]}
    with database.connect(Role.WRITER) as connection:
        enter(connection)
        # One at a time, and no refresh meanwhile: the log's numbers are in the order of commits, and a day that is not in the
        # coverage yet is made by the new rules.
        connection.execute(query("lock_names"), {"names": [RULES_LOCK]})
        listed = connection.execute("select distinct instrument from coverage order by instrument").fetchall()
        names = [name for (name,) in listed]
        before = rules_in_force(connection, kinds, names)
        stamp = draw_stamp(connection)
        connection.execute(query("bar_rules_withdraw"), {**values, "known_at": stamp})
        declared = {"kinds": [rule.kind for rule in rules], "thresholds": [rule.threshold for rule in rules]}
        connection.execute(query("bar_rules_declare"), {**values, **declared, "known_at": stamp})
        after = rules_in_force(connection, kinds, names)
        days: list[date] = []
        for kind in kinds:
            moved = [name for name in names if before.get((name, kind)) != after.get((name, kind))]
            logged = connection.execute(query("bar_rules_log"), {"relation": f"bar_rules_{kind}", "instruments": moved}).fetchall()
            days += [day for (day,) in logged]
    return RulesChanged(tuple(sorted(set(days))), len(days))


def check_day(database: Database, kind: str, day: date) -> list[RuleResult]:
    """Look at a day's bars of one kind by all their rules; one result per rule of the query, and one per kind of the contract's.

    Raises:
        RelationGone: a table that is looked at was dropped.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    statement = sql.SQL(query("check_information_bars")).format(bars=sql.Identifier(f"bars_{kind}"))
    with database.kept(Role.WRITER) as connection, one_view(connection):
        counts = ask_contract(connection, INFORMATION_BARS[kind], start, start + _ONE_DAY)
        connection.execute(_NO_LOOPS)
        holding = rules_in_force(connection, [kind], [name for name, *_ in _held(connection, day)])
        pairs = [(name, rule.name) for (name, _), rules in holding.items() for rule in rules]
        values = {"kind": kind, "day": day, "from_time": start, "to_time": start + _ONE_DAY}
        named = {"instruments": [name for name, _ in pairs], "rules": [rule for _, rule in pairs]}
        rows = connection.execute(statement, {**values, **named}).fetchall()
    told = [RuleResult(rule, is_blocking, broken, looked_at, tuple(examples)) for rule, is_blocking, broken, looked_at, examples in rows]
    return [*told, *results_of(counts)]


def _refresh_day(
    connection: Connection, kind: str, day: date, whole_days: bool, instruments: Sequence[str] | None
) -> tuple[DayRefreshed, list[str]]:
    """The transaction of a day; also the instruments that were left because their trades were dropped."""
    consumer = f"bars_{kind}"
    enter(connection)
    share(connection, (*TICKS, consumer), [day])
    names = [name for name, *_ in _held(connection, day) if instruments is None or name in instruments]
    lock_days(connection, consumer, names, [day])
    # Rules stay as they are until the day is done; `lock_names` takes the same lock for itself alone.
    keep_rules(connection)
    pending = read_pending(connection, consumer, FOLLOWED[consumer], _ONE_DAY, day, names, [])
    rules = rules_in_force(connection, [kind], names)
    to_do = set(names if whole_days else pending)
    connection.execute(_NO_LOOPS)
    if any(name in pending or (name in to_do and not is_dropped) for name, *_, is_dropped in _held(connection, day)):
        thaw(connection, require_here(connection, [consumer], [day]))
    dropped: list[str] = []
    changed = windows = 0
    held = _held(connection, day)
    gone = [name for name, *_, is_dropped in held if is_dropped and name in pending]
    beyond = changed_since(connection, consumer, FOLLOWED[consumer], day, gone)
    for name, stream, space, is_dropped in held:
        if name not in to_do:
            continue
        if name in beyond and rules.get((name, kind)):
            dropped.append(name)
            continue
        if is_dropped and name not in pending:
            continue
        if is_dropped:
            # As long as no trade comes or goes, bars stay as they were cut, but for what the coverage says of them.
            spans = _mark_complete(connection, kind, name, stream, day)
        else:
            spans = _refresh_instrument(connection, kind, name, stream, space, day, rules.get((name, kind), ()))
        windows += 1
        changed += len(spans)
        if spans:
            until = max(through for _, through in spans) + _ONE_MICROSECOND
            log_invalidations(connection, consumer, [(name, day, min(start for start, _ in spans), until)], "refresh", None)
    note_applied(connection, consumer, day, {name: found for name, found in pending.items() if name not in dropped})
    count = sql.SQL("select count(*) from {} where instrument = any(%s) and day = %s").format(sql.Identifier(consumer))
    row = connection.execute(count, ([name for name, *_ in _held(connection, day)], day)).fetchone()
    told = DayRefreshed(day=day, interval=kind, bars=row[0] if row else 0, changed=changed, windows=windows)
    return told, dropped


def keep_rules(connection: Connection) -> None:
    """Keep all rules as they are until the transaction ends. Before any other lock, where several are taken."""
    connection.execute("select pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", (RULES_LOCK,))


def store_made(connection: Connection, kind: str, day: date, made: "Mapping[str, pa.Table]") -> int:
    """Store the bars of one kind that were made elsewhere of all trades of some instruments' day, in a transaction of the caller's.

    Args:
        connection: the transaction. The caller has entered the books, and keeps the rules by which the bars were made.
        kind: of the bars.
        day: UTC day.
        made: by instrument its bars of all rules of the kind, in the schema of `calc.information_columnar`.

    Returns:
        How many bars were stored.

    Raises:
        DayDropped: bars of that time are in the archive alone.
    """
    consumer = f"bars_{kind}"
    share(connection, (*TICKS, consumer), [day])
    names = sorted(made)
    lock_days(connection, consumer, names, [day])
    known_at = draw_stamp(connection)
    pending = read_pending(connection, consumer, FOLLOWED[consumer], _ONE_DAY, day, names, [])
    thaw(connection, require_here(connection, [consumer], [day]))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    stored = 0
    connection.execute(query("information_bars_make_fresh"))
    for name in names:
        values = {"instrument": name, "day": day, "from_time": start, "to_time": start + _ONE_DAY, "known_at": known_at}
        clear = sql.SQL(query("information_bars_clear")).format(target=sql.Identifier(consumer))
        spans = connection.execute(clear, values).fetchall()
        bars = made[name]
        if len(bars):
            connection.execute("truncate fresh_information_bars")
            columns = sql.SQL(", ").join(map(sql.Identifier, bars.column_names))
            statement = sql.SQL("copy fresh_information_bars ({}) from stdin (format csv, header)").format(columns)
            with connection.cursor().copy(statement) as copy:
                copy.write(as_csv(bars))
            store = sql.SQL(query("information_bars_store")).format(target=sql.Identifier(consumer))
            spans += connection.execute(store, values).fetchall()
            stored += len(bars)
        if spans:
            until = max(through for _, through in spans) + _ONE_MICROSECOND
            log_invalidations(connection, consumer, [(name, day, min(start for start, _ in spans), until)], "refresh", None)
    note_applied(connection, consumer, day, pending)
    return stored


def _mark_complete(connection: Connection, kind: str, name: str, stream: str, day: date) -> list[tuple[datetime, datetime]]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    values = {"instrument": name, "stream": stream, "day": day, "from_time": start, "to_time": start + _ONE_DAY}
    mark = sql.SQL(query("information_bars_mark_complete")).format(target=sql.Identifier(f"bars_{kind}"))
    return connection.execute(mark, values).fetchall()


def _refresh_instrument(
    connection: Connection,
    kind: str,
    name: str,
    stream: str,
    space: str | None,
    day: date,
    rules: Sequence[Rule],
) -> list[tuple[datetime, datetime]]:
    """Make an instrument's day again and write what differs; the times that the bars which changed span or spanned."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    values: Mapping[str, object] = {
        "instrument": name, "stream": stream, "space": space, "day": day, "from_time": start, "to_time": start + _ONE_DAY, "kind": kind,
        "rules": [rule.name for rule in rules], "thresholds": [rule.threshold for rule in rules],
    }  # fmt: skip
    if not rules:
        # Nothing is cut: the trades need not be looked at.
        clear = sql.SQL(query("information_bars_clear")).format(target=sql.Identifier(f"bars_{kind}"))
        return connection.execute(clear, values).fetchall()
    statement = sql.SQL(query("information_bars_refresh")).format(
        target=sql.Identifier(f"bars_{kind}"), ticks=sql.Identifier(f"raw_{stream}"), number=sql.SQL(_TRADES_IN[stream])
    )
    try:
        return connection.execute(statement, values).fetchall()
    except psycopg.errors.NumericValueOutOfRange as error:
        finest = min(rules, key=lambda rule: rule.threshold, default=Rule(kind, Decimal(0)))
        raise PermanentFailure(
            f"{finest.name} is too fine for {name} on {day}: its bars have no number ({error.diag.message_primary}). "
            f"Give it a larger threshold with `rrr bar-rules set`"
        ) from error


def _held(connection: Connection, day: date) -> list[tuple[str, str, str | None, bool]]:
    """Name, stream, identity space and whether it was dropped, of each instrument of which there is what its bars are made from."""
    return connection.execute(query("refresh_sources"), {"day": day, "instruments": None}).fetchall()
