"""The sensor that tells of what is wrong: one message for each root cause.

Belongs here: the sensor alone. Does not: what it does (resources/alerting). All its state is in the database: killed anywhere, the next
evaluation goes on, and nothing is lost or told twice.
"""

from typing import Final

import dagster as dg

from rrr_assets.resources.warehouse import Warehouse

ALERTS_SECONDS: Final = 30


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=ALERTS_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    target=None,
    description="Tells of what is wrong, one message for each root cause, and again only when it gets worse or is over.",
)
def alerts(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SkipReason:
    """Ask for no run: it brings the alerts in step with what is wrong, and sends what waits."""
    from rrr_assets.resources.alerting import deliver, look_and_reconcile
    from rrr_assets.resources.quality_settings import quality_settings

    settings = quality_settings().alerts
    database = warehouse.database()
    done = look_and_reconcile(database, context.instance, settings)
    delivered = deliver(database, settings)
    told = f"{done.open} alerts are open, {done.muted} of them muted: {done.opened} opened, {done.worse} worse, {done.resolved} resolved."
    failed = "".join(f" {name} took nothing: {why}." for name, why in delivered.failed.items())
    return dg.SkipReason(f"{told} {delivered.sent} messages were sent.{failed}")


ALERTING_SENSORS: Final = [alerts]
