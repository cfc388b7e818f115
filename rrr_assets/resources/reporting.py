"""How an asset tells Dagster about a day: at once, as it commits, so that a later failure cannot take it back.

Belongs here: events, check results and failures in Dagster's words, and what a contract looks like there.
Does not: what is reported (the stations).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

if TYPE_CHECKING:
    from rrr_assets.calc.outcomes import RuleResult
    from rrr_assets.contracts.base import Table

INTEGRITY: Final = "integrity"
"""The blocking check of every asset: what breaks it must not flow on."""

QUALITY: Final = "quality"
"""The check that warns: holes, quarantine, bars that are not complete or not explained."""

_RETRIES: Final = 3
_WAIT_SECONDS: Final = 5


def check_specs(asset: str, integrity: str, quality: str) -> list[dg.AssetCheckSpec]:
    """The two checks of an asset, each with all its rules in its metadata."""
    return [
        dg.AssetCheckSpec(INTEGRITY, asset=asset, description=integrity, blocking=True),
        dg.AssetCheckSpec(QUALITY, asset=asset, description=quality),
    ]


def check_results(rules: Sequence[RuleResult]) -> list[dg.AssetCheckResult]:
    """The results of an asset without partitions: of each of its checks that has a rule."""
    found = []
    for name in (INTEGRITY, QUALITY):
        mine = [rule for rule in rules if rule.is_blocking == (name == INTEGRITY)]
        if mine:
            severity = dg.AssetCheckSeverity.ERROR if name == INTEGRITY else dg.AssetCheckSeverity.WARN
            told = {rule.rule: _told(rule) for rule in mine}
            passed = all(rule.broken == 0 for rule in mine)
            found.append(dg.AssetCheckResult(check_name=name, passed=passed, severity=severity, metadata=told))
    return found


@dataclass
class DayReports:
    """Tells Dagster of each day of a run as it commits, and rolls the checks up at the end."""

    context: dg.AssetExecutionContext
    rules: dict[str, RuleTotals] = field(default_factory=dict)
    days: int = 0

    def tell(self, day: date, metadata: Mapping[str, Any], results: Sequence[RuleResult]) -> None:
        """Log a day's materialisation and its check results."""
        key = day.isoformat()
        asset = self.context.asset_key
        self.context.log_event(dg.AssetMaterialization(asset, partition=key, metadata=dict(metadata)))
        for name in (INTEGRITY, QUALITY):
            mine = [result for result in results if result.is_blocking == (name == INTEGRITY)]
            passed = all(result.broken == 0 for result in mine)
            self.context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=asset,
                    check_name=name,
                    passed=passed,
                    partition=key,
                    blocking=name == INTEGRITY,
                    severity=dg.AssetCheckSeverity.ERROR if name == INTEGRITY else dg.AssetCheckSeverity.WARN,
                    metadata={result.rule: _told(result) for result in mine},
                )
            )
        # Dagster's own event at the end of the run comes later and without metadata: give it ours.
        self.context.add_asset_metadata(dict(metadata), partition_key=key)
        for result in results:
            self.rules.setdefault(result.rule, RuleTotals(result.is_blocking)).add(day, result)
        self.days += 1

    def result(self) -> dg.MaterializeResult[Any]:
        """What the asset returns: its checks over all days of the run."""
        return dg.MaterializeResult(check_results=[self._rolled_up(INTEGRITY), self._rolled_up(QUALITY)])

    def _rolled_up(self, name: str) -> dg.AssetCheckResult:
        mine = {rule: totals for rule, totals in self.rules.items() if totals.is_blocking == (name == INTEGRITY)}
        return dg.AssetCheckResult(
            check_name=name,
            passed=all(totals.broken == 0 for totals in mine.values()),
            severity=dg.AssetCheckSeverity.ERROR if name == INTEGRITY else dg.AssetCheckSeverity.WARN,
            metadata={"days": self.days, **{rule: totals.told() for rule, totals in mine.items()}},
        )


@dataclass
class RuleTotals:
    """One rule over all days of a run."""

    is_blocking: bool
    broken: int = 0
    looked_at: int = 0
    days: list[str] = field(default_factory=list)

    def add(self, day: date, result: RuleResult) -> None:
        """Take in one day's result."""
        self.broken += result.broken
        self.looked_at += result.looked_at
        if result.broken:
            self.days.append(day.isoformat())

    def told(self) -> str:
        """The rule's result as one line."""
        if self.broken == 0:
            return f"kept by all {self.looked_at}"
        return f"broken by {self.broken} of {self.looked_at}, on {', '.join(self.days[:5])}{' and more' if len(self.days) > 5 else ''}"


@contextmanager
def failures_told(context: dg.AssetExecutionContext, days: Sequence[date], reports: DayReports) -> Iterator[None]:
    """Turn failures into Dagster's two kinds: permanent ones are never retried, transient ones after a wait.

    A database that cannot be entered may be restarting, which nobody can tell from one that is gone: that is transient.
    Whatever it is, the run's log says which days are kept and which remain.
    """
    import psycopg

    from rrr_assets.calc.outcomes import PermanentFailure, StoreUnreachable
    from rrr_assets.venues.base import SourceRefused
    from rrr_assets.warehouse.connect import DatabaseUnusable

    is_told = False
    try:
        yield
        is_told = True
    except (
        PermanentFailure, SourceRefused, DatabaseUnusable, StoreUnreachable, psycopg.OperationalError, psycopg.InterfaceError,
    ) as error:  # fmt: skip
        is_told = True
        told = _remaining(str(error), days, reports)
        cause = error.__cause__ if isinstance(error, DatabaseUnusable) else error
        if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError | StoreUnreachable):
            context.log.warning(told)
            raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=_WAIT_SECONDS) from error
        raise dg.Failure(told, allow_retries=False) from error
    finally:
        if not is_told:
            context.log.error(_remaining("not foreseen, see the failure of the step", days, reports))


@contextmanager
def failures_told_once(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Iterator[None]:
    """As `failures_told`, for an asset without partitions or a check: what it did before it failed stays done."""
    import psycopg

    from rrr_assets.calc.outcomes import PermanentFailure, StoreUnreachable
    from rrr_assets.warehouse.connect import DatabaseUnusable

    try:
        yield
    except (StoreUnreachable, psycopg.OperationalError, psycopg.InterfaceError) as error:
        context.log.warning(str(error))
        raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=_WAIT_SECONDS) from error
    except (PermanentFailure, DatabaseUnusable) as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def contract_metadata(table: Table) -> dict[str, Any]:
    """A contract as Dagster shows it: column schema, and where the rows are."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=column.type.sql,
            description=column.told,
            constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=table.key == (column.name,)),
        )
        for column in table.columns
    ]
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/table_name": table.name,
        "dagster/uri": f"postgresql://rrr/{table.name}",
        "key": ", ".join(table.key),
    }


def column_lineage(columns: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, Any]:
    """Which columns each column is made from, as (asset, column) pairs."""
    deps = {
        name: [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=column) for asset, column in sources]
        for name, sources in columns.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)}


def _told(result: RuleResult) -> str:
    if result.broken == 0:
        return f"kept by all {result.looked_at}"
    return f"broken by {result.broken} of {result.looked_at}" + (f": {'; '.join(result.examples)}" if result.examples else "")


def _remaining(reason: str, days: Sequence[date], reports: DayReports) -> str:
    if not days:
        return reason
    kept = reports.days
    remain = ", ".join(day.isoformat() for day in days[kept:][:10])
    return f"{reason} | {kept} of {len(days)} days are done and kept; remaining: {remain}{' and more' if len(days) - kept > 10 else ''}"
