"""Values online: bringing the newest rows there, and reading them with their age.

Belongs here: what is between the platform and Feast's online store. Does not: Feast's configuration (feast_config.py), what the stores
do with what is old (online_store.py). Feast is imported where it is used: that takes seconds.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from psycopg import sql

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.outcomes import PermanentFailure, RuleResult
from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.features import frame_of
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    import polars as pl
    from feast import FeatureStore

    from rrr_assets.warehouse.books import Connection

STORE_VARIABLE: Final = "RRR_ONLINE_STORE_URL"
SCHEMES: Final = ("redis", "rediss", "redis+cluster", "rediss+cluster")
STAMPS: Final = ("available_at", "known_at")
"""What is online beside the features: when the row could be used, and when the platform could first serve it, in whole seconds: the next
one, so that nothing is told to have been there before it was."""

_LOCK: Final = "rrr_assets online features"
_BASED: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RECENT: Final = timedelta(days=1)


class OnlineStoreRefused(PermanentFailure):
    """The variable names no online store that there is."""

    def __init__(self) -> None:
        """Say what it may name; never the address, which may hold a password."""
        super().__init__(
            f"{STORE_VARIABLE} names no online store. Set it to redis://user:password@host:port/0, to rediss:// with TLS, or to "
            "redis+cluster:// for a cluster; without it, values are in a file in the home"
        )


class OnlineStoreUnreachable(Exception):
    """The online store did not answer. It may pass: tried again after a wait."""

    def __init__(self, what: str) -> None:
        """Say what to do; never the address, which may hold a password."""
        super().__init__(
            f"the online store cannot be reached ({what}). See that the Redis that {STORE_VARIABLE} names is up and takes the password; "
            "without the variable, that the file in feast/ in the home can be read and written"
        )


@dataclass(frozen=True, slots=True)
class Brought:
    """What was brought online: how many instruments' rows, the oldest and the newest close among them, and what checking them found."""

    instruments: int
    oldest: datetime | None
    newest: datetime | None
    rules: tuple[RuleResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Vector:
    """An instrument's features as they are online.

    `event_time` is the close that they belong to and `age` how long ago that was, never less than 0; None where nothing of it is online.
    `available_at` and `known_at` (whole seconds, rounded up) say when the row could be used, and when the platform could first serve it. A
    vector that is older than was allowed has no values, but tells its age.
    """

    instrument: str
    event_time: datetime | None
    age: timedelta | None
    is_fresh: bool
    values: dict[str, float | None]
    available_at: datetime | None = None
    known_at: datetime | None = None

    def told(self) -> dict[str, Any]:
        """For machines: times in ISO 8601, the age in seconds."""
        return {
            "instrument": self.instrument,
            "event_time": _iso(self.event_time),
            "age_seconds": None if self.age is None else round(self.age.total_seconds(), 3),
            "is_fresh": self.is_fresh,
            "available_at": _iso(self.available_at),
            "known_at": _iso(self.known_at),
            "values": self.values,
        }


def newest_rows(connection: "Connection", until: datetime) -> "pl.DataFrame":
    """The newest row of features of each instrument, with when it could be used and since when it was known.

    Args:
        connection: a role that reads.
        until: UTC; by when it had closed and could be used.
    """
    columns = ["instrument", "event_time", *STAMPS, *FEATURES]
    parts = {"columns": sql.SQL(", ").join(sql.Identifier("f", name) for name in columns)}
    return frame_of(connection, sql.SQL(query("features_newest")).format(**parts), {"until": until}, columns)


def in_whole_seconds(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Rows with the stamps that they have online: Feast would cut off what is less than a second."""
    import polars as pl

    return rows.with_columns((pl.col(*STAMPS) + timedelta(microseconds=999_999)).dt.truncate("1s"))


def state(database: Database) -> str | None:
    """A word for what should be online: it changes when the newest row of an instrument is another one or was made again, when features
    are declared otherwise, and when values go to another store. None where no row is of the last day.
    """
    now = datetime.now(UTC)
    with database.kept(Role.ANALYST) as connection:
        [(rows,)] = connection.execute(query("features_newest_state"), {"since": now - _RECENT, "until": now}).fetchall()
    declared = " ".join(f"{feature.name}:{feature.version}" for feature in FEATURES.values())
    told = "\n".join((str(rows), declared, _place()))
    return None if rows is None else hashlib.sha256(told.encode()).hexdigest()[:40]


def materialize(store: "FeatureStore", until: datetime | None = None) -> Brought:
    """Bring the newest row of every instrument online; one that was made again takes the place of what is served of its minute.

    All of an instrument's values are of one row, which is written at once. Whoever brings rows waits for who brings others: what was
    read first is written first. An increment by time, as Feast has it, would miss rows that were made again.

    Args:
        store: of feast_config.
        until: UTC; by when a row had closed and could be used; default: this machine's clock, by which a minute that is open is not
            served as if it had closed. It never takes back a newer row that is online.

    Raises:
        OnlineStoreUnreachable: the store is down, or refuses us.
    """
    database = Database.current(store.config.offline_store.database)
    with database.connect(Role.WRITER) as connection, connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (_LOCK,))
        rows = newest_rows(connection, until or datetime.now(UTC))
        if len(rows):
            store.write_to_online_store(FEATURES_1M.name, in_whole_seconds(rows).to_pandas())
        rules = _held_against(store, rows)
    times: Any = rows["event_time"]
    return Brought(len(rows), times.min(), times.max(), rules)


def _held_against(store: "FeatureStore", rows: "pl.DataFrame") -> tuple[RuleResult, ...]:
    """Whether what is served is what was brought, and how much of it is too old to be served with values."""
    from rrr_assets.calc.features.asof import TTL
    from rrr_assets.features.online_store import reckoned_at

    now = datetime.now(UTC)
    brought = rows.rows(named=True)
    # Ages do not matter to the first rule: each value is looked at.
    then = min((row["event_time"] for row in brought), default=now)
    with reckoned_at(then, with_later=True):
        found = _read(store, rows["instrument"].to_list(), tuple(FEATURES), TTL, then) if brought else []
    differ = [
        vector.instrument
        for row, vector in zip(brought, found, strict=True)
        if vector.event_time is None or vector.event_time < row["event_time"]
        or (vector.event_time == row["event_time"] and any(vector.values[name] != row[name] for name in FEATURES))
    ]  # fmt: skip
    old = [f"{row['instrument']} closed at {row['event_time']:%Y-%m-%d %H:%M} UTC" for row in brought if now - row["event_time"] > TTL]
    told = [("what is served is what is stored", True, differ), ("a row is young enough to be served", False, old)]
    return tuple(
        RuleResult(rule, is_blocking=is_blocking, broken=len(broken), looked_at=len(brought), examples=tuple(broken[:5]))
        for rule, is_blocking, broken in told
    )


def _place() -> str:
    """Where the store is, without user and password."""
    address = urlsplit(os.environ.get(STORE_VARIABLE, ""))
    return f"{address.scheme} {address.netloc.rpartition('@')[2]} {address.path}"


def vectors(
    store: "FeatureStore",
    instruments: Sequence[str],
    names: Sequence[str] = tuple(FEATURES),
    *,
    max_age: timedelta,
    now: datetime | None = None,
) -> list[Vector]:
    """The features of some instruments as they are online, in the order asked for.

    Args:
        store: of feast_config.
        instruments: as in binance:BTCUSDT.
        names: of the features.
        max_age: beyond which age a vector's values are left out; beyond Feast's ttl they always are.
        now: UTC; at which moment they are asked for: ages are reckoned at it, and a row that closed or could be used only after it (in
            whole seconds, the next one) is not there. Default: this machine's clock; a row that it says has not closed yet has no age, 0.

    Raises:
        OnlineStoreUnreachable: the Redis is down, or refuses us.
    """
    from rrr_assets.features.online_store import reckoned_at

    if now is None:
        return _read(store, instruments, names, max_age, datetime.now(UTC))
    with reckoned_at(now):
        found = _read(store, instruments, names, max_age, now)
    nothing = dict.fromkeys(names)
    return [
        Vector(each.instrument, None, None, False, dict(nothing)) if each.available_at is not None and each.available_at > now else each
        for each in found
    ]


def _read(store: "FeatureStore", instruments: Sequence[str], names: Sequence[str], max_age: timedelta, at: datetime) -> list[Vector]:
    refs = [f"{FEATURES_1M.name}:{name}" for name in (*names, *STAMPS)]
    answer = store.get_online_features(features=refs, entity_rows=[{"instrument": name} for name in instruments])
    results: Any = answer.proto.results
    columns: Mapping[str, Any] = {name: results[place] for place, name in enumerate(answer.proto.metadata.feature_names.val)}
    first = columns[STAMPS[0]]
    found = []
    for row, instrument in enumerate(instruments):
        stamp = first.event_timestamps[row]
        event_time = stamp.ToDatetime(tzinfo=UTC) if stamp.seconds else None
        age = None if event_time is None else max(at - event_time, timedelta(0))
        is_fresh = age is not None and age <= max_age and first.values[row].HasField("unix_timestamp_val")
        values = {name: _number(columns[name].values[row]) if is_fresh else None for name in names}
        stamps = [_time(columns[name].values[row]) for name in STAMPS]
        found.append(Vector(instrument, event_time, age, is_fresh, values, *stamps))
    return found


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _number(value: Any) -> float | None:
    return float(value.double_val) if value.HasField("double_val") else None


def _time(value: Any) -> datetime | None:
    return _BASED + timedelta(seconds=value.unix_timestamp_val) if value.HasField("unix_timestamp_val") else None
