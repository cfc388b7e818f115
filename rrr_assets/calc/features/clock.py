"""Features of the calendar.

Belongs here: what follows from the minute itself. Does not: anything of the market.
"""

from typing import TYPE_CHECKING

from rrr_assets.calc.features.declare import feature

if TYPE_CHECKING:
    from polars import Expr


@feature(window=1, unit="0 to 167", formula="hours since Monday 00:00 UTC at the start of the minute", low=0, high=167, is_stationary=False)
def hour_of_week(minute_of_week: "Expr") -> "Expr":
    """Hour of the week in UTC, 0 on Monday from midnight on."""
    return minute_of_week // 60
