"""Healing as the graph sees it: the asset that fetches what is missing, the job that makes bars of it, the sensor that asks for it.

Belongs here: when it runs, and what it tells. Does not: how a gap is healed (healing).
One run fetches, takes in, closes and makes the bars: the asset stands before the tables of ticks, which stand before the bars.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from rrr_assets.resources.lake import Lake
from rrr_assets.resources.partitions import DAYS, contiguous, days_between, days_of, range_tags
from rrr_assets.resources.quality_settings import quality_settings
from rrr_assets.resources.reporting import DayReports, failures_told
from rrr_assets.resources.requests import ASKED_TAG, REFRESHED, assets_of, changed_only, checks_of, days_under_way, no_room, run_key
from rrr_assets.resources.warehouse import Warehouse
from rrr_assets.ticks.assets import landing_files, store_day

if TYPE_CHECKING:
    from rrr_assets.calc.quality_config import Healing
    from rrr_assets.ticks.asking import Missing
    from rrr_assets.ticks.healing import Attempt
    from rrr_assets.warehouse.connect import Database

GAP_HEALING: Final = "gap_healing"
_TICKS: Final = ("raw_trades", "raw_agg_trades", "raw_quotes", "raw_depth", "venue_bars")
_SHOWN: Final = 100


class HealingConfig(dg.Config):
    """Which gaps are healed."""

    gap_ids: list[int] = Field(default_factory=list, description="Only these; empty for all of the days that are due.")
    at_once: bool = Field(default=False, description="Also gaps that rest after an attempt that failed.")


@dg.asset(
    name=GAP_HEALING,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[landing_files],
    group_name="ticks",
    kinds={"postgres", "python"},
    owners=["team:market-data"],
    tags={"tier": "hot"},
    description="What gaps miss, fetched from the configured sources and taken in as any file is. A gap closes when its ids are there.",
    code_version="1",
    pool="healing",
)
def gap_healing(context: dg.AssetExecutionContext, config: HealingConfig, warehouse: Warehouse, lake: Lake) -> None:
    from rrr_assets.ticks.healing import due, heal
    from rrr_assets.warehouse.home import Home

    days = days_of(context)
    settings = quality_settings().healing

    def take_in(stream: str, day: date) -> None:
        store_day(context, warehouse, lake, stream, day)

    with failures_told(context, days, DayReports(context)):
        chosen = config.gap_ids or [gap.gap_id for gap in due(warehouse.database(), settings.sources, days=days)]
        attempts = heal(
            Home.current(),
            warehouse.database(),
            chosen,
            settings,
            take_in,
            run_id=context.run.run_id,
            at_once=config.at_once,
            say=context.log.info,
        )
        for day in days:
            _tell(context, day, [attempt for attempt in attempts if attempt.gap.days[0] == day])


def _tell(context: dg.AssetExecutionContext, day: date, attempts: "Sequence[Attempt]") -> None:
    """Log a day's materialisation, with what came of each gap."""
    outcomes = {attempt.gap.gap_id: attempt.outcome for attempt in attempts}
    healed = [gap_id for gap_id, outcome in outcomes.items() if outcome == "healed"]
    metadata: dict[str, Any] = {
        "gaps": len(outcomes),
        "gaps_healed": len(healed),
        "gaps_open": len(outcomes) - len(healed),
        "rows_fetched": sum(attempt.rows for attempt in attempts),
        "sources": sorted({attempt.source for attempt in attempts}),
        "reasons": sorted({attempt.reason for attempt in attempts if attempt.reason})[:_SHOWN],
        "attempts": dg.MetadataValue.json([attempt.told() for attempt in attempts[:_SHOWN]]),
    }
    context.log_event(dg.AssetMaterialization(context.asset_key, partition=day.isoformat(), metadata=metadata))
    # Dagster's own event at the end of the run comes later and without metadata: give it ours.
    context.add_asset_metadata(metadata, partition_key=day.isoformat())


_ASSETS: Final = (GAP_HEALING, *_TICKS, *REFRESHED)
HEALING_JOB: Final = dg.define_asset_job(
    "heal_gaps",
    # Without the checks that look over the hot window, which have a time of their own.
    dg.AssetSelection.assets(*_ASSETS).without_checks() | dg.AssetSelection.checks(*checks_of((*_TICKS, *REFRESHED))),
    description="What gaps miss is fetched and taken in, and the bars and verdicts that follow from it are made.",
)


@dg.sensor(
    name="open_gaps",
    job=HEALING_JOB,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for the healing of gaps that are open and due, where a source is configured that can have them.",
)
def open_gaps(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> Iterator[dg.RunRequest | dg.SkipReason]:
    if full := no_room():
        yield full
        return
    settings = quality_settings().healing
    if not settings.is_on:
        yield dg.SkipReason("Healing is switched off: healing.is_on of RRR_QUALITY_CONFIG. Gaps stay open.")
        return
    if not settings.sources:
        yield dg.SkipReason("Nothing is fetched: healing.sources of RRR_QUALITY_CONFIG names no source. Gaps stay open.")
        return
    from rrr_assets.ticks.healing import due

    release_dead(context.instance, warehouse.database())
    gaps = due(warehouse.database(), settings.sources)
    under_way = days_under_way(context.instance)
    ready = [gap for gap in gaps if not under_way.intersection(gap.days)][: settings.most_gaps_a_run]
    requests = 0
    for request in requests_of(context.instance, ready, settings):
        yield request
        requests += 1
    if not requests:
        yield dg.SkipReason(
            f"{len(gaps)} gaps are due; runs are under way for their days, or rest after a failure."
            if gaps
            else "No gap is due that a source can have."
        )


def release_dead(instance: dg.DagsterInstance, database: "Database") -> None:
    """Free the gaps of runs that have ended, or were killed, and did not say what came of them."""
    from rrr_assets.warehouse.connect import Role
    from rrr_assets.warehouse.gaps import release
    from rrr_assets.warehouse.sqlfiles import query

    with database.kept(Role.WRITER) as connection:
        for run_id, gap_ids in connection.execute(query("healing_claims")).fetchall():
            run = instance.get_run_by_id(run_id)
            if run is not None and run.is_finished:
                release(connection, gap_ids, run_id)


def requests_of(instance: dg.DagsterInstance, gaps: "Sequence[Missing]", settings: "Healing") -> Iterator[dg.RunRequest]:
    """A run for each range of days on which gaps are to be healed."""
    for first, last, mine in by_range(gaps):
        assets = healing_assets(mine)
        marks = [HEALING_JOB.name, *(f"{gap.gap_id}={gap.attempts}" for gap in mine)]
        rests = (settings.first_wait_seconds, settings.longest_wait_seconds)
        if (found := run_key(instance, marks, *rests)) is not None:
            key, asked = found
            yield dg.RunRequest(
                run_key=key,
                tags={**range_tags(first, last), ASKED_TAG: asked, "rrr/kind": "healing"},
                run_config=healing_config(mine),
                asset_selection=[dg.AssetKey(name) for name in assets],
                asset_check_keys=checks_of(assets[1:]),
            )


def by_range(gaps: "Iterable[Missing]") -> "Iterator[tuple[date, date, list[Missing]]]":
    """Gaps by the ranges of days without holes that they touch, each range with its first and last day."""
    gaps = list(gaps)
    for first, last in contiguous(day for gap in gaps for day in gap.days):
        touched = set(days_between(first, last))
        yield first, last, [gap for gap in gaps if gap.days[0] in touched]


def healing_assets(gaps: "Iterable[Missing]") -> list[str]:
    """What a run materialises that heals some gaps."""
    return [GAP_HEALING, *assets_of({gap.base_stream for gap in gaps})]


def healing_config(gaps: "Sequence[Missing]", *, at_once: bool = False) -> dict[str, Any]:
    """The config of such a run."""
    ops = changed_only(healing_assets(gaps))["ops"]
    return {"ops": {**ops, GAP_HEALING: {"config": {"gap_ids": [gap.gap_id for gap in gaps], "at_once": at_once}}}}


HEALING_ASSETS: Final = (gap_healing,)
HEALING_JOBS: Final = (HEALING_JOB,)
HEALING_SENSORS: Final = (open_gaps,)
