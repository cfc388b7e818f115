"""Baseline of the UI: a project of one asset that does nothing, on Dagster's default storage in an empty folder."""

import dagster as dg


@dg.asset(partitions_def=dg.DailyPartitionsDefinition(start_date="2024-01-01"))
def nothing() -> None:
    """Does nothing."""


defs = dg.Definitions(assets=[nothing])
