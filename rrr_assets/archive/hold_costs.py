"""What a hold costs: the bytes that it covers and their price, and how much of that retention would have taken away by now.

Belongs here: sharing a measured bill out to the holds that stand. Does not: the bill itself (costs.py), holds (warehouse/holds.py).
What two holds cover is told of both: neither gives it back alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

import pyarrow as pa

from rrr_assets.archive.costs import cost_report
from rrr_assets.calc.costs import Line, total
from rrr_assets.calc.numbers import EXACT
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.lake.keeping import Hold, standing_holds
from rrr_assets.warehouse.connect import Database, Role

_SHOWN: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class HoldCost:
    """What a hold covers: bytes on disk and in the object store, and USD a month for both.

    `overdue_usd` is the part of that for what retention would have taken away by now: rows past their warm tier, partitions past the end
    of their life, files that others took the place of.
    """

    disk_bytes: int
    archive_bytes: int
    monthly_usd: Decimal
    overdue_usd: Decimal


def hold_costs(database: Database) -> Mapping[str, HoldCost]:
    """What each hold that stands costs, by its name, as measured now.

    Raises:
        PricesRefused, StoreUnusable, StoreUnreachable, DatabaseUnusable: as `costs.cost_report`.
    """
    report = cost_report(database)
    with database.kept(Role.WRITER) as connection:
        holds = standing_holds(connection)
    return {hold.name: cost_of(hold, report.lines, report.measured.at.date()) for hold in holds}


def cost_of(hold: Hold, lines: Iterable[Line], today: date) -> HoldCost:
    """What a hold covers of a bill.

    Args:
        hold: of which table and days.
        lines: the bill.
        today: the UTC day by which partitions are old or young.
    """
    covered = [
        line
        for line in lines
        if line.partition_start is not None
        and line.relation in ARCHIVED
        and line.tier != "metadata"
        and hold.covers(ARCHIVED[line.relation], line.partition_start)
    ]
    return HoldCost(
        sum(line.size_bytes for line in covered if not line.is_in_store),
        sum(line.size_bytes for line in covered if line.is_in_store),
        total(line.monthly_usd for line in covered),
        total(line.monthly_usd for line in covered if _is_overdue(line, today)),
    )


def with_costs(found: pa.Table, name: str, database: Database) -> pa.Table:
    """A table with what the hold that it names in a column costs; null where none of that name stands.

    Raises:
        PricesRefused, StoreUnusable, StoreUnreachable, DatabaseUnusable: as `costs.cost_report`.
    """
    known = hold_costs(database)
    costs = [known.get(each) for each in found[name].to_pylist()]
    usd = pa.decimal128(18, 6)
    columns: dict[str, pa.Array] = {
        "disk_bytes": pa.array([each and each.disk_bytes for each in costs], pa.int64()),
        "archive_bytes": pa.array([each and each.archive_bytes for each in costs], pa.int64()),
        "usd_a_month": pa.array([None if each is None else _shown(each.monthly_usd) for each in costs], usd),
        "usd_overdue": pa.array([None if each is None else _shown(each.overdue_usd) for each in costs], usd),
    }
    for column, values in columns.items():
        found = found.append_column(column, values)
    return found


def _is_overdue(line: Line, today: date) -> bool:
    if line.partition_start is None:
        return False
    archived = ARCHIVED[line.relation]
    keep = archived.table.retention
    days = keep.delete_after_days if line.is_in_store else keep.warm_days
    return line.tier == "superseded" or (days is not None and (today - archived.end_of(line.partition_start)).days >= days)


def _shown(amount: Decimal) -> Decimal:
    with localcontext(EXACT):
        return amount.quantize(_SHOWN, ROUND_HALF_UP)
