"""Partitions on their way out: from hot to warm, from the database into the archive alone, and at the end of their time from there.

Belongs here: what is due by the contracts, what stands against it, and each move as one step that is whole or not there. Does not: who
may (resources/permission), the way back (restoring.py), proofs (proving.py).
A drop refuses unless all that it would lose is proven kept: it says which of the proof, the files, the rollups, the verdicts and the holds
stands against it. The database refuses once more by itself (sql/migrations/0022_kept.sql).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Final, Literal

import psycopg
from psycopg import sql

from rrr_assets.contracts.archive import ARCHIVED_GROUPS, Archived, ArchivedGroup
from rrr_assets.contracts.bars import BARS
from rrr_assets.contracts.information_bars import FOLLOWED
from rrr_assets.contracts.retention import Change
from rrr_assets.lake import files
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.proving import Connection, Proof, bars_hash, latest_proof, partition_mark, source_digest
from rrr_assets.lake.store import Store
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.features import FOLLOWED as FEATURES_FOLLOW
from rrr_assets.warehouse.refresh import SOURCES, TICKS, VERDICTS, VERDICTS_FOLLOW
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.tiers import Tier, lock_alone, lock_holds, log, tiers_of, write_tier

Move = Literal["warm", "drop", "drop_again", "delete"]

CHANGES: Final[dict[Move, Change]] = {"warm": "warm", "drop": "drop", "drop_again": "drop", "delete": "delete"}
"""What each move needs permission for."""

_FOLLOWING: Final[dict[str, tuple[str, ...]]] = {
    **{f"bars_{interval}": tuple(sorted({source, *TICKS})) for interval, source in SOURCES.items()},
    VERDICTS: tuple(VERDICTS_FOLLOW),
    **FOLLOWED,
}
"""What every rollup and ledger follows. What is made of a partition must reflect it before it is dropped."""

_WAIT: Final = "5s"
"""Who drops a partition shuts out those who read the table for a moment; it does not make them wait behind it for long."""


@dataclass(frozen=True, slots=True)
class Due:
    """A move that is due by the contracts on a UTC day. `refusals` says what stands against it, empty where nothing does.

    `rows` are those that its proofs name, where that was looked at.
    """

    group: str
    partition: date
    move: Move
    today: date
    refusals: tuple[str, ...] = ()
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """A move that was made, or refused: then `refusals` says why."""

    group: str
    partition: date
    move: Move
    rows: int
    size_bytes: int
    refusals: tuple[str, ...] = ()


class Refused(Exception):
    """A move that is due may not be made now; the reasons say why."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


def due(database: Database, today: date, groups: Sequence[str] | None = None) -> list[Due]:
    """The moves that are due, oldest partition first, without what stands against them.

    Args:
        database: whose partitions; entered as the writer.
        today: the UTC day by which partitions are old or young.
        groups: assets of the archive; None for all.
    """
    chosen = [group for name, group in ARCHIVED_GROUPS.items() if groups is None or name in groups]
    found: list[Due] = []
    with database.connect(Role.WRITER) as connection:
        for group in chosen:
            found += _due_of(connection, group, today)
    return sorted(found, key=lambda each: (each.partition, each.group))


def to_archive(database: Database, today: date) -> list[tuple[str, date]]:
    """(asset, partition) of what is older than the hot tier and in the database, but not in the archive as it is now; oldest first."""
    found: list[tuple[str, date]] = []
    with database.connect(Role.WRITER) as connection:
        for group in ARCHIVED_GROUPS.values():
            keep = group.tables[0].table.retention
            for partition, (tier, _, _) in _partitions(connection, group).items():
                if tier in {None, "warm"} and _is_past((today - group.tables[0].end_of(partition)).days, keep.hot_days):
                    is_proven = all(_is_fresh(connection, archived, partition) for archived in group.tables)
                    found += [] if is_proven else [(group.name, partition)]
    return sorted(found, key=lambda each: (each[1], each[0]))


def judged(database: Database, store: Store, moves: Sequence[Due]) -> Iterator[Due]:
    """Moves that are due with what stands against each, as of now: nothing is changed."""
    with database.connect(Role.WRITER, autocommit=True) as connection:
        for each in moves:
            with connection.transaction():
                proofs = [latest_proof(connection, table, each.partition) for table in ARCHIVED_GROUPS[each.group].tables]
                rows = sum(proof.digest.rows for proof in proofs if proof is not None) if any(proofs) else None
                yield replace(each, refusals=tuple(refusals(connection, store, each)), rows=rows)


def refusals(connection: Connection, store: Store, move: Due) -> list[str]:
    """What stands against a move, in words; empty where nothing does."""
    group = ARCHIVED_GROUPS[move.group]
    if move.move == "warm":
        return []
    found = _held(connection, group, move.partition)
    if move.move == "drop":
        for archived in group.tables:
            found += _unproven(connection, store, archived, move.partition)
        found += _lagging(connection, group, move.partition)
        found += _unexplained(connection, group, move.partition)
    if move.move == "drop_again":
        for archived in group.tables:
            proof = latest_proof(connection, archived, move.partition)
            found += [] if proof is None else _damaged(store, archived, proof)
        found += _lagging(connection, group, move.partition)
    return found


def make(database: Database, catalogue: Catalogue, move: Due, run_id: str | None = None) -> Moved:
    """Make one move, whole or not at all; what stands against it is in what is returned, and in the log.

    Raises:
        StoreUnreachable, OSError: the store did not answer; nothing was changed.
    """
    group = ARCHIVED_GROUPS[move.group]
    try:
        if move.move == "delete":
            return _delete(database, catalogue, group, move, run_id)
        return _in_database(database, catalogue.store, group, move, run_id)
    except Refused as refused:
        return _refused(database, group, move, refused.reasons, run_id)
    except psycopg.errors.ObjectNotInPrerequisiteState as guarded:
        # The database's own guard saw something that was not seen here.
        return _refused(database, group, move, [str(guarded.diag.message_primary)], run_id)
    except psycopg.errors.LockNotAvailable:
        return _refused(database, group, move, ["it is being written or read for long; it is tried again the next time"], run_id)


def _in_database(database: Database, store: Store, group: ArchivedGroup, move: Due, run_id: str | None) -> Moved:
    with database.connect(Role.WRITER) as connection:
        _prepare(connection, store, group, move)
        moved = _warm(connection, group, move, run_id) if move.move == "warm" else _drop(connection, group, move, run_id)
        reach("retire.before_commit")
    reach("retire.after_commit")
    return moved


def _prepare(connection: Connection, store: Store, group: ArchivedGroup, move: Due) -> None:
    """Have the partition alone, and see what stands against its move now.

    Raises:
        Refused: something does; or the move is due no more, because somebody moved, wrote or restored the partition since it was.
    """
    connection.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(_WAIT)))
    connection.execute("set local rrr.is_moving = 'on'")
    lock_holds(connection, alone=False)
    lock_alone(connection, [table.name for table in group.tables], move.partition)
    for archived in group.tables:
        if not archived.follows:
            # Nothing logs what is written there: nobody writes it between the look at it and the move.
            connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(sql.Identifier(archived.name)))
    if [each.move for each in _due_of(connection, group, move.today) if each.partition == move.partition] != [move.move]:
        raise Refused(["it is not due any more"])
    if against := refusals(connection, store, move):
        raise Refused(against)


def _due_of(connection: Connection, group: ArchivedGroup, today: date) -> list[Due]:
    first = group.tables[0]
    keep = first.table.retention
    now = datetime.combine(today, time(), UTC)
    found: dict[date, Due] = {}
    for partition, (tier, restored_until, restored) in _partitions(connection, group).items():
        age = (today - first.end_of(partition)).days
        is_kept = restored_until is not None and restored_until > now
        if (tier == "cold" and _is_past(age, keep.delete_after_days)) and not is_kept:
            found[partition] = Due(group.name, partition, "delete", today)
        elif tier == "cold" and restored and not is_kept:
            found[partition] = Due(group.name, partition, "drop_again", today)
        elif tier in {None, "warm"} and _is_past(age, keep.warm_days) and not is_kept:
            found[partition] = Due(group.name, partition, "drop", today)
        elif tier is None and _is_past(age, keep.hot_days):
            found[partition] = Due(group.name, partition, "warm", today)
    return list(found.values())


def _partitions(connection: Connection, group: ArchivedGroup) -> dict[date, tuple[str | None, datetime | None, int]]:
    """Every partition of a group: its tier, how long what came back is kept, and for how many instruments it did."""
    first = group.tables[0]
    relations = sorted({table.name for table in group.tables})
    values = {"relations": relations, "grains": [group.grain] * len(relations)}
    tiers: dict[date, tuple[str | None, datetime | None, int]] = {}
    for relation, partition, tier, restored_until, restored in connection.execute(query("retention_partitions"), values).fetchall():
        # All tables of a group move together; but each is thawed by itself, and then the group is as hot as that one.
        known = tiers.get(partition)
        if known is None or tier is None or (relation == first.name and known[0] is not None):
            tiers[partition] = (tier, restored_until, restored)
    for partition in _unlogged(connection, group):
        tiers.setdefault(partition, (None, None, 0))
    return tiers


def _is_fresh(connection: Connection, archived: Archived, partition: date) -> bool:
    """Whether a table's partition is proven as it is now; so is one without rows."""
    proof = latest_proof(connection, archived, partition)
    if proof is None:
        return not _has_rows(connection, archived, partition)
    if archived.follows:
        return proof.log_mark == partition_mark(connection, archived, partition)
    return source_digest(connection, archived, partition) == proof.digest


def _is_past(age: int, days: int | None) -> bool:
    return days is not None and age >= days


def _unlogged(connection: Connection, group: ArchivedGroup) -> list[date]:
    """The months of a table whose changes nothing logs."""
    first = group.tables[0]
    if first.follows:
        return []
    column = sql.Identifier(str(first.table.time_column))
    statement = sql.SQL("select distinct date_trunc('month', {} at time zone 'UTC')::date from {}").format(
        column, sql.Identifier(first.name)
    )
    return [month for (month,) in connection.execute(statement).fetchall()]


def _held(connection: Connection, group: ArchivedGroup, partition: date) -> list[str]:
    values = {"relations": [table.name for table in group.tables], "from_day": partition, "to_day": group.tables[0].end_of(partition)}
    return [f"the hold {name} covers it" for (name,) in connection.execute(query("retention_holds"), values).fetchall()]


def _unproven(connection: Connection, store: Store, archived: Archived, partition: date) -> list[str]:
    """What is wrong with the proof of a table's partition, or with the files that it names."""
    proof = latest_proof(connection, archived, partition)
    if proof is None:
        return [f"there is no proof of {archived.name}"] if _has_rows(connection, archived, partition) else []
    if archived.follows and proof.log_mark != partition_mark(connection, archived, partition):
        return [f"the proof of {archived.name} is stale: it changed since {proof.known_at:%Y-%m-%d %H:%M} UTC"]
    if not archived.follows and source_digest(connection, archived, partition) != proof.digest:
        return [f"the proof of {archived.name} is stale: its rows are others since {proof.known_at:%Y-%m-%d %H:%M} UTC"]
    return _damaged(store, archived, proof) + _other_bars(connection, archived, partition, proof)


def _damaged(store: Store, archived: Archived, proof: Proof) -> list[str]:
    found = []
    for file in proof.files:
        try:
            is_same = store.size(file.url) == file.size_bytes and files.sha256(store, file.url) == file.sha256
        except FileNotFoundError:
            found.append(f"the file of {archived.name} is gone from the store: {file.url}")
            continue
        if not is_same:
            found.append(f"the file of {archived.name} is not what was proven: {file.url}")
    return found


def _other_bars(connection: Connection, archived: Archived, partition: date, proof: Proof) -> list[str]:
    """Whether the bars that are stored are those that the archived trades make, where all of that day are made of trades."""
    if proof.bars is None:
        return []
    stored = bars_hash(connection, partition)
    if stored is None or stored == proof.bars:
        return []
    return [f"the bars that are stored are not those that the archived {archived.stream} make"]


def _lagging(connection: Connection, group: ArchivedGroup, partition: date) -> list[str]:
    """Rollups and ledgers that follow the tables, or what is made of them, and do not reflect all that changed."""
    concerned = {relation for table in group.tables for relation in (table.name, *table.follows)}
    pairs = [(consumer, relation) for consumer, followed in _FOLLOWING.items() for relation in followed]
    reached, before = set(concerned), set[str]()
    while reached != before:
        before = set(reached)
        reached |= {consumer for consumer, relation in pairs if relation in before}
    pairs = [(consumer, relation) for consumer, relation in pairs if consumer in reached]
    # Features are made of what is in the archive as well: they hold up nobody's leaving but their own.
    pairs += [(consumer, relation) for consumer, followed in FEATURES_FOLLOW.items() if consumer in concerned for relation in followed]
    values = {
        "consumers": [consumer for consumer, _ in pairs],
        "relations": [relation for _, relation in pairs],
        "from_day": partition,
        "to_day": group.tables[0].end_of(partition),
    }
    return [f"{consumer} is not refreshed" for (consumer,) in connection.execute(query("retention_lagging"), values).fetchall()]


def _unexplained(connection: Connection, group: ArchivedGroup, partition: date) -> list[str]:
    if not {table.name for table in group.tables} & {*TICKS, "venue_bars", *(table.name for table in BARS.values())}:
        return []
    start, end = _span(group.tables[0], partition)
    ((count,),) = connection.execute(query("retention_unexplained"), {"from_time": start, "to_time": end}).fetchall()
    return [f"{count} bars of it differ from the venue's, unexplained"] if count else []


def _has_rows(connection: Connection, archived: Archived, partition: date) -> bool:
    column = sql.Identifier(str(archived.table.time_column))
    statement = sql.SQL("select 1 from {} where {} >= %s and {} < %s limit 1").format(sql.Identifier(archived.name), column, column)
    return connection.execute(statement, _span(archived, partition)).fetchone() is not None


def _warm(connection: Connection, group: ArchivedGroup, move: Due, run_id: str | None) -> Moved:
    rows = size = 0
    for archived in group.tables:
        count = _count(connection, archived, move.partition)
        taken = _taken(connection, archived, move.partition, count)
        connection.execute("select warm_partition(%s, %s, %s)", (archived.name, move.partition, archived.end_of(move.partition)))
        write_tier(connection, Tier(archived.name, move.partition, "warm", count, taken))
        log(connection, "warm", archived.name, move.partition, row_count=count, size_bytes=taken, run_id=run_id)
        rows, size = rows + count, size + taken
    return Moved(move.group, move.partition, move.move, rows, size)


def _drop(connection: Connection, group: ArchivedGroup, move: Due, run_id: str | None) -> Moved:
    rows = size = 0
    tiers = {tier.relation: tier for tier in tiers_of(connection, [(table.name, move.partition) for table in group.tables])}
    for archived in group.tables:
        proof = latest_proof(connection, archived, move.partition)
        before = tiers.get(archived.name)
        # What it took while it was hot, where that is known.
        taken = before.size_bytes if before is not None else None
        if taken is None:
            taken = _taken(connection, archived, move.partition, 0 if proof is None else proof.digest.rows)
        ((removed,),) = connection.execute(
            "select remove_partition(%s, %s, %s)", (archived.name, move.partition, archived.end_of(move.partition))
        ).fetchall()
        count, number = (0, None) if proof is None else (proof.digest.rows, proof.proof_id)
        write_tier(connection, Tier(archived.name, move.partition, "cold", count, taken, number))
        log(connection, "drop", archived.name, move.partition, row_count=removed, size_bytes=taken, proof_id=number, run_id=run_id)
        reach("retire.removed")
        rows, size = rows + removed, size + taken
    _uncover(connection, group, move.partition)
    return Moved(move.group, move.partition, move.move, rows, size)


def _uncover(connection: Connection, group: ArchivedGroup, partition: date) -> None:
    """Say of a day's ticks that they are not in the database."""
    first = group.tables[0]
    if first.stream is not None and first.is_packed:
        connection.execute(query("tiers_coverage"), {"stream": first.stream, "day": partition, "instruments": None, "is_dropped": True})


def _delete(database: Database, catalogue: Catalogue, group: ArchivedGroup, move: Due, run_id: str | None) -> Moved:
    """Take a partition out of the catalogue, then out of the books; its files go when nothing needs them any more."""
    rows = size = 0
    with database.connect(Role.WRITER) as connection:
        _prepare(connection, catalogue.store, group, move)
        tiers = {tier.relation: tier for tier in tiers_of(connection, [(table.name, move.partition) for table in group.tables])}
        for archived in group.tables:
            proof = latest_proof(connection, archived, move.partition)
            if catalogue.exists(archived) and catalogue.files(archived, move.partition):
                catalogue.exchange(archived, move.partition, [], {"rrr.deleted-by": "retention"})
            reach("retire.deleted")
            before = tiers[archived.name]
            if before.restored:
                connection.execute("select remove_partition(%s, %s, %s)", (archived.name, move.partition, archived.end_of(move.partition)))
            write_tier(connection, Tier(archived.name, move.partition, "deleted", before.row_count, before.size_bytes, before.proof_id))
            taken = 0 if proof is None else proof.size_bytes
            log(
                connection, "delete", archived.name, move.partition, row_count=before.row_count, size_bytes=taken, proof_id=before.proof_id,
                run_id=run_id,
            )  # fmt: skip
            rows, size = rows + before.row_count, size + taken
        _uncover(connection, group, move.partition)
        reach("retire.before_commit")
    reach("retire.after_commit")
    return Moved(move.group, move.partition, move.move, rows, size)


def _refused(database: Database, group: ArchivedGroup, move: Due, reasons: Sequence[str], run_id: str | None) -> Moved:
    """Enter a refusal in the log, unless the same one is the last word on the partition."""
    place = {"relation": group.tables[0].name, "partition_start": move.partition}
    with database.connect(Role.WRITER) as connection:
        row = connection.execute(query("retention_last_refusal"), place).fetchone()
        if row is None or row[0] != list(reasons):
            log(connection, "refuse", group.tables[0].name, move.partition, reasons=reasons, detail={"move": move.move}, run_id=run_id)
    return Moved(move.group, move.partition, move.move, 0, 0, tuple(reasons))


def _count(connection: Connection, archived: Archived, partition: date) -> int:
    column = sql.Identifier(str(archived.table.time_column))
    statement = sql.SQL("select count(*) from {} where {} >= %s and {} < %s").format(sql.Identifier(archived.name), column, column)
    ((count,),) = connection.execute(statement, _span(archived, partition)).fetchall()
    return int(count)


def _taken(connection: Connection, archived: Archived, partition: date, rows: int) -> int:
    values = (archived.name, partition, archived.end_of(partition), rows)
    ((taken,),) = connection.execute("select partition_bytes(%s, %s, %s, %s)", values).fetchall()
    return int(taken)


def _span(archived: Archived, partition: date) -> tuple[datetime, datetime]:
    return datetime.combine(partition, time(), UTC), datetime.combine(archived.end_of(partition), time(), UTC)
