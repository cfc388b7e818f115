"""The live tables against their contracts: what somebody changed by hand, or dropped.

Belongs here: reading the catalogue, and every difference in a sentence. Does not: the contracts, the rows (contract_checks), mending it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rrr_assets.calc.outcomes import RuleResult
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.live import LIVE_BARS
from rrr_assets.contracts.rules import IS_AS_AGREED
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query

_QUOTED: Final = re.compile(r"'((?:[^']|'')*)'")


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference. `what` says of which kind, as a word; `detail` what is there, and what the contract says."""

    table: str
    what: str
    column: str | None
    detail: str

    @property
    def told(self) -> str:
        return f"{self.table}{f'.{self.column}' if self.column else ''}: {self.detail}"


def drift(database: Database, tables: Sequence[Table] | None = None) -> list[Drift]:
    """Every difference between the database and the contracts, table by table.

    Args:
        database: entered as the writer. A table that is not there is a difference, and no failure.
        tables: only these; None for every table and the live bars.
    """
    asked = {table.name: table for table in ([*TABLES.values(), *LIVE_BARS.values()] if tables is None else tables)}
    with database.kept(Role.WRITER) as connection:
        cursor = connection.execute(query("drift_tables"), {"tables": list(asked)})
        names = [column.name for column in cursor.description or ()]
        live = {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}
    views = {table.name for table in LIVE_BARS.values()}
    return [each for name, table in asked.items() for each in _differences(table, live.get(name), is_view=name in views)]


def drift_result(found: Sequence[Drift], tables: int | None = None) -> RuleResult:
    """The differences as the result of one rule."""
    looked_at = len(TABLES) + len(LIVE_BARS) if tables is None else tables
    broken = len({each.table for each in found})
    return RuleResult(IS_AS_AGREED, is_blocking=True, broken=broken, looked_at=looked_at, examples=tuple(each.told for each in found[:20]))


def _differences(table: Table, live: Mapping[str, Any] | None, *, is_view: bool) -> Iterator[Drift]:
    if live is None:
        yield Drift(table.name, "missing_table", None, "there is no such table: it was dropped, or `rrr migrate` has not made it")
        return
    yield from _columns(table, live["columns"] or [])
    if live["comment"] != table.description:
        yield Drift(table.name, "comment", None, f"its comment is {_shown(live['comment'])}")
    if not is_view:
        if tuple(live["key"] or ()) != table.key:
            yield Drift(table.name, "key", None, f"its key is ({', '.join(live['key'] or ())}), not ({', '.join(table.key)})")
        yield from _accepted(table, live["checks"] or {})
    for role, may in (("rrr_analyst", live["analyst_reads"]), ("rrr_writer", live["writer_reads"])):
        if not may:
            yield Drift(table.name, "grant", None, f"{role} may not read it")
    if live["analyst_writes"]:
        yield Drift(table.name, "grant", None, "rrr_analyst may write it")
    if live["writer_truncates"]:
        yield Drift(table.name, "grant", None, "rrr_writer may empty it")


def _columns(table: Table, live: Sequence[Sequence[Any]]) -> Iterator[Drift]:
    found = {name: (kind, nullable, comment) for name, kind, nullable, comment in live}
    for column in table.columns:
        if column.name not in found:
            yield Drift(table.name, "missing_column", column.name, "there is no such column")
            continue
        kind, nullable, comment = found[column.name]
        if kind != column.type.sql:
            yield Drift(table.name, "type", column.name, f"it is {kind}, not {column.type.sql}")
        if nullable != column.nullable:
            yield Drift(table.name, "null", column.name, "it may be null" if nullable else "it may not be null, and the contract lets it")
        if comment != column.comment:
            yield Drift(table.name, "comment", column.name, f"its comment is {_shown(comment)}")
    named = set(table.column_names)
    for name in found:
        if name not in named:
            yield Drift(table.name, "extra_column", name, "the contract has no such column")
    in_order = [name for name in found if name in named]
    if len(in_order) == len(named) and tuple(in_order) != table.column_names:
        yield Drift(table.name, "column_order", None, f"its columns stand as {', '.join(in_order)}")


def _accepted(table: Table, checks: Mapping[str, Sequence[Any]]) -> Iterator[Drift]:
    """Accepted values are held by a constraint each, which has been proven of every row."""
    for column in table.columns:
        name = f"{table.name}_{column.name}_accepted"
        if column.accepted is None:
            if name in checks:
                yield Drift(table.name, "accepted", column.name, "its values are closed, and the contract leaves them open")
        elif name not in checks:
            yield Drift(table.name, "accepted", column.name, f"no constraint {name} holds its values")
        else:
            definition, is_validated = checks[name]
            values = {value.replace("''", "'") for value in _QUOTED.findall(definition)}
            if values != set(column.accepted):
                yield Drift(table.name, "accepted", column.name, f"it takes {_listed(values)}, not {_listed(column.accepted)}")
            if not is_validated:
                yield Drift(table.name, "accepted", column.name, f"the constraint {name} was never proven of the rows that are there")


def _listed(values: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(values)) or "nothing"


def _shown(comment: str | None) -> str:
    return "missing" if comment is None else f"'{comment[:80]}', not that of the contract"
