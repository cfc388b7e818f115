-- What waits to be refreshed on one day: per instrument the merged windows on the grid of the bars, and for each relation that
-- is followed the last entry seen.
with pending as (
    select
        l.instrument,
        l.relation,
        range_agg(tstzrange(
            date_bin(%(grid)s::interval, l.from_time, timestamptz '2000-01-01 00:00:00+00'),
            date_bin(%(grid)s::interval, l.to_time - interval '1 microsecond', timestamptz '2000-01-01 00:00:00+00') + %(grid)s::interval
        )) as windows,
        max(l.invalidation_id) as last_id
    from invalidation_log as l
    left join invalidations_applied as a
        on a.consumer = %(consumer)s and l.relation = a.relation and l.instrument = a.instrument and l.day = a.day
    where
        l.relation = any(%(relations)s) and l.day = %(day)s and l.instrument = any(%(instruments)s)
        and l.invalidation_id > coalesce(a.applied_through, 0)
    group by l.instrument, l.relation
)

select
    p.instrument,
    range_agg(p.windows) as windows,
    array_agg(p.relation) as relations,
    array_agg(p.last_id) as last_ids
from pending as p
group by p.instrument
order by p.instrument;
