"""Baseline of reading: the 5-minute bars of a day straight from its trades, in one statement, over a connection that is open."""

from datetime import datetime
from typing import Any

import psycopg

_STATEMENT = """
select
    date_bin('5 minutes', event_time, timestamptz '2000-01-01 00:00:00+00') as bar_start,
    (array_agg(price order by event_time, sequence))[1], max(price), min(price), (array_agg(price order by event_time, sequence))[count(*)],
    sum(size), sum(price * size), sum(price * size) / sum(size), count(*),
    sum(size) filter (where side = 'buy'), sum(price * size) filter (where side = 'buy'),
    (array_agg(sequence order by event_time, sequence))[1], (array_agg(sequence order by event_time, sequence))[count(*)]
from raw_trades
where instrument = %(instrument)s and event_time >= %(since)s and event_time < %(until)s
group by 1
order by 1
"""


def bars(connection: psycopg.Connection[Any], instrument: str, since: datetime, until: datetime) -> int:
    """How many bars there are; they come as Python's numbers."""
    return len(connection.execute(_STATEMENT, {"instrument": instrument, "since": since, "until": until}).fetchall())
