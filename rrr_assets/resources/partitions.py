"""The one partitioning of the platform: UTC days. Instruments are rows, not partitions."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final

import dagster as dg

FIRST_DAY: Final = date(2010, 1, 1)

# end_offset=1 holds today, which is loaded while it lasts.
DAYS: Final = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=1)

RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """The days of a run, one or a range."""
    return [date.fromisoformat(key) for key in context.partition_keys]


def range_tags(first: date, last: date) -> dict[str, str]:
    """The tags by which one run materialises every day from first to last."""
    return {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}


def contiguous(days: Iterable[date]) -> list[tuple[date, date]]:
    """Days as ranges without holes, first and last inclusive, in order."""
    ranges: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if ranges and day == ranges[-1][1] + timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


def outside(days: Sequence[date]) -> list[date]:
    """Days that the platform has no partition for."""
    return [day for day in days if day < FIRST_DAY]
