-- The time of the newest row of each stream, as the last look or the last days' ledger has it, and what freshness is promised.
with lately as (
    select
        c.instrument,
        c.stream,
        max(c.last_time) as last_time
    from coverage as c
    where c.day >= (statement_timestamp() at time zone 'UTC')::date - 3 and c.stream <> 'venue_bars'
    group by c.instrument, c.stream
)

select
    coalesce(s.instrument, l.instrument) as instrument,
    coalesce(s.stream, l.stream) as stream,
    extract(epoch from greatest(s.last_event_time, l.last_time)) as last_event_time,
    s.limit_seconds
from stream_freshness as s
full join lately as l on s.instrument = l.instrument and s.stream = l.stream
order by instrument, stream
limit %(most)s;
