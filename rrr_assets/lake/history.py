"""History: a day of ticks that is older than the warm tier goes from its staged files straight into the archive, with its bars.

Belongs here: whether a day may go that way, and the way: the same books as the loader's (warehouse/load), the same proof as the archive's
(proving.py), in one transaction. Does not: the order of the rows in the file (heap.py), which days are taken in when (ticks/).
Nothing of such a day is ever in the row store. The file is written, read back and registered before the transaction commits that names
it, and with which the day is there: whatever dies on the way leaves a file that nothing names, or a snapshot that the next attempt
replaces, and books without a word of it.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from time import perf_counter
from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from rrr_assets.calc.information_bars import Rule
from rrr_assets.calc.information_columnar import InformationBars
from rrr_assets.calc.outcomes import DayLoaded, NoSpaceLeft, PermanentFailure, RuleResult
from rrr_assets.contracts.archive import ARCHIVED, Archived
from rrr_assets.contracts.history import HISTORY_TO, Destination
from rrr_assets.contracts.information_bars import INFORMATION_BARS
from rrr_assets.lake import files
from rrr_assets.lake.catalogue import Catalogue
from rrr_assets.lake.heap import Heap, LakeShelf
from rrr_assets.lake.proving import (
    BarsMade,
    Connection,
    Kept,
    Proof,
    ProofFailed,
    latest_proof,
    partition_mark,
    register,
    write_proof,
    write_proven,
)
from rrr_assets.lake.stages import Stages
from rrr_assets.warehouse.books import enter, lock_days
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.information_bars import keep_rules, rules_in_force, store_made
from rrr_assets.warehouse.intake import RawText, still_waiting
from rrr_assets.warehouse.load import DayLoad, NotApart
from rrr_assets.warehouse.refresh import refresh_all
from rrr_assets.warehouse.sqlfiles import query
from rrr_assets.warehouse.staging import StagedFile, one_ahead
from rrr_assets.warehouse.tick_tables import TICK_TABLES, TickTable
from rrr_assets.warehouse.tiers import BringBack, Tier, brought_back, lock_alone, share, tiers_of, write_tier

_ONE_DAY: Final = timedelta(days=1)


class ArchiveDamaged(PermanentFailure):
    """A file of the archive is not what was proven: nothing is added to its partition."""


class NotStraight(Exception):
    """A day goes through the database; the message says why."""


@dataclass(frozen=True, slots=True)
class WentStraight:
    """A day that went straight into the archive.

    `proof` is None where no row came of it, `stages` are seconds, of which some were spent beside each other; `rules` are those of the
    rows themselves, looked at on their way.
    """

    loaded: DayLoaded
    proof: Proof | None
    stages: Mapping[str, float]
    rules: tuple[RuleResult, ...] = ()


def destination(said: str | None = None) -> Destination:
    """Where history goes: as is said, or else as RRR_HISTORY_TO says.

    Raises:
        PermanentFailure: there is no such destination.
    """
    name = said or os.environ.get(HISTORY_TO) or Destination.auto
    try:
        return Destination(name)
    except ValueError as error:
        raise PermanentFailure(f"{HISTORY_TO} {name} is none of {', '.join(Destination)}. Set it so") from error


def is_history(stream: str, day: date, to: Destination, today: date | None = None) -> bool:
    """Whether a day of a stream is to go straight into the archive, where it can: it is older than the warm tier, or that was said."""
    if stream not in TICK_TABLES or to is Destination.database:
        return False
    warm_days = TICK_TABLES[stream].table.retention.warm_days
    today = datetime.now(UTC).date() if today is None else today
    return to is Destination.archive or (warm_days is not None and day < today - timedelta(days=warm_days))


def take_in(
    database: Database, catalogue: Catalogue, day: date, waiting: Sequence[StagedFile], run_id: str | None, raw_text: RawText,
    bring_back: BringBack | None = None,
) -> WentStraight:  # fmt: skip
    """Take one day's ticks of some files straight into the archive, in one transaction.

    Args:
        database: whose books; entered as the writer.
        catalogue: where the rows go.
        day: UTC day; only the files' rows of that day are looked at.
        waiting: staged files of one stream, in the order in which they count when they disagree.
        run_id: the Dagster run, for the batches and the proof.
        raw_text: reads raw lines of a landed file.
        bring_back: brings bars of that month back that were dropped and are to change; without it that is refused.

    Raises:
        NotStraight: the day has to go through the database; nothing of it was stored.
        ArchiveDamaged: what the archive holds of the day already is not what was proven.
        ProofFailed: what was read back differs from what was written.
        NoSpaceLeft: the database's disk is full.
        DayDropped: bars of that month are in the archive alone.
    """
    begun = perf_counter()

    def work() -> WentStraight:
        try:
            with database.kept(Role.WRITER) as connection, connection.transaction():
                connection.execute("set local synchronous_commit = on")
                done = _Straight(connection, catalogue, day, run_id, raw_text).take_in(waiting)
                reach("history.before_commit")
        except psycopg.errors.DiskFull as error:
            raise NoSpaceLeft(
                f"the database's disk is full: nothing of {day} was stored. Free space and materialise the day again"
            ) from error
        except (NotApart, OverflowError) as error:
            raise NotStraight(str(error)) from error
        reach("history.after_commit")
        return done

    done = brought_back(bring_back, work)
    return replace(done, loaded=replace(done.loaded, seconds=perf_counter() - begun))


class _Straight:
    """The transaction of one stream's day."""

    def __init__(self, connection: Connection, catalogue: Catalogue, day: date, run_id: str | None, raw_text: RawText) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._day = day
        self._run_id = run_id
        self._raw_text = raw_text
        self._stages = Stages()
        self._rules: dict[tuple[str, str], tuple[Rule, ...]] = {}

    def take_in(self, waiting: Sequence[StagedFile]) -> WentStraight:
        """Write the rows, prove them, make their bars, and enter all of it in the books."""
        if any(file.stream == "corrections" for file in waiting):
            raise NotStraight("corrections change what is held, and that is done in the database")
        kind = TICK_TABLES[waiting[0].stream]
        archived = ARCHIVED[kind.name]
        self._lock(kind, archived)
        claimed = still_waiting(self._connection, self._day, waiting)
        if not claimed:
            # Another run took them in meanwhile.
            return WentStraight(DayLoaded(day=self._day, files=(), known_at=None, seconds=0.0), None, {})
        before = self._held(kind, archived, claimed)
        with Heap(archived, self._catalogue.store, self._day, before) as heap:
            shelf = LakeShelf(self._connection, kind, heap, self._stages)
            with self._stages.spent("look"):
                loaded = DayLoad(kind, self._connection, self._day, self._run_id, self._raw_text, shelf=shelf).load(claimed)
            if not shelf.rows or loaded.known_at is None:
                return WentStraight(loaded, None, self._stages.seconds)
            uncounted: dict[str, list[str]] = dict(self._connection.execute(query("bars_uncounted")).fetchall())
            bars = BarsMade(uncounted, self._cutting(shelf.instruments) if kind.stream == "trades" else {})
            rows = one_ahead(self._stages.making("merge", heap.merged()))
            kept = write_proven(self._catalogue, archived, self._day, rows, uncounted, self._stages, bars)
            rules, expected = shelf.rules(), heap.rows
        if kept.digest.rows != expected:
            self._catalogue.store.discard(kept.written.url)
            raise ProofFailed(f"{expected} rows of {archived.name} of {self._day} were to be written, and {kept.digest.rows} were")
        with ExitStack() as unnamed:
            # Until a snapshot names it, the file is of no use; from then on it stays until the next attempt replaces it.
            unnamed.callback(self._catalogue.store.discard, kept.written.url)
            proof = self._enter(kind, archived, kept, bars, sorted(shelf.instruments), loaded.known_at, unnamed)
        return WentStraight(loaded, proof, self._stages.seconds, rules)

    def _lock(self, kind: TickTable, archived: Archived) -> None:
        """Have the day alone, as who archives it and who moves it: nobody writes it meanwhile, here or there. Days in their order."""
        tables = (kind.name, kind.revisions.name)
        enter(self._connection)
        keep_rules(self._connection)
        lock_days(self._connection, f"archive {archived.name}", ["*"], [self._day])
        share(self._connection, tables, [self._day - _ONE_DAY])
        lock_alone(self._connection, tables, self._day)
        share(self._connection, tables, [self._day + _ONE_DAY])
        reach("history.locked")

    def _held(self, kind: TickTable, archived: Archived, claimed: Sequence[StagedFile]) -> Proof | None:
        """The proof of what the archive holds of the day; None where nothing is held of it.

        Raises:
            NotStraight: the database holds some of it, or something needs the rows there.
            ArchiveDamaged: a file of the archive is not what was proven.
        """
        instruments = sorted({summary.instrument for file in claimed for summary in file.summaries(self._day)})
        tiers = {tier.relation: tier for tier in tiers_of(self._connection, [(kind.name, self._day), (kind.revisions.name, self._day)])}
        own, revisions = tiers.get(kind.name), tiers.get(kind.revisions.name)
        if own is not None and own.tier != "cold":
            raise NotStraight(f"{kind.name} of {self._day} is {own.tier}")
        if own is not None and own.restored:
            raise NotStraight(f"some of {kind.name} of {self._day} were brought back into the database")
        if revisions is not None and revisions.row_count:
            raise NotStraight(f"rows of {kind.name} of {self._day} were replaced or cancelled")
        for table in (kind.table, kind.revisions):
            statement = sql.SQL("select 1 from {} where event_time >= %s and event_time < %s limit 1").format(sql.Identifier(table.name))
            if self._connection.execute(statement, (self._day, self._day + _ONE_DAY)).fetchone() is not None:
                raise NotStraight(f"the database holds rows of {table.name} of {self._day}")
        values = {"instruments": instruments, "stream": kind.stream, "day": self._day}
        ((of_agg_trades, dropped_rows),) = self._connection.execute(query("history_books"), values).fetchall()
        if kind.stream == "agg_trades" and of_agg_trades:
            raise NotStraight(f"bars of {', '.join(of_agg_trades)} are made of aggregated trades, in the database")
        proof = latest_proof(self._connection, archived, self._day) if own is not None else None
        if dropped_rows != (0 if proof is None else proof.digest.rows):
            raise NotStraight(f"the archive holds other rows of {kind.name} of {self._day} than the coverage ledger says")
        for file in proof.files if proof is not None else ():
            if files.sha256(self._catalogue.store, file.url) != file.sha256:
                raise ArchiveDamaged(f"{file.url} is not what was proven: nothing was added to {kind.name} of {self._day}")
        return proof

    def _cutting(self, names: Collection[str]) -> dict[str, InformationBars]:
        """What cuts the bars by what is traded of those instruments whose bars are made of trades, by the rules that hold."""
        values = {"instruments": list(names), "stream": "trades", "day": self._day}
        ((of_agg_trades, _),) = self._connection.execute(query("history_books"), values).fetchall()
        self._rules = rules_in_force(self._connection, INFORMATION_BARS, names)
        return {
            name: InformationBars([rule for kind in INFORMATION_BARS for rule in self._rules.get((name, kind), ())])
            for name in names
            if name not in of_agg_trades
        }

    def _store_cut(self, cut: Mapping[str, pa.Table]) -> None:
        for kind in INFORMATION_BARS:
            mine = {}
            for name, bars in cut.items():
                rules = pa.array([rule.name for rule in self._rules.get((name, kind), ())], pa.string())
                mine[name] = bars.filter(pc.is_in(bars["rule"], rules))
            store_made(self._connection, kind, self._day, mine)

    def _enter(
        self, kind: TickTable, archived: Archived, kept: Kept, bars: BarsMade, instruments: Sequence[str], known_at: datetime,
        unnamed: ExitStack,
    ) -> Proof:  # fmt: skip
        """Write the bars, and into the books that the rows are in the archive, and are all of the day."""
        with self._stages.spent("bars"):
            if kind.stream == "trades":
                refresh_all(self._connection, self._day, instruments, bars.kept())
                self._store_cut(bars.cut())
        reach("history.barred")
        dropped = {"stream": kind.stream, "day": self._day, "instruments": list(instruments), "is_dropped": True}
        self._connection.execute(query("tiers_coverage"), dropped)
        # The last entry of the log is our own: who changes the day after us makes the proof stale.
        mark = partition_mark(self._connection, archived, self._day)
        with self._stages.spent("register"):
            snapshot_id = register(self._catalogue, archived, self._day, kept, mark, known_at, self._run_id)
        unnamed.pop_all()
        proof = write_proof(
            self._connection, archived, self._day, snapshot_id, [kept.written], kept.digest, kept.bars, mark, known_at, self._run_id
        )
        write_tier(self._connection, Tier(archived.name, self._day, "cold", kept.digest.rows, 0, proof.proof_id))
        write_tier(self._connection, Tier(kind.revisions.name, self._day, "cold", 0, 0, None))
        return proof
