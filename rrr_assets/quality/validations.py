"""The daily validation: every table held against its contract by Great Expectations, kept, and shown on a page.

Belongs here: which tables are validated by the day, keeping the answers, the file of the page. Does not: asking (expectations), how the
page looks (validation_page).
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from psycopg.types.json import Jsonb

from rrr_assets.calc.outcomes import PermanentFailure, RelationGone
from rrr_assets.contracts.bars import BAR_REVISIONS, BARS
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.features import FEATURE_TABLES
from rrr_assets.contracts.information_bars import INFORMATION_BARS
from rrr_assets.contracts.ledgers import BAR_CONFORMANCE
from rrr_assets.contracts.rules import IS_THERE, Kind
from rrr_assets.contracts.ticks import TICKS
from rrr_assets.quality.expectations import Answer, Validation, validator
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.sqlfiles import query

BY_DAY: Final = tuple(
    table.name
    for table in (*TICKS, *BARS.values(), BAR_REVISIONS, *INFORMATION_BARS.values(), BAR_CONFORMANCE, *FEATURE_TABLES)
    if table.time_column
)
"""Tables of which a day is validated; every other one is small, and is validated as a whole."""

_ONE_DAY: Final = timedelta(days=1)


class NoSuchTable(PermanentFailure):
    """No contract has that name."""


def yesterday() -> date:
    """The last UTC day that is over."""
    return datetime.now(UTC).date() - _ONE_DAY


def validate(database: Database, day: date, tables: Iterable[str] | None = None, run_id: str | None = None) -> list[Validation]:
    """Hold tables against their contracts, and keep what was said of each.

    Args:
        database: asked as the analyst, written as the writer.
        day: the UTC day, of tables that are validated by the day.
        tables: their names; None for all.
        run_id: the Dagster run, where one does it.

    Raises:
        NoSuchTable: a name is of no table.
    """
    names = list(TABLES if tables is None else tables)
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        raise NoSuchTable(f"there is no table {', '.join(unknown)}. docs/tables.md has them all")
    done = []
    with validator(database) as asking:
        for name in names:
            of_day = day if name in BY_DAY else None
            try:
                said = asking.validate(TABLES[name], of_day)
            except RelationGone as gone:
                said = _dropped(TABLES[name], of_day, str(gone))
            _keep(database, said, run_id)
            done.append(said)
    return done


def write_page(page: str, path: Path | None = None) -> Path:
    """Write the page whole or not at all; into the home where no other place is named."""
    target = path or Home.current().root / "quality" / "validation.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    new.write_text(page, "utf-8")
    new.replace(target)
    return target


def is_hard(answer: Answer) -> bool:
    """Whether what is not met must not flow on: all but an order that venues themselves break."""
    return not answer.is_met and (answer.error is not None or answer.kind != Kind.IN_ORDER)


def _dropped(table: Table, day: date | None, why: str) -> Validation:
    """A table that is not there: no pass, and no reason to leave the others unasked."""
    answer = Answer("schema_drift", "columns", IS_THERE, "to_regclass", False, 1, 1, error=why)
    return Validation(table.name, day, datetime.now(UTC), (answer,), 0.0)


def _keep(database: Database, said: Validation, run_id: str | None) -> None:
    values = {
        "at": said.at, "relation": said.relation, "day": said.day, "is_success": said.is_success, "evaluated": len(said.answers),
        "unmet": said.unmet, "results": Jsonb(answers_told(said.answers)), "seconds": said.seconds, "run_id": run_id,
    }  # fmt: skip
    with database.kept(Role.WRITER) as connection:
        connection.execute(query("validations_write"), values)


def answers_told(answers: Sequence[Answer]) -> list[dict[str, object]]:
    """Answers for machines."""
    return [{**asdict(answer), "examples": list(answer.examples)} for answer in answers]
