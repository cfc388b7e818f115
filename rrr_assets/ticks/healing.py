"""Healing: gaps are claimed, their sources asked in order, what came is taken in, and what became of each is written down.

Belongs here: the order of these steps, what counts as healed, how long a gap then waits. Does not: the ledger of gaps itself, which closes
them (warehouse/gaps), the sources (asking), the run around it (healing_assets).
A gap is closed by the transaction that stores its ids, by nobody else: this looks whether it was, and says why not.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.calc.quality_config import Healing, HealingSource
from rrr_assets.sources.download import Downloader, Patience
from rrr_assets.ticks.asking import Answer, Missing, ask, can_have
from rrr_assets.warehouse import gaps as ledger
from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.faultpoints import reach
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.sqlfiles import query

PATIENCE: Final = Patience(attempts=3, connect_seconds=10, first_wait_seconds=1, longest_wait_seconds=10, longest_asked_seconds=20)
"""Of one run: what takes longer is left to the next attempt, for other gaps wait."""

LEASE: Final = timedelta(minutes=10)
"""How long gaps are left to a run of which nothing is heard."""

_LONGEST_ASKED: Final = timedelta(days=7)
"""The longest wait that a source is given which asks for it: Binance shuts out for three days at most."""

_MOST_LOOKED_AT: Final = 5000
"""More than are healed at a time: gaps that no source has must not stand in the way of others."""

_MOST_DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of asking one source for one gap. `outcome` is healed, partly or failed."""

    gap: Missing
    source: str
    outcome: ledger.Outcome
    reason: str | None
    rows: int
    seconds: float  # not money: how long it took

    @property
    def line(self) -> str:
        """What came of it, in a line."""
        why = f": {self.reason}" if self.reason else ""
        return f"{self.gap.instrument} {self.gap.stream}, {self.gap.told}: {self.outcome} by {self.source}{why}"

    def told(self) -> dict[str, Any]:
        """For machines."""
        return {
            "gap_id": self.gap.gap_id,
            "instrument": self.gap.instrument,
            "stream": self.gap.stream,
            "missing": self.gap.told,
            "source": self.source,
            "outcome": self.outcome,
            "reason": self.reason,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
        }


def heal(
    home: Home,
    database: Database,
    gap_ids: Sequence[int],
    settings: Healing,
    take_in: Callable[[str, date], None],
    *,
    run_id: str | None,
    at_once: bool,
    say: Callable[[str], None],
    patience: Patience = PATIENCE,
) -> list[Attempt]:
    """Try to heal some gaps, and write down what came of it.

    Gaps that no source can have, that somebody else is at, that are healed or accepted, and, unless `at_once`, that rest after a
    failure, are left alone.

    Args:
        home: whose landing zone what comes goes through.
        database: whose gaps.
        gap_ids: which.
        settings: sources, and how long a gap waits after it could not be healed.
        take_in: stores what waits of a stream's day.
        run_id: of the run that does it.
        at_once: also those that rest after a failed attempt.
        say: told what came of each attempt, and what is waited for.
        patience: how long a source is tried.

    Returns:
        Every attempt, in order: one for each gap and source that was asked.
    """
    with database.connect(Role.WRITER, autocommit=True) as connection:
        sources = {gap.gap_id: [each for each in settings.sources if can_have(each, gap)] for gap, _ in look(connection, gap_ids)}
        chosen = [number for number, of in sources.items() if of]
        if at_once:
            ledger.hurry(connection, chosen)
        left = {gap.gap_id: as_missing(gap) for gap in ledger.claim_for_healing(connection, chosen, run_id, lease=LEASE)}
    reach("healing.claimed")
    attempts: list[Attempt] = []
    with Downloader(patience, say=say) as downloader:
        for turn in range(len(settings.sources)):
            for source in settings.sources:
                asked = [gap for gap in left.values() if sources[gap.gap_id][turn : turn + 1] == [source]]
                if not asked:
                    continue
                one = _One(home, database, source, settings, run_id, {gap.gap_id: len(sources[gap.gap_id]) for gap in asked})
                for attempt, now in one.ask(downloader, asked, take_in, turn):
                    say(attempt.line)
                    attempts.append(attempt)
                    del left[attempt.gap.gap_id]
                    if now is not None:
                        left[now.gap_id] = now
    return attempts


def look(connection: Connection, gap_ids: Sequence[int]) -> list[tuple[Missing, str]]:
    """Some gaps as they are now, each with its state."""
    rows = connection.execute(query("healing_look"), {"gap_ids": list(gap_ids)}).fetchall()
    return [(Missing(*row[:-1]), row[-1]) for row in rows]


def as_missing(gap: ledger.Gap) -> Missing:
    """What a gap misses."""
    return Missing(
        gap.gap_id, gap.instrument, gap.stream, gap.kind, gap.from_time, gap.to_time, gap.first_missing, gap.last_missing, gap.attempts
    )


def due(database: Database, sources: Sequence[HealingSource], days: Collection[date] | None = None) -> list[Missing]:
    """Gaps that are due and that a source can have, of some days or of all. What lies in an outage that was announced is not asked for."""
    with database.kept(Role.WRITER) as connection:
        gaps = [as_missing(gap) for gap in ledger.due(connection, _MOST_LOOKED_AT)]
        muted = muted_among(connection, [gap.gap_id for gap in gaps])
    possible = [gap for gap in gaps if gap.gap_id not in muted and any(can_have(source, gap) for source in sources)]
    return [gap for gap in possible if days is None or gap.days[0] in days]


def muted_among(connection: Connection, gap_ids: Sequence[int]) -> set[int]:
    """Those of some gaps that lie in an outage that was announced."""
    return {row[0] for row in connection.execute(query("healing_muted"), {"gap_ids": list(gap_ids)}).fetchall()}


@dataclass(frozen=True)
class _One:
    """One source, asked for some gaps; `in_all` sources are to be asked for each of them."""

    home: Home
    database: Database
    source: HealingSource
    settings: Healing
    run_id: str | None
    in_all: dict[int, int]

    def ask(
        self, downloader: Downloader, gaps: Sequence[Missing], take_in: Callable[[str, date], None], turn: int
    ) -> list[tuple[Attempt, Missing | None]]:
        """Every gap's attempt, with what is still missing where another source is to be asked for that."""
        begun = time.monotonic()
        answers = ask(self.home, self.database, downloader, self.source, gaps)
        reach("healing.fetched")
        days = {each for answer in answers.values() for each in answer.days}
        failures = {each: failure for each in sorted(days) if (failure := _failure(take_in, *each)) is not None}
        reach("healing.loaded")
        seconds = time.monotonic() - begun
        done: list[tuple[Attempt, Missing | None]] = []
        with self.database.connect(Role.WRITER, autocommit=True) as connection:
            found = {now.gap_id: (now, state) for now, state in look(connection, [gap.gap_id for gap in gaps])}
            for gap in gaps:
                now, state = found[gap.gap_id]
                answer = answers[gap.gap_id]
                is_healed, is_accepted = state == "healed", state == "accepted"
                reason = None if is_healed else _why_not(connection, now, answer, failures)
                is_last = is_accepted or turn + 1 == self.in_all[gap.gap_id]
                outcome: ledger.Outcome = "healed" if is_healed else "partly" if _size(now) < _size(gap) else "failed"
                attempt = Attempt(gap, self.source.name, outcome, reason, answer.rows, seconds)
                self._record(connection, attempt, answer, is_last=is_last)
                done.append((attempt, None if is_healed or is_last else now))
        reach("healing.recorded")
        return done

    def _record(self, connection: Connection, attempt: Attempt, answer: Answer, *, is_last: bool) -> None:
        rounds = attempt.gap.attempts // self.in_all[attempt.gap.gap_id]
        rest = min(self.settings.first_wait_seconds * 2 ** min(rounds, _MOST_DOUBLINGS), self.settings.longest_wait_seconds)
        # While another source is asked for it, nobody else is to begin with it.
        asked = min(answer.wait_seconds, _LONGEST_ASKED.total_seconds())
        wait = timedelta(seconds=max(rest, asked)) if is_last else LEASE
        ledger.record_attempt(
            connection,
            attempt.gap.gap_id,
            source=attempt.source,
            outcome=attempt.outcome,
            reason=attempt.reason,
            rows_fetched=attempt.rows,
            seconds=attempt.seconds,
            run_id=self.run_id,
            next_attempt_at=None if attempt.outcome == "healed" else datetime.now(UTC) + wait,
        )


def _failure(take_in: Callable[[str, date], None], stream: str, day: date) -> str | None:
    """Take a day in; why it could not be, where that will not change by itself."""
    try:
        take_in(stream, day)
    except PermanentFailure as error:
        return str(error)
    return None


def _why_not(connection: Connection, now: Missing, answer: Answer, failures: dict[tuple[str, date], str]) -> str:
    """Why a gap is not closed, though its source was asked."""
    reasons = [*answer.reasons, *(failure for each, failure in failures.items() if each in answer.days)]
    outcome = connection.execute(query("ingest_outcome"), {"file_ids": sorted(answer.files)}).fetchall()
    reasons += [refused for _, _, _, _, refused, *_ in outcome if refused]
    if not reasons and answer.rows:
        reasons.append(f"what came did not bring {now.told}: `rrr quarantine` shows rows that were refused")
    return "; ".join(dict.fromkeys(reasons)) or "nothing came"


def _size(missing: Missing) -> tuple[int, timedelta]:
    """How much is missing: ids, or time where ids tell nothing."""
    if missing.first_missing is not None and missing.last_missing is not None:
        return missing.last_missing - missing.first_missing, timedelta(0)
    return 0, missing.to_time - missing.from_time
