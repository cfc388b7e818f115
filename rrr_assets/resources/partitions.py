"""The partitionings of the platform: UTC days, and months for what is archived by month. Instruments are rows, not partitions."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

import dagster as dg

FIRST_DAY: Final = date(2009, 1, 1)

# Every day that a parser believes has a partition: from 2009 to tomorrow, for today is loaded while it lasts and a venue's
# clock may run ahead. An end_offset of 1 would end with today.
DAYS: Final = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=2)

# By the first day of each.
MONTHS: Final = dg.MonthlyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=1)

RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """The days of a run, one or a range; of months the first days."""
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


def days_between(first: date, last: date) -> list[date]:
    """Every day from first to last, both inclusive."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
