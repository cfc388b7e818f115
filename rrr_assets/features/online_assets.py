"""The asset online_features, its job, and the sensor by which it follows features_1m.

Belongs here: when what is served is brought up to date, and what is told of it. Does not: bringing it there (online.py).

It has a run of its own: Feast alone takes seconds to import, which the run that makes features would pay every time, and a Redis that is
down must not fail it.
"""

from typing import Any, Final

import dagster as dg

from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.resources.reporting import check_results, check_specs, failures_told_once
from rrr_assets.resources.requests import ASKED_TAG, is_under_way, no_room, run_key
from rrr_assets.resources.warehouse import Warehouse

ONLINE: Final = "online_features"
_STATE: Final = "state"
"""In the metadata of a materialisation: what was brought, as the sensor compares it."""

# Half a minute in all: a Redis that restarts is back by then, and a row is out of date soon after.
RETRIES: Final = dg.RetryPolicy(max_retries=4, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


@dg.asset(
    name=ONLINE,
    deps=[FEATURES_1M.name],
    group_name="features",
    kinds={"feast", "redis"},
    owners=[FEATURES_1M.owner],
    tags={"exact": "no", "tier": "hot"},
    description=(
        "The newest row of features of every instrument, in Feast's online store: a file of SQLite in the home, or the Redis that "
        "RRR_ONLINE_STORE_URL names. Served with its age, and without values once it is older than five minutes."
    ),
    code_version="1",
    retry_policy=RETRIES,
    pool="online",
    check_specs=check_specs(
        ONLINE,
        "What is served is what is stored, bit for bit.",
        "Every row that was brought is young enough to be served with its values.",
    ),
)
def online_features(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster takes no parameter here
    """Bring the newest rows online; a registry that is not as declared is made so first."""
    from rrr_assets.features.feast_config import store
    from rrr_assets.features.feast_registry import apply
    from rrr_assets.features.online import materialize, state

    database = warehouse.database()
    # A store that cannot be reached fails the step as it is, which its retry policy takes up.
    with failures_told_once(context):
        # Before the rows are read: what changes meanwhile is asked for again.
        before = state(database)
        feast = store(database)
        for change in apply(feast):
            context.log.info("Feast's registry: %s %s %s %s", change.action, change.kind, change.name, ", ".join(change.properties))
        brought = materialize(feast)
    context.log.info("The newest rows of %s instruments are online.", brought.instruments)
    times = {"oldest": brought.oldest, "newest": brought.newest}
    metadata: dict[str, Any] = {name: at.isoformat() for name, at in times.items() if at is not None}
    return dg.MaterializeResult(
        metadata={"dagster/row_count": brought.instruments, _STATE: before or "", **metadata}, check_results=check_results(brought.rules)
    )


ONLINE_JOB: Final = dg.define_asset_job(
    "serve_features", dg.AssetSelection.assets(ONLINE), description="The newest rows of features, to where they are served from."
)


@dg.sensor(
    name="online_behind",
    job=ONLINE_JOB,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Brings features online when the newest row of an instrument is another one, or was made again.",
)
def online_behind(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run where what is served is not what is stored."""
    from rrr_assets.features.online import state

    if full := no_room():
        return full
    wanted = state(warehouse.database())
    if wanted is None:
        return dg.SkipReason("No instrument has features of the last day: none of them would be served with values.")
    if is_under_way(context.instance, ONLINE_JOB.name):
        return dg.SkipReason("A run is under way.")
    if wanted == _brought(context.instance):
        return dg.SkipReason("What is served is the newest there is.")
    if (found := run_key(context.instance, [ONLINE, wanted])) is None:
        return dg.SkipReason("The newest rows are not online; the run for them rests after a failure.")
    key, asked = found
    return dg.RunRequest(run_key=key, tags={ASKED_TAG: asked, "rrr/kind": "online"})


def _brought(instance: dg.DagsterInstance) -> str | None:
    event = instance.get_latest_materialization_event(dg.AssetKey(ONLINE))
    told = None if event is None or event.asset_materialization is None else event.asset_materialization.metadata.get(_STATE)
    return None if told is None else str(told.value)


ONLINE_ASSETS: Final = [online_features]
ONLINE_JOBS: Final = [ONLINE_JOB]
ONLINE_SENSORS: Final = [online_behind]
